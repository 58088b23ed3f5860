"""`trompe export`: files that do without trompe what the run does."""

import base64
import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from hydra import compose, initialize_config_dir
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from tests.conftest import FAMILIES, TINY, TINY_STYLE, Trompe
from tests.runs.test_full_disks import largest
from tests.runs.test_stylize import make_run, picture
from trompe.command import config_dir
from trompe.errors import UserError
from trompe.exports import parity, web, web_runtime, weights_file
from trompe.exports.exportable import Exportable, Sizes, make_exportable
from trompe.exports.program import trace
from trompe.exports.source import source_of
from trompe.files import CannotWrite
from trompe.methods.capabilities import Latents
from trompe.runs.run_folder import RunFolder
from trompe.tasks.export import export

GAN = [*TINY, *FAMILIES["dcgan"], "kimg=0.048"]
NARROW = ["data.resolution=32", "model.generator.width=4", "model.generator.blocks=1"]
# A network that describes styles and takes no time to trace.
QUICK = [
    "perceptual@model.perceptual=random_conv",
    "model.perceptual.style_layers=[conv1,conv2]",
    "model.perceptual.content_layers=[conv2]",
    "model.perceptual.width=4",
]
PALETTE = [TINY_STYLE[0], "style_generator@model.generator=palette", *TINY_STYLE[1:]]
UNPAIRED = ["data=unpaired", "data.a=x", "data.b=x", "data.resolution=16"]
MODELS = {
    "palette": [*PALETTE, "model.generator.wide=8"],
    "quick": [PALETTE[0], QUICK[0], *PALETTE[1:], *QUICK[1:], "model.generator.wide=8"],
    "transformer": TINY_STYLE,
    "adain": ["model=adain", *NARROW],
    "johnson": ["model=johnson", *NARROW],
    "ast": ["model=ast", "model.discriminator.width=4", *NARROW],
    "cyclegan": ["model=cyclegan", *UNPAIRED, *NARROW[1:], "model.discriminator.width=4"],
}
WITHOUT_TROMPE = "import sys; sys.modules['trompe'] = None\n"  # importing it raises ImportError
FILES = {"README.md", "parity.json"}


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunFolder:
    """A GAN that was trained for a moment."""
    trompe = Trompe(tmp_path_factory.mktemp("gan"), cache)
    trompe("train", *GAN)
    return trompe.runs()[0]


def configured(run: RunFolder, *overrides: str) -> Any:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose("export", [f"run={run.path}", *overrides])


def exported(run: RunFolder, *overrides: str) -> Path:
    return export(configured(run, *overrides))


def module_of(run: RunFolder, sizes: Sizes = Sizes(), **options: Any) -> Exportable:  # noqa: B008
    return make_exportable(source_of(configured(run)).method, options, sizes, run.path)


def found(out: Path) -> dict[str, Any]:
    return json.loads((out / "parity.json").read_text())


def run_python(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TROMPE + code], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def blocks(out: Path) -> dict[str, str]:
    """The card's Python, by the file that it is for."""
    text = (out / "README.md").read_text()
    return dict(re.findall(r"### `(model\.\w+)`.*?\n\n```python\n(.*?)```", text, re.DOTALL))


def image_of(out: Path) -> np.ndarray:
    with Image.open(out / "made.png") as image:
        return np.asarray(image).astype(int)


def pixels_of(made: Tensor) -> np.ndarray:
    return np.rint(made[0].numpy().transpose(1, 2, 0) * 127.5 + 127.5).clip(0, 255).astype(int)


def check_parity(values: dict[str, Any], limit: float) -> None:
    assert values["inputs"] == 64
    assert 0 <= values["mean"] <= values["largest"] <= limit
    assert values["pixels"] < 0.002
    assert values["distance"] < 1e-3 * values["spread"]


