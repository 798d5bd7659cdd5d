"""Which states get a teacher's reflection: DangerousTaxi and AutoExplore, from logged states to success after the warm-up.

A behaviour plays from some start states; what it met is the pool, without a word from the teacher. A small base model is trained on
these texts alone: to read them, and to advise admissible commands drawn by lot. It looks at the pool once. The states that a design
chooses are annotated, the reflection player is fine-tuned from the base on them and on nothing else, and its advice is followed from
start states that were held out before anything was chosen.

The policy player is an ideal reader: it takes the command that the reflection names last, and any by lot where none is named. A tiny
policy needs ten thousand examples and more to learn to look a command's label up, whatever states they are of; a
pretrained model brings that along. So success here is the reflections', and the choice of states is all that differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from workbench.config import RunConfig, SFTSettings
from workbench.data.generate import Example, generate
from workbench.data.sets import IGNORED, Row, reflection_row
from workbench.data.splits import Splits, split_tasks
from workbench.data.teachers import make_teacher
from workbench.envs.catalog import make_env
from workbench.envs.text_env import TextEnv
from workbench.evaluation.evaluate import assignments_for
from workbench.models.language_model import LanguageModel
from workbench.models.loading import build_tiny
from workbench.models.reflection import ModelReflection, ReflectionPlayer
from workbench.prompts import ANALYZE, PromptBuilder, suggested_command
from workbench.recipes.label_budget import Study, without_copies
from workbench.recipes.label_budget_model import answer_log_likelihood, fine_tuned, steps
from workbench.recipes.sets import tokenizer_for
from workbench.rollout.play import Assignment, Situation
from workbench.seeding import derived_seed
from workbench.seeding import generator as dice_of
from workbench.selection.features import Features
from workbench.selection.pool import Pool, pool_from_rows
from workbench.selection.scores import score_prompts

BUDGETS = (64, 128, 256, 512)
WORDING = 40
"""Trajectories that the tokenizer is trained on: a play of its own, so that of the pool's labels not even the vocabulary is made."""
ADVICE = ("Maybe {}.", "Try {}.", "Next: {}.", "Now {}.", "It could be: {}.", "So {}.")
ADVISED = 3
"""Pieces of advice by lot that the base reads with each state."""


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Sizes of the study in one world.

    Args:
        config: World, ``tiny`` model, played data (``data``; its validation and test starts are held out) and longest reflection.
        stages: Played in the test, from every held-out start; a success rate is the mean over them.
        pool: At most so many states, drawn by lot from what was played.
        reading: Training of the base: read the states of the pool, and advice by lot.
        reflection: Fine-tuning of the reflection player.
        trajectories: Played in the test, a stage.
    """

    config: dict[str, Any]
    stages: tuple[str, ...]
    pool: int
    reading: SFTSettings
    reflection: SFTSettings
    trajectories: int


TINY = {"n_layer": 2, "n_embd": 64, "n_head": 2, "initializer_range": 0.12, "matching_start": True}
WORLDS: dict[str, StateSettings] = {
    "taxi": StateSettings(
        config={
            "env": {"name": "taxi"},
            "policy": {"tiny": {**TINY, "n_positions": 96}},
            "data": {"trajectories": 900, "negatives": 0, "validation_share": 0.1, "test_share": 0.2},
        },
        stages=("pickup", "dropoff", "full"),
        pool=2000,
        reading=steps(200, 32, 3e-3),
        reflection=steps(500, 32, 3e-3),
        trajectories=60,
    ),
    "explore": StateSettings(
        config={
            "env": {
                "name": "explore",
                "options": {"repositories": 24, "observation": "compact", "identify": "read", "vague_names": 0.0, "merge_first_two": True},
            },
            "policy": {"tiny": {**TINY, "n_positions": 224, "vocab_size": 1536, "pieces": "bare-words"}},
            "reflection": {"max_new_tokens": 56},
            "data": {"trajectories": 600, "negatives": 0, "validation_share": 0.1, "test_share": 0.25},
        },
        stages=("depth-1", "all"),
        pool=2000,
        reading=steps(200, 16, 3e-3),
        reflection=steps(300, 16, 4e-3),
        trajectories=60,
    ),
}


@dataclass
class StateArena:
    """One world and seed; see :class:`~workbench.recipes.label_budget.Arena`.

    Attributes:
        settings: Sizes.
        config: The whole configuration, with the seed.
        tasks: Start states by stage and split.
        states: The pool as it was logged. Its reflections and commands are the teacher's and stay unread until they are asked for.
        held_out: States of other starts, with what the teacher says of them.
        base: The model before any annotation.
    """

    settings: StateSettings
    config: RunConfig
    tasks: dict[str, Splits]
    states: Sequence[Example]
    held_out: Sequence[Example]
    base: LanguageModel
    pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        """The pool as designs may see it."""
        rows = [{"id": number, "prompt": prompt_of(one), "task": one.stage} for number, one in enumerate(self.states)]
        self.pool = pool_from_rows(rows)

    @cached_property
    def features(self) -> Features:
        """One pass of the base over the pool."""
        return score_prompts(self.base, self.pool.prompts, max_new_tokens=self.config.reflection.max_new_tokens, batch_size=128)

    def measure(self, places: Sequence[int]) -> dict[str, float]:
        """Success, the teacher's held-out words under the reflection player, and what the teacher had to write."""
        annotated = [self.states[place] for place in places]
        seed = derived_seed(self.config.seed, "fine-tuning")
        player = fine_tuned(self.base, self._reflection_rows(annotated), self.settings.reflection, seed=seed)
        return {
            **self.played(player),
            "log_likelihood": round(answer_log_likelihood(player, self._reflection_rows(self.held_out)), 4),
            "teacher_words": sum(len(one.reflection.split()) for one in annotated),
        }

    def facts(self) -> dict[str, float]:
        """Success of the base itself and of everything annotated, and how its scores go with length."""
        base, every = self.played(self.base), self.measure(range(len(self.pool)))
        found = {"base_success": base["success"], "everything_success": every["success"], "starts_shared": self.starts_shared()}
        told = self.features.length_correlations()
        return found | {f"length_{name}": round(told[name] or 0.0, 3) for name in ("entropy-mean", "margin-max", "surprisal-sum")}

    def starts_shared(self) -> int:
        """Start states of the pool that are held out, too: none, or the split is broken."""
        held = {task for splits in self.tasks.values() for split in ("validation", "test") for task in splits[split]}
        return len({one.task for one in self.states} & held)

    def _reflection_rows(self, examples: Sequence[Example]) -> list[Row]:
        prompts, eos = self.base.prompts(room=self.config.reflection.max_new_tokens), int(self.base.tokenizer.eos_token_id)
        return [reflection_row(one, prompts, eos, max_new_tokens=self.config.reflection.max_new_tokens) for one in examples]

    def played(self, player: LanguageModel) -> dict[str, float]:
        """Success from held-out starts, and how often the advice was the oracle's command."""
        reflection = ModelReflection(player, greedy=True, max_new_tokens=self.config.reflection.max_new_tokens)
        outcomes: list[Followed] = []
        for stage in self.settings.stages:
            tasks, count = self.tasks[stage]["test"], self.settings.trajectories
            assignments = assignments_for(tasks, stage=stage, count=count, seed=self.config.seed, phase="evaluate", update=0)
            envs = [make_env(self.config.env.name, **self.config.env.options) for _ in assignments]
            outcomes += follow(reflection, envs, assignments)
        turns = sum(one.turns for one in outcomes)
        return {
            "success": round(float(np.mean([one.success for one in outcomes])), 4),
            "oracle_agreement": round(sum(one.agreed for one in outcomes) / turns, 4),
        }


