"""The classic DCGAN, as the public examples have it: a plain loop of plain layers."""

from itertools import pairwise

import torch
from torch import Tensor, nn


def classic_networks(width: int = 64) -> tuple[nn.Module, nn.Module]:
    """The 64-px DCGAN (Radford et al. 2015), weights from N(0, 0.02)."""
    widths = [8 * width, 4 * width, 2 * width, width]
    generator: list[nn.Module] = [nn.ConvTranspose2d(100, widths[0], 4, 1, 0, bias=False)]
    discriminator: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for wide, narrow in pairwise(widths):
        generator += [nn.BatchNorm2d(wide), nn.ReLU()]
        generator += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False)]
    for narrow, wide in pairwise(reversed(widths)):
        discriminator += [nn.Conv2d(narrow, wide, 4, 2, 1, bias=False)]
        discriminator += [nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
    generator += [nn.BatchNorm2d(width), nn.ReLU()]
    generator += [nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()]
    discriminator.append(nn.Conv2d(widths[0], 1, 4, 1, 0, bias=False))
    made = nn.Sequential(*generator), nn.Sequential(*discriminator)
    for layer in (layer for network in made for layer in network):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.02)
    return made


class ClassicLoop:
    """In float32, contiguous, every backward pass through both networks, three `.item()` a step.

    Args:
        detach: whether the discriminator's step does not go through the generator.
    """

    def __init__(self, detach: bool = False) -> None:
        self.generator, self.discriminator = classic_networks()
        self.detach = detach
        adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), **adam)  # type: ignore[arg-type]
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), **adam)  # type: ignore[arg-type]
        self.criterion = nn.BCEWithLogitsLoss()

    def step(self, images: Tensor) -> tuple[float, float, float]:
        """One step on uint8 images (N, 3, 64, 64); losses on real, on fake, and the generator's."""
        count = len(images)
        ones, zeros = torch.ones(count), torch.zeros(count)
        real = images.float() / 127.5 - 1
        self.discriminator.zero_grad()
        real_loss = self.criterion(self.discriminator(real).flatten(), ones)
        real_loss.backward()
        fake = self.generator(torch.randn(count, 100, 1, 1))
        seen = fake.detach() if self.detach else fake
        fake_loss = self.criterion(self.discriminator(seen).flatten(), zeros)
        fake_loss.backward(retain_graph=not self.detach)
        self.d_optimizer.step()
        self.generator.zero_grad()
        loss = self.criterion(self.discriminator(fake).flatten(), ones)
        loss.backward()
        self.g_optimizer.step()
        return real_loss.item(), fake_loss.item(), loss.item()
