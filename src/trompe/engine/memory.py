"""How much memory training needs, before it begins."""

import copy
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

GIB = 2**30


def bytes_for_backward(network: nn.Module, *inputs: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, without computing anything.

    Args:
        network: in any state; it is not changed.
        inputs: of its forward pass; only their shapes and kinds matter.
    """
    seen: dict[Any, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        seen[storage._cdata] = storage.nbytes()
        kept.append(storage)  # so that no other one gets its place
        return tensor

    kept: list[Any] = []
    shadow = copy.deepcopy(network).to("meta")
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        shadow(*(tensor.to("meta") for tensor in inputs))
    return sum(seen.values())


def limit_bytes(device: torch.device, memory_gib: float | None, share: float = 1.0) -> float:
    """Memory that may be used on a device: so many GiB, or else a share of what is free."""
    return share * free_bytes(device) if memory_gib is None else memory_gib * GIB


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    available: int = psutil.virtual_memory().available
    return available
