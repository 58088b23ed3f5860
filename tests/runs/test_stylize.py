"""`trompe stylize`: pictures of any shape and kind, by a trained run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image, ImageSequence

from tests.conftest import TINY_STYLE
from trompe.command import config_dir
from trompe.data.painter import PaintedSource
from trompe.engine.clock import Clock
from trompe.errors import UserError
from trompe.losses.perceptual import relative_gram_loss
from trompe.networks.perceptual_network import EfficientNetLite0Perceptual
from trompe.runs.run_folder import RunFolder
from trompe.stylizers import feed_forward
from trompe.stylizers.colors import with_colors
from trompe.stylizers.picture_files import read
from trompe.stylizers.trained import Trained
from trompe.tasks.stylize import mix, stylize


def picture(path: Path, width: int = 50, height: int = 38, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of style transfer as training leaves it, its weights random but not trivial."""
    generator = "style_generator@model.generator=transformer"
    return make_run(tmp_path_factory.mktemp("run") / "style", [*TINY_STYLE, generator])


def make_run(path: Path, overrides: list[str]) -> RunFolder:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        cfg = compose("train", [*overrides, "name=test"])
    config: Any = {key: cfg[key] for key in ("kimg", "tick_kimg", "batch_size", "seed")}
    config["model"] = OmegaConf.to_container(cfg.model, resolve=True)
    run = RunFolder(path)
    run.create(config, [], {})
    torch.manual_seed(0)
    method = instantiate(config["model"], clock=Clock(1, 1, 8), seed=0, _convert_="all")
    for parameter in method.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    run.last_checkpoint.parent.mkdir()
    torch.save({"state_dict": method.state_dict(), "clock": {"images": 8}}, run.last_checkpoint)
    return run


def stylized(run: RunFolder, *overrides: str) -> list[Path]:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return stylize(compose("stylize", [f"run={run.path}", *overrides]))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(float)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a - b) ** 2), 1e-9)))


def test_names_sizes_and_the_matrix(run: RunFolder, tmp_path: Path) -> None:
    for i, (width, height) in enumerate([(50, 38), (33, 61)]):
        picture(tmp_path / "photos" / f"{i}.png", width, height, seed=i)
    styles = [
        picture(tmp_path / "styles" / f"{name}.jpg", seed=i) for i, name in enumerate("ab", 5)
    ]
    out = tmp_path / "out"
    where = [f"content={tmp_path}/photos/*.png", f"style={tmp_path / 'styles'}", f"out={out}"]
    stylized(run, *where, "matrix=true")
    found = {str(path.relative_to(out)) for path in out.rglob("*.png")}
    assert found == {"a/0.png", "a/1.png", "b/0.png", "b/1.png", "matrix.png"}
    assert pixels(out / "a" / "1.png").shape == (61, 33, 3)
    assert pixels(out / "matrix.png").shape == (3 * 162 - 2, 3 * 162 - 2, 3)
    assert psnr(pixels(out / "a" / "0.png"), pixels(out / "b" / "0.png")) < 40  # styles differ
    with pytest.raises(UserError, match="already exists: set overwrite=true"):
        stylized(run, *where)
    before = pixels(out / "a" / "0.png")
    stylized(run, *where, "overwrite=true")
    assert np.array_equal(pixels(out / "a" / "0.png"), before)  # the same once more
    stylized(run, where[0], f"style={styles[0]}", f"out={tmp_path / 'one'}", "size=40")
    assert pixels(tmp_path / "one" / "0.png").shape == (40, 53, 3)


def test_strength_goes_from_the_content_to_the_style(run: RunFolder, tmp_path: Path) -> None:
    content = picture(tmp_path / "content.png")
    style = picture(tmp_path / "style.png", seed=3)
    steps = (0, 0.02, 0.5, 1)
    made = []
    for strength in steps:
        out = tmp_path / f"{strength}"
        stylized(run, f"content={content}", f"style={style}", f"out={out}", f"strength={strength}")
        made.append(pixels(out / "content.png"))
    assert psnr(made[0], pixels(content)) > 45
    assert psnr(made[1], made[0]) > 25  # continuous
    distances = [float(np.abs(image - made[-1]).mean()) for image in made]
    assert distances == sorted(distances, reverse=True) and distances[0] > 10


def test_mixed_styles_lie_between(run: RunFolder, tmp_path: Path) -> None:
    content = picture(tmp_path / "content.png")
    styles = [picture(tmp_path / f"{name}.png", seed=i) for i, name in enumerate("ab", 3)]
    given = [f"content={content}", f"style=[{styles[0]},{styles[1]}]"]
    stylized(run, *given, f"out={tmp_path / 'both'}")
    alone = pixels(tmp_path / "both" / "a" / "content.png")
    stylized(run, *given, f"out={tmp_path / 'first'}", "style_weights=[1,0]")
    assert np.array_equal(pixels(tmp_path / "first" / "content.png"), alone)
    with pytest.raises(UserError, match="must be 2 numbers, one for each style"):
        stylized(run, *given, f"out={tmp_path / 'x'}", "style_weights=[1]")
    assert not (tmp_path / "x").exists()
    codes = torch.tensor([[0.0, 2.0], [4.0, 0.0]])
    torch.testing.assert_close(mix(codes, [1, 3]), torch.tensor([[3.0, 0.5]]))


