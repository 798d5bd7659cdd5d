"""The teacher of AutoExplore."""

import numpy as np

from workbench.data.teachers.base import Mistake, best_command, pick
from workbench.envs.explore.episode import Episode
from workbench.envs.explore.world import AutoExplore
from workbench.envs.text_env import TextEnv
from workbench.errors import DataError


class ExploreTeacher:
    """AutoExplore: says what the question is about, where that belongs, and the next command.

    It names files of the present folder only: what a player cannot have seen does not help it to learn.
    """

    def reflect(self, env: TextEnv, generator: np.random.Generator) -> str:
        """What the question is about, what that means here, and the next command."""
        episode, command = _episode(env), best_command(env)
        verb, _, name = command.partition(" ")
        topic = _topic(episode)
        if command == "cd ..":
            return pick(_BACK, generator).format(topic=topic)
        if verb == "cd":
            # A folder that is called like the topic is not explained by itself.
            known = topic in ("the project", name)
            return pick(_HERE if known else _BELONGS, generator).format(topic=topic, name=name)
        if verb == "cat":
            return pick(_READ, generator).format(topic=topic, name=name)
        return pick(_NAMED if episode.last.read is episode.target else _KNOWN, generator).format(topic=topic, name=name)

    def correct(self, env: TextEnv, mistake: Mistake, generator: np.random.Generator) -> str:
        """Why the last command was wrong, and the next one."""
        episode, command = _episode(env), best_command(env)
        verb, _, name = mistake.command.partition(" ")
        forms = _TOO_EARLY if mistake.command == "cd .." else _WRONG.get(verb, _NO_USE)
        text = pick(forms, generator).format(topic=_topic(episode), name=name, command=command)
        return text.removesuffix(".") if command == "cd .." else text


def _episode(env: TextEnv) -> Episode:
    if not isinstance(env, AutoExplore):
        raise DataError(f"the teacher of AutoExplore cannot teach {type(env).__name__}; use a GenericTeacher")
    return env.episode


def _topic(episode: Episode) -> str:
    """What the question is about; never a file's name that only the answer has."""
    return episode.task.question.topic


_BACK = (
    "Nothing here is about {topic}, so go back: cd ..",
    "This is not about {topic}. Go up: cd ..",
    "I have to leave, {topic} must be elsewhere: cd ..",
)
_BELONGS = (
    "This is about {topic}, which is part of {name}, so: cd {name}.",
    "The question is about {topic}. That belongs to {name}, so: cd {name}.",
    "I look for {topic}, a part of {name}. First: cd {name}.",
)
_HERE = (
    "This is about {topic}, so: cd {name}.",
    "The question is about {topic}. The folder is here: cd {name}.",
    "I look for {topic}. Now: cd {name}.",
)
_READ = (
    "This is about {topic}, and {name} fits best, so: cat {name}.",
    "It may well be in {name}. Read it: cat {name}.",
    "The question sounds like {name}, so: cat {name}.",
)
_NAMED = (
    "It says what was asked, so: id {name}.",
    "This file answers the question, so: id {name}.",
    "The answer is here, now: id {name}.",
)
_KNOWN = (
    "I have found the file, so: id {name}.",
    "The answer is in {name}, so: id {name}.",
    "I know the file, now: id {name}.",
)
_WRONG = {
    "cd": (
        "{name} was the wrong folder, this is about {topic}. Now: {command}.",
        "I went to {name}, but this is about {topic}. Mend it: {command}.",
    ),
    "cat": (
        "{name} does not say it. Now: {command}.",
        "Reading {name} did not help, this is about {topic}. Now: {command}.",
    ),
}
_TOO_EARLY = (
    "I left too early, this is about {topic}. Now: {command}.",
    "Going up was wrong for {topic}. Mend it: {command}.",
)
_NO_USE = ("That did not help, this is about {topic}. Now: {command}.",)
