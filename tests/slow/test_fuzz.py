"""Mutated folders, archives and pictures: every reader takes them, or refuses them in one line.

Each reader is fed for TROMPE_FUZZ_SECONDS (10 by default) from the seed TROMPE_FUZZ_SEED (0): none
may take long, need much memory or raise anything but a `UserError`. A failure names its seed.
"""

import copy
import io
import json
import os
import random
import resource
import shutil
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from PIL import Image

from trompe.command import config_dir
from trompe.data.picture_folder import ImageFolder
from trompe.engine.checkpoint import load_checkpoint
from trompe.errors import UserError
from trompe.report.collect import read_entries
from trompe.report.page import write_page
from trompe.runs.run_folder import open_run
from trompe.stylizers.picture_files import find_pictures
from trompe.sweeps.sweep_folder import SweepFolder
from trompe.tasks.runs import list_runs

pytestmark = pytest.mark.slow
SECONDS = float(os.environ.get("TROMPE_FUZZ_SECONDS", "10"))
SEED = int(os.environ.get("TROMPE_FUZZ_SEED", "0"))
LONGEST = 20  # seconds that one input may take
MEMORY = 2 << 30  # bytes that one input may need
OLD_RUN = Path(__file__).parents[1] / "data" / "old_runs" / "gan"
STRANGE: list[Any] = [
    *(None, True, -1, 0, 1e308, 10**400, "", "x" * 10_000, "2026-01-01", "\x00", "ä\ud800"),
    *([], {}, [[]], {"": {}}, [1, "a", None], "${oc.env:HOME}", "~", "../..", "\x1b[31m"),
]


@pytest.fixture(autouse=True)
def bounds() -> Iterator[None]:
    """An input that takes too long or too much memory fails."""

    def too_long(*_: Any) -> None:
        raise TimeoutError(f"an input took longer than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, too_long)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def feed(make: Callable[[random.Random], None], read: Callable[[], object]) -> None:
    """Make an input and read it, again and again until the time is over."""
    end, seed, refused, taken = time.monotonic() + SECONDS, SEED, 0, 0
    while time.monotonic() < end:
        make(random.Random(seed))
        signal.alarm(LONGEST)
        try:
            read()
            taken += 1
        except UserError as error:
            refused += 1
            assert "\n" not in str(error), f"seed {seed}: {error}"
        except BaseException as error:
            error.add_note(f"TROMPE_FUZZ_SEED={seed}")
            raise
        signal.alarm(0)
        seed += 1
    assert taken and refused, f"{taken} inputs were read, {refused} refused: nothing is tested"


def mutate(content: bytes, draw: random.Random) -> bytes:
    """Change, cut, repeat or insert bytes at some places."""
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 5, 20])):
        at = draw.randrange(len(changed) + 1)
        match draw.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << draw.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                changed[at:at] = draw.randbytes(draw.randrange(1, 9))
            case 3:
                del changed[at : at + draw.randrange(1, 40)]
            case 4:
                changed[at:at] = changed[at : at + draw.randrange(1, 200)]
            case _ if at < len(changed):
                changed[at] = draw.choice(b'\x00\xff{}[]":,0-9eE&*!|>\n')
    return bytes(changed)


def estrange(value: Any, draw: random.Random) -> Any:
    """Put something strange somewhere into nested dicts and lists."""
    changed = copy.deepcopy(value)
    inner: Any = changed
    while isinstance(inner, dict | list) and inner:
        key = draw.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        if not isinstance(inner[key], dict | list) or draw.random() < 0.3:
            inner[key] = draw.choice(STRANGE)
            return changed
        inner = inner[key]
    return draw.choice(STRANGE)