def test_colors_are_kept_and_only_brightness_changes() -> None:
    generator = torch.Generator().manual_seed(0)
    made, content = (0.4 * torch.rand(1, 3, 8, 8, generator=generator) for _ in range(2))
    kept = with_colors(made, content)
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    torch.testing.assert_close((kept * weights).sum(1), (made * weights).sum(1), atol=1e-3, rtol=0)
    torch.testing.assert_close(with_colors(content, content), content, atol=1e-3, rtol=0)


def test_pictures_of_every_kind_are_read(run: RunFolder, tmp_path: Path) -> None:
    plain = Image.open(picture(tmp_path / "plain.png", 24, 40)).convert("RGB")
    clear = plain.convert("RGBA")
    clear.putalpha(Image.new("L", clear.size, 0))
    clear.save(tmp_path / "clear.png")
    assert float(read("content", tmp_path / "clear.png", None).min()) == 1  # shows white
    plain.convert("CMYK").save(tmp_path / "cmyk.tif")
    deep = np.full((20, 20), 257 * 100, dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert float(read("content", tmp_path / "deep.png", None)[0, 0, 0, 0]) == pytest.approx(
        100 / 127.5 - 1, abs=1e-6
    )
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    plain.save(tmp_path / "turned.jpg", exif=exif)
    for name, shape in [("cmyk.tif", (40, 24)), ("turned.jpg", (24, 40)), ("plain.png", (40, 24))]:
        assert read("content", tmp_path / name, None).shape == (1, 3, *shape)


def test_mistakes_are_said_and_leave_nothing(run: RunFolder, tmp_path: Path) -> None:
    good = picture(tmp_path / "good.png")
    tiny = picture(tmp_path / "tiny.png", 12, 40)
    line = picture(tmp_path / "line.png", 2, 70)
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    twin = picture(tmp_path / "other" / "good.png")
    out = tmp_path / "out"
    for overrides, said in [
        ([f"content={tmp_path / 'nothing.png'}", f"style={good}"], "there is no such picture"),
        ([f"content={good}", f"style={tmp_path / 'empty'}"], "is a folder without pictures"),
        ([f"content={tmp_path / 'text.png'}", f"style={good}"], "cannot be read"),
        ([f"content={tiny}", f"style={good}"], "12 x 40 pixels: at least 16"),
        ([f"content=[{good},{twin}]", f"style={good}"], "two pictures would both be written to"),
        ([f"content={good}", f"style={good}", "strength=2"], "must be between 0 and 1"),
        (
            [f"content={good}", f"style={line}"],
            "2 x 70 pixels: more than 32 times as long as wide; cut out a part of it",
        ),
        (
            [f"content={good}", f"style={good}", "size=1e300"],
            r"good.png has .* pixels: size=1e\+300 would make more than max_pixels=178956970",
        ),
        (
            [f"content={good}", f"style={good}", "style_size=9e9"],
            "style_size=9000000000.0 would make more than",
        ),
        (
            [f"content={good}", f"style={twin}", f"out={good.parent}", "overwrite=true"],
            "good.png is one of the given pictures: choose another out=",
        ),
        (["content=null", f"style={good}"], "content=null names no pictures"),
        (["content=[]", f"style={good}"], r"content=\[\] names no pictures"),
        ([f"content={good}", "style=[]"], r"style=\[\] names no pictures"),
        ([f"content={good}", f"style={good}", "size=0"], "size=0 must be a number above 0"),
        (
            [f"content={good}", f"style={good}", "color=blue"],
            "color=blue must be one",
        ),
    ]:
        with pytest.raises(UserError, match=said):
            stylized(run, f"out={out}", *overrides)
    assert not out.exists()
    with pytest.raises(InstantiationException, match=r"strokes_at=100: .* has no such option"):
        stylized(run, f"content={good}", f"style={good}", "strokes_at=100", f"out={out}")
    gan = make_run(tmp_path / "gan", ["model=mlp_gan", "data=shapes", "data.resolution=16"])
    with pytest.raises(
        InstantiationException, match=r"does not work with the model of .*: use trompe sample"
    ):
        stylized(gan, f"content={good}", f"style={good}", f"out={out}")


def test_a_picture_whose_sides_are_no_multiples_is_not_cut(run: RunFolder) -> None:
    stylizer = Trained(str(run.path), "last", tile=None, memory_gib=None)
    content = torch.rand(1, 3, 37, 50, generator=torch.Generator().manual_seed(0)) * 2 - 1
    code = stylizer.describe(content)
    assert stylizer.render(content, code, 1).shape == content.shape
    torch.testing.assert_close(stylizer.render(content, code, 0), content, atol=1e-5, rtol=0)


@pytest.mark.parametrize("precise", [True, False])
def test_tiles_leave_no_seams(
    run: RunFolder, precise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_forward, "cpu_has_bf16", lambda: not precise)
    content = torch.rand(1, 3, 100, 136, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pictures = []
    for tile in (None, 16, 30, 64):
        stylizer = Trained(str(run.path), "last", tile=tile, memory_gib=None)
        pictures.append(stylizer.render(content, stylizer.describe(content[..., :64]), 1))
    for tile, picture in zip((16, 30, 64), pictures[1:], strict=True):
        # The sums are rounded differently, and bfloat16 has 8 bits.
        likeness = psnr(picture.numpy() * 127.5, pictures[0].numpy() * 127.5)
        assert likeness > (90 if precise else 35), tile


def test_memory_decides_on_tiles(run: RunFolder) -> None:
    def stylizer(tile: int | None, mib: float | None) -> Trained:
        return Trained(
            str(run.path), "last", tile=tile, memory_gib=None if mib is None else mib / 1024
        )

    assert stylizer(None, None).choose_tile(512, 512) is None
    assert stylizer(None, 40).choose_tile(512, 512) is None
    small = stylizer(None, 12).choose_tile(512, 512)
    assert small is not None and small < 512
    assert stylizer(small, 12).choose_tile(512, 512) == small
    with pytest.raises(UserError, match=rf"tile={small * 2} needs .* tile={small} fits"):
        stylizer(small * 2, 12).choose_tile(512, 512)
    with pytest.raises(UserError, match=r"even in tiles of 64 pixels.*size=\d+ fits"):
        stylizer(None, 1).choose_tile(512, 512)
    with pytest.raises(UserError, match="tile=0 must be"):
        stylizer(0, None)


def test_animations_and_folders_of_frames(run: RunFolder, tmp_path: Path) -> None:
    frames = [Image.open(picture(tmp_path / "f" / f"{i}.png", seed=i)) for i in range(3)]
    clip = tmp_path / "clip.gif"
    frames[0].save(clip, save_all=True, append_images=frames[1:], duration=[50, 70, 90], loop=0)
    style = picture(tmp_path / "style.png", seed=9)
    stylized(run, f"content=[{clip},{tmp_path / 'f'}]", f"style={style}", f"out={tmp_path / 'out'}")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "0.png",
        "1.png",
        "2.png",
        "clip.gif",
    ]
    with Image.open(tmp_path / "out" / "clip.gif") as made:
        assert made.n_frames == 3 and made.size == (50, 38)
        assert [f.info["duration"] for f in ImageSequence.Iterator(made)] == [50, 70, 90]


def test_a_run_that_knows_one_style_takes_none(tmp_path: Path) -> None:
    narrow = ["data.resolution=32", "model.generator.width=4", "model.generator.blocks=1"]
    content = picture(tmp_path / "content.png")
    for model in (["model=johnson"], ["model=ast", "model.discriminator.width=4"]):
        name = model[0].removeprefix("model=")
        run = make_run(tmp_path / name, [*model, *narrow])
        with pytest.raises(UserError, match="knows one style only: leave style= out"):
            stylized(run, f"content={content}", f"style={content}", f"out={tmp_path / 'x'}")
        for strength in (0, 1):
            out = tmp_path / f"{name}_{strength}"
            stylized(run, f"content={content}", f"out={out}", f"strength={strength}")
            likeness = psnr(pixels(out / "content.png"), pixels(content))
            assert likeness > 45 if strength == 0 else likeness < 30


@pytest.mark.parametrize("stylizer", ["gatys", "gatys_lbfgs"])
def test_a_picture_is_optimized_without_a_run(stylizer: str, tmp_path: Path) -> None:
    coffee = Image.fromarray(skimage.data.coffee()).resize((96, 64))
    coffee.save(tmp_path / "content.png")
    Image.fromarray(PaintedSource(1, 96, 0).read(0)).save(tmp_path / "style.png")
    given = [f"{name}={tmp_path / name}.png" for name in ("content", "style")]
    given += ["stylizer.steps=25", "style_size=96"]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        for strength in (0, 1):
            out = tmp_path / f"{strength}"
            more = [f"stylizer={stylizer}", f"strength={strength}", f"out={out}"]
            stylize(compose("stylize", [*given, *more]))
    content, style = (read("", tmp_path / f"{name}.png", None) for name in ("content", "style"))
    made = [read("", tmp_path / f"{strength}" / "content.png", None) for strength in (0, 1)]
    assert psnr(made[0].numpy() * 127.5, content.numpy() * 127.5) > 45
    network = EfficientNetLite0Perceptual(["b0", "b2"], [])
    errors = [
        float(sum(relative_gram_loss(network(x)[k], network(style)[k]) for k in network.layers))
        for x in made
    ]
    assert errors[1] < 0.6 * errors[0], errors
