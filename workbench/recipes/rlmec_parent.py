"""What a run of RLMEC takes from another: problems, answers, rewrites, scores and both models as they were when the answers were given.

So the arms of a comparison share everything up to the policy's training, and differ in that alone.
"""

import shutil
from typing import Any

from workbench.config import RunConfig, load_config
from workbench.errors import ConfigError, StoreError
from workbench.models.loading import POLICY, REWARD
from workbench.recipes.session import Session
from workbench.store.layout import START, TOKENIZER, RunPaths
from workbench.store.solutions import copy_rounds, has_answers
from workbench.store.writer import RunWriter
from workbench.trainers import checkpoint

MAY_FOLLOW = ("sample", "rewrite", "reward-model", "score", "policy", "evaluate")
"""Phases of a run that starts from another, where they are named."""
FOLLOWS = ("policy", "evaluate")
"""Those that it goes through where none are named."""


def child_phases(config: RunConfig, *, phases_were_named: bool) -> RunConfig:
    """The configuration of a run that starts from another: the parent's phases are left out.

    Raises:
        ConfigError: Nothing is left, or a phase is named that the parent has done for good.
    """
    done = [phase for phase in config.phases if phase not in MAY_FOLLOW]
    if done and phases_were_named:
        raise ConfigError(
            f"phases names {', '.join(done)}, but --from gives problems and models; "
            f"only {', '.join(MAY_FOLLOW)} can follow: leave the others out"
        )
    kept = config.phases if phases_were_named else [phase for phase in config.phases if phase in FOLLOWS]
    if not kept:
        raise ConfigError("--from gives answers and models, but phases has neither policy nor evaluate; add one")
    return config.model_copy(update={"phases": kept})


def adopt(parent: RunPaths, child: RunPaths) -> None:
    """Copy problems, rounds, tokenizer and models into ``child``.

    Raises:
        ConfigError: The parent is a run of another recipe, or went through several rounds.
        StoreError: It has not come far enough.
    """
    config = load_config(parent.config)
    wanted = load_config(child.config)
    if config.recipe != "rlmec":
        raise ConfigError(f"run {parent.run_id} is of the recipe {config.recipe}; --from needs a run of rlmec here")
    if config.rlmec.rounds > 1:
        raise ConfigError(
            f"run {parent.run_id} has {config.rlmec.rounds} rounds, so its answers are of several policies; start from a run of one round"
        )
    source = Session(parent, config, RunWriter(parent), show_progress=False)
    # The policy that gave the answers, not what became of it: importance ratios and baselines begin there.
    weights = {POLICY: next(filter(None, map(checkpoint.latest, (source.checkpoints("sft-policy"), source.checkpoints(START)))), None)}
    weights[REWARD] = source.weights(REWARD)
    tokenizer = source.tiny_tokenizer()
    if weights[POLICY] is None or not (has_answers(parent) or "sample" in wanted.phases):
        raise StoreError(f"run {parent.run_id} has no answers of its policy yet; let it go on with `workbench resume {parent.run_id}`")
    if parent.data.is_dir():
        shutil.copytree(parent.data, child.data, dirs_exist_ok=True)
    copy_rounds(parent, child)

    def write(folder: Any) -> None:
        for role, found in weights.items():
            if found is not None and (found / role).is_dir():
                shutil.copytree(found / role, folder / role)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder / TOKENIZER)

    checkpoint.save_checkpoint(child.checkpoints / START, 1, state={"parent": parent.run_id}, players={}, extra=write)
