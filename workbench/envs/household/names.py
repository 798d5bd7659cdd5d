"""What stands in a house: kinds of rooms, receptacles and things, and what fits where.

The kinds, their properties and the table of what may lie where are those of ALFRED's rooms (Shridhar et al. 2020,
arXiv:1912.01734), as far as ALFWorld's six task types need them.
"""

from typing import NamedTuple

TASK_TYPES = ("pick", "look", "clean", "heat", "cool", "two")
"""Pick and place, examine in light, clean, heat or cool and place, pick two and place."""

ALFWORLD_NAMES = {
    "pick": "pick_and_place_simple",
    "look": "look_at_obj_in_light",
    "clean": "pick_clean_then_place_in_recep",
    "heat": "pick_heat_then_place_in_recep",
    "cool": "pick_cool_then_place_in_recep",
    "two": "pick_two_obj_and_place",
}
"""ALFWorld's names of the task types; folders of its games begin with them."""

STATION = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
"""The receptacle that each kind of preparation needs."""

PREDICATES = {
    "clean": "cleanable",
    "heat": "heatable",
    "cool": "coolable",
    "slice": "sliceable",
    "take": "pickupable",
    "toggle": "toggleable",
    "vessel": "isReceptacleObject",
}
"""The PDDL domain's predicates for the traits of things."""

LAMP = "desklamp"
KNIVES = ("knife", "butterknife")
OPENABLE = frozenset({"cabinet", "drawer", "fridge", "microwave", "safe"})


class RoomKind(NamedTuple):
    """What a room of one kind is furnished with."""

    always: tuple[str, ...]
    """In every such room."""
    further: dict[str, int]
    """Receptacles that may be added, and how many at most."""
    tasks: tuple[str, ...]
    """Task types that can be set here."""


class ThingKind(NamedTuple):
    """A kind of movable thing."""

    rooms: frozenset[str]
    traits: frozenset[str]
    """Of ``clean``, ``heat``, ``cool`` (it can be made so), ``slice`` and ``vessel`` (others could lie in it)."""
    fits: frozenset[str]
    """Kinds of receptacles it may be put into."""


ROOMS = {
    "kitchen": RoomKind(
        ("countertop", "fridge", "microwave", "sinkbasin"),
        {
            "cabinet": 8,
            "drawer": 5,
            "countertop": 2,
            "diningtable": 1,
            "stoveburner": 4,
            "coffeemachine": 1,
            "garbagecan": 1,
            "shelf": 3,
            "sidetable": 1,
        },
        ("pick", "clean", "heat", "cool", "two"),
    ),
    "bathroom": RoomKind(
        ("countertop", "sinkbasin", "toilet"),
        {
            "cabinet": 4,
            "drawer": 4,
            "shelf": 2,
            "garbagecan": 1,
            "bathtubbasin": 1,
            "handtowelholder": 2,
            "toiletpaperhanger": 1,
            "sidetable": 1,
        },
        ("pick", "clean", "two"),
    ),
    "bedroom": RoomKind(
        ("bed", "desk"),
        {"drawer": 6, "shelf": 5, "sidetable": 2, "dresser": 1, "garbagecan": 1, "laundryhamper": 1, "safe": 1, "armchair": 1},
        ("pick", "look", "two"),
    ),
    "livingroom": RoomKind(
        ("sidetable", "sofa"),
        {
            "coffeetable": 1,
            "armchair": 2,
            "drawer": 5,
            "shelf": 4,
            "cabinet": 3,
            "dresser": 1,
            "diningtable": 1,
            "garbagecan": 1,
            "safe": 1,
            "ottoman": 1,
        },
        ("pick", "look", "two"),
    ),
}

_TOPS = "countertop diningtable coffeetable sidetable"
_STUDY = "desk dresser shelf"
_SEATS = "sofa armchair ottoman"
_BATH = "toilet cabinet shelf drawer garbagecan"

