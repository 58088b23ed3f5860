"""Data parallelism for several optimizers, without wrapping the module.

One `DistributedDataParallel` wrapper around generator *and* discriminator breaks with two
optimizers unless it searches for unused parameters at every step. As in StyleGAN3 (Karras et al.
2021, training loop), parameters are broadcast once and one flat all-reduce per optimizer averages
its gradients right before its step.
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from trompe.engine.interrupt import ignore_signals
from trompe.engine.launcher import Launcher, is_lost
from trompe.engine.processes import Processes
from trompe.errors import AnotherProcess, UserError

_TASK = "trompe/task"
_FIRST_END = "trompe/first_end"
_TO_FINISH = 30.0  # seconds that another process gets to end after the last batch
_INTERRUPTED = "interrupted"


class FlatDDPStrategy(DDPStrategy):
    """`DDPStrategy` with an unwrapped module and one all-reduce per optimizer step.

    Args:
        processes: which one this is.
        devices: how many there are on this machine.
        num_nodes: number of machines.
        backend: of torch.distributed.
        task: what this process is to do, in words; all must do the same.

    Attributes:
        cause: why another process ended, if this one ends of that.
    """

    launcher: Launcher

    def __init__(
        self, processes: Processes, devices: int, num_nodes: int, backend: str, task: str
    ) -> None:
        super().__init__(process_group_backend=backend)
        self.processes = processes
        self.task = task
        self.cause: BaseException | None = None
        self._sizes = devices, num_nodes

    def _configure_launcher(self) -> None:
        self._launcher = Launcher(self.processes, *self._sizes)

    def setup_environment(self) -> None:
        """Meet the others, and go on only if all of them do the same.

        Raises:
            UserError: if this process does not do what the first one does.
        """
        super().setup_environment()
        store, key = self._store(), f"{_TASK}/{_attempt()}"
        if self.processes.is_first:
            store.set(key, self.task)
        elif (first := store.get(key).decode()) != self.task:
            raise UserError(
                f"this process would {self.task}, but the first one would {first}: start all with "
                "the same command, where all see the same output folder"
            )

    def configure_ddp(self) -> None:
        """Make all processes start from rank 0's parameters and buffers."""
        assert self.model is not None
        with torch.no_grad():
            for tensor in (*self.model.parameters(), *self.model.buffers()):
                torch.distributed.broadcast(tensor.data, src=0)

    def _setup_model(self, model: nn.Module) -> nn.Module:  # type: ignore[override]
        return model

    def pre_backward(self, closure_loss: Tensor) -> None:
        """There is no reducer to prepare."""

    def post_backward(self, closure_loss: Tensor) -> None:
        """There is no reducer to flush."""

    def optimizer_step(
        self,
        optimizer: Optimizer,
        closure: Callable[[], Any],
        model: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Average this optimizer's gradients over all processes, then step."""
        average_gradients(optimizer, self.world_size)
        return super().optimizer_step(optimizer, closure, model, **kwargs)

    def on_exception(self, exception: BaseException) -> None:
        """Find out why another process ended, if that is what this one ends of, and end the others.

        The first process records and prints it; it sees only a closed connection by itself. What
        it is, is in `cause` afterwards.
        """
        super().on_exception(exception)
        ignore_signals()
        store = self._store()
        try:
            if not self.processes.is_first:
                self.cause = self._tell(exception, store)
            elif not isinstance(exception, KeyboardInterrupt | UserError):
                self.cause = self._cause(exception, store)
            elif store is not None and isinstance(exception, KeyboardInterrupt):
                store.compare_set(self._key, "", _INTERRUPTED)
        except torch.distributed.DistError:  # the store went with the process that had it
            self.cause = AnotherProcess("another process died") if is_lost(exception) else None
        self.launcher.end()

    def _tell(self, exception: BaseException, store: Any) -> BaseException | None:
        """Tell the first process why this one ends; the first reason counts."""
        if store is None:
            return None
        if is_lost(exception):
            said = store.get(self._key).decode() if store.check([self._key]) else ""
            error: BaseException = KeyboardInterrupt()
            if said != _INTERRUPTED:
                error = AnotherProcess("another process died")
                error.is_told = True
            return error
        text = f"rank {self.global_rank}: {exception}"
        if isinstance(exception, KeyboardInterrupt):
            text = _INTERRUPTED
        elif not isinstance(exception, UserError):
            text = f"rank {self.global_rank}: {type(exception).__name__}: {exception}"
        store.compare_set(self._key, "", text)
        if isinstance(exception, UserError):
            exception.is_told = True
        return None

    def _cause(self, exception: BaseException, store: Any) -> BaseException | None:
        said = store.get(self._key).decode() if store and store.check([self._key]) else ""
        if said:
            self.launcher.wait_for_end()  # it prints its error
            return KeyboardInterrupt() if said == _INTERRUPTED else AnotherProcess(said)
        if not is_lost(exception):
            return None
        return self.launcher.wait_for_end() or AnotherProcess("another process died")

    @property
    def _key(self) -> str:
        """Where the first reason is."""
        return f"{_FIRST_END}/{_attempt()}"

    @staticmethod
    def _store() -> Any:
        if not torch.distributed.is_initialized():
            return None
        return torch.distributed.distributed_c10d._get_default_store()

    def teardown(self) -> None:
        """End together with the others, which have as little left to do as this one."""
        super().teardown()
        self.launcher.end(_TO_FINISH)


def _attempt() -> str:
    """Of torchrun, whose store outlives its attempts."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")


def average_gradients(optimizer: Optimizer, world_size: int) -> None:
    """Replace each gradient of `optimizer` by its mean over `world_size` processes.

    Every process must hold gradients for the same parameters.
    """
    gradients = [
        parameter.grad
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.grad is not None
    ]
    if world_size == 1 or not gradients:
        return
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    torch.distributed.all_reduce(flat)
    flat /= world_size
    pieces = flat.split([gradient.numel() for gradient in gradients])
    for gradient, piece in zip(gradients, pieces, strict=True):
        gradient.copy_(piece.view(gradient.shape))
