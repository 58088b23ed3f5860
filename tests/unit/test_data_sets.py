"""The image sets themselves, each offline."""

import functools
import math
import socket
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import CIFAR10, MNIST, CelebA, FashionMNIST

from trompe.data.image_data import Batch
from trompe.data.patches import Patches, packaged
from trompe.data.picture_folder import ImageFolder
from trompe.data.shapes import COLORS, KINDS, Shapes
from trompe.data.stream import IndexStream
from trompe.data.torchvision_set import TorchvisionSet
from trompe.engine.clock import Clock
from trompe.engine.share import Share
from trompe.errors import UserError


@pytest.fixture
def common(tmp_path: Path) -> dict[str, Any]:
    return {
        "resolution": 16,
        "channels": 3,
        "cache_dir": str(tmp_path / "cache"),
        "validation_fraction": 0.25,
        "split_seed": 0,
        "flip": False,
        "memory_limit_mb": 16,
    }


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_shapes_are_a_function_of_their_parameters(common: dict[str, Any], tmp_path: Path) -> None:
    first, again = Shapes(40, 0, **common), Shapes(40, 0, **common | {"cache_dir": str(tmp_path)})
    assert torch.equal(first.decoded.images, again.decoded.images)
    assert first.fingerprint == again.fingerprint
    other = Shapes(40, 1, **common)
    assert not torch.equal(first.decoded.images, other.decoded.images)
    assert first.fingerprint != other.fingerprint
    longer = Shapes(60, 0, **common)
    assert torch.equal(longer.decoded.images[:40], first.decoded.images)


def test_shapes_show_what_their_factors_say(common: dict[str, Any]) -> None:
    modes = len(KINDS) * len(COLORS)
    data = Shapes(2 * modes, 0, **common | {"resolution": 64})
    images, labels = data.decoded.images, data.decoded.labels
    assert torch.bincount(labels).tolist() == [2] * modes
    background = images[:, :, 0, 0]
    assert (background == background[0]).all()
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        factors = data.factors(i)
        assert data.class_names[label] == f"{factors['color']} {factors['kind']}"
        shape = (image.int() - background[0, :, None, None].int()).abs().sum(0) > 60
        y, x = torch.nonzero(shape).float().add(0.5).mean(0) / 64
        assert (x, y) == pytest.approx((factors["x"], factors["y"]), abs=0.02)
        color = image[:, int(y * 64), int(x * 64)].tolist()
        assert color == list(COLORS[factors["color"]])
        reach = torch.nonzero(shape).float().add(0.5).div(64).sub(torch.stack([y, x]))
        assert reach.norm(dim=1).max() == pytest.approx(factors["radius"], abs=0.04)
        area = {"circle": math.pi, "square": 2.0, "triangle": 3**1.5 / 4, "cross": 1.92}
        if factors["kind"] in area:
            expected = area[factors["kind"]] * (factors["radius"] * 64) ** 2
            assert shape.sum() == pytest.approx(expected, rel=0.2)


def test_shapes_have_smooth_edges(common: dict[str, Any]) -> None:
    image = Shapes(1, 0, **common | {"resolution": 64}).decoded.images[0]
    assert len(image.flatten(1).unique(dim=1).T) > 10


def test_no_shapes_are_refused(common: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"data.size=0"):
        Shapes(0, 0, **common)


def test_patches_need_no_network(offline: None, common: dict[str, Any]) -> None:
    data = Patches("coffee", 100, 100, 1, **common | {"resolution": 100})
    with Image.open(packaged()["coffee"]) as picture:
        photograph = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)
    assert len(data.decoded.images) == 4 * 6
    assert torch.equal(data.decoded.images[7], photograph[:, 100:200, 100:200])
    assert data.class_names == ["coffee"] and not data.decoded.labels.any()


