"""The ONNX file of an exported program, with its weights inside, and running it."""

from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from trompe.exports.exportable import Exportable
from trompe.exports.program import Run, quietly, told_as

FILE = "model.onnx"


def write(program: ExportedProgram, module: Exportable, folder: Path) -> Path:
    """Write the program as one ONNX file; returns it.

    Args:
        program: of the module.
        module: whose inputs and output give theirs their names.
        folder: for the file.

    Raises:
        UserError: if an operation has no counterpart in ONNX.
    """
    path = folder / FILE
    names = [entry.name for entry in module.inputs]
    with told_as("format=onnx"), quietly():
        translated = torch.onnx.export(
            program, dynamo=True, input_names=names, output_names=[module.output]
        )
        assert translated is not None
        model = translated.model_proto
        _name_sizes(model, module)
        content = model.SerializeToString()
    path.write_bytes(content)
    return path


def load(path: Path) -> Run:
    """The model in onnxruntime on the CPU, as whoever gets the file has it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # only what ends it
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        arrays = (tensor.numpy() for tensor in inputs)
        (made,) = session.run(None, dict(zip(names, arrays, strict=True)))
        return torch.from_numpy(made)

    return run


def _name_sizes(model: object, module: Exportable) -> None:
    """Call dynamic sizes batch, height and width, where the tracer has numbered symbols."""
    graph = model.graph  # type: ignore[attr-defined]
    del graph.value_info[:]  # of what is in between, in the tracer's symbols
    names: dict[str, str] = {}
    for entry, known in zip(graph.input, module.inputs, strict=True):
        for size, word in zip(entry.type.tensor_type.shape.dim, known.shape, strict=True):
            if isinstance(word, str):
                names[size.dim_param] = size.dim_param = word
    for entry in graph.output:
        for size in entry.type.tensor_type.shape.dim:
            if size.dim_param in names:
                size.dim_param = names[size.dim_param]
