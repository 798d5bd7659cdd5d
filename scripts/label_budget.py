"""Draws docs/label_budget.md's curves and writes its tables, from the results beside it.

    python scripts/label_budget.py [--docs docs]

Reads ``docs/label_budget/<study>.csv`` and ``<study>-pools.csv``; replaces ``<study>-<pool>.svg`` there and, in ``label_budget.md``, what
stands between ``<!-- <study> -->`` and ``<!-- end -->``.
"""

import argparse
from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd

from workbench.dashboard.palette import GREY, SERIES
from workbench.evaluation.label_efficiency import CONTROL, RANDOM, curves, half_budgets, read_results

METRICS = {
    "states": ("success", "oracle_agreement", "log_likelihood"),
    "instructions": ("exact_match", "exact_match_as_pool", "log_likelihood"),
}
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640, 340, 60, 16, 44
END = "<!-- end -->"
PLOT = 400
"""Width of the plot; the names stand to its right."""


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    docs = parser.parse_args().docs
    page = docs / "label_budget.md"
    text = page.read_text(encoding="utf-8")
    for study, metrics in METRICS.items():
        path = docs / "label_budget" / f"{study}.csv"
        if path.exists():
            report = write_study(read_results(path), pd.read_csv(path.with_name(f"{study}-pools.csv")), study, metrics, path.parent)
            begin = f"<!-- {study} -->\n"
            before, _, rest = text.partition(begin)
            text = before + begin + report + END + rest.partition(END)[2]
    page.write_text(text, encoding="utf-8")


def write_study(results: pd.DataFrame, pools: pd.DataFrame, study: str, metrics: Sequence[str], folder: Path) -> str:
    """The figures of a study, and its tables as Markdown."""
    table = curves(results, metrics[0])
    parts = [answers_table(results, metrics), facts_table(pools, study)]
    for pool, own in table.groupby("pool", sort=False):
        (folder / f"{study}-{pool}.svg").write_text(curves_svg(own, metrics[0]), encoding="utf-8")
        parts += [f"### {pool}\n", f"![{metrics[0]} by budget: {pool}](label_budget/{study}-{pool}.svg)\n", curve_table(own, metrics[0])]
    return "\n" + "\n".join(parts) + "\n"


