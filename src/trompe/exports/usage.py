"""Python that uses an exported file without trompe; it runs in the folder of the files."""

from trompe.exports import onnx_file, program, weights_file
from trompe.exports.exportable import Exportable, Input


def snippet(name: str, module: Exportable) -> str:
    """A script that writes `made.png` with a format's file, or loads its weights.

    Pictures are read from `content.png` and `style.png`.

    Args:
        name: safetensors, torch_export or onnx.
        module: that was exported.
    """
    if name == "safetensors":
        return weights_file.five_lines(".")
    if name == "onnx":
        return _numpy(module)
    return _torch(module)


def _numpy(module: Exportable) -> str:
    names = [entry.name for entry in module.inputs]
    given = ", ".join(f'"{name}": {name}' for name in names)
    return "\n".join(
        [
            "import numpy as np, onnxruntime",
            "from PIL import Image",
            "",
            *_reader(module),
            *(f"{entry.name} = {_value(entry)}" for entry in module.inputs),
            f'session = onnxruntime.InferenceSession("{onnx_file.FILE}")',
            f"images = session.run(None, {{{given}}})[0]",
            *_writer("images[0]"),
        ]
    )


def _torch(module: Exportable) -> str:
    given = ", ".join(f"torch.from_numpy({entry.name})" for entry in module.inputs)
    return "\n".join(
        [
            "import numpy as np, torch",
            "from PIL import Image",
            "",
            *_reader(module),
            *(f"{entry.name} = {_value(entry)}" for entry in module.inputs),
            f'model = torch.export.load("{program.FILE}").module()',
            f"images = model({given})",
            *_writer("images[0].detach().numpy()"),
        ]
    )


def _reader(module: Exportable) -> list[str]:
    if module.inputs[0].name == "latents":
        return []
    side, batch = module.sizes.side, module.sizes.batch or 1
    size = f".resize(({side}, {side}))" if side else ""
    repeat = f".repeat({batch}, 0)" if batch > 1 else ""
    return [
        "",
        "def read(name):",
        f'    pixels = np.asarray(Image.open(name).convert("RGB"){size}, dtype="float32")',
        f"    return (pixels.transpose(2, 0, 1)[None] / 127.5 - 1){repeat}",
        "",
        "",
    ]


def _value(entry: Input) -> str:
    if entry.name not in ("latents", "labels"):
        return f'read("{entry.name}.png")'
    sizes = ", ".join(str(size if isinstance(size, int) else 1) for size in entry.shape)
    if entry.name == "labels":
        return f'np.zeros(({sizes},), dtype="int64")'
    return f'np.random.default_rng(0).standard_normal(({sizes}), dtype="float32")'


def _writer(image: str) -> list[str]:
    return [
        f"pixels = np.rint({image} * 127.5 + 127.5).clip(0, 255).astype('uint8')",
        'Image.fromarray(pixels.transpose(1, 2, 0).squeeze()).save("made.png")',
    ]
