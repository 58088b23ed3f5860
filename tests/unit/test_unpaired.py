"""Unpaired sets: crops as a function of (seed, images seen), held-out parts, sides by index."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from tests.unit.style_sets import levels, plain
from trompe.command import config_dir
from trompe.data.crops import draw_windows
from trompe.data.loader import TickLoader
from trompe.data.painter import PaintedSource
from trompe.data.unpaired import UnpairedBatch, UnpairedData
from trompe.engine.clock import Clock
from trompe.engine.share import Share
from trompe.errors import UserError
from trompe.metrics.reference import load_reference


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Makes data of 10 pictures a, levels 0 to 9, and 6 of b, 100 to 105."""

    def make(**changes: Any) -> UnpairedData:
        parameters: dict[str, Any] = {
            "a": str(tmp_path / "a"),
            "b": str(tmp_path / "b"),
            "resolution": 16,
            "source_resolution": 18,
            "flip": True,
            "channels": 3,
            "validation_fraction": 0.2,
            "split_seed": 0,
            "cache_dir": str(tmp_path / "cache"),
            "memory_limit_mb": 16,
        }
        return UnpairedData(**(parameters | changes))

    plain(tmp_path / "a", 10)
    plain(tmp_path / "b", 6, first=100)
    return make


@pytest.fixture
def textured(make: Any) -> UnpairedData:
    """Every crop differs."""
    a, b = PaintedSource(6, 32, seed=1), PaintedSource(9, 32, seed=2)
    return make(a=a, b=b, source_resolution=32)


def joined(batches: list[UnpairedBatch]) -> UnpairedBatch:
    return UnpairedBatch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