class Followed(NamedTuple):
    """A trajectory that did what it was advised."""

    success: bool
    turns: int
    agreed: int
    """Turns at which the oracle's command was taken."""


def follow(reflection: ReflectionPlayer, envs: Sequence[TextEnv], assignments: Sequence[Assignment]) -> list[Followed]:
    """Play every assignment in an environment of its own, turn by turn together, always taking the command that is named last."""
    dice = [dice_of(one.seed, "unadvised") for one in assignments]
    turns, agreed = [0] * len(envs), [0] * len(envs)
    live = list(range(len(envs)))
    for env, one in zip(envs, assignments, strict=True):
        env.reset(seed=derived_seed(one.seed, "env"), options={"task": one.task, "stage": one.stage})
    while live:
        asked = [Situation(envs[place].task_statement(), envs[place].observe(), None, dice[place]) for place in live]
        still = []
        for place, answer in zip(live, reflection.reflect(asked), strict=True):
            env, commands = envs[place], envs[place].admissible_commands()
            command = suggested_command(answer.text, commands) or commands[int(dice[place].integers(len(commands)))]
            agreed[place] += command == (env.oracle() or [""])[0]
            turns[place] += 1
            _, _, terminated, truncated, _ = env.step(command)
            if not (terminated or truncated):
                still.append(place)
        live = still
    return [Followed(env.success, taken, right) for env, taken, right in zip(envs, turns, agreed, strict=True)]


