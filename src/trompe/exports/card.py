"""The model card: README.md in the format of the Hugging Face hub, for the files beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from trompe.exports import onnx_file, parity, program, usage, weights_file
from trompe.exports.exportable import Exportable
from trompe.exports.source import Source
from trompe.methods.capabilities import FromLatents

FILE = "README.md"

_NAMES = {
    "safetensors": f"`{weights_file.FILE}`, `{weights_file.FACTS}`",
    "torch_export": f"`{program.FILE}`",
    "onnx": f"`{onnx_file.FILE}`",
    "web": "`web/`",
}


def write(
    module: Exportable,
    source: Source,
    formats: Sequence[str],
    found: Mapping[str, Any],
    license_name: str,
    folder: Path,
) -> Path:
    """Write the card; returns the file.

    Args:
        module: that was exported.
        source: of the method.
        formats: that are in the folder.
        found: by format, of `trompe.exports.parity.measure`.
        license_name: of the model, as the hub knows it.
        folder: for the file.
    """
    from_latents = isinstance(module.method, FromLatents)
    model = str(source.config["model"].get("_target_", "")).rpartition(".")[2]
    front = {
        "license": license_name.strip(),
        "library_name": "trompe",
        "pipeline_tag": "unconditional-image-generation" if from_latents else "image-to-image",
        "tags": list(dict.fromkeys(["trompe", model.lower(), *_tags(module, formats)])),
    }
    sections = [
        f"# {source.name}",
        _what(module, model),
        f"## Training\n\n{_training(source)}",
        f"## Metrics\n\n{_metrics(source)}",
        f"## Use\n\n{_use(module, formats)}",
        f"## Parity\n\n{_parity(found)}",
        f"## Limits\n\n{_limits(module)}",
    ]
    header = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    path = folder / FILE
    path.write_text(f"---\n{header}---\n\n" + "\n\n".join(sections) + "\n", encoding="utf-8")
    return path


def _tags(module: Exportable, formats: Sequence[str]) -> list[str]:
    kinds = {"onnx": "onnx", "safetensors": "safetensors", "torch_export": "pytorch"}
    kind = "gan" if isinstance(module.method, FromLatents) else "style-transfer"
    return [kind, *(kinds[name] for name in formats if name in kinds)]


def _what(module: Exportable, model: str) -> str:
    first, *others = module.inputs
    if first.name == "latents":
        what = "Makes images from latents" + (" and labels" if others else "")
    elif others:
        what = "Makes a picture with the content of one picture and the style of another"
    else:
        what = "Makes pictures from pictures"
    numbers = sum(tensor.numel() for tensor in module.state_dict().values())
    rows = [
        f"| `{i.name}` | `{_shape(i.shape)}` | {_MEANINGS.get(i.meaning, i.meaning)} |"
        for i in module.inputs
    ]
    whole = [f"`{i.name}` are {i.dtype}, all other" for i in module.inputs if i.dtype != "float32"]
    return (
        f"{what}. The model is trompe's `{model}`: {numbers:,} numbers, the averaged weights in "
        f"evaluation mode. {''.join(whole) or 'All'} tensors are float32."
        "\n\n| input | shape | |\n|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\nThe output is `{module.output}`, `(batch, channels, height, width)` in [-1, 1]."
    )


_MEANINGS = {
    "normal": "standard normal numbers",
    "RGB in [-1, 1]": "red, green and blue in [-1, 1]",
}


def _shape(shape: Sequence[int | str]) -> str:
    return f"({', '.join(map(str, shape))})"


def _training(source: Source) -> str:
    config = source.config
    data = config.get("data") or {}
    earlier = f"{source.before * 1000:,.0f}"
    first = f", after the {earlier} of the weights that it began with" if source.before else ""
    told = {
        "images seen": f"{source.kimg * 1000:,.0f}{first} (checkpoint: {source.checkpoint})",
        "data": f"`{data.get('_target_', 'unknown')}`",
        "images by": source.credits or None,
        "resolution": data.get("resolution"),
        "classes": ", ".join(source.class_names) or None,
        "batch": config.get("batch_size"),
        "seed": config.get("seed"),
    }
    rows = [f"| {key} | {value} |" for key, value in told.items() if value is not None]
    return "\n".join(["| | |", "|---|---|", *rows])


def _metrics(source: Source) -> str:
    if not source.metrics:
        return "The run has recorded none."
    rows = [f"| `{name}` | {value:.5g} |" for name, value in sorted(source.metrics.items())]
    table = "\n".join(["| metric | value |", "|---|---|", *rows])
    return (
        "As the run recorded them; what each depends on is in its `run.json`, and values measured "
        f"in another way cannot be compared.\n\n{table}"
    )


def _use(module: Exportable, formats: Sequence[str]) -> str:
    found = []
    for name in formats:
        if name == "web":
            text = "Open `web/index.html` in a browser. It needs no server and no network."
        else:
            text = f"```python\n{usage.snippet(name, module)}\n```"
        found.append(f"### {_NAMES[name]}\n\n{text}")
    return "\n\n".join(found)


def _parity(found: Mapping[str, Any]) -> str:
    rows = [
        f"| {name} | {values['largest']:.1e} | {values['mean']:.1e} | {values['pixels']:.3%} | "
        f"{values['distance']:.1e} |"
        for name, values in found.items()
    ]
    return (
        f"Each file was loaded again and given {parity.COUNT} keyed inputs. Differences are from "
        f"the images of the run's own model, in [-1, 1]; above {parity.LIMIT:g} the export is "
        "refused. The distance is the Fréchet distance between both sets, on random features. "
        "Details are in `parity.json`.\n\n"
        "| | largest difference | mean | 8-bit values that differ | distance |\n"
        "|---|---|---|---|---|\n" + "\n".join(rows)
    )


def _limits(module: Exportable) -> str:
    said = [
        "The model makes what its data taught it; what is not in these it does badly.",
        "Images can resemble those it was trained on. Respect their rights.",
    ]
    if "perceptual" in dict(module.named_children()):
        name = getattr(module.get_submodule("perceptual"), "name", "perceptual")
        said.append(
            f"The style is read by `{name}`, a network trained by others, whose weights are "
            "included under their own license."
        )
    if module.sizes.side is None and not isinstance(module.method, FromLatents):
        said.append(
            "Pictures have at least 16 pixels a side; large ones take memory in proportion."
        )
    return "\n".join(f"- {line}" for line in said)
