"""Random numbers inside networks: rows of the global batch in training, fixed elsewhere."""

import pytest
import torch
from torch import Tensor, nn

from trompe.engine.randomness import Draws, drawing
from trompe.engine.share import Share
from trompe.networks.noise import Dropout, noise_like

BATCH = 6
FEATURES = torch.arange(BATCH * 8, dtype=torch.float).view(BATCH, 2, 4) + 1


class Noisy(nn.Module):
    """Draws twice, and drops some."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = x + noise_like(x)
        return self.dropout(x + 2 * noise_like(x))


def test_the_fixed_numbers_are_a_part_of_an_exported_program() -> None:
    network = Noisy().eval()
    rows = {"x": {0: torch.export.Dim.DYNAMIC}}
    exported = torch.export.export(network, (FEATURES[:2],), dynamic_shapes=rows, strict=False)
    program = exported.module()
    for _ in range(2):  # drawn again, they would be others
        assert torch.equal(program(FEATURES), network(FEATURES))


def made(network: nn.Module, share: Share, purpose: str = "fake", images: int = 0) -> Tensor:
    """What the network makes of this process's rows."""
    draws = Draws(0, images, BATCH, share)
    with drawing(draws), draws.named(purpose):
        return network(FEATURES[draws.rows()])


@pytest.mark.parametrize(("processes", "parts"), [(2, 1), (3, 1), (3, 2)])
def test_shares_draw_the_rows_of_the_whole_batch(processes: int, parts: int) -> None:
    network = Noisy()
    whole = made(network, Share())
    assert not torch.equal(whole[0], whole[1])
    shares = [Share(rank, processes, parts) for rank in range(processes)]
    for share in shares:
        assert torch.equal(made(network, share), whole[share.rows(BATCH)])
    # And so does a part of the batch.
    draws = Draws(0, 0, BATCH, Share(parts=2)).part(1)
    with drawing(draws), draws.named("fake"):
        assert torch.equal(network(FEATURES[3:]), whole[3:])


def test_one_purpose_draws_the_same_and_another_others() -> None:
    network, draws = Noisy(), Draws(0, 0, BATCH, Share())
    with drawing(draws):
        with draws.named("a"):
            first = network(FEATURES)
            further = network(FEATURES)  # further layers, other numbers
        with draws.named("b"):
            other = network(FEATURES)
            with draws.named("a"):
                within = network(FEATURES)
            after = network(FEATURES)
        with draws.named("a"):
            again = network(FEATURES)
    assert torch.equal(first, again) and torch.equal(first, within)
    assert not torch.equal(first, other) and not torch.equal(first, further)
    # A name within another one leaves the outer one's count as it was.
    with drawing(draws), draws.named("b"):
        assert torch.equal(network(FEATURES), other)
        assert torch.equal(network(FEATURES), after)
    assert not torch.equal(made(network, Share(), "a", images=6), first)


def test_two_layers_draw_different_numbers() -> None:
    draws = Draws(0, 0, BATCH, Share())
    with drawing(draws):
        assert not torch.equal(noise_like(FEATURES), noise_like(FEATURES))


def test_outside_of_training_noise_is_fixed_and_the_same_for_every_image() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    noise = noise_like(FEATURES)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(noise, noise_like(torch.zeros(BATCH, 2, 4)))
    assert torch.equal(noise[:1].expand_as(noise), noise)
    assert torch.equal(noise_like(FEATURES[2:3])[0], noise[5])
    assert noise[0].unique().numel() == 8
    many = noise_like(torch.zeros(1, 3, 100, 100))
    assert float(many.mean()) == pytest.approx(0, abs=0.03)
    assert float(many.std()) == pytest.approx(1, abs=0.03)


def test_dropout_leaves_out_some_and_scales_the_others() -> None:
    share = Share()
    ones = torch.ones(BATCH, 5000)
    draws, layer = Draws(0, 0, BATCH, share), Dropout(0.2)
    with drawing(draws):
        dropped = layer(ones)
    assert set(dropped.unique().tolist()) == {0, 1.25}
    assert float((dropped == 0).float().mean()) == pytest.approx(0.2, abs=0.02)
    assert not torch.equal(dropped[0], dropped[1])


def test_dropout_in_evaluation_is_the_identity() -> None:
    layer = Dropout(0.5).eval()
    draws = Draws(0, 0, BATCH, Share())
    with drawing(draws):
        assert torch.equal(layer(FEATURES), FEATURES)
    assert torch.equal(layer(FEATURES), FEATURES)
    with drawing(draws):
        assert torch.equal(Dropout(0.0)(FEATURES), FEATURES)


def test_several_images_of_one_row_and_none_of_a_fraction() -> None:
    draws = Draws(0, 0, BATCH, Share(1, 2))
    with drawing(draws):
        twice = noise_like(torch.zeros(6, 3))  # three rows here, each twice
        assert not torch.equal(twice[:3], twice[3:])
        with pytest.raises(ValueError, match="7 rows for 3 images"):
            noise_like(torch.zeros(7, 3))
    whole = Draws(0, 0, BATCH, Share())
    with drawing(whole):
        rows = noise_like(torch.zeros(12, 3))
    assert torch.equal(twice, torch.cat([rows[3:6], rows[9:]]))


def test_numbers_have_the_type_of_the_features() -> None:
    half = FEATURES.bfloat16()
    with drawing(Draws(0, 0, BATCH, Share())):
        assert noise_like(half).dtype == Dropout(0.5)(half).dtype == torch.bfloat16
    assert noise_like(half).dtype == torch.bfloat16
