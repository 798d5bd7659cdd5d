"""A run's players at one of its checkpoints, ready to be asked about any step, edited or not."""

import os
import threading
from collections.abc import Sequence

import numpy as np

from workbench.config import DeviceConfig, load_config
from workbench.envs.replay import Scene
from workbench.envs.text_env import TextEnv
from workbench.errors import ConfigError, PromptError
from workbench.models.loading import POLICY, load_player
from workbench.prompts import assign_labels, cut_at_marker
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.scope import must_play
from workbench.recipes.session import Session, open_session
from workbench.records import Reflection, Turn
from workbench.rollout.collect import Collector
from workbench.rollout.play import Situation, choose, reflection_ids
from workbench.rollout.what_if import Considered, Question, turn_from
from workbench.seeding import generator
from workbench.store.checkpoints import Checkpoint
from workbench.store.layout import RunPaths
from workbench.trainers.checkpoint import read_state


class WhatIfPlayers:
    """Both players of a run, the policy as a checkpoint has it. Any thread may ask; one is answered at a time."""

    def __init__(self, session: Session, collector: Collector) -> None:
        self._session = session
        self._collector = collector
        self._lock = threading.Lock()
        self.reflects = collector.rules.reflects
        self.labels = tuple(label.text for label in collector.rules.prompts.labels)
        """Texts that may stand for a command."""

    def make_env(self) -> TextEnv:
        """A world of the run's own kind and options."""
        return self._session.make_env()

    def reflect(self, env: TextEnv, scene: Scene, *, seed: int, turn: int) -> Reflection | None:
        """What the reflection player says of ``scene``, where ``env`` stands; None when nobody reflects."""
        rules = self._collector.rules
        if self._collector.reflection is None:
            return None
        hint = rules.hint(env, generator(seed, "teacher", turn)) if rules.hint else None
        situation = Situation(scene.info["task_statement"], scene.observation, hint, generator(seed, "reflection", turn))
        with self._lock:
            return self._collector.reflection.reflect([situation])[0]

    def labels_at(self, seed: int, before: Sequence[int], count: int) -> tuple[str, ...]:
        """Labels of ``count`` commands as a trajectory of ``seed`` draws them.

        Args:
            seed: The trajectory's.
            before: How many commands each earlier turn had.
            count: Commands of the turn in question.

        Raises:
            PromptError: The tokenizer has fewer labels than there are commands.
        """
        dice = generator(seed, "labels")
        for earlier in before:
            dice.permutation(earlier)
        return tuple(label.text for label in assign_labels(self._collector.rules.prompts.labels, count, dice))

    def consider(self, question: Question, *, temperature: float) -> Considered:
        """The policy's answer to ``question``.

        A reflection with token ids is fed as it was sampled; one without is a person's, which ends where it would forge a prompt.

        Args:
            question: What is asked.
            temperature: Divides the logits; above 0.

        Raises:
            PromptError: A label is unknown or stands for two commands, or the prompt does not fit.
        """
        prompts = self._collector.rules.prompts
        by_text = {label.text: label for label in prompts.labels}
        unknown = [text for text in question.labels if text not in by_text]
        if unknown:
            raise PromptError(f"{unknown[0]!r} is no label of this policy's tokenizer; use some of: {', '.join(self.labels[:12])}, …")
        if len(set(question.labels)) != len(question.labels) or len(question.labels) != len(question.commands):
            raise PromptError(f"{len(question.commands)} commands need as many different labels, found {len(set(question.labels))}")
        labels = [by_text[text] for text in question.labels]
        prompt = prompts.policy(question.task_statement, question.observation, self._ids(question.reflection), question.commands, labels)
        label_ids = tuple(label.token_id for label in labels)
        decision = self._collector.rules.decision(prompt.token_ids, labels, question.commands)
        with self._lock:
            answer = self._collector.policy.distributions([decision], temperature=temperature)[0]
        return Considered(question, tuple(float(value) for value in answer), prompt.token_ids, label_ids, prompt.was_cut)

    def _ids(self, reflection: Reflection | None) -> Sequence[int] | None:
        rules = self._collector.rules
        if reflection is None or not rules.reflects:
            return None
        if reflection.token_ids:
            return reflection_ids(reflection, rules)
        return rules.prompts.encode(cut_at_marker(reflection.text)) if reflection.text else ()

    def question(self, env: TextEnv, scene: Scene, turns: Sequence[Turn], *, seed: int) -> Question:
        """What the policy would be asked at ``scene``, unedited, after ``turns``."""
        labels = self.labels_at(seed, [len(turn.admissible_commands) for turn in turns], len(scene.commands))
        reflection = self.reflect(env, scene, seed=seed, turn=len(turns))
        return Question(scene.info["task_statement"], scene.observation, reflection, scene.commands, labels)

    @staticmethod
    def take_turn(env: TextEnv, scene: Scene, considered: Considered, *, seed: int, index: int, luck: int, greedy: bool) -> Turn:
        """Let the agent choose at ``scene``, carry it out, and give the turn.

        Args:
            env: Stands at ``scene``, and moves on.
            scene: Where it is.
            considered: The policy's distribution there.
            seed: The trajectory's.
            index: Number of the turn.
            luck: 0 rolls what the trajectory of ``seed`` rolled at this turn; other numbers roll other dice.
            greedy: Take the most probable command.
        """
        dice = generator(seed, "actions") if luck == 0 else generator(seed, "actions", luck)
        choice = choose(np.array(considered.log_probs), float(dice.random(index + 1)[-1]), greedy=greedy)
        return turn_from(env, scene, considered, considered.question.commands[choice], index=index)


def open_players(paths: RunPaths, checkpoint: Checkpoint, *, device: str = "auto") -> WhatIfPlayers:
    """Load a run's players: the policy of ``checkpoint``, and the newest reflection player, which online learning leaves as it is.

    Args:
        paths: The run; nothing is written into it.
        checkpoint: One with a policy.
        device: ``cpu``, ``cuda`` or ``cuda:N``; ``auto`` keeps tiny players on the CPU and takes CUDA for others where there is one.

    Raises:
        CheckpointError: The checkpoint is damaged or gone.
        WorkbenchError: A model, environment or device is not there.
    """
    must_play(load_config(paths.config), run=paths.run_id)
    if POLICY not in checkpoint.roles:
        raise ConfigError(f"checkpoint {checkpoint.name} holds no policy; choose one of phase sft-policy or rl")
    read_state(checkpoint.path)  # every byte is as it was written
    session = open_session(paths, threads=max(1, (os.cpu_count() or 1) // 2))
    where = "cpu" if device == "auto" and session.config.policy.model == "tiny" else device
    session.config = session.config.model_copy(update={"device": DeviceConfig(device=where, dtype=session.config.device.dtype)})
    players = session.players()
    load_player(players.policy, checkpoint.path, POLICY)
    return WhatIfPlayers(session, make_collector(session, players))
