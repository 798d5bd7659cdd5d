"""ALFWorld's rules and replies in plain Python; a differential test compares them with the real engine.

Every step costs some microseconds: the admissible commands are put together from the few that the place, the open
door and the carried thing allow, already in alphabetical order of their verbs.
"""

from collections.abc import Callable

from workbench.envs.household.game import MIDDLE, NOWHERE, Game, description, listed
from workbench.envs.household.names import KNIVES

CLEAN, HOT, COOL, SLICED, LIT = 1, 2, 4, 8, 16
"""Bits of a thing's condition."""

HELD = -1
"""Where a carried thing is."""

TwinState = tuple[int, tuple[bool, ...], tuple[int, ...], tuple[int, ...]]
"""Place, which receptacles are open, where every thing is, and every thing's condition."""

HELP = """Available commands:
  look:                             look around your current location
  inventory:                        check your current inventory
  go to (receptacle):               move to a receptacle
  open (receptacle):                open a receptacle
  close (receptacle):               close a receptacle
  take (object) from (receptacle):  take an object from a receptacle
  move (object) to (receptacle):  place an object in or on a receptacle
  examine (something):              examine a receptacle or an object
  use (object):                     use an object
  heat (object) with (receptacle):  heat an object using a receptacle
  clean (object) with (receptacle): clean an object using a receptacle
  cool (object) with (receptacle):  cool an object using a receptacle
  slice (object) with (object):     slice an object using a sharp object
"""


