"""Deep Image Prior's network, and what happens to pictures."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from trompe.data.degradations import KERNELS, Downsampling, Gaps, GaussianNoise, Jpeg, taps_of
from trompe.data.one_picture import OnePicture
from trompe.errors import UserError
from trompe.networks.hourglass import Hourglass


def test_the_network_has_the_published_size_and_takes_any_side() -> None:
    network = Hourglass(32, 3, [128] * 5, [4] * 5)
    assert sum(p.numel() for p in network.parameters()) == 2_217_831
    small = Hourglass(4, 3, [8, 8], [2, 0], upsampling="nearest", pointwise=False)
    made = small(torch.rand(1, 4, 19, 33)).detach()
    assert made.shape == (1, 3, 19, 33) and 0 < float(made.min()) < float(made.max()) < 1
    with pytest.raises(UserError, match="a number for each scale"):
        Hourglass(4, 3, [8, 8], [2])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_fewer_pixels_keep_means_and_places(kernel: str, factor: int) -> None:
    assert float(taps_of(kernel, factor).sum()) == pytest.approx(1)
    side = 8 * factor
    ramp = torch.arange(side).float().expand(1, 3, side, side) / side
    small = Downsampling(factor, kernel).observe(ramp)
    assert small.shape == (1, 3, 8, 8)
    middle = (torch.arange(8) * factor + (factor - 1) / 2) / side
    torch.testing.assert_close(small[0, 0, 4, 3:5], middle[3:5], atol=1e-5, rtol=0)


def test_what_does_not_fit_is_one_line() -> None:
    with pytest.raises(UserError, match="factor=4 must divide the 18 x 16 pixels"):
        Downsampling(4, "box").observe(torch.zeros(1, 3, 16, 18))
    with pytest.raises(UserError, match="either mask=PICTURE, or share="):
        Gaps()
    with pytest.raises(UserError, match="batch_size=2 must be 1"):
        OnePicture("chelsea", GaussianNoise(25), True, size=32).stream(0, 2)


def test_a_picture_is_degraded_alike_every_time() -> None:
    first, again = (OnePicture("chelsea", GaussianNoise(25), True, size=64) for _ in range(2))
    first.setup()
    again.setup()
    assert first.fingerprint == again.fingerprint and first.reference is not None
    error = (first.degraded - first.reference).std() * 255
    assert 20 < float(error) < 26  # a little is cut off
    gaps = OnePicture("chelsea", Gaps(share=0.5), True, size=64)
    gaps.setup()
    assert 0.45 < float(gaps.known.mean()) < 0.55


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_and_color_pictures_are_compressed(channels: int) -> None:
    data = OnePicture("chelsea", Jpeg(10), True, size=64, channels=channels)
    data.setup()
    assert data.reference is not None and data.degraded.shape == data.reference.shape
    assert data.degraded.shape[1] == channels
    assert 0.005 < float((data.degraded - data.reference).abs().mean()) < 0.1


def test_a_mask_is_white_where_nothing_is_known(tmp_path: Path) -> None:
    file = tmp_path / "mask.png"
    mask = Image.new("L", (96, 64))
    mask.paste(255, (0, 0, 48, 64))
    mask.save(file)
    gaps = Gaps(mask=str(file))
    known = gaps.known(64, 96, 0)
    assert not known[..., :48].any() and bool(known[..., 48:].all())
    assert not gaps.degrade(torch.ones(1, 3, 64, 96), 0)[..., :48].any()
    with pytest.raises(UserError, match="has 96 x 64 pixels, but the picture has 64 x 64"):
        gaps.known(64, 64, 0)
    Image.new("L", (96, 64)).save(file)
    with pytest.raises(UserError, match=r"mask\.png is white nowhere"):
        Gaps(mask=str(file))
    with pytest.raises(UserError, match=r"nobody\.png cannot be read"):
        Gaps(mask=str(tmp_path / "nobody.png"))
