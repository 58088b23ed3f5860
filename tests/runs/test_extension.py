"""A new GAN is one module and one YAML, outside of the package, and nothing else."""

from pathlib import Path

from tests.conftest import TINY, Trompe, load

MODULE = '''
import torch
from torch import Tensor, nn

from trompe.engine.randomness import Draws
from trompe.methods.gan import GAN


def discriminator_cubic(real: Tensor, fake: Tensor) -> Tensor:
    return (real - 1).abs().pow(3).mean() + fake.abs().pow(3).mean()


def generator_cubic(fake: Tensor) -> Tensor:
    return (fake - 1).abs().pow(3).mean()


class Plain(nn.Module):
    def __init__(self, pixels: int, latent_dim: int = 4) -> None:
        super().__init__()
        self.latent_dim, self.side = latent_dim, pixels
        self.layer = nn.Linear(latent_dim, 3 * pixels**2)

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z).tanh().view(-1, 3, self.side, self.side)


class NoisyGAN(GAN):
    """Adds noise to whatever the discriminator sees: one method overridden."""

    def __init__(self, noise: float, **common: object) -> None:
        super().__init__(**common)
        self.noise = noise

    def discriminate(self, images: Tensor, purpose: str, draws: Draws) -> Tensor:
        noise = draws.normal(f"noise {purpose}", *images.shape[1:])
        return super().discriminate(images + self.noise * noise, purpose, draws)
'''
YAML = """
defaults:
  - base/gan@_here_
  - augment: none
  - _self_
_target_: my_gans.noisy.NoisyGAN
noise: 0.1
loss: my_gans.noisy.cubic
generator: {_target_: my_gans.noisy.Plain, pixels: '${data.resolution}'}
discriminator:
  _target_: trompe.networks.dcgan.DCGANDiscriminator
  resolution: ${data.resolution}
  channels: ${data.channels}
  width: 4
"""


def test_one_module_and_one_yaml_add_a_gan(trompe: Trompe, cache: Path) -> None:
    (trompe.folder / "my_gans").mkdir()
    (trompe.folder / "my_gans" / "__init__.py").touch()
    (trompe.folder / "my_gans" / "noisy.py").write_text(MODULE)
    (trompe.folder / "my_conf" / "model").mkdir(parents=True)
    (trompe.folder / "my_conf" / "model" / "noisy.yaml").write_text(YAML)
    path = {"PYTHONPATH": str(trompe.folder)}
    arguments = ["--config-dir", "my_conf", "model=noisy", *TINY, "kimg=0.096"]
    trompe("train", *arguments)
    (run,) = trompe.runs()
    assert run.path.parent.name == "noisy_shapes"
    assert load(run.last_checkpoint)["state_dict"]["generator.layer.weight"].shape == (768, 4)
    # It resumes, samples and takes overrides as the built-in ones do.
    resume = ["train", "--config-dir", "my_conf", f"run={run.path}", "kimg=0.144"]
    told = trompe.fails(*resume, **path)
    assert "my_gans.noisy.NoisyGAN (model._target_), my_gans.noisy.cubic (model.loss)" in told
    assert "set trust=true" in told
    trompe(*resume, "trust=true", **path)
    assert len(run.read_metrics()) == 3
    trompe("sample", f"run={run.path}", "n=2", "trust=true")
    # From another folder, the code is found beside the folder of configs.
    (trompe.folder / "elsewhere").mkdir()
    elsewhere = Trompe(trompe.folder / "elsewhere", cache)
    moved = [argument.replace("my_conf", "../my_conf") for argument in arguments]
    elsewhere("train", *moved)
    missing = elsewhere.fails("train", *TINY, "model._target_=my_gans.noisy.NoisyGAN")
    assert "my_gans is not in the current folder, beside the folder of --config-dir" in missing
    message = trompe.fails("train", *arguments, "model.loss=my_gans.noisy.quartic", **path)
    assert "quartic is not known: choose one of cubic" in message
