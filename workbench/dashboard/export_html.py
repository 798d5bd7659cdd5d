"""A trajectory or a run's summary as one HTML file: no script, nothing fetched, everything foreign escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from workbench.dashboard.export_svg import bars_svg, curve_svg, grid_svg, strip_svg
from workbench.dashboard.turn_text import difference_html, tokens_html
from workbench.dashboard.turn_world import taxi_cells, trail, world_html
from workbench.records import Trajectory, Turn

_STYLE = """
:root { color-scheme: light dark; }
body { font-family: system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; line-height: 1.45; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; border-top: 1px solid #8a8a8a55; padding-top: 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8a8a8a1a; padding: .6rem; border-radius: 6px; }
.turn { display: grid; grid-template-columns: minmax(240px, 1fr) minmax(320px, 1.3fr); gap: 1.5rem; }
table { border-collapse: collapse; font-size: .9rem; } td, th { text-align: left; padding: .15rem .8rem .15rem 0; vertical-align: top; }
.note { opacity: .7; font-size: .85rem; }
"""
# The browser enforces what the text promises: nothing is fetched and nothing runs.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, body: str) -> str:
    """A whole HTML file; ``title`` is text, ``body`` is HTML of our own making."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def table_html(rows: Mapping[str, object]) -> str:
    """Names and values, both as text."""
    return (
        "<table>"
        + "".join(f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
        + "</table>"
    )


def trajectory_html(trajectory: Trajectory, *, run: str, token_texts: Sequence[Sequence[str] | None] | None = None) -> str:
    """One trajectory, every turn below the other.

    Args:
        trajectory: What is shown.
        run: The run's name.
        token_texts: The text of each reflection's tokens, a list per turn, where they are known; adds how sure each token was.
    """
    head = {
        "run": run,
        "outcome": "success" if trajectory.success else "no success",
        "reward": f"{trajectory.total_reward:.2f} in {len(trajectory.turns)} turns",
        "stage": trajectory.stage,
        "task": trajectory.task,
        "phase and update": f"{trajectory.phase} {trajectory.update}",
        "seed": trajectory.seed,
    }
    body = [f"<h1>{escape(trajectory.trajectory_id)}</h1>", table_html(head), f"<pre>{escape(trajectory.task_statement)}</pre>"]
    body += [
        strip_svg(trajectory),
        '<p class="note">Reward of every turn. ◆ suggested by the reflection, ★ the oracle\'s; blue is chosen.</p>',
    ]
    returns = trajectory.returns_to_go()
    for place, turn in enumerate(trajectory.turns):
        texts = token_texts[place] if token_texts is not None else None
        body.append(_turn_html(trajectory, place, turn, returns[place], texts))
    return document(f"{trajectory.trajectory_id} of {run}", "".join(body))


def _turn_html(trajectory: Trajectory, place: int, turn: Turn, return_to_go: float, texts: Sequence[str] | None) -> str:
    cells, before = taxi_cells(turn.observation), trajectory.turns[: place + 1]
    drawn = grid_svg(cells, trail(before)) if cells is not None else world_html(before)
    world = f"{drawn}<details><summary>observation</summary><pre>{escape(turn.observation)}</pre></details>"
    if not drawn:
        world = f"<pre>{escape(turn.observation)}</pre>"
    change = difference_html(trajectory.turns[place - 1].observation, turn.observation) if place else ""
    reflection = turn.reflection
    if texts is not None and len(texts) == len(reflection.log_probs):
        said = tokens_html(texts, reflection.log_probs)
    else:
        said = f"<pre>{escape(reflection.text)}</pre>" if reflection.text else '<p class="note">No reflection at this turn.</p>'
    fits = len(turn.probabilities) == len(turn.admissible_commands)
    facts = {
        "command": turn.command,
        "suggested": reflection.suggested_command or "",
        "oracle": turn.oracle_command or "",
        "reward": f"{turn.reward:+.2f}",
        "return to go": f"{return_to_go:+.2f}",
        "value": "" if turn.value is None else f"{turn.value:+.3f}",
        "advantage": "" if turn.advantage is None else f"{turn.advantage:+.3f}",
        "log-prob, nats": f"{turn.log_prob:.3f}",
        "state": turn.state_key,
    }
    changed = f'<p class="note">What the last command changed</p>{change}' if change else ""
    return (
        f'<h2 id="turn-{turn.index}">Turn {turn.index}: {escape(turn.command)}</h2><div class="turn"><div>{world}{changed}</div>'
        f"<div>{said}{bars_svg(turn) if fits else ''}{table_html(facts)}</div></div>"
    )


def run_html(run: str, facts: Mapping[str, object], metrics: pd.DataFrame, evaluations: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    """A run's summary: facts, curves of its online phase, evaluations, and its settings.

    Args:
        run: Its name.
        facts: State, model, times and whatever else is known, shown in order.
        metrics: A row per update, as ``Run.metrics`` gives it.
        evaluations: A row per evaluation, as ``Run.evaluations`` gives it.
        settings: Its settings by dotted name.
    """
    body = [f"<h1>{escape(run)}</h1>", table_html(facts)]
    online = metrics[metrics["phase"] == "rl"] if "phase" in metrics else metrics
    for column, title in (
        ("success/rate", "Success"),
        ("reward/mean", "Reward"),
        ("length/mean", "Turns"),
        ("policy/entropy", "Entropy, nats"),
    ):
        if column not in online:
            continue
        values = pd.to_numeric(online[column], errors="coerce")
        points = [(float(x), float(y)) for x, y in zip(online["update"], values, strict=True) if pd.notna(y)]
        if points:
            heights = [y for _, y in points]
            low, high = (0.0, 1.0) if column == "success/rate" else (min(heights), max(heights))
            body.append(f"<h2>{title} over updates</h2>{curve_svg(points, low=low, high=high)}")
    if len(evaluations):
        body.append(f"<h2>Evaluations</h2>{_frame_html(evaluations)}")
    body.append(f"<h2>Settings</h2>{table_html(settings)}")
    return document(run, "".join(body))


def _frame_html(frame: pd.DataFrame) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in frame.columns)
    rows = ("".join(f"<td>{escape(_words(value))}</td>" for value in row) for row in frame.itertuples(index=False, name=None))
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _words(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return str(value)