class Twin:
    """A game in play.

    ``place``, ``opened``, ``where``, ``marks`` and ``held`` are for reading; ``act`` changes them.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        self.place = MIDDLE
        self.opened = [not place.openable for place in game.receptacles]
        self.where = [thing.start for thing in game.things]
        self.marks = [0] * len(game.things)
        self.held = HELD
        """Index of the carried thing, or -1."""
        self.contents: list[list[int]] = [[] for _ in game.receptacles]
        for index, start in enumerate(self.where):
            if start != NOWHERE:
                self.contents[start].append(index)
        self._replies: dict[str, Callable[[int, int], str]] = {
            "go": self._go,
            "open": self._open,
            "close": self._close,
            "take": self._take,
            "move": self._move,
            "clean": self._clean,
            "heat": self._heat,
            "cool": self._cool,
            "use": self._use,
            "slice": self._slice,
            "examine": self._examine,
            "look": self._look,
            "inventory": self._inventory,
            "help": lambda thing, receptacle: HELP,
        }

    @property
    def state(self) -> TwinState:
        """All that can change."""
        return self.place, tuple(self.opened), tuple(self.where), tuple(self.marks)

    @state.setter
    def state(self, state: TwinState) -> None:
        self.place, self.opened, self.where, self.marks = state[0], list(state[1]), list(state[2]), list(state[3])
        self.contents = [[] for _ in self.game.receptacles]
        self.held = HELD
        for index, where in enumerate(self.where):
            if where == HELD:
                self.held = index
            elif where != NOWHERE:
                self.contents[where].append(index)

    def act(self, command: str) -> str:
        """Carry out an admissible command; gives the reply."""
        verb, thing, receptacle = self.game.operations[command]
        return self._replies[verb](thing, receptacle)

    def won(self) -> bool:
        """Whether the task is solved in this state."""
        game = self.game
        task_type, kind, *_ = game.goal
        if task_type == "look":
            held_right = self.held != HELD and game.things[self.held].kind == kind
            return held_right and any(self.marks[lamp] & LIT and self.where[lamp] == self.place for lamp in game.lamps)
        mark = {"clean": CLEAN, "heat": HOT, "cool": COOL}.get(task_type, 0)
        where = [self.where[index] for index in game.goal_things if not mark or self.marks[index] & mark]
        wanted = 2 if task_type == "two" else 1
        return any(where.count(place) >= wanted for place in game.goal_places)

    def commands(self, *, useful: bool = False) -> tuple[str, ...]:
        """The admissible commands in alphabetical order.

        Args:
            useful: Leave out what never brings a task further: examine, help, inventory, look, close and slice.
        """
        here, game = self.place, self.game
        ways = game.ways[here]
        if here == MIDDLE:
            return ways if useful else (*ways, "help", "inventory", "look")
        place = game.receptacles[here]
        reach = self.contents[here] if self.opened[here] else []
        heat, clean, cool, move = self._with_held(here)
        take: list[str] = []
        if self.held == HELD and reach:
            take = sorted(f"take {game.things[index].name} from {place.name}" for index in reach if "take" in game.things[index].traits)
        opens = [f"open {place.name}"] if not self.opened[here] else []
        use = sorted(f"use {game.things[lamp].name}" for lamp in self.contents[here] if "toggle" in game.things[lamp].traits)
        if useful:
            return (*clean, *cool, *ways, *heat, *move, *opens, *take, *use)
        close = [f"close {place.name}"] if place.openable and self.opened[here] else []
        # Of things only the carried one: the domain's condition for those lying here never holds in the engine.
        carried = [f"examine {game.things[self.held].name}"] if self.held != HELD else []
        examine = sorted([f"examine {place.name}", *carried])
        rest = ("help", "inventory", "look")
        return (*clean, *close, *cool, *examine, *ways, *heat, *rest, *move, *opens, *self._slices(here), *take, *use)

    def _with_held(self, here: int) -> tuple[list[str], list[str], list[str], list[str]]:
        """What can be done with the carried thing: heat, clean, cool, move."""
        if self.held == HELD:
            return [], [], [], []
        game, place = self.game, self.game.receptacles[here].name
        thing = game.things[self.held]
        done: dict[str, list[str]] = {
            verb: [f"{verb} {thing.name} with {place}"] if verb in thing.traits and here in game.stations[verb] else []
            for verb in ("heat", "clean", "cool")
        }
        fits = self.opened[here] and game.holders[self.held][here]
        return done["heat"], done["clean"], done["cool"], [f"move {thing.name} to {place}"] if fits else []

    def _slices(self, here: int) -> list[str]:
        things = self.game.things
        if self.held == HELD or things[self.held].kind not in KNIVES:
            return []
        # The engine reaches through closed doors here.
        knife = things[self.held].name
        return sorted(f"slice {things[index].name} with {knife}" for index in self.contents[here] if "slice" in things[index].traits)

    def _contents(self, here: int) -> str:
        names = [self.game.things[index].name for index in self.contents[here]]
        return listed(names)

    def _sight(self, here: int) -> str:
        place = self.game.receptacles[here]
        if not place.openable:
            return f"On the {place.name}, you see {self._contents(here)}."
        if self.opened[here]:
            return f"The {place.name} is open. In it, you see {self._contents(here)}."
        return f"The {place.name} is closed."

    def _go(self, thing: int, receptacle: int) -> str:
        self.place = receptacle
        return f"You arrive at {self.game.receptacles[receptacle].name}. {self._sight(receptacle)}"

    def _open(self, thing: int, receptacle: int) -> str:
        self.opened[receptacle] = True
        return f"You open the {self.game.receptacles[receptacle].name}. {self._sight(receptacle)}"

    def _close(self, thing: int, receptacle: int) -> str:
        self.opened[receptacle] = False
        return f"You close the {self.game.receptacles[receptacle].name}."

    def _take(self, thing: int, receptacle: int) -> str:
        self.contents[receptacle].remove(thing)
        self.where[thing], self.held = HELD, thing
        return f"You pick up the {self.game.things[thing].name} from the {self.game.receptacles[receptacle].name}."

    def _move(self, thing: int, receptacle: int) -> str:
        self.contents[receptacle] = sorted([*self.contents[receptacle], thing])
        self.where[thing], self.held = receptacle, HELD
        return f"You move the {self.game.things[thing].name} to the {self.game.receptacles[receptacle].name}."

    def _clean(self, thing: int, receptacle: int) -> str:
        self.marks[thing] |= CLEAN
        return f"You clean the {self.game.things[thing].name} using the {self.game.receptacles[receptacle].name}."

    def _heat(self, thing: int, receptacle: int) -> str:
        self.marks[thing] = self.marks[thing] & ~COOL | HOT
        return f"You heat the {self.game.things[thing].name} using the {self.game.receptacles[receptacle].name}."

    def _cool(self, thing: int, receptacle: int) -> str:
        self.marks[thing] = self.marks[thing] & ~HOT | COOL
        return f"You cool the {self.game.things[thing].name} using the {self.game.receptacles[receptacle].name}."

    def _use(self, thing: int, receptacle: int) -> str:
        # The engine remembers that a lamp was switched, not whether it is on.
        self.marks[thing] |= LIT
        return f"You turn on the {self.game.things[thing].name}."

    def _slice(self, thing: int, receptacle: int) -> str:
        self.marks[thing] |= SLICED
        return f"You sliced the {self.game.things[thing].name} with the {self.game.things[receptacle].name}."

    def _examine(self, thing: int, receptacle: int) -> str:
        return self._sight(receptacle) if thing < 0 else self._condition(thing)

    def _condition(self, thing: int) -> str:
        name, mark = self.game.things[thing].name, self.marks[thing]
        if "vessel" in self.game.things[thing].traits:
            return f"This is a normal {name}. In it, you see nothing."
        if mark & LIT:
            return f"This {name} is on."
        clean, sliced = bool(mark & CLEAN), "sliced " if mark & SLICED else ""
        warmth = "hot" if mark & HOT else "cool" if mark & COOL else ""
        if warmth and clean:
            return f"This is a {warmth} and clean {sliced}{name}."
        if warmth == "cool" and not sliced:
            return f"This is a cold {name}."
        if not (warmth or clean or sliced):
            return f"There's nothing special about {name}."
        return f"This is a {warmth or 'clean ' * clean}".rstrip() + f" {sliced}{name}."

    def _look(self, thing: int, receptacle: int) -> str:
        if self.place == MIDDLE:
            # The engine lists only what stands at the very place; the whole room is described once, at the start.
            return description([])
        return f"You are facing the {self.game.receptacles[self.place].name}. Next to it, you see nothing."

    def _inventory(self, thing: int, receptacle: int) -> str:
        if self.held == HELD:
            return "You are not carrying anything."
        return f"You are carrying: a {self.game.things[self.held].name}."
