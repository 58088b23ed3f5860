"""What is said of translations in both directions, on outputs made up for it."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trompe.data.painter import PaintedSource
from trompe.data.unpaired import UnpairedBatch, UnpairedData
from trompe.errors import UserError
from trompe.images import to_uint8
from trompe.methods.cyclegan import Translations
from trompe.metrics.features import RandomConv
from trompe.metrics.score import Score
from trompe.metrics.translation import DirectedComparison, TranslationComparison

COUNT, SIDE = 12, 16
LIMITS = {"change": 0.1, "luminance": -0.2, "hidden": 3.0, "gap": 0.01, "won": 0.95}


def pictures(seed: int) -> Tensor:
    """uint8 (COUNT, 3, SIDE, SIDE): smooth, as translations are."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(COUNT, 3, 4, 4, generator=generator) * 2 - 1
    return to_uint8(torch.nn.functional.interpolate(coarse, scale_factor=4.0, mode="bilinear"))


def shifted(images: Tensor, by: int) -> Tensor:
    return (images.long() + by).clamp(0, 255).byte()


A, B = pictures(1), shifted(pictures(1), 40)  # counterparts


def healthy(**changes: Tensor) -> Translations:
    """Both generators find the counterparts, ways back miss by 2, noise doubles that."""
    logits = torch.tensor([0.9, 0.2, 0.8, 0.1]).expand(COUNT, 4)
    parts = {
        "images": shifted(B, 1),
        "b_to_a": shifted(A, 1),
        "cycle_a": shifted(A, 2),
        "cycle_b": shifted(B, 2),
        "noisy_cycle_a": shifted(A, 4),
        "noisy_cycle_b": shifted(B, 4),
        "logits": logits,
    }
    return Translations(**(parts | changes))


def scores(outputs: Translations, truth: bool = True) -> dict[str, Score]:
    metric = TranslationComparison(COUNT, LIMITS)
    metric.has_truth = truth
    inputs = UnpairedBatch(A, B)
    # In two parts, as an evaluation does: the mean is over all.
    for rows in torch.arange(COUNT).split(8):
        some = [type(x)(*(t[rows] for t in x)) for x in (outputs, inputs)]
        metric.update(some[0], rows, some[1])
    return metric.compute()


def notes(found: dict[str, Score]) -> dict[str, str]:
    return {name: score.note for name, score in found.items() if score.note}


def test_a_healthy_pair_of_generators_has_no_note() -> None:
    found = scores(healthy())
    assert notes(found) == {}
    saturated = (A > 253).float().mean() * 2 / 255  # a few pixels cannot go up by 2
    assert found["cycle_a"].value == pytest.approx(2 / 255, abs=float(saturated) + 1e-6)
    assert found["hidden_a"].value == pytest.approx(2, rel=0.02)
    assert found["truth_a_to_b"].value == pytest.approx(1 / 255, rel=0.1)
    # With the truth known, only what differs from its correlation counts.
    assert found["luminance_a_to_b"].value == pytest.approx(0, abs=0.05)
    assert scores(healthy(), truth=False)["luminance_a_to_b"].value > 0.9
    assert found["gap_b"].value == pytest.approx(0.9 - 0.2)
    assert found["gap_a"].value == pytest.approx(0.8 - 0.1)


def test_the_values_by_hand() -> None:
    outputs = healthy(images=A.roll(3, 0), cycle_a=pictures(3))
    found = scores(outputs)
    a, b, made = (x.double().numpy() / 255 for x in (A, B, outputs.images))
    cycle = abs(outputs.cycle_a.double().numpy() / 255 - a).mean((1, 2, 3))
    assert found["cycle_a"].value == pytest.approx(cycle.mean(), rel=1e-5)
    expected = cycle.std(ddof=1) / math.sqrt(COUNT)
    assert found["cycle_a"].standard_error == pytest.approx(expected, rel=1e-4)
    assert found["truth_a_to_b"].value == pytest.approx(abs(made - b).mean(), rel=1e-5)
    # How far b is from a: of each a to another b of the same part.
    apart = [
        abs(b[i : i + 8][[-1, *range(len(b[i : i + 8]) - 1)]] - a[i : i + 8]).mean((1, 2, 3))
        for i in (0, 8)
    ]
    apart_mean = sum(x.sum() for x in apart) / COUNT
    expected = abs(made - a).mean() / apart_mean
    assert found["change_a_to_b"].value == pytest.approx(expected, rel=1e-5)


def test_a_generator_that_does_nothing_is_named() -> None:
    found = scores(healthy(images=A))
    assert list(notes(found)) == ["change_a_to_b"]
    assert (
        "a_to_b does nothing: images move 0% of the distance to b" in notes(found)["change_a_to_b"]
    )
    assert list(notes(scores(healthy(b_to_a=B)))) == ["change_b_to_a"]


