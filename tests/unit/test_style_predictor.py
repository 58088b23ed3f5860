"""What predicts a style's normalization parameters from its description."""

import torch

from trompe.networks.transformer import StylePredictor


def predictor() -> StylePredictor:
    torch.manual_seed(0)
    return StylePredictor(400, 20, 60)


def test_only_the_first_part_of_a_description_is_looked_at() -> None:
    style = torch.randn(3, 400)
    longer = torch.cat([style, 1e3 * torch.randn(3, 50)], 1)
    assert torch.equal(predictor()(style), predictor()(longer))


def test_parameters_stay_bounded_however_far_the_bottleneck_grows() -> None:
    made, style = predictor(), torch.randn(8, 400)
    before = made(style)
    with torch.no_grad():
        made.weight.mul_(1e3)
    # The bottleneck is normalized: its size means nothing.
    torch.testing.assert_close(made(style), before, atol=1e-3, rtol=1e-3)
    with torch.no_grad():
        made.last.weight.mul_(1e3)
    assert made(style).abs().max() <= 3 < 1e3 * before.abs().max()


def test_a_step_of_adam_moves_the_bottleneck_little() -> None:
    """However many inputs there are: all of a step's signs may agree."""
    changes = []
    for size in (400, 40_000):
        torch.manual_seed(0)
        made, style = StylePredictor(size, 20, 60), torch.randn(1, size)
        made.last.requires_grad_(False)
        optimizer = torch.optim.Adam([made.weight], 1e-3)
        before = made(style).detach()
        made(style).sum().backward()
        optimizer.step()
        changes.append((made(style).detach() - before).abs().mean().item())
    # Ten times as far by the root of their number; unscaled weights of He's size, a hundred times.
    assert changes[1] < 15 * changes[0], changes
