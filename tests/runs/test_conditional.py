"""`conditional=true` from the command line: train, resume, sample, evaluate, export, reproduce."""

import json
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

import trompe as library
from tests.conftest import FAMILIES, TINY, Trompe, check_weights, difference, load, values
from tests.runs.exporting import exported
from tests.runs.test_resume import RESULT
from trompe.data.robohash import Robohash
from trompe.data.shapes import COLORS, KINDS, Shapes
from trompe.errors import UserError
from trompe.runs.run_folder import RunFolder

MEASURES = "metrics.random_conv.measures=[fd,fd_per_class,kd_per_class,precision_per_class]"
CONDITIONAL = [*TINY, "conditional=true", "data.label=color", "samples.count=20", MEASURES]
DCGAN = [*CONDITIONAL, *FAMILIES["dcgan"]]
# What is normalized over a batch would depend on how many processes it is divided over.
ALONE = ["model.generator.norm.path=torch.nn.InstanceNorm2d", "model.discriminator.norm=null"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Trompe:
    trompe = Trompe(tmp_path_factory.mktemp("conditional"), cache)
    trompe("train", *DCGAN)
    return trompe


def test_the_run_has_the_number_and_the_names(trained: Trompe) -> None:
    (run,) = trained.runs()
    model = run.read_config()["model"]
    parts = model, model["generator"], model["discriminator"]
    assert [part["classes"] for part in parts] == [5, 5, 5]
    assert run.read_facts()["class_names"] == list(COLORS)
    record = run.read_metrics()[-1]
    assert {"fd_per_class_random_conv", "precision_per_class_random_conv"} <= record.keys()
    (grid, *_) = sorted((run.path / "samples").glob("[0-9]*.png"))
    for file in (grid, run.path / "samples" / "real.png"):
        with Image.open(file) as picture:  # 5 rows of 4
            assert picture.size == (4 * 18 - 2, 5 * 18 - 2)


def test_it_resumes_bitwise_and_is_reproduced(trompe: Trompe, trained: Trompe) -> None:
    (whole,) = trained.runs()
    killed = trompe.stop_after(1, signal.SIGKILL, "train", *DCGAN, "resume=auto")
    trompe("train", *DCGAN, "resume=auto")
    (same,) = trompe.runs()
    assert same.path == killed.path
    a, b = load(whole.last_checkpoint), load(killed.last_checkpoint)
    assert difference({k: a[k] for k in RESULT}, {k: b[k] for k in RESULT}) is None
    assert values(whole) == values(killed)
    assert "verdict: bitwise equal" in trained("reproduce", str(whole.path), "ticks=2").stdout


def test_two_processes_equal_one(trompe: Trompe) -> None:
    arguments = ["train", *DCGAN, *ALONE, "+model.optimizer.eps=1e-4", "kimg=0.096"]
    trompe(*arguments, "name=a_one")
    trompe(*arguments, "name=b_two", "trainer=ddp_cpu")
    one, two = trompe.runs()
    for a, b in zip(values(one), values(two), strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)
    check_weights(one, two, 1e-6)


def test_samples_by_class(trained: Trompe) -> None:
    (run,) = trained.runs()
    trained("sample", str(run.path), "label=green", "n=3", "out=green")
    green = trained.folder / "green"
    files = sorted(path.name for path in (green / "images" / "green").iterdir())
    assert files == ["0000.png", "0001.png", "0002.png"]
    done = trained("sample", str(run.path), "seeds=0-2", "out=green", "overwrite=true")
    assert "15 images" in done.stdout and "red, yellow, green, blue, black" in done.stdout
    folders = {path.name for path in (green / "images").iterdir()}
    assert folders == set(COLORS) and (green / "interpolation.gif").is_file()
    with Image.open(green / "grid.png") as picture:
        assert picture.size == (3 * 18 - 2, 5 * 18 - 2)
    told = trained.fails("sample", str(run.path), "label=gren")
    assert "label=gren is no class of" in told and "did you mean green?" in told

    opened = library.load(run.path)
    assert opened.class_names == list(COLORS)
    pictures = opened.sample(seeds=[0, 1, 2], label=["green", 0])
    assert pictures.grid().size == (3 * 18 - 2, 2 * 18 - 2)
    alone = opened.sample(seeds=[1], label="green").images[0]
    assert torch.equal(pictures.images[1], alone)
    with Image.open(green / "images" / "green" / "0001.png") as picture:
        assert picture.tobytes() == pictures[1].tobytes()
    with pytest.raises(UserError, match="did you mean black"):
        opened.sample(label="blac")


def test_measures_per_class_are_in_the_card(trained: Trompe) -> None:
    (run,) = trained.runs()
    own = [o for o in TINY if o.startswith("metrics")]
    trained("evaluate", str(run.path), "checkpoint=last", *own, MEASURES, "out=card.json")
    card = json.loads((trained.folder / "card.json").read_text())
    entry = card["values"]["kd_per_class_random_conv"]
    assert entry["value"] == run.read_metrics()[-1]["kd_per_class_random_conv"]
    assert set(entry["classes"]) == set(COLORS)
    assert entry["value"] == pytest.approx(sum(entry["classes"].values()) / 5)
    assert entry["interval_95"] is not None


def test_a_conditional_model_is_exported_with_its_labels(trained: Trompe) -> None:
    (run,) = trained.runs()
    out = exported(run, "format=[safetensors,torch_export,onnx]")
    facts = json.loads((out / "model.json").read_text())
    assert facts["inputs"]["labels"]["dtype"] == "int64"
    assert facts["class_names"] == list(COLORS)
    assert "| `labels` | `(batch)` | classes, from 0 to 4 |" in (out / "README.md").read_text()
    with pytest.raises(UserError, match=r"^format=web: the page asks for no class"):
        exported(run, "format=[web]")


def test_a_variation_has_the_classes_of_its_data(trained: Trompe) -> None:
    (run,) = trained.runs()
    short = ["kimg=0.048", "metrics=[random_conv]", "metrics.random_conv.measures=[fd]"]
    trained(
        "train",
        f"run={run.path}",
        "data=shapes",
        "data.label=kind",
        *short,
        "paths.output_dir=kinds",
    )
    (kinds,) = (RunFolder(path.parent) for path in trained.folder.glob("kinds/*/*/run.json"))
    assert kinds.read_config()["model"]["classes"] == len(kinds.read_facts()["class_names"]) == 5
    assert kinds.read_facts()["class_names"] == list(KINDS)
    trained("train", f"run={run.path}", "conditional=false", *short, "paths.output_dir=plain")
    (plain,) = (RunFolder(path.parent) for path in trained.folder.glob("plain/*/*/run.json"))
    model = plain.read_config()["model"]
    assert model["classes"] == model["generator"]["classes"] == 0
    assert "class_names" not in plain.read_facts()
    told = trained.fails("sample", str(plain.path), "label=red")
    assert "makes images without labels" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["model=mlp_gan"], "model.generator._target_=trompe.networks.mlp.MLPGenerator takes no"),
        (["model=dcgan", "data=patches"], "needs images of at least two classes, and the data"),
        (["model=dcgan", "model.generator.norm=null"], "leaves no place for the classes"),
        (["model=dcgan", "conditional=yes"], "conditional=yes must be true or false"),
        (["model=dcgan", "conditional=false", "model.classes=3"], "filled in by conditional=true"),
        (["model=dcgan", "conditional=false", MEASURES], "compares images with their labels"),
    ],
)
def test_mistakes_are_one_line(trompe: Trompe, arguments: list[str], told: str) -> None:
    plain = [o for o in TINY if not o.startswith("data")] if "data=patches" in arguments else TINY
    assert told in trompe.fails("train", *plain, "conditional=true", *arguments)
    assert trompe.runs() == []


