"""A study's tables as Markdown, CSV and LaTeX, with what they do not show said in words."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.evaluation.comparison import paired_difference
from workbench.evaluation.label_efficiency import Estimate, verdict
from workbench.recipes.reproduce import Piece, duration
from workbench.recipes.reproduce_advice import advice_rows, advice_table
from workbench.recipes.reproduce_results import (
    WorldResults,
    aggregate_table,
    collect,
    curve_table,
    main_table,
    profile_table,
    run_table,
    title_of,
)
from workbench.recipes.reproduce_study import Study
from workbench.store.files import write_whole, writing
from workbench.store.turns import MOMENTS

_LATEX = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}"}


Draw = Callable[[Study, Sequence[WorldResults], dict[str, pd.DataFrame], Path], None]
"""Draws a study's figures into a folder."""


def report(study: Study, pieces: Sequence[Piece], folder: Path, *, draw: Draw) -> dict[str, Any]:
    """Tables and figures of what is finished, in ``folder``, printed as well.

    Raises:
        StoreError: A run cannot be read, or the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    results = collect(study, pieces, folder)
    tables = {
        "results": main_table(study, results),
        "curves": curve_table(results),
        "aggregate": aggregate_table(study, results),
        "profile": profile_table(study, results),
        "runs": run_table(study, pieces),
    }
    if len(advice := advice_table(pieces)):
        tables["advice"] = advice
    path = write_report(study, pieces, results, tables, folder)
    draw(study, results, tables, folder)
    print(path.read_text(encoding="utf-8"))
    print(f"tables and figures are in {folder}")
    rows = json.loads(tables["results"].to_json(orient="records"))
    states = {state: sum(piece.row.state == state for piece in pieces) for state in ("finished", "stopped", "failed", "waiting")}
    return {"study": study.name, "folder": str(folder), "runs": len(pieces), **states, "results": rows}


def write_report(
    study: Study, pieces: Sequence[Piece], results: Sequence[WorldResults], tables: Mapping[str, pd.DataFrame], folder: Path
) -> Path:
    """Write ``report.md``, ``results.tex`` and every table as CSV into ``folder``; gives the report's path.

    Args:
        study: What was compared.
        pieces: Its runs.
        results: What they found.
        tables: By file name without suffix; ``results`` is the main one.
        folder: Where to.

    Raises:
        StoreError: The folder cannot be written.
    """
    for name, table in tables.items():
        write_whole(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g").encode())
    write_whole(folder / "results.tex", latex(study, results, tables["results"]).encode())
    path = folder / "report.md"
    write_whole(path, markdown(study, pieces, results, tables).encode())
    return path


def markdown(study: Study, pieces: Sequence[Piece], results: Sequence[WorldResults], tables: Mapping[str, pd.DataFrame]) -> str:
    """The whole report."""
    done = sum(piece.row.state == "finished" for piece in pieces)
    seconds = float(tables["runs"]["seconds"].fillna(0).sum())
    parts = [
        f"# {study.title}",
        f"{done} of {len(pieces)} runs finished, {duration(seconds)} of work. Intervals are 95 %: a bootstrap over seeds and, within "
        "them, tasks. Differences are paired by seed and task; one counts as shown where that interval and Student's t over seeds both "
        "leave out 0.",
        "## Budgets",
        budget_table(study, pieces, tables["runs"]),
    ]
    for found in results:
        parts += [f"## {found.world.title}", world_table(study, found, tables["results"]), *unranked(study, found)]
        if found.curves:
            parts.append(f"![Learning curves]({curve_picture(found.world.name)})")
        if "advice" in tables:
            parts += advice_lines(study, tables["advice"], found.world.name)
    if study.claims:
        parts += ["## What the paper leads one to expect", claim_table(study, results)]
    if len(aggregated := tables["aggregate"]):
        parts += ["## All measures together", aggregate_lines(aggregated), "![Performance profiles](profile.svg)"]
    if study.known:
        parts.append(f"*paper*: {study.known_source}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def advice_lines(study: Study, advice: pd.DataFrame, world: str) -> list[str]:
    """Whose advice was right, and when, in one world; nothing where no arm has advice."""
    rows = [[title_of(study, arm), *cells] for arm, cells in advice_rows(advice, world)]
    header = ["arm", *(f"{moment}: {part}" for moment in MOMENTS for part in ("share of turns", "advice right", "followed"))]
    words = "Advice in the last evaluation, all stages and seeds together, by the turn before; *right* is the oracle's own command."
    return [words, table_lines(header, rows)] if rows else []


def curve_picture(world: str) -> str:
    """File name of a world's learning curves."""
    return f"curves-{world}.svg"


def table_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def budget_table(study: Study, pieces: Sequence[Piece], runs: pd.DataFrame) -> str:
    """What every arm was given, and how many turns its online learning took of that: the mean over its finished runs."""
    budgets: dict[tuple[str, str], Mapping[str, str]] = {}
    titles = {(piece.world.name, piece.arm): f"{piece.world.title}: {study.arm(piece.arm).title}" for piece in pieces if piece.is_shown}
    for piece in pieces:
        key = (piece.world.name, piece.arm)
        if key in titles and key not in budgets:
            budgets[key] = study.budget(piece.line())
    names = list(dict.fromkeys(name for found in budgets.values() for name in found))
    finished = runs[(runs["state"] == "finished") & (runs["turns"] > 0)]
    turns = finished.groupby(["world", "arm"])["turns"].mean().to_dict()
    rows = [
        [titles[key], *(found.get(name, "") for name in names), f"{turns[key]:,.0f}" if key in turns else ""]
        for key, found in budgets.items()
    ]
    return table_lines(["arm", *names, "turns taken"], rows)


