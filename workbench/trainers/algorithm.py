"""What every algorithm is to the loop: something that turns a batch of steps into an update."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import nn

from workbench.trainers.replay import Step


class UpdateResult(NamedTuple):
    """What an update did."""

    advantages: list[float]
    """Of each on-policy step, in order, as the loss used them."""
    metrics: dict[str, float]


class Algorithm(Protocol):
    """An algorithm: a small class, made from policy, optimizer and settings, with this interface.

    What it trains besides the policy it adds to the optimizer as a parameter group when it is made. Collecting, curriculum, replay,
    recording, evaluation, saving and resuming are the loop's.
    """

    @property
    def replays(self) -> bool:
        """Whether it learns from kept successes, too; otherwise the loop hands it fresh steps only."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Tensors of its own (a critic, a reference) that a checkpoint has to hold, by name."""

    def update(self, steps: Sequence[Step], replayed: Sequence[Step]) -> UpdateResult:
        """Learn from freshly collected ``steps``, trajectory by trajectory in order, and from ``replayed`` ones."""

    def state_dict(self) -> dict[str, Any]:
        """What an exact resume needs besides weights, modules and optimizer, as JSON values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