def test_a_run_with_another_number_of_classes_does_not_go_on(trompe: Trompe) -> None:
    pictures = trompe.folder / "pictures"
    for name, shade in (("a", 0), ("b", 255)):
        for i in range(6):
            path = pictures / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (shade, 40 * i, 0)).save(path)
    plain = [o for o in TINY if not o.startswith(("data", "metrics"))]
    data = ["data=folder", f"data.path={pictures}", "data.resolution=16", "conditional=true"]
    few = ["metrics=null", "samples=null", "kimg=0.096"]
    trompe("train", *plain, *FAMILIES["sndcgan"], *data, *few)
    (run,) = trompe.runs()
    assert run.read_facts()["class_names"] == ["a", "b"]
    (pictures / "c").mkdir()
    Image.new("RGB", (16, 16)).save(pictures / "c" / "0.png")
    told = trompe.fails("train", f"run={run.path}", "kimg=0.192")
    assert "the data have 3 classes, but" in told and "was begun with 2" in told


# The class asked for is the class made

LEARNING = [
    *("model=dcgan", "model.generator.width=16", "model.discriminator.width=16"),
    *("model.discriminator.norm=null", "model.penalties.r1=0.1"),
    *("model.optimizer.lr=1e-3", "model.optimizer.betas=[0,0.99]", "batch_size=32"),
    *("data.resolution=16", "conditional=true", "metrics=null", "samples=null", "logger=[]"),
    *("trainer=cpu", "trainer.precision=32-true", "tick_kimg=5", "checkpoint.monitor=null"),
]


