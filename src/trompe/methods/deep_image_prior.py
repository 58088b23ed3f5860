"""Deep Image Prior: a network's shape alone restores a picture."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trompe.data.degradations import Degradation
from trompe.data.one_picture import Observation
from trompe.engine.memory import GIB, bytes_for_backward, limit_bytes
from trompe.engine.randomness import Draws, keyed_generator
from trompe.engine.schedules import Number
from trompe.errors import Count, UserError, check_count, check_number, check_positive
from trompe.images import to_levels
from trompe.losses.fidelity import psnr
from trompe.methods.capabilities import Restores
from trompe.methods.method import Method
from trompe.methods.stopping import Stopping


class DeepImagePrior(Method, Restores):
    """Fits a network from fixed noise to one degraded picture, and stops before its faults.

    Ulyanov et al. 2018, https://arxiv.org/abs/1711.10925. An iteration is a batch of one picture,
    so the image clock counts iterations.

    Args:
        network: noise (1, inputs, H, W) to an image (1, C, H, W) in [0, 1]; has `inputs`, and
            `least_side` if it cannot make any size.
        degradation: what has happened to the picture; differentiable where it loses pixels.
        stopping: makes a `Stopping` for images of a shape.
        optimizer: makes an optimizer from parameters.
        height: of the restored picture, pixels; the data fill it in.
        width: likewise.
        channels: of it.
        input: ``"noise"``, uniform on [0, 0.1] (supplement), or ``"grid"``, the places in the
            picture, from 0 to 1, two maps.
        perturbation: standard deviation of noise that is added to the input, new in every
            iteration (supplement); a number or a schedule.
        average: share that the mean of the outputs keeps of itself in every iteration.
        fall_back_every: iterations between two looks at how well the degraded picture is met.
        fall_back: loss of PSNR to it, dB, after which the weights of the last look return.
        memory_gib: memory that training may take; None: what is free.
        common: see `Method`.

    Raises:
        UserError: if the picture is too small for the network or too large for the memory, or a
            number is out of range.
    """

    batch_type = Observation
    optimizer_names = ("g",)
    input: Tensor
    average: Tensor
    best: Tensor
    best_psnr: Tensor
    best_at: Tensor
    met: Tensor
    falls: Tensor

    def __init__(
        self,
        network: nn.Module,
        degradation: Degradation,
        stopping: Callable[[tuple[int, ...]], Stopping],
        optimizer: Callable[..., Optimizer],
        height: int,
        width: int,
        channels: Count,
        input: Literal["noise", "grid"],
        perturbation: Number,
        average: float,
        fall_back_every: Count,
        fall_back: float,
        memory_gib: float | None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        for name, side in (("height", height), ("width", width)):
            check_count(f"model.{name}", side)
        if min(height, width) < (least := getattr(network, "least_side", 1)):
            raise UserError(
                f"the restored picture has {width} x {height} pixels, but this model.network needs "
                f"at least {least}: one with fewer scales needs less"
            )
        check_number("model.average", average, 0)
        if average >= 1:
            raise UserError(f"model.average={average} must be below 1")
        check_number("model.fall_back", fall_back, 0)
        check_count("model.fall_back_every", fall_back_every)
        self.network = network
        self.degradation = degradation
        self.optimizer = optimizer
        self.perturbation = perturbation
        self.keeps = average
        self.fall_back_every = fall_back_every
        self.fall_back = fall_back
        shape = (1, channels, height, width)
        self.stopping = stopping(shape)
        self.kept = copy.deepcopy(network).requires_grad_(False)
        made = self.fixed_input(input, height, width)
        self.register_buffer("input", made, persistent=False)
        self.check_memory(memory_gib)
        self.register_buffer("average", torch.zeros(shape))
        self.register_buffer("best", torch.zeros(shape))
        # Pictures in [0, 1] have none below 0.
        self.register_buffer("best_psnr", torch.tensor(-1.0))
        self.register_buffer("best_at", torch.tensor(0))
        self.register_buffer("met", torch.tensor(-1.0))
        self.register_buffer("falls", torch.tensor(0))

    def check_memory(self, limit_gib: float | None) -> None:
        """Refuse a picture that is too large for the memory.

        Raises:
            UserError: with the size that is not.
        """
        if limit_gib is not None:
            check_positive("model.memory_gib", limit_gib)
        # Measured: 1.3 to 1.8 times what is kept for the backward pass.
        needed = 1.5 * bytes_for_backward(self.network, self.input)
        needed += sum(t.nbytes for t in self.stopping.buffers())
        limit = limit_bytes(self.input.device, limit_gib)
        if needed <= limit:
            return
        height, width = self.input.shape[2:]
        fits = int(min(height, width) * math.sqrt(limit / needed))
        raise UserError(
            f"restoring {width} x {height} pixels takes about {needed / GIB:.2g} GiB of memory, "
            f"but {limit / GIB:.2g} may be used: a shorter side of {fits} fits, or a smaller "
            "network, such as hourglass small"
        )

    def fixed_input(self, kind: str, height: int, width: int) -> Tensor:
        """The input of all iterations, (1, inputs, height, width)."""
        inputs = int(self.network.inputs)  # type: ignore[arg-type]
        if kind == "noise":
            generator = keyed_generator(self.seed, "input")
            return torch.rand(1, inputs, height, width, generator=generator) * 0.1
        if inputs != 2:
            raise UserError(f"model.input=grid has two maps, but model.network.inputs={inputs}")
        sides = (torch.linspace(0, 1, height), torch.linspace(0, 1, width))
        return torch.stack(torch.meshgrid(*sides, indexing="ij"))[None]

    def configure_optimizers(self) -> list[Optimizer]:
        """One, for the network."""
        return [self.make_optimizer(self.optimizer, self.network.parameters())]

    def update(self, phase: str, batch: Observation, draws: Draws) -> None:
        """One iteration: meet the degraded picture where it is known (eq. 2)."""
        noise = self.input
        if strength := self.value(self.perturbation):
            noise = noise + strength * draws.normal("perturbation", *noise.shape[1:])
        output = self.network(noise)
        apart = (self.degradation.observe(output) - batch.degraded) * batch.known
        misfit = apart.square().mean()
        self.step("g", misfit)
        self.track("loss/misfit", misfit)
        self.take_note(output.detach(), batch)
        self.keep_or_fall_back(psnr(misfit.detach()))

    @torch.no_grad()
    def take_note(self, output: Tensor, batch: Observation) -> None:
        """Average the outputs, look for the place to stop, measure against the good picture."""
        number = self.clock.images
        self.average.copy_(output if number == 0 else self.average.lerp(output, 1 - self.keeps))
        variance = self.stopping.watch(output, self.average, number)
        if variance.isfinite():
            self.track("stopping/variance", variance)
        if not batch.reference.numel():
            return
        self.track("psnr/output", psnr((output - batch.reference).square().mean()))
        found = psnr((self.average - batch.reference).square().mean())
        self.track("psnr/average", found)
        is_best = found > self.best_psnr
        self.best.copy_(torch.where(is_best, self.average, self.best))
        self.best_psnr.copy_(torch.where(is_best, found, self.best_psnr))
        self.best_at.copy_(torch.where(is_best, number + 1, self.best_at))

    @torch.no_grad()
    def keep_or_fall_back(self, met: Tensor) -> None:
        """Now and then: keep the weights, or return to those that were kept if it has diverged.

        The authors' code does so; its optimizer keeps its moments, as here.
        """
        if self.clock.images % self.fall_back_every:
            return
        source, target = self.network, self.kept
        if met < self.met - self.fall_back:
            source, target = self.kept, self.network
            self.falls += 1
        else:
            self.met.copy_(met)
        target.load_state_dict(source.state_dict())

    @property
    def is_settled(self) -> bool:
        """Whether training can end before its budget."""
        return self.stopping.is_settled

    def versions(self) -> Mapping[str, tuple[int, Tensor]]:
        """See `Restores`."""
        found = {"last": (self.clock.images, self.average)}
        if int(self.stopping.at):
            found["stopped"] = (int(self.stopping.at), self.stopping.image)
        if int(self.best_at):
            found["peak"] = (int(self.best_at), self.best)
        return found

    def draw_grid(self, data: Any, count: int) -> tuple[Tensor, int | None]:
        """The averaged output."""
        return to_levels(self.average).cpu(), 1
