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
from torch import Tensor

from trompe.command import config_dir
from trompe.data.content_style import ContentStyleData, StyleBatch
from trompe.data.crops import cut, draw_crops
from trompe.data.loader import TickLoader
from trompe.data.painter import PaintedSource
from trompe.data.photographs import PackagedPhotographs, open_pictures
from trompe.engine.clock import Clock
from trompe.errors import UserError


def plain(folder: Path, count: int, size: tuple[int, int] = (48, 32), first: int = 0) -> Path:
    """Pictures of one level of grey each, which says which of them it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        Image.new("RGB", size, (i, i, i)).save(folder / f"{i:03}.png")
    return folder


def levels(images: Tensor) -> list[int]:
    """Which pictures these are crops of; fails if one is of several."""
    flat = images.flatten(1)
    assert (flat == flat[:, :1]).all()
    return flat[:, 0].tolist()


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def make(**changes: Any) -> ContentStyleData:
        parameters: dict[str, Any] = {
            "content": str(tmp_path / "photos"),
            "style": str(tmp_path / "paintings"),
            "resolution": 16,
            "source_resolution": 32,
            "crop_min": 0.25,
            "content_squares": 3,
            "style_squares": 2,
            "validation_fraction": 0.2,
            "split_seed": 0,
            "flip": True,
            "cache_dir": str(tmp_path / "cache"),
            "memory_limit_mb": 16,
        }
        return ContentStyleData(**(parameters | changes))

    plain(tmp_path / "photos", 10)
    plain(tmp_path / "paintings", 6, first=100)
    return make


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
    shares = [list(TickLoader(textured, Clock(1, 0.04, 8), 1, rank, 2)) for rank in (0, 1)]
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
    # Antialiased: stripes of one pixel become grey, not stripes of two.
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


def test_sets_are_folders_pictures_sources_or_lists(make: Any, tmp_path: Path) -> None:
    one = str(tmp_path / "paintings" / "103.png")
    mixed = [one, str(tmp_path / "photos"), PaintedSource(2, 32, 0)]
    data = make(style=mixed, style_squares=1, validation_fraction=0)
    assert data.split_size("train") == 13
    assert levels(data.styles("train", 11)) == [103, *range(10)]
    assert data.class_names[-1] == "stained glass" and "images" in data.class_names
    labels = data.gather("train", torch.arange(13)).labels
    assert [data.class_names[i] for i in labels[[0, 10, 11, 12]]] == [
        "images",
        "images",
        "brush strokes",
        "stained glass",
    ]
    single = make(style=one, validation_fraction=0.2)
    assert levels(single.styles("train", 2)) == [103, 103]
    with pytest.raises(UserError, match=r"data\.style has no validation pictures"):
        single.styles("validation", 1)


def test_packaged_photographs_are_in_colour_and_large_enough() -> None:
    source = PackagedPhotographs()
    assert len(source) == 8
    for i in range(len(source)):
        picture = source.read(i)
        pixels = np.asarray(picture).astype(int)
        assert picture.mode == "RGB" and min(picture.size) >= 300
        assert np.abs(pixels - pixels.mean(2, keepdims=True)).mean() > 1, source.name(i)
    assert source.fingerprint() == PackagedPhotographs().fingerprint()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"style": "nowhere"}, "data.style=nowhere: there is no such folder"),
        ({"style": "empty"}, "data.style=empty holds no images"),
        ({"content": []}, r"data.content=\[\] must be a folder"),
        ({"content": None}, "data.content=None must be a folder"),
        (
            {"content": "small"},
            "9 of 9 .* data.content=small, 3 squares of each, .*smaller than 32",
        ),
        ({"content": "small"}, "a smaller data.source_resolution"),
        ({"style": "torn"}, "2 of 6 images of data.style=torn.* cannot be decoded: 002.png"),
        ({"style": "torn/notes.txt"}, "data.style=torn/notes.txt is neither a folder nor a zip"),
        ({"resolution": 33}, "data.resolution=33 .* at most data.source_resolution=32"),
        ({"crop_min": 0}, "data.crop_min=0"),
        ({"crop_min": 1.1}, "data.crop_min=1.1"),
        ({"channels": 1}, "data.channels=1"),
        ({"style_squares": 0}, "data.style_squares=0 must be at least 1"),
        ({"validation_fraction": 1}, "data.validation_fraction=1"),
    ],
)
def test_mistakes_are_told_in_one_line(
    make: Any,
    changes: dict[str, Any],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    plain(tmp_path / "small", 3, (31, 60))
    plain(tmp_path / "torn", 3)
    (tmp_path / "torn/002.png").write_bytes(b"no picture")
    (tmp_path / "torn/notes.txt").write_text("no picture either")
    with pytest.raises(UserError, match=said) as caught:
        make(**changes).setup()
    assert "\n" not in str(caught.value)


def test_a_corrupt_picture_is_left_out_with_all_its_squares(make: Any, tmp_path: Path) -> None:
    torn = plain(tmp_path / "torn", 5)
    whole = (torn / "001.png").read_bytes()
    (torn / "001.png").write_bytes(whole[: len(whole) // 2])
    data = make(content=str(torn), on_corrupt="skip", validation_fraction=0)
    assert levels(data.contents("train", 5)) == [0, 2, 3, 4, 0]


def test_upright_rgb_of_any_kind_of_picture(make: Any, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    Image.new("CMYK", (40, 40), (0, 255, 255, 0)).save(folder / "0.jpg", quality=95)
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(folder / "1.png")
    Image.fromarray(np.full((40, 40), 40 * 257, dtype=np.uint16)).save(folder / "2.png")
    sideways = Image.new("RGB", (96, 32), (255, 0, 0))
    sideways.paste((0, 0, 255), (64, 0, 96, 32))
    exif = sideways.getexif()
    exif[0x0112] = 6  # to be turned clockwise: the left end is then the top
    sideways.save(folder / "3.jpg", exif=exif, quality=95)
    data = make(content=str(folder), validation_fraction=0)
    colours = data.contents("train", 12).float().mean((2, 3))
    assert (colours[0] - torch.tensor([255.0, 0, 0])).abs().max() < 8
    assert (colours[1] == 255).all() and (colours[2] == 40).all()
    # The squares of picture 3: middle, top, bottom.
    expected = torch.tensor([[255.0, 0, 0], [255, 0, 0], [0, 0, 255]])
    assert (colours[[3, 7, 11]] - expected).abs().max() < 8


def test_sources_are_opened_as_they_are() -> None:
    source = PaintedSource(1, 16, 0)
    assert open_pictures(source, "data.style") is source


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
        self.clock, self.seed = clock, 1
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