def means_of(images: Tensor, background: Tensor, count: int) -> Tensor:
    """The mean color (N, 3) of the `count` pixels that differ most from the background."""
    pixels = images.float().flatten(2).transpose(1, 2)
    farthest = (pixels - background).norm(dim=2).topk(count, dim=1).indices
    return pixels.gather(1, farthest[:, :, None].expand(-1, -1, 3)).mean(1)


def agreement(
    run: RunFolder, data: Shapes | Robohash, background: Tensor, count: int
) -> tuple[float, float]:
    """How often the nearest class, by mean colors, is the right one: held-out, generated."""
    data.setup()
    batch = data.gather("train", torch.arange(1000))
    colors = means_of(batch.images, background, count)
    classes = len(data.class_names)
    centers = torch.stack([colors[:500][batch.labels[:500] == i].mean(0) for i in range(classes)])

    def right(means: Tensor, labels: Tensor) -> float:
        return float((torch.cdist(means, centers).argmin(1) == labels).double().mean())

    made = library.load(run.path, "last").sample(range(40), label=data.class_names).images
    asked = torch.arange(classes).repeat_interleave(40)
    return right(colors[500:], batch.labels[500:]), right(means_of(made, background, count), asked)


COMMON = {"channels": 3, "validation_fraction": 0.0, "split_seed": 0, "flip": False}


@pytest.mark.slow
def test_the_class_asked_for_is_the_class_made_of_shapes(trompe: Trompe, tmp_path: Path) -> None:
    trompe("train", *LEARNING, "data=shapes", "data.label=color", "kimg=40")
    (run,) = trompe.runs()
    data = Shapes(1000, 9, 16, "color", cache_dir=str(tmp_path), memory_limit_mb=64, **COMMON)
    real, made = agreement(run, data, torch.tensor([235.0, 235.0, 230.0]), 8)
    assert real > 0.95 and made > 0.8, (real, made)


@pytest.mark.slow
def test_the_class_asked_for_is_the_class_made_of_robots(trompe: Trompe, tmp_path: Path) -> None:
    robots = ["data=robohash", "data.set=robots", "data.size=2000", "data.label=color"]
    trompe("train", *LEARNING, *robots, "kimg=40")
    (run,) = trompe.runs()
    options = {"cache_dir": str(tmp_path), "memory_limit_mb": 64, **COMMON}
    data = Robohash("robots", 1000, 9, "color", 16, **options)
    real, made = agreement(run, data, torch.full((3,), 255.0), 24)
    assert real > 0.95 and made > 0.8, (real, made)
