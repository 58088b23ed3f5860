"""What every method shares: the image clock, keyed draws and per-tick averages."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trompe.engine.clock import Clock
from trompe.engine.randomness import keyed_generator, keyed_seed
from trompe.engine.tick_means import TickAverages


class Method(pl.LightningModule):
    """Base of all methods; a subclass adds networks, `training_step` and `sample`.

    Args:
        clock: the image clock of this run; `training_step` must call `clock.advance()` once.
        seed: the experiment's seed.

    Attributes:
        batch_type: the named tuple of tensors that `training_step` takes; set by the subclass.
        use: the command that uses a trained run, with ``{run}`` for its folder; likewise.
        scalars: means of what `track` was given, during the tick that has just ended.
        histograms: the values of `track_values` of the tick's last batch, on the host.
        protocols: what the values of the metrics among the scalars depend on, by name.
        bad_images: image count at which a tracked value was first not finite, else None.
    """

    batch_type: type
    use: str

    def __init__(self, clock: Clock, seed: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.clock = clock
        self.seed = seed
        self.scalars: dict[str, float] = {}
        self.histograms: dict[str, np.ndarray] = {}
        self.protocols: dict[str, dict[str, Any]] = {}
        self.bad_images: int | None = None
        self._averages = TickAverages()
        self._last_values: dict[str, Tensor] = {}

    def draw_inputs(self, data: Any, count: int, purpose: str) -> Tensor:
        """What `sample` makes `count` images from, on the CPU; depends on data, seed and purpose.

        Args:
            data: the datamodule.
            count: of images.
            purpose: names the draw.
        """
        raise NotImplementedError

    def sample(self, inputs: Tensor) -> Tensor:
        """Images in [-1, 1], (N, C, H, W), from the EMA weights, for N inputs on this device."""
        raise NotImplementedError

    def draw_grid(self, data: Any, count: int) -> tuple[Tensor, int | None]:
        """Images uint8 (about `count`, C, H, W) that show what it does, and how many in a row."""
        raise NotImplementedError

    def global_rows(self, count: int) -> Tensor:
        """Which rows (count,) of the global batch this process has."""
        rank = 0 if self._trainer is None else self.global_rank
        return torch.arange(rank * count, (rank + 1) * count, device=self.device)

    def draw(self, purpose: str, *shape: int, uniform: bool = False) -> Tensor:
        """This process's slice of random numbers drawn for the whole global batch.

        Args:
            purpose: names the draw; the numbers depend on (seed, purpose, images seen) alone.
            shape: of one image's numbers; the result is (images of this process, *shape).
            uniform: from [0, 1) instead of the standard normal.
        """
        generator = keyed_generator(self.seed, purpose, self.clock.images, self.device)
        size = (self.clock.batch_size, *shape)
        make = torch.rand if uniform else torch.randn
        numbers = make(size, generator=generator, device=self.device)
        rank, world = (0, 1) if self._trainer is None else (self.global_rank, self._world_size())
        share = self.clock.batch_size // world
        return numbers[rank * share : (rank + 1) * share]

    def track(self, name: str, value: Tensor) -> None:
        """Average a scalar over this tick, without waiting for the device."""
        self._averages.add(name, value, self.clock.images)

    def track_values(self, name: str, values: Tensor) -> None:
        """Keep the tick's last `values` for a histogram, and average them."""
        self.track(name, values)
        self._last_values[name] = values.detach()

    def step(self, optimizer: Optimizer, loss: Tensor) -> None:
        """One optimizer step on `loss`; gradients are averaged over processes by the strategy."""
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        optimizer.step()
        # Autocast keeps casts of weights; what it kept of the stepped weights is now stale.
        torch.clear_autocast_cache()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the global generator too, so that dropout and the like resume exactly."""
        rank = 0 if self._trainer is None else self.global_rank
        seed = keyed_seed(self.seed, f"layers/{rank}", self.clock.images)
        # Not torch.manual_seed: it visits every kind of device and takes milliseconds.
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.get_device_module(self.device).manual_seed(seed)

    def end_tick(self) -> None:
        """Read the tick's averages (the only host synchronization) and level the buffers."""
        self.scalars, self.bad_images = self._averages.read()
        self.histograms = {k: v.float().cpu().numpy() for k, v in self._last_values.items()}
        self._last_values = {}
        if torch.distributed.is_initialized():
            # Each process keeps batch-norm statistics of its own share: agree on their mean, so
            # that the one checkpoint describes every process and resuming is exact.
            for buffer in self.buffers():
                if buffer.is_floating_point():
                    torch.distributed.all_reduce(buffer)
                    buffer /= torch.distributed.get_world_size()

    def is_finite(self) -> bool:
        """Whether every weight and buffer is a finite number. Waits for the device."""
        tensors = [t for t in (*self.parameters(), *self.buffers()) if t.is_floating_point()]
        return bool(torch.stack([t.detach().sum() for t in tensors]).isfinite().all())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the image count."""
        checkpoint["clock"] = self.clock.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue at the checkpoint's image count."""
        self.clock.load_state_dict(checkpoint["clock"])

    def _world_size(self) -> int:
        return self.trainer.world_size


class frozen:
    """Within it the network's parameters need no gradients, so none are computed for them."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def __enter__(self) -> None:
        self._network.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        self._network.requires_grad_(True)
