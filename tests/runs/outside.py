"""Methods from outside of the package, as users write them: what `test_processes.py` trains.

`Pair` has everything that depends on the number of processes if it is done wrongly: two generators
that draw noise of their own, two discriminators, pools of earlier images, and a scalar that adapts.
"""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from trompe.data.image_data import Batch
from trompe.data.loader import TrainingData
from trompe.engine.ema import Averaged
from trompe.engine.pool import ImagePool
from trompe.engine.randomness import Draws
from trompe.engine.share import Share
from trompe.images import to_signed, to_uint8
from trompe.losses.diffaugment import Augment
from trompe.methods.capabilities import FromLatents, Generates, Images, Latents
from trompe.methods.gan import GAN
from trompe.methods.method import Method, frozen
from trompe.networks.noise import Dropout, noise_like

SIDE = 16


class Noisy(nn.Module):
    """Latents (N, 4) to images; draws noise and drops features."""

    latent_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(4, 32), nn.Linear(32, 3 * SIDE**2)
        self.strength = nn.Parameter(torch.tensor(0.1))
        self.dropout = Dropout(0.2)

    def forward(self, z: Tensor) -> Tensor:
        features = self.dropout(self.layer(z).sin())
        features = features + self.strength * noise_like(features)
        return self.out(features).tanh().view(-1, 3, SIDE, SIDE)


class Judge(nn.Module):
    """Images to logits (N,)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(3 * SIDE**2, 8), nn.Linear(8, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.layer(images.flatten(1)).sin()).flatten()


class Pair(Method, FromLatents):
    """Two generators of the same images, each with a discriminator."""

    batch_type = Batch
    latent_shape = (4,)
    options: ClassVar = {"which": ("first", "second")}

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.first, self.second = Noisy(), Noisy()
        self.judges = nn.ModuleList([Judge(), Judge()])
        self.averages = nn.ModuleList([Averaged(self.first, 0.05), Averaged(self.second, 0.02)])
        self.pools = nn.ModuleList([ImagePool(8, (3, SIDE, SIDE)) for _ in range(2)])
        self.register_buffer("blur", torch.zeros(()))

    def configure_optimizers(self) -> list[Optimizer]:
        generators = [*self.first.parameters(), *self.second.parameters()]
        # A large eps: rounding errors of small gradients stay small.
        return [
            self.make_optimizer(Adam, generators, lr=1e-3, eps=0.1),
            self.make_optimizer(SGD, self.judges.parameters(), lr=1e-2),
        ]

    def phase(self) -> str:
        return "d+g"

    def update(self, phase: str, batch: Batch, draws: Draws) -> None:
        names = phase.split("+")
        fakes = []
        for name, generator in (("first", self.first), ("second", self.second)):
            with draws.named(name):
                fakes.append(generator(draws.normal(f"latents {name}", 4)))
        if "d" in names:
            self.update_judges(to_signed(batch.images), fakes, draws)
        if "g" in names:
            with frozen(self.judges):
                told = [judge(fake) for judge, fake in zip(self.judges, fakes, strict=True)]
                loss = (torch.cat(told) - 1).square().mean()
                self.track("loss/generator", loss)
                self.step("g", loss)

    def update_judges(self, real: Tensor, fakes: list[Tensor], draws: Draws) -> None:
        losses, seen_by = [], []
        for i, (judge, pool) in enumerate(zip(self.judges, self.pools, strict=True)):
            seen = pool.exchange(fakes[i], draws, f"pool {i}")
            noise = draws.normal(f"blur {i}", 3, SIDE, SIDE)
            logits = judge(real + self.blur * noise)
            seen_by.append(logits)
            losses.append((logits - 1).square().mean() + judge(seen).square().mean())
        loss = torch.stack(losses).sum()
        self.track("loss/discriminator", loss)
        self.step("d", loss)
        if (batch := self.of_batch("logits", torch.cat(seen_by))) is not None:
            self.blur += 0.1 * draws.share.mean(batch.sign().mean())

    @torch.no_grad()
    def sample(self, inputs: Latents, which: str = "first", **options: Any) -> Tensor:
        return self.averages[("first", "second").index(which)](inputs.latents)


class Hasty(Pair):
    """Takes a generator step whatever the phase."""

    def update(self, phase: str, batch: Batch, draws: Draws) -> None:
        super().update("d+g", batch, draws)


class Disordered(Pair):
    """Names its steps in another order than it takes them."""

    def phase(self) -> str:
        return "g+d"


class Nameless(Pair):
    """Has an optimizer without a name."""

    optimizer_names = ("g",)


class Adaptive(Augment):
    """Adds noise, the more the surer the discriminator is of real images."""

    draws = 1

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("strength", torch.zeros(()))

    def forward(self, images: Tensor, uniform: Tensor) -> Tensor:
        return images + self.strength * (uniform[:, :, None, None] - 0.5)

    def observe(self, real_logits: Tensor, share: Share) -> None:
        self.strength += 0.1 * share.mean(real_logits.detach().tanh().mean())


class Careless(nn.Module):
    """A generator that draws from torch's global generator."""

    latent_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3 * SIDE**2)

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z + torch.randn_like(z)).view(-1, 3, SIDE, SIDE).tanh()


