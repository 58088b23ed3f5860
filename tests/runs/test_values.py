"""A value of a wrong kind is one line that names its key, before anything is made."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tests.conftest import FAMILIES, TINY
from trompe.cli import line_of
from trompe.command import check_kinds, config_dir
from trompe.errors import UserError, show
from trompe.sweeps.request import check_settings as check_sweep
from trompe.tasks.reproduce import reproduce
from trompe.tasks.runs import list_runs
from trompe.tasks.stylize import check_values as check_stylize
from trompe.training.build import build
from trompe.training.session import open_session
from trompe.words import as_override

NAN, INF = float("nan"), float("inf")
GROUPS = ["paths", "trainer", "evaluation", "samples", "checkpoint", "data"]
WRONG = [None, NAN, INF, "text", [], {}, -1, True]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder `text`, where that is a cache, is of the test's own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> list[str]:
    """Of a tiny run."""
    outputs = tmp_path_factory.mktemp("values") / "outputs"
    folders = [f"paths.output_dir={outputs}", f"paths.cache_dir={cache}"]
    return [*TINY, *FAMILIES["mlp_gan"], *folders]


@pytest.fixture(scope="module")
def composed(overrides: list[str]) -> DictConfig:
    """Its config."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        HydraConfig.instance().set_config(compose("train", overrides, return_hydra_config=True))
        return compose("train", overrides)


def said(cfg: DictConfig) -> str | None:
    """What is said instead of building it; None if it can be built. Anything else is raised."""
    try:
        build(open_session(cfg))
    except (UserError, HydraException, OmegaConfBaseException, ImportError) as error:
        line = line_of(error, "train")
        if line is None:
            raise
        return line
    return None


def changed(cfg: DictConfig, key: str, value: Any) -> DictConfig:
    """As Hydra sets a value."""
    found = cfg.copy()
    OmegaConf.update(found, key, value, merge=True)
    return found


def keys(config: Any, prefix: str = "") -> list[str]:
    """All groups and values."""
    if not isinstance(config, dict):
        return [prefix]
    inner = [k for name, value in config.items() for k in keys(value, f"{prefix}.{name}")]
    return [prefix, *inner] if prefix else [key.removeprefix(".") for key in inner]


def assert_one_line(composed: DictConfig, key: str, value: Any) -> None:
    try:
        cfg = changed(composed, key, value)
    except OmegaConfBaseException:
        return  # a list for a mapping, say: Hydra refuses that itself
    line = said(cfg)
    assert not Path(composed.paths.output_dir).exists()
    assert {path.name for path in Path().iterdir()} <= {"text"}  # a cache, where that is its name
    # Its name, or that of the group it is in.
    group = key.rpartition(".")[0] or key
    is_named = any(part in line for part in (key.rpartition(".")[2], group)) if line else True
    assert is_named and "\n" not in (line or ""), f"{key}={show(value)}: {line}"


def cases(composed: DictConfig) -> list[tuple[str, Any]]:
    config = OmegaConf.to_container(composed)
    return [(key, value) for key in keys(config) for value in WRONG]


def test_any_value_works_or_is_one_line(composed: DictConfig) -> None:
    for key, value in random.Random(0).sample(cases(composed), 120):
        assert_one_line(composed, key, value)


@pytest.mark.slow
def test_every_value_works_or_is_one_line(composed: DictConfig) -> None:
    for key, value in cases(composed):
        assert_one_line(composed, key, value)


def test_a_key_that_is_taken_out_works_or_is_one_line(composed: DictConfig) -> None:
    config: Any = OmegaConf.to_container(composed)
    for key in [*config, *(f"{group}.{key}" for group in GROUPS for key in config[group])]:
        found = composed.copy()
        OmegaConf.set_struct(found, False)
        parent, _, name = key.rpartition(".")
        del (OmegaConf.select(found, parent) if parent else found)[name]
        line = said(found)
        assert line is None or name in line


