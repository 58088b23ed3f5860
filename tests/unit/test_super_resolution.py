"""Super-resolution: the network and its tiles, what is measured, and what small copies are."""

from functools import partial
from typing import Any

import pytest
import torch
from PIL import Image

from trompe.data.degradations import Downsampling
from trompe.data.high_low import HighLow, HighLowData
from trompe.engine.clock import Clock
from trompe.errors import UserError
from trompe.images import enlarged, from_picture, to_picture, to_signed, to_uint8
from trompe.methods.super_resolution import SuperResolution
from trompe.metrics.enlargements import EnlargementComparison, luma
from trompe.networks.patch_gan import PatchGAN
from trompe.networks.perceptual_network import RandomConvPerceptual
from trompe.networks.super_resolver import SuperResolver, in_tiles
from trompe.tasks.enlarge import choose_tile


def resolver(factor: int, **changes: Any) -> SuperResolver:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "channels": 3,
        "width": 8,
        "blocks": 2,
        "upsampling": "resize",
        "skip": False,
    }
    settings["norm"] = "batch"
    return SuperResolver(factor, **{**settings, **changes})


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize("skip", [False, True])
def test_tiles_make_what_the_whole_makes(factor: int, upsampling: str, skip: bool) -> None:
    network = resolver(factor, upsampling=upsampling, skip=skip)
    images = torch.rand(1, 3, 37, 26) * 2 - 1
    torch.nn.init.normal_(network.image.weight, std=0.05)
    for _ in range(3):
        network(images)  # batch norm meets them
    whole = network.eval()(images)
    assert whole.shape == (1, 3, 37 * factor, 26 * factor)
    torch.testing.assert_close(in_tiles(network, images, 16), whole, atol=1e-5, rtol=1e-5)
    network.halo = 2
    assert not torch.allclose(in_tiles(network, images, 16), whole, atol=1e-5)


def test_the_network_is_that_of_the_paper() -> None:
    network = SuperResolver(4, 3, 64, 5, "transposed", "batch", False)
    blocks = 5 * 2 * (64 * 64 * 9 + 64)
    norms = (1 + 5 * 2 + 2) * 2 * 64
    ends = 3 * 64 * 81 + 64 + 64 * 3 * 81 + 3
    ups = 2 * (64 * 64 * 9 + 64)
    assert sum(p.numel() for p in network.parameters()) == blocks + norms + ends + ups


def test_a_skip_begins_as_bicubic_enlargement_of_pillow() -> None:
    # Pillow cuts overshoots off between rows and columns.
    image = torch.randint(90, 160, (1, 3, 20, 24), dtype=torch.uint8)
    made = resolver(4, skip=True)(to_signed(image))
    assert torch.equal(made, enlarged(to_signed(image), 4))
    theirs = to_picture(image[0]).resize((96, 80), Image.Resampling.BICUBIC)
    apart = (to_uint8(made)[0].int() - from_picture(theirs).int()).abs()
    assert int(apart.max()) <= 1
    with pytest.raises(UserError, match="factor=3: this network takes 2, 4, 8"):
        resolver(3)


def make(weights: dict[str, float], **changes: Any) -> SuperResolution:
    settings: dict[str, Any] = {
        "generator": resolver(2, skip=True),
        "discriminator": PatchGAN(4, 2),
        "loss": "hinge",
        "optimizer": partial(torch.optim.Adam, lr=0.01),
        "generator_lr": 0.01,
        "discriminator_lr": 0.01,
        "ema_half_life_kimg": 0.001,
        "ema_rampup": 0.5,
        "factor": 2,
        "perceptual": RandomConvPerceptual([], ["conv3"], width=4, seed=0),
        "weights": {"total_variation": 0, **weights},
        "clock": Clock(0.1, 0.01, 2),
        "seed": 0,
    }
    method = SuperResolution(**{**settings, **changes})
    optimizers = method.configure_optimizers()
    method.optimizers = lambda: optimizers  # type: ignore[method-assign, assignment]
    method.manual_backward = lambda loss: loss.backward()  # type: ignore[method-assign, assignment]
    return method


BATCH = HighLow(
    torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8),
    torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8),
)


