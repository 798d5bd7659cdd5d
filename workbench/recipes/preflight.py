"""Everything that can be found wrong with a configuration before a run folder exists."""

from workbench.config import RunConfig
from workbench.curriculum import make_curriculum
from workbench.data.splits import split_tasks
from workbench.data.teachers import make_teacher
from workbench.envs.catalog import make_env
from workbench.envs.text_env import TextEnv
from workbench.errors import ConfigError, DeviceError, PromptError
from workbench.models.loading import context_of, load_tokenizer, resolve_device
from workbench.prompts import PromptBuilder, single_token_labels


def preflight(config: RunConfig) -> None:
    """Check device, precision, environment, curriculum, splits, teacher, model, labels and prompt length.

    Raises:
        WorkbenchError: The first thing that does not hold, in one line.
    """
    device, _ = resolve_device(config.device)
    for bits in ("8bit", "4bit"):
        if getattr(config.policy, f"load_in_{bits}") and device.type != "cuda":
            raise DeviceError(f"policy.load_in_{bits} needs a CUDA device, found {device.type}; use --set policy.load_in_{bits}=false")
    env = make_env(config.env.name, **config.env.options)
    make_curriculum(config.curriculum, env.stages, config.rl.max_steps)
    tasks = split_tasks(env, config.data, seed=config.seed)
    if "evaluate" in config.phases and not tasks[env.stages[-1]][config.evaluation.split]:
        raise ConfigError(
            f"evaluation.split={config.evaluation.split} has no start states; raise data.{config.evaluation.split}_share or use evaluation.split=all"
        )
    if "generate" in config.phases or config.reflection.kind == "oracle":
        make_teacher(env)
    for name in {config.policy.model, config.reflection.model or config.policy.model} - {"tiny"}:
        _check_hub_model(name, config, env)
    if config.policy.model == "tiny":
        _check_context("tiny", config.policy.tiny.n_positions, config, needed=config.reflection.max_new_tokens + 16)


def _check_hub_model(name: str, config: RunConfig, env: TextEnv) -> None:
    tokenizer = load_tokenizer(name)
    context = context_of(name)
    labels = single_token_labels(tokenizer)
    observation, info = env.reset(seed=config.seed)
    commands = info["admissible_commands"]
    if len(labels) < len(commands):
        raise PromptError(
            f"model {name!r}: its tokenizer has {len(labels)} single-token labels but a state of {env.name} has {len(commands)} commands; use another model"
        )
    builder = PromptBuilder(tokenizer, 10**9)
    longest = builder.policy(info["task_statement"], observation, (), commands, labels[: len(commands)])
    _check_context(name, context, config, needed=len(longest.token_ids) + config.reflection.max_new_tokens)


def _check_context(name: str, context: int, config: RunConfig, *, needed: int) -> None:
    limit = min(context, config.policy.max_prompt_tokens or context)
    if needed > limit:
        raise PromptError(
            f"model {name!r}: a prompt with its reflection needs up to {needed} tokens, but its context (or policy.max_prompt_tokens) is {limit}; "
            "use a model with a longer context or a smaller reflection.max_new_tokens"
        )
