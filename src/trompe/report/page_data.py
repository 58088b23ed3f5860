"""What the comparison page shows, as plain values for its scripts."""

import json
import math
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trompe.report.collect import Entry, alike_but_for_seed, protocol_groups
from trompe.report.columns import Column, find_columns
from trompe.report.pictures import embed_pictures
from trompe.report.run_table import labels, words_of
from trompe.runs.curve import Curve
from trompe.runs.index import short_id, title_of, trial_of
from trompe.runs.notes import find_tags, read_notes
from trompe.runs.reading import Unreadable, read_json
from trompe.runs.shape import MAPPING

if TYPE_CHECKING:  # an extra
    import optuna

_CURVE_POINTS = 120_000  # of all curves; one is about 20 bytes of text
_FEWEST_BINS = 30  # of a curve, each of two points
_LARGEST_CARD = 1_000_000  # bytes
_CARDS = 2_000_000  # characters of all cards


def page_data(entries: Sequence[Entry], study: "optuna.Study | None", title: str) -> dict[str, Any]:
    """Everything on the page, in values that JSON has; numbers that are not finite are None."""
    names = list(dict.fromkeys(name for entry in entries for name in entry.metric_names()))
    curves = sorted(
        {name for entry in entries for name in entry.summary.curves},
        key=lambda name: (name not in names, name.startswith("speed/"), name),
    )
    bins = max(_CURVE_POINTS // 2 // max(len(curves) * len(entries), 1), _FEWEST_BINS)
    pictures = embed_pictures(entries)
    columns = find_columns(entries, [words_of(entry) for entry in entries])
    sweep = None if study is None else _sweep(study, entries)
    return {
        "title": title,
        "heading": title if sweep is None else _heading(title, entries, sweep, columns),
        "now": f"{datetime.now():%Y-%m-%d %H:%M}",
        "runs": _runs(entries),
        "metrics": [_metric(entries, name) for name in names],
        "columns": [
            {**vars(column), "values": [plain(value) for value in column.values]}
            for column in columns
        ],
        "curves": {
            name: [_points(e.summary.curves.get(name), bins) for e in entries] for name in curves
        },
        "clocks": [_points(entry.summary.clock, bins) for entry in entries],
        "thinned": any(c.is_thinned(bins) for e in entries for c in e.summary.curves.values()),
        **pictures._asdict(),
        "sweep": sweep,
        "cards": _cards(entries),
        "student": _student(),
    }


def _sweep(study: "optuna.Study", entries: Sequence[Entry]) -> dict[str, Any]:
    from trompe.report.page_study import study_data

    return study_data(study, entries)


def _heading(
    title: str, entries: Sequence[Entry], sweep: dict[str, Any], columns: Sequence[Column]
) -> str:
    """What a sweep varied; the title if that is not just the folder's name."""
    folders = {trial[0] for e in entries if (trial := trial_of(e.run.path)) is not None}
    if {folder.name for folder in folders} != {title} or not sweep["parameters"]:
        return title
    shorts = {column.key: column.short for column in columns}
    names = [p["name"] for p in sweep["parameters"]]
    varied = ", ".join(shorts.get(name, name.rpartition(".")[2]) for name in names)
    trials = f"{len(entries)} trial{'' if len(entries) == 1 else 's'}"
    return f"{entries[0].run.path.parent.name}: {varied} ({trials})"


def _runs(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    alike = alike_but_for_seed(entries)
    experiments = [title_of(entry.run.path) for entry in entries]
    several = len(set(experiments)) > 1
    found = []
    for i, (entry, label) in enumerate(zip(entries, labels(entries), strict=True)):
        trial = trial_of(entry.run.path)
        short = short_id(entry.run.path) if trial is None else f"trial {trial[1]}"
        varied = label.removeprefix(f"{experiments[i]}: ")
        notes = read_notes(entry.run.path)
        hardware = entry.facts.get("hardware") or {}
        found.append(
            {
                "id": short,
                "label": entry.label,
                "name": label if several else (short if varied == experiments[i] else varied),
                "experiment": experiments[i],
                "path": str(entry.run.path),
                "status": entry.status,
                "error": entry.problem or entry.facts.get("error") or "",
                "unreadable": entry.problem is not None,
                "kimg": plain(entry.kimg),
                "minutes": plain(entry.minutes),
                "devices": _devices(hardware),
                "started": entry.started or "",
                "notes": notes,
                "tags": find_tags(notes),
                "events": _events(entry),
                "best": {name: plain(entry.best(name)) for name in entry.metric_names()},
                "last": {
                    name: plain(entry.summary.last.get(name)) for name in entry.metric_names()
                },
                "alike": alike[i],
            }
        )
    return found


def _devices(hardware: dict[str, Any]) -> int:
    """Processes that trained at once."""
    numbers = [hardware.get(name) for name in ("devices", "num_nodes")]
    return math.prod(n for n in numbers if isinstance(n, int) and n > 0)


def _events(entry: Entry) -> list[list[Any]]:
    """What happened to a run, as (kimg, word)."""
    sessions = entry.facts.get("sessions") or []
    events = [[s["from_kimg"], "resumed"] for s in sessions if s.get("from_kimg")]
    best = entry.facts.get("best")
    return [*events, [best["kimg"], "best"]] if best else events


def _metric(entries: Sequence[Entry], name: str) -> dict[str, Any]:
    """Which way is better, and which runs are comparable in it."""
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


def _points(curve: Curve | None, bins: int) -> list[list[float]]:
    """Kimg and values, with as many digits as the eye can see."""
    points = curve.points(bins) if curve else []
    return [[float(f"{point[axis]:.6g}") for point in points] for axis in (0, 1)]


def plain(value: Any) -> Any:
    """A value as JSON has it; None for a number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _cards(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The metric cards of every run: what was tracked, and its evaluations; equal ones once."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        if entry.protocols:
            found.setdefault(("tracked", _pretty(entry.protocols)), []).append(entry.label)
        for file in sorted((entry.run.path / "evaluations").glob("*.json")):
            try:
                text = _pretty(read_json(file, MAPPING, _LARGEST_CARD))
            except Unreadable as error:
                text = f"unreadable: {error.reason}"
            found.setdefault((file.stem, text), []).append(entry.label)
    cards, room = [], _CARDS
    for (what, text), owners in found.items():
        room -= len(text)
        shown = text if room > 0 else "left out: the page would become too large"
        cards.append({"labels": owners, "what": what, "text": shown})
    return cards


def _student() -> list[float]:
    """Student's t for 95 % intervals, by degrees of freedom from 1 on."""
    from scipy.stats import t

    return [float(f"{value:.5g}") for value in t.ppf(0.975, range(1, 31))]


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1)