class Uneven(GAN):
    """Keeps a state that is another on every process."""

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.register_buffer("seen", torch.zeros(()))

    def update(self, phase: str, batch: Batch, draws: Draws) -> None:
        self.seen += batch.images.float().mean()
        super().update(phase, batch, draws)


class Picture(NamedTuple):
    """One picture, uint8 (1, C, H, W)."""

    picture: Tensor


class OnePicture(TrainingData):
    """The same picture in every batch; there is nothing else, so no split and nothing to show."""

    batch_type = Picture
    fingerprint = "one picture"

    def stream(self, seed: int, batch_size: int) -> "OnePicture":
        return self

    def batch(self, position: int, rows: slice | Tensor) -> Picture:
        return Picture(torch.arange(3 * SIDE**2).view(1, 3, SIDE, SIDE).remainder(256).byte()[rows])


class Prior(Method, Generates):
    """A network that learns to draw one picture from a fixed code (Deep Image Prior)."""

    batch_type = inputs_type = Picture
    optimizer_names = ("g",)

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.network = nn.Linear(8, 3 * SIDE**2)

    def configure_optimizers(self) -> list[Optimizer]:
        return [self.make_optimizer(Adam, self.network.parameters(), lr=0.1)]

    def update(self, phase: str, batch: Picture, draws: Draws) -> None:
        loss = (self.draw() - to_signed(batch.picture)).square().mean()
        self.track("loss/generator", loss)
        self.step("g", loss)

    def draw(self) -> Tensor:
        return self.network(torch.ones(1, 8)).view(1, 3, SIDE, SIDE)

    def draw_inputs(self, data: Any, count: int, purpose: str) -> Picture:
        return data.batch(0, slice(0, 1))

    @torch.no_grad()
    def generate(self, inputs: Picture) -> Images:
        return Images(self.draw())

    @torch.no_grad()
    def draw_grid(self, data: Any, count: int) -> tuple[Tensor, int | None]:
        return to_uint8(self.draw()), None


# Config files by name.
FILES = {
    "model/pair": """
defaults: [base/method@_here_, _self_]
_target_: outside.Pair
""",
    "model/prior": """
defaults: [base/method@_here_, _self_]
_target_: outside.Prior
""",
    "data/single_picture": """
_target_: outside.OnePicture
""",
    "model/adaptive": """
defaults: [base/gan@_here_, _self_]
generator: {_target_: trompe.networks.dcgan.DCGANGenerator, latent_dim: 8, width: 4,
  resolution: 16, channels: 3, norm: null}
discriminator: {_target_: trompe.networks.dcgan.DCGANDiscriminator, width: 4,
  resolution: 16, channels: 3, norm: null}
augment: {_target_: outside.Adaptive}
""",
}
