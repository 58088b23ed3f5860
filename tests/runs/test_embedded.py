"""The stylizer that comes with the package, and what only a network that paints can do."""

import shutil
from pathlib import Path

import pytest
import skimage
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from PIL import Image
from torch.nn.functional import interpolate
from torch.utils.flop_counter import FlopCounterMode

from tests.runs.test_stylize import picture
from trompe.command import config_dir
from trompe.data.painter import PaintedSource
from trompe.errors import UserError
from trompe.methods import embedded
from trompe.metrics.pairs import PatchDistance
from trompe.networks.palette import palette_of
from trompe.parts import make
from trompe.stylizers import feed_forward
from trompe.stylizers.colors import CHOICES
from trompe.stylizers.flicker import Flicker
from trompe.stylizers.picture_files import read
from trompe.stylizers.trained import Embedded
from trompe.tasks.stylize import stylize


def test_the_embedded_stylizer_needs_no_run(tmp_path: Path) -> None:
    """As after installation: one command, no training."""
    coffee = Image.fromarray(skimage.data.coffee()).resize((200, 133))
    coffee.save(tmp_path / "content.png")
    for seed in range(2):
        Image.fromarray(PaintedSource(1, 96, seed).read(0)).save(tmp_path / f"style{seed}.png")
    given = [f"content={tmp_path / 'content.png'}", f"style={tmp_path}/style*.png"]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        stylize(compose("stylize", [*given, f"out={tmp_path / 'out'}"]))
    made = [read("", tmp_path / "out" / f"style{seed}" / "content.png", None) for seed in range(2)]
    styles = [read("", tmp_path / f"style{seed}.png", None) for seed in range(2)]
    assert made[0].shape == (1, 3, 133, 200)
    measure = PatchDistance()
    own, other = (
        [float(measure(m, m, s)) for m, s in zip(made, order, strict=True)]
        for order in (styles, styles[::-1])
    )
    content = read("", tmp_path / "content.png", None)
    nothing = [float(measure(content, content, style)) for style in styles]
    assert all(a < 0.5 * b for a, b in zip(own, nothing, strict=True)), (own, nothing)
    assert all(a < 0.7 * b for a, b in zip(own, other, strict=True)), (own, other)


def test_weights_other_than_those_of_the_card_are_refused(tmp_path: Path) -> None:
    shutil.copytree(embedded.FOLDER, tmp_path / "copy")
    weights = tmp_path / "copy" / embedded.WEIGHTS
    assert embedded.read_weights(tmp_path / "copy").keys() == embedded.read_weights().keys()
    stored = bytearray(weights.read_bytes())
    stored[-1] ^= 1
    weights.write_bytes(stored)
    with pytest.raises(UserError, match=r"is damaged: its SHA-256 begins with .*install trompe"):
        embedded.load_embedded(tmp_path / "copy")
    (tmp_path / "copy" / embedded.FACTS).write_text("{}")
    with pytest.raises(UserError, match=r"stylizer\.json is damaged"):
        embedded.read_weights(tmp_path / "copy")
    assert embedded.FOLDER.joinpath(embedded.WEIGHTS).stat().st_size <= 8e6


def test_styles_take_the_palette_of_the_content(tmp_path: Path) -> None:
    content, style = picture(tmp_path / "content.png"), picture(tmp_path / "style.png", seed=3)
    with initialize_config_dir(config_dir(), version_base="1.3"):
        for color in CHOICES:
            given = [f"content={content}", f"style={style}", f"color={color}"]
            stylize(compose("stylize", [*given, f"out={tmp_path / color}"]))
    wanted = palette_of(read("", content, None))
    apart = {
        color: float(
            (palette_of(read("", tmp_path / color / "content.png", None)) - wanted)[:, :3].norm()
        )
        for color in CHOICES
    }
    assert apart["match"] < 0.5 * apart["style"], apart