def spoil(file: Path, draw: random.Random) -> None:
    """Damage a file of a run: its bytes, or what it says."""
    if draw.random() < 0.5 or file.suffix not in (".json", ".yaml", ".jsonl"):
        file.write_bytes(mutate(file.read_bytes(), draw))
        return
    text = file.read_text()
    if file.suffix == ".yaml":
        text = yaml.safe_dump(estrange(yaml.safe_load(text), draw))
    elif file.suffix == ".json":
        text = json.dumps(estrange(json.loads(text), draw))
    else:
        lines = text.splitlines()
        at = draw.randrange(len(lines))
        lines[at] = json.dumps(estrange(json.loads(lines[at]), draw))
        text = "\n".join(lines)
    file.write_text(text, errors="surrogatepass")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A whole run beside the one that is spoiled."""
    folder = tmp_path / "runs"
    for name in ("whole", "spoiled"):
        shutil.copytree(OLD_RUN, folder / name)
        (folder / name / "samples").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(folder / name / "samples" / "00000.000.png")
        (folder / name / "evaluations").mkdir(exist_ok=True)
        (folder / name / "evaluations" / "last.json").write_text('{"values": {}}')
    return folder


def spoiler(runs: Path) -> Callable[[random.Random], None]:
    original = {f: f.read_bytes() for f in sorted((runs / "spoiled").rglob("*")) if f.is_file()}

    def make(draw: random.Random) -> None:
        for file, content in original.items():
            file.write_bytes(content)
        for file in draw.sample(list(original), draw.choice([1, 1, 2])):
            spoil(file, draw)

    return make


def test_listing(runs: Path) -> None:
    """A damaged run is a row: nothing vanishes and nothing raises."""
    make, count = spoiler(runs), 0
    end = time.monotonic() + SECONDS
    with initialize_config_dir(config_dir(), version_base="1.3"):
        cfg = compose("runs", [f"folders=['{runs}']", "limit=null"])
        while time.monotonic() < end:
            make(random.Random(SEED + count))
            signal.alarm(LONGEST)
            try:
                assert len(list_runs(cfg)) == 2
                entries = read_entries([runs])
                assert len(entries) == 2
                write_page(runs.parent / "page.html", entries)
            except BaseException as error:
                error.add_note(f"TROMPE_FUZZ_SEED={SEED + count}")
                raise
            signal.alarm(0)
            count += 1
    assert count > 3


def test_opening_a_run(runs: Path) -> None:
    def read() -> None:
        run = open_run(runs / "spoiled")
        run.read_overrides(), run.read_facts(), run.read_metrics()
        load_checkpoint(run.last_checkpoint)

    feed(spoiler(runs), read)


def test_opening_a_sweep(tmp_path: Path) -> None:
    description = {
        **{"id": "0123", "path": str(tmp_path), "cwd": str(tmp_path), "storage": "sqlite"},
        **{"study": "x", "overrides": [], "experiment": ["seed=0,1"], "flags": [], "command": []},
        **{"space": {}, "objective": ["x"], "direction": ["minimize"], "started": "", "code": {}},
    }

    def make(draw: random.Random) -> None:
        (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(description))
        if draw.random() < 0.9:
            spoil(tmp_path / "sweep.yaml", draw)

    feed(make, lambda: SweepFolder(tmp_path).read_description())


def encoded(kind: str, draw: random.Random) -> bytes:
    """A small picture file of some format and mode."""
    pixels = np.random.default_rng(draw.randrange(99)).integers(0, 256, (24, 20, 4), np.uint8)
    picture = Image.fromarray(pixels, "RGBA")
    file = io.BytesIO()
    if kind == "JPEG":
        picture.convert("RGB").save(file, kind)
    elif kind == "TIFF":
        mode = draw.choice(["F", "I;16", "L", "CMYK", "LAB", "RGB"])
        picture.convert("RGB").convert("L" if mode in ("F", "I;16") else mode).save(file, kind)
    else:
        more = [picture.rotate(90 * i) for i in range(draw.randrange(3))]
        options = {"save_all": True, "append_images": more, "duration": 50} if more else {}
        picture.convert(draw.choice(["RGB", "P"]) if kind == "GIF" else "RGBA").save(
            file, kind, **options
        )
    return file.getvalue()


KINDS = ["PNG", "JPEG", "GIF", "WEBP", "TIFF"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


def picture_maker(folder: Path) -> Callable[[random.Random], None]:
    def make(draw: random.Random) -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        for number in range(3):
            kind = draw.choice(KINDS)
            content = encoded(kind, draw)
            if draw.random() < 0.6:
                content = mutate(content, draw)
            (folder / f"{number}.{draw.choice(KINDS).lower()}").write_bytes(content)

    return make


def training_set(path: Path, cache: Path) -> ImageFolder:
    return ImageFolder(
        path=str(path),
        resolution=8,
        channels=3,
        cache_dir=str(cache),
        validation_fraction=0.0,
        split_seed=0,
        flip=False,
        memory_limit_mb=16,
        allow_upscale=True,
    )


def test_pictures_to_train_on(pictures: Path, tmp_path: Path) -> None:
    feed(picture_maker(pictures), lambda: training_set(pictures, tmp_path / "cache").setup())


def test_pictures_to_stylize(pictures: Path) -> None:
    feed(picture_maker(pictures), lambda: find_pictures("content", str(pictures), None))


def test_archives(pictures: Path, tmp_path: Path) -> None:
    make_pictures = picture_maker(pictures)
    target = tmp_path / "pictures.zip"

    def make(draw: random.Random) -> None:
        make_pictures(draw)
        with zipfile.ZipFile(target, "w", draw.choice([0, 8, 12, 14])) as archive:
            for file in pictures.iterdir():
                archive.write(file, draw.choice(["a/", "../", "b\\", ""]) + file.name)
        if draw.random() < 0.7:
            target.write_bytes(mutate(target.read_bytes(), draw))

    feed(make, lambda: training_set(target, tmp_path / "cache").setup())
