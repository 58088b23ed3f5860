"""What this machine can do: devices and precision behind `trainer=auto`, and its description."""

import ctypes
import os
import platform
from pathlib import Path
from typing import Any

import torch

from trompe.errors import UserError, check_count, show

# <malloc.h>: never trim the heap, grow it by 64 MiB at a time, serve no request by its own mapping.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_MALLOC_OPTIONS = {_M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 << 20, _M_MMAP_MAX: 0}

# In the names of oneDNN's instruction sets that have bfloat16, or set no limit.
_ISA_WITH_BF16 = ("BF16", "AMX", "AVX10", "DEFAULT", "ALL")

_TRAINER: dict[str, Any] = {
    "accelerator": "auto",
    "devices": "auto",
    "num_nodes": 1,
    "precision": "auto",
}
# As Lightning names them.
_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16", 32, 16, None)


def cpu_name() -> str:
    """The processor's name as the system reports it."""
    for line in _cpu_info():
        if line.lower().startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 natively (AVX512-BF16, AMX or Arm's BF16).

    Not where oneDNN, which computes torch's convolutions, is told to keep to older instructions.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "DEFAULT"
    if not any(word in limit.upper() for word in _ISA_WITH_BF16):
        return False
    flags: set[str] = set()
    for line in _cpu_info():
        if line.lower().startswith(("flags", "features")):
            flags.update(line.split(":", 1)[1].split())
            break
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def resolve_trainer(trainer: dict[str, Any]) -> dict[str, Any]:
    """Replace every `auto` of a trainer config by what this machine has.

    Accelerator: a CUDA GPU if there is one, else the CPU. Devices: all GPUs, or one CPU process.
    Strategy: the flat all-reduce for several devices. Precision: `bf16-mixed` where the hardware
    multiplies bfloat16 natively, else `32-true`.

    Raises:
        UserError: if a GPU is asked for and there is none, or fewer than asked for; and for a
            precision in which losses, which are in float32, cannot be computed.
    """
    resolved = {**_TRAINER, **trainer}
    check_count("trainer.num_nodes", resolved["num_nodes"])
    gpus = torch.cuda.device_count()
    resolved["accelerator"] = device_type(resolved["accelerator"])
    if resolved["accelerator"] not in ("cpu", "gpu", "cuda"):
        raise UserError(
            f"trainer.accelerator={show(resolved['accelerator'])} must be auto, cpu or gpu"
        )
    on_gpu = resolved["accelerator"] != "cpu"
    if on_gpu and not gpus:
        raise UserError("the config asks for a GPU, but this machine has none: set trainer=cpu")
    if resolved["devices"] == "auto":
        resolved["devices"] = gpus if on_gpu else 1
    count = resolved["devices"]
    check_count("trainer.devices", count)
    if on_gpu and count > gpus:
        raise UserError(f"trainer.devices={count}, but this machine has {gpus} GPU(s)")
    if resolved["precision"] == "auto":
        native = torch.cuda.is_bf16_supported() if on_gpu else cpu_has_bf16()
        resolved["precision"] = "bf16-mixed" if native else "32-true"
    if resolved["precision"] not in _PRECISIONS:
        raise UserError(
            f"trainer.precision={show(resolved['precision'])} must be auto, 32-true, bf16-mixed or "
            "16-mixed"
        )
    return resolved


def device_type(accelerator: str) -> str:
    """What `auto` is on this machine, ``gpu`` or ``cpu``; anything else is unchanged."""
    if accelerator == "auto":
        return "gpu" if torch.cuda.device_count() else "cpu"
    return accelerator


def keep_freed_memory() -> None:
    """Have glibc's allocator keep freed memory instead of returning it to the system.

    A training step on the CPU frees and asks for the same hundreds of MiB again and again. Fresh
    pages cost 0.7 to 6 microseconds each, which on a virtual machine is 5 to 10 % of a step.
    Without glibc this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    for option, value in _MALLOC_OPTIONS.items():
        libc.mallopt(option, value)


def describe_hardware() -> dict[str, Any]:
    """The machine as a run's record keeps it."""
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
    }