def test_a_gan_in_every_format(gan: RunFolder, capsys: pytest.CaptureFixture) -> None:
    out = exported(gan)
    assert out == gan.path / "exported" / "best_0.048"
    names = {path.name for path in out.iterdir()}
    assert names == FILES | {"model.safetensors", "model.json", "model.onnx", "model.pt2"}
    values = found(out)
    for name, limit in (("safetensors", 0), ("torch_export", 0), ("onnx", 1e-5)):
        check_parity(values[name], limit)
        assert values[name]["shapes"] == ["(8, 3, 16, 16)", "(1, 3, 16, 16)"]

    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.partition("without trompe:\n\n")[2].strip().splitlines()
    assert len(lines) == 5
    code = "\n".join([*lines, "print(len(weights), model['run'], sorted(model['inputs']))"])
    weights = load_file(out / "model.safetensors")
    assert run_python(code, gan.path).split() == [str(len(weights)), gan.path.name, "['latents']"]

    stored = torch.load(gan.best_checkpoint, weights_only=True)["state_dict"]
    prefix = "generator_ema.network."
    averaged = {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
    assert {k.removeprefix("generator_ema.") for k in weights} == averaged.keys()
    assert all(torch.equal(weights[f"generator_ema.{k}"], v) for k, v in averaged.items())


def test_the_card_is_valid_and_its_python_runs(gan: RunFolder) -> None:
    out = exported(gan, f"out={gan.path / 'card'}", "license=apache-2.0")
    card = ModelCard.load(out / "README.md")
    card.data.to_dict()
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "trompe")
    assert card.data.pipeline_tag == "unconditional-image-generation"
    assert {"gan", "onnx", "safetensors"} <= {*card.data.tags}
    assert "| `fd_random_conv` |" in card.text and "shapes" in card.text
    code = blocks(out)
    assert code.keys() == {"model.safetensors", "model.onnx", "model.pt2"}
    latents = np.random.default_rng(0).standard_normal((1, 100), dtype="float32")
    with torch.no_grad():
        expected = pixels_of(module_of(gan)(torch.from_numpy(latents)))
    for name in ("model.onnx", "model.pt2"):
        run_python(code[name], out)
        assert np.abs(image_of(out) - expected).max() <= 1, name
    run_python(code["model.safetensors"], out)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_run(tmp_path_factory.mktemp("run") / "quick", MODELS["quick"])


def test_a_stylizer_in_every_format(quick: RunFolder, tmp_path: Path) -> None:
    out = exported(quick, f"out={tmp_path / 'out'}")
    values = found(out)
    for name in ("safetensors", "torch_export", "onnx"):
        check_parity(values[name], 1e-3)
        assert values[name]["shapes"][2:] == ["(2, 3, 67, 93)", "(1, 3, 101, 53)"]
    names = load_file(out / "model.safetensors")
    assert {name.partition(".")[0] for name in names} == {"generator_ema", "perceptual"}
    assert ModelCard.load(out / "README.md").data.pipeline_tag == "image-to-image"
    picture(out / "content.png", 45, 38)
    picture(out / "style.png", 30, 61, seed=3)
    inputs = []
    for name in ("content", "style"):
        with Image.open(out / f"{name}.png") as image:
            array = np.asarray(image.convert("RGB"), dtype="float32")
        inputs.append(torch.from_numpy(array.transpose(2, 0, 1)[None] / 127.5 - 1))
    with torch.no_grad():
        expected = pixels_of(module_of(quick)(*inputs))
    code = blocks(out)
    for name in ("model.onnx", "model.pt2"):
        run_python(code[name], out)
        assert image_of(out).shape == (38, 45, 3)
        assert np.abs(image_of(out) - expected).max() <= 1, name