def test_frames_share_their_statistics_and_flicker_less(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = Image.fromarray(skimage.data.coffee()).resize((120, 80))
    (tmp_path / "frames").mkdir()
    for i in range(4):
        frame = still.copy()
        # What moves is dark, and of another size in each frame.
        frame.paste((10, 10, 40), (0, 0, 10 + 25 * i, 40))
        frame.save(tmp_path / "frames" / f"{i}.png")
    Image.fromarray(PaintedSource(1, 96, 0).read(0)).save(tmp_path / "style.png")
    changes = {}
    with initialize_config_dir(config_dir(), version_base="1.3"):
        for kind in ("false", "true"):
            given = [f"content={tmp_path / 'frames'}", f"style={tmp_path / 'style.png'}"]
            out = tmp_path / kind
            stylize(compose("stylize", [*given, f"frames={kind}", f"out={out}"]))
            flicker = Flicker()
            for i in range(4):
                flicker.add(
                    read("", tmp_path / "frames" / f"{i}.png", None),
                    read("", out / f"{i}.png", None),
                )
            means = flicker.means()
            assert means is not None and means[0] < 0.1
            changes[kind] = means[1]
    assert changes["true"] < 0.6 * changes["false"], changes
    assert "where the content stands still" in capsys.readouterr().out


def test_a_large_picture_takes_little_memory(tmp_path: Path) -> None:
    """Its strokes are made small: what is whole is only pictures."""
    stylizer = Embedded(tile=None, memory_gib=None)
    content = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    large = interpolate(content, scale_factor=16.0, mode="bicubic").clamp(-1, 1)
    with FlopCounterMode(display=False) as large_work:
        made = stylizer.render(large, stylizer.describe(content), 1)
    assert made.shape == large.shape
    with FlopCounterMode(display=False) as small_work:
        stylizer.render(large[..., :1024, :1364], stylizer.describe(content), 1)
    # As much work as the largest picture that is made at its own size.
    assert large_work.get_total_flops() < 1.05 * small_work.get_total_flops()


def test_strokes_have_the_size_asked_for(tmp_path: Path) -> None:
    Image.fromarray(skimage.data.coffee()).resize((384, 256)).save(tmp_path / "content.png")
    Image.fromarray(PaintedSource(1, 96, 0).read(0)).save(tmp_path / "style.png")
    given = [f"{name}={tmp_path / name}.png" for name in ("content", "style")]
    grain = {}
    with initialize_config_dir(config_dir(), version_base="1.3"):
        for side in (256, 64):
            out = tmp_path / str(side)
            stylize(compose("stylize", [*given, f"strokes_at={side}", f"out={out}"]))
            added = read("", out / "content.png", None) - read("", tmp_path / "content.png", None)
            grain[side] = float(added.diff(dim=3).abs().mean() / added.std())
    assert grain[64] < 0.7 * grain[256], grain


@pytest.mark.parametrize("held", [False, True])
def test_less_strength_is_less_style_and_none_is_the_content(held: bool, tmp_path: Path) -> None:
    stylizer = Embedded(tile=None, memory_gib=None)
    Image.fromarray(skimage.data.coffee()).resize((190, 122)).save(tmp_path / "content.png")
    Image.fromarray(PaintedSource(1, 96, 0).read(0)).save(tmp_path / "style.png")
    content, style = (read("", tmp_path / f"{name}.png", None) for name in ("content", "style"))
    code = stylizer.describe(style)
    made = []
    for strength in (0, 0.02, 0.5, 1):
        share = stylizer.hold([content], code, strength) if held else None
        made.append(stylizer.render(content, code, strength, share))
    assert (made[0] - content).abs().mean() < 0.01
    assert (made[1] - made[0]).abs().mean() < 0.05
    distances = [float((picture - made[-1]).abs().mean()) for picture in made]
    assert distances == sorted(distances, reverse=True) and distances[0] > 0.1
    # Half of it is a style of its own, not a mean of pixels.
    faded = torch.lerp(content, made[3], 0.5)
    assert (made[2] - faded).abs().mean() > 0.01


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["stylizer=embedded", "run=x"], "run=x means nothing to the stylizer Embedded"),
        (["stylizer=gatys", "run=x"], "run=x means nothing to the stylizer Gatys"),
        (["stylizer=gatys", "tile=64"], "tile=64 means nothing to the stylizer Gatys"),
        (["checkpoint=best"], "checkpoint=best is one of a run"),
        (["direction=a_to_b"], "has no such option; it has strokes_at"),
        (["tile=64"], "tile=64: the model of the embedded stylizer does not work in tiles"),
        (["memory_gib=1"], "memory_gib=1: the model of the embedded stylizer does not work"),
    ],
)
def test_what_a_stylizer_does_not_take_is_refused(
    tmp_path: Path, given: list[str], told: str
) -> None:
    files = [f"{key}={picture(tmp_path / f'{key}.png')}" for key in ("content", "style")]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        cfg = compose("stylize", [*files, f"out={tmp_path / 'out'}", *given])
        with pytest.raises((UserError, InstantiationException)) as refused:
            stylize(cfg)
    error = refused.value
    said = error if isinstance(error, UserError) else error.__cause__
    assert isinstance(said, UserError) and told in str(said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("+stylizer.weights.wings=1", "stylizer.weights.wings: choose from content"),
        ("stylizer.weights.moments=-5", "stylizer.weights.moments=-5 must be a number of at least"),
        ("stylizer.optimizer.lr=-1", "stylizer.optimizer.lr=-1 must be a number above 0"),
        ("stylizer.perceptual.content_layers=[]", "transported=30 needs content_layers"),
        ("stylizer.perceptual.style_layers=[]", "moments=100 needs style_layers"),
    ],
)
def test_weights_that_an_optimization_cannot_follow_are_refused(given: str, told: str) -> None:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        cfg = compose("stylize", ["content=x", "stylizer=gatys", given])
        with pytest.raises((UserError, InstantiationException)) as refused:
            make(cfg.stylizer, "stylizer")
    error = refused.value
    said = error if isinstance(error, UserError) else error.__cause__
    assert isinstance(said, UserError) and told in str(said)


