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


def compact_view(twin: Twin, seen: int) -> str:
    """Place, carried thing and everything known, in up to five short lines.

    Args:
        twin: The game in play.
        seen: Bits of the receptacles whose contents were seen.
    """
    game = twin.game
    lines = [f"At: {_here(twin)}.", f"Carrying: {'nothing' if twin.held == HELD else described(twin, twin.held)}."]
    others = [index for index in range(len(game.receptacles)) if index != twin.place]
    full = [f"{game.receptacles[index].name}: {_contents(twin, index)}" for index in others if seen >> index & 1 and twin.contents[index]]
    empty = [game.receptacles[index].name for index in others if seen >> index & 1 and not twin.contents[index]]
    unseen = [game.receptacles[index].name for index in others if not seen >> index & 1]
    if full:
        lines.append(f"Seen: {'; '.join(full)}.")
    if empty:
        lines.append(f"Empty: {', '.join(empty)}.")
    if unseen:
        lines.append(f"Unseen: {', '.join(unseen)}.")
    return "\n".join(lines)


def described(twin: Twin, thing: int) -> str:
    """A thing with its condition, such as ``clean mug 1``."""
    mark = twin.marks[thing]
    adjectives = "".join(word for bit, word in _ADJECTIVES if mark & bit) if mark else ""
    return adjectives + twin.game.things[thing].name


def _here(twin: Twin) -> str:
    if twin.place == MIDDLE:
        return "middle of the room"
    place = twin.game.receptacles[twin.place]
    if not twin.opened[twin.place]:
        return f"{place.name}, closed"
    return f"{place.name}{', open' if place.openable else ''}: {_contents(twin, twin.place)}"


def _contents(twin: Twin, place: int) -> str:
    return ", ".join(described(twin, thing) for thing in twin.contents[place]) or "nothing"
