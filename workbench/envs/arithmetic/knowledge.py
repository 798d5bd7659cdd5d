"""Quizzes with four choices over a small world of facts, one to three facts away from the answer.

The world is always the same: every kind of animal eats one thing, everything that is eaten grows in one place, and every animal has a name
that says of which kind it is only to who is told. The question tells the facts that are needed and some that are not.
"""

import zlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from workbench.envs.arithmetic.draft import Draft, one_of
from workbench.seeding import generator

HOPS = {"one-hop": 1, "two-hop": 2, "three-hop": 3}
CHOICES = 4
DISTRACTORS = 4
LETTERS = "ABCDEFGH"

_KINDS = ("heron", "otter", "lynx", "vole", "finch", "newt", "badger", "crane", "hare", "toad", "wren", "stoat")
_FOODS = ("moss", "clover", "berries", "acorns", "reeds", "ferns", "barley", "thistles", "lichen", "cress", "garlic", "mint")
_PLACES = ("the marsh", "the valley", "the forest", "the meadow", "the ravine", "the garden", "the dunes", "the moor")
_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u")
_ENDINGS = ("", "s", "t", "v", "x")
_HELD_OUT_SHARE = 5
"""One name of so many is held out."""


class _World(NamedTuple):
    eats: dict[str, str]
    grows: dict[str, str]


@lru_cache(maxsize=1)
def _world() -> _World:
    dice = generator(0, "world of facts")
    foods = [str(food) for food in dice.permutation(_FOODS)]
    return _World(dict(zip(_KINDS, foods, strict=True)), {food: one_of(dice, _PLACES) for food in _FOODS})


def draw_quiz(dice: np.random.Generator, stage: str, *, held_out: bool) -> Draft:
    """One quiz; held-out ones are about animals of their own."""
    name = _name(dice, held_out=held_out)
    world, hops = _world(), HOPS[stage]
    kind = _kind_of(name)
    food = world.eats[kind]
    place = world.grows[food]
    chain = (is_a(name, kind), f"every {kind} eats {food}", f"{food} can be found in {place}")
    asked, answer, pool = (
        (f"What is {name}?", kind, _KINDS),
        (f"What does {name} eat?", food, _FOODS),
        (f"Where does {name} go to eat?", place, _PLACES),
    )[hops - 1]
    facts = [*chain[:hops], *_distractors(dice, chain[:hops], held_out=held_out)]
    told = [facts[spot] for spot in dice.permutation(len(facts))]
    others = [other for other in pool if other != answer]
    wrong = [others[spot] for spot in dice.permutation(len(others))[: CHOICES - 1]]
    choices = [answer, *wrong]
    shown = tuple(choices[spot] for spot in dice.permutation(CHOICES))
    return Draft("\n".join([*told, with_choices(asked, shown)]), chain[:hops], answer, shown)


def with_choices(question: str, choices: tuple[str, ...]) -> str:
    """A question with its choices behind letters, as every policy reads it."""
    return "\n".join([question, *(f"({letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))])


def is_held_out(name: str) -> bool:
    """Whether problems about the animal of this name are in the split ``held-out``, and in no other."""
    return zlib.crc32(name.encode()) % _HELD_OUT_SHARE == 0


def _distractors(dice: np.random.Generator, needed: tuple[str, ...], *, held_out: bool) -> list[str]:
    """Facts of the same forms about others."""
    world, found = _world(), set[str]()
    while len(found) < DISTRACTORS:
        form = int(dice.integers(len(needed)))
        if form == 0:
            name = _name(dice, held_out=held_out)
            fact = is_a(name, _kind_of(name))
        elif form == 1:
            kind = one_of(dice, _KINDS)
            fact = f"every {kind} eats {world.eats[kind]}"
        else:
            food = one_of(dice, _FOODS)
            fact = f"{food} can be found in {world.grows[food]}"
        if fact not in needed:
            found.add(fact)
    return sorted(found)


def _name(dice: np.random.Generator, *, held_out: bool) -> str:
    while True:
        name = "".join(one_of(dice, _ONSETS) + one_of(dice, _VOWELS) for _ in range(2)) + one_of(dice, _ENDINGS)
        if is_held_out(name) == held_out:
            return name


def is_a(name: str, kind: str) -> str:
    """``bado is a heron``, ``bado is an otter``."""
    return f"{name} is {'an' if kind[0] in _VOWELS else 'a'} {kind}"


def _kind_of(name: str) -> str:
    return _KINDS[zlib.crc32(f"kind of {name}".encode()) % len(_KINDS)]