# Rooms | traits | what it fits into; most things may stand on every kind of table.
_ROWS = {
    "apple": ("kitchen", "clean heat cool slice", f"{_TOPS} fridge microwave sinkbasin garbagecan"),
    "bread": ("kitchen", "heat cool slice", f"{_TOPS} fridge microwave garbagecan"),
    "egg": ("kitchen", "clean heat cool slice", f"{_TOPS} fridge microwave sinkbasin garbagecan"),
    "lettuce": ("kitchen", "clean cool slice", f"{_TOPS} fridge sinkbasin garbagecan"),
    "potato": ("kitchen", "clean heat cool slice", f"{_TOPS} fridge microwave sinkbasin garbagecan"),
    "tomato": ("kitchen", "clean heat cool slice", f"{_TOPS} fridge microwave sinkbasin garbagecan"),
    "bowl": ("kitchen", "clean cool vessel", f"{_TOPS} {_STUDY} fridge microwave sinkbasin cabinet"),
    "cup": ("kitchen", "clean heat cool vessel", f"{_TOPS} {_STUDY} fridge microwave sinkbasin cabinet"),
    "mug": ("kitchen", "clean heat cool vessel", f"{_TOPS} {_STUDY} fridge microwave sinkbasin cabinet coffeemachine"),
    "plate": ("kitchen", "clean heat cool vessel", f"{_TOPS} {_STUDY} fridge microwave sinkbasin cabinet"),
    "pan": ("kitchen", "clean cool vessel", f"{_TOPS} fridge sinkbasin cabinet stoveburner"),
    "pot": ("kitchen", "clean cool vessel", f"{_TOPS} fridge sinkbasin cabinet stoveburner shelf"),
    "kettle": ("kitchen", "clean", f"{_TOPS} sinkbasin cabinet stoveburner shelf"),
    "winebottle": ("kitchen", "cool", f"{_TOPS} {_STUDY} fridge cabinet garbagecan"),
    "glassbottle": ("kitchen", "", f"{_TOPS} {_STUDY} fridge microwave sinkbasin cabinet"),
    "butterknife": ("kitchen", "clean", f"{_TOPS} sinkbasin drawer"),
    "fork": ("kitchen", "clean", f"{_TOPS} sinkbasin drawer"),
    "knife": ("kitchen", "clean", f"{_TOPS} sinkbasin drawer"),
    "ladle": ("kitchen", "clean", f"{_TOPS} sinkbasin drawer cabinet"),
    "spatula": ("kitchen", "clean", f"{_TOPS} sinkbasin drawer"),
    "spoon": ("kitchen", "clean", f"{_TOPS} sinkbasin drawer"),
    "peppershaker": ("kitchen", "", f"{_TOPS} cabinet drawer shelf"),
    "saltshaker": ("kitchen", "", f"{_TOPS} cabinet drawer shelf"),
    "dishsponge": ("kitchen bathroom", "clean", f"{_TOPS} {_BATH} sinkbasin bathtubbasin"),
    "cloth": ("bathroom bedroom", "clean", f"{_TOPS} {_STUDY} {_SEATS} {_BATH} sinkbasin bathtubbasin laundryhamper"),
    "soapbar": ("bathroom", "clean", f"{_TOPS} {_BATH} sinkbasin bathtubbasin"),
    "soapbottle": ("bathroom kitchen", "", f"{_TOPS} {_BATH} desk"),
    "spraybottle": ("bathroom", "", f"{_TOPS} {_BATH} desk dresser"),
    "candle": ("bathroom", "", f"{_TOPS} {_STUDY} toilet cabinet drawer"),
    "handtowel": ("bathroom", "", f"{_TOPS} {_BATH} sinkbasin bathtubbasin handtowelholder"),
    "toiletpaper": ("bathroom", "", f"{_TOPS} {_STUDY} {_BATH} toiletpaperhanger"),
    "tissuebox": ("bathroom livingroom", "", f"{_TOPS} {_STUDY} {_BATH}"),
    "alarmclock": ("bedroom", "", f"{_TOPS} {_STUDY}"),
    "baseballbat": ("bedroom", "", "bed countertop diningtable coffeetable sidetable"),
    "book": ("bedroom livingroom", "", f"{_TOPS} {_STUDY} {_SEATS} bed cabinet drawer"),
    "cd": ("bedroom", "", f"{_TOPS} {_STUDY} cabinet drawer garbagecan safe"),
    "cellphone": ("bedroom livingroom", "", f"{_TOPS} {_STUDY} {_SEATS} bed drawer safe"),
    "creditcard": ("bedroom livingroom", "", f"{_TOPS} {_STUDY} {_SEATS} drawer safe"),
    "keychain": ("bedroom livingroom", "", f"{_TOPS} {_STUDY} {_SEATS} drawer safe"),
    "laptop": ("bedroom livingroom", "", f"{_TOPS} desk dresser {_SEATS} bed"),
    "newspaper": ("livingroom", "", f"{_TOPS} {_STUDY} {_SEATS} bed cabinet drawer garbagecan toilet"),
    "pen": ("bedroom", "", f"{_TOPS} {_STUDY} drawer garbagecan"),
    "pencil": ("bedroom", "", f"{_TOPS} {_STUDY} drawer garbagecan"),
    "pillow": ("bedroom livingroom", "", f"bed {_SEATS}"),
    "remotecontrol": ("livingroom", "", f"{_TOPS} {_STUDY} {_SEATS} drawer"),
    "statue": ("livingroom", "", f"{_TOPS} {_STUDY} safe"),
    "vase": ("livingroom", "", f"{_TOPS} {_STUDY} cabinet safe"),
    "watch": ("livingroom", "", f"{_TOPS} {_STUDY} drawer safe"),
    "wateringcan": ("livingroom", "", f"{_TOPS} {_STUDY} cabinet drawer"),
}

THINGS = {name: ThingKind(*(frozenset(column.split()) for column in row)) for name, row in _ROWS.items()}

WORDINGS = {
    "pick": ("put a {thing} in {place}", "put some {thing} on {place}"),
    "look": ("look at {thing} under the {place}", "examine the {thing} with the {place}"),
    "clean": ("put a clean {thing} in {place}", "clean some {thing} and put it in {place}"),
    "heat": ("put a hot {thing} in {place}", "heat some {thing} and put it in {place}"),
    "cool": ("put a cool {thing} in {place}", "cool some {thing} and put it in {place}"),
    "two": ("put two {thing} in {place}", "find two {thing} and put them in {place}"),
}
"""How the player is told: ALFWorld's own short forms."""
