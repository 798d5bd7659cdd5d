"""What is compared with what: a run and one of its recorded moments on either side, kept in the address."""

from typing import NamedTuple

import pandas as pd
import streamlit as st

from workbench.dashboard import cache, links, turn_cache
from workbench.dashboard.components import all_runs
from workbench.store.layout import RunPaths

ALL = "all"
_KEYS = ("phase", "update")


class Side(NamedTuple):
    """One side of the comparison."""

    paths: RunPaths
    moment: str
    plays: pd.DataFrame
    """Rows of ``Run.trajectories`` of that moment."""

    @property
    def name(self) -> str:
        """Run and moment in words."""
        return f"{self.paths.run_id}, {moment_words(self.moment)}"


def draw_side(label: str, run_parameter: str, moment_parameter: str, *, default_run: str, against: Side | None = None) -> Side:
    """Draw the choice of one side.

    Args:
        label: Its heading, our own text.
        run_parameter: The query parameter that holds the run.
        moment_parameter: The one that holds the moment, such as ``rl-30``.
        default_run: The run where the address names none.
        against: The other side, where it is known: the default is then the latest moment with a task in common with it, else the earliest.

    Raises:
        StoreError: The run cannot be read.
    """
    names = [summary.run for summary in all_runs()]
    wanted = links.parameter(run_parameter) or default_run
    key = f"compare_{run_parameter}"
    st.session_state[key] = wanted if wanted in names else None
    st.selectbox(label, names, key=key, on_change=_choose, args=(key, run_parameter, moment_parameter), placeholder="Choose a run")
    paths = cache.open_run(wanted)
    everything = turn_cache.overview(paths)
    options = moments(everything)
    asked = links.parameter(moment_parameter)
    moment = asked if asked in options else _first_choice(paths, everything, against)
    key = f"compare_{moment_parameter}"
    st.session_state[key] = moment
    st.selectbox("Recorded at", options, key=key, format_func=moment_words, on_change=_choose, args=(key, moment_parameter))
    return Side(paths, moment, _of_moment(everything, moment))


def moments(everything: pd.DataFrame) -> list[str]:
    """Phases and updates at which something was played, the latest first, then all together."""
    found = everything[list(_KEYS)].drop_duplicates()
    order = found.assign(last=found["phase"] == "evaluate").sort_values(["last", "update"], ascending=False)
    return [*(f"{phase}-{update}" for phase, update in zip(order["phase"], order["update"], strict=True)), ALL]


def _first_choice(paths: RunPaths, everything: pd.DataFrame, against: Side | None) -> str:
    """A moment that can be compared: most runs play other stages, hence other tasks, early and late."""
    if against is None:
        return moments(everything)[-2] if len(everything) else ALL
    tasks = against.plays[["stage", "task"]].drop_duplicates()
    shared = moments(everything.merge(tasks, on=["stage", "task"]))
    itself = against.moment if against.paths.folder == paths.folder else None
    return next((moment for moment in shared if moment != itself), ALL)


def moment_words(moment: str) -> str:
    """``rl-30`` as people say it."""
    phase, _, update = moment.rpartition("-")
    if moment == ALL:
        return "any update"
    return f"final evaluation (update {update})" if phase == "evaluate" else f"{phase} update {update}"


def _of_moment(everything: pd.DataFrame, moment: str) -> pd.DataFrame:
    if moment == ALL:
        return everything
    phase, _, update = moment.rpartition("-")
    return everything[(everything["phase"] == phase) & (everything["update"] == int(update))]


def _choose(key: str, parameter: str, *dropped: str) -> None:
    for name in (*dropped, "task", "left", "right"):
        st.query_params.pop(name, None)
    if st.session_state[key] is not None:
        st.query_params[parameter] = st.session_state[key]


def by_task(left: pd.DataFrame, right: pd.DataFrame) -> pd.DataFrame:
    """A row per task that both sides played: share of successes and mean reward of either, and the difference, worst for the right first.

    Args:
        left: Rows of ``Run.trajectories``.
        right: The other side's.
    """
    means = [
        side.groupby(["stage", "task"])
        .agg(plays=("success", "size"), success=("success", "mean"), reward=("total_reward", "mean"))
        .add_suffix(f"_{name}")
        for side, name in ((left, "left"), (right, "right"))
    ]
    joined = means[0].join(means[1], how="inner").reset_index()
    joined["difference"] = joined["reward_right"] - joined["reward_left"]
    return joined.sort_values(["difference", "stage", "task"]).reset_index(drop=True)
