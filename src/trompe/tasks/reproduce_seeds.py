"""L3: an experiment with several seeds, tested with another one."""

import math
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from omegaconf import DictConfig
from scipy.stats import t as student

from trompe.errors import UserError
from trompe.paths import expand
from trompe.report.collect import Entry, alike_but_for_seed, protocol_groups, read_entries
from trompe.runs.index import REPRODUCTIONS
from trompe.runs.run_folder import RunFolder, write_json
from trompe.tasks.again import look, started, tell_ticks
from trompe.tasks.recorded_code import check_recorded, source_of
from trompe.trust import PARTS, open_config

_SHARE = 0.95  # of new seeds that are expected inside the interval


def reproduce_seeds(cfg: DictConfig, folder: Path) -> Path:
    """Train the runs of a folder that differ in the seed alone with another seed.

    Its metric has to lie where 95 of 100 seeds would: mean ± t s sqrt(1 + 1/n) of the n recorded
    (the prediction interval of a normal distribution). Of several such groups, the one with the
    most seeds is tested, then the one with the best metric.

    Returns:
        the file with the verdict, in that folder.

    Raises:
        UserError: if there is no such group, or the metric lies outside.
    """
    for key, usual in (("ticks", None), ("tolerance", 0), ("processes", None)):
        if cfg[key] != usual:
            raise UserError(f"{key}={cfg[key]} is for a single run, and {folder} holds several")
    entries = [entry for entry in read_entries([folder]) if entry.status == "done"]
    group, metric = choose_group(entries, folder)
    values = [value for entry in group if (value := entry.best(metric)) is not None]
    seeds = [int(entry.config["seed"]) for entry in group]
    run, seed = group[0].run, max(seeds) + 1
    open_config(run, cfg.trust, *PARTS)
    if cfg.code == "recorded":
        check_recorded(run, cfg.trust)
    mean, half = interval(values)
    told = f"{mean:.5g} ± {half:.2g} (from seeds {', '.join(map(str, sorted(seeds)))})"
    print(f"{run.path}, with seed {seed}: {metric} should be {told}", flush=True)
    again = train_with_seed(run, seed, cfg)
    (new,) = read_entries([again.path])
    value = new.best(metric)
    if value is None:
        raise UserError(f"{again.path} has no {metric}")
    is_inside = abs(value - mean) <= half
    verdict = (
        f"{metric} = {value:.5g} with seed {seed} is {'in' if is_inside else 'out'}side {told}"
    )
    target = folder / "reproductions" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}.json"
    write_json(
        target,
        {
            "verdict": f"{verdict} (L3: the interval over seeds)" if is_inside else verdict,
            "level": "L3" if is_inside else None,
            "metric": metric,
            "values": dict(zip(map(str, seeds), values, strict=True)),
            "share": _SHARE,
            "interval": [mean - half, mean + half],
            "seed": seed,
            "value": value,
            "run": str(again.path),
        },
    )
    print(f"verdict: {verdict}{' (L3: the interval over seeds)' if is_inside else ''}\n  {target}")
    if not is_inside:
        raise UserError(f"{folder} was not reproduced: {verdict}")
    return target


def choose_group(entries: Sequence[Entry], folder: Path) -> tuple[list[Entry], str]:
    """The runs to test, with different seeds, and the metric that decided on their best tick.

    Raises:
        UserError: if no runs differ in the seed alone, or their metric was measured differently.
    """
    groups: dict[int, dict[int, Entry]] = {}
    for number, entry in zip(alike_but_for_seed(entries), entries, strict=True):
        if entry.facts.get("best"):
            groups.setdefault(number, {})[entry.config["seed"]] = entry
    several = [list(group.values()) for group in groups.values() if len(group) > 1]
    if not several:
        raise UserError(
            f"{folder} has no two finished runs that differ in the seed alone: that is what a test "
            "over seeds needs; name one run to train it again"
        )

    def order(group: list[Entry]) -> tuple[int, float]:
        best = group[0].facts["best"]
        sign = -1 if group[0].protocol(best["metric"]).get("better") == "higher" else 1
        return -len(group), sign * best["value"]

    group = min(several, key=order)
    metric: str = group[0].facts["best"]["metric"]
    if len(protocol_groups(group, metric)[0]) > 1:
        raise UserError(f"{folder}: {metric} was measured by several protocols")
    return group, metric


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half of the width in which the next value is expected."""
    n = len(values)
    mean = sum(values) / n
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    quantile = float(student.ppf((1 + _SHARE) / 2, n - 1))
    return mean, quantile * deviation * math.sqrt(1 + 1 / n)


def train_with_seed(run: RunFolder, seed: int, cfg: DictConfig) -> RunFolder:
    """The finished run.

    Raises:
        UserError: if it fails.
    """
    output = expand(cfg.paths.output_dir, "paths.output_dir").absolute() / REPRODUCTIONS
    extra = [f"seed={seed}", *(["trust=true"] if cfg.trust is True else [])]
    count, shown = len(run.read_metrics()), 0
    with source_of(run, cfg.code) as command, started(run, [*command, *extra], output) as active:
        while look(active, run) is None:
            tell_ticks(active.records[shown:], count)
            shown = len(active.records)
            time.sleep(0.2)
        assert active.run is not None
        return active.run
