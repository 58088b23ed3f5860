"""Randomness as a function of (seed, purpose, images seen), never as a state.

A run that is killed and resumed, or spread over more processes, draws the same numbers because
nothing that was drawn before matters. Everything random in training comes from `keyed_generator`.
"""

import hashlib

import torch


def keyed_seed(seed: int, purpose: str, position: int = 0) -> int:
    """A 63-bit seed that depends on all three arguments and on nothing else.

    Args:
        seed: the experiment's seed.
        purpose: what the numbers are for, e.g. ``"latents"``; two purposes never share numbers.
        position: the image count at which they are drawn (or a data epoch, a sample's number).
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}/{position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def keyed_generator(
    seed: int, purpose: str, position: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh generator on `device`, seeded with `keyed_seed(seed, purpose, position)`.

    Draws are the same on every machine of one device type; CPU and CUDA draw different numbers.
    """
    generator = torch.Generator(device=device)
    generator.manual_seed(keyed_seed(seed, purpose, position))
    return generator
