"""Which model for a small budget: results of runs and of the classic loop, kept and shown.

`benchmark.py small_budget FOLDER...` takes what `trompe sweep sweep=small_budget` or `benchmark.py
classic` have made: it measures each run's last checkpoint, unless that is done, and writes the
run's curve, card and grid to `docs/small_budget`. Then, and without a folder, it draws
`docs/images/small_budget.png` from all that is there and prints the table of `docs/results.md`.

A run's minutes are its share of the budget times 60: every recipe's budget is what one core does in
an hour.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.classic import FINAL, HOUR, METRICS
from trompe.files import whole_path
from trompe.runs.index import find_runs
from trompe.runs.run_folder import RunFolder, write_json

DOCS = Path(__file__).parents[2] / "docs"
KEPT = DOCS / "small_budget"
BUDGET = 60  # minutes
NETWORKS = ("efflite2", "efflite0")
COLORS = {
    "small_dcgan": "tab:blue",
    "small_projected": "tab:red",
    "small_stylegan2": "tab:green",
    "small_sndcgan": "tab:orange",
    "small_r3gan": "tab:purple",
    "classic": "black",
}

Result = Mapping[str, Any]


def main(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """Keep what was found, draw and print all that is kept."""
    parser.add_argument("folders", nargs="*", type=Path, help="of runs, sweeps or the classic loop")
    parser.add_argument(
        "--data", help="name of the data; by default that of a run's archive or set"
    )
    parser.add_argument("--recipe", help="name of the recipe; by default the run's name")
    for folder in (asked := parser.parse_args(words)).folders:
        if (folder / "card.json").exists():
            keep_classic(folder, asked.data)
        for run in find_runs(folder):
            keep_run(run, asked.data, asked.recipe)
    results = [json.loads(file.read_text()) for file in sorted(KEPT.glob("*.json"))]
    if results:
        draw(results, DOCS / "images" / "small_budget.png")
        print("\n".join(table(results)))
    return 0


def keep_run(run: RunFolder, data: str | None, recipe: str | None = None) -> None:
    """Measure a finished run and keep it."""
    config = run.read_config()
    if run.read_facts()["status"] != "done":
        print(f"{run.path} is not done", file=sys.stderr)
        return
    source = config["data"].get("path") or config["data"].get("set") or config["data"]["_target_"]
    card = run.path / "evaluations" / "small_budget.json"
    if not card.exists():
        words = [f"run={run.path}", "checkpoint=last", f"out={card}", *METRICS, *FINAL]
        subprocess.run([sys.executable, "-m", "trompe", "evaluate", *words], check=True)
    curve = list(curve_of(run.read_metrics(), config["kimg"]))
    grids = sorted((run.path / "samples").glob("[0-9]*.png"))
    name = recipe or config["name"]
    keep(name, data or Path(source).stem, config["seed"], curve, card, grids[-1])


def keep_classic(folder: Path, data: str | None) -> None:
    """Keep what `benchmark.py classic` has made."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    curve = list(curve_of(map(json.loads, lines), HOUR))
    card = folder / "card.json"
    seed = json.loads(card.read_text())["subject"]["seed"]
    grids = sorted(folder.glob("[0-9]*.png"))
    keep("classic", data or folder.name, seed, curve, card, grids[-1])


def keep(
    recipe: str, data: str, seed: int, curve: Sequence[Result], card: Path, grid: Path
) -> None:
    """Write one result, and the first seed's grid."""
    name = f"{data}_{recipe}"
    content = {"recipe": recipe, "data": data, "seed": seed, "curve": list(curve)}
    write_json(KEPT / f"{name}_{seed}.json", {**content, "card": json.loads(card.read_text())})
    if seed == 0:
        with Image.open(grid) as picture, whole_path(KEPT / f"{name}.jpg") as temporary:
            picture.convert("RGB").save(temporary, "JPEG", quality=80)


def curve_of(records: Iterable[Result], hour: float) -> Iterator[dict[str, float]]:
    """The tracked distances with their minutes, of a loop that makes so many kimg in an hour."""
    for record in records:
        if found := distances(record):
            kimg = record["kimg"]
            yield {"minutes": kimg * (BUDGET / hour), "kimg": kimg, **found}


def distances(record: Result) -> dict[str, float]:
    """The tracked distances of a record."""
    return {f"fd_{n}": record[f"fd_{n}"] for n in NETWORKS if f"fd_{n}" in record}


def groups(results: Sequence[Result]) -> Iterator[tuple[str, str, list[Result]]]:
    """The seeds of each recipe on each data set, best first."""
    for data in sorted({result["data"] for result in results}):
        of_data = [result for result in results if result["data"] == data]
        recipes = sorted({r["recipe"] for r in of_data}, key=lambda name: mean_of(of_data, name))
        for recipe in recipes:
            yield data, recipe, [r for r in of_data if r["recipe"] == recipe]


def mean_of(results: Sequence[Result], recipe: str) -> float:
    """A recipe's mean distance at the end, by the network that taught none of them."""
    values = (r["card"]["values"]["fd_efflite2"]["value"] for r in results if r["recipe"] == recipe)
    return statistics.mean(values)


def draw(results: Sequence[Result], path: Path) -> None:
    """Distances against minutes: a row for each data set, a column for each network."""
    from matplotlib.figure import Figure

    names = sorted({result["data"] for result in results})
    figure = Figure(figsize=(11, 4.2 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 2, squeeze=False)
    for data, recipe, seeds in groups(results):
        for axis, network in zip(axes[names.index(data)], NETWORKS, strict=True):
            for number, result in enumerate(seeds):
                points = [(r["minutes"], r[f"fd_{network}"]) for r in result["curve"]]
                label = recipe.removeprefix("small_") if number == 0 else None
                axis.plot(
                    *zip(*points, strict=True),
                    color=COLORS.get(recipe, "gray"),
                    label=label,
                    lw=1.5,
                )
            axis.set(title=f"{data}, {network}", xlabel="minutes of one core", yscale="log")
            axis.set_ylabel("Fréchet distance (1,024 images)")
            axis.grid(alpha=0.25, which="both")
            axis.legend(frameon=False, fontsize=8)
    with whole_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def table(results: Sequence[Result]) -> Iterator[str]:
    """Lines of Markdown; of several seeds, the mean and the range."""
    columns = [f"{m}_{n}" for n in NETWORKS for m in ("fd", "kd", "precision", "recall")]
    yield "| data | recipe | seeds | kimg | " + " | ".join(columns) + " |"
    yield "|---" * (4 + len(columns)) + "|"
    for data, recipe, seeds in groups(results):
        kimg = seeds[0]["curve"][-1]["kimg"]
        cells = [cell([s["card"]["values"][c] for s in seeds]) for c in columns]
        yield f"| {data} | {recipe} | {len(seeds)} | {kimg:.0f} | " + " | ".join(cells) + " |"


def cell(values: Sequence[Result]) -> str:
    """One value with half of its interval, or the mean of several with their ends."""
    numbers = [v["value"] for v in values]
    digits = 1 if max(numbers) > 2 else 3
    mean = f"{statistics.mean(numbers):.{digits}f}"
    if len(numbers) > 1:
        return f"{mean} ({min(numbers):.{digits}f} to {max(numbers):.{digits}f})"
    ends = values[0]["interval_95"]
    return f"{mean} ± {(ends[1] - ends[0]) / 2:.{digits}f}" if ends else mean
