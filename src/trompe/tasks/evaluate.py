"""The evaluate task: metrics with their cards, of a run's checkpoint or of two sets of images."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from trompe.bars import Bar
from trompe.errors import UserError
from trompe.files import CannotWrite
from trompe.methods.capabilities import Generates, Images
from trompe.methods.trained import find_checkpoint, load_method
from trompe.methods.usage import does_not_work
from trompe.metrics.comparison import Comparison
from trompe.metrics.evaluation import BLOCK, check_measurable
from trompe.metrics.evaluation import evaluate as evaluate_method
from trompe.metrics.feature_comparison import teachers_of
from trompe.metrics.score import Score
from trompe.parts import make
from trompe.paths import expand
from trompe.runs.naming import find_run
from trompe.runs.run_folder import utc_now, write_json
from trompe.tasks.image_sets import open_images, preparation
from trompe.trust import open_config

# Half of a normal distribution's central 95 %, in standard errors.
_HALF_INTERVAL = 1.96


def evaluate(cfg: DictConfig) -> Path:
    """Print what `evaluate.yaml` asks for and write it as a card; returns the card's file.

    Raises:
        UserError: if a run, checkpoint or set of images is missing, pictures cannot be read, or
            nothing can be measured.
    """
    if (cfg.run is None) == (cfg.generated is None and cfg.reference is None):
        raise UserError("give either run=FOLDER, or generated=IMAGES and reference=IMAGES")
    if not cfg.metrics:
        raise UserError("metrics=[] measures nothing: name some, e.g. metrics=[efflite0]")
    if cfg.run is not None and cfg.resolution is not None:
        raise UserError("resolution= is for two sets of images: leave it out with run=")
    if cfg.run is not None:
        return _evaluate_run(cfg)
    if cfg.generated is None or cfg.reference is None:
        raise UserError("two sets of images need both generated= and reference=")
    return _evaluate_images(cfg)


def _evaluate_run(cfg: DictConfig) -> Path:
    run = find_run(cfg.run, cfg.paths.output_dir)
    checkpoint, which = find_checkpoint(run, cfg.checkpoint)
    out = card_file(cfg.out) if cfg.out else None
    config = open_config(run, cfg.trust, "data", "model")
    run.enter_directory()
    data = instantiate(config["data"], _convert_="all")
    data.setup()
    run.check_data(data.fingerprint)
    method = load_method(run, checkpoint, cfg.trust)
    if not isinstance(method, Generates):
        raise does_not_work(method, "evaluate", run.path)
    metrics = make(cfg.metrics, "metrics")
    check_measurable(method, metrics)
    for metric in metrics.values():
        metric.with_errors, metric.is_strict = True, False
        metric.to(method.device).prepare(data)
    scores = evaluate_method(method, metrics, data)
    kimg = checkpoint["clock"]["images"] / 1000
    subject = {"run": run.path.name, "checkpoint": which, "kimg": kimg, "seed": method.seed}
    if teachers := teachers_of(method):
        subject["discriminator_saw"] = ", ".join(teachers)
    print(f"{run.path.name} at {kimg:g} kimg ({which})")
    card = make_card(subject, metrics, scores)
    name = f"{which}_{kimg:g}_{_hash(card['protocols'])}.json"
    return report(card, out or run.path / "evaluations" / name)


def _evaluate_images(cfg: DictConfig) -> Path:
    out = card_file(cfg.out or "metric_card.json")
    generated = open_images("generated", cfg.generated, cfg)
    reference = open_images("reference", cfg.reference, cfg, generated.side)
    count = generated.data.split_size("train")
    metrics = {
        name: make(entry, f"metrics.{name}", n_images=count)
        for name, entry in cfg.metrics.items()
        if entry is not None
    }
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for metric in metrics.values():
        metric.with_errors, metric.is_strict = True, False
        metric.to(device).prepare(reference.data)
    for numbers in Bar(
        torch.arange(count).split(BLOCK), "measuring", unit="image", unit_scale=BLOCK
    ):
        images = generated.data.gather("train", numbers).images
        images = images.to(device) if isinstance(images, torch.Tensor) else images
        for metric in metrics.values():
            metric.update(Images(images), numbers)
    scores = {n: s for metric in metrics.values() for n, s in metric.compute().items()}
    subject = {"generated": str(cfg.generated), "data": generated.data.fingerprint}
    card = make_card(subject, metrics, scores)
    if how := preparation(generated, reference, cfg.resolution):
        for protocol in card["protocols"].values():
            protocol["pictures"] = how
    print(f"{cfg.generated} ({count} images) against {cfg.reference}")
    return report(card, out)


def card_file(out: str) -> Path:
    """The file that `out=` names, or the one to write in the folder that it names."""
    path = expand(out, "out").absolute()
    return path / "metric_card.json" if path.is_dir() else path


def make_card(
    subject: Mapping[str, Any],
    metrics: Mapping[str, Comparison],
    scores: Mapping[str, Score],
) -> dict[str, Any]:
    """Values with 95 % intervals, and everything that they depend on.

    Raises:
        UserError: if there is no value.
    """
    undefined = {
        name: why for metric in metrics.values() for name, why in metric.undefined_names().items()
    }
    if not scores:
        reasons = "; ".join(f"{name}: {why}" for name, why in undefined.items())
        raise UserError(f"nothing can be measured: {reasons}")
    protocols = {n: p for metric in metrics.values() for n, p in metric.protocols().items()}
    values: dict[str, dict[str, Any]] = {}
    for name, score in scores.items():
        error = score.standard_error
        half = None if error is None else _HALF_INTERVAL * error
        interval = None if half is None else [score.value - half, score.value + half]
        values[name] = {"value": score.value, "standard_error": error, "interval_95": interval}
        if score.note:
            values[name]["note"] = score.note
        if score.classes:
            values[name]["classes"] = dict(score.classes)
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
        if classes := entry.get("classes"):
            low, high = (f(classes, key=classes.__getitem__) for f in (min, max))
            ends = " to ".join(f"{classes[name]:.6g} ({name})" for name in (low, high))
            print(f"  {'':<{width}}  {len(classes)} classes, from {ends}")
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
