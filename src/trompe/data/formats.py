"""Which files are pictures, by their names, and what is said of the others."""

import contextlib
import importlib
from collections.abc import Iterable
from functools import cache
from posixpath import basename, splitext

from PIL import Image

from trompe.data.limits import valid

# Formats that Pillow recognizes, but decodes with outside help (a PostScript interpreter,
# a handler that the application installs) or not at all.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# Opened by another format's plugin.
_OPENED_AS = {"MPO": "JPEG"}
# Packages that teach Pillow more, with the function that does it; None: the import.
_PLUGINS = {"pillow_heif": "register_heif_opener", "pillow_jxl": None}

# Endings of files that no one takes for pictures: text, tables, and what systems leave behind.
_SILENT = {
    *(".txt", ".md", ".rst", ".tex", ".bib", ".doc", ".docx", ".html", ".htm", ".css", ".url"),
    *(".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".xls", ".xlsx", ".ods", ".db"),
    *(".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".log", ".lst", ".lock", ".license"),
    *(".py", ".ipynb", ".sh", ".bat", ".js", ".m", ".lnk", ".xmp", ".aae", ".thm"),
    *(".md5", ".sha1", ".sha256", ".crc", ".sig", ".asc"),
}
_SILENT_NAMES = {
    *("authors", "changelog", "checksums", "citation", "copying", "dockerfile", "license"),
    *("licence", "makefile", "manifest", "md5sums", "notice", "readme", "sha256sums", "version"),
}
_HINTS = {
    "pip install pillow-heif reads them": ".heic .heif .hif .heics .heifs",
    "pip install pillow-jxl-plugin reads them": ".jxl",
    "raw photographs: convert them, with the package rawpy for example": (
        ".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .kdc .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl "
        ".sr2 .srf .srw .x3f"
    ),
    "drawings: convert them, with the package cairosvg for example": ".svg .svgz",
    "documents: convert them": ".eps .ps .pdf .ai .wmf .emf .xcf .kra",
    "video: extract frames, with ffmpeg for example": (
        ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv .y4m"
    ),
    "archives: unpack them": ".7z .bz2 .gz .rar .tar .tgz .xz .zip .zst",
    "arrays: save them as pictures": ".npy .npz .mat .h5 .hdf .hdf5 .pt .pkl .tfrecord .parquet",
}
_HINT_OF = {ending: hint for hint, endings in _HINTS.items() for ending in endings.split()}
# Kinds of files listed in a note.
_LISTED = 5


@cache
def register_plugins() -> None:
    """Let Pillow read what the installed plugins can."""
    for module, function in _PLUGINS.items():
        with contextlib.suppress(ImportError):  # not installed, or without its libraries
            plugin = importlib.import_module(module)
            if function is not None:
                getattr(plugin, function)()


def is_picture(name: str) -> bool:
    """Whether a file of this name is an image that Pillow reads, not hidden."""
    return not _is_hidden(name) and _is_decoded(_ending(name))


def passed_over(names: Iterable[str]) -> str | None:
    """What a set's other files are, by their endings, with what could read them.

    Everything counts that is not a picture, except for hidden files and those that no one would
    take for one: text, tables, checksums, and what operating systems leave behind.

    Returns:
        One line, or None if there are none.
    """
    kinds: dict[str, list[str]] = {}
    for name in sorted(names):
        ending = _ending(name)
        quiet = ending in _SILENT or (not ending and basename(name).lower() in _SILENT_NAMES)
        if not (_is_hidden(name) or _is_decoded(ending) or quiet):
            kinds.setdefault(ending, []).append(name)
    most = sorted(kinds, key=lambda ending: len(kinds[ending]), reverse=True)
    told = [_told(ending, kinds[ending]) for ending in most[:_LISTED]]
    return ", ".join([*told, *(["..."] if len(most) > _LISTED else [])]) or None


def hint(name: str) -> str | None:
    """What to do with files of a name's ending, if it is known."""
    return _HINT_OF.get(_ending(name))


def _told(ending: str, names: list[str]) -> str:
    what = f"{len(names)} {ending}" if ending else f"{len(names)} without an ending"
    words = [names[0] if len(names) == 1 else f"{names[0]}, ...", _HINT_OF.get(ending, "")]
    return valid(f"{what} ({'; '.join(word for word in words if word)})")


def _ending(name: str) -> str:
    # Not by pathlib, which takes ten times as long: sets have millions of files.
    return splitext(name)[1].lower()


def _is_hidden(name: str) -> bool:
    rooted = f"/{name}"
    return "/." in rooted or "/__MACOSX/" in rooted


def _is_decoded(ending: str) -> bool:
    register_plugins()
    kind = Image.registered_extensions().get(ending, "")
    return _OPENED_AS.get(kind, kind) in Image.OPEN and kind not in _NOT_DECODED
