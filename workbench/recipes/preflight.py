"""Everything that can be found wrong with a configuration before a run folder exists."""

from workbench.config import RunConfig
from workbench.curriculum import make_curriculum
from workbench.data.splits import split_tasks
from workbench.data.teachers import make_teacher
from workbench.envs.breakage import naming
from workbench.envs.catalog import make_env
from workbench.envs.text_env import Info, TextEnv
from workbench.errors import ConfigError, DeviceError, EnvError, PromptError, nearest
from workbench.models.commands import COMMAND_ROOM
from workbench.models.loading import context_of, load_tokenizer, resolve_device
from workbench.prompts import PromptBuilder, single_token_labels
from workbench.recipes.memory import check_memory
from workbench.recipes.remote import check_server
from workbench.recipes.rlmec_preflight import preflight_solutions
from workbench.recipes.spread import check_processes
from workbench.recipes.tracking import check_trackers

NO_LIMIT = 10**9
_TOKENS_PER_WORD = 2
"""Of a `tiny` tokenizer, on the safe side: most words are one."""


def preflight(config: RunConfig) -> int:
    """Check device, processes, precision, environment, curriculum, splits, teacher, model, labels, prompt length, server, memory.

    Returns:
        Tokens of a long prompt with its answer, as far as that is known now.

    Raises:
        WorkbenchError: The first thing that does not hold, in one line.
    """
    check_processes(config)
    device, _ = resolve_device(config.device)
    for bits in ("8bit", "4bit"):
        if getattr(config.policy, f"load_in_{bits}") and device.type != "cuda":
            raise DeviceError(f"policy.load_in_{bits} needs a CUDA device, found {device.type}; use --set policy.load_in_{bits}=false")
    check_trackers(config.tracking)
    if config.recipe == "rlmec":
        preflight_solutions(config)
        tokens = _context(config.policy.model, config)
        check_memory(config, tokens)
        return tokens
    env = make_env(config.env.name, **config.env.options)
    make_curriculum(config.curriculum, env.stages, config.rl.max_steps)
    with naming(f"tasks of {env.name}"):
        tasks = split_tasks(env, config.data, seed=config.seed)
    for stage in config.evaluation.stages:
        if stage not in env.stages:
            raise ConfigError(f"evaluation.stages: unknown stage {stage!r}; {nearest(stage, env.stages)}")
    if "evaluate" in config.phases and not tasks[env.stages[-1]][config.evaluation.split]:
        raise ConfigError(
            f"evaluation.split={config.evaluation.split} has no start states; "
            f"raise data.{config.evaluation.split}_share or use evaluation.split=all"
        )
    if "generate" in config.phases or config.reflection.kind == "oracle":
        make_teacher(env)
    if config.rl.train_reflection and "rl" in config.phases and (config.reflection.kind, config.reflection.decoding) != ("model", "sample"):
        raise ConfigError(
            "rl.train_reflection=true needs a language model that samples, found "
            f"reflection.kind={config.reflection.kind}, reflection.decoding={config.reflection.decoding}; "
            "use --set reflection.kind=model --set reflection.decoding=sample"
        )
    observation, info = _first_state(env, config.seed)
    tokens = _check_policy(config, env, observation, info)
    check_memory(config, tokens)
    reflects = config.reflection.kind in ("model", "shuffled")
    if config.reflection.kind == "endpoint":
        check_server(config, env)
    if reflects and config.reflection.model not in (None, "tiny", config.policy.model):
        _check_reflection(str(config.reflection.model), config, observation, info)
    return tokens


def _first_state(env: TextEnv, seed: int) -> tuple[str, Info]:
    """Observation and info of a first trajectory.

    Raises:
        EnvError: The environment breaks at once, or lists no commands.
    """
    with naming(f"first trajectory of {env.name} (seed {seed})"):
        observation, info = env.reset(seed=seed)
    if not info.get("admissible_commands"):
        raise EnvError(
            f"environment {env.name!r} lists no admissible commands, and a policy chooses among them; define admissible_commands()"
        )
    return observation, info


def _check_policy(config: RunConfig, env: TextEnv, observation: str, info: Info) -> int:
    name, limit = config.policy.model, config.policy.max_prompt_tokens
    said = 0 if config.reflection.kind == "none" else config.reflection.max_new_tokens
    if name == "tiny":  # its tokenizer is yet to be trained; no prompt is shorter than this
        _check_length(name, said + 16, config.policy.tiny.n_positions, limit)
        words = len(" ".join([observation, *info["admissible_commands"]]).split())
        return min(config.policy.tiny.n_positions, _TOKENS_PER_WORD * words + said + 16)
    tokenizer, context = load_tokenizer(name), context_of(name)
    labels = single_token_labels(tokenizer)
    commands, statement = info["admissible_commands"], info["task_statement"]
    if len(labels) < len(commands):
        raise PromptError(
            f"model {name!r}: its tokenizer has {len(labels)} single-token labels but a state of {env.name} has {len(commands)} commands; "
            "use another model"
        )
    builder, chosen = PromptBuilder(tokenizer, NO_LIMIT), labels[: len(commands)]
    thought = None if config.reflection.kind == "none" else ()
    whole, bare = (len(builder.policy(statement, text, thought, commands, chosen).token_ids) for text in (observation, ""))
    _check_length(name, whole + said + (1 if config.policy.scoring == "label" else COMMAND_ROOM), context, None)
    _check_length(name, bare + said, context, limit)
    return whole + said + 1


def _context(name: str, config: RunConfig) -> int:
    return config.policy.tiny.n_positions if name == "tiny" else context_of(name)


def _check_reflection(name: str, config: RunConfig, observation: str, info: Info) -> None:
    builder = PromptBuilder(load_tokenizer(name), NO_LIMIT)
    whole = len(builder.reflection(info["task_statement"], observation).token_ids)
    _check_length(name, whole + config.reflection.max_new_tokens, context_of(name), None)


def _check_length(name: str, needed: int, context: int, limit: int | None) -> None:
    """Against the context a whole prompt is measured; ``policy.max_prompt_tokens`` asks for observations to be shortened."""
    advice = "a smaller reflection.max_new_tokens"
    if needed > context:
        raise PromptError(
            f"model {name!r}: a prompt with its reflection needs up to {needed} tokens, but its context is {context}; "
            f"use a model with a longer context or {advice}"
        )
    if limit is not None and needed > limit:
        raise PromptError(
            f"model {name!r}: a prompt needs {needed} tokens besides its observation, "
            f"but policy.max_prompt_tokens is {limit}; raise it or use {advice}"
        )
