"""Every command block of README, CONTRIBUTING and docs: run, or checked as far as it can be here.

What a row of `_WAYS` has to say decides, the first that matches; a command that none matches fails.
A Python or YAML block whose first line names a file is written there; other Python blocks run.
"""

import contextlib
import importlib
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from tests.conftest import Trompe
from tests.runs.block_world import BUDGET, NARROW, World
from tests.runs.command_blocks import ROOT, Block, Command, blocks, documents, is_commands, read
from trompe.command import config_dir, split_words
from trompe.sweeps.arguments import split_arguments
from trompe.sweeps.space import parse_space
from trompe.training.build import check_batches
from trompe.training.config import resolve_config
from trompe.words import as_override

Way = Callable[[World, Command], None]


def runs(*added: str) -> Way:
    """Run it, with more overrides where its own would take minutes."""

    def way(world: World, command: Command) -> None:
        process = world.trompe.start(*command.arguments, *added, **command.env)
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, f"exit code {process.returncode}\n{out}\n{err}"

    return way


def runs_here(*added: str) -> Way:
    """Run it in this process, where the libraries and networks are loaded already."""

    def way(world: World, command: Command) -> None:
        name, *arguments = command.arguments
        main = importlib.import_module(f"trompe.commands.{name}").main
        with contextlib.chdir(world.folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            main([*arguments, *added])

    return way


def composes(world: World, command: Command) -> None:
    """Check its config as far as it goes without data; a sweep's with all choices."""
    words = [command.program, *command.arguments]
    name, *arguments = words[words.index("trompe") + 1 :]
    if name not in ("train", "sweep"):
        runs_here("--cfg", "job")(world, Command({}, "trompe", [name, *arguments]))
        return
    with initialize_config_dir(config_dir(), version_base="1.3"):
        if name == "train":
            _, overrides = split_words(arguments)
            _compose_run([as_override(word) for word in overrides])
        else:
            own, _, experiment = split_arguments(arguments)
            config = compose("sweep", own)
            for overrides in parse_space([*config.space, *experiment]).examples():
                _compose_run(overrides)


def _compose_run(overrides: list[str]) -> None:
    composed = compose("train", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(composed)
    keys = [key for key in composed if key != "hydra"]
    check_batches(resolve_config(OmegaConf.masked_copy(composed, keys)))


def is_there(world: World, command: Command) -> None:
    """Check that its target or script is there, and that the script knows the flags."""
    if command.program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(command.arguments) <= set(targets)
        return
    script, *arguments = command.arguments
    parts = (ROOT / script).with_suffix("").with_name(f"{Path(script).stem}s").glob("*.py")
    text = "".join(path.read_text() for path in [ROOT / script, *parts])
    for flag in re.findall(r"^--[\w-]+", "\n".join(arguments), re.MULTILINE):
        assert f'"{flag}"' in text, f"{script} does not know {flag}"


# What a command line looks like, how it is tried, and, where it does not run, why.
_WAYS: list[tuple[str, Way, str]] = [
    (r"^make ", is_there, "this test is one of what they start; make demo takes minutes"),
    (r"^python scripts/", is_there, "minutes, and most need downloaded pictures"),
    (r"^(torchrun|srun) ", composes, "several machines; make test-cluster runs them"),
    (r"--help|--version", runs(), ""),
    (r"^trompe train$", runs("data.stride=64", *NARROW, *BUDGET), ""),
    (r"trompe train .*model=noisy", runs("data.stride=64", *NARROW, *BUDGET), ""),
    (r"trompe train .*model=autoencoder", runs("data.size=64", *BUDGET), ""),
    (r"trompe train .*data=stripes", runs("data.size=64", *NARROW, *BUDGET), ""),
    (r"trompe train .*(my_parts|mine)", runs("data=shapes", "data.size=64", *NARROW, *BUDGET), ""),
    (r"^trompe train run=(?!.*trainer=ddp)", runs(), ""),
    (r"^trompe train .*resume=auto", runs(), ""),
    (r"^trompe train ", composes, "minutes of training, data, GPUs; tests/configs trains them"),
    (r"^trompe sweep resume=", runs(), ""),
    (r"^trompe sweep ", composes, "hours of training; the sweep that is resumed here was run"),
    (r"^trompe restore .*run=", composes, "a super-resolution; tests/runs/test_enlarge.py"),
    (r"^trompe restore ", runs("network=small", "iterations=2", "overwrite=true"), ""),
    (r"^trompe stylize .*gatys", runs_here("stylizer.steps=1", "size=32", "overwrite=true"), ""),
    (r"^trompe stylize .*direction=", composes, "needs a CycleGAN; tests/runs/test_cyclegan.py"),
    (r"^trompe stylize .*only_missing", runs_here(), ""),
    (r"^trompe stylize ", runs_here("overwrite=true"), ""),
    (r"^trompe evaluate .*(artfid|inception)", composes, "weights to download"),
    (r"^trompe evaluate .*translation", composes, "needs a CycleGAN; tests/runs/test_cyclegan.py"),
    (r"^trompe evaluate .*(my_parts|mine)", runs("metrics.efflite0.n_images=16"), ""),
    (r"^trompe evaluate .*efflite0", runs_here("metrics.efflite0.n_images=16"), ""),
    (r"^trompe evaluate .*style_pairs", runs_here("metrics.style_pairs.n_images=2"), ""),
    (
        r"^trompe evaluate ",
        runs_here("metrics.full.n_images=16", "metrics.full.n_reference=16"),
        "",
    ),
    (r"^trompe sample .*trust=true", runs("n=4"), ""),
    (r"^trompe sample .*label=", composes, "a conditional run; tests/runs/test_conditional.py"),
    (r"^trompe sample .*(truncation|mix)=", composes, "a StyleGAN; tests/runs/test_styles.py"),
    (r"^trompe sample ", runs_here("n=4", "seeds=0-3"), ""),
    (r"^trompe dashboard", composes, "serves until it is stopped"),
    (r"^trompe compare .*--serve", composes, "serves until it is stopped; test_serve.py"),
    (r"^trompe export ", composes, "half a minute each; tests/runs/test_export.py"),
    (r"^trompe reproduce .*code=recorded", composes, "asks; tests/runs/test_recorded_code.py"),
    (r"^trompe (runs|compare|note)\b", runs_here(), ""),
    (r"^trompe doctor", composes, "two trainings; tests/runs/test_doctor.py"),
    (
        r"^trompe reproduce outputs/<experiment>$",
        composes,
        "takes seeds; tests/runs/test_reproduce.py",
    ),
    (r"^trompe reproduce ", runs(), ""),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> World:
    return World(Trompe(tmp_path_factory.mktemp("world"), cache))


@pytest.fixture(autouse=True)
def there(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process too finds the folder's home, runs and caches."""
    for name in ("HOME", "TROMPE_OUTPUT_DIR", "TROMPE_CACHE_DIR"):
        monkeypatch.setenv(name, world.trompe.env[name])
    monkeypatch.setenv("PYTHONSAFEPATH", "")  # a command sets it; here, it ends with the test
    yield
    GlobalHydra.instance().clear()


def way_of(line: str) -> Way:
    """How a command line is tried.

    Raises:
        AssertionError: if no row of the table matches it.
    """
    found = next((way for pattern, way, _ in _WAYS if re.search(pattern, line)), None)
    assert found is not None, "no row of _WAYS says how to try this command"
    return found


def first_documents() -> dict[str, str]:
    """For each command, the first document that has it, where it is tried."""
    found: dict[str, str] = {}
    for document in documents():
        for block in filter(is_commands, blocks(document)):
            for line in block.commands():
                found.setdefault(line, block.document)
    return found


def try_block(block: Block, world: World, owners: dict[str, str]) -> list[str]:
    """What fails of a block, each with its place."""
    failed = []
    steps: list[tuple[str, Callable[[], object]]] = []
    if is_commands(block):
        for line in (line for line in block.commands() if owners[line] == block.document):
            steps.append((line, lambda line=line: _try_line(line, world)))
    elif block.path is not None:
        steps.append((block.path, lambda: _write(world.folder / str(block.path), block.text)))
    elif block.language == "yaml":
        steps.append(("yaml", lambda: yaml.safe_load(block.text)))
    elif block.language == "python":
        steps.append(("python", lambda: _run_python(block, world)))
    for what, step in steps:
        try:
            step()
        except Exception as error:
            failed.append(f"{block.where}: {what}\n    {error}")
    return failed


def _try_line(line: str, world: World) -> None:
    way_of(line)(world, read(world.filled(line)))


def _run_python(block: Block, world: World) -> None:
    text = block.text.replace('"latest"', repr(world.gan))
    with contextlib.chdir(world.folder):
        exec(compile(text, block.where, "exec"), {})


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_works(document: Path, world: World) -> None:
    owners = first_documents()
    failed = [line for block in blocks(document) for line in try_block(block, world, owners)]
    assert not failed, "\n".join(failed)


def test_a_command_that_is_not_covered_fails() -> None:
    for line in ("trompe paint me.jpg", "docker run trompe", "python train.py"):
        with pytest.raises(AssertionError, match="no row of _WAYS"):
            way_of(line)
