"""The unchanging part of DangerousTaxi: Gymnasium's transition table, the maps and the shortest ways."""

from functools import cache
from typing import NamedTuple

from gymnasium.envs.toy_text.taxi import TaxiEnv

COMMANDS = ("south", "north", "east", "west", "pickup", "dropoff")
"""In the order of Gymnasium's actions 0 to 5."""

_LETTERS = "RGYB"
_ABOARD = 4


class TaxiState(NamedTuple):
    """Gymnasium's state index, taken apart."""

    row: int
    column: int
    passenger: int
    """Landmark 0 to 3, or 4 when aboard."""
    destination: int


class TaxiStart(NamedTuple):
    """Where a task begins."""

    waiting: int
    """State index of the stages ``pickup`` and ``full``."""
    aboard: int
    """State index of the stage ``dropoff``: the passenger has just been picked up at its landmark."""


class TaxiWorld(NamedTuple):
    """Everything about the world that never changes, by state index."""

    successors: tuple[tuple[int, ...], ...]
    maps: tuple[str, ...]
    to_pickup: tuple[tuple[str, ...], ...]
    """Shortest commands until the passenger is aboard."""
    to_delivery: tuple[tuple[str, ...], ...]
    """Shortest commands until the passenger is at the destination."""
    starts: dict[str, TaxiStart]
    task_ids: tuple[str, ...]
    landmarks: tuple[tuple[int, int], ...]
    """Row and column of the landmarks R, G, Y, B."""


def decode(state: int) -> TaxiState:
    """Row, column, passenger and destination of a state index."""
    rest, destination = divmod(state, 4)
    rest, passenger = divmod(rest, 5)
    return TaxiState(*divmod(rest, 5), passenger, destination)


def _encode(state: TaxiState) -> int:
    return ((state.row * 5 + state.column) * 5 + state.passenger) * 4 + state.destination


def is_aboard(state: int) -> bool:
    """True while the passenger sits in the taxi."""
    return state // 4 % 5 == _ABOARD


def is_delivered(state: int) -> bool:
    """True when the passenger is at the destination."""
    return state // 4 % 5 == state % 4


@cache
def taxi_world() -> TaxiWorld:
    """The tables, built on the first call in a process (about 15 milliseconds) and shared from then on."""
    gym_taxi = TaxiEnv()
    # The dry table has exactly one transition for each state and action: (probability, next state, reward, over).
    successors = tuple(tuple(gym_taxi.P[state][action][0][1] for action in range(len(COMMANDS))) for state in range(len(gym_taxi.P)))
    locations = gym_taxi.locs
    blank = [line.tobytes().decode().translate(str.maketrans(_LETTERS, " " * 4)) for line in gym_taxi.desc]
    states = range(len(successors))
    starts = {}
    for state in states:
        row, column, passenger, destination = decode(state)
        if passenger not in (_ABOARD, destination):
            aboard = _encode(TaxiState(*locations[passenger], _ABOARD, destination))
            starts[f"r{row}c{column}-{_LETTERS[passenger]}-{_LETTERS[destination]}"] = TaxiStart(state, aboard)
    return TaxiWorld(
        successors=successors,
        maps=tuple(_draw(blank, locations, decode(state)) for state in states),
        to_pickup=_shortest_routes(successors, {state for state in states if is_aboard(state)}),
        to_delivery=_shortest_routes(successors, {state for state in states if is_delivered(state)}),
        starts=starts,
        task_ids=tuple(starts),
        landmarks=tuple((int(row), int(column)) for row, column in locations),
    )


def _draw(blank: list[str], locations: list[tuple[int, int]], state: TaxiState) -> str:
    taxi, destination = (state.row, state.column), locations[state.destination]
    aboard = state.passenger == _ABOARD
    passenger = taxi if aboard else locations[state.passenger]
    symbols = {passenger: "P", destination: "D"}
    if aboard:
        symbols[taxi] = "Z" if taxi == destination else "X"
    elif passenger == destination:
        # Nobody waits at the destination in play: here the passenger has arrived.
        symbols[passenger] = "S"
        symbols.setdefault(taxi, "T")
    else:
        symbols[taxi] = "O" if taxi == passenger else "E" if taxi == destination else "T"
    lines = [list(line) for line in blank]
    for (row, column), symbol in symbols.items():
        lines[1 + row][1 + 2 * column] = symbol
    return "\n".join("".join(line) for line in lines)


def _shortest_routes(successors: tuple[tuple[int, ...], ...], goals: set[int]) -> tuple[tuple[str, ...], ...]:
    """Commands from every state to the nearest goal, by breadth-first search backwards from the goals."""
    routes: dict[int, tuple[str, ...]] = dict.fromkeys(goals, ())
    found = routes
    while found:
        # A sweep extends only the routes of earlier sweeps, so each state is met first at its shortest distance.
        found = {}
        for state, row in enumerate(successors):
            action = next((action for action, after in enumerate(row) if after in routes), None)
            if state not in routes and action is not None:
                found[state] = (COMMANDS[action], *routes[row[action]])
        routes.update(found)
    return tuple(routes[state] for state in range(len(successors)))