def same(a: UnpairedBatch, b: UnpairedBatch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def ticks(data: UnpairedData, seed: int, start: int, batches: int, *ranks: int) -> UnpairedBatch:
    clock = Clock(1, 6 * batches / 1000, 6)
    clock.images = start
    return joined(list(TickLoader(data, clock, seed, Share(*ranks))))


def test_batches_hold_an_image_of_each_kind(textured: UnpairedData) -> None:
    batch = next(iter(TickLoader(textured, Clock(1, 0.006, 6), seed=0)))
    assert isinstance(batch, UnpairedBatch) and textured.batch_type is UnpairedBatch
    assert batch.a.shape == batch.b.shape == (6, 3, 16, 16)
    assert batch.a.dtype == batch.b.dtype == torch.uint8


def test_gray_pictures(make: Any) -> None:
    assert ticks(make(channels=1), 0, 0, 1).a.shape == (6, 1, 16, 16)


@pytest.mark.parametrize("processes", [2, 3])
def test_shares_make_up_the_batch_of_one_process(textured: UnpairedData, processes: int) -> None:
    alone = ticks(textured, 1, 0, 5)
    shares = [
        list(TickLoader(textured, Clock(1, 0.03, 6), 1, Share(rank, processes)))
        for rank in range(processes)
    ]
    together = joined([joined(list(parts)) for parts in zip(*shares, strict=True)])
    assert len(alone.a) == 30 and same(together, alone)


def test_any_position_can_be_resumed_from(textured: UnpairedData) -> None:
    whole = ticks(textured, 1, 0, 5)
    torch.manual_seed(3)
    tail = ticks(textured, 1, 12, 3)
    assert same(tail, UnpairedBatch(*(part[12:] for part in whole)))
    other = ticks(textured, 2, 0, 5)
    assert not torch.equal(other.a, whole.a) and not torch.equal(other.b, whole.b)
    stream = textured.stream(1, 6)
    far, near = stream.batch(6000, slice(None)), stream.batch(12, slice(2, 4))
    assert same(near, UnpairedBatch(*(part[14:16] for part in whole)))
    assert same(far, stream.batch(6000, slice(None)))


def test_sides_are_drawn_independently(make: Any) -> None:
    # The same set twice: neither the order nor the crops may agree.
    source = PaintedSource(12, 96, 0)
    data = make(a=source, b=source, source_resolution=96, validation_fraction=0)
    shown = ticks(data, 0, 0, 4)
    assert not (shown.a == shown.b).flatten(1).all(1).any()
    assert all(len({crop.numpy().tobytes() for crop in side}) > 20 for side in shown)


def test_every_epoch_shows_each_picture_once_and_pairs_vary(make: Any) -> None:
    data = make(validation_fraction=0, b=make().a.pictures.pictures)
    first, second = TickLoader(data, Clock(1, 0.02, 10), seed=0)
    pairs = set()
    for batch in (first, second):
        a, b = levels(batch.a), levels(batch.b)
        assert sorted(a) == sorted(b) == list(range(10)) and a != b
        pairs |= set(zip(a, b, strict=True))
    assert len(pairs) > 15


def test_crops_keep_the_scale_and_vary(make: Any) -> None:
    source = PaintedSource(1, 32, 5)
    data = make(a=source, b=source, source_resolution=32, flip=False, validation_fraction=0)
    whole = data.a.pictures.gather("train", torch.tensor([0])).images[0]
    windows = whole.unfold(1, 16, 1).unfold(2, 16, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
    known = {window.contiguous().numpy().tobytes() for window in windows}
    shown = {crop.numpy().tobytes() for crop in ticks(data, 0, 0, 10).a}
    assert shown <= known and len(shown) > 40


def test_windows_lie_anywhere_inside() -> None:
    places = draw_windows(4000, 20, 16, torch.Generator().manual_seed(0))
    assert places.dtype == torch.int64 and (places[:, 2] == 16).all()
    for place in places.T[:2]:
        counts = torch.bincount(place)
        assert len(counts) == 5 and (counts - 800).abs().max() < 120
    assert len(set(map(tuple, places.tolist()))) == 25
    assert draw_windows(3, 16, 16, torch.Generator()).tolist() == [[0, 0, 16]] * 3


def test_crops_are_mirrored_only_if_asked(textured: UnpairedData) -> None:
    textured.flip = False
    unflipped = ticks(textured, 0, 0, 6)
    textured.flip = True
    flipped = ticks(textured, 0, 0, 6)
    turned = []
    for a, b in zip(unflipped, flipped, strict=True):
        as_is, mirrored = (a == b).flatten(1).all(1), (a.flip(-1) == b).flatten(1).all(1)
        assert (as_is | mirrored).all() and as_is.sum() > 9 and mirrored.sum() > 9
        turned.append(mirrored)
    assert not torch.equal(*turned)


def test_held_out_pictures_are_never_trained_on(make: Any) -> None:
    data = make()
    shown = ticks(data, 0, 0, 20)
    held = data.pairs("validation", 4)
    sides = zip(shown, held, (range(10), range(100, 106)), (2, 1), strict=True)
    for trained, kept, everything, count in sides:
        assert len(set(levels(kept))) == count and not set(levels(kept)) & set(levels(trained))
        assert set(levels(kept)) | set(levels(trained)) == set(everything)
    assert levels(held.a)[:2] == levels(held.a)[2:]
    assert not data.has_counterparts
    assert len(data.pairs("train", 3).a) == 3


def test_each_side_is_a_reference_and_the_data_are_side_b(textured: UnpairedData) -> None:
    class Means(torch.nn.Module):
        dim, fingerprint, classifier = 3, "means", None

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().mean((2, 3))

    features: Any = Means()
    references = {
        name: load_reference(features, data, "train", 100)
        for name, data in (("a", textured.a), ("b", textured.b), ("both", textured))
    }
    assert [len(reference) for reference in references.values()] == [5, 7, 7]
    assert torch.equal(references["b"].features, references["both"].features)
    assert textured.split_size("validation") == 2 and textured.a.split_size("validation") == 1
    assert textured.class_names == textured.b.class_names
    batch = textured.a.gather("train", torch.arange(5))
    assert batch.images.shape == (5, 3, 16, 16) and batch.labels.shape == (5,)
    whole = textured.a.pictures.gather("train", torch.arange(5)).images.float()
    assert (batch.images - whole.view(5, 3, 16, 2, 16, 2).mean((3, 5))).abs().mean() < 6
    for side in (textured, textured.a):
        with pytest.raises(UserError, match="split=test is neither"):
            side.split_size("test")


def test_fingerprints_follow_content_and_settings(make: Any, tmp_path: Path) -> None:
    plain(tmp_path / "other", 10, first=50)
    changes: list[dict[str, Any]] = [
        {},
        {"a": str(tmp_path / "other")},
        {"b": str(tmp_path / "other")},
        {"split_seed": 1},
        {"validation_fraction": 0.5},
        {"resolution": 8},
        {"source_resolution": 24},
        {"a_squares": 2},
        {"b_squares": 2},
    ]
    made = [make(**change) for change in changes]
    assert len({data.fingerprint for data in made}) == len(changes)
    assert made[1].b.fingerprint == made[0].b.fingerprint != made[0].a.fingerprint
    assert made[1].a.fingerprint != made[0].a.fingerprint
    assert make(cache_dir=str(tmp_path / "fresh"), flip=False).fingerprint == made[0].fingerprint


def test_folders_from_the_command_line(make: Any, tmp_path: Path) -> None:
    folders = [f"data.a={tmp_path}/a", f"data.b=[{tmp_path}/b,{tmp_path}/b/100.png]"]
    sizes = ["data.source_resolution=18", "data.resolution=16", f"paths.cache_dir={tmp_path}/c"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", ["data=unpaired", *folders, *sizes, "name=test"])
    module = instantiate(cfg.data, _convert_="all")
    module.prepare_data()
    shown = ticks(module, 0, 0, 3)
    assert max(levels(shown.a)) < 10 and min(levels(shown.b)) >= 100
    assert len(module.b.pictures.decoded.images) == 7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resolution": 20}, r"data\.resolution=20 .* data\.source_resolution=18"),
        ({"resolution": 0}, r"data\.resolution=0 must be at least 1"),
        ({"a_squares": 0}, r"data\.a_squares=0"),
        ({"channels": 2}, r"data\.channels=2"),
        ({"validation_fraction": 1}, r"data\.validation_fraction=1"),
        ({"b": 3}, r"data\.b=3 must be a folder"),
        ({"a": "nowhere"}, r"data\.a=nowhere"),
        ({"source_resolution": 64}, r"smaller than 64 .* data\.source_resolution"),
        ({"validation_fraction": 0}, r"data\.a has no validation pictures"),
    ],
)
def test_wrong_data_are_refused_in_one_line(make: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        make(**changes).pairs("validation", 1)
    assert "\n" not in str(caught.value)
