"""Two plays of one task side by side: where they are in the same state, where they part, and what that cost. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from workbench.records import Trajectory, Turn


@dataclass(frozen=True, slots=True)
class Pair:
    """Turns that stand side by side; None where one play has no turn in that state then."""

    left: Turn | None
    right: Turn | None

    @property
    def same_choice(self) -> bool:
        """True when both did the same in the same state."""
        return self.left is not None and self.right is not None and self.left.command == self.right.command


@dataclass(frozen=True, slots=True)
class Alignment:
    """Two trajectories aligned by state."""

    pairs: tuple[Pair, ...]
    """Every turn of both, in order; pairs with both turns have the same state key."""
    divergence: int | None
    """Place of the first pair that differs: another choice, or another state; None where all are equal."""
    cost: float
    """What the right one got more than the left one, both from the divergence to the end, environment units; below 0, the left got more."""


def align(left: Trajectory, right: Trajectory) -> Alignment:
    """Stand two trajectories side by side, by the longest runs of equal state keys.

    Where the states are the same and the choices differ, the plays part at that pair. Loops are kept: a state that one play
    visits twice is paired once.
    """
    pairs: list[Pair] = []
    keys = [turn.state_key for turn in left.turns], [turn.state_key for turn in right.turns]
    for tag, start, end, first, last in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs += [Pair(one, other) for one, other in zip(left.turns[start:end], right.turns[first:last], strict=True)]
        else:
            pairs += [Pair(one, None) for one in left.turns[start:end]]
            pairs += [Pair(None, one) for one in right.turns[first:last]]
    divergence = next((place for place, pair in enumerate(pairs) if not pair.same_choice), None)
    return Alignment(tuple(pairs), divergence, _rest(pairs, divergence, right) - _rest(pairs, divergence, left))


def _rest(pairs: Sequence[Pair], divergence: int | None, trajectory: Trajectory) -> float:
    """Reward of ``trajectory`` from its first turn at or after the divergence on."""
    if divergence is None:
        return 0.0
    before = {id(turn) for pair in pairs[:divergence] for turn in (pair.left, pair.right) if turn is not None}
    return sum(turn.reward for turn in trajectory.turns if id(turn) not in before)