@pytest.mark.parametrize(
    "override",
    [
        *("callbacks=null", "callbacks.progress=null", "logger=null", "samples=null"),
        *("metrics=null", "metrics.random_conv=null", "checkpoint.monitor=null"),
        *("model.optimizer.betas=[0,0.9]", "model.gradient_clip_norm=null", "model.optimizer.lr=0"),
        *("name=2024", "name=it's (1)", "trainer.precision=null"),
    ],
)
def test_what_may_be_left_out_is(composed: DictConfig, overrides: list[str], override: str) -> None:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        group = override.removesuffix("=null")
        kept = [o for o in overrides if not o.startswith(f"{group}.")]
        assert said(compose("train", [*kept, as_override(override)])) is None


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("name=null", "name=null must be a text that is not empty"),
        ("name=", "name='' must be a text that is not empty"),
        ("kimg=nan", "kimg=nan must be a number above 0"),
        ("kimg=inf", "kimg=inf must be a number above 0"),
        ("kimg=-1", "kimg=-1 must be a number above 0"),
        ("kimg=true", "kimg=true must be a number above 0"),
        ("tick_kimg=inf", "tick_kimg=inf must be a number above 0"),
        ("batch_size='8'", "batch_size='8' must be a whole number of at least 1"),
        ("batch_size=8.0", "batch_size=8.0 must be a whole number of at least 1"),
        ("seed=0.5", "seed=0.5 must be a whole number of at least 0"),
        ("seed=-1", "seed=-1 must be a whole number of at least 0"),
        ("seed=null", "seed=null must be a whole number of at least 0"),
        (
            "model.optimizer.betas=0.9",
            "model.optimizer.betas=0.9 must be a list of 2, each a number",
        ),
        ("model.optimizer.betas=[0.5,x]", "model.optimizer.betas=[0.5,x] must be a list of 2"),
        ("model.generator_lr=.nan", "model.generator_lr=.nan must be a number or a schedule"),
        ("kimg=1" + "0" * 400, "must be a number above 0"),
        ("kimg=1e300", "kimg=1e+300 must be at most 1e+12"),
        ("tick_kimg=1e25", "tick_kimg=1e+25 must be at most 1e+12"),
        ("model.penalties.r1=1" + "0" * 25, "model.penalties.r1=1" + "0" * 25 + " is too large"),
        ("samples.count=10000000", "samples.count=10000000 must be at most 65536"),
        ("batch_size=100000000", "batch_size=100000000 must be at most 1048576"),
        ("data.resolution=65536", "data.resolution=65536 must be at most 16384 pixels"),
        ("model.generator_lr=fast", "model.generator_lr=fast must be a number or a schedule"),
        ("model.generator.latent_dim=2.5", "model.generator.latent_dim=2.5 must be a whole number"),
        ("model.generator.width=0", "model.generator.width=0 must be a whole number of at least 1"),
        ("model.generator=x", "model.generator=x must be a part with _target_"),
        ("model.penalty_every.r1=x", "model.penalty_every.r1=x must be a whole number"),
        ("model.optimizer._partial_=1", "model.optimizer._partial_=1 must be true or false"),
        ("model._target_=null", "model._target_=null must be text"),
        ("data._target_=os.path.join", "data._target_: "),
        ("data.resolution=null", "data.resolution=null must be a whole number"),
        ("data.resolution=64.5", "data.resolution=64.5 must be a whole number"),
        ("data.channels='3'", "data.channels='3' must be a whole number"),
        ("data.validation_fraction=nan", "data.validation_fraction=nan must be a number"),
        ("data.flip=1", "data.flip=1 must be true or false"),
        ("metrics.random_conv.split=test", "split=test must be one of train, validation"),
        ("metrics.random_conv.measures=fd", "measures=fd must be a list, each text"),
        ("evaluation.every_kimg=nan", "evaluation.every_kimg=nan must be a number"),
        ("checkpoint.monitor=[fd]", "checkpoint.monitor=[fd] must be text or null"),
        ("evaluation=null", "evaluation=null leaves a run without its evaluation: metrics=[]"),
        ("checkpoint=null", "checkpoint=null leaves a run without its checkpoint"),
        ("trainer=null", "trainer=null leaves a run without its trainer"),
        ("model=null", "model=null leaves a run without its model: choose one"),
        ("data=null", "data=null leaves a run without its data: choose one"),
        ("paths=null", "paths=null leaves a run without its paths"),
        ("paths.output_dir=null", "paths.output_dir=null must be a text"),
        ("trainer.num_nodes=two", "trainer.num_nodes=two must be a whole number"),
        ("trainer.devices=1.0", "trainer.devices=1.0 must be a whole number"),
        ("callbacks.progress=bar", "callbacks.progress=bar must be a part with _target_, or null"),
        ("samples=4", "samples=4 must be a mapping, or null for none"),
        ("fresh=yes", "fresh=yes must be true or false"),
        ("resume=5", "resume='5' is neither never nor auto"),
    ],
)
def test_what_is_of_a_wrong_kind_is_one_line(
    composed: DictConfig, overrides: list[str], override: str, line: str
) -> None:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        group = override.removesuffix("=null")
        kept = [o for o in overrides if group not in [*GROUPS, "model"] or not o.startswith(group)]
        found = said(compose("train", [*kept, as_override(override)]))
    assert found is not None and line in found
    assert not Path(composed.paths.output_dir).exists()