@pytest.mark.parametrize("name", ["johnson", "ast", "cyclegan"])
def test_pictures_of_any_size_are_what_the_run_makes(name: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / name, MODELS[name])
    more = ["direction=b_to_a"] if name == "cyclegan" else []
    out = exported(run, "format=[safetensors,torch_export]", *more)
    assert out.name == ("last_0.008_b_to_a" if more else "last_0.008")
    for kind in ("safetensors", "torch_export"):
        check_parity(found(out)[kind], 1e-5)
    owners = {key.partition(".")[0] for key in load_file(out / "model.safetensors")}
    assert owners == ({"b_to_a"} if more else {"generator_ema"})


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"quick"}))
@pytest.mark.parametrize("fixed", [False, True])
def test_every_model_in_every_format(name: str, fixed: bool, tmp_path: Path) -> None:
    run = make_run(tmp_path / name, MODELS[name])
    out = exported(run, *(["size=50", "batch=3"] if fixed else []))
    for kind in ("safetensors", "torch_export", "onnx"):
        values = found(out)[kind]
        assert values["largest"] < 1e-3 and values["pixels"] < 0.005, (kind, values)


def test_fixed_sizes_are_those_of_the_file(quick: RunFolder, tmp_path: Path) -> None:
    out = exported(
        quick, "format=[safetensors,torch_export]", "size=34", "batch=3", f"out={tmp_path / 'o'}"
    )
    assert found(out)["torch_export"]["shapes"] == ["(3, 3, 34, 34)"]
    told = json.loads((out / "model.json").read_text())
    assert told["inputs"]["style"]["shape"] == [3, 3, 34, 34]
    program = torch.export.load(out / "model.pt2").module()
    with pytest.raises(Exception, match=r"shape|size|34"):
        program(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64))


