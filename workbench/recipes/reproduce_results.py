"""What a study found, as tables: scores of finished runs, estimates, differences to the reference arm, curves, profiles."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import StoreError
from workbench.evaluation.comparison import Ranking, aggregate, over_seeds_and_tasks, paired_difference, performance_profile, ranking
from workbench.evaluation.label_efficiency import Estimate, verdict
from workbench.evaluation.seeds import over_seeds
from workbench.recipes.reproduce import Piece
from workbench.recipes.reproduce_study import Outcome, Outcomes, Study, World
from workbench.store.files import json_bytes, read_json, read_lines, write_whole
from workbench.store.pace import worked_seconds

AGENT_TITLES = {"random": "random agent", "oracle-agent": "oracle agent"}
THRESHOLDS = 101
_CURVE = ["world", "arm", "update", "mean", "low", "high", "seeds"]


@dataclass(frozen=True)
class WorldResults:
    """Everything found in one world.

    Attributes:
        world: Where.
        scores: By measure and arm (or agent), by seed.
        curves: Learning curves, one column of values a seed, by arm.
        rankings: By measure.
    """

    world: World
    scores: Mapping[str, Mapping[str, Mapping[int, NDArray[np.float64]]]]
    curves: Mapping[str, Mapping[int, "pd.Series[float]"]]
    rankings: Mapping[str, Ranking]


def collect(study: Study, pieces: Sequence[Piece], folder: Path) -> list[WorldResults]:
    """Read every finished run; agents are played once and kept in ``folder``.

    Raises:
        StoreError: Two arms of a seed were scored on different tasks, or a run cannot be read.
    """
    found = []
    for world in dict.fromkeys(piece.world.name for piece in pieces):
        own = [piece for piece in pieces if piece.world.name == world and piece.is_shown and piece.row.state == "finished"]
        outcomes: dict[tuple[str, int], Outcomes] = {}
        curves: dict[str, dict[int, pd.Series[float]]] = {}
        for piece in own:
            assert piece.row.paths is not None
            outcomes[piece.arm, piece.seed] = study.read(piece.row.paths)
            curve = study.curve(piece.row.paths)
            if len(curve) > 1:
                curves.setdefault(piece.arm, {})[piece.seed] = curve
        for seed in dict.fromkeys(piece.seed for piece in own):
            config = next(piece.row.combination.config for piece in own if piece.seed == seed)
            path = folder / f"agents-{world}-{seed}.json"
            for agent, value in (agents_of(study, config, path) if study.agents else {}).items():
                outcomes[agent, seed] = value
        the_world = study.world(world)
        scores = {measure: _by_arm(the_world, measure, outcomes) for measure in the_world.measures}
        rankings = {
            measure: ranking({name: over_seeds_and_tasks(one) for name, one in by_arm.items() if name not in AGENT_TITLES})
            for measure, by_arm in scores.items()
        }
        found.append(WorldResults(the_world, scores, curves, rankings))
    return found


def agents_of(study: Study, config: Any, path: Path) -> Mapping[str, Outcomes]:
    """Outcomes of agents that are not trained; played once and kept with what they were played on."""
    assert study.agents is not None
    judged = {"env": config.env.model_dump(), "evaluation": config.evaluation.model_dump(), "seed": config.seed}
    judged |= {"shares": [config.data.validation_share, config.data.test_share]}
    kept = read_json(path) or {}
    if kept.get("judged") != json.loads(json_bytes(judged)):
        played = study.agents(config)
        told = {
            agent: {name: [list(one.tasks), one.scores.tolist()] for name, one in outcomes.items()} for agent, outcomes in played.items()
        }
        kept = {"judged": judged, "agents": told}
        write_whole(path, json_bytes(kept))
    return {
        agent: {name: Outcome(tuple(tasks), np.array(scores, dtype=np.float64)) for name, (tasks, scores) in outcomes.items()}
        for agent, outcomes in kept["agents"].items()
    }


def _by_arm(world: World, measure: str, outcomes: Mapping[tuple[str, int], Outcomes]) -> dict[str, dict[int, NDArray[np.float64]]]:
    found: dict[str, dict[int, NDArray[np.float64]]] = {}
    tasks: dict[int, tuple[str, ...]] = {}
    for (arm, seed), by_measure in outcomes.items():
        if measure not in by_measure:
            continue
        one = by_measure[measure]
        if tasks.setdefault(seed, one.tasks) != one.tasks:
            raise StoreError(
                f"{world.name}, {measure}, seed {seed}: arm {arm} was scored on other tasks than the arms before it; "
                "their runs were made by different versions, so begin the study anew in another run root"
            )
        found.setdefault(arm, {})[seed] = one.scores
    return found


def main_table(study: Study, results: Sequence[WorldResults]) -> pd.DataFrame:
    """A row per world, measure and arm: mean, intervals, paired difference to the reference, places, the paper's number."""
    rows: list[dict[str, Any]] = []
    for found in results:
        for measure, by_arm in found.scores.items():
            reference = by_arm.get(study.reference)
            for name in _in_order(study, by_arm):
                estimate = over_seeds_and_tasks(by_arm[name])
                row: dict[str, Any] = {"world": found.world.name, "measure": measure, "arm": name, "title": title_of(study, name)}
                row |= {"seeds": estimate.seeds, "tasks": int(np.median([len(one) for one in by_arm[name].values()]))}
                row |= _estimate(estimate, "")
                other = paired_difference(by_arm[name], reference) if reference is not None and name != study.reference else None
                row |= _estimate(other, "difference_") | {"verdict": verdict(other) if other is not None and other.seeds > 1 else ""}
                best, worst = found.rankings[measure].ranks.get(name, (None, None))
                known = [one.value for one in study.known if (one.world, one.measure, one.arm) == (found.world.name, measure, name)]
                rows.append({**row, "rank_best": best, "rank_worst": worst, "paper": known[0] if known else None})
    return pd.DataFrame(rows)


