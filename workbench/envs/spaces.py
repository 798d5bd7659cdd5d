"""Gymnasium spaces of text environments.

``gymnasium.spaces.Text`` knows a fixed set of characters and samples random letters, which no environment
would accept as a command; these two hold any text and sample what can be done.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces


class AnyText(spaces.Space[str]):
    """Every string; a sample is the empty one."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        """``seed`` as in every Gymnasium space."""
        super().__init__(dtype=str, seed=seed)

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:
        """The empty string: there is no sensible distribution over all text."""
        return ""

    def contains(self, x: Any) -> bool:
        """True for a string."""
        return isinstance(x, str)

    @property
    def is_np_flattenable(self) -> bool:
        """False: text is no array."""
        return False

    def __eq__(self, other: object) -> bool:
        """Spaces of one kind hold the same texts."""
        return type(other) is type(self)

    def __hash__(self) -> int:
        """Equal spaces, equal hashes."""
        return hash(type(self))

    def __repr__(self) -> str:
        """The name alone: there is nothing to set."""
        return f"{type(self).__name__}()"


class CommandText(AnyText):
    """Every string, since what can be done changes from state to state; a sample can be done now."""

    def __init__(self, admissible_commands: Callable[[], Sequence[str]], seed: int | np.random.Generator | None = None) -> None:
        """``admissible_commands`` gives what can be done now; nothing when the answer is free text."""
        super().__init__(seed=seed)
        self._admissible_commands = admissible_commands

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:
        """One of the admissible commands, all equally likely; the empty string when there is none."""
        commands = self._admissible_commands()
        return commands[int(self.np_random.integers(len(commands)))] if commands else ""
