"""What a run's players make of a state that somebody else is in: the person who plays beside them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench.envs.text_env import Info, TextEnv
from workbench.errors import ConfigError
from workbench.prompts import assign_labels
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.scope import must_play
from workbench.recipes.session import open_session
from workbench.rollout.collect import Collector
from workbench.rollout.play import Situation, reflection_ids
from workbench.seeding import generator
from workbench.store.layout import RunPaths


@dataclass(frozen=True, slots=True)
class Advice:
    """A run's opinion of one state."""

    reflection: str
    """Empty when the run has no reflection player."""
    probabilities: tuple[float, ...]
    """The policy's, of every admissible command, at the temperature that it is evaluated at (greedy ones at 1); sums to 1."""


def advisor(paths: RunPaths) -> Callable[[TextEnv, str, Info], Advice]:
    """A run's newest players, ready to be asked about a state: an environment of theirs, its observation and its info.

    Raises:
        ConfigError: The run has no policy yet.
        WorkbenchError: A checkpoint or model cannot be loaded.
    """
    session = open_session(paths)
    must_play(session.config, run=paths.run_id)
    if session.weights("policy") is None:
        raise ConfigError(f"run {paths.run_id} has no checkpoint of its policy yet; `workbench resume {paths.run_id}` makes one")
    collector = make_collector(session, session.players())
    temperature = session.config.evaluation.temperature or 1.0
    return lambda env, observation, info: _advice(collector, env, observation, info, temperature)


def _advice(collector: Collector, env: TextEnv, observation: str, info: Info, temperature: float) -> Advice:
    rules = collector.rules
    # The same state is labelled the same way, so that asking again gives the same answer.
    dice = generator(0, "advice", info["state_key"])
    text, ids = "", None
    if rules.reflects:
        assert collector.reflection is not None
        hint = rules.hint(env, dice) if rules.hint else None
        (reflection,) = collector.reflection.reflect([Situation(info["task_statement"], observation, hint, dice)])
        text, ids = reflection.text, reflection_ids(reflection, rules)
    commands = tuple(info["admissible_commands"])
    labels = assign_labels(rules.prompts.labels, len(commands), dice)
    prompt = rules.prompts.policy(info["task_statement"], observation, ids, commands, labels)
    decision = rules.decision(prompt.token_ids, labels, commands)
    (log_probs,) = collector.policy.distributions([decision], temperature=temperature)
    return Advice(text, tuple(np.exp(log_probs).tolist()))
