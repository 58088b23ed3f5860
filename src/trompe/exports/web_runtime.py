"""onnxruntime-web, the npm package that runs a model in a browser: fetched once, and checked."""

import base64
import gzip
import hashlib
import io
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from trompe.cache_folder import keep
from trompe.errors import UserError
from trompe.paths import expand

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
# SHA-512 of the package's file, as npm states it: nothing else becomes a part of a page.
INTEGRITY = (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
_FILE = f"{PACKAGE}-{VERSION}.tgz"
_SCRIPT = "package/dist/ort.wasm.bundle.min.mjs"
_BINARY = "package/dist/ort-wasm-simd-threaded.wasm"
_LONGEST = 300  # seconds that npm may take
_EXPORTS = re.compile(r"export\s*\{([^}]*)\}\s*;?")


class Runtime(NamedTuple):
    """Of the package: `script`, to be put in a page, and `binary`, gzipped WebAssembly."""

    script: str
    binary: bytes


def find(given: str | None, cache_dir: Path) -> Runtime:
    """The package from a file, else from the cache, else by npm, which fills the cache.

    Args:
        given: a .tgz file; None: not given.
        cache_dir: trompe's cache.

    Raises:
        UserError: if there is no such file, it is not the pinned package, or npm fails.
    """
    if given is not None:
        path = expand(given, "web_runtime")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"web_runtime={given} cannot be read: {error.strerror}") from error
        if not _is_pinned(content):
            raise UserError(
                f"web_runtime={given} is not the file of {PACKAGE} {VERSION}: its SHA-512 differs "
                f"(npm pack {PACKAGE}@{VERSION} fetches it)"
            )
        return _read(content)
    cached = cache_dir / "web" / _FILE
    if cached.is_file() and _is_pinned(content := cached.read_bytes()):
        return _read(content)
    content = _fetch()
    keep(cached, lambda file: file.write(content), "wb")
    return _read(content)


def _is_pinned(content: bytes) -> bool:
    return base64.b64encode(hashlib.sha512(content).digest()).decode() == INTEGRITY


def _fetch() -> bytes:
    """The package's file, by npm.

    Raises:
        UserError: if npm is missing, fails, or brings another file.
    """
    otherwise = f"give its file with web_runtime=<{_FILE}>"
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"format=web needs the npm package {PACKAGE} {VERSION}, and there is no npm to fetch "
            f"it: install npm, or {otherwise}"
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent"]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_LONGEST
            )
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        except subprocess.TimeoutExpired:
            reason = f"it took more than {_LONGEST} seconds"
        path = Path(folder, _FILE)
        if not path.is_file():
            raise UserError(
                f"format=web: npm could not fetch {PACKAGE} {VERSION} ({reason[:120]}): {otherwise}"
            )
        content = path.read_bytes()
    if not _is_pinned(content):
        raise UserError(
            f"format=web: what npm fetched is not {PACKAGE} {VERSION}: its SHA-512 differs"
        )
    return content


def _read(content: bytes) -> Runtime:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        script, binary = (archive.extractfile(name) for name in (_SCRIPT, _BINARY))
        assert script is not None and binary is not None
        return Runtime(_as_object(script.read().decode()), gzip.compress(binary.read(), mtime=0))


def _as_object(script: str) -> str:
    """The module as one whose names are those of a global object, since a page cannot import it."""
    found = list(_EXPORTS.finditer(script))[-1]
    pairs = [entry.split(" as ") for entry in found[1].split(",")]
    names = ",".join(f"{public.strip()}:{own.strip()}" for own, public in pairs)
    return f"{script[: found.start()]}globalThis.onnxruntime={{{names}}};"
