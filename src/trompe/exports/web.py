"""The web folder: one page, opened by a double click, that runs the model in the browser.

A page that was opened from a file cannot fetch others, but can load scripts: model and runtime
are in such, as text.
"""

import base64
import gzip
import html
import io
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

from trompe.data.painter import STYLES, paint
from trompe.data.photographs import PackagedPhotographs
from trompe.exports.exportable import Exportable
from trompe.exports.source import Source
from trompe.exports.web_runtime import VERSION, Runtime

_PHOTOGRAPHS = ("coffee", "chelsea", "astronaut")  # the first is shown when the page opens
_SIDE = 384  # pixels of a sample's longer side
_STYLE_SIDE = 256  # shorter side of styles in pixels, as in `trompe stylize`
_SIZES = (128, 192, 256, 384, 512, 768)  # longer side of contents, pixels
_FIRST = 256


def write(module: Exportable, source: Source, model: Path, runtime: Runtime, folder: Path) -> None:
    """Write the page and its scripts.

    Args:
        module: that was exported.
        source: of the method.
        model: the ONNX file.
        runtime: that runs it.
        folder: to make.
    """
    folder.mkdir()
    packed = gzip.compress(model.read_bytes(), mtime=0)
    for name, variable, content in (
        ("model.js", "MODEL", packed),
        ("runtime.js", "RUNTIME", runtime.binary),
    ):
        text = base64.b64encode(content).decode()
        (folder / name).write_text(f'globalThis.{variable} = "{text}";\n')
    kind = "latents" if module.inputs[0].name == "latents" else "pictures"
    page = _fill(
        _part("page.html"),
        title=html.escape(source.name),
        subtitle=html.escape(_subtitle(module, source)),
        css=_part("page.css"),
        kind=kind,
        body=_latents(module) if kind == "latents" else _pictures(module),
        version=VERSION,
        # A "</script>" in a value would end the script that holds the data.
        meta=json.dumps(_meta(module)).replace("<", "\\u003c"),
        script=_part("common.js") + _part(f"{kind}.js"),
        runtime=runtime.script,
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _part(name: str) -> str:
    return files("trompe.exports").joinpath("page", name).read_text(encoding="utf-8")


def _fill(template: str, **values: str) -> str:
    """The template with each `{{name}}` replaced; what is put in is not looked at again."""
    pieces = template.split("{{")
    found = [pieces[0]]
    for piece in pieces[1:]:
        name, rest = piece.split("}}", 1)
        found += [values[name], rest]
    return "".join(found)


def _subtitle(module: Exportable, source: Source) -> str:
    model = str(source.config["model"].get("_target_", "")).rpartition(".")[2]
    options = [str(value).replace("_", " ") for value in module.options.values()]
    return " · ".join([model, *options, f"trained on {source.kimg * 1000:,.0f} images"])


def _meta(module: Exportable) -> dict[str, Any]:
    batch, side = module.sizes
    meta: dict[str, Any] = {"batch": batch, "side": side, "output": module.output}
    if module.inputs[0].name == "latents":
        return {**meta, "latent": list(module.method.latent_shape)}
    samples = {"content": _photographs, "style": _paintings}
    return {
        **meta,
        "style_side": _STYLE_SIDE,
        "samples": {entry.name: samples[entry.name]() for entry in module.inputs},
    }


def _latents(module: Exportable) -> str:
    count = 1
    for size in module.method.latent_shape:
        count *= size
    said = f"The first 24 of {count} coordinates." if count > 24 else f"All {count} coordinates."
    return _fill(_part("latents.html"), sliders=said)


def _pictures(module: Exportable) -> str:
    inputs = [
        _fill(_part("input.html"), name=entry.name, label=entry.name.capitalize())
        for entry in module.inputs
    ]
    choices = "".join(
        f'<option value="{side}"{" selected" if side == _FIRST else ""}>{side} px</option>'
        for side in _SIZES
    )
    label = '<label for="size">Longer side</label>'
    size = "" if module.sizes.side else f'{label} <select id="size">{choices}</select>'
    return _fill(_part("pictures.html"), inputs="".join(inputs), size=size)


def _photographs() -> list[tuple[str, str]]:
    source = PackagedPhotographs()
    numbers = {source.name(i): i for i in range(len(source.labels))}
    return [(name, _data_url(source.read(numbers[name]))) for name in _PHOTOGRAPHS]


def _paintings() -> list[tuple[str, str]]:
    return [(kind, _data_url(Image.fromarray(paint(kind, 4, _SIDE)))) for kind in STYLES]


def _data_url(picture: Image.Image) -> str:
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
