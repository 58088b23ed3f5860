"""How much is read of files from elsewhere, and what is said of those that give no picture."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from trompe.errors import UserError, check_count

# Beyond this Pillow too refuses a picture, unless told otherwise: twice 2^30 / 4 / 3 pixels.
MAX_PIXELS = 178_956_970
# A small picture may carry a preview, a color profile and notes.
_LEAST_BYTES = 64 * 2**20
# Names listed in a message, and characters of a decoder's own words.
LISTED = 5
_LONGEST = 120


class Unreadable(Exception):
    """A file gives no picture; the message says why, in words that fit in brackets after its name.

    It is not the end: what reads a set collects these, see `listed`.
    """


@dataclass(frozen=True)
class Limits:
    """What a file from elsewhere may take, whatever it says of itself.

    Args:
        max_pixels: width times height of a picture.
        key: what the config calls that, for messages.

    Raises:
        UserError: if it is not a whole number above 0.
    """

    max_pixels: int = MAX_PIXELS
    key: str = "data.max_pixels"

    def __post_init__(self) -> None:
        check_count(self.key, self.max_pixels)

    @property
    def max_bytes(self) -> int:
        """Bytes of a file, unpacked: four for each pixel, and 64 MiB at least."""
        return max(_LEAST_BYTES, 4 * self.max_pixels)

    def check_size(self, size: tuple[int, int] | None) -> None:
        """Refuse a picture of that width and height; None is unknown, and too large.

        Raises:
            Unreadable: if it has too many pixels.
        """
        if size is None:
            raise Unreadable(f"more pixels than {self.key}={self.max_pixels}")
        if size[0] * size[1] > self.max_pixels:
            sides = f"{size[0]} x {size[1]} pixels"
            raise Unreadable(f"{sides}: more than {self.key}={self.max_pixels}")

    def check_bytes(self, count: int) -> None:
        """Refuse a file of that many bytes.

        Raises:
            Unreadable: if it is too large.
        """
        if count > self.max_bytes:
            raise Unreadable(
                f"more than the {self.max_bytes >> 20} MiB that {self.key}={self.max_pixels} allows"
            )


LIMITS = Limits()


@contextmanager
def explained() -> Iterator[None]:
    """Inside this context files are read and decoded, which may fail in any way.

    Raises:
        Unreadable: for whatever a file or a decoder of its bytes may raise.
    """
    try:
        yield
    except (Unreadable, UserError, MemoryError):
        raise
    except Exception as error:
        # Decoders raise all kinds of errors on corrupt bytes.
        raise Unreadable(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a kind that Pillow knows"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "too many pixels in a picture within it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    words = " ".join(str(error).split()) or type(error).__name__
    if words.startswith("image file is truncated"):
        return "cut off"
    if "PngImagePlugin.MAX_TEXT" in words or "text chunk" in words:
        return "its text is larger than Pillow reads"
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]} ..."


def listed(names: Sequence[str], reasons: Sequence[str] = ()) -> str:
    """The first names, each with the reason in brackets where there is one.

    Args:
        names: all of them.
        reasons: of each, or of none.
    """
    pairs = [*zip(names, reasons, strict=True)] if reasons else [(name, "") for name in names]
    pairs = [*dict.fromkeys(pairs)]  # several images of one picture
    told = ", ".join(f"{name} ({why})" if why else name for name, why in pairs[:LISTED])
    return valid(told) + (", ..." if len(pairs) > LISTED else "")


def valid(text: str) -> str:
    """A text that can be written as UTF-8; names of files need not be such."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def cannot_be_decoded(
    location: str, total: int, names: Sequence[str], reasons: Sequence[str] = ()
) -> str:
    """Says which of a set's images are not read, and why.

    Args:
        location: of the set.
        total: number of its images.
        names: of those.
        reasons: see `listed`.
    """
    count = f"{len(names)} of {total} images of {location}"
    return f"{count} cannot be decoded: {listed(names, reasons)}"
