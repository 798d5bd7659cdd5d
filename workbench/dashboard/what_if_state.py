"""Where a What if stands: the step it began at, and every turn that was played on from there. Kept per browser session."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import streamlit as st

from workbench.records import Trajectory, Turn

_KEY = "what_if_line"
PERSON, AGENT, RECORD = "person", "agent", "record"


@dataclass
class Line:
    """A trajectory being played: its task, the turns so far, and who chose at each."""

    origin: tuple[str, ...]
    """What the address names: run, trajectory and turn, or run, stage, task and seed."""
    parent: str | None
    task: str
    stage: str
    seed: int
    turns: list[Turn] = field(default_factory=list)
    players: list[str] = field(default_factory=list)
    began: int = 0
    """Turns that are the record's."""
    edits: dict[int, list[str]] = field(default_factory=dict)
    saved: bool = False

    @property
    def commands(self) -> list[str]:
        """What was done so far."""
        return [turn.command for turn in self.turns]

    @property
    def place(self) -> str:
        """Names this point of this line, for the keys of its widgets."""
        return repr((self.origin, tuple(self.commands)))

    def add(self, turn: Turn, player: str, edits: Sequence[str] = ()) -> None:
        """Go one turn on."""
        if edits:
            self.edits[len(self.turns)] = list(edits)
        self.turns.append(turn)
        self.players.append(player)
        self.saved = False

    def take_back(self) -> None:
        """Undo the last turn that was played here; the record's own stay."""
        if len(self.turns) > self.began:
            self.turns.pop()
            self.players.pop()
            self.edits.pop(len(self.turns), None)
            self.saved = False

    def restart(self) -> None:
        """Undo everything that was played here."""
        while len(self.turns) > self.began:
            self.take_back()

    def trajectory(self, name: str, statement: str, success: bool) -> Trajectory:
        """All of it as a record of phase ``branch``."""
        return Trajectory(
            trajectory_id=name,
            phase="branch",
            update=0,
            task=self.task,
            stage=self.stage,
            seed=self.seed,
            task_statement=statement,
            turns=tuple(self.turns),
            success=success,
        )


def line_from(run: str, trajectory: Trajectory, turn: int) -> Line:
    """The line of this session where it began at this step; a new one there otherwise."""
    origin = (run, trajectory.trajectory_id, str(turn))
    kept = st.session_state.get(_KEY)
    if not isinstance(kept, Line) or kept.origin != origin:
        before = list(trajectory.turns[:turn])
        kept = Line(
            origin, trajectory.trajectory_id, trajectory.task, trajectory.stage, trajectory.seed, before, [RECORD] * len(before), turn
        )
        st.session_state[_KEY] = kept
    return kept


def fresh_line(run: str, stage: str, task: str, seed: int) -> Line:
    """The line of this session where it began at this task; a new one there otherwise."""
    origin = (run, "", stage, task, str(seed))
    kept = st.session_state.get(_KEY)
    if not isinstance(kept, Line) or kept.origin != origin:
        kept = Line(origin, None, task, stage, seed)
        st.session_state[_KEY] = kept
    return kept
