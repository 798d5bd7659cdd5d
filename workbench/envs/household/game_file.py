"""Games as ALFWorld's own files (``game.tw-pddl``): written for the real engine.

A file is JSON: the PDDL domain, the text grammar, the PDDL problem, and a walkthrough. Domain and grammar come from the
installed alfworld package; what makes a game is in the problem.
"""

import json
from pathlib import Path

from workbench.envs.household.game import NOWHERE, Game, Goal
from workbench.envs.household.names import ALFWORLD_NAMES, KNIVES, PREDICATES, STATION

FILE_NAME = "game.tw-pddl"

_CONDITIONS = {"clean": "cleanable isClean", "heat": "heatable isHot", "cool": "coolable isCool"}


def game_file(game: Game, *, domain: str, grammar: str, walkthrough: list[str]) -> str:
    """The text of a game file.

    Args:
        game: The game.
        domain: alfworld's ``alfred.pddl``.
        grammar: alfworld's ``alfred.twl2``; the task is written into it.
        walkthrough: Commands that solve the game.
    """
    goal = game.statement.removeprefix("Your task is to: ").removesuffix(".")
    content = {
        "pddl_domain": domain,
        "grammar": grammar.replace("UNKNOWN GOAL", goal),
        "pddl_problem": problem(game),
        "solvable": True,
        "walkthrough": walkthrough,
    }
    return json.dumps(content, indent=1)


def file_path(folder: Path, game: Game) -> Path:
    """Where a game's file belongs: below ALFWorld's kind of folder, which names the task type, what it is about and the room."""
    goal = game.goal
    return folder / f"{ALFWORLD_NAMES[goal.task_type]}-{goal.thing}-None-{goal.place}-{game.room}" / game.task / FILE_NAME


def problem(game: Game) -> str:
    """The PDDL problem of a game; the engine's parser wants its parts in this order."""
    places = _identifiers([(place.name, place.kind) for place in game.receptacles])
    things = _identifiers([(thing.name, thing.kind) for thing in game.things])
    place_kinds = sorted({place.kind for place in game.receptacles} | set(STATION.values()))
    thing_kinds = sorted({thing.kind for thing in game.things} | set(KNIVES))
    declared = {
        "agent": ["agent1"],
        "receptacle": places,
        "object": things,
        "location": ["loc_middle", *(f"loc_{number}" for number in range(len(places)))],
        "rtype": [f"{kind}Type" for kind in place_kinds],
        "otype": [f"{kind}Type" for kind in thing_kinds],
    }
    objects = "\n".join(f"  {' '.join(names)} - {kind}" for kind, names in declared.items())
    facts = "\n".join(f"  ({fact})" for fact in _facts(game, places, things))
    return (
        f"(define (problem {game.task})\n(:domain alfred)\n(:objects\n{objects}\n)\n(:init\n{facts}\n  (= (total-cost) 0)\n)\n"
        f"(:goal {_goal_condition(game.goal)})\n(:metric minimize (total-cost))\n)\n"
    )


def _identifiers(rows: list[tuple[str, str]]) -> list[str]:
    # Numbered from the end: the engine gives the first identifier of a kind, in sort order, the highest number.
    kinds = [kind for _, kind in rows]
    parts = []
    for name, kind in rows:
        place = f"{kinds.count(kind) - int(name.rpartition(' ')[2]):02d}"
        stem = kind.removesuffix("basin")
        parts.append(f"{stem}_bar_{place}" + (f"_bar_{kind}" if stem != kind else ""))
    return parts


def _facts(game: Game, places: list[str], things: list[str]) -> list[str]:
    facts = ["atLocation agent1 loc_middle"]
    for number, (place, name) in enumerate(zip(game.receptacles, places, strict=True)):
        facts += [f"receptacleAtLocation {name} loc_{number}", f"receptacleType {name} {place.kind}Type"]
        if place.openable:
            facts.append(f"openable {name}")
    for thing, name in zip(game.things, things, strict=True):
        facts.append(f"objectType {name} {thing.kind}Type")
        if thing.start != NOWHERE:
            facts += [f"inReceptacle {name} {places[thing.start]}", f"objectAtLocation {name} loc_{thing.start}"]
        facts += [f"{predicate} {name}" for trait, predicate in PREDICATES.items() if trait in thing.traits]
    return facts + [f"canContain {place}Type {thing}Type" for place, thing in sorted(game.fits)]


def _goal_condition(goal: Goal) -> str:
    kinds = f"(objectType ?o {goal.thing}Type)"
    if goal.task_type == "look":
        lit = f"(objectType ?t {goal.place}Type) (toggleable ?t) (isToggled ?t)"
        here = "(receptacleAtLocation ?r ?l) (atLocation ?a ?l) (inReceptacle ?t ?r)"
        lamp = f"(exists (?t - object ?r - receptacle ?a - agent ?l - location) (and {lit} {here}))"
        return f"(and {lamp} (exists (?o - object ?a - agent) (and {kinds} (holds ?a ?o))))"
    there = f"{kinds} (receptacleType ?r {goal.place}Type) (inReceptacle ?o ?r)"
    if goal.task_type == "two":
        other = there.replace("?o", "?p")
        there += f" (exists (?p - object) (and (not (= ?o ?p)) {other}))"
    marks = " ".join(f"({predicate} ?o)" for predicate in _CONDITIONS.get(goal.task_type, "").split())
    return f"(exists (?r - receptacle) (exists (?o - object) (and {marks} {there})))"
