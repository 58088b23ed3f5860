"""Wrong values are refused before anything is written; in this process, to be quick."""

import signal
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from PIL import Image

from tests.conftest import FAMILIES, TINY, Trompe, beginning_of
from tests.runs.test_evaluate import RANDOM, pictures
from trompe.command import config_dir
from trompe.errors import UserError
from trompe.runs.run_folder import RunFolder
from trompe.tasks.sample import sample
from trompe.tasks.train import train
from trompe.training.recorded import recorded


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("evaluation.every_kimg=0", "every_kimg=0 must be a number above 0"),
        ("samples.count=0", "samples.count=0 must be a whole number of at least 1"),
        ("samples.every_kimg=-1", "must be a number above 0"),
        ("model.discriminator_steps=0", "discriminator_steps=0 must be a whole number"),
        ("metrics.random_conv.n_images=1", "n_images=1 must be a whole number of at least 2"),
        ("model.optimizer.lr=-1", "model.optimizer: Invalid learning rate"),
        ("model.optimizer.lr=abc", "model.optimizer.lr=abc must be a number"),
        ("model.generator_lr=null", "model.generator_lr=null must be a number or a schedule"),
        ("+model.generator.wings=2", "model.generator.wings: the part does not take this"),
        ("model.accumulate=0", "model.accumulate=0 must be a whole number of at least 1"),
        ("model.accumulate=1.5", "model.accumulate=1.5 must be a whole number of at least 1"),
        ("model.ema_half_life_kimg=-1", "ema_half_life_kimg=-1 must be a number of at least 0"),
        ("model.ema_rampup=abc", "model.ema_rampup=abc must be a number"),
        ("model.ema_rampup=-1", "model.ema_rampup=-1 must be a number of at least 0"),
        ("model.penalties.r1=abc", "model: the weight of r1=abc must be a number of at least 0"),
        ("model.penalties.r1=nan", "model: the weight of r1=nan must be a number of at least 0"),
        ("model.penalty_every.r1=0", "penalty_every.r1=0 must be a whole number of at least 1"),
        ("model/augment=ada model.loss=wasserstein", "only differences of logits count: choose"),
        ("trainer.precision=foo", "trainer.precision=foo must be auto, 32-true"),
        ("trainer.precision=64-true", "trainer.precision=64-true must be auto, 32-true"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_written(
    override: str, said: str, tmp_path: Path, cache: Path
) -> None:
    folders = [f"paths.output_dir={tmp_path / 'out'}", f"paths.cache_dir={cache}"]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        overrides = [*TINY, *FAMILIES["mlp_gan"], *folders, *override.split()]
        HydraConfig.instance().set_config(compose("train", overrides, return_hydra_config=True))
        cfg = compose("train", overrides)
        with pytest.raises((UserError, InstantiationException)) as error:
            train(cfg)
    told = error.value if isinstance(error.value, UserError) else error.value.__cause__
    assert isinstance(told, UserError)
    with pytest.raises(UserError, match=said):
        raise told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no"), "failed"), (SystemExit(), "interrupted")]
)
def test_a_session_that_ends_before_its_first_step_is_recorded(
    error: BaseException, status: str, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({}, [], {})
    beginning = beginning_of(run)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises((ValueError, KeyboardInterrupt)), recorded(beginning, {}):
            raise error
    finally:
        signal.signal(signal.SIGINT, before)
    assert run.read_facts()["status"] == status


def test_weights_that_are_not_finite_are_not_saved(trompe: Trompe) -> None:
    arguments = ["train", *TINY, *FAMILIES["mlp_gan"], "tick_kimg=0.008"]
    # The last step of the first tick spoils the generator after its loss was computed.
    message = trompe.fails(*arguments, "model.generator_lr=1e39")
    assert "weights became NaN or infinite before 0.008 kimg; there is no checkpoint" in message
    (run,) = trompe.runs()
    assert not run.last_checkpoint.exists()
    assert run.read_facts()["status"] == "failed"


def test_a_budget_below_what_is_done_is_refused_and_nothing_changes(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.096")
    (run,) = trompe.runs()
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    message = trompe.fails("train", f"run={run.path}", "kimg=0.048")
    assert "kimg=0.048 is less than the 0.096 kimg" in message
    assert all(path.read_bytes() == content for path, content in before.items())
    trompe("train", f"run={run.path}", "kimg=0.144")
    assert run.read_overrides()[-1] == "kimg=0.144"
    assert "is less than the 0.144 kimg" in trompe.fails("train", f"run={run.path}", "kimg=0.096")
    assert run.read_facts()["status"] == "done"

    # And while there is a run: samples never cost anybody else's files.
    own = trompe.folder / "own"
    own.mkdir()
    (own / "mine.txt").write_text("precious")
    with initialize_config_dir(config_dir(), version_base="1.3"):
        for overrides, said in [
            ([f"out={own}", "overwrite=true"], r"holds other files too, such as mine\.txt"),
            ([f"out={own / 'mine.txt'}"], "is not a folder"),
            (["n=abc"], "n=abc must be a whole number"),
            (["batch_size=0"], "batch_size=0 must be a whole number"),
            (["interpolation.frames=0"], "frames=0 must be"),
            (["interpolation.fps=0"], "fps=0 must be a number above 0"),
        ]:
            with pytest.raises(UserError, match=said):
                sample(compose("sample", [f"run={run.path}", "n=2", *overrides]))
        assert [path.name for path in own.iterdir()] == ["mine.txt"]
        made = sample(compose("sample", [f"run={run.path}", "n=2", f"out={own / 'made'}"]))
        again = compose("sample", [f"run={run.path}", "n=3", f"out={made}", "overwrite=true"])
        sample(again)
    assert len(list((made / "images").iterdir())) == 3
    assert sorted(path.name for path in own.iterdir()) == ["made", "mine.txt"]


def test_evaluation_is_of_the_runs_own_data_from_anywhere(trompe: Trompe) -> None:
    images = pictures(trompe.folder / "images", 60, 0)
    data = ["data=folder", "data.path=images", "data.resolution=16"]
    overrides = [o for o in TINY if not o.startswith("data")]
    trompe("train", *overrides, *data, *FAMILIES["mlp_gan"], "kimg=0.048")
    (run,) = trompe.runs()
    elsewhere = trompe.folder / "elsewhere"
    elsewhere.mkdir()
    inside, trompe.folder = trompe.folder, elsewhere
    out = trompe("evaluate", f"run={run.path}", *RANDOM, "out=.").stdout
    assert str(elsewhere / "metric_card.json") in out
    trompe.folder = inside
    Image.new("RGB", (16, 16)).save(images / "more.png")
    assert "have changed" in trompe.fails("evaluate", f"run={run.path}", *RANDOM)


def test_auto_takes_over_a_longer_budget(trompe: Trompe) -> None:
    arguments = ["train", *TINY, *FAMILIES["mlp_gan"], "tick_kimg=0.16", "resume=auto"]
    stopped = trompe.stop_after(1, signal.SIGTERM, *arguments, "kimg=0.64")
    trompe(*arguments, "kimg=0.8")
    assert len(trompe.runs()) == 1
    assert stopped.read_config()["kimg"] == 0.8
    assert stopped.read_facts()["kimg"] == 0.8
