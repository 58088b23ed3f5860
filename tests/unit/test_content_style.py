"""Content and style sets: pairs and crops as a function of (seed, images seen), held-out parts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from tests.unit.style_sets import levels, maker, plain
from trompe.command import config_dir
from trompe.data.content_style import ContentStyleData, StyleBatch
from trompe.data.crops import cut, draw_crops
from trompe.data.loader import TickLoader
from trompe.data.painter import PaintedSource
from trompe.engine.clock import Clock
from trompe.engine.share import Share
from trompe.errors import UserError


@pytest.fixture
def make(tmp_path: Path) -> Any:
    return maker(tmp_path)


@pytest.fixture
def textured(make: Any) -> ContentStyleData:
    """Every crop differs."""
    content, style = PaintedSource(6, 32, seed=1), PaintedSource(9, 32, seed=2)
    return make(content=content, style=style, style_squares=1, content_squares=1)


def joined(batches: list[StyleBatch]) -> StyleBatch:
    return StyleBatch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


def same(a: StyleBatch, b: StyleBatch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def ticks(data: ContentStyleData, seed: int, start: int, batches: int, *ranks: int) -> StyleBatch:
    clock = Clock(1, 8 * batches / 1000, 8)
    clock.images = start
    return joined(list(TickLoader(data, clock, seed, *ranks)))


def test_batches_hold_pairs(textured: ContentStyleData) -> None:
    batch = next(iter(TickLoader(textured, Clock(1, 0.008, 8), seed=0)))
    assert isinstance(batch, textured.batch_type)
    assert batch.content.shape == batch.style.shape == (8, 3, 16, 16)
    assert batch.content.dtype == batch.style.dtype == torch.uint8
    assert batch.style_index.shape == (8,) and batch.style_index.dtype == torch.int64
    assert len({crop.numpy().tobytes() for crop in batch.content}) == 8


def test_shares_make_up_the_batch_of_one_process(textured: ContentStyleData) -> None:
    alone = ticks(textured, 1, 0, 5)
    shares = [list(TickLoader(textured, Clock(1, 0.04, 8), 1, Share(rank, 2))) for rank in (0, 1)]
    both = joined([joined(list(pair)) for pair in zip(*shares, strict=True)])
    assert len(alone.content) == 40 and same(both, alone)


def test_any_position_can_be_resumed_from(textured: ContentStyleData) -> None:
    whole = ticks(textured, 1, 0, 5)
    torch.manual_seed(3)
    tail = ticks(textured, 1, 16, 3)
    assert same(tail, StyleBatch(*(part[16:] for part in whole)))
    other = ticks(textured, 2, 0, 5)
    assert not torch.equal(other.content, whole.content)
    assert not torch.equal(other.style_index, whole.style_index)


def test_every_batch_has_crops_of_its_own(make: Any) -> None:
    # Large, so that two crops hardly ever coincide by chance.
    one = {"content": PaintedSource(1, 96, 0), "style": PaintedSource(1, 96, 0)}
    sizes = {"source_resolution": 96, "content_squares": 1, "style_squares": 1}
    data = make(**one, **sizes, flip=False)
    shown = ticks(data, 0, 0, 3)
    for crops in (shown.content, shown.style):
        assert len({crop.numpy().tobytes() for crop in crops}) > 20
    assert not (shown.content == shown.style).flatten(1).all(1).any()


def test_every_epoch_shows_each_square_once_and_pairs_vary(make: Any) -> None:
    data = make(validation_fraction=0, style=make().content.pictures, style_squares=3)
    clock = Clock(1, 0.06, 30)
    first, second = TickLoader(data, clock, seed=0)
    pairs = set()
    for batch in (first, second):
        content, style = levels(batch.content), levels(batch.style)
        assert sorted(content) == sorted(style) == sorted(list(range(10)) * 3)
        assert content != style and batch.style_index.tolist() == style
        pairs |= set(zip(content, style, strict=True))
    assert levels(first.content) != levels(second.content)
    assert len(pairs) > 30


def test_held_out_pictures_are_never_trained_on(make: Any) -> None:
    data = make()
    assert len(data.content._split("validation")) == 2 * 3
    assert len(data.style._split("validation")) == data.split_size("validation") == 1 * 2
    shown = ticks(data, 0, 0, 20)
    content, style = set(levels(shown.content)), set(levels(shown.style))
    held_content = set(levels(data.contents("validation", 6)))
    held_style = set(levels(data.styles("validation", 6)))
    assert (len(content), len(held_content), len(style), len(held_style)) == (8, 2, 5, 1)
    assert content | held_content == set(range(10)) and not content & held_content
    assert style | held_style == set(range(100, 106)) and not style & held_style
    other = make(split_seed=1)
    assert set(levels(other.contents("validation", 2))) != held_content
    # Only what is trained on is random.
    again = ticks(data, 5, 0, 20)
    assert set(levels(again.content)) == content and set(levels(again.style)) == style


def test_a_small_fraction_holds_out_one_of_each(make: Any) -> None:
    data = make(validation_fraction=0.001)
    assert len(set(levels(data.contents("validation", 9)))) == 1
    assert len(set(levels(data.styles("validation", 9)))) == 1


def test_style_index_numbers_the_style_pictures(make: Any) -> None:
    shown = ticks(make(), 0, 0, 5)
    assert (shown.style_index + 100).tolist() == levels(shown.style)


def test_evaluation_images_are_middle_squares_then_others(make: Any, tmp_path: Path) -> None:
    # Left, middle and right thirds tell squares apart.
    (tmp_path / "wide").mkdir()
    for i in range(2):
        pixels = np.repeat(np.uint8([[10, 20, 30]]), 32, axis=1).repeat(32, axis=0) + 100 * i
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"wide/{i}.png")
    data = make(content=str(tmp_path / "wide"), validation_fraction=0)
    assert levels(data.contents("train", 8)) == [20, 120, 10, 110, 30, 130, 20, 120]
    assert data.contents("train", 1).shape == (1, 3, 16, 16)


def test_style_set_is_a_reference(textured: ContentStyleData) -> None:
    size = textured.split_size("train")
    assert size == 7 and textured.class_names == textured.style.class_names
    batch = textured.gather("train", torch.arange(size))
    assert batch.images.shape == (7, 3, 16, 16) and batch.labels.shape == (7,)
    assert torch.equal(batch.images, textured.styles("train", 7))
    exact = textured.style.gather("train", torch.arange(size)).images
    coarse = exact.float().view(7, 3, 16, 2, 16, 2).mean((3, 5))
    assert (batch.images.float() - coarse).abs().mean() < 6
    with pytest.raises(UserError, match="split=test is neither"):
        textured.split_size("test")


def test_crops_lie_inside_and_vary() -> None:
    crops = draw_crops(4000, 32, 0.25, torch.Generator().manual_seed(0))
    top, left, side = crops.T
    assert 16 <= side.min() <= 17 and side.max() == 32
    assert (crops >= 0).all() and (top + side <= 32).all() and (left + side <= 32).all()
    # Every place is taken, up to the far border.
    for place in (top, left):
        assert set(place[side == 24].tolist()) == set(range(9))
    assert (side.float() ** 2 / 32**2).mean() == pytest.approx(0.65, abs=0.02)
    assert draw_crops(9, 32, 1.0, torch.Generator()).tolist() == [[0, 0, 32]] * 9


def test_cut_takes_the_pixels_it_is_told() -> None:
    image = torch.arange(3 * 32 * 32).remainder(251).to(torch.uint8).view(1, 3, 32, 32)
    exact = cut(image, torch.tensor([[3, 5, 16]]), 16)
    assert torch.equal(exact, image[:, :, 3:19, 5:21])
    # Antialiased: stripes of one pixel become gray, not stripes of two.
    stripes = (torch.arange(32) % 2 * 255).to(torch.uint8).expand(1, 3, 32, 32)
    shrunk = cut(stripes, torch.tensor([[0, 0, 32]]), 8).int()
    assert (shrunk[..., 1:-1] - 128).abs().max() < 25
    assert cut(image[:0], torch.empty(0, 3), 16).shape == (0, 3, 16, 16)


def test_crops_are_mirrored_only_if_asked(textured: ContentStyleData, make: Any) -> None:
    textured.flip = False
    unflipped = ticks(textured, 0, 0, 5)
    textured.flip = True
    flipped = ticks(textured, 0, 0, 5)
    for name in ("content", "style"):
        a, b = getattr(unflipped, name), getattr(flipped, name)
        as_is = (a == b).flatten(1).all(1)
        mirrored = (a.flip(-1) == b).flatten(1).all(1)
        assert (as_is | mirrored).all() and as_is.sum() > 9 and mirrored.sum() > 9


def test_fingerprint_follows_content_and_settings(make: Any, tmp_path: Path) -> None:
    plain(tmp_path / "other", 10, first=50)
    changes: list[dict[str, Any]] = [
        {},
        {"content": str(tmp_path / "other")},
        {"style": str(tmp_path / "other")},
        {"split_seed": 1},
        {"validation_fraction": 0.5},
        {"resolution": 8},
        {"source_resolution": 24},
        {"content_squares": 1},
        {"style_squares": 1},
    ]
    assert len({make(**change).fingerprint for change in changes}) == len(changes)
    assert make(cache_dir=str(tmp_path / "fresh"), flip=False).fingerprint == make().fingerprint


@pytest.mark.parametrize("data", ["style_demo", "content_style"])
def test_folders_from_the_command_line(data: str, make: Any, tmp_path: Path) -> None:
    folders = [f"data.content={tmp_path}/photos", f"data.style={tmp_path}/paintings"]
    sizes = ["data.source_resolution=32", "data.resolution=16", f"paths.cache_dir={tmp_path}/c"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", [f"data={data}", *folders, *sizes, "name=test"])
    module = instantiate(cfg.data, _convert_="all")
    shown = ticks(module, 0, 0, 3)
    assert max(levels(shown.content)) < 10 and min(levels(shown.style)) >= 100


def test_a_list_of_folders_from_the_command_line(make: Any, tmp_path: Path) -> None:
    folders = [f"data.content={tmp_path}/photos", f"data.style=[{tmp_path}/paintings,photos]"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", ["data=content_style", *folders, "name=test"])
    style = instantiate(cfg.data, _convert_="all").style
    assert style.pictures == [f"{tmp_path}/paintings", "photos"]


class Recorder(pl.LightningModule):
    """A method that trains nothing and keeps what it was given."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.clock, self.seed, self.share = clock, 1, Share()
        self.batches: list[StyleBatch] = []
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters())

    def training_step(self, batch: StyleBatch) -> None:
        assert isinstance(batch, StyleBatch)
        self.batches.append(batch)
        self.clock.advance()


def test_trainer_gets_the_stream_across_ticks(textured: ContentStyleData) -> None:
    method = Recorder(Clock(0.048, 0.016, 8))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(method, datamodule=textured)
    assert same(joined(method.batches), ticks(textured, 1, 0, 6))
