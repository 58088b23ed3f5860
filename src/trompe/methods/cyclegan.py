"""Unpaired translation between two kinds: Zhu et al. 2017, https://arxiv.org/abs/1703.10593."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.optim import Optimizer

from trompe.data.unpaired import UnpairedBatch
from trompe.engine.ema import Averaged
from trompe.engine.pool import ImagePool
from trompe.engine.randomness import Draws, keyed_generator
from trompe.engine.schedules import Number, check_weights
from trompe.images import luminance, to_signed, to_uint8
from trompe.losses.adversarial import load_unpaired
from trompe.methods.capabilities import FromPictures, Generates, Options, on
from trompe.methods.method import Method, frozen

_NOISE = 2 / 127.5  # two gray levels, in [-1, 1]


class Translations(NamedTuple):
    """What both generators make of images a and b, in [-1, 1], (N, C, H, W).

    `images` are a's as b; `cycle_a` is a's way there and back, `noisy_cycle_a` the same with a
    little noise in between; `logits` (N, 4) are the means of what the discriminators say of b, of
    what should be b, of a, and of what should be a.
    """

    images: Tensor
    b_to_a: Tensor
    cycle_a: Tensor
    cycle_b: Tensor
    noisy_cycle_a: Tensor
    noisy_cycle_b: Tensor
    logits: Tensor


class CycleGAN(Method, Generates, FromPictures):
    """Two generators, G from a to b and F back, and a discriminator of each kind (sec. 3).

    Args:
        generator: makes a generator.
        discriminator: makes a discriminator, from images to logits of their patches.
        loss: name of a pair of functions in `trompe.losses.adversarial`, or a dotted path.
        weights: of the generators' losses: adversarial, cycle, identity.
        pool_size: earlier images kept, some of which the discriminators see again (sec. 4).
        resolution: side of the images, pixels.
        channels: of the images.
        optimizer: makes an optimizer from parameters and `lr`.
        generator_lr: learning rate of both generators; a number or a schedule.
        discriminator_lr: learning rate of both discriminators; likewise.
        ema_half_life_kimg: half-life of the averaged generators, thousands of images; likewise.
        ema_rampup: the half-life is at most this fraction of the images seen.
        common: see `Method`.

    Raises:
        UserError: for wrong weights, or a loss that compares pairs.
    """

    batch_type = UnpairedBatch
    inputs_type = UnpairedBatch
    outputs_type = Translations

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        loss: str,
        weights: Mapping[str, Number],
        pool_size: int,
        resolution: int,
        channels: int,
        optimizer: Callable[..., Optimizer],
        generator_lr: Number,
        discriminator_lr: Number,
        ema_half_life_kimg: Number,
        ema_rampup: float,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.a_to_b, self.b_to_a = generator(), generator()
        self.discriminator_a, self.discriminator_b = discriminator(), discriminator()
        self.a_to_b_ema = Averaged(self.a_to_b, ema_half_life_kimg, ema_rampup)
        self.b_to_a_ema = Averaged(self.b_to_a, ema_half_life_kimg, ema_rampup)
        self.channels = channels
        shape = (channels, resolution, resolution)
        self.pool_a, self.pool_b = ImagePool(pool_size, shape), ImagePool(pool_size, shape)
        self.loss = load_unpaired(loss)
        self.weights = check_weights(weights, ("adversarial", "cycle", "identity"))
        self.optimizer = optimizer
        self.generator_lr, self.discriminator_lr = generator_lr, discriminator_lr
        self.multiple = int(self.a_to_b.multiple)  # type: ignore[arg-type]

    def configure_optimizers(self) -> list[Optimizer]:
        """One of both generators, one of both discriminators; the generators go first."""
        generators = [*self.a_to_b.parameters(), *self.b_to_a.parameters()]
        discriminators = [*self.discriminator_a.parameters(), *self.discriminator_b.parameters()]
        return [
            self.make_optimizer(self.optimizer, generators, lr=self.generator_lr),
            self.make_optimizer(self.optimizer, discriminators, lr=self.discriminator_lr),
        ]

    def update(self, phase: str, batch: UnpairedBatch, draws: Draws) -> None:
        """One step of the generators, one of the discriminators on the same translations."""
        names = phase.split("+")
        # Instance normalization has no kernels for channels last.
        a, b = (to_signed(images).contiguous() for images in batch)

        # Generators: min  (D_b(G(a)) - 1)^2 + (D_a(F(b)) - 1)^2 + |F(G(a)) - a| + |G(F(b)) - b|
        if "g" in names:
            fake_b, fake_a = self.a_to_b(a), self.b_to_a(b)
            with frozen(self.discriminator_a), frozen(self.discriminator_b):
                judged = (self.discriminator_b(fake_b), self.discriminator_a(fake_a))
                losses = {
                    "adversarial": torch.stack([*map(self.loss.generator, judged)]).sum(),
                    "cycle": l1_loss(self.b_to_a(fake_b), a) + l1_loss(self.a_to_b(fake_a), b),
                }
                if self.weights["identity"] != 0:
                    losses["identity"] = l1_loss(self.a_to_b(b), b) + l1_loss(self.b_to_a(a), a)
                loss = self.weighted(losses, self.weights)
                self.track("loss/generator", loss)
                self.step("g", loss)
            draws.kept |= {"fake a": fake_a.detach(), "fake b": fake_b.detach()}

        # Discriminators: min  (D_b(b) - 1)^2 + D_b(G(a))^2 + (D_a(a) - 1)^2 + D_a(F(b))^2, halved
        if "d" in names:
            fake_a = self.pool_a.exchange(draws.kept["fake a"], draws, "pool a")
            fake_b = self.pool_b.exchange(draws.kept["fake b"], draws, "pool b")
            losses_of = [
                self.judge(self.discriminator_a, "a", a, fake_a),
                self.judge(self.discriminator_b, "b", b, fake_b),
            ]
            loss = torch.stack(losses_of).sum()
            self.track("loss/discriminator", loss)
            self.step("d", loss)

    def judge(self, discriminator: nn.Module, kind: str, real: Tensor, fake: Tensor) -> Tensor:
        """The loss of one discriminator."""
        real_logits, fake_logits = discriminator(real), discriminator(fake)
        self.track_values(f"logits/real_{kind}", real_logits.flatten())
        self.track_values(f"logits/fake_{kind}", fake_logits.flatten())
        return self.loss.discriminator(real_logits, fake_logits)

    def draw_inputs(self, data: Any, count: int, purpose: str) -> UnpairedBatch:
        """Held-out images of both kinds; counterparts where the data have them."""
        pairs: UnpairedBatch = data.pairs("validation", count)
        return pairs

    @torch.no_grad()
    def generate(self, inputs: UnpairedBatch) -> Translations:
        """What the averaged generators make of images, uint8 (N, C, H, W)."""
        a, b = map(to_signed, inputs)
        images, b_to_a = self.a_to_b_ema(a), self.b_to_a_ema(b)
        noise = torch.randn(a.shape[1:], generator=keyed_generator(0, "hidden information"))
        noise = _NOISE * noise.to(a.device)
        pairs = (self.discriminator_b, (b, images)), (self.discriminator_a, (a, b_to_a))
        logits = [judge(x).float().mean((1, 2, 3)) for judge, both in pairs for x in both]
        made = (
            images,
            b_to_a,
            self.b_to_a_ema(images),
            self.a_to_b_ema(b_to_a),
            self.b_to_a_ema(images + noise),
            self.a_to_b_ema(b_to_a + noise),
        )
        finished = (*(x.float() for x in made), torch.stack(logits, 1))
        return Translations(*finished)

    def draw_grid(self, data: Any, count: int) -> tuple[Tensor, int]:
        """A row for each held-out pair: a, as b, and back; b, as a, and back."""
        inputs = data.pairs("validation", max(1, count // 6))
        made = self.generate(on(self.device, inputs))
        a_row = (inputs.a, made.images, made.cycle_a)
        columns = (*a_row, inputs.b, made.b_to_a, made.cycle_b)
        finished = [x if x.dtype == torch.uint8 else to_uint8(x).cpu() for x in columns]
        return torch.stack(finished, 1).flatten(0, 1), len(columns)

    @property
    def options(self) -> Options:
        """See `FromPictures`."""
        return {"direction": ("a_to_b", "b_to_a")}

    def networks_in_use(self, direction: str = "a_to_b", **options: Any) -> dict[str, nn.Module]:
        """See `Method`: one direction's generator."""
        return {direction: (self.a_to_b_ema if direction == "a_to_b" else self.b_to_a_ema).network}

    @torch.no_grad()
    def render(
        self,
        picture: Tensor,
        style: Tensor | None = None,
        strength: float = 1.0,
        tile: int | None = None,
        held: Any = None,
        direction: str = "a_to_b",
        **options: Any,
    ) -> Tensor:
        """See `FromPictures`; below full strength the picture is faded into the original."""
        generator = self.a_to_b_ema if direction == "a_to_b" else self.b_to_a_ema
        seen = picture if self.channels == 3 else luminance(picture)
        return torch.lerp(picture, generator(seen).float().expand_as(picture), strength)
