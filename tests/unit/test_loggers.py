"""Each tracker, with its real backend: two sessions of a run become one run on the kimg axis."""

import csv
import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning.utilities import rank_zero_only

from trompe.errors import UserError
from trompe.loggers.csv_file import CSVFile
from trompe.loggers.local import Local
from trompe.loggers.tensorboard import TensorBoard
from trompe.loggers.tracker import Tracker
from trompe.loggers.weights_and_biases import WeightsAndBiases

CONFIG = {"model": {"z_dim": 128, "name": "dcgan"}, "seed": 0}
# kimg -> value. The first session is killed after 30; its checkpoint was at 20.
FIRST = {10.0: 3.0, 20.0: 2.0, 30.0: -1.0}
SECOND = {30.0: 1.5, 40.0: 1.25}
ONE_RUN = {10.0: 3.0, 20.0: 2.0, 30.0: 1.5, 40.0: 1.25}


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.png"
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(path)
    return path


def session(tracker: Tracker, points: dict[float, float], grid: Path, status: str) -> None:
    tracker.sort_under("sweep c0ffee", ["dcgan", "shapes"])
    tracker.log_config(CONFIG)
    for kimg, value in points.items():
        place = {"kimg": kimg, "tick": 10 * kimg}
        tracker.log_record({**place, "loss/generator": value, "fd": 2 * value}, kimg)
        tracker.log_images("samples", grid, kimg)
        tracker.log_histogram("logits/real", [1, 2, 5], [-1.0, 0.0, 1.0, 3.0], kimg)
    tracker.close(status)


def two_sessions(kind: type[Tracker], grid: Path, **options: object) -> list[Tracker]:
    common = {"project": "trompe", "run_name": "a-run", "save_dir": grid.parent / "run", **options}
    first = kind(**common)
    session(first, FIRST, grid, "interrupted")
    second = kind(**common, run_id=first.tracker_id)
    second.resume_at(20.0)
    session(second, SECOND, grid, "done")
    return [first, second]


