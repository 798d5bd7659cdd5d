"""The room of a household game as far as a trajectory has seen it, read from its observation."""

import html
import re
from dataclasses import dataclass, field

_START = "You are in the middle of a room. Looking quickly around you, you see "
_ARRIVE = re.compile(r"You arrive at ([^.]+)\.")
_ON = re.compile(r"On the ([^,]+), you see ([^.]*)\.")
_IN = re.compile(r"The ([^.]+) is open\. In it, you see ([^.]*)\.")
_CLOSED = re.compile(r"The ([^.]+) is closed\.")
_CLOSE = re.compile(r"You close the ([^.]+)\.")
_TAKE = re.compile(r"You pick up the ([^.]+) from the ([^.]+)\.")
_MOVE = re.compile(r"You move the ([^.]+) to the ([^.]+)\.")
_CHANGE = re.compile(r"You (clean|heat|cool) the ([^.]+) using the [^.]+\.")
_CONDITIONS = {"clean": "clean", "heat": "hot", "cool": "cool"}


@dataclass
class Room:
    """What is known of a room.

    Attributes:
        place: The receptacle that the player stands at; empty in the middle of the room.
        carried: The thing carried, with its condition; empty for none.
        contents: What lies in each receptacle; None where that was not seen.
        doors: ``open`` or ``closed``, of receptacles where it was said.
    """

    place: str = ""
    carried: str = ""
    contents: dict[str, list[str] | None] = field(default_factory=dict)
    doors: dict[str, str] = field(default_factory=dict)


def seen_room(observation: str) -> Room | None:
    """The room that an observation tells of, in either of its forms; None for another world's."""
    if observation.startswith(_START):
        return _from_history(observation)
    lines = observation.split("\n")
    if len(lines) >= 2 and lines[0].startswith("At: ") and lines[1].startswith("Carrying: "):
        return _from_view(lines)
    return None


def _from_view(lines: list[str]) -> Room:
    room = Room()
    here, _, inside = lines[0].removeprefix("At: ").removesuffix(".").partition(":")
    name, _, door = here.partition(", ")
    if name != "middle of the room":
        room.place = name
        room.contents[name] = None if door == "closed" else _things(inside)
        if door:
            room.doors[name] = door
    carried = lines[1].removeprefix("Carrying: ").removesuffix(".")
    room.carried = "" if carried == "nothing" else carried
    for line in lines[2:]:
        kind, _, rest = line.removesuffix(".").partition(": ")
        if kind == "Seen":
            for part in rest.split("; "):
                receptacle, _, things = part.partition(": ")
                room.contents[receptacle] = _things(things)
        elif kind in ("Empty", "Unseen"):
            room.contents |= {receptacle: [] if kind == "Empty" else None for receptacle in rest.split(", ")}
    return room


def _from_history(observation: str) -> Room:
    first, *replies = observation.split("\n")
    room = Room(contents=dict.fromkeys(_things(first.removeprefix(_START).removesuffix(".")), None))
    for reply in replies:
        if not reply.startswith("> "):
            _hear(room, reply)
    return room


def _hear(room: Room, reply: str) -> None:
    """Learn from one of the engine's sentences."""
    if match := _ARRIVE.search(reply):
        room.place = match[1]
    for match in (*_ON.finditer(reply), *_IN.finditer(reply)):
        room.contents[match[1].removeprefix("The ")] = _things(match[2])
    if match := _IN.search(reply):
        room.doors[match[1]] = "open"
    if match := _CLOSED.search(reply) or _CLOSE.search(reply):
        room.doors[match[1]] = "closed"
    if match := _TAKE.search(reply):
        room.carried = match[1]
        inside = room.contents.get(match[2]) or []
        room.contents[match[2]] = [thing for thing in inside if not match[1].endswith(thing) and thing != match[1]]
    if match := _MOVE.search(reply):
        room.contents[match[2]] = [*(room.contents.get(match[2]) or []), room.carried or match[1]]
        room.carried = ""
    if (match := _CHANGE.search(reply)) and room.carried.endswith(match[2]):
        room.carried = f"{_CONDITIONS[match[1]]} {match[2]}"


def _things(text: str) -> list[str]:
    """The names in ``a cloth 1, and a tissuebox 2`` or ``cloth 1, tissuebox 2``; none in ``nothing``."""
    names = [re.sub(r"^(and )?(an? )?", "", part.strip()) for part in text.split(",")]
    return [name for name in names if name and name != "nothing"]


def room_html(room: Room) -> str:
    """The room as cards of escaped HTML, one a receptacle; the one that the player stands at is framed."""
    carried = html.escape(room.carried) if room.carried else "nothing"
    where = html.escape(room.place) if room.place else "the middle of the room"
    head = f'<div style="margin-bottom: 0.5rem;">At <b>{where}</b>, carrying <b>{carried}</b></div>'
    cards = "".join(_card(name, room) for name in sorted(room.contents, key=_natural))
    grid = "display: grid; grid-template-columns: repeat(auto-fill, minmax(118px, 1fr)); gap: 6px;"
    return f'<div style="font-size: 0.86rem; line-height: 1.35;">{head}<div style="{grid}">{cards}</div></div>'


def _natural(name: str) -> tuple[str, int]:
    kind, _, number = name.rpartition(" ")
    return (kind, int(number)) if number.isascii() and number.isdecimal() and len(number) < 10 else (name, 0)


def _card(name: str, room: Room) -> str:
    inside, door = room.contents[name], room.doors.get(name, "")
    here = name == room.place
    border = "2px solid rgba(0, 114, 178, 0.9)" if here else "1px solid rgba(138, 138, 138, 0.5)"
    ground = "rgba(86, 180, 233, 0.18)" if here else "rgba(138, 138, 138, 0.08)"
    title = f"{'▶ ' if here else ''}{html.escape(name)}{f' ({html.escape(door)})' if door else ''}"
    if inside is None:
        body = '<span style="opacity: 0.6;">not seen yet</span>'
    else:
        body = "<br>".join(html.escape(thing) for thing in inside) or '<span style="opacity: 0.6;">empty</span>'
    return f'<div style="border: {border}; background: {ground}; border-radius: 6px; padding: 5px 8px;"><b>{title}</b><br>{body}</div>'
