"""Everything that can be found wrong with a configuration of RLMEC before a run folder exists."""

from workbench.config import RunConfig
from workbench.data.solutions.derivations import derivation_of
from workbench.errors import ConfigError, PromptError
from workbench.models.loading import REWARD, context_of, load_tokenizer, model_of
from workbench.recipes.rlmec_data import longest_prompt, problems_of, tokenizer_of
from workbench.solutions import Problem

_LOOKED_AT = 50
"""Problems that lengths are taken from."""


def preflight_solutions(config: RunConfig) -> None:
    """Check problems, teacher, models and lengths.

    Raises:
        WorkbenchError: The first thing that does not hold, in one line.
    """
    settings = config.rlmec
    if settings.method == "dpo" and settings.rounds > 1:
        raise ConfigError("rlmec.method=dpo goes through one round; use --set rlmec.rounds=1")
    problems = problems_of(settings.problems, seed=config.seed)
    taught = [problem for problem in problems if problem.split == "train"][:_LOOKED_AT]
    if settings.teacher == "program" and "rewrite" in config.phases:
        derivation_of(taught[0])
    outside = config.data.teacher
    if settings.teacher == "endpoint" and "rewrite" in config.phases and not (outside.model or outside.recording):
        raise ConfigError("rlmec.teacher=endpoint needs data.teacher.model, the model's name at the endpoint")
    names = {config.policy.model, model_of(config, REWARD)}
    if "tiny" in names and len(names) > 1:
        raise ConfigError(
            f"policy.model={config.policy.model} and rlmec.reward_model.model={model_of(config, REWARD)} have different tokenizers, "
            "but the reward model scores the policy's tokens; name the same model, or leave rlmec.reward_model.model empty"
        )
    if len(names) > 1:
        one, other = (load_tokenizer(name).get_vocab() for name in sorted(names))
        if one != other:
            raise ConfigError(
                f"the tokenizers of {' and '.join(sorted(names))} differ, but the reward model scores the policy's tokens; use one family"
            )
    _check_lengths(config, taught)


def _check_lengths(config: RunConfig, problems: list[Problem]) -> None:
    name, longest_answer = model_of(config, REWARD), config.rlmec.sampling.max_new_tokens
    context = config.policy.tiny.n_positions if name == "tiny" else context_of(name)
    needed = longest_prompt(problems, tokenizer_of(config, problems))
    if needed > context or longest_answer >= context:
        raise PromptError(
            f"model {name!r}: the reward model reads question, reference, attempt and rewrite, up to {needed} tokens here, but its context "
            f"is {context}; use a model with a longer context (tiny: policy.tiny.n_positions) or shorter problems"
        )
