"""Gather freely licensed photographs and paintings from Debian packages, for style transfer.

`python scripts/free_pictures.py OUTPUT`, on Debian or Ubuntu: `apt-get download` fetches the
packages (200 MB), nothing is installed. OUTPUT/train/photographs and OUTPUT/train/paintings get
pictures with a shorter side of at most 512 pixels, OUTPUT/held_out a few of each that nothing is to
be trained on, and OUTPUT/licenses each package's own statement of its licenses.

`trompe train experiment=style_embedded` trains on them.
"""

import argparse
import io
import json
import re
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageStat

SIDE = 512  # pixels of the shorter side: crops of 256 may then show a quarter of the picture
# What each package gives: photographs or paintings, and where.
WALLPAPERS = {
    "lomiri-wallpapers-16.04": "photographs",
    "lomiri-wallpapers-20.04": "photographs",
    "mate-backgrounds": "photographs",
    "plasma-workspace-wallpapers": "photographs",
    "propaganda-debian": "paintings",
}
GCOMPRIS = "gcompris-qt-data"
ANIMALS_AND_PLACES = ("explore_monuments", "explore_farm_animals", "explore_world_animals", "erase")
# In "details", beside photographs: paintings by Van Gogh.
VAN_GOGH = re.compile("Tanguy|Gogh|Eglise")
BOARD = (702, 515)  # pixels; the positions of a jigsaw's pieces are shares of it
FEWEST_PIXELS = 300  # of the shorter side
SIZE = re.compile(r"_?\d+x\d+$")
INSIDE = re.compile(r"\d+x\d+|images|images_dark|contents|screenshot")
LEAST_CONTRAST = 12  # standard deviation of gray levels, of 255: less is a backdrop
# To judge by: brush strokes, a woodcut, an abstract painting, a portrait, a crowd and two textures;
# a sky with lines, things, a kite, a flower, a bird, a building and a beast.
HELD_OUT = {
    *("PortraitOfPereTanguy", "GreatWave", "kandinky", "MonaLisa", "renoir-moulin_de_la_galette"),
    *("Caustic-Splotches-Of-Uber-5", "Livid-Pink-Warts-5"),
    *("Bridge_by_Sander_Klootwijk", "ColorfulCups", "Kite", "FreshFlower", "erase_kingfisher"),
    *("explore_monuments_eiffelTower", "erase_red_panda"),
}


def main() -> None:
    """Fetch, unpack and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    with tempfile.TemporaryDirectory() as folder:
        for package in (*WALLPAPERS, GCOMPRIS):
            root = fetch(package, Path(folder))
            found = jigsaws(root) if package == GCOMPRIS else wallpapers(root, WALLPAPERS[package])
            count = sum(write(picture, place(output, kind, name)) for kind, name, picture in found)
            license_file = output / "licenses" / f"{package}.txt"
            license_file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / "usr/share/doc" / package / "copyright", license_file)
            print(f"{package}: {count} pictures", flush=True)


def place(output: Path, kind: str, name: str) -> Path:
    """The file for a picture."""
    return output / ("held_out" if name in HELD_OUT else "train") / kind / f"{name}.png"


def fetch(package: str, folder: Path) -> Path:
    """Download a package; returns the folder where its files lie."""
    subprocess.run(["apt-get", "download", "-q", package], cwd=folder, check=True)
    root = folder / package
    subprocess.run(["dpkg-deb", "-x", next(folder.glob(f"{package}_*.deb")), root], check=True)
    return root


def write(picture: Image.Image, path: Path) -> bool:
    """Save a picture, smaller where it is large; False if it is too small, or a mere backdrop."""
    if min(picture.size) < FEWEST_PIXELS or picture.has_transparency_data:
        return False
    if ImageStat.Stat(picture.convert("L")).stddev[0] < LEAST_CONTRAST:
        return False
    scale = min(1, SIDE / min(picture.size))
    size = round(picture.width * scale), round(picture.height * scale)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(path)
    return True


def wallpapers(root: Path, kind: str) -> Iterator[tuple[str, str, Image.Image]]:
    """The largest picture of each name, as kind, name and picture."""
    largest: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png") and path.is_file():
            # Some are named by their size, in a folder that is named by the picture.
            folders = [path.stem, *(p.name for p in path.parents)]
            name = next(re.sub(SIZE, "", name) for name in folders if not INSIDE.fullmatch(name))
            if name not in largest or path.stat().st_size > largest[name].stat().st_size:
                largest[name] = path
    for name, path in largest.items():
        yield kind, name, Image.open(path)


def jigsaws(root: Path) -> Iterator[tuple[str, str, Image.Image]]:
    """The photographs of animals and places, and the paintings that are cut into jigsaws."""
    folder = root / "usr/share/gcompris-qt/rcc"
    for activity in ANIMALS_AND_PLACES:
        for path, content in resources(folder / f"{activity}.rcc"):
            if path.endswith(".webp"):
                yield (
                    "photographs",
                    f"{activity}_{Path(path).stem}",
                    Image.open(io.BytesIO(content)),
                )
    for path, content in resources(folder / "details.rcc"):
        if path.endswith("_background.webp"):
            kind = "paintings" if VAN_GOGH.search(path) else "photographs"
            yield kind, Path(path).stem.removesuffix("_background"), Image.open(io.BytesIO(content))
    files = dict(resources(folder / "paintings.rcc"))
    for path, content in files.items():
        if re.search(r"board\d+_0\.qml$", path):
            yield "paintings", *put_together(content.decode(), files)


def put_together(board: str, files: dict[str, bytes]) -> tuple[str, Image.Image]:
    """The name and the picture of a jigsaw whose board says where the middle of each piece lies."""
    levels = json.loads(re.search(r"levels\s*:\s*(\[.*\])", board, re.DOTALL)[1])  # type: ignore[index]
    picture = Image.new("RGBA", BOARD)
    name = ""
    for piece in levels[1:]:
        name = re.sub(r"[-_][a-e]?\d$", "", Path(piece["pixmapfile"]).stem)
        path = next(path for path in files if path.endswith(piece["pixmapfile"]))
        part = Image.open(io.BytesIO(files[path])).convert("RGBA")
        left = round(float(piece["x"]) * BOARD[0] - part.width / 2)
        top = round(float(piece["y"]) * BOARD[1] - part.height / 2)
        picture.paste(part, (left, top), part)
    inside = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 250)).getbbox()
    assert inside is not None
    rim = 6  # pixels: pieces do not quite meet at the edge
    left, top, right, bottom = inside
    inner = picture.crop((left + rim, top + rim, right - rim, bottom - rim))
    return name, inner.convert("RGB")


def resources(path: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of each file in a Qt resource archive (.rcc), format version 1 to 3."""
    archive = path.read_bytes()
    version, tree, data, names = struct.unpack(">4I", archive[4:20])
    size = 22 if version >= 2 else 14

    def text(offset: int) -> str:
        (length,) = struct.unpack_from(">H", archive, names + offset)
        start = names + offset + 6
        return archive[start : start + 2 * length].decode("utf-16-be")

    def walk(index: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        name, flags, first, second = struct.unpack_from(">IHII", archive, tree + index * size)
        inner = f"{prefix}/{text(name)}" if index else ""
        if flags & 2:  # a folder: how many entries, and the first
            for child in range(second, second + first):
                yield from walk(child, inner)
            return
        (length,) = struct.unpack_from(">I", archive, data + second)
        content = archive[data + second + 4 : data + second + 4 + length]
        yield inner, zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, "")


if __name__ == "__main__":
    main()
