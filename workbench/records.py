"""The one record that everything passes on: a trajectory of turns, each with its reflection.

The trainer, the store, the notebook and the page all read these. No torch, no pandas: plain values only.
Token ids are kept from the moment they are sampled; text is never tokenised again to rebuild them.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Reflection:
    """What the reflection player said about one state."""

    text: str
    """The reflection as the policy reads it; empty when there is none."""
    token_ids: tuple[int, ...] = ()
    """Sampled ids in the reflection player's vocabulary, end-of-text excluded."""
    log_probs: tuple[float, ...] = ()
    """Log-probability of each sampled id, nats; same length as ``token_ids``."""
    finished: bool = True
    """False when the length limit cut the reflection before its end-of-text."""
    suggested_command: str | None = None
    """The admissible command the text names last, or None when it names none."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One decision: what was seen, thought, possible, chosen and earned."""

    index: int
    """0 for the first turn of the trajectory."""
    observation: str
    state_key: str
    """Identifies the environment's state, so that two trajectories can be aligned."""
    admissible_commands: tuple[str, ...]
    labels: tuple[str, ...]
    """Label of each admissible command, in the same order."""
    probabilities: tuple[float, ...]
    """The policy's probability of each admissible command, at the sampling temperature; sums to 1."""
    command: str
    reflection: Reflection
    prompt_token_ids: tuple[int, ...]
    """The policy's whole prompt as it was fed to the model."""
    label_token_ids: tuple[int, ...]
    """The policy vocabulary's id of each label, in the order of ``labels``."""
    log_prob: float
    """Log-probability of the chosen command when it was chosen, nats."""
    reward: float
    """Environment units."""
    terminated: bool
    truncated: bool
    prompt_was_cut: bool = False
    """True when the observation had to be shortened to fit the model's context."""
    oracle_command: str | None = None
    """A best command here, where the environment knows one and the run asked for it."""
    value: float | None = None
    """A critic's estimate before the turn, environment units."""
    advantage: float | None = None
    """What the update used, after whitening."""
    command_token_ids: tuple[tuple[int, ...], ...] = ()
    """Of each admissible command, where whole commands were scored instead of labels; not recorded, empty when read back."""

    @property
    def chosen_index(self) -> int:
        """Position of the chosen command among the admissible ones."""
        return self.admissible_commands.index(self.command)


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One play from reset to the end."""

    trajectory_id: str
    """Unique within its run, e.g. ``rl-000012-0003``."""
    phase: str
    """``generate``, ``rl`` or ``evaluate``."""
    update: int
    """Which update of the phase it was collected for."""
    task: str
    stage: str
    seed: int
    task_statement: str
    turns: tuple[Turn, ...] = field(default=())
    success: bool = False
    """Set by the environment, never derived from the return."""

    @property
    def total_reward(self) -> float:
        """Sum of rewards, environment units, undiscounted."""
        return sum(turn.reward for turn in self.turns)

    def returns_to_go(self) -> list[float]:
        """Undiscounted reward from each turn to the end, environment units."""
        total, result = 0.0, []
        for turn in reversed(self.turns):
            total += turn.reward
            result.append(total)
        return result[::-1]


class Interval(NamedTuple):
    """A rate with its interval."""

    rate: float
    low: float
    high: float
