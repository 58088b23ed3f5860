"""Data parallelism for several optimizers, without wrapping the module.

One `DistributedDataParallel` wrapper around generator *and* discriminator breaks with two
optimizers unless it searches for unused parameters at every step. As in StyleGAN3 (Karras et al.
2021, training loop), parameters are broadcast once and one flat all-reduce per optimizer averages
its gradients right before its step.
"""

from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from trompe.errors import UserError

_FIRST_ERROR = "trompe/first_error"


class FlatDDPStrategy(DDPStrategy):
    """`DDPStrategy` with an unwrapped module and one all-reduce per optimizer step."""

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
        """Tell rank 0, which records and prints it, the first error of another process.

        Rank 0 itself sees only a closed connection; the cause is added to that error as a note.
        """
        super().on_exception(exception)
        if isinstance(exception, KeyboardInterrupt) or not torch.distributed.is_initialized():
            return
        store = torch.distributed.distributed_c10d._get_default_store()
        try:
            if self.global_rank:
                text = f"{type(exception).__name__}: {exception}"
                # The first one counts: it takes the others down.
                store.compare_set(_FIRST_ERROR, "", f"rank {self.global_rank}: {text}")
                if isinstance(exception, UserError):
                    exception.is_told = True
            elif store.check([_FIRST_ERROR]):
                exception.add_note(store.get(_FIRST_ERROR).decode(errors="replace"))
        except RuntimeError:
            pass  # the store went with its process


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