def prompt_of(state: Example) -> str:
    """A state as the reflection player meets it."""
    return f"{state.task_statement}\n{state.observation}\n{ANALYZE}"


def prepare(world: str, seed: int, worlds: dict[str, StateSettings] = WORLDS) -> StateArena:
    """Play for the pool and train the base model."""
    settings = worlds[world]
    config = RunConfig.model_validate({**settings.config, "seed": seed})
    env = make_env(config.env.name, **config.env.options)
    tasks = split_tasks(env, config.data, seed=seed)
    teacher = make_teacher(env)
    played = generate(env, tasks, teacher, config.data, seed=seed)
    held_out = _some([one for one in played if one.split == "validation"], 200, seed)
    states = _some([one for one in played if one.split == "train"], settings.pool, seed)
    words = generate(env, tasks, teacher, config.data.model_copy(update={"trajectories": WORDING}), seed=derived_seed(seed, "wording"))
    # Of the pool only what is not the teacher's.
    bare = [replace(one, reflection="") for one in states]
    tokenizer = tokenizer_for([*bare, *(one for one in words if one.split == "train")], config)
    model = build_tiny(config.policy.tiny, tokenizer, seed=derived_seed(seed, "weights"))
    start = LanguageModel(model.eval(), tokenizer, adapter=None, name="tiny")
    base = base_model(start, states, settings, config.reflection.max_new_tokens, seed=seed)
    return StateArena(settings, config, tasks, states, held_out, base)


def _some(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """At most ``count`` of the different prompts among ``examples``, in the order in which they were met."""
    different = [examples[place] for place in without_copies([prompt_of(one) for one in examples])]
    kept = dice_of(seed, "states", len(different)).permutation(len(different))[:count]
    return [different[place] for place in sorted(kept)]


def base_model(start: LanguageModel, states: Sequence[Example], settings: StateSettings, room: int, *, seed: int) -> LanguageModel:
    """``start`` after it has read the pool's states, each with advice by lot; of a state only text and commands are used."""
    dice, prompts, eos = dice_of(seed, "base"), start.prompts(room=room), int(start.tokenizer.eos_token_id)
    rows = [reading_row(one, prompts, eos, dice) for one in states for _ in range(ADVISED)]
    return fine_tuned(start, rows, settings.reading, seed=derived_seed(seed, "reading"))


def reading_row(state: Example, prompts: PromptBuilder, eos_id: int, dice: np.random.Generator) -> Row:
    """The state as text to be predicted, then advice by lot."""
    told = prompts.reflection(state.task_statement, state.observation).token_ids
    command = state.commands[int(dice.integers(len(state.commands)))]
    advice = ADVICE[int(dice.integers(len(ADVICE)))].format(command)
    answer = [*prompts.encode(advice), eos_id]
    return Row([*told, *answer], [IGNORED, *told[1:], *answer])


STATES = Study("states", "success", tuple(WORLDS), BUDGETS, prepare)
