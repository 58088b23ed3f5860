"""The evaluate task: metrics with their cards, of a run's checkpoint or of two sets of images."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from trompe.command import config_dir
from trompe.data.image_data import ImageData
from trompe.data.picture_folder import FolderSource
from trompe.errors import UserError
from trompe.files import CannotWrite
from trompe.methods.capabilities import Images
from trompe.methods.trained import find_checkpoint, load_method
from trompe.metrics.comparison import Comparison
from trompe.metrics.evaluation import BLOCK, check_measurable
from trompe.metrics.evaluation import evaluate as evaluate_method
from trompe.metrics.score import Score
from trompe.runs.older import upgrade_config
from trompe.runs.run_folder import open_run, utc_now, write_json

# Half of a normal distribution's central 95 %, in standard errors.
_HALF_INTERVAL = 1.96
# Removed when full, and not drawn where there is no terminal.
_BAR: dict[str, Any] = {"leave": False, "disable": None}


def evaluate(cfg: DictConfig) -> Path:
    """Print what `evaluate.yaml` asks for and write it as a card; returns the card's file.

    Raises:
        UserError: if a run, checkpoint or set of images is missing, sets do not match, or there
            are too few images for a measure.
    """
    if (cfg.run is None) == (cfg.generated is None and cfg.reference is None):
        raise UserError("give either run=FOLDER, or generated=IMAGES and reference=IMAGES")
    if not cfg.metrics:
        raise UserError("metrics=[] measures nothing: name some, e.g. metrics=[efflite0]")
    if cfg.run is not None:
        return _evaluate_run(cfg)
    if cfg.generated is None or cfg.reference is None:
        raise UserError("two sets of images need both generated= and reference=")
    return _evaluate_images(cfg)


def _evaluate_run(cfg: DictConfig) -> Path:
    run = open_run(cfg.run)
    checkpoint, which = find_checkpoint(run, cfg.checkpoint)
    out = card_file(cfg.out) if cfg.out else None
    run.enter_directory()
    data = instantiate(upgrade_config(run.read_config())["data"], _convert_="all")
    data.setup()
    run.check_data(data.fingerprint)
    method = load_method(run, checkpoint)
    metrics = instantiate(cfg.metrics, _convert_="all")
    check_measurable(method, metrics)
    for metric in metrics.values():
        metric.with_errors = True
        metric.to(method.device).prepare(data)
    scores = evaluate_method(method, metrics, data)
    kimg = checkpoint["clock"]["images"] / 1000
    subject = {"run": run.path.name, "checkpoint": which, "kimg": kimg, "seed": method.seed}
    print(f"{run.path.name} at {kimg:g} kimg ({which})")
    card = make_card(subject, metrics, scores)
    name = f"{which}_{kimg:g}_{_hash(card['protocols'])}.json"
    return report(card, out or run.path / "evaluations" / name)


def _evaluate_images(cfg: DictConfig) -> Path:
    out = card_file(cfg.out or "metric_card.json")
    generated = open_images("generated", cfg.generated, {})
    reference = open_images(
        "reference", cfg.reference, {"resolution": generated.decoding.resolution}
    )
    sizes = [(d.decoding.resolution, d.decoding.channels) for d in (generated, reference)]
    if sizes[0] != sizes[1]:
        raise UserError(
            "generated= and reference= do not match: {}x{} px with {} channel(s) and "
            "{}x{} px with {}; convert one to match the other".format(
                *(s for side, channels in sizes for s in (side, side, channels))
            )
        )
    count = generated.split_size("train")
    metrics = {
        name: instantiate(entry, n_images=count, _convert_="all")
        for name, entry in cfg.metrics.items()
    }
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for metric in metrics.values():
        metric.with_errors = True
        metric.to(device).prepare(reference)
    for numbers in tqdm(torch.arange(count).split(BLOCK), "images", unit_scale=BLOCK, **_BAR):
        images = generated.gather("train", numbers).images.to(device)
        for metric in metrics.values():
            metric.update(Images(images), numbers)
    scores = {n: s for metric in metrics.values() for n, s in metric.compute().items()}
    subject = {"generated": str(cfg.generated), "data": generated.fingerprint}
    print(f"{cfg.generated} ({count} images) against {cfg.reference}")
    return report(make_card(subject, metrics, scores), out)


def card_file(out: str) -> Path:
    """The file that `out=` names, or the one to write in the folder that it names."""
    path = Path(out).expanduser().absolute()
    return path / "metric_card.json" if path.is_dir() else path


def open_images(key: str, spec: str, options: Mapping[str, Any]) -> ImageData:
    """All images of a folder, a zip archive, or a data set named in `conf/data`.

    Args:
        key: the config key, for messages.
        spec: where the images are, or the data set's name.
        options: of the data set, if it is a named one.

    Raises:
        UserError: if there is no such thing, or pictures differ in size or are not square.
    """
    if Path(spec).expanduser().exists():
        chosen, options = "folder", {"path": spec, **_sizes(key, spec)}
    elif (Path(config_dir()) / "data" / f"{spec}.yaml").is_file():
        chosen = spec
    else:
        raise UserError(f"{key}={spec} is neither a folder, a zip archive nor a data set")
    overrides = [f"data.{name}={json.dumps(value)}" for name, value in options.items()]
    config = compose("train", [f"data={chosen}", "data.validation_fraction=0", *overrides])
    data = instantiate(config.data, _convert_="all")
    assert isinstance(data, ImageData)
    data.setup()
    return data


def _sizes(key: str, spec: str) -> dict[str, int]:
    """The one size of all pictures, and whether they are gray or in color."""
    source = FolderSource(spec)
    found: Counter[tuple[int, int]] = Counter()
    modes = set()
    for index in tqdm(range(len(source)), key, **_BAR):
        try:
            picture = source.read(index)
        except OSError as error:
            raise UserError(f"{key}={spec}: {source.name(index)} cannot be read: {error}") from None
        found[picture.size] += 1
        modes.add(picture.mode)
    (width, height), _ = found.most_common(1)[0]
    if len(found) > 1:
        sizes = ", ".join(f"{n} of {w}x{h}" for (w, h), n in found.most_common(3))
        raise UserError(
            f"{key}={spec} has pictures of {len(found)} sizes ({sizes}): resize them to one"
        )
    if width != height:
        raise UserError(f"{key}={spec} has pictures of {width}x{height} px: make them square")
    gray = all(mode in ("1", "L", "I", "I;16", "F") for mode in modes)
    return {"resolution": width, "channels": 1 if gray else 3}


def make_card(
    subject: Mapping[str, Any],
    metrics: Mapping[str, Comparison],
    scores: Mapping[str, Score],
) -> dict[str, Any]:
    """Values with 95 % intervals, and everything that they depend on."""
    protocols = {n: p for metric in metrics.values() for n, p in metric.protocols().items()}
    values: dict[str, dict[str, Any]] = {}
    for name, score in scores.items():
        error = score.standard_error
        half = None if error is None else _HALF_INTERVAL * error
        interval = None if half is None else [score.value - half, score.value + half]
        values[name] = {"value": score.value, "standard_error": error, "interval_95": interval}
        if score.note:
            values[name]["note"] = score.note
    undefined = {
        name: why for metric in metrics.values() for name, why in metric.undefined_names().items()
    }
    return {
        "subject": dict(subject),
        "values": values,
        "undefined": undefined,
        "protocols": protocols,
        "time": utc_now(),
    }


def report(card: dict[str, Any], path: Path) -> Path:
    """Print the card as a table and write it, whole or not at all."""
    width = max(map(len, [*card["values"], *card["undefined"]]))
    print(f"  {'':<{width}}  {'value':<14}  95 % interval")
    for name, entry in card["values"].items():
        low_high = entry["interval_95"]
        interval = f"  [{low_high[0]:.6g}, {low_high[1]:.6g}]" if low_high else ""
        print(f"  {name:<{width}}  {entry['value']:<14.8g}{interval}")
    for name, why in card["undefined"].items():
        print(f"  {name:<{width}}  not measured: {why}")
    for note in dict.fromkeys(e["note"] for e in card["values"].values() if "note" in e):
        print(f"  note: {note}")
    try:
        write_json(path, card)
    except CannotWrite as error:
        raise UserError(f"cannot write the card {path}: {error.reason}") from error
    print(f"  card: {path}")
    return path


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