def _estimate(found: Estimate | None, prefix: str) -> dict[str, float | None]:
    values = found._asdict() if found is not None else dict.fromkeys(Estimate._fields)
    return {f"{prefix}{name}": value for name, value in values.items() if name != "seeds"}


def _in_order(study: Study, names: Mapping[str, object]) -> list[str]:
    order = [*(arm.name for arm in study.arms), *AGENT_TITLES]
    return sorted(names, key=order.index)


def title_of(study: Study, name: str) -> str:
    """An arm's or agent's title."""
    return AGENT_TITLES.get(name) or study.arm(name).title


def curve_table(results: Sequence[WorldResults]) -> pd.DataFrame:
    """Mean learning curves with Student's 95 % band: columns world, arm, update, mean, low, high, seeds."""
    frames = [
        over_seeds(list(by_seed.values())).reset_index(names="update").assign(world=found.world.name, arm=arm, seeds=len(by_seed))[_CURVE]
        for found in results
        for arm, by_seed in found.curves.items()
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=_CURVE)


def aggregate_table(study: Study, results: Sequence[WorldResults]) -> pd.DataFrame:
    """Interquartile mean over all worlds, measures and seeds of the arms that have them all: arm, title, iqm, low, high, runs."""
    rows = []
    for name, values in _complete(study, results).items():
        found, runs = aggregate(values), sum(map(len, values))
        told = {"iqm": found.mean, "low": found.low, "high": found.high, "runs": runs}
        rows.append({"arm": name, "title": title_of(study, name), **told})
    return pd.DataFrame(rows, columns=["arm", "title", "iqm", "low", "high", "runs"])


def profile_table(study: Study, results: Sequence[WorldResults]) -> pd.DataFrame:
    """Performance profiles of the same arms: columns arm, threshold, share, low, high."""
    thresholds = np.linspace(0.0, 1.0, THRESHOLDS)
    frames = []
    for name, values in _complete(study, results).items():
        band = performance_profile(values, thresholds)
        frames.append(pd.DataFrame({"arm": name, "threshold": thresholds, "share": band.mean, "low": band.low, "high": band.high}))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["arm", "threshold", "share", "low", "high"])


def _complete(study: Study, results: Sequence[WorldResults]) -> dict[str, list[NDArray[np.float64]]]:
    """Mean scores by seed for every measure that there is, of trained arms that have all measures."""
    measures = [by_arm for found in results for by_arm in found.scores.values() if by_arm]
    names = [arm.name for arm in study.arms if measures and all(arm.name in by_arm for by_arm in measures)]
    return {name: [np.array([one.mean() for one in by_arm[name].values()]) for by_arm in measures] for name in names}


def run_table(study: Study, pieces: Sequence[Piece]) -> pd.DataFrame:
    """A row per run: where it stands, seconds of work, turns of online learning, and what it scored."""
    rows = []
    for piece in pieces:
        paths = piece.row.paths
        row: dict[str, Any] = {"world": piece.world.name, "arm": piece.arm, "seed": piece.seed, "state": piece.row.state}
        row |= {"run": paths.run_id if paths else None, "seconds": round(worked_seconds(paths), 1) if paths else None}
        lines = read_lines(paths.metrics) if paths else []
        row["turns"] = int(sum(line["rollout/turns"] for line in lines if isinstance(line.get("rollout/turns"), (int, float))))
        if paths and piece.is_shown and piece.row.state == "finished":
            row |= {name: float(one.scores.mean()) for name, one in study.read(paths).items()}
        rows.append(row)
    return pd.DataFrame(rows)
