"""What the config of an opened folder may name."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from trompe.command import config_dir
from trompe.errors import UserError
from trompe.sweeps.space import parse_space
from trompe.trust import (
    check_composed,
    check_config,
    check_overrides,
    consent,
    foreign_names,
    is_listed,
    texts_of,
)

# Folders of conf/ whose files become parts of a group of another name.
OF_A_MODEL = ("generator", "discriminator", "perceptual", "schedule")
OF_A_MODEL += ("style_discriminator", "style_generator", "hourglass")
GROUP = dict.fromkeys(OF_A_MODEL, "model") | {"features": "metrics", "degradation": "data"}
SHIPPED = sorted(
    {
        (GROUP.get(folder, folder), name)
        for file in Path(config_dir()).glob("*/**/*.yaml")
        if (folder := file.relative_to(config_dir()).parts[0]) not in ("stylizer", "experiment")
        for name in re.findall(r"(?:_target_|path): *([a-z]\w*\.[\w.]+)", file.read_text())
        # Which imports what it is told to, and which keeps its state as a pickle in the study.
        if name not in ("hydra.utils.get_class", "optuna.samplers.CmaEsSampler")
    }
)


@pytest.mark.parametrize(("group", "name"), SHIPPED)
def test_all_that_conf_builds_is_listed(group: str, name: str) -> None:
    assert is_listed(name, group)
    if name.startswith("trompe.data.degradations."):  # a model refers to its data's
        assert is_listed(name, "model")


@pytest.mark.parametrize(
    "name",
    [
        "trompe.sweeps.cluster_jobs.Task",
        "trompe.sweeps.launchers.Local",
        "trompe.tasks.reproduce.reproduce",
        "trompe.runs.provenance.describe_code",
        "trompe.files.whole_file",
        "trompe.lookup.find_function",
        "trompe.engine.checkpoint.load_checkpoint",
        "trompe.methods.gan.Tensor",  # defined elsewhere
        "trompe.methods.gan.load_pair",
        "trompe.losses.adversarial.load_pair",  # imports by name
        "trompe.losses.penalties.load_penalty",
        "trompe.losses.adversarial.find_function",
        "trompe.methods.trained.load_method",
        "trompe.methods.trained.os.system",
        "trompe.methods.gan.GAN.__init__.__globals__",
        "trompe.methods.",
        "trompe.methods..gan.GAN",
        "trompe",
        "",
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "functools.partial",
        "hydra.utils.get_method",
        "hydra.utils.get_class",
        "torch.load",
        "torch.hub.load",
        "torch.utils.data.DataLoader",
        "torch.nn.Module.load_state_dict",
        "torch.nn.utils.parametrize.register_parametrization",
        "torch.nn.functional.relu",
        "torch.nn.os",
        "torch.optim.lr_scheduler",
        "timm.create_model",
    ],
)
def test_what_runs_code_is_not_listed(name: str) -> None:
    assert not is_listed(name, "model")
    assert not is_listed(name, "trainer")


def test_groups_have_lists_of_their_own() -> None:
    assert is_listed("torch.nn.GroupNorm", "model") and is_listed("torch.optim.SGD", "model")
    assert not is_listed("torch.nn.GroupNorm", "data")
    assert is_listed("torchvision.datasets.KMNIST", "data")
    assert not is_listed("torchvision.datasets.LSUN", "data")  # reads a pickle beside the images
    assert not is_listed("torchvision.datasets.utils.extract_archive", "data")
    assert not is_listed("trompe.methods.gan.GAN", "seed")
    assert is_listed("optuna.samplers.TPESampler", "sampler")
    assert not is_listed("optuna.samplers.CmaEsSampler", "sampler")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that tells when it is imported; its name is unknown to everybody else."""
    (tmp_path / "planted_code.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
        "def name(*args, **kwargs): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "ran"
    sys.modules.pop("planted_code", None)


EVIL = {"_target_": "planted_code.name"}
KINDS: list[tuple[dict[str, Any], str]] = [
    ({"model": EVIL}, "planted_code.name (model._target_)"),
    ({"model": {"_target_": "planted_code"}}, "planted_code (model._target_)"),
    ({"model": {**EVIL, "_partial_": True}}, "planted_code.name (model._target_)"),
    ({"data": {"a": [{"b": EVIL}]}}, "planted_code.name (data.a.0.b._target_)"),
    ({"callbacks": {"x": {**EVIL, "_recursive_": False}}}, "(callbacks.x._target_)"),
    ({"seed": EVIL}, "planted_code.name (seed._target_)"),
    ({"trainer": {"x": EVIL}}, "planted_code.name (trainer.x._target_)"),
    ({"model": {"loss": "planted_code.name"}}, "planted_code.name (model.loss)"),
    (
        {"data": {"x": {"_target_": "hydra.utils.get_class", "path": "planted_code.x", "y": 0}}},
        "hydra.utils.get_class planted_code.x (data.x._target_)",
    ),
    ({"model": {"loss": "planted_code."}}, "planted_code. (model.loss)"),
    ({"model": {"penalties": {"planted_code.x": 1}}}, "(model.penalties.planted_code.x)"),
    ({"metrics": {"m": {"measures": ["fd", "planted_code.x"]}}}, "(metrics.m.measures.1)"),
    ({"metrics": {"m": {"architecture": "hf-hub:a/b"}}}, "hf-hub:a/b (metrics.m.architecture)"),
    ({"metrics": {"m": {"architecture": "Local-Dir:/a"}}}, "Local-Dir:/a (metrics.m.architecture)"),
    ({"metrics": {"m": {"architecture": " hf-\thub:a/b"}}}, "(metrics.m.architecture)"),
    (
        {"model": {"norm": {"_target_": "hydra.utils.get_class", "path": "planted_code"}}},
        "planted_code (model.norm.path)",
    ),
    (
        {"model": {"norm": {"_target_": "hydra.utils.get_class", "_args_": ["planted_code"]}}},
        "hydra.utils.get_class (model.norm._target_)",
    ),
    ({"model": {"_target_": ["os", "system"]}}, "['os', 'system'] (model._target_)"),
    ({"model": {"_target_": "os\n.system"}}, "'os\\n.system' (model._target_)"),
]


@pytest.mark.parametrize(("config", "told"), KINDS)
def test_code_of_a_folder_is_told_and_not_imported(
    config: dict[str, Any], told: str, planted: Path
) -> None:
    with pytest.raises(UserError) as error:
        check_config(Path("a_run"), config, trust=False)
    message = str(error.value)
    assert message.startswith("a_run names code of its own: ") and told in message
    assert message.endswith(": set trust=true if you trust it") and "\n" not in message
    assert not planted.exists()
    check_config(Path("a_run"), config, trust=True)
    assert consent(config) == " trust=true"


def test_links_in_a_folder_are_told(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "wandb").mkdir()
    (run / "wandb" / "latest-run").symlink_to(tmp_path)  # the tracker's own
    (tmp_path / "link").symlink_to(run)
    check_config(tmp_path / "link", {}, trust=False)
    (run / "metrics.jsonl").symlink_to(tmp_path / "elsewhere")
    (run / "checkpoints" / "last.ckpt").symlink_to(tmp_path)
    told = "has links to files elsewhere, which it would write: checkpoints/last.ckpt, metrics"
    with pytest.raises(UserError, match=told):
        check_config(run, {}, trust=False)
    check_config(run, {}, trust=True)
    (run / "tensorboard").mkdir()
    (run / "tensorboard" / "lr 2e-4").symlink_to(tmp_path)  # of a name that is written into
    with pytest.raises(UserError, match="tensorboard/lr 2e-4"):
        check_config(run, {}, trust=False)


def test_many_names_are_told_in_short() -> None:
    config = {"model": [{"_target_": f"a.b{i}"} for i in range(7)]}
    with pytest.raises(UserError, match=r"a.b3 \(model.3._target_\) and 3 more: set trust=true"):
        check_config(Path("x"), config, trust=False)


def test_what_the_person_composes_is_theirs() -> None:
    own = texts_of(OmegaConf.create({"model": {"_target_": "my.GAN", "loss": "os.path.join"}}))
    config = {"model": {"_target_": "my.GAN", "x": {"_target_": "my.Net"}, "loss": "os.path.join"}}
    assert foreign_names(config, own) == ["my.Net (model.x._target_)"]


def test_plain_texts_of_a_config_are_no_code() -> None:
    config = {
        "model": {"weights": "/tmp/some.weights.pth", "loss": "hinge", "layers": ["b4e"]},
        "data": {"_target_": "trompe.data.picture_folder.ImageFolder", "path": "wave.jpg"},
        "metrics": {"architecture": "vit_base_patch32_clip_224.openai"},
        "name": "os.path",
    }
    assert foreign_names(config) == [] and consent(config) == ""


def test_interpolations_of_a_recorded_config_stay_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_THING", "s3cret")
    for config in (
        {"data": {"_target_": "trompe.data.shapes.Shapes", "path": "${oc.env:SECRET_THING}"}},
        {"model": {"_target_": "${seed}"}, "seed": "os.system"},
    ):
        with pytest.raises(UserError, match=r"\$\{.* is not a plain value") as error:
            check_config(Path("x"), config, trust=True)
        assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    "override",
    [
        "hydra.searchpath=[pkg://planted_code]",
        "+hydra.callbacks.x._target_=planted_code.name",
        "hydra/job_logging=default",
        "+model@hydra.callbacks=dcgan",
        "++a@b.hydra=c",
        "model=../../elsewhere/model",
        "+experiment=/tmp/elsewhere",
        "model=dcgan,/tmp/elsewhere",
        "experiment='~/elsewhere'",
        "+schedule@model.generator_lr=../../../../tmp/elsewhere",
    ],
)
def test_recorded_overrides_do_not_set_up_hydra(override: str) -> None:
    with pytest.raises(UserError, match=r"x sets up Hydra: .*: set trust=true"):
        check_overrides(Path("x"), ["seed=1", override], trust=False)
    check_overrides(Path("x"), [override], trust=True)


