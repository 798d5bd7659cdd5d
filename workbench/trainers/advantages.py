"""From rewards to advantages. Axis: N turns."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

STATES_KEPT = 100_000


def returns_to_go(rewards: Sequence[float], *, gamma: float = 1.0) -> list[float]:
    """Discounted reward from each turn to the end, environment units.

    Example:
        >>> returns_to_go([1.0, 0.0, 2.0], gamma=0.5)
        [1.5, 1.0, 2.0]
    """
    total, result = 0.0, []
    for reward in reversed(rewards):
        total = reward + gamma * total
        result.append(total)
    return result[::-1]


def generalized_advantages(rewards: Sequence[float], values: Sequence[float], *, gamma: float, lam: float) -> list[float]:
    """Advantage of each turn of one trajectory: discounted sum of its own and later temporal-difference errors, environment units.

    Schulman et al. 2016 (GAE, arXiv 1506.02438). The end is worth nothing, whether the task was over or the turns used up: the horizon
    belongs to the task.

    Args:
        rewards: One a turn.
        values: The critic's estimate before each turn.
        gamma: Discount of later rewards.
        lam: 0 trusts the critic, 1 the rewards.

    Example:
        >>> generalized_advantages([0.0, 1.0], [0.5, 0.25], gamma=1.0, lam=0.5)
        [0.125, 0.75]
    """
    following, advantage, result = 0.0, 0.0, []
    for reward, value in zip(reversed(rewards), reversed(values), strict=True):
        advantage = reward + gamma * following - value + gamma * lam * advantage
        following = value
        result.append(advantage)
    return result[::-1]


def group_advantages(
    returns: Sequence[Sequence[float]], *, credit: Literal["turn", "trajectory"], leave_one_out: bool
) -> list[list[float]]:
    """What each turn earned beyond what the group of trajectories from one start did, environment units.

    With ``trajectory`` every turn answers for the whole return and is compared with the others' whole returns (outcome supervision). With
    ``turn`` it answers for the rewards from it on and is compared with those of the others from the same turn number on, where they got so
    far. Leaving out one's own return (RLOO: Ahmadian et al. 2024, arXiv 2402.14740) keeps the baseline independent of the choice it
    judges; a turn that no other trajectory reached then has baseline 0. With it (GRPO: Shao et al. 2024, arXiv 2402.03300) it has its own.

    Args:
        returns: Of each trajectory the reward from each turn on; at least two trajectories, none empty.
        credit: What a turn answers for.
        leave_one_out: Whether a trajectory is left out of its own baseline.

    Example:
        >>> group_advantages([[3.0, 1.0], [1.0]], credit="turn", leave_one_out=True)
        [[2.0, 1.0], [-2.0]]
    """
    result = []
    for number, own in enumerate(returns):
        values = own if credit == "turn" else [own[0]] * len(own)
        advantages = []
        for place, value in enumerate(values):
            at = place if credit == "turn" else 0
            others = [other[at] for one, other in enumerate(returns) if len(other) > at and not (leave_one_out and one == number)]
            advantages.append(value - (sum(others) / len(others) if others else 0.0))
        result.append(advantages)
    return result


def whiten(values_N: np.ndarray, *, reference_N: np.ndarray | None = None, epsilon: float = 1e-8) -> np.ndarray:
    """Shift and scale so that ``reference_N`` (the values themselves by default) has mean 0 and standard deviation 1.

    The deviation is the population's. A constant reference (deviation up to ``epsilon``) tells nothing about scale: it
    shifts only, so that values beside it, replayed ones, are not blown up.

    Example:
        >>> whiten(np.array([1.0, 3.0])).round(6).tolist()
        [-1.0, 1.0]
    """
    reference_N = values_N if reference_N is None else reference_N
    deviation = float(reference_N.std())
    whitened_N: np.ndarray = (values_N - reference_N.mean()) / (deviation if deviation > epsilon else 1.0)
    return whitened_N


class StateBaseline:
    """Running mean of the return of each state: what was earned from here so far.

    A state not met before is worth the mean return of the batch. Estimates made before a batch are used for
    it, so that the baseline never depends on the choice it judges.

    Args:
        decay: Weight of an old estimate once a state has been met often; 0.9 forgets over about ten visits.
    """

    def __init__(self, *, decay: float = 0.9) -> None:
        self.decay = decay
        self._visits: dict[str, int] = {}
        self._means: dict[str, float] = {}

    def values(self, keys: Sequence[str], returns_N: np.ndarray) -> np.ndarray:
        """Baseline of each turn, environment units, float64 (N,)."""
        unseen = float(returns_N.mean()) if len(returns_N) else 0.0
        return np.array([self._means.get(key, unseen) for key in keys])

    def update(self, keys: Sequence[str], returns_N: np.ndarray) -> None:
        """Learn from a batch: the plain mean at first, then an exponential one."""
        for key, value in zip(keys, returns_N.tolist(), strict=True):
            visits = self._visits.get(key, 0) + 1
            mean = self._means.get(key, 0.0)
            # Visited states move to the end, so that the cap forgets those not met for longest.
            self._visits.pop(key, None)
            self._means.pop(key, None)
            self._visits[key] = visits
            self._means[key] = mean + max(1.0 / visits, 1.0 - self.decay) * (value - mean)
        while len(self._means) > STATES_KEPT:
            oldest = next(iter(self._means))
            del self._means[oldest], self._visits[oldest]

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"visits": dict(self._visits), "means": dict(self._means)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
        self._visits, self._means = dict(state["visits"]), dict(state["means"])
