"""RLMEC (Chen et al., Findings of ACL 2024, arXiv 2401.06081): token-level rewards from a generative reward model.

Public, for those who build on it: :func:`token_rewards` and :func:`edit_weights`, the objective's parts (:func:`rl_loss`,
:func:`imitation_loss`,
:func:`rlmec_loss`) and the rewards it is compared with.
"""

from workbench.trainers.rlmec.edits import edit_distance, edit_weights
from workbench.trainers.rlmec.objective import imitation_loss, imitation_terms, importance_ratio, rl_loss, rl_terms, rlmec_loss
from workbench.trainers.rlmec.rewards import (
    first_step_blamed,
    oracle_rewards,
    process_rewards,
    sequence_advantages,
    token_rewards,
    uniform_rewards,
)

__all__ = [
    "edit_distance",
    "edit_weights",
    "first_step_blamed",
    "imitation_loss",
    "imitation_terms",
    "importance_ratio",
    "oracle_rewards",
    "process_rewards",
    "rl_loss",
    "rl_terms",
    "rlmec_loss",
    "sequence_advantages",
    "token_rewards",
    "uniform_rewards",
]