@pytest.mark.parametrize("override", ["--config-dir=/tmp", "a b", 3])
def test_recorded_overrides_that_are_none(override: Any) -> None:
    with pytest.raises(UserError, match="x: cannot read the override"):
        check_overrides(Path("x"), [override], trust=True)


def test_usual_overrides_are_fine() -> None:
    usual = ["model=dcgan", "data.path=../x", "+schedule@model.generator_lr=cosine", "~model.x"]
    usual += [
        "model.optimizer.lr=log(1e-5,1e-3)",
        "metrics=[a,b]",
        "seed=0,1",
        "storage=postgresql://u@h/d",
        "kimg='${times:2,${x}}'",
    ]
    check_overrides(Path("x"), usual, trust=False)


def test_what_recorded_overrides_compose_does_not_read_the_environment() -> None:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        mine = compose("train", ["paths.output_dir=/tmp", "name=${oc.env:HOME}"])
        usual = compose("train", ["model=cyclegan", "kimg='${times:2,${batch_size}}'"])
        check_composed(Path("x"), usual, False)
        for text in ("name='${oc.env:HOME}'", "name='${times:${oc.env:HOME},2}'"):
            theirs = compose("train", [text])
            with pytest.raises(UserError, match=r"x reads more than its config: .*\(name\)"):
                check_composed(Path("x"), theirs, False)
            check_composed(Path("x"), theirs, True)
        same = compose("train", ["name=${oc.env:HOME}"])
        check_composed(Path("x"), same, False, texts_of(mine))


def test_a_trial_of_a_study_is_of_its_sweep() -> None:
    space = parse_space(["model.loss=hinge,minimax", "seed=range(0,3)", "kimg=1"])
    assert space.overrides({"model.loss": "hinge", "seed": 2})[-2:] == [
        "model.loss=hinge",
        "seed=2",
    ]
    for parameters in (
        {"model.loss": "planted_code.name"},
        {"model._target_": "os.system"},
        {"seed": "1 model._target_=x"},
    ):
        with pytest.raises(UserError, match="not of this sweep"):
            space.overrides(parameters)


def test_shipped_names_were_found() -> None:
    assert len(SHIPPED) > 60
    assert yaml.safe_load((Path(config_dir()) / "train.yaml").read_text())["trust"] is False
