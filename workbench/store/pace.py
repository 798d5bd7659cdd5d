"""How long a run will take, judged by the pace of one that has been."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from workbench.config import RunConfig, load_config
from workbench.errors import WorkbenchError
from workbench.store.files import parse_time, read_lines
from workbench.store.layout import RunPaths
from workbench.store.summary import RunSummary

_MOST_LOOKED_AT = 20


class Guess(NamedTuple):
    """An estimate and what it rests on."""

    seconds: float
    run: str


def expected_seconds(config: RunConfig, device: str, runs: Sequence[RunSummary]) -> Guess | None:
    """Seconds that ``config`` will take on ``device``; None when no finished run is like it.

    A run is like it when recipe, environment, models and kind of device are the same. Every phase is scaled by its own amount of
    work: warm-ups by rows, online learning and evaluation by trajectories.

    Args:
        config: What will be run.
        device: ``cpu`` or ``cuda:N``.
        runs: Runs to judge by, the best first.
    """
    kind = device.partition(":")[0]
    finished = [one for one in runs if one.state == "finished" and not one.problem and (one.device or "").partition(":")[0] == kind]
    for summary in finished[:_MOST_LOOKED_AT]:
        paths = RunPaths(summary.path)
        try:
            other = load_config(paths.config)
        except WorkbenchError:
            continue
        if (other.recipe, other.env.name, other.policy.model, other.policy.tiny, other.reflection.kind) != (
            config.recipe,
            config.env.name,
            config.policy.model,
            config.policy.tiny,
            config.reflection.kind,
        ):
            continue
        taken = phase_seconds(read_lines(paths.metrics))
        work, done = amounts(config), amounts(other)
        wanted = [phase for phase in config.phases if work.get(phase, 1.0)]
        if all(phase in taken and done.get(phase) for phase in wanted):
            seconds = sum(taken[phase] * work[phase] / done[phase] for phase in wanted)
            return Guess(seconds, summary.run)
    return None


def amounts(config: RunConfig) -> dict[str, float]:
    """Work in each phase: trajectories, or rows of training; phases whose work nobody can tell beforehand are missing."""
    both = {"sft-reflection": config.sft_reflection, "sft-policy": config.sft_policy}
    rows = {phase: float(sft.rows) for phase, sft in both.items()}
    if config.reflection.kind not in ("model", "shuffled"):
        rows["sft-reflection"] = 0.0
    return {
        "generate": float(config.data.trajectories + config.data.negatives),
        **rows,
        "rl": float(config.rl.max_steps * config.rl.trajectories_per_update),
        "evaluate": float(config.evaluation.trajectories * (1 + len(config.evaluation.stages))),
    }


def phase_seconds(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds each phase took by the times of its lines; a phase begins where the one before it ended."""
    found: dict[str, float] = {}
    before = None
    for line in lines:
        moment, phase = parse_time(line.get("time")), line.get("phase")
        if moment is None or not isinstance(phase, str):
            continue
        own = line.get(f"time/{phase}_seconds")
        if isinstance(own, (int, float)) and phase in ("generate", "evaluate"):
            found[phase] = float(own)
        elif before is not None:
            found[phase] = found.get(phase, 0.0) + max(0.0, (moment - before).total_seconds())
        before = moment
    return found


def worked_seconds(paths: RunPaths) -> float:
    """Seconds that a run's attempts worked, waiting in a queue left out, by the times in their logs."""
    total = 0.0
    for log in paths.attempt_logs().values():
        try:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        begins = next((place for place, line in enumerate(lines) if line.endswith(" running")), None)
        moments = [moment for line in lines[begins:] if (moment := _logged_at(line)) is not None] if begins is not None else []
        if moments:
            total += max(0.0, (moments[-1] - moments[0]).total_seconds())
    return total


def _logged_at(line: str) -> datetime | None:
    try:
        return datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f")
    except ValueError:  # a line of a traceback
        return None
