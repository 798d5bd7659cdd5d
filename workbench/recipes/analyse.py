"""Computing about a run what its pages show and no page computes: the reflection gain of recorded turns at every kept checkpoint."""

from collections.abc import Callable, Sequence
from typing import Any

from workbench.config import load_config
from workbench.errors import ConfigError, RunBusyError, WorkbenchError
from workbench.evaluation.reflection_gain import Gain, GainQuestion, reflection_gains
from workbench.models.loading import POLICY, load_player
from workbench.prompts import Label
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.scope import must_play
from workbench.recipes.session import Session, open_session
from workbench.records import Reflection
from workbench.rollout.collect import Collector
from workbench.rollout.play import Rules, reflection_ids
from workbench.seeding import generator
from workbench.store.analysis import analysis_state, note_state, sampled_turns, write_gains
from workbench.store.checkpoints import Checkpoint, list_checkpoints
from workbench.store.layout import RunPaths
from workbench.store.status import LIVE, effective, read_status
from workbench.trainers.checkpoint import read_state

TURNS_PER_STAGE = 500
_BATCH = 64
"""Turns scored between two words about progress."""


def analyse_run(
    paths: RunPaths,
    *,
    per_stage: int = TURNS_PER_STAGE,
    seed: int = 0,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> dict[str, Any]:
    """Compute the reflection gain of a sample of recorded turns and write it into the run folder; gives what was found on average.

    The same turns are scored at every checkpoint of the policy that the run kept, so that means of checkpoints compare.

    Args:
        paths: The run, which nothing trains now.
        per_stage: Most turns of each stage.
        seed: Which turns are taken, and what is said of another state.
        on_progress: Called with how many of how many turns and checkpoints are done.

    Raises:
        RunBusyError: The run is being trained, or analysed already.
        ConfigError: The run has no policy, or recorded no reflection beside an oracle's command.
        WorkbenchError: A checkpoint or model cannot be loaded.
    """
    _refuse_busy(paths)
    must_play(load_config(paths.config), run=paths.run_id)
    if per_stage < 1:
        raise ConfigError(f"--turns must be at least 1, found {per_stage}")
    checkpoints = list_checkpoints(paths, role=POLICY)
    if not checkpoints:
        raise ConfigError(f"run {paths.run_id} has no checkpoint of its policy; `workbench resume {paths.run_id}` makes one")
    turns = sampled_turns(paths, per_stage=per_stage, seed=seed)
    if not turns:
        raise ConfigError(
            f"run {paths.run_id} recorded no turn with both a reflection and an oracle's command; "
            "train one with a reflection player and record.oracle_commands=true"
        )
    note_state(paths, "running")
    try:
        rows = _rows(open_session(paths), checkpoints, turns, seed, on_progress)
        write_gains(paths, rows)
        note_state(paths, "finished", turns=len(turns), checkpoints=len(checkpoints))
    except BaseException as error:
        said = str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        note_state(paths, "failed", error=said)
        raise
    newest = [row for row in rows if row["checkpoint"] == checkpoints[-1].name]
    means = {name: sum(row[name] for row in newest) / len(newest) for name in ("gain", "gain_over_other")}
    return {"turns": len(turns), "checkpoints": [one.name for one in checkpoints], **means}


def _refuse_busy(paths: RunPaths) -> None:
    state = effective(read_status(paths.status), paths.run_id)["state"]
    if state in LIVE:
        raise RunBusyError(f"run {paths.run_id} is {state}; wait until it ends, or `workbench stop {paths.run_id}`, then analyse it")
    if analysis_state(paths)["state"] == "running":
        raise RunBusyError(f"run {paths.run_id} is being analysed already; wait until that ends")


def _rows(
    session: Session,
    checkpoints: Sequence[Checkpoint],
    turns: Sequence[dict[str, Any]],
    seed: int,
    on_progress: Callable[[int, int], object],
) -> list[dict[str, Any]]:
    players = session.players()
    collector = make_collector(session, players)
    questions = _questions(collector.rules, turns, seed)
    rows: list[dict[str, Any]] = []
    for order, checkpoint in enumerate(checkpoints):
        read_state(checkpoint.path)  # every byte is as it was written
        load_player(players.policy, checkpoint.path, POLICY)
        done = order * len(turns)
        gains = _gains(collector, questions, lambda more, done=done: on_progress(done + more, len(checkpoints) * len(turns)))  # type: ignore[misc]
        rows += [_row(order, checkpoint, turn, gain) for turn, gain in zip(turns, gains, strict=True)]
    return rows


def _gains(collector: Collector, questions: Sequence[GainQuestion], on_progress: Callable[[int], object]) -> list[Gain]:
    found: list[Gain] = []
    for start in range(0, len(questions), _BATCH):
        found += reflection_gains(collector.policy, collector.rules.prompts, questions[start : start + _BATCH])
        on_progress(len(found))
    return found


def _questions(rules: Rules, turns: Sequence[dict[str, Any]], seed: int) -> list[GainQuestion]:
    others = _others([turn["reflection"] for turn in turns], seed)
    return [
        GainQuestion(
            task_statement=turn["task_statement"],
            observation=turn["observation"],
            commands=tuple(turn["admissible_commands"]),
            labels=tuple(Label(text, int(token)) for text, token in zip(turn["labels"], turn["label_token_ids"], strict=True)),
            right=list(turn["admissible_commands"]).index(turn["oracle_command"]),
            prompt_token_ids=tuple(map(int, turn["prompt_token_ids"])),
            other_ids=_ids(rules, turns[other]),
        )
        for turn, other in zip(turns, others, strict=True)
    ]


def _ids(rules: Rules, turn: dict[str, Any]) -> tuple[int, ...]:
    reflection = Reflection(turn["reflection"], tuple(map(int, turn["reflection_token_ids"])))
    return tuple(reflection_ids(reflection, rules) or ())


def _others(texts: Sequence[str], seed: int) -> list[int]:
    """For every text the place of another that says something else, drawn at random; its own place where all say the same."""
    dice = generator(seed, "reflection-gain")
    found = []
    for place, text in enumerate(texts):
        draws = (int(dice.integers(len(texts))) for _ in range(20))
        found.append(next((draw for draw in draws if texts[draw] != text), place))
    return found


def _row(order: int, checkpoint: Checkpoint, turn: dict[str, Any], gain: Gain) -> dict[str, Any]:
    suggested = turn["suggested_command"]
    return {
        **{name: turn[name] for name in ("trajectory_id", "turn", "phase", "stage", "update", "command", "reflection")},
        "checkpoint": checkpoint.name,
        "order": order,
        "right_command": turn["oracle_command"],
        "suggested_command": suggested if isinstance(suggested, str) else "",
        "log_prob_with": gain.with_reflection,
        "log_prob_without": gain.without,
        "log_prob_other": gain.with_other,
        "gain": gain.gain,
        "gain_over_other": gain.gain_over_other,
    }
