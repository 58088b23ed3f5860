"""The doctor task: what this machine has, what is missing, and how exactly runs repeat on it."""

import contextlib
import io
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator

import psutil
import torch
from hydra import compose
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from trompe import __version__
from trompe.engine.hardware import cpu_has_bf16, cpu_name, resolve_trainer
from trompe.errors import UserError
from trompe.extras import is_installed, optional_packages
from trompe.paths import expand
from trompe.runs.anchor import OVERRIDES, Made, add_anchor, differ_by, made_by, read_anchors
from trompe.runs.provenance import describe_code, describe_packages
from trompe.tasks.train import train
from trompe.words import as_override

_ROUNDING = 1e-3  # beyond this, an anchor's values differ by more than the order of sums


def doctor(cfg: DictConfig) -> None:
    """Print what `doctor.yaml` says.

    Raises:
        UserError: if two trainings on this machine differ.
    """
    console = Console(highlight=False, soft_wrap=True)
    for title, rows in (
        ("machine", machine()),
        ("versions", versions()),
        ("folders", folders(cfg)),
        ("extras", extras()),
    ):
        table = Table(
            title=title, title_justify="left", box=None, show_header=False, padding=(0, 1)
        )
        for row in rows:
            table.add_row(*row)
        console.print(table)
    if cfg.anchor:
        print("anchor: two small trainings ...", flush=True)
        first, second = _train_anchor(), _train_anchor()
        for line in verdict(first, second, read_anchors()):
            print(f"  {line}")
        if cfg.add_to is not None:
            add_anchor(first, expand(cfg.add_to, "add_to"))


def machine() -> Iterator[tuple[str, str]]:
    """Processors, memory, GPUs, and what `trainer=auto` makes of them."""
    memory = psutil.virtual_memory()
    flags = torch.backends.cpu.get_cpu_capability()
    bf16 = "bfloat16" if cpu_has_bf16() else "no bfloat16"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield "processor", f"{cpu_name()}, {cores} cores, {flags}, {bf16}"
    threads = os.environ.get("OMP_NUM_THREADS")
    yield (
        "threads",
        f"{torch.get_num_threads()}" + (f" (OMP_NUM_THREADS={threads})" if threads else ""),
    )
    yield "memory", f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    count = torch.cuda.device_count()
    yield "GPUs", ", ".join(torch.cuda.get_device_name(i) for i in range(count)) or "none"
    auto = resolve_trainer({})
    yield (
        "trainer=auto",
        f"{auto['accelerator']}, {auto['devices']} process(es), {auto['precision']}",
    )


def versions() -> Iterator[tuple[str, str]]:
    """Of what a run records."""
    code = describe_code()
    commit = (code.get("commit") or "not a checkout")[:12]
    changed = ", with uncommitted changes" if code.get("dirty_diff") else ""
    yield "trompe", f"{__version__}, {commit}{changed}"
    yield "Python", f"{platform.python_version()} on {platform.platform()}"
    shown = ("torch", "torchvision", "pytorch-lightning", "hydra-core", "omegaconf", "numpy")
    packages = describe_packages()
    yield "packages", ", ".join(f"{name} {packages[name]}" for name in shown if name in packages)


def folders(cfg: DictConfig) -> Iterator[tuple[str, str]]:
    """Where runs and the cache go, and how much room there is."""
    for name in ("output_dir", "cache_dir"):
        folder = expand(cfg.paths[name], f"paths.{name}").absolute()
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        room = shutil.disk_usage(there).free / 2**30
        usable = "" if os.access(there, os.W_OK) else ", NOT writable"
        yield f"paths.{name}", f"{folder}: {room:.0f} GiB free{usable}"


def extras() -> Iterator[tuple[str, str]]:
    """Each extra: installed, or what is missing and how it is installed."""
    packages: dict[str, list[str]] = {}
    missing: dict[str, list[str]] = {}
    for module, (package, extra) in optional_packages().items():
        if extra == "dev":
            continue
        packages.setdefault(extra, []).append(package)
        name = "mpl_toolkits.basemap_data" if module == "basemap_data" else module
        if not is_installed(name):
            missing.setdefault(extra, []).append(package)
    for extra in sorted(packages):
        lacking = missing.get(extra)
        told = (
            f"needs {', '.join(lacking)}: pip install 'trompe[{extra}]'" if lacking else "installed"
        )
        yield extra, told


def verdict(first: Made, second: Made, anchors: list[Made]) -> Iterator[str]:
    """What two results on this machine, and those of others, say of reproducing runs.

    Raises:
        UserError: if the two differ.
    """
    largest, tensor = differ_by(first, second)
    if tensor is not None or largest:
        raise UserError(
            f"two trainings on this machine differ by {largest:.2g}, {tensor or 'no tensor'}: runs "
            "cannot be repeated bit for bit here; please report it with this output"
        )
    yield "L0: two trainings are bitwise equal: a run repeats bit for bit on this machine and build"
    found = [(differ_by(anchor, first), anchor) for anchor in anchors]
    for (largest, tensor), anchor in found:
        if tensor is None and not largest:
            yield f"L1: bitwise equal to the anchor of {anchor.where}: its runs repeat here"
            return
    if not found:
        return
    (largest, tensor), anchor = min(found, key=lambda pair: pair[0][0])
    if largest > _ROUNDING:
        yield f"this build trains otherwise than {anchor.where}: values differ by {largest:.2g}"
    else:
        yield f"L2: within {largest:.1g} of the anchor of {anchor.where}: so near its runs repeat"
    yield f"    {tensor}"


def _train_anchor() -> Made:
    """Train it in a temporary folder, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            words = [*OVERRIDES, f"paths.output_dir={folder}", f"paths.cache_dir={folder}/cache"]
            return made_by(train(compose("train", [as_override(word) for word in words])))
    finally:
        torch.set_num_threads(threads)
