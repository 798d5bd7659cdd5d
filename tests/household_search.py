"""Breadth-first search over a household game: slow, and knows nothing of tasks; the peer of the planner."""

from collections.abc import Iterator

from workbench.envs.household.game import Game
from workbench.envs.household.generator import GameSet, generated_games
from workbench.envs.household.names import TASK_TYPES
from workbench.envs.household.twin import Twin, TwinState


def small_games(seed: int, count: int = 24, *, receptacles: tuple[int, int] = (5, 12), things: tuple[int, int] = (3, 10)) -> list[Game]:
    return list(generated_games(GameSet(seed, count, TASK_TYPES, receptacles, things, None)).values())


def distance(twin: Twin, limit: int) -> int | None:
    """Fewest commands that solve the game from here; None when it takes more than ``limit``."""
    start, probe = twin.state, Twin(twin.game)
    seen, wave = {start}, [start]
    for depth in range(limit + 1):
        after = []
        for state in wave:
            probe.state = state
            if probe.won():
                return depth
            for next_state in _neighbours(probe):
                if next_state not in seen:
                    seen.add(next_state)
                    after.append(next_state)
        wave = after
    return None


def _neighbours(probe: Twin) -> Iterator[TwinState]:
    here = probe.state
    for command in probe.commands(useful=True):
        probe.act(command)
        yield probe.state
        probe.state = here