@pytest.mark.parametrize(
    ("command", "override", "line"),
    [
        ("sample", "overwrite=yes", "overwrite=yes must be true or false"),
        ("export", "overwrite=1", "overwrite=1 must be true or false"),
        ("export", "format=onnx", "format=onnx must be a list, such as format=[a,b]"),
        ("stylize", "matrix=1", "matrix=1 must be true or false"),
        ("stylize", "frames=null", "frames=null must be true or false"),
        ("runs", "columns=fd", "columns=fd must be a list, such as columns=[a,b]"),
        ("runs", "folders=null", "folders=null must be a list, such as folders=[a,b]"),
        ("train", "fresh=no", "fresh=no must be true or false"),
    ],
)
def test_flags_and_lists_of_every_command(command: str, override: str, line: str) -> None:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        check_kinds(compose(command, []), command)
        with pytest.raises(UserError) as error:
            check_kinds(compose(command, [override]), command)
    assert str(error.value) == line


@pytest.mark.parametrize(
    ("task", "override", "line"),
    [
        (list_runs, "limit=x", "limit=x must be a whole number of at least 1"),
        (list_runs, "limit=2.5", "limit=2.5 must be a whole number of at least 1"),
        (list_runs, "sort=5", "sort=5 must be the name of a metric or a config key"),
        (reproduce, "tolerance=nan", "tolerance=nan must be a number of at least 0"),
        (check_stylize, "strength=much", "strength=much must be a number"),
        (check_stylize, "strength=nan", "strength=nan must be a number"),
        (check_stylize, "style_weights=2", "style_weights=2 must be a list: [2,1]"),
        (check_stylize, "style_weights=[1,x]", "style_weights=x must be a number of at least 0"),
        (check_sweep, "jobs=1.5", "jobs=1.5 must be a whole number of at least 1"),
        (check_sweep, "sampler_seed=x", "sampler_seed=x must be a whole number of at least 0"),
        (check_sweep, "poll_seconds=inf", "poll_seconds=inf must be a number above 0"),
    ],
)
def test_numbers_of_commands(task: Callable[[DictConfig], Any], override: str, line: str) -> None:
    commands = {list_runs: "runs", reproduce: "reproduce", check_stylize: "stylize"}
    given = ["run=x"] if task is reproduce else []
    with initialize_config_dir(config_dir(), version_base="1.3"):
        cfg = compose(commands.get(task, "sweep"), [*given, override])
    with pytest.raises(UserError) as error:
        task(cfg)
    assert str(error.value) == line
