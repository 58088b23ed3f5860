"""A user's own data sets and measures: what they may return, and what is said of a mistake."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from tests.conftest import FAMILIES, TINY, Trompe
from tests.runs import wrong_parts
from trompe.cli import line_of
from trompe.command import config_dir
from trompe.errors import UserError
from trompe.tasks.train import train

HERE = "tests.runs.wrong_parts"
DATA = [
    *(o for o in TINY if not o.startswith(("metrics", "data"))),
    *("data=shapes", "~data.size", "~data.seed", "~data.label", "data.resolution=16", "metrics=[]"),
    *FAMILIES["mlp_gan"],
]


@pytest.fixture(scope="module", autouse=True)
def configs() -> Iterator[None]:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        yield


def refused(overrides: list[str], folder: Path, cache: Path) -> str:
    """What is said when a run with these overrides begins; nothing is left behind."""
    overrides = [*overrides, f"paths.output_dir={folder / 'out'}", f"paths.cache_dir={cache}"]
    composed = compose("train", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(composed)
    with pytest.raises((UserError, InstantiationException)) as error:
        train(OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"]))
    assert not (folder / "out").exists()
    line = line_of(error.value, "train")
    assert line is not None and "\n" not in line
    return line


def source(kind: str, **given: str) -> list[str]:
    pairs = ",".join(f"{key}:{value}" for key, value in given.items())
    return ["data._target_=Own", f"+data.source={kind}", f"+data.given={{{pairs}}}"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data._target_=NoData"], r"NoData is no class for data=: make it a subclass of trompe\."),
        (["data._target_=Gone"], r"is no class: tests\.runs\.wrong_parts has no Gone"),
        (["data._target_=Untyped"], r"does not say what its batches are: set its batch_type"),
        (["data._target_=Sourceless"], r"Sourceless has no open_source: write it, see trompe\."),
        (["data._target_=Unprepared"], r"has no _decoded: call super\(\)\.__init__\(\*\*common\)"),
        (["data._target_=Broken"], r"data: IndexError: .*wrong_parts.py, line \d+: self\.first ="),
        (["data._target_=Streamless"], r"Streamless has no stream: write it, see trompe\.data\."),
        (["data._target_=Stream"], r"is float32 \(8, 3, 16, 16\): it must be a trompe.*\.Batch"),
        (["data._target_=Floats"], r"images that are float32 .*: they must be uint8 \(8, 3, 16"),
        (["data._target_=Sizes"], r"images that are uint8 \(8, 3, 17, 16\): they must be uint8"),
        (["data._target_=Short"], r"labels that are int64 \(3,\): .* a row for each of 8 images"),
        (source("list"), r"Own\.open_source returned a list: it must return a trompe\.data\.so"),
        (source("half"), r"TypeError: Can't instantiate abstract class Half .*line \d+: return"),
        (source("unlabelled"), r"Unlabelled\.labels is None: it must be an int64 array"),
        (source("lost"), r"Lost\.read\(0\): KeyError: 'lost' \(.*, line \d+: return \{\}\[\"lost"),
        (source("plain", labels="floats"), r"labels is float64 \(8,\): it must be an int64 array"),
        (source("plain", labels="up to 3"), r"from 0 to 3, but there are 2 class_names"),
        (source("plain", class_names="odd"), r"class_names is a str: it must be a list"),
        (source("plain", fingerprint="none"), r"fingerprint returned None: it must return a text"),
        (source("plain", image="float image"), r"read\(0\) returned float64 .*: it must return a"),
        (source("plain", image="deep image"), r"cannot be decoded: image 0 \(uint8 \(16, 16, 7\)"),
    ],
)
def test_a_wrong_data_set_is_one_line(
    overrides: list[str], said: str, tmp_path: Path, cache: Path
) -> None:
    own = [o.replace("_target_=", f"_target_={HERE}.") for o in overrides]
    assert re.search(said, refused([*DATA, *own], tmp_path, cache))


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        ("text", r"wrong_parts\.text returned a str: a measure returns a number, a Score, or"),
        ("nan", r"wrong_parts\.nan returned nan: a value must be finite"),
        ("nothing", r"returned a NoneType: a measure returns a number"),
        ("row", r"returned an array \(64,\): a measure returns a number"),
        ("empty", r"returned an empty mapping: return a number for each name"),
        ("lost", r"lost: KeyError: 'lost' \(.*wrong_parts\.py, line \d+: return \{\}\[\"lost\"\]"),
        ("unlike", r"unlike: RuntimeError: .*wrong_parts\.py, line \d+: return generated @"),
        ("greedy", r"greedy: 1,000,000 images are needed \(.*wrong_parts\.py, line \d+"),
        ("lone", r"lone takes \(reference: .*: a measure takes a trompe\.metrics\.reference"),
        ("gone", r"wrong_parts\.gone is not known: choose one of both, empty, "),
    ],
)
def test_a_wrong_measure_is_one_line(measure: str, said: str, tmp_path: Path, cache: Path) -> None:
    overrides = [*TINY, *FAMILIES["mlp_gan"]]
    told = refused(
        [*overrides, f"metrics.random_conv.measures=[{HERE}.{measure}]"], tmp_path, cache
    )
    assert re.search(said, told)


def test_a_measure_may_return_numbers_and_its_code_is_on_the_card(trompe: Trompe) -> None:
    measures = f"metrics.random_conv.measures=[{HERE}.spread,{HERE}.both]"
    monitor = "checkpoint.monitor=both_mean_random_conv"
    trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.096", measures, monitor)
    (run,) = trompe.runs()
    values = run.read_metrics()[-1]
    assert values["spread_random_conv"] > 0 and values["both_count_random_conv"] == 40
    facts = run.read_facts()
    card = facts["protocols"]["both_mean_random_conv"]
    assert card["measure"] == f"{HERE}.both" and card["better"] == "higher"
    code = Path(wrong_parts.__file__).read_bytes()
    assert card["measure_sha256"] == hashlib.sha256(code).hexdigest()
    assert facts["protocols"]["spread_random_conv"]["better"] == "lower"
    assert facts["best"]["metric"] == "both_mean_random_conv"
    name = "metrics=[random_conv]"
    done = trompe("evaluate", run.path.name, name, measures, *TINY[7:9], f"out={trompe.folder}")
    assert "both_count_random_conv  40  " in done.stdout