def test_patches_are_turned_and_mirrored(common: dict[str, Any]) -> None:
    sets = [Patches("coffee", 16, 150, n, **common).decoded.images for n in (1, 4, 8)]
    assert [len(s) for s in sets] == [12, 48, 96]
    eight = sets[2].view(12, 8, 3, 16, 16)
    assert torch.equal(eight[:, 0], sets[0])
    assert torch.equal(eight[:, :4], sets[1].view(12, 4, 3, 16, 16))
    assert torch.equal(eight[:, 1], eight[:, 0].rot90(1, (-2, -1)))
    assert torch.equal(eight[:, 4], eight[:, 0].flip(-1))
    assert len({image.numpy().tobytes() for image in eight[5]}) == 8


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": "nothing"}, r"data.image=nothing .*coffee.*ihc"),
        ({"patch_size": 401}, r"data.patch_size=401 is too large: coffee has 600 x 400"),
        ({"stride": 0}, "data.stride=0"),
        ({"orientations": 3}, "data.orientations=3 must be 1, 4 or 8"),
        ({"patch_size": 8}, "smaller than 16 pixels"),
    ],
)
def test_wrong_patches_are_refused(
    common: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    parameters = {"image": "coffee", "patch_size": 64, "stride": 64, "orientations": 1}
    with pytest.raises(UserError, match=said):
        Patches(**(parameters | changes), **common).setup()


def write_idx(root: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    """MNIST's own file format."""
    root.mkdir(parents=True)
    for part in ("train", "t10k"):
        header = struct.pack(">4BIII", 0, 0, 8, 3, *pixels.shape)
        (root / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        header = struct.pack(">4BI", 0, 0, 8, 1, len(labels))
        (root / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_mnist_is_enlarged(kind: type, offline: None, common: dict, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    labels = (np.arange(20) % 10).astype(np.uint8)
    changes: dict[str, Any] = {"resolution": 32, "channels": 1}
    fingerprints = set()
    for name in ("here", "there"):
        write_idx(tmp_path / name / kind.__name__ / "raw", pixels, labels)
        make = functools.partial(kind, train=True)
        root = str(tmp_path / name)
        data = TorchvisionSet(make, root, **common | changes, allow_upscale=True)
        assert data.decoded.images.shape == (20, 1, 32, 32)
        assert data.decoded.labels.tolist() == labels.tolist()
        assert data.class_names == kind.classes
        fingerprints.add(data.fingerprint)
    assert len(fingerprints) == 1
    native = TorchvisionSet(make, root, **common | changes | {"resolution": 28})
    assert np.array_equal(native.decoded.images[:, 0].numpy(), pixels)
    with pytest.raises(UserError, match=r"20 of 20 images of torchvision's .*allow_upscale"):
        TorchvisionSet(make, root, **common | changes).setup()


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, CIFAR10, CelebA])
def test_missing_set_says_where_it_looked(kind: type, common: dict, tmp_path: Path) -> None:
    data = TorchvisionSet(functools.partial(kind), str(tmp_path / "root"), **common)
    with pytest.raises(UserError) as caught:
        data.setup()
    message = str(caught.value)
    assert kind.__name__ in message and str(tmp_path / "root") in message
    assert "set data.download=true" in message and "\n" not in message


@pytest.mark.parametrize("kind", [MNIST, CIFAR10])
def test_failed_download_is_one_line(
    kind: type, offline: None, common: dict, tmp_path: Path
) -> None:
    data = TorchvisionSet(functools.partial(kind), str(tmp_path), download=True, **common)
    with pytest.raises(UserError, match=f"{kind.__name__} could not be downloaded") as caught:
        data.setup()
    assert "\n" not in str(caught.value)


def test_celeba_is_known_by_its_files(common: dict[str, Any], tmp_path: Path) -> None:
    class Faces:
        """The part of CelebA that is used, whose check wants the genuine archive."""

        root, base_folder, filename = str(tmp_path), "celeba", ["1.png", "2.png"]

        def __init__(self, root: str, download: bool) -> None:
            assert (root, download) == (str(tmp_path), False)

        def __len__(self) -> int:
            return len(self.filename)

        def __getitem__(self, index: int) -> tuple[Image.Image, Tensor]:
            path = Path(self.root, "celeba/img_align_celeba", self.filename[index])
            return Image.open(path).copy(), torch.zeros(40)

    folder = tmp_path / "celeba/img_align_celeba"
    folder.mkdir(parents=True)
    for i, name in enumerate(Faces.filename):
        Image.new("RGB", (20, 24), (i, 0, 0)).save(folder / name)
    data = TorchvisionSet(functools.partial(Faces), str(tmp_path), **common)
    assert data.decoded.images[:, 0, 0, 0].tolist() == [0, 1]
    assert data.class_names == ["Faces"] and data.decoded.labels.tolist() == [0, 0]
    Image.effect_noise((20, 24), 50).save(folder / "2.png")
    changed = TorchvisionSet(functools.partial(Faces), str(tmp_path), **common)
    assert changed.fingerprint != data.fingerprint


def test_splits_share_out_the_images(common: dict[str, Any]) -> None:
    data = Shapes(40, 0, **common)
    sizes = {name: data.split_size(name) for name in ("train", "validation")}
    assert sizes == {"train": 30, "validation": 10}
    parts = [data.gather(name, torch.arange(size)) for name, size in sizes.items()]
    shown = {i.numpy().tobytes() for part in parts for i in part.images}
    assert shown == {i.numpy().tobytes() for i in data.decoded.images}
    assert sorted(torch.cat([p.labels for p in parts]).tolist()) == sorted(
        data.decoded.labels.tolist()
    )
    with pytest.raises(UserError, match="split=test is neither"):
        data.split_size("test")


def test_fingerprint_tells_splits_apart(common: dict[str, Any]) -> None:
    changes: list[dict] = [{}, {"split_seed": 1}, {"validation_fraction": 0.5}, {"resolution": 8}]
    sets = [Shapes(40, 0, **common | change) for change in changes]
    assert len({data.fingerprint for data in sets}) == 4
    assert Shapes(40, 0, **common | {"flip": True}).fingerprint == sets[0].fingerprint


def test_folder_through_the_datamodule(common: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for i in range(3):
        Image.new("RGB", (20, 20), (i, 0, 0)).save(tmp_path / f"set/{i}.png")
    data = ImageFolder(str(tmp_path / "set"), **common)
    data.prepare_data()
    data.setup("fit")
    assert data.split_size("train") == 2
    assert (Path(common["cache_dir"]) / "fingerprints").is_dir()


class Recorder(pl.LightningModule):
    """A method that trains nothing and keeps what it was given."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.clock, self.seed, self.share = clock, 1, Share()
        self.batches: list[Batch] = []
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters())

    def training_step(self, batch: Batch) -> None:
        assert isinstance(batch, Batch)
        self.batches.append(batch)
        self.clock.advance()


def test_trainer_gets_the_stream_across_ticks(common: dict[str, Any]) -> None:
    data = Shapes(40, 0, **common)
    method = Recorder(Clock(0.072, 0.024, 8))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(method, datamodule=data)
    assert method.clock.images == 72
    shown = [torch.cat(parts) for parts in zip(*method.batches, strict=True)]
    expected = data.gather("train", IndexStream(30, seed=1).indices(0, 72))
    assert torch.equal(shown[0], expected.images) and torch.equal(shown[1], expected.labels)
