"""One page that compares runs, in one file that needs no network."""

import json
import math
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import plotly.offline
from jinja2 import Environment, PackageLoader, StrictUndefined
from optuna.distributions import CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import StudyDirection
from optuna.trial import TrialState

from trompe.files import whole_file
from trompe.report.collect import Entry, config_diff, protocol_groups, seed_groups
from trompe.report.pictures import embed_grids
from trompe.runs.reading import Unreadable, read_json
from trompe.runs.shape import MAPPING

_CURVE_POINTS = 120_000  # of all curves; one is about 25 bytes of text
_FEWEST_BINS = 100  # of a curve, each of two points
_LARGEST_CARD = 1_000_000  # bytes


def write_page(
    path: Path, entries: Sequence[Entry], study: optuna.Study | None = None, title: str = "Runs"
) -> None:
    """Write the comparison of runs, and of the study they are trials of, if any.

    Raises:
        UserError: if the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("trompe.report", "page"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["short"] = _short
    text = environment.get_template("page.html.j2").render(
        title=title,
        now=f"{datetime.now():%Y-%m-%d %H:%M}",
        plotly=plotly.offline.get_plotlyjs(),
        **_context(entries, study),
    )
    with whole_file(path, "wb") as file:
        file.write(text.encode(errors="replace"))  # names of files may be no text


def _context(entries: Sequence[Entry], study: optuna.Study | None) -> dict[str, Any]:
    names = list(dict.fromkeys(name for entry in entries for name in entry.metric_names()))
    metrics = [_metric(entries, name) for name in names]
    grids = embed_grids(entries)
    curves = sorted(
        {name for entry in entries for name in entry.summary.curves},
        key=lambda name: (name not in names, name),
    )
    bins = max(_CURVE_POINTS // 2 // max(len(curves) * len(entries), 1), _FEWEST_BINS)
    data = {
        "labels": [entry.label for entry in entries],
        "curves": {name: [_curve(entry, name, bins) for entry in entries] for name in curves},
        "grids": grids,
        "sweep": None if study is None else _sweep(study),
    }
    return {
        "rows": [_row(entry, metrics, i) for i, entry in enumerate(entries)],
        "metrics": metrics,
        "diff": config_diff(entries),
        "labels": data["labels"],
        "seeds": [_seeds(entries, group, names) for group in seed_groups(entries)],
        "curve_names": curves,
        "is_thinned": any(
            curve.is_thinned(bins) for entry in entries for curve in entry.summary.curves.values()
        ),
        "unreadable": sum(entry.problem is not None for entry in entries),
        "kimgs": sorted({kimg for run in grids for kimg, _ in run}),
        "has_sweep": study is not None,
        "cards": _cards(entries),
        # A "</script>" in a value would end the script that holds the data.
        "data": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
    }


def _metric(entries: Sequence[Entry], name: str) -> dict[str, Any]:
    groups, fields = protocol_groups(entries, name)
    protocols = [entries[group[0]].protocol(name) for group in groups]
    return {
        "name": name,
        "better": protocols[0].get("better", "lower") if protocols else "lower",
        "groups": groups,
        "differing": [
            {"field": field, "values": [str(protocol.get(field)) for protocol in protocols]}
            for field in fields
        ],
    }


def _row(entry: Entry, metrics: Sequence[dict[str, Any]], number: int) -> dict[str, Any]:
    values = []
    for metric in metrics:
        group = next((i for i, group in enumerate(metric["groups"]) if number in group), None)
        several = len(metric["groups"]) > 1
        mark = chr(ord("A") + group) if several and group is not None else ""
        values.append({"value": entry.best(metric["name"]), "mark": mark})
    return {
        "label": entry.label,
        "path": str(entry.run.path),
        "status": entry.status,
        "kimg": entry.kimg,
        "minutes": entry.minutes,
        "started": entry.started,
        "error": entry.facts.get("error") or "",
        "problem": entry.problem or "",
        "values": values,
    }


def _curve(entry: Entry, name: str, bins: int) -> list[list[float]]:
    """Points with as many digits as the eye can see."""
    curve = entry.summary.curves.get(name)
    points = curve.points(bins) if curve else []
    return [[float(f"{x:.7g}"), float(f"{y:.7g}")] for x, y in points]


def _seeds(entries: Sequence[Entry], group: list[int], names: Sequence[str]) -> dict[str, Any]:
    """Mean over seeds with the 95 % interval of the mean (Student's t)."""
    from scipy.stats import t

    shown = {}
    for name in names:
        values = [v for i in group if (v := entries[i].best(name)) is not None]
        if len(values) > 1 and len(protocol_groups([entries[i] for i in group], name)[0]) == 1:
            mean = sum(values) / len(values)
            deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
            half = float(t.ppf(0.975, len(values) - 1)) * deviation / math.sqrt(len(values))
            shown[name] = f"{mean:.5g} ± {half:.2g}"
    return {"labels": [entries[i].label for i in group], "values": shown}


def _sweep(study: optuna.Study) -> dict[str, Any] | None:
    """Parameters and objectives of finished trials, and how much each parameter matters."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    objectives = study.user_attrs.get("objective", ["objective"])
    names = list(dict.fromkeys(name for trial in done for name in trial.params))
    dimensions = []
    for name in names:
        values = [trial.params.get(name) for trial in done]
        distribution = done[0].distributions[name]
        if isinstance(distribution, CategoricalDistribution):
            choices = [str(choice) for choice in distribution.choices]
            numbers: list[Any] = [choices.index(str(value)) for value in values]
            dimension: dict[str, Any] = {"label": name, "values": numbers, "choices": choices}
        else:
            is_log = bool(getattr(distribution, "log", False))
            numbers = [math.log10(v) if is_log else v for v in values]  # type: ignore[arg-type]
            label = f"log10 {name}" if is_log else name
            dimension = {"label": label, "values": numbers, "choices": None}
        dimensions.append(dimension)
    outcomes = [
        {"label": name, "values": [trial.values[i] for trial in done], "choices": None}
        for i, name in enumerate(objectives)
    ]
    return {
        "dimensions": dimensions,
        "outcomes": outcomes,
        "trials": [trial.number for trial in done],
        "importances": [_importances(study, i) for i in range(len(objectives))],
    }


def _importances(study: optuna.Study, objective: int) -> dict[str, float]:
    """By PED-ANOVA (Watanabe et al. 2023); empty with too few trials or equal values."""
    sign = -1 if study.directions[objective] == StudyDirection.MAXIMIZE else 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that it looks for low values, as intended
            return get_param_importances(
                study,
                evaluator=PedAnovaImportanceEvaluator(),
                target=lambda trial: sign * trial.values[objective],
            )
    except (ValueError, RuntimeError, ZeroDivisionError):
        return {}


def _cards(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The metric cards of every run: what was tracked, and its evaluations."""
    found = []
    for entry in entries:
        if entry.protocols:
            text = _pretty(entry.protocols)
            found.append({"label": entry.label, "what": "tracked", "text": text})
        for file in sorted((entry.run.path / "evaluations").glob("*.json")):
            try:
                text = _pretty(read_json(file, MAPPING, _LARGEST_CARD))
            except Unreadable as error:
                text = f"unreadable: {error.reason}"
            found.append({"label": entry.label, "what": file.stem, "text": text})
    return found


def _short(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1)
