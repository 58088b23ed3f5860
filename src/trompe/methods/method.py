"""What every training method is: a phase, its random numbers, and an update."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor, nn

# What `spectral_norm` adds to a layer; torch has no public name for it.
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.optim import Optimizer

from trompe.engine.clock import Clock
from trompe.engine.ema import Averaged
from trompe.engine.optimizers import make_optimizer
from trompe.engine.randomness import Draws, drawing, keyed_seed
from trompe.engine.schedules import Number, value_at
from trompe.engine.share import Share
from trompe.engine.tick_means import TickMeans
from trompe.errors import Count, UserError, check_count


class Method(pl.LightningModule):
    """Base of all methods: it trains, and nothing else.

    A subclass adds networks, `configure_optimizers`, `phase` and `update`. The capabilities that
    it also inherits say what a trained method can do, see `trompe.methods.capabilities`.

    Args:
        clock: the image clock of this run.
        seed: the experiment's seed.
        gradient_clip_norm: largest norm of an optimizer's gradients together; None clips nothing.
        accumulate: parts that a global batch is processed in, one after the other, to save memory.
            The batch and the random numbers are the same, and there is one step for all parts.

    Attributes:
        batch_type: the named tuple of tensors that `update` takes; set by the subclass.
        optimizer_names: what `phase` and `step` call the optimizers, in the order of
            `configure_optimizers`.
        means: what `track` was given since the last tick.
    """

    batch_type: type
    optimizer_names: tuple[str, ...] = ("g", "d")

    def __init__(
        self,
        clock: Clock,
        seed: int,
        gradient_clip_norm: float | None = None,
        accumulate: Count = 1,
    ) -> None:
        super().__init__()
        check_count("model.accumulate", accumulate)
        self.automatic_optimization = False
        self.clock = clock
        self.seed = seed
        self.gradient_clip_norm = gradient_clip_norm
        self.accumulate = accumulate
        self.means = TickMeans()
        self._part = 0
        self._rows: dict[str, list[Tensor]] = {}
        self._due: list[str] | None = None
        self._stepped: set[str] = set()
        self._averages: list[tuple[Averaged, set[str]]] | None = None
        self._state_before: Tensor | None = None

    def phase(self) -> str:
        """What this batch does, from the clock alone: names joined by ``+``, such as ``d+r1+g``.

        The name of an optimizer stands for a step of it; what follows belongs to that step. A name
        such as ``d/r1`` is a further step of ``d``, for what follows the slash.
        """
        return "+".join(self.optimizer_names)

    def update(self, phase: str, batch: Any, draws: Draws) -> None:
        """Train on this process's share of a batch, without waiting for the host.

        Args:
            phase: of `phase`, or some of its optimizers' steps.
            batch: a `batch_type`.
            draws: the batch's random numbers.
        """
        raise NotImplementedError

    def networks_in_use(self, **options: Any) -> dict[str, nn.Module]:
        """By name, the networks that a trained method makes images with; the others only train.

        The averages, or all networks if there is none. A subclass adds what it uses besides.

        Args:
            options: of `sample` or `render`.
        """
        children = dict(self.named_children())
        averages = {k: v.network for k, v in children.items() if isinstance(v, Averaged)}
        return averages or children

    @property
    def is_settled(self) -> bool:
        """Whether training can end before its budget; asked at the end of a tick."""
        return False

    @property
    def share(self) -> Share:
        """This process's share of the global batch."""
        if self._trainer is None:
            return Share(parts=self.accumulate)
        return Share(self.global_rank, self.trainer.world_size, self.accumulate)

    def draws(self, phase: str) -> Draws:
        """The random numbers of this batch, made when `update` asks for them by name."""
        return Draws(self.seed, self.clock.images, self.clock.batch_size, self.share, self.device)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One global batch: the update, the averages of the networks that stepped, the clock."""
        phase = self.phase()
        draws = self.draws(phase)
        if self.accumulate == 1:
            self._due = phase.split("+")
            with drawing(draws):
                self.update(phase, batch, draws)
        else:
            parts = zip(*(tensor.chunk(self.accumulate) for tensor in batch), strict=True)
            portions = [(type(batch)(*part), draws.part(i)) for i, part in enumerate(parts)]
            iterated = power_iterations(self)
            for stage in self.stages(phase):
                before = [buffer.clone() for buffer in iterated]
                for self._part, (portion, numbers) in enumerate(portions):
                    # Every part sees the same weights.
                    for buffer, value in zip(iterated, before, strict=True):
                        buffer.copy_(value)
                    self._due = stage.split("+")
                    with drawing(numbers):
                        self.update(stage, portion, numbers)
        self._due = None
        self.clock.advance()
        self._follow()

    def stages(self, phase: str) -> list[str]:
        """A phase, cut before each optimizer's name."""
        found: list[str] = []
        for name in phase.split("+"):
            if optimizer_of(name) in self.optimizer_names or not found:
                found.append(name)
            else:
                found[-1] += f"+{name}"
        return found

    def step(self, name: str, loss: Tensor) -> None:
        """One step of an optimizer on `loss`, after the last part of the batch.

        The strategy averages the gradients over processes.

        Raises:
            UserError: if the phase that `update` was given has no such step, or another order.
        """
        if self._due is not None:
            if name not in self._due:
                raise UserError(
                    f"{type(self).__name__}.update takes a step of {name!r} that its phase does "
                    "not have there: it has to follow the names in `phase`, and their order"
                )
            del self._due[: self._due.index(name) + 1]
        optimizer = self._optimizers()[self.optimizer_names.index(optimizer_of(name))]
        if self._part == 0:
            optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss if self.accumulate == 1 else loss / self.accumulate)
        if self._part == self.accumulate - 1:
            optimizer.step()
            self._stepped.add(optimizer_of(name))
        # Autocast caches casts of weights; those of the stepped weights are now stale.
        torch.clear_autocast_cache()

    def make_optimizer(
        self,
        make: Callable[..., Optimizer],
        parameters: Iterable[nn.Parameter],
        **settings: Any,
    ) -> Optimizer:
        """An optimizer that follows schedules and clips, see `trompe.engine.optimizers`."""
        return make_optimizer(make, parameters, self.clock, self.gradient_clip_norm, **settings)

    def of_batch(self, name: str, rows: Tensor) -> Tensor | None:
        """Rows (n, ...) of all parts of this process's batch; None until the last part.

        What adapts to a batch adapts once, however many parts it has.

        Args:
            name: of the rows.
            rows: of this part.
        """
        if self._part == 0:
            self._rows[name] = []
        self._rows[name].append(rows.detach())
        return torch.cat(self._rows.pop(name)) if self._part == self.accumulate - 1 else None

    def value(self, number: Number) -> float:
        """A number, or a schedule's number at this image count."""
        return value_at(number, self.clock.kimg)

    def weighted(self, losses: Mapping[str, Tensor], weights: Mapping[str, Number]) -> Tensor:
        """The weighted sum of losses, each of which is tracked by its name, unweighted."""
        for name, value in losses.items():
            self.track(f"loss/{name}", value)
        return torch.stack([self.value(weights[name]) * x for name, x in losses.items()]).sum()

    def track(self, name: str, value: Tensor) -> None:
        """Average a scalar over this tick, without waiting for the device."""
        self.means.add(name, value, self.clock.images)

    def track_values(self, name: str, values: Tensor) -> None:
        """Keep the tick's last `values` for a histogram, and average them."""
        self.means.add_values(name, values, self.clock.images)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the global generator too, so that layers that draw from it resume exactly."""
        seed = keyed_seed(self.seed, f"layers/{self.share.rank}", self.clock.images)
        # Not torch.manual_seed: it visits every kind of device and takes milliseconds.
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.get_device_module(self.device).manual_seed(seed)
        if batch_idx == 0:
            self._state_before = self._generator_state()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Warn if results depend on the number of processes."""
        before, self._state_before = self._state_before, None
        if before is None or self.share.world_size == 1:
            return
        if not torch.equal(before, self._generator_state()):
            rank_zero_warn(
                "a network draws from torch's global generator, so results depend on the "
                "number of processes: use noise_like or Dropout from trompe.networks.noise"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the image count."""
        checkpoint["clock"] = self.clock.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Resume at the checkpoint's image count."""
        self.clock.load_state_dict(checkpoint["clock"])

    def _follow(self) -> None:
        """Update every average whose network was stepped."""
        if self._averages is None:
            self._averages = [
                (m, self._steppers(m)) for m in self.modules() if isinstance(m, Averaged)
            ]
        for average, steppers in self._averages:
            if steppers & self._stepped:
                average.follow(self.clock.images)
        self._stepped.clear()

    def _steppers(self, average: Averaged) -> set[str]:
        """The names of the optimizers that step the averaged network."""
        wanted = {id(parameter) for parameter in average.followed.parameters()}
        return {
            name
            for name, optimizer in zip(self.optimizer_names, self._optimizers(), strict=True)
            for group in optimizer.param_groups
            if wanted & {id(parameter) for parameter in group["params"]}
        }

    def _optimizers(self) -> list[Any]:
        found: Any = self.optimizers()
        return found if isinstance(found, list) else [found]

    def _generator_state(self) -> Tensor:
        if self.device.type == "cpu":
            return torch.get_rng_state()
        state: Tensor = torch.get_device_module(self.device).get_rng_state()
        return state


def optimizer_of(step: str) -> str:
    """The optimizer of a step that a phase names: ``d`` of ``d/r1``."""
    return step.partition("/")[0]


def power_iterations(module: nn.Module) -> list[Tensor]:
    """What spectral norms iterate at every forward pass (Miyato et al. 2018, sec. 2.1)."""
    layers = [layer for layer in module.modules() if isinstance(layer, _SpectralNorm)]
    return [buffer for layer in layers for buffer in layer.buffers(recurse=False)]


class frozen:
    """Inside this context the network's parameters need no gradients, so none are computed."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def __enter__(self) -> None:
        self._network.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        self._network.requires_grad_(True)
