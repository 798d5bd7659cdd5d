"""One update of a fresh tiny policy, and the gradient that it should follow, worked out in one pass per turn."""

from collections.abc import Sequence
from typing import Any

import torch

from tests.small_play import assignments, collector
from workbench.config import RLSettings
from workbench.models.policy import Decision, Policy
from workbench.models.scoring import entropy
from workbench.trainers.algorithm import Algorithm
from workbench.trainers.algorithms import make_algorithm
from workbench.trainers.collecting import steps_of
from workbench.trainers.replay import Step

PLAIN: dict[str, Any] = {"baseline": "none", "whiten_advantages": False, "entropy_coef": 0.0, "max_grad_norm": 1e9}
CLOSE = 1e-6


def settings_of(algorithm: str, **changes: Any) -> RLSettings:
    """Settings without anything beside the bare algorithm, and ``changes``."""
    return RLSettings.model_validate({"algorithm": algorithm, **PLAIN, **changes})


def fresh_policy() -> Policy:
    """The same weights at every call."""
    return collector().policy


def sgd(policy: Policy) -> torch.optim.Optimizer:
    """Changes every weight by exactly its gradient."""
    return torch.optim.SGD([value for _, value in policy.player.trainable_parameters()], lr=1.0)


def played_steps(settings: RLSettings, *, count: int = 10) -> list[Step]:
    """Turns of ``count`` trajectories; where they are compared, every ``group_size`` of them in a row are a group."""
    found = collector().collect(assignments(count=count))
    return [step for number, one in enumerate(found) for step in steps_of(one, settings, number=number)]


def changes(settings: RLSettings, steps: Sequence[Step], replayed: Sequence[Step] = ()) -> tuple[torch.Tensor, Any]:
    """What one update with plain gradient descent takes away from the policy's weights, and its result."""
    policy = fresh_policy()
    before = flat(policy)
    algorithm: Algorithm = make_algorithm(policy, sgd(policy), settings, seed=0)
    result = algorithm.update(steps, replayed)
    return before - flat(policy), result


def flat(policy: Policy) -> torch.Tensor:
    """All weights of the player."""
    return torch.cat([value.detach().double().flatten() for value in policy.player.model.parameters()])


def gradient(
    steps: Sequence[Step], weights: Sequence[float], *, entropy_coef: float = 0.0, temperature: float = 1.0, total: int | None = None
) -> torch.Tensor:
    """Of -(sum of weight x log-probability + coef x entropy) / total, in one pass per turn; total is their number unless given."""
    policy = fresh_policy()
    policy.player.trainable_parameters()
    loss = torch.zeros(())
    for step, weight in zip(steps, weights, strict=True):
        log_probs = policy.log_probs([Decision(step.prompt_token_ids, step.label_token_ids)], temperature=temperature)
        loss = loss - (weight * log_probs[0, step.chosen] + entropy_coef * entropy(log_probs)[0]) / (total or len(steps))
    torch.autograd.backward(loss)
    return torch.cat([value.grad.double().flatten() for value in policy.player.model.parameters() if value.grad is not None])


def assert_close(one: torch.Tensor, other: torch.Tensor, tolerance: float = CLOSE) -> None:
    """Equal but for rounding."""
    torch.testing.assert_close(one, other, atol=tolerance, rtol=1e-4)