def test_csv_holds_one_run(grid: Path) -> None:
    two_sessions(CSVFile, grid)
    with (grid.parent / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["kimg", "tick", "loss/generator", "fd"]
    assert {float(row["kimg"]): float(row["loss/generator"]) for row in rows} == ONE_RUN
    assert len(rows) == len(ONE_RUN)


def test_csv_takes_new_columns_and_survives_half_a_line(tmp_path: Path) -> None:
    common = {"project": "trompe", "run_name": "a-run", "save_dir": tmp_path}
    tracker = CSVFile(**common)
    tracker.log_record({"loss": 1.0}, 1.0)
    tracker.log_record({"fd": 0.1, "loss": float("nan")}, 2.0)
    tracker.log_record({"loss": 3.0}, 3.0)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("4.0,0.")
    CSVFile(**common).log_record({"loss": 4.5}, 4.0)
    expected = "kimg,loss,fd\n1.0,1.0,\n2.0,nan,0.1\n3.0,3.0,\n4.0,4.5,\n"
    assert (tmp_path / "metrics.csv").read_text() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_tensorboard_holds_one_run(grid: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    two_sessions(TensorBoard, grid)
    events = EventAccumulator(str(grid.parent / "run" / "tensorboard" / "a-run"))
    events.Reload()
    points = [(event.step / 1000, event.value) for event in events.Scalars("loss/generator")]
    assert points == list(ONE_RUN.items())
    assert events.Tags()["scalars"] == ["loss/generator", "fd"]
    assert [event.step / 1000 for event in events.Images("samples")] == [10, 20, 30, 40]
    assert events.Images("samples")[0].width == 4
    histogram = events.Histograms("logits/real")[0].histogram_value
    assert histogram.bucket == [1, 2, 5] and histogram.bucket_limit == [0, 1, 3]
    assert histogram.num == 8 and histogram.min == -1
    assert histogram.sum == pytest.approx(-0.5 + 2 * 0.5 + 5 * 2)
    (text,) = events.Tensors("config/text_summary")[:1]
    assert b"z_dim: 128" in text.tensor_proto.string_val[0]
    (content,) = events.PluginTagToContent("hparams").values()
    start = HParamsPluginData.FromString(content).session_start_info
    assert start.group_name == "a-run"  # the title of its line
    texts = {key: value.string_value for key, value in start.hparams.items()}
    assert texts["group"] == "sweep c0ffee" and texts["tags"] == "dcgan, shapes"
    assert start.hparams["model.z_dim"].number_value == 128


def test_tensorboard_renames_the_folder_of_a_copied_run_and_keeps_an_older_one(
    tmp_path: Path,
) -> None:
    for name, folder in (("a-run", "a-run"), ("trial 3: lr 2e-4", "trial 3 lr 2e-4")):
        tracker = TensorBoard("trompe", name, tmp_path)
        tracker.log_record({"loss": 1.0}, 0.5)
        tracker.close("done")
        assert [path.name for path in (tmp_path / "tensorboard").iterdir()] == [folder]
    (events,) = [*(tmp_path / "tensorboard").glob("*/events*")][:1]
    events.rename(tmp_path / "tensorboard" / events.name)
    tracker = TensorBoard("trompe", "a-run", tmp_path)
    tracker.log_record({"loss": 1.0}, 1.0)
    tracker.close("done")
    assert len([*(tmp_path / "tensorboard").glob("events*")]) == 2


def rows(store: Path, query: str) -> list[tuple]:
    with sqlite3.connect(store / "trompe.db") as database:
        return database.execute(query).fetchall()


def test_trackio_holds_one_run(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = grid.parent / "store"
    first, second = two_sessions(Local, grid, store=store)
    assert second.tracker_id == first.tracker_id is not None
    assert capsys.readouterr().out == ""
    logged = rows(store, "SELECT run_id, run_name, step, metrics FROM metrics ORDER BY id")
    assert {row[:2] for row in logged} == {(first.tracker_id, "a-run")}
    records = [(step / 1000, json.loads(metrics)) for *_, step, metrics in logged]
    points = [(s, r["loss/generator"]) for s, r in records if "loss/generator" in r]
    # Trackio cannot forget what was logged beyond the checkpoint; the rest is there once.
    assert points == [*FIRST.items(), *SECOND.items()]
    assert all(r["kimg"] == s for s, r in records if "kimg" in r)
    assert all("tick" not in r for _, r in records)
    images = [r["samples"]["file_path"] for _, r in records if "samples" in r]
    assert len(images) == 5
    assert all((store / "media" / image).read_bytes() == grid.read_bytes() for image in images)
    histograms = [r["logits/real"] for _, r in records if "logits/real" in r]
    assert histograms[0]["values"] == [1, 2, 5] and len(histograms) == 5
    ((config,),) = rows(store, "SELECT config FROM configs")
    shown = json.loads(config)
    assert shown["model"] == CONFIG["model"]
    assert shown["_Group"] == "sweep c0ffee" and shown["tags"] == "dcgan, shapes"


def test_trackio_tells_fractions_of_a_kimg_apart(tmp_path: Path, grid: Path) -> None:
    tracker = Local("trompe", "a-run", tmp_path, store=tmp_path)
    for kimg in (0.0, 0.064, 0.128):
        tracker.log_images("samples", grid, kimg)
    tracker.close("done")
    logged = rows(tmp_path, "SELECT step, metrics FROM metrics ORDER BY id")
    assert [step for step, _ in logged] == [0, 64, 128]
    captions = [json.loads(metrics)["samples"]["caption"] for _, metrics in logged]
    assert captions == ["0 kimg", "0.064 kimg", "0.128 kimg"]


def test_trackio_resumes_a_run_by_its_id_whatever_it_is_called(tmp_path: Path) -> None:
    """One of an older version too, in the steps that it was begun with."""
    first = Local("trompe", "2026-01-01_a1b2c3", tmp_path, store=tmp_path)
    first.images_per_step = 1000
    first.log_record({"loss": 1.0}, 10.0)
    first.close("interrupted")
    second = Local("trompe", "lr 2e-4 · a1b2c3", tmp_path, first.tracker_id, store=tmp_path)
    second.images_per_step = 1000
    second.log_record({"loss": 2.0}, 20.0)
    second.close("done")
    assert second.tracker_id == first.tracker_id
    assert rows(tmp_path, "SELECT DISTINCT run_id, run_name FROM metrics") == [
        (first.tracker_id, "2026-01-01_a1b2c3")
    ]
    assert rows(tmp_path, "SELECT step FROM metrics ORDER BY id") == [(10,), (20,)]


def test_trackio_keeps_two_runs_of_one_name_apart(tmp_path: Path) -> None:
    # Also a second store in one process: Trackio by itself reads its folder only at import.
    for loss in (1.0, 2.0):
        tracker = Local("trompe", "a-run", tmp_path, store=tmp_path / "store")
        tracker.log_record({"loss": loss}, 1.0)
        tracker.close("done")
    assert rows(tmp_path / "store", "SELECT COUNT(DISTINCT run_id) FROM metrics") == [(2,)]


def test_trackio_store_of_a_killed_run_is_readable(tmp_path: Path) -> None:
    script = """
import sys, time
from trompe.loggers.local import Local
tracker = Local("trompe", "a-run", sys.argv[1], store=sys.argv[1])
tracker.log_config({"seed": 0})
tracker.log_record({"loss": 1.0}, 1.0)
time.sleep(1.2)  # Trackio writes every half second
tracker.log_record({"loss": 2.0}, 2.0)
import os; os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert rows(tmp_path, "SELECT step FROM metrics WHERE step = 1000") == [(1000,)]


def wandb_records(path: Path) -> list:
    """The records of a .wandb file: LevelDB's log format, 32 KiB blocks, after 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, pending, records = path.read_bytes(), 7, b"", []
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        length, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        pending += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            records.append(Record.FromString(pending))
            pending = b""
    return records


def test_wandb_offline_holds_one_run(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    monkeypatch.setenv("WANDB_CONFIG_DIR", str(grid.parent))
    first, second = two_sessions(WeightsAndBiases, grid, mode="offline")
    wandb.teardown()  # W&B's own process writes on after `finish`, until its end
    assert second.tracker_id == first.tracker_id is not None
    folders = sorted((grid.parent / "run" / "wandb").glob("offline-run-*"))
    records = [r for folder in folders for f in folder.glob("*.wandb") for r in wandb_records(f)]
    runs = [r.run for r in records if r.HasField("run")]
    assert {run.run_id for run in runs} == {first.tracker_id}
    assert {(run.display_name, run.run_group) for run in runs} == {("a-run", "sweep c0ffee")}
    assert list(runs[-1].tags) == ["dcgan", "shapes"]
    assert {r.metric.options.hidden for r in records if r.metric.name == "kimg"} == {True}
    axes = {(r.metric.glob_name, r.metric.step_metric) for r in records if r.HasField("metric")}
    assert ("*", "kimg") in axes
    history = [
        {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in r.history.item}
        for r in records
        if r.HasField("history")
    ]
    points = [(row["kimg"], row["loss/generator"]) for row in history if "loss/generator" in row]
    assert sorted(points) == sorted([*FIRST.items(), *SECOND.items()])
    assert all("kimg" in row and "tick" not in row for row in history)
    media = [row for row in history if "samples" in row or "samples/path" in row]
    assert len(media) == 5
    images = {p.read_bytes() for p in folders[0].glob("files/media/images/*.png")}
    assert images == {grid.read_bytes()}
    assert sum("5]" in json.dumps(row) and "histogram" in json.dumps(row) for row in history) == 5
    configs = [u for r in records if r.HasField("config") for u in r.config.update]
    assert {"model": CONFIG["model"]}.items() <= {
        u.key: json.loads(u.value_json) for u in configs
    }.items()


def test_wandb_online_without_account_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    tracker = WeightsAndBiases("trompe", "a-run", tmp_path)
    with pytest.raises(UserError, match="logger=wandb_offline") as caught:
        tracker.log_config(CONFIG)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [CSVFile, TensorBoard, Local, WeightsAndBiases])
def test_construction_and_other_ranks_write_nothing(
    kind: type[Tracker], tmp_path: Path, grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"store": tmp_path / "store"} if kind is Local else {}
    tracker = kind(project="trompe", run_name="a-run", save_dir=tmp_path / "run", **options)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    session(tracker, FIRST, grid, "done")
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


def test_heavy_packages_are_lazy() -> None:
    script = """
import sys
from trompe.loggers import csv_file, local, tensorboard, weights_and_biases
print(sorted({"wandb", "trackio"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_lightning_metrics_need_kimg(tmp_path: Path) -> None:
    tracker = CSVFile("trompe", "a-run", tmp_path)
    tracker.log_metrics({"loss": 1.0, "kimg": 5.0}, step=77)
    with pytest.warns(UserWarning, match="lr"):
        tracker.log_metrics({"lr": 1.0}, step=78)
    assert (tmp_path / "metrics.csv").read_text() == "kimg,loss\n5.0,1.0\n"


def test_a_histogram_has_one_edge_more_than_counts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 counts need 4 edges"):
        CSVFile("trompe", "a-run", tmp_path).log_histogram("logits", [1, 2, 3], [0.0, 1.0], 1.0)
