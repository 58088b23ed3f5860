"""Labels in networks, in the update, in the inputs of a trained method, and as people name them."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trompe.data.image_data import Batch, show_classes
from trompe.engine.clock import Clock
from trompe.errors import UserError
from trompe.losses.diffaugment import Augment
from trompe.methods.capabilities import LabeledLatents, by_class, take
from trompe.methods.gan import GAN
from trompe.methods.labels import as_folders, choose_labels
from trompe.networks.class_projection import ClassProjection, make_projection
from trompe.networks.conditional_norm import ConditionalNorm
from trompe.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from trompe.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from trompe.networks.sndcgan import SNDCGANDiscriminator, SNDCGANGenerator
from trompe.networks.stylegan import StyleGANGenerator
from trompe.networks.stylegan_discriminator import StyleGANDiscriminator
from trompe.parts import takes

Make = Callable[..., Any]
R3 = {"widths": (16, 16, 16), "group_width": 4, "blocks": 1}
STYLE = {"base": 64, "max_width": 8}
GENERATORS: dict[str, Make] = {
    "dcgan": partial(DCGANGenerator, width=4),
    "sndcgan": partial(SNDCGANGenerator, width=4),
    "r3gan": partial(R3GANGenerator, **R3),
    "stylegan": partial(StyleGANGenerator, latent_dim=8, style_dim=8, mapping_layers=2, **STYLE),
}
DISCRIMINATORS: dict[str, Make] = {
    "dcgan": partial(DCGANDiscriminator, width=4),
    "sndcgan": partial(SNDCGANDiscriminator, width=4),
    "r3gan": partial(R3GANDiscriminator, **R3),
    "stylegan": partial(StyleGANDiscriminator, **STYLE),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def images(count: int) -> Tensor:
    return torch.rand(count, 3, 16, 16) * 2 - 1


# Pictures


def test_real_images_are_shown_by_class() -> None:
    labels = torch.tensor([1, 0, 1, 0, 0, 0])
    pictures = torch.arange(1, 7, dtype=torch.uint8)[:, None, None, None].expand(6, 3, 2, 2)

    def gather(split: str, indices: Tensor) -> Batch:
        assert split == "train"
        return Batch(pictures[indices], labels[indices])

    data = SimpleNamespace(labels=lambda split: labels, gather=gather)
    shown = show_classes(data, 3, 3)[:, 0, 0, 0].tolist()
    assert len({*shown[:3]}) == 3 and {*shown[:3]} <= {2, 4, 5, 6}
    assert {*shown[3:6]} == {1, 3} and shown[3] == shown[5]  # which are all, and again
    assert shown[6:] == [0, 0, 0]


# Networks


@torch.no_grad()
@pytest.mark.parametrize("name", GENERATORS)
def test_generators_make_another_image_of_another_class(name: str) -> None:
    generator = GENERATORS[name](16, classes=3).eval()
    for module in generator.modules():  # which begin alike for all classes
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
        if name == "r3gan" and isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.1)
    z = torch.randn(1, generator.latent_dim).expand(3, -1)
    made = generator(z, labels=torch.tensor([0, 1, 0]))
    assert made.shape == (3, 3, 16, 16)
    torch.testing.assert_close(made[0], made[2])
    assert not torch.allclose(made[0], made[1])


@torch.no_grad()
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators_judge_an_image_by_its_class(name: str) -> None:
    discriminator = DISCRIMINATORS[name](16, classes=3).eval()
    logits = discriminator(images(1).expand(3, -1, -1, -1), labels=torch.tensor([0, 1, 0]))
    assert logits.shape == (3,)
    torch.testing.assert_close(logits[0], logits[2])
    assert not torch.allclose(logits[0], logits[1])


@torch.no_grad()
@pytest.mark.parametrize("make", [DCGANDiscriminator, SNDCGANDiscriminator])
def test_the_projection_is_equation_4(make: Make) -> None:
    discriminator = make(16, width=4, classes=3).eval()
    pictures, labels = images(5), torch.tensor([0, 1, 2, 1, 0])
    seen: list[Tensor] = []
    last = [m for m in discriminator.layers if isinstance(m, nn.LeakyReLU)][-1]
    last.register_forward_hook(lambda *found: seen.append(found[2]))
    logits = discriminator(pictures, labels)
    (features,) = seen
    pooled = torch.stack([features[i].flatten(1).sum(1) for i in range(5)])
    embedded = discriminator.projection.embedding.weight
    terms = torch.stack([pooled[i] @ embedded[labels[i]] for i in range(5)])
    plain = discriminator.layers(pictures).flatten()
    torch.testing.assert_close(logits, plain + terms)
    if make is SNDCGANDiscriminator:
        discriminator.train()
        for _ in range(20):
            discriminator(pictures, labels)
        discriminator.eval()
        weight = discriminator.projection.embedding.weight
        assert torch.linalg.svdvals(weight)[0] == pytest.approx(1, abs=1e-3)


def test_a_projection_is_scaled_or_not() -> None:
    plain, scaled = ClassProjection(16, 2, scaled=False), ClassProjection(16, 2)
    scaled.load_state_dict(plain.state_dict())
    features, labels = torch.randn(3, 16), torch.tensor([0, 1, 1])
    torch.testing.assert_close(plain(features, labels), 4 * scaled(features, labels))
    assert make_projection(16, 0) is None


def test_conditional_norm_is_a_batch_norm_for_each_class() -> None:
    layer = ConditionalNorm(nn.BatchNorm2d(4), 4, classes=3)
    assert {name for name, _ in layer.named_parameters()} == {"scale.weight", "shift.weight"}
    features, labels = torch.randn(6, 4, 5, 5), torch.tensor([0, 1, 2, 2, 1, 0])
    torch.testing.assert_close(layer(features, labels), nn.BatchNorm2d(4)(features))
    nn.init.normal_(layer.scale.weight)
    nn.init.normal_(layer.shift.weight)
    for evaluates in (False, True):
        layer.train(not evaluates)
        made = layer(features, labels)
        for label in range(3):
            own = nn.BatchNorm2d(4).train(not evaluates)
            own.running_mean, own.running_var = layer.norm.running_mean, layer.norm.running_var
            own.weight = nn.Parameter(layer.scale.weight[label].detach().clone())
            own.bias = nn.Parameter(layer.shift.weight[label].detach().clone())
            chosen = labels == label
            torch.testing.assert_close(made[chosen], own(features)[chosen])


def test_a_generator_without_norm_has_no_place_for_classes() -> None:
    with pytest.raises(UserError, match=r"^model.generator.norm=null leaves no place"):
        DCGANGenerator(16, norm=None, classes=2)


@pytest.mark.parametrize("family", ["dcgan", "sndcgan"])
def test_without_classes_nothing_is_another(family: str) -> None:
    for makers in (GENERATORS, DISCRIMINATORS):
        torch.manual_seed(1)
        plain = makers[family](16)
        after = torch.rand(1)
        torch.manual_seed(1)
        zero = makers[family](16, classes=0)
        assert torch.equal(after, torch.rand(1))
        assert list(plain.state_dict()) == list(zero.state_dict())
        assert not [n for n in plain.state_dict() if "projection" in n or "scale" in n]


# The update


class Told(nn.Module):
    """Keeps the labels that it is given."""

    def __init__(self, generates: bool) -> None:
        super().__init__()
        self.latent_dim, self.generates = 3, generates
        self.weight = nn.Parameter(torch.ones(3))
        self.told: list[Tensor | None] = []

    def forward(self, given: Tensor, labels: Tensor | None = None) -> Tensor:
        self.told.append(labels)
        if self.generates:
            return (given * self.weight)[:, :, None, None].expand(-1, -1, 2, 2).tanh()
        return (given * self.weight[:, None, None]).square().mean((1, 2, 3))


def make_gan(classes: int) -> Any:
    gan: Any = GAN(
        Told(True),
        Told(False),
        loss="relativistic",
        penalties={"r1": 1.0, "wgan_gp": 1.0},
        penalty_every={"r1": 2},
        generator_penalties={"mode_seeking": 1.0},
        augment=Augment(),
        discriminator_steps=1,
        optimizer=torch.optim.SGD,
        generator_lr=0.01,
        discriminator_lr=0.01,
        ema_half_life_kimg=1,
        ema_rampup=0,
        classes=classes,
        clock=Clock(1, 0.1, 4),
        seed=0,
    )
    optimizers = gan.configure_optimizers()
    gan.optimizers = lambda: optimizers
    gan.manual_backward = lambda loss: loss.backward()
    return gan


@pytest.mark.parametrize("classes", [0, 5])
def test_every_network_is_given_the_batch_s_labels_whenever_it_is_asked(classes: int) -> None:
    gan = make_gan(classes)
    labels = torch.tensor([4, 0, 2, 2])
    batch = Batch(torch.randint(256, (4, 3, 2, 2)).to(torch.uint8), labels)
    assert "d/r1" in gan.phase()
    gan.training_step(batch, 0)
    for network in (gan.generator, gan.discriminator):
        assert network.told
        given = [labels if classes else None] * len(network.told)
        assert all(a is b for a, b in zip(network.told, given, strict=True))


def test_inputs_have_the_labels_of_training_images() -> None:
    gan = make_gan(3)
    train = torch.tensor([0, 1, 1, 1] * 100)
    data = SimpleNamespace(labels=lambda split: train)
    inputs = gan.draw_inputs(data, 4000, "evaluation")
    assert type(inputs) is gan.inputs_type is LabeledLatents
    assert inputs.latents.shape == (4000, 3) and inputs.labels.dtype == torch.int64
    shares = inputs.labels.bincount(minlength=3) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.75, 0]), atol=0.03, rtol=0)
    again = gan.draw_inputs(data, 4000, "evaluation")
    assert torch.equal(inputs.labels, again.labels)
    assert torch.equal(inputs.latents, make_gan(0).draw_inputs(data, 4000, "evaluation").latents)


def test_a_grid_has_the_same_latents_in_the_row_of_each_class() -> None:
    inputs = by_class(torch.arange(2.0)[:, None], [5, 3, 4])
    assert inputs.latents.flatten().tolist() == [0, 1, 0, 1, 0, 1]
    assert inputs.labels.tolist() == [5, 5, 3, 3, 4, 4]
    assert take(inputs, slice(1, 2)).labels.tolist() == [5]
    data = SimpleNamespace(labels=lambda split: torch.zeros(1, dtype=torch.long))
    for classes, count, shape in ((3, 8, (6, 2)), (30, 64, (60, 6)), (3, 1, (1, 1))):
        gan = make_gan(classes)
        made, columns = gan.draw_grid(data, count)
        assert (len(made), columns) == shape
        *_, labels = gan.generator_ema.network.told
        assert labels.unique().tolist() == list(range(min(classes, 10, count)))


# Names


def test_classes_are_named_or_numbered() -> None:
    names = ["cat", "dog", "red fox", "1"]
    assert choose_labels("dog", names, "run") == [1]
    assert choose_labels(["red fox", 0, "dog", "cat"], names, "run") == [2, 0, 1]
    assert choose_labels(1, names, "run") == [3]  # a name comes first
    assert choose_labels(2, names, "run") == [2]
    assert choose_labels(None, [str(i) for i in range(50)], "run") == list(range(32))
    assert choose_labels(None, [], "run") == []
    for label, told in (
        ("dig", r"label=dig is no class of run: did you mean dog\?"),
        ("fox", r"did you mean red fox\?"),
        ("horse", "they are cat, dog, red fox, 1"),
        (7, "label=7 is no class"),
        (True, "label=true is no class"),
        ([], "chooses no class"),
    ):
        with pytest.raises(UserError, match=told):
            choose_labels(label, names, "run")
    with pytest.raises(UserError, match="label=cat: the model of run makes images without labels"):
        choose_labels("cat", [], "run")


def test_folders_are_named_as_the_classes_where_these_are_names() -> None:
    assert as_folders(["red fox", "dog"], [1, 0]) == ["dog", "red fox"]
    assert as_folders(["a/b", "a:b", "c"], [0, 1]) == ["0_a_b", "1_a_b"]
    assert as_folders(["..", "c"], [0, 1]) == ["0_", "1_c"]
    assert as_folders(["Cat", "cat"], [1]) == ["1_cat"]


def test_what_takes_classes_is_known_without_making_it() -> None:
    assert takes("trompe.methods.gan.GAN", "classes")
    assert takes("trompe.networks.dcgan.DCGANGenerator", "classes")
    assert not takes("trompe.networks.mlp.MLPGenerator", "classes")
    assert not takes("trompe.methods.cyclegan.CycleGAN", "classes")
    assert not takes("nothing.of.the.kind", "classes")
