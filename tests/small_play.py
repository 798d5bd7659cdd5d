"""Two untrained tiny players in a world of one's choice, in a fraction of a second."""

from collections.abc import Sequence
from functools import cache, partial

from transformers import PreTrainedTokenizerBase

from tests.small_runs import CHAIN_SETTINGS
from workbench.config import RunConfig, apply_overrides
from workbench.data.generate import Example, generate
from workbench.data.splits import split_tasks
from workbench.data.teachers import make_teacher
from workbench.envs.catalog import make_env
from workbench.models.loading import build_players
from workbench.models.policy import Policy
from workbench.models.reflection import ModelReflection
from workbench.recipes.sets import tokenizer_for
from workbench.rollout.collect import Collector
from workbench.rollout.play import Assignment, Rules

CHAIN, TAXI = "tests.chain_world:ChainWorld", "taxi"
SIZES = {CHAIN: "n_positions=96", TAXI: "n_positions=128"}


def play_config(world: str, *overrides: str) -> RunConfig:
    """The settings that players of ``world`` are built from."""
    size = [f"policy.tiny.{SIZES[world]}", "policy.tiny.n_embd=32", "data.trajectories=24", "data.negatives=8"]
    return apply_overrides(RunConfig(), [*CHAIN_SETTINGS, f"env.name={world}", *size, *overrides])


@cache
def world_examples(world: str) -> tuple[Example, ...]:
    """Teacher's examples of a world."""
    env, config = make_env(world), play_config(world)
    return tuple(generate(env, split_tasks(env, config.data, seed=0), make_teacher(env), config.data, seed=0))


@cache
def world_tokenizer(world: str) -> PreTrainedTokenizerBase:
    """The tokenizer of ``tiny`` players in a world."""
    return tokenizer_for(list(world_examples(world)), play_config(world))


def collector(
    world: str = CHAIN,
    *,
    batch_size: int = 64,
    reflects: bool = True,
    greedy: bool = True,
    temperature: float = 1.0,
    oracle_commands: bool = False,
    overrides: Sequence[str] = (),
) -> Collector:
    """Fresh untrained players, the same weights at every call."""
    config = play_config(world, *overrides)
    players = build_players(config, world_tokenizer(world))
    reflection = None
    if reflects:
        assert players.reflection is not None
        reflection = ModelReflection(players.reflection, greedy=greedy, max_new_tokens=6)
    rules = Rules(
        prompts=players.policy.prompts(room=1),
        reflects=reflects,
        shares_tokens=True,
        temperature=temperature,
        oracle_commands=oracle_commands,
    )
    return Collector(partial(make_env, world), Policy(players.policy), reflection, rules, batch_size)


def assignments(world: str = CHAIN, *, count: int, stage: str | None = None, first_seed: int = 0) -> list[Assignment]:
    """Tasks of one stage in turn, the last stage by default."""
    env = make_env(world)
    stage = stage or env.stages[-1]
    tasks = env.tasks(stage)
    return [Assignment(f"rl-000001-{n:04d}", "rl", 1, tasks[n * 7 % len(tasks)], stage, first_seed + n) for n in range(count)]