def test_inverted_colors_are_named() -> None:
    found = scores(healthy(images=255 - A))
    assert list(notes(found)) == ["luminance_a_to_b"]
    assert notes(found)["luminance_a_to_b"].startswith("a_to_b inverts colors: ")
    assert found["luminance_a_to_b"].value == pytest.approx(-2, abs=0.05)
    found = scores(healthy(images=255 - A), truth=False)
    assert found["luminance_a_to_b"].value == pytest.approx(-1, abs=1e-3)
    assert list(notes(found)) == ["luminance_a_to_b"]
    assert list(notes(scores(healthy(b_to_a=255 - B)))) == ["luminance_b_to_a"]


def test_hidden_information_is_named() -> None:
    found = scores(healthy(noisy_cycle_a=shifted(A, 20)))
    assert list(notes(found)) == ["hidden_a"]
    assert notes(found)["hidden_a"].startswith("a_to_b hides information: noise makes the way back")
    assert found["hidden_a"].value == pytest.approx(10, rel=0.1)
    found = scores(healthy(noisy_cycle_b=shifted(B, 40)))
    assert notes(found)["hidden_b"].startswith("b_to_a hides information")


def test_a_dead_discriminator_is_named() -> None:
    logits = torch.tensor([0.5, 0.5, 0.8, 0.1]).expand(COUNT, 4)
    found = scores(healthy(logits=logits))
    assert notes(found) == {
        "gap_b": "the discriminator of b is dead: it separates real from fake by 0.000"
    }
    logits = torch.tensor([0.9, 0.2, 0.3, 0.305]).expand(COUNT, 4)
    assert list(notes(scores(healthy(logits=logits)))) == ["gap_a"]
    logits = torch.tensor([1.0, 0.02, 0.9, 0.1]).expand(COUNT, 4)
    assert notes(scores(healthy(logits=logits))) == {
        "gap_b": "the discriminator of b has won: it separates real from fake by 0.980"
    }


def data(cache: Path) -> UnpairedData:
    parameters: dict[str, Any] = {
        "resolution": 16,
        "source_resolution": 16,
        "flip": False,
        "channels": 3,
        "validation_fraction": 0.2,
        "split_seed": 0,
        "cache_dir": str(cache),
        "memory_limit_mb": 16,
    }
    pairs = UnpairedData(PaintedSource(10, 16, 1), PaintedSource(20, 16, 2), **parameters)
    pairs.setup()
    return pairs


def test_a_truth_is_measured_only_where_there_are_counterparts(tmp_path: Path) -> None:
    metric = TranslationComparison(COUNT, LIMITS)
    pairs = data(tmp_path)
    metric.prepare(pairs)
    assert not any(name.startswith("truth") for name in metric.protocols())
    assert not any(name.startswith("truth") for name in scores(healthy(), truth=False))
    assert all(p["data"] == pairs.fingerprint for p in metric.protocols().values())
    pairs.has_counterparts = True
    metric.prepare(pairs)
    measured, protocols = scores(healthy()), metric.protocols()
    assert {"truth_a_to_b", "truth_b_to_a"} <= set(protocols)
    # Every value has a protocol and a direction.
    assert set(measured) == set(protocols) == set(metric.directions())
    with pytest.raises(UserError, match="images of two kinds: choose data=unpaired"):
        metric.prepare(pairs.b)


def test_each_direction_is_compared_with_what_it_should_be(tmp_path: Path) -> None:
    pairs = data(tmp_path)
    found = {}
    for direction in ("a_to_b", "b_to_a"):
        metric = DirectedComparison(
            direction,
            features=RandomConv(dim=8),
            measures=["fd"],
            n_images=COUNT,
            n_reference=16,
        )
        metric.prepare(pairs)
        assert (
            list(metric.directions()) == list(metric.protocols()) == [f"fd_random_conv_{direction}"]
        )
        assert metric.reference is not None
        found[direction] = len(metric.reference)
        # Of all translations the field of its direction is measured.
        outputs = healthy()
        metric.update(outputs, torch.arange(COUNT), UnpairedBatch(A, B))
        images = outputs.images if direction == "a_to_b" else outputs.b_to_a
        assert torch.equal(metric.rows, metric.features(images).to(metric.rows.dtype))
    assert found == {"a_to_b": 16, "b_to_a": 8}  # the training images of b, and of a
    with pytest.raises(UserError, match="direction=up is neither a_to_b nor b_to_a"):
        DirectedComparison("up", features=RandomConv(8), measures=["fd"], n_images=2, n_reference=2)
    with pytest.raises(UserError, match="images of two kinds"):
        metric.prepare(pairs.b)