def answers_table(results: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Half the budget by the best design against random with all of it."""
    lines = [
        "| measured | pool | half | all | difference | 95 % bootstrap | 95 % Student's t | answer | best designs (seeds) |",
        "| --- " * 9 + "|",
    ]
    for metric in metrics:
        found = half_budgets(results, metric)
        for row in found[found["design"] == "best"].to_dict("records") if len(found) else ():
            told = f"{metric.replace('_', ' ')} | {row['pool']} | {row['half']} | {row['budget']} | {row['mean']:+.3f}"
            intervals = f"{row['low']:+.3f} to {row['high']:+.3f} | {row['t_low']:+.3f} to {row['t_high']:+.3f}"
            lines.append(f"| {told} | {intervals} | {row['verdict']} | {row['picked']} |")
    if len(lines) == 2:
        return f"**No answer yet**: {results['seed'].nunique()} seed, and an interval needs two.\n"
    return "\n".join(lines) + "\n"


def facts_table(pools: pd.DataFrame, study: str) -> str:
    """What the pools and base models were, means over seeds."""
    named = [str(name) for name in pools.columns if name not in ("study", "pool", "seed")]
    means = pools.drop_duplicates(["pool", "seed"], keep="last").groupby("pool", sort=False)[named].mean()
    lines = [f"| {study}: pool | " + " | ".join(name.replace("_", " ") for name in named) + " |", "| --- " * (1 + len(named)) + "|"]
    lines += [
        f"| {pool} | " + " | ".join(f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}" for value in row) + " |"
        for pool, row in means.iterrows()
    ]
    return "\n".join(lines) + "\n"


def curve_table(own: pd.DataFrame, metric: str) -> str:
    """Means with bootstrap intervals by design and budget; in brackets the paired difference to random."""
    budgets = sorted(set(own["budget"]))
    seeds = own["seeds"]
    told = (
        f"{seeds.min()} to {seeds.max()} seeds" if seeds.min() < seeds.max() else f"{seeds.max()} seeds" if seeds.max() > 1 else "one seed"
    )
    lines = [f"| {metric.replace('_', ' ')}, {told} | " + " | ".join(map(str, budgets)) + " |", "| --- " * (1 + len(budgets)) + "|"]
    for design in dict.fromkeys(own["design"]):
        rows = own[own["design"] == design].set_index("budget")
        cells = []
        for budget in budgets:
            if budget not in rows.index:
                cells.append("")
                continue
            row = rows.loc[budget]
            apart = "" if row["seeds"] < 2 else f": {row['over_low']:+.3f} to {row['over_high']:+.3f}"
            over = "" if design == RANDOM else f" ({row['over_random']:+.3f}{apart})"
            cells.append(f"{row['mean']:.3f}{over}")
        lines.append(f"| {design} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def curves_svg(own: pd.DataFrame, metric: str) -> str:
    """A line per design with its interval, budgets doubling to the right."""
    budgets = sorted(set(own["budget"]))
    low, high = float(own["low"].fillna(own["mean"]).min()), float(own["high"].fillna(own["mean"]).max())
    span = (high - low) or 1.0
    body = []
    for step in range(5):
        value = low + span * step / 4
        y = _y(value, low, span)
        body.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + PLOT}" y2="{y:.1f}" stroke="{GREY}" stroke-opacity="0.25"/>')
        body.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" font-size="11" fill="{GREY}">{value:.3g}</text>')
    for place, budget in enumerate(budgets):
        body.append(
            f'<text x="{_x(place, budgets):.1f}" y="{HEIGHT - 26}" text-anchor="middle" font-size="11" fill="{GREY}">{budget}</text>'
        )
    body.append(f'<text x="{LEFT + PLOT / 2}" y="{HEIGHT - 8}" text-anchor="middle" font-size="12" fill="{GREY}">annotations</text>')
    designs = list(dict.fromkeys(own["design"]))
    for number, design in enumerate(designs):
        body += _line(own[own["design"] == design], design, number, budgets, low, span)
    label = escape(f"{metric.replace('_', ' ')} against annotations, a line per design, 95 % intervals by bootstrap over seeds")
    inner = "".join(body)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}" font-family="sans-serif">{inner}</svg>\n'


def _line(rows: pd.DataFrame, design: str, number: int, budgets: list[int], low: float, span: float) -> list[str]:
    colour = GREY if design == CONTROL else SERIES[number % (len(SERIES) - 1)]
    dash = "" if number < len(SERIES) - 1 and design != CONTROL else ' stroke-dasharray="5 4"'
    rows = rows.sort_values("budget")
    shift = (number - 4) * 1.6  # so that intervals do not hide one another
    places = [(_x(budgets.index(row["budget"]), budgets) + shift, row) for row in rows.to_dict("records")]
    points = " ".join(f"{x:.1f},{_y(row['mean'], low, span):.1f}" for x, row in places)
    width = 3 if design == RANDOM else 1.8
    found = [f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>']
    for x, row in places:
        if row["low"] == row["low"]:  # not NaN
            ends = f'y1="{_y(row["low"], low, span):.1f}" y2="{_y(row["high"], low, span):.1f}"'
            found.append(f'<line x1="{x:.1f}" x2="{x:.1f}" {ends} stroke="{colour}" stroke-opacity="0.6"/>')
        found.append(f'<circle cx="{x:.1f}" cy="{_y(row["mean"], low, span):.1f}" r="2.6" fill="{colour}"/>')
    y = TOP + 12 + 20 * number
    found.append(
        f'<line x1="{LEFT + PLOT + 14}" x2="{LEFT + PLOT + 36}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="{width}"{dash}/>'
    )
    found.append(f'<text x="{LEFT + PLOT + 42}" y="{y + 4}" font-size="11" fill="{GREY}">{escape(design)}</text>')
    return found


def _x(place: int, budgets: list[int]) -> float:
    return LEFT + 20 + (PLOT - 40) * place / max(1, len(budgets) - 1)


def _y(value: float, low: float, span: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / span)


if __name__ == "__main__":
    main()
