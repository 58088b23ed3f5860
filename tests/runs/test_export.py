"""`trompe export`: files that do without trompe what the run does."""

import base64
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from tests.conftest import TINY_STYLE, Trompe
from tests.runs.exporting import GAN, MODELS, configured, exported, found, module_of, train_gan
from tests.runs.test_cyclegan import arguments as translation
from tests.runs.test_stylize import make_run, picture
from trompe.exports import web, web_runtime, weights_file
from trompe.exports.source import source_of
from trompe.runs.run_folder import RunFolder

WITHOUT_TROMPE = "import sys; sys.modules['trompe'] = None\n"  # importing it raises ImportError
FILES = {"README.md", "parity.json"}


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunFolder:
    return train_gan(tmp_path_factory.mktemp("gan"), cache)


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
    assert values["inputs"] in (64, 66)  # in batches of 3, the last begins again
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


STYLE = TINY_STYLE[1:]
LATER = [override for override in STYLE if "warmup" not in override]
TRAINED = {
    "gan": GAN,
    "palette": MODELS["palette"],
    "transformer": TINY_STYLE,
    "adain": ["model=adain", *STYLE],
    "johnson": ["model=johnson", *(o for o in LATER if "discriminator" not in o)],
    "ast": ["model=ast", *LATER],
    "cyclegan": None,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_every_model_in_every_format(name: str, trompe: Trompe) -> None:
    """Of runs that were trained for a moment, with sizes of any kind and with fixed ones."""
    arguments = TRAINED[name] or translation(trompe)[1:]
    kept = [
        o for o in arguments if not o.startswith("model.warmup") or name not in ("johnson", "ast")
    ]
    trompe("train", *kept, "kimg=0.048")
    run = trompe.runs()[0]
    fixed = [] if name == "gan" else ["size=50"]
    for more in ([], [*fixed, "batch=3", f"out={trompe.folder / 'fixed'}"]):
        values = found(exported(run, *more))
        for kind in ("safetensors", "torch_export", "onnx"):
            check_parity(values[kind], 1e-3)


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


def test_weights_are_reloaded_from_the_file_alone(gan: RunFolder, tmp_path: Path) -> None:
    module = module_of(gan)
    path, _ = weights_file.write(module, {}, tmp_path)
    latents = torch.ones(1, 100)
    with torch.no_grad():
        assert torch.equal(weights_file.load(path, module)(latents), module(latents))
    module.register_buffer("missing", torch.zeros(1))
    with pytest.raises(RuntimeError, match="missing"):
        weights_file.load(path, module)


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
