"""Playing a stored run again from its seeds and checkpoints, and comparing it token by token with what was recorded.

What can be replayed: the evaluation at the end, by the newest weights; and every recorded update of online learning that begins at a kept
checkpoint, by that checkpoint's policy. Everything a trajectory meets follows from its assignment's seed, so on the machine that made the
run each token comes out again; elsewhere, other kernels may round differently, and a close decision may fall otherwise.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from workbench.errors import ConfigError, StoreError
from workbench.evaluation.evaluate import assignments_for, evaluation_name
from workbench.models.loading import POLICY, REFLECTION, load_player
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.session import Session, open_session
from workbench.records import Trajectory
from workbench.rollout.play import Assignment
from workbench.store.ask import ask_rows
from workbench.store.layout import RunPaths
from workbench.trainers import checkpoint
from workbench.trainers.collecting import assignments

_TURNS = """
    SELECT trajectory_id, "index", turns, stage, reflection_token_ids, prompt_token_ids, label_token_ids, admissible_commands, command
    FROM turns WHERE phase = $phase AND "update" = $update ORDER BY trajectory_id, "index" """
_RECORDED = 'SELECT DISTINCT phase, "update", stage FROM turns ORDER BY phase, "update", stage'
Rows = Sequence[Mapping[str, Any]]


class Difference(NamedTuple):
    """The first token at which a replayed trajectory leaves the recorded one."""

    trajectory: str
    turn: int
    part: str
    """``reflection``, ``prompt`` or ``command`` (the label that was chosen)."""
    position: int
    """Of the token within that part."""
    recorded: int | None
    """Its id; None where the recorded part had ended."""
    replayed: int | None


class Batch(NamedTuple):
    """Trajectories that one checkpoint played."""

    phase: str
    update: int
    stage: str
    weights: Path
    assignments: list[Assignment]
    temperature: float


def verify_run(paths: RunPaths, *, tell: Callable[[str], object]) -> dict[str, Any]:
    """Replay a run; gives how much was compared and the first difference, if any.

    Args:
        paths: The run folder; nothing in it changes.
        tell: Told what is found, a line at a time.

    Raises:
        WorkbenchError: The run plays no trajectories, has recorded none, or its players cannot be loaded.
    """
    session = open_session(paths)
    if session.config.recipe != "reflect-rl":
        raise ConfigError(f"--verify plays trajectories again; run {paths.run_id} is of the recipe {session.config.recipe}, which has none")
    counts = {"trajectories": 0, "turns": 0, "tokens": 0}
    first: Difference | None = None
    for batch in batches(session, tell=tell):
        played = replayed(session, batch)
        stored = _by_trajectory(ask_rows(paths, _TURNS, phase=batch.phase, update=batch.update))
        found = next(filter(None, (compare(stored[one.trajectory_id], one) for one in played if one.trajectory_id in stored)), None)
        own = [one for one in played if one.trajectory_id in stored]
        counts["trajectories"] += len(own)
        counts["turns"] += sum(len(one.turns) for one in own)
        counts["tokens"] += sum(len(_tokens(turn)) for one in own for turn in one.turns)
        tell(f"{batch.phase} {batch.update}, stage {batch.stage}: {len(own)} trajectories, {'equal' if found is None else 'different'}")
        first = first or found
    if not counts["trajectories"]:
        raise StoreError(f"run {paths.run_id} has no recorded trajectory that a kept checkpoint can play again; let it go on to evaluate")
    told = told_line(session, first, counts)
    tell(told)
    return {"run": paths.run_id, "equal": first is None, **counts, "first_difference": first._asdict() if first else None, "told": told}


def told_line(session: Session, first: Difference | None, counts: Mapping[str, int]) -> str:
    """The finding in one line."""
    if first is None:
        return f"equal: {counts['trajectories']} trajectories, {counts['turns']} turns, {counts['tokens']} tokens"
    tokenizer = session.players().policy.tokenizer

    def words(token: int | None) -> str:
        return "none" if token is None else f"{token} {str(tokenizer.decode([token]))!r}"

    return (
        f"different: trajectory {first.trajectory}, turn {first.turn}, token {first.position} of the {first.part}: "
        f"recorded {words(first.recorded)}, now {words(first.replayed)}"
    )


def batches(session: Session, *, tell: Callable[[str], object]) -> Iterator[Batch]:
    """Whatever was recorded and can be played again."""
    config, skipped = session.config, 0
    for row in ask_rows(session.paths, _RECORDED):
        phase, update, stage = str(row["phase"]), int(row["update"]), str(row["stage"])
        if phase == "evaluate":
            settings = config.evaluation
            weights = session.weights(POLICY)
            name = evaluation_name(stage, session.make_env().stages)
            plays = assignments_for(
                session.tasks[stage][settings.split],
                stage=stage,
                count=settings.trajectories,
                seed=settings.seed,
                phase=phase,
                update=update,
                name=name,
            )
            if weights is not None:
                yield Batch(phase, update, stage, weights, plays, settings.temperature)
        elif phase == "rl":
            before = _weights_before(session, update)
            if before is None:
                skipped += 1
                continue
            tasks = session.tasks[stage]["train"]
            plays = assignments(config.rl, tasks, stage, seed=config.seed, phase=phase, update=update - 1)
            yield Batch(phase, update, stage, before, plays, config.rl.temperature)
    if skipped:
        tell(f"{skipped} recorded updates begin at no kept checkpoint and cannot be played again")


def _weights_before(session: Session, update: int) -> Path | None:
    """The checkpoint whose policy played ``update``, counted from 1."""
    if update > 1:
        folder = session.checkpoints("rl") / f"{update - 1:06d}"
        return folder if update - 1 in checkpoint.steps(session.checkpoints("rl")) else None
    found = [checkpoint.latest(session.checkpoints(phase)) for phase in ("sft-policy", "start")]
    return next((one for one in found if one is not None and (one / POLICY).is_dir()), None)


def replayed(session: Session, batch: Batch) -> list[Trajectory]:
    """The trajectories of a batch, played now."""
    players = session.players()
    load_player(players.policy, batch.weights, POLICY)
    if players.reflection is not None and (batch.weights / REFLECTION).is_dir():
        load_player(players.reflection, batch.weights, REFLECTION)
    collector = make_collector(session, players)
    return collector.collect(batch.assignments, rules=replace(collector.rules, temperature=batch.temperature))


def compare(stored: Rows, now: Trajectory) -> Difference | None:
    """The first difference between the recorded rows of a trajectory and the replayed one; None where there is none."""
    for row, turn in zip(stored, now.turns, strict=False):
        label = row["label_token_ids"][row["admissible_commands"].index(row["command"])]
        parts = (
            ("reflection", row["reflection_token_ids"], turn.reflection.token_ids),
            ("prompt", row["prompt_token_ids"], turn.prompt_token_ids),
            ("command", [label], [turn.label_token_ids[turn.chosen_index]]),
        )
        for part, recorded, replayed_ids in parts:
            place = _first_difference(list(recorded or ()), list(replayed_ids))
            if place is not None:
                return Difference(now.trajectory_id, turn.index, part, *place)
    if len(stored) != len(now.turns):
        return Difference(now.trajectory_id, min(len(stored), len(now.turns)), "command", 0, None, None)
    return None


def _first_difference(one: list[int], other: list[int]) -> tuple[int, int | None, int | None] | None:
    for place in range(max(len(one), len(other))):
        left, right = (ids[place] if place < len(ids) else None for ids in (one, other))
        if left != right:
            return place, left, right
    return None


def _by_trajectory(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(str(row["trajectory_id"]), []).append(row)
    return found


def _tokens(turn: Any) -> list[int]:
    return [*turn.reflection.token_ids, *turn.prompt_token_ids, turn.label_token_ids[turn.chosen_index]]