def test_a_file_that_does_not_do_what_the_run_does_is_refused(
    gan: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_another(path: Path, module: Exportable) -> Callable[..., Tensor]:
        fresh: Any = original(path, module)
        next(fresh.parameters()).data.view(-1)[0] += 1
        return fresh

    original = weights_file.load
    monkeypatch.setattr(weights_file, "load", load_another)
    out = tmp_path / "some" / "out"
    with pytest.raises(UserError, match=r"format=safetensors: .* differ .* by up to .* nothing"):
        exported(gan, "format=[safetensors]", f"out={out}")
    assert not [*out.parent.iterdir()]


def test_a_model_that_draws_noise_is_refused(gan: RunFolder, tmp_path: Path) -> None:
    """As in the exported program, the noise is another at each call."""
    module = module_of(gan)
    method = module.method
    quiet = method.sample

    def noisy(inputs: Latents) -> Tensor:
        made: Tensor = quiet(inputs)
        return made + 0.01 * torch.randn_like(made)

    method.sample = noisy
    cases = parity.make_cases(module)
    program: Any = trace(module).module()
    with pytest.raises(UserError, match=r"differ from the run.s by up to 0\.0"):
        parity.check(parity.measure(cases, program, "torch_export"), "torch_export")


def test_differences_are_measured(gan: RunFolder) -> None:
    cases = parity.make_cases(module_of(gan))
    assert sum(len(case.expected) for case in cases) == 64
    assert {len(case.expected) for case in cases} == {8, 1}
    again = parity.make_cases(module_of(gan))
    assert all(torch.equal(a.expected, b.expected) for a, b in zip(cases, again, strict=True))
    images = iter(case.expected for case in cases)
    values = parity.measure(cases, lambda latents: next(images) + 0.25, "x")
    assert values["largest"] == pytest.approx(0.25) and values["mean"] == pytest.approx(0.25)
    assert values["pixels"] > 0.9 and values["distance"] > 10 * values["spread"]
    images = iter(case.expected for case in cases)
    broken = parity.measure(cases, lambda latents: next(images) * float("nan"), "x")
    with pytest.raises(UserError, match="by up to inf"):
        parity.check(broken, "x")


def test_weights_are_reloaded_from_the_file_alone(gan: RunFolder, tmp_path: Path) -> None:
    module = module_of(gan)
    path, _ = weights_file.write(module, {}, tmp_path)
    latents = torch.ones(1, 100)
    with torch.no_grad():
        assert torch.equal(weights_file.load(path, module)(latents), module(latents))
    module.register_buffer("missing", torch.zeros(1))
    with pytest.raises(RuntimeError, match="missing"):
        weights_file.load(path, module)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["format=[pickle]"], "format=pickle must be some of safetensors, torch_export, onnx, web"),
        (["format=[]"], "exports nothing"),
        (["batch=0"], "batch=0 must be a whole number of at least 1"),
        (["batch=1.5"], "batch=1.5 must be a whole number"),
        (["size=32"], "makes images from latents, in one size: leave size= out"),
        (["direction=a_to_b"], "has no such option"),
        (["checkpoint=first"], "checkpoint=first is neither best nor last"),
        (["format=[safetensors]", "license=null"], "license=null must be a word"),
        (["format=[web]", "web_runtime=nowhere.tgz"], "web_runtime=nowhere.tgz cannot be read"),
        (["format=[web]", f"web_runtime='{__file__}'"], "is not the file of onnxruntime-web"),
    ],
)
def test_mistakes_are_said_and_leave_nothing(
    overrides: list[str], said: str, gan: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        exported(gan, *overrides, f"out={tmp_path / 'made' / 'out'}")
    assert not [*tmp_path.rglob("out*")] and not [*tmp_path.rglob("*.tmp")]


@pytest.mark.parametrize("name", ["safetensors", "torch_export", "onnx"])
def test_a_full_disk_is_said_and_leaves_nothing(name: str, gan: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"
    cfg = configured(gan, f"format=[{name}]", f"out={out}")
    with largest(20_000), pytest.raises(CannotWrite, match="File too large"):
        export(cfg)
    assert not [*out.parent.iterdir()]


def test_only_what_was_exported_is_replaced(gan: RunFolder, tmp_path: Path) -> None:
    more = ["format=[safetensors]", f"out={tmp_path / 'out'}"]
    out = exported(gan, *more)
    with pytest.raises(UserError, match="already exists: set overwrite=true"):
        exported(gan, *more)
    exported(gan, *more, "overwrite=true")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds other files too, such as notes\.txt"):
        exported(gan, *more, "overwrite=true")
    assert (out / "notes.txt").read_text() == "mine"


def test_small_pictures_are_refused(quick: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="size=8 must be at least 16 pixels"):
        exported(quick, "size=8", f"out={tmp_path / 'out'}")


def test_the_web_runtime_is_the_pinned_one_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"there is no npm to fetch it: .* web_runtime="):
        web_runtime.find(None, tmp_path / "cache")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error: offline' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(UserError, match=r"npm could not fetch .* \(npm error: offline\)"):
        web_runtime.find(None, tmp_path / "cache")
    npm.write_text("#!/bin/sh\n: > onnxruntime-web-1.30.0.tgz\n")
    with pytest.raises(UserError, match="its SHA-512 differs"):
        web_runtime.find(None, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_the_folder_of_a_page(gan: RunFolder, quick: RunFolder, tmp_path: Path) -> None:
    runtime = web_runtime.Runtime("globalThis.onnxruntime = {};", gzip.compress(b"binary"))
    model = tmp_path / "model.onnx"
    model.write_bytes(b"a model")
    for run, text in ((gan, "The first 24 of 100 coordinates"), (quick, "style-drop")):
        source = source_of(configured(run))._replace(name="<b>&</script>{{css}}")
        folder = tmp_path / run.path.name
        web.write(module_of(run), source, model, runtime, folder)
        assert {path.name for path in folder.iterdir()} == {"index.html", "model.js", "runtime.js"}
        packed = (folder / "model.js").read_text().split('"')[1]
        assert gzip.decompress(base64.b64decode(packed)) == b"a model"
        page = (folder / "index.html").read_text()
        assert text in page and "&lt;b&gt;&amp;&lt;/script&gt;{{css}}" in page
        assert page.count("{{") == page.count("{{css}}")
        assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
