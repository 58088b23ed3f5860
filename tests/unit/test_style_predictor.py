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


def test_what_all_styles_have_in_common_cannot_drown_their_own() -> None:
    made, style = predictor(), torch.randn(8, 400)
    apart = made(style).std(0).mean()
    with torch.no_grad():
        made.weight.mul_(1e3)
        made.last.bias.add_(1e3 * torch.randn(60))
        made.bias.mul_(1e3)
    parameters = made(style)
    assert parameters.abs().max() <= 3
    with torch.no_grad():
        made.last.bias.zero_()
    assert made(style).std(0).mean() > 0.5 * apart


def test_a_step_of_adam_moves_the_bottleneck_little() -> None:
    """However many inputs there are: all of a step's signs may agree."""
    style, changes = torch.randn(1, 4000), []
    for size in (400, 4000):
        torch.manual_seed(0)
        made = StylePredictor(size, 20, 60)
        optimizer = torch.optim.Adam(made.parameters(), 1e-3)
        before = made(style).detach()
        made(style).sum().backward()
        optimizer.step()
        changes.append((made(style).detach() - before).abs().mean().item())
    assert changes[1] < 4 * changes[0] and changes[1] < 0.3