def world_table(study: Study, found: WorldResults, results: pd.DataFrame) -> str:
    """Arms by measures: mean and interval, places, difference to the reference, the paper's number."""
    own = results[results["world"] == found.world.name] if len(results) else results
    header, measures = ["arm", "seeds"], [name for name in found.world.measures if found.scores.get(name)]
    for name in measures:
        header += [found.world.measures[name], "place", f"minus {study.arm(study.reference).title}", "paper"]
    rows = []
    for name in dict.fromkeys(own["arm"]) if len(own) else ():
        of_arm = own[own["arm"] == name].set_index("measure")
        cells = [title_of(study, str(name)), str(int(of_arm["seeds"].min()))]
        for measure in measures:
            cells += _cells(of_arm.loc[measure].to_dict()) if measure in of_arm.index else ["", "", "", ""]
        rows.append(cells)
    return table_lines(header, rows) if rows else "No run has finished yet."


def _cells(row: Mapping[str, Any]) -> list[str]:
    mean = f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    place = ""
    if not pd.isna(row["rank_best"]):
        best, worst = int(row["rank_best"]), int(row["rank_worst"])
        place = str(best) if best == worst else f"{best} to {worst}"
    apart = "" if pd.isna(row["difference_mean"]) else _signed(row["difference_mean"], row["difference_low"], row["difference_high"])
    return [mean, place, apart, "" if pd.isna(row["paper"]) else f"{row['paper']:.2f}"]


def unranked(study: Study, found: WorldResults) -> list[str]:
    """Which arms are not ranked, and why: a paragraph for each measure."""
    parts = []
    for measure, order in found.rankings.items():
        pairs = [f"{title_of(study, one)} and {title_of(study, other)}" for one, other in order.undecided]
        if pairs:
            words = found.world.measures[measure]
            parts.append(f"*{words}*: not ranked, because their intervals overlap: {'; '.join(pairs)}.")
    return parts


def claim_table(study: Study, results: Sequence[WorldResults]) -> str:
    """What each comparison that the paper leads one to expect says, where both arms have runs: shown, refuted or undecided, by measure."""
    rows = []
    for claim in study.claims:
        for found in results:
            for measure, by_arm in found.scores.items():
                apart = paired_difference(by_arm.get(claim.better, {}), by_arm.get(claim.worse, {}))
                if apart is not None:
                    where = f"{found.world.title}, {found.world.measures[measure]}"
                    rows.append([claim.words, where, _signed(apart.mean, apart.low, apart.high), _judged(apart)])
    return table_lines(["expected", "where", "difference", "found"], rows)


def _judged(apart: Estimate) -> str:
    words = {"yes": "shown", "no": "refuted", "undecided": "undecided"}
    return words[verdict(apart)] if apart.seeds > 1 else "one seed: nothing to say"


def _signed(mean: float, low: float, high: float) -> str:
    # Adding 0 makes a rounded -0.0 positive.
    found, first, last = (round(value, 3) + 0.0 for value in (mean, low, high))
    return f"{found:+.3f} [{first:+.3f}, {last:+.3f}]"


def _with_interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.3f}" if pd.isna(low) else f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def aggregate_lines(aggregated: pd.DataFrame) -> str:
    """Interquartile means."""
    rows = [[row["title"], _with_interval(row["iqm"], row["low"], row["high"]), str(row["runs"])] for row in aggregated.to_dict("records")]
    return table_lines(["arm", "interquartile mean", "scores"], rows)


def latex(study: Study, results: Sequence[WorldResults], table: pd.DataFrame) -> str:
    """A tabular (booktabs) for each world."""
    parts = []
    for found in results:
        own = table[table["world"] == found.world.name] if len(table) else table
        measures = [name for name in found.world.measures if found.scores.get(name)]
        lines = [f"% {found.world.title}", rf"\begin{{tabular}}{{l{'rr' * len(measures)}}}", r"\toprule"]
        lines.append(" & ".join(["", *(cell for name in measures for cell in (escaped(found.world.measures[name]), "paper"))]) + r" \\")
        lines.append(r"\midrule")
        for name in dict.fromkeys(own["arm"]) if len(own) else ():
            of_arm = own[own["arm"] == name].set_index("measure")
            cells = [escaped(title_of(study, str(name)))]
            for measure in measures:
                row = of_arm.loc[measure].to_dict() if measure in of_arm.index else None
                cells.append("" if row is None else f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
                cells.append("" if row is None or pd.isna(row["paper"]) else f"{row['paper']:.2f}")
            lines.append(" & ".join(cells) + r" \\")
        parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """``text`` for LaTeX.

    Example:
        >>> escaped("50 % of a_b")
        '50 \\\\% of a\\\\_b'
    """
    return re.sub(r"[&%_#${}~]", lambda found: _LATEX[found[0]], text)
