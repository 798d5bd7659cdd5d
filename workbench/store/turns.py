"""What the recorded turns of one run say together: what a state's commands got over time, whose advice was right."""

import pandas as pd

from workbench.store.ask import ask_turns
from workbench.store.layout import RunPaths

MOMENTS = ("first turn", "after the oracle's command", "after another command")
_WITH_TEXT = "SELECT DISTINCT trajectory_id FROM turns WHERE contains(lower(reflection), lower($text))"
_HISTORY = """
    SELECT phase, "update", option AS command, avg(probability) AS probability, count(*) AS turns,
        avg(CASE WHEN option = chose THEN 1.0 ELSE 0.0 END) AS chosen, coalesce(bool_or(option = oracle_command), false) AS is_oracle
    FROM (SELECT phase, "update", command AS chose, oracle_command,
              unnest(admissible_commands) AS option, unnest(probabilities) AS probability
          FROM turns WHERE state_key = $key) AS options
    GROUP BY phase, "update", option ORDER BY phase = 'evaluate', "update", option"""
_ADVICE = """
    SELECT phase, stage, "update", count(*) AS turns, count(suggested_command) AS named, count(oracle_command) AS judged,
        count(*) FILTER (WHERE suggested_command = oracle_command) AS suggestion_right,
        count(*) FILTER (WHERE suggested_command IS NOT NULL AND oracle_command IS NOT NULL) AS named_and_judged,
        count(*) FILTER (WHERE suggested_command = command) AS followed,
        count(*) FILTER (WHERE command = oracle_command) AS choice_right,
        count(*) FILTER (WHERE suggested_command = oracle_command AND command = oracle_command) AS right_followed,
        count(*) FILTER (WHERE suggested_command <> oracle_command AND command = suggested_command) AS misled,
        count(*) FILTER (WHERE suggested_command <> oracle_command AND command = oracle_command) AS resisted,
        count(*) FILTER (WHERE suggested_command = oracle_command AND command <> suggested_command) AS advice_wasted
    FROM turns GROUP BY phase, stage, "update" ORDER BY phase = 'evaluate', "update", stage"""
_MOMENTS = """
    WITH told AS (
        SELECT *, lag(command) OVER so_far AS did, lag(oracle_command) OVER so_far AS should, lag("index") OVER so_far AS before
        FROM turns WINDOW so_far AS (PARTITION BY trajectory_id ORDER BY "index")),
    judged AS (
        SELECT *, CASE WHEN before IS NULL THEN 'first turn' WHEN did = should THEN 'after the oracle''s command'
            ELSE 'after another command' END AS moment
        FROM told WHERE suggested_command IS NOT NULL AND oracle_command IS NOT NULL AND (before IS NULL OR should IS NOT NULL))
    SELECT phase, stage, moment, count(*) AS turns,
        count(*) FILTER (WHERE suggested_command = oracle_command) AS suggestion_right,
        count(*) FILTER (WHERE suggested_command = command) AS followed,
        count(*) FILTER (WHERE command = oracle_command) AS choice_right
    FROM judged GROUP BY phase, stage, moment ORDER BY phase = 'evaluate', phase, stage, moment"""
_WRONG_ADVICE = """
    SELECT trajectory_id, "index" AS turn, phase, stage, "update", task, suggested_command, oracle_command, command, reward, return_to_go,
        success, probabilities[list_position(admissible_commands, oracle_command)] AS p_right, reflection
    FROM turns WHERE suggested_command <> oracle_command
    ORDER BY command = suggested_command DESC, p_right, trajectory_id, "index" LIMIT $limit"""


def trajectories_saying(paths: RunPaths, text: str) -> set[str]:
    """Ids of the trajectories with a reflection that contains ``text``, whatever its case."""
    return set(ask_turns(paths, _WITH_TEXT, text=text)["trajectory_id"])


def state_history(paths: RunPaths, state_key: str) -> pd.DataFrame:
    """What the policy thought of one state's commands as it learned: a row per phase, update and command.

    Columns: phase, update, command, probability (mean over the turns recorded there), turns (how many), chosen (share of
    them that chose it), is_oracle (an oracle named it). Evaluations after training stand last.

    Raises:
        StoreError: The parts cannot be read.
    """
    return ask_turns(paths, _HISTORY, key=state_key)


def advice_counts(paths: RunPaths) -> pd.DataFrame:
    """How the reflections' suggestions did: a row of counts of turns per phase, stage and update.

    Columns: turns; named (the reflection names an admissible command); judged (the oracle's command was noted); of the named
    and judged ones suggestion_right; followed; choice_right; right_followed, misled (wrong and followed), resisted (wrong, and
    the right command chosen) and advice_wasted (right and not followed).

    Raises:
        StoreError: The parts cannot be read.
    """
    return ask_turns(paths, _ADVICE)


def advice_by_moment(paths: RunPaths) -> pd.DataFrame:
    """How the advice did at the first turn, on the oracle's way and off it: a row of counts of turns per phase, stage and moment.

    Columns: phase, stage, moment (one of ``MOMENTS``: nothing was done yet, the last command was the oracle's, it was another), turns
    (a command was suggested and the oracle's noted), and of these suggestion_right, followed, choice_right.

    Raises:
        StoreError: The parts cannot be read.
    """
    return ask_turns(paths, _MOMENTS)


def wrong_advice(paths: RunPaths, limit: int = 500) -> pd.DataFrame:
    """Turns whose reflection suggests another command than the oracle's, those that followed it first, the least likely rescue first.

    Raises:
        StoreError: The parts cannot be read.
    """
    return ask_turns(paths, _WRONG_ADVICE, limit=max(0, limit))


def settled_since(history: pd.DataFrame) -> int | None:
    """The update from which on the oracle's command was the likeliest wherever the state was recorded; None when it is not at the end.

    Args:
        history: What :func:`state_history` gives, of one state. Online updates count, evaluations do not.
    """
    online = history[history["phase"] == "rl"]
    right = set(history[history["is_oracle"]]["command"])
    since: int | None = None
    for update, options in online.sort_values("update").groupby("update"):
        if options["command"].iloc[int(options["probability"].to_numpy().argmax())] not in right:
            since = None
        elif since is None:
            since = int(str(update))
    return since
