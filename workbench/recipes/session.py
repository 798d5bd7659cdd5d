"""An open run: its configuration, its environment, its writer, and where each phase left off."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from workbench.config import PHASES_OF, Phase, RunConfig, load_config
from workbench.data.splits import Splits, split_tasks
from workbench.envs.catalog import make_env
from workbench.envs.text_env import TextEnv
from workbench.models.language_model import LanguageModel
from workbench.models.loading import POLICY, REFLECTION, Players, build_models, build_players, load_player, model_of
from workbench.rollout.team import ALONE, Team
from workbench.store.layout import START, TOKENIZER, RunPaths
from workbench.store.writer import RunWriter
from workbench.trainers import checkpoint


@dataclass
class Session:
    """One run being worked on by this process, which holds its lock.

    Attributes:
        paths: The run folder.
        config: Its configuration.
        writer: Writes metrics, events and trajectories.
        show_progress: Draw progress bars on standard error.
        is_owner: True for the process that carries the run out and writes; others only look.
        team: Processes that carry it out together.
    """

    paths: RunPaths
    config: RunConfig
    writer: RunWriter
    show_progress: bool
    is_owner: bool = False
    team: Team = ALONE
    make_env: Callable[[], TextEnv] = field(init=False)
    tasks: dict[str, Splits] = field(init=False)

    def __post_init__(self) -> None:
        """Find the environment and its splits; worked solutions have problems of their own."""
        self.make_env = partial(make_env, self.config.env.name, **self.config.env.options)
        plays = self.config.recipe == "reflect-rl"
        self.tasks = split_tasks(self.make_env(), self.config.data, seed=self.config.seed) if plays else {}

    def checkpoints(self, phase: str) -> Path:
        """``checkpoints/<phase>`` of this run."""
        return self.paths.checkpoints / phase

    def newest(self, phase: str) -> tuple[Path, dict[str, Any]] | None:
        """A phase's newest checkpoint and its verified state, or None.

        Raises:
            CheckpointError: It is damaged.
        """
        found = checkpoint.latest(self.checkpoints(phase))
        return (found, checkpoint.read_state(found)) if found else None

    def rewind(self) -> None:
        """Forget whatever was written after the newest checkpoint of all phases; it will be done again."""
        found = (self.newest(phase) for phase in PHASES_OF[self.config.recipe])
        positions = [state["store"] for _, state in filter(None, found)]
        # What is written only grows, so the furthest is the newest; phases that are repeated need not be in order.
        furthest = max(positions, key=lambda position: sorted(position.items()), default=None)
        self.writer.rewind(furthest or {"metrics": 0, "evaluations": 0, "events": 0, "part": 0})

    def is_done(self, phase: Phase) -> bool:
        """True when the phase's last checkpoint stands at its end."""
        ends = {
            "sft-reflection": self.config.sft_reflection.max_steps,
            "sft-policy": self.config.sft_policy.max_steps,
            "rl": self.config.rl.max_steps,
        }
        end = ends.get(phase, 1)
        if phase == "sft-reflection" and not self.uses_reflection_model:
            return True
        return end == 0 or end in checkpoint.steps(self.checkpoints(phase))[-1:]

    @property
    def uses_reflection_model(self) -> bool:
        """True when a language model reflects (kinds ``model`` and ``shuffled``)."""
        return self.config.reflection.kind in ("model", "shuffled")

    def tiny_tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The tokenizer trained by the generate phase of this run or its parent; None when there is none."""
        for phase in ("generate", START):
            found = checkpoint.latest(self.checkpoints(phase))
            if found and (found / TOKENIZER).is_dir():
                tokenizer: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(found / TOKENIZER)
                return tokenizer
        return None

    def players(self) -> Players:
        """Both players with the newest weights that this run has for each."""
        players = build_players(self.config, self.tiny_tokenizer())
        for role, player in ((POLICY, players.policy), (REFLECTION, players.reflection)):
            source = self.weights(role)
            if player is not None and source is not None:
                load_player(player, source, role)
        return players

    def models(self, *roles: str) -> dict[str, LanguageModel]:
        """Language models by role (``policy``, ``reward``) with the newest weights that this run has for each."""
        models = build_models(self.config, {role: model_of(self.config, role) for role in roles}, self.tiny_tokenizer())
        for role, model in models.items():
            source = self.weights(role)
            if source is not None:
                load_player(model, source, role)
        return models

    def model(self, role: str) -> LanguageModel:
        """One of :meth:`models`."""
        return self.models(role)[role]

    def weights(self, role: str) -> Path | None:
        """The newest checkpoint that holds a player's weights, or None."""
        newest: Path | None = None
        for phase in (START, *PHASES_OF[self.config.recipe]):
            found = checkpoint.latest(self.checkpoints(phase))
            if found and (found / role).is_dir():
                newest = found
        return newest

    @contextmanager
    def bar(self, phase: str, total: int, done: int, unit: str) -> Iterator["tqdm[Any]"]:
        """A progress bar that also keeps the run's heartbeat."""
        self.writer.beat(phase, done, total)
        with tqdm(total=total, initial=done, desc=phase, unit=unit, disable=not self.show_progress, dynamic_ncols=True) as bar:
            yield bar


def open_threads() -> int:
    """CPU threads where nothing names a number: as many as OMP_NUM_THREADS allows, which PyTorch itself heeds, else all cores."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return int(allowed) if allowed.isascii() and allowed.isdecimal() and int(allowed) else os.cpu_count() or 1


def open_session(
    paths: RunPaths,
    writer: RunWriter | None = None,
    *,
    config: RunConfig | None = None,
    threads: int | None = None,
    show_progress: bool = False,
    team: Team = ALONE,
) -> Session:
    """Open a run; CPU threads and library noise are set for this process.

    Args:
        paths: The run folder. Whoever writes holds its lock.
        writer: Writes the run; a new one when None.
        config: Other settings than the run's own, for who only looks.
        threads: CPU threads where the configuration leaves them open; ``open_threads()`` when None.
        show_progress: Draw progress bars.
        team: Processes that carry the run out together.
    """
    config = config or load_config(paths.config)
    torch.set_num_threads(config.device.num_threads or threads or open_threads())
    quiet_libraries()
    return Session(paths, config, writer or RunWriter(paths), show_progress, is_owner=writer is not None and team.leads, team=team)


def quiet_libraries() -> None:
    """Leave the terminal to our own progress bars and messages."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for name in ("trl", "accelerate", "datasets", "peft"):
        logging.getLogger(name).setLevel(logging.ERROR)