@pytest.mark.parametrize(
    ("weights", "phase", "losses"),
    [
        ({"pixel": 1, "content": 0, "adversarial": 0}, "g", {"pixel"}),
        ({"pixel": 0, "content": 1, "adversarial": 0}, "g", {"content"}),
        (
            {"pixel": 1, "content": 1, "adversarial": 0.1},
            "d+g",
            {"pixel", "content", "adversarial", "discriminator"},
        ),
    ],
)
def test_a_loss_counts_where_it_weighs(
    weights: dict[str, float], phase: str, losses: set[str]
) -> None:
    method = make(weights)
    judge = [p.clone() for p in method.discriminator.parameters()]
    assert method.phase() == phase
    method.training_step(BATCH, 0)
    found = {name.removeprefix("loss/") for name in method.means.read().means}
    assert found == losses | {"generator"}
    stays = all(map(torch.equal, judge, method.discriminator.parameters()))
    assert stays == (phase == "g")


def test_wrong_parts_are_one_line() -> None:
    with pytest.raises(UserError, match="content_layers"):
        none = RandomConvPerceptual(["conv3"], [], width=4, seed=0)
        make({"pixel": 0, "content": 1, "adversarial": 0}, perceptual=none)
    with pytest.raises(UserError, match=r"generator\.factor=2 is not the data's: 4"):
        make({"pixel": 1, "content": 0, "adversarial": 0}, factor=4)


def data_of(factor: int) -> HighLowData:
    return HighLowData(
        "nowhere",
        Downsampling(factor, "bicubic"),
        resolution=16,
        source_resolution=48,
        squares=1,
        flip=False,
        channels=3,
        cache_dir="cache",
        resize_filter="lanczos",
        validation_fraction=0.5,
        split_seed=0,
        memory_limit_mb=64,
        on_corrupt="error",
        allow_upscale=False,
        max_pixels=10**8,
    )


def test_small_copies_are_those_of_pillow_inside() -> None:
    high = torch.randint(0, 256, (1, 3, 64, 48), dtype=torch.uint8)
    low = data_of(4).small(high).low
    theirs = to_picture(high[0]).resize((12, 16), Image.Resampling.BICUBIC)
    apart = (low[0].int() - from_picture(theirs).int()).abs()[:, 2:-2, 2:-2]
    assert int(apart.max()) <= 1
    with pytest.raises(UserError, match="resolution=16 must be divisible"):
        data_of(3)


def test_bicubic_enlargement_measures_itself() -> None:
    metric = EnlargementComparison(2, RandomConvPerceptual([], ["conv3"], width=4, seed=0), None)
    metric.factor, metric.distinct = 4, 2
    smooth = torch.nn.functional.interpolate(torch.rand(2, 3, 6, 6) * 255, (48, 48), mode="bicubic")
    inputs = data_of(4).small(smooth.clamp(0, 255).byte())
    plain = to_uint8(enlarged(to_signed(inputs.low), 4))
    rows = metric._compare(plain, inputs.high), metric._compare(inputs.high, inputs.high)
    (ratio, similarity, apart), (top, same, nothing) = rows
    # By hand: the luma without four pixels of each edge.
    a, b = (luma(x)[..., 4:-4, 4:-4].double() for x in (plain, inputs.high))
    by_hand = 10 * torch.log10(255**2 / (a - b).square().mean((1, 2, 3)))
    torch.testing.assert_close(ratio.double(), by_hand, rtol=1e-4, atol=0)
    assert (top == 100).all() and torch.allclose(same, torch.ones(2)) and not nothing.any()
    assert (similarity < 1).all() and (apart > 0).all()


def test_luma_is_that_of_published_values() -> None:
    colors = torch.tensor([[0, 0, 0], [255, 255, 255], [255, 0, 0]], dtype=torch.uint8)
    found = luma(colors[:, :, None, None]).flatten()
    torch.testing.assert_close(found, torch.tensor([16.0, 235.0, 81.481]), atol=1e-3, rtol=0)


def test_tiles_are_the_largest_that_fit() -> None:
    method = make({"pixel": 1, "content": 0, "adversarial": 0})
    whole = method.memory(300, 200) / 2**30
    assert choose_tile(method, 300, 200, None, 1.01 * whole) is None
    tile = choose_tile(method, 300, 200, None, 0.5 * whole)
    assert tile is not None and method.memory(tile) <= 0.5 * whole * 2**30 < method.memory(2 * tile)
    assert choose_tile(method, 300, 200, 40, None) == 40
    with pytest.raises(UserError, match="a tile of 32 pixels takes"):
        choose_tile(method, 300, 200, None, 1e-6)
