"""The export task: a trained run as files that work without trompe, each of them checked."""

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from trompe.bars import Bar
from trompe.errors import UserError, check_count, show
from trompe.exports import card, onnx_file, parity, program, web, web_runtime, weights_file
from trompe.exports.exportable import Exportable, Sizes, make_exportable
from trompe.exports.source import Source, source_of
from trompe.extras import require
from trompe.files import whole_folder
from trompe.methods.usage import check_options
from trompe.paths import expand
from trompe.runs.run_folder import write_json
from trompe.tasks.sample import check_target

FORMATS = ("safetensors", "torch_export", "onnx", "web")
_MOST = 65536  # pixels of a side, images at once
# The files that `export` writes into its folder.
_EXPORTS = re.compile(r"model\.(safetensors|json|onnx|pt2)|parity\.json|README\.md|web/[\w.-]+")


def export(cfg: DictConfig) -> Path:
    """Write what `export.yaml` asks for; returns the folder.

    Raises:
        UserError: if a run, checkpoint or value is wrong, a package is missing, the model cannot
            be exported, or what was exported differs from the run: then nothing is written.
    """
    formats = check_values(cfg)
    source = source_of(cfg)
    options = check_options({"direction": cfg.direction}, source.method, source.where)
    module = make_exportable(source.method, options, Sizes(cfg.batch, cfg.size), source.where)
    if "web" in formats and module.inputs[-1].name == "labels":
        raise UserError(
            f"format=web: the page asks for no class, and the model of {source.where} needs one: "
            "leave web out"
        )
    words = "_".join([source.checkpoint, f"{source.kimg:g}", *map(str, options.values())])
    out = (expand(cfg.out, "out") if cfg.out else source.folder / words).absolute()
    check_target(out, cfg.overwrite, _EXPORTS)
    runtime = None
    if "web" in formats:
        runtime = web_runtime.find(cfg.web_runtime, expand(cfg.paths.cache_dir, "paths.cache_dir"))
    with whole_folder(out, replace=True) as work:
        work_on = _Work(module, source, runtime, work)
        work_on.write(formats)
        write_json(work / "parity.json", {"limit": parity.LIMIT, **work_on.found})
        card.write(module, source, formats, work_on.found, cfg.license or source.license, work)
    report(source, out, work_on.found)
    return out


def check_values(cfg: DictConfig) -> list[str]:
    """The formats asked for, in the order in which they are made.

    Raises:
        UserError: naming the key that is wrong, or the extra that is missing.
    """
    asked = [*cfg.format] if isinstance(cfg.format, list | ListConfig) else [cfg.format]
    for name in asked:
        if name not in FORMATS:
            raise UserError(f"format={show(name)} must be some of {', '.join(FORMATS)}")
    if not asked:
        raise UserError(f"format=[] exports nothing: choose some of {', '.join(FORMATS)}")
    for key in ("batch", "size"):
        if cfg[key] is not None:
            check_count(key, cfg[key], 1, _MOST)
    if cfg.license is not None and not (isinstance(cfg.license, str) and cfg.license.strip()):
        raise UserError(f"license={show(cfg.license)} must be a word, such as apache-2.0")
    if {"onnx", "web"} & {*asked}:
        for package in ("onnx", "onnxscript", "onnxruntime"):
            require(package, "export")
    return [name for name in FORMATS if name in asked]


class _Work:
    """Makes the formats one after the other, and compares each with the run."""

    def __init__(self, module: Exportable, source: Source, runtime: Any, folder: Path) -> None:
        self.module, self.source, self.runtime, self.folder = module, source, runtime, folder
        self.found: dict[str, Any] = {}
        self._shown: Any = None

    def write(self, formats: Sequence[str]) -> None:
        """All files of the formats, refused if one does not do what the run does."""
        total = 1 + len(formats) + (set(formats) != {"safetensors"})
        with Bar(total=total, unit="step") as self._shown:
            cases = self._step("the run's own images", lambda: parity.make_cases(self.module))
            traced = None
            if set(formats) != {"safetensors"}:
                traced = self._step("tracing", lambda: program.trace(self.module))
            for name in formats:
                began = time.perf_counter()
                load = self._step(name, partial(self._make, name, traced))
                seconds = time.perf_counter() - began
                found = parity.measure(cases, load, name)
                parity.check(found, name)
                self.found[name] = {"export_seconds": round(seconds, 1), **found}

    def _make(self, name: str, traced: Any) -> program.Run:
        """Write a format; returns its model, loaded from the file."""
        if name == "safetensors":
            path, _ = weights_file.write(self.module, self.source.facts(), self.folder)
            return weights_file.load(path, self.module)
        if name == "torch_export":
            return program.load(program.write(traced, self.folder))
        path = self.folder / onnx_file.FILE
        if name == "onnx" or not path.exists():
            path = onnx_file.write(traced, self.module, self.folder)
        if name == "web":
            web.write(self.module, self.source, path, self.runtime, self.folder / "web")
            if "onnx" not in self.found:
                return _and_delete(path)
        return onnx_file.load(path)

    def _step(self, what: str, make: Callable[[], Any]) -> Any:
        slow = " (up to a minute)" if what in ("onnx", "web", "tracing") else ""
        self._shown.set_description(f"{what}{slow}")
        made = make()
        self._shown.update()
        return made


def _and_delete(path: Path) -> program.Run:
    """The model of a file that is not one of the formats asked for."""
    run = onnx_file.load(path)
    path.unlink()
    return run


def report(source: Source, out: Path, found: dict[str, Any]) -> None:
    """Print what was made, how much it differs from the run, and how to load the weights."""
    print(f"{source.name} at {source.kimg:g} kimg ({source.checkpoint}) in {out}:")
    files = [path for path in sorted(out.iterdir()) if path.is_file()]
    for path in files:
        print(f"  {path.name:<18} {size_of(path):>9}")
    if (out / "web").is_dir():
        total = sum(path.stat().st_size for path in (out / "web").iterdir())
        print(f"  {'web/index.html':<18} {total / 1e6:>6.1f} MB  open it in a browser: no server")
    print(f"{parity.COUNT} inputs, compared with the run's own images:")
    for name, values in found.items():
        print(f"  {name:<13} {parity.line(values)}")
    if "safetensors" in found:
        print(f"To load the weights without trompe:\n\n{weights_file.five_lines(out)}\n")


def size_of(path: Path) -> str:
    """A file's size in words."""
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