def test_what_a_picture_depends_on_is_in_the_fingerprint() -> None:
    found = set()
    with initialize_config_dir(config_dir(), version_base="1.3"):
        for layers in ("[b0,b2,b4]", "[b2]"):
            given = f"stylizer.perceptual.content_layers={layers}"
            cfg = compose("stylize", ["content=x", "stylizer=gatys", given])
            found.add(make(cfg.stylizer, "stylizer").fingerprint)
    assert len(found) == 2


def test_features_do_not_move_with_the_size_of_a_picture() -> None:
    """The same region of a picture, with a few pixels more at the right and the bottom."""
    stylizer = Embedded(tile=None, memory_gib=None)
    photo = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1)[None] / 127.5 - 1
    style = stylizer.describe(photo[..., 100:300, 100:300])
    held = stylizer.hold([photo[..., :160, :160]], style, 1)
    made = [stylizer.render(photo[..., :n, :n], style, 1, held) for n in (160, 156)]
    apart = (made[0][..., :96, :96] - made[1][..., :96, :96]).abs().mean() * 127.5
    assert apart < 0.5


@pytest.mark.parametrize("strokes_at", [1, 64])
def test_strokes_of_any_size_and_long_pictures(
    strokes_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_forward, "cpu_has_bf16", lambda: False)
    stylizer = Embedded(tile=None, memory_gib=None, options={"strokes_at": strokes_at})
    style = stylizer.describe(torch.rand(1, 3, 64, 64) * 2 - 1)
    content = torch.rand(1, 3, 20, 700) * 2 - 1
    assert stylizer.render(content, style, 0.5).shape == content.shape
    # A still frame that is held is the picture itself.
    square = torch.nn.functional.interpolate(content[..., :20], (160, 160), mode="bicubic")
    held = stylizer.hold([square], style, 0.5)
    apart = (stylizer.render(square, style, 0.5, held) - stylizer.render(square, style, 0.5)).abs()
    assert apart.mean() * 127.5 < 0.1
