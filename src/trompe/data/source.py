"""What a data set must offer so that it can be decoded and cached."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from tqdm import tqdm

from trompe.streams import visible


class Source(ABC):
    """Encoded images with labels.

    Attributes:
        labels: int64 (len,), indices into `class_names`; zeros when there are no classes.
        class_names: a name for each label.
        location: where the images come from, for error messages.
        notes: lines that the user should read before the images are used.
    """

    labels: np.ndarray
    class_names: list[str]
    location: str = "the data set"
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash, in hexadecimal, of the content and the labels, wherever they are kept."""

    @abstractmethod
    def read(self, index: int) -> Image.Image | np.ndarray:
        """Image `index`: a Pillow image of any mode, or uint8 (H, W, C) with C 1, 3 or 4.

        Called from several threads at once. Any exception means that the image is corrupt; it says
        why, see `trompe.data.limits.explained`.
        """

    def name(self, index: int) -> str:
        """What to call image `index` in an error message."""
        return f"image {index}"


@rank_zero_only
def tell(notes: Iterable[str]) -> None:
    """Print lines that the user should read, in one process only."""
    for note in notes:
        tqdm.write(f"note: {visible(note)}")
