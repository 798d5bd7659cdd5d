"""What the player knows of a game, in few words.

Only the player moves things, so that a receptacle that was seen once is known from then on.
"""

from workbench.envs.household.game import MIDDLE, Game
from workbench.envs.household.twin import CLEAN, COOL, HELD, HOT, LIT, SLICED, Twin

_ADJECTIVES = ((CLEAN, "clean "), (HOT, "hot "), (COOL, "cool "), (SLICED, "sliced "), (LIT, "lit "))


def seen_at_start(game: Game, *, known: bool) -> int:
    """Bits of the receptacles whose contents are known before the first command: all that have no door when ``known``."""
    return sum(1 << index for index, place in enumerate(game.receptacles) if known and not place.openable)


def seen_here(twin: Twin) -> int:
    """The bit of the present place, or 0 where nothing can be seen."""
    return 1 << twin.place if twin.place != MIDDLE and twin.opened[twin.place] else 0


def compact_view(twin: Twin, seen: int, *, focused: bool = False) -> str:
    """Place, carried thing and everything known, in up to five short lines.

    Args:
        twin: The game in play.
        seen: Bits of the receptacles whose contents were seen.
        focused: Leave out things of other kinds than the task is about (and than the lamp that it needs); one that is carried is
            said to be of no use.
    """
    game = twin.game
    lines = [f"At: {_here(twin, focused)}.", f"Carrying: {_carried(twin, focused)}."]
    others = [index for index in range(len(game.receptacles)) if index != twin.place]
    known = {index: _contents(twin, index, focused) for index in others if seen >> index & 1}
    full = [f"{game.receptacles[index].name}: {contents}" for index, contents in known.items() if contents]
    empty = [game.receptacles[index].name for index, contents in known.items() if not contents]
    unseen = [game.receptacles[index].name for index in others if not seen >> index & 1]
    if full:
        lines.append(f"Seen: {'; '.join(full)}.")
    if empty:
        lines.append(f"{'Searched' if focused else 'Empty'}: {', '.join(empty)}.")
    if unseen:
        lines.append(f"Unseen: {', '.join(unseen)}.")
    return "\n".join(lines)


def described(twin: Twin, thing: int) -> str:
    """A thing with its condition, such as ``clean mug 1``."""
    mark = twin.marks[thing]
    adjectives = "".join(word for bit, word in _ADJECTIVES if mark & bit) if mark else ""
    return adjectives + twin.game.things[thing].name


def _here(twin: Twin, focused: bool) -> str:
    if twin.place == MIDDLE:
        return "middle of the room"
    place = twin.game.receptacles[twin.place]
    if not twin.opened[twin.place]:
        return f"{place.name}, closed"
    return f"{place.name}{', open' if place.openable else ''}: {_contents(twin, twin.place, focused) or 'nothing'}"


def _carried(twin: Twin, focused: bool) -> str:
    if twin.held == HELD:
        return "nothing"
    return described(twin, twin.held) + (", of no use" if focused and not _concerns(twin, twin.held) else "")


def _contents(twin: Twin, place: int, focused: bool) -> str:
    return ", ".join(described(twin, thing) for thing in twin.contents[place] if not focused or _concerns(twin, thing))


def _concerns(twin: Twin, thing: int) -> bool:
    """Whether the task is about things of this kind."""
    goal = twin.game.goal
    return twin.game.things[thing].kind in (goal.thing, goal.place)
