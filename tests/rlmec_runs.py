"""Whole runs of RLMEC in seconds: they go through every phase and learn next to nothing."""

from workbench.config import RunConfig, apply_overrides

SETTINGS = (
    "preset=small-rlmec",
    "reflection.kind=none",
    "device.device=cpu",
    "device.num_threads=1",
    "policy.tiny={n_layer: 2, n_embd: 32, n_head: 2, n_positions: 160, vocab_size: 320, pieces: digits, initializer_range: 0.18}",
    "sft_policy={max_steps: 8, per_device_train_batch_size: 8, save_steps: 4, logging_steps: 4, warmup_steps: 2}",
    "rlmec.problems={stage: short, warm_up: 40, train: 12, validation: 6, test: 10, held_out: 4}",
    "rlmec.sampling={samples_per_problem: 3, max_new_tokens: 24}",
    "rlmec.reward_model.training={max_steps: 4, per_device_train_batch_size: 8, save_steps: 2, logging_steps: 2, warmup_steps: 1}",
    "rlmec.objective.rewriter=teacher",
    "rlmec.policy={max_steps: 6, solutions_per_update: 8, per_device_train_batch_size: 5, eval_steps: 3, save_steps: 2, "
    "record_tokens_every: 2, record_probe: 4, warmup_steps: 1}",
    "evaluation={trajectories: 10, temperature: 0.0}",
)


def small_rlmec(*overrides: str) -> RunConfig:
    """Every phase, several checkpoints in each, in two to three seconds."""
    return apply_overrides(apply_overrides(RunConfig.model_validate({"recipe": "rlmec"}), SETTINGS), overrides)
