"""Parts of a sweep that need no trial."""

from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, create_trial

from trompe.errors import UserError
from trompe.locks import Lock
from trompe.runs.run_folder import RunFolder
from trompe.sweeps.launchers import Ended
from trompe.sweeps.objective import choose_objective
from trompe.sweeps.space import Space
from trompe.sweeps.storage import StudyStorage
from trompe.sweeps.sweep_folder import SweepFolder
from trompe.sweeps.trial import Active


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": None}, "objective=null must be a name, or a list of names"),
        ({"objective": 3}, "objective=3 must be a name"),
        ({"objective": ""}, "objective='' must be a name"),
        ({"objective": []}, r"objective=\[\] must be a name"),
        ({"objective": ["a", None]}, r"objective=\[a,null\] must be a name"),
        ({"objective": {"a": 1}}, r"objective=\{a:1\} must be a name"),
        ({"objective": ["a", "a"]}, r"objective=\[a,a\] has the same value twice"),
        ({"direction": None}, "direction=null must be a name"),
        ({"direction": 3}, "direction=3 must be a name"),
        ({"direction": []}, r"direction=\[\] must be a name"),
        ({"direction": "up"}, "direction=up is neither"),
        ({"value": None}, "neither best nor last"),
    ],
)
def test_an_objective_that_is_none_is_told_in_one_line(changes: Any, message: str) -> None:
    cfg = OmegaConf.create({"objective": "a", "direction": "auto", "value": "best", **changes})
    with pytest.raises(UserError, match=message) as said:
        choose_objective(cfg, Space((), {}))
    assert "\n" not in str(said.value)


def test_directions_are_named_as_elsewhere() -> None:
    for given, meant in (("min", "minimize"), ("max", "maximize"), ("maximize", "maximize")):
        launcher = {"command": ["train.sh"]}
        cfg = {"objective": "a", "direction": given, "value": "best", "launcher": launcher}
        assert choose_objective(OmegaConf.create(cfg), Space((), {})).directions == [meant]


def test_a_database_has_one_lock_under_all_its_names(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "there" / "two.db")
    storage = StudyStorage(f"sqlite:///{tmp_path}/there/two.db", tmp_path)
    other = StudyStorage(f"sqlite:///{tmp_path}/link.db", tmp_path)
    with storage.exclusively("tables"):
        assert Lock(other._lock_file()).is_held()
    with other.exclusively("tables"):
        assert Lock(storage._lock_file()).is_held()


def trial_of(**parameters: str) -> FrozenTrial:
    names = {key.replace("__", "."): value for key, value in parameters.items()}
    choices = {key: CategoricalDistribution([value]) for key, value in names.items()}
    trial = create_trial(value=0.0, params=names, distributions=choices)
    trial.number = 0
    return trial


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": {"lr": 1e-4, "loss": "1"}, "seed": 3, "samples": None}, None),
        ({"lr": 1e-4}, None),  # a command of the person's own records what it likes
        ({"model": {"lr": 2e-4}}, "has model.lr=1e-4 .* was trained with model.lr=0.0002"),
        ({"model": {"lr": None}}, "trained with model.lr=null"),
        ({"model": {"loss": 1}}, "has model.loss='1' .* trained with model.loss=1"),
        ({"seed": 4}, "trained with seed=4"),
    ],
)
def test_a_trial_is_known_by_the_config_of_its_run(tmp_path, config, message) -> None:
    """And by its overrides, which alone say what was chosen from groups."""
    folder = SweepFolder(tmp_path)
    trial = trial_of(model__lr="1e-4", model__loss="'1'", seed="3", model="dcgan", samples="none")
    overrides = ["model.lr=0.0001", "model.loss='1'", "seed=3", "model=dcgan", "samples=none"]
    run = RunFolder(folder.trial(0) / "a" / "run")
    run.create(config, overrides, {})
    if message is None:
        found = folder.check_trial(trial)
        assert found is not None and found.path == run.path
    else:
        with pytest.raises(UserError, match=message):
            folder.check_trial(trial)


def test_a_process_that_could_not_say_why_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stderr.log").touch()
    trial = Active(0, {}, tmp_path, Ended(), 0)
    assert trial.error() == "it ended without a message"
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(free=0))
    assert trial.error() == f"no space left on {tmp_path}"
    (tmp_path / "stderr.log").write_text("trompe: nix\n")
    assert trial.error() == "trompe: nix"
