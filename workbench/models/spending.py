"""What an outside model costs, and the limit that is kept."""

import math
import threading
from collections.abc import Mapping, Sequence

from workbench.config import EndpointConfig
from workbench.errors import BudgetError

BYTES_PER_TOKEN = 3
"""For estimates; English has about four, pictures drawn with characters fewer."""


def estimated_tokens(messages: Sequence[Mapping[str, str]]) -> int:
    """A guess on the high side from the length of the texts, tokens."""
    return sum(4 + math.ceil(len(message["content"].encode("utf-8", "replace")) / BYTES_PER_TOKEN) for message in messages)


class Spending:
    """Tokens and money spent and promised; shared by threads.

    A request is promised at its worst (an answer of ``max_tokens``) before it is sent, so a limit is kept although many are
    under way at once.

    Args:
        config: Budget and prices.
    """

    def __init__(self, config: EndpointConfig) -> None:
        self.config = config
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.estimated_answers = 0
        self.answers = 0
        self._promised = [0, 0]
        self._lock = threading.Lock()

    @property
    def tokens(self) -> int:
        """Prompt and answer tokens spent."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def money(self) -> float:
        """Money spent, in the unit of the prices."""
        return self._money(self.prompt_tokens, self.completion_tokens)

    def add(self, prompt_tokens: int, completion_tokens: int, *, estimated: bool) -> None:
        """Count one answer, whether it is of use or not."""
        with self._lock:
            self.prompt_tokens += prompt_tokens
            self.completion_tokens += completion_tokens
            self.answers += 1
            self.estimated_answers += estimated

    def promise(self, messages: Sequence[Mapping[str, str]]) -> bool:
        """Set the worst that a request can cost aside; False when that is more than is left."""
        prompt, answer = estimated_tokens(messages), self.config.max_tokens
        with self._lock:
            ahead = [self.prompt_tokens + self._promised[0] + prompt, self.completion_tokens + self._promised[1] + answer]
            if self.config.budget_tokens is not None and sum(ahead) > self.config.budget_tokens:
                return False
            if self.config.budget_money is not None and self._money(*ahead) > self.config.budget_money:
                return False
            self._promised[0] += prompt
            self._promised[1] += answer
            return True

    def release(self, messages: Sequence[Mapping[str, str]]) -> None:
        """Take a promise back; the request was answered or has failed."""
        with self._lock:
            self._promised[0] -= estimated_tokens(messages)
            self._promised[1] -= self.config.max_tokens

    def exhausted(self, *, left: int | None = None) -> BudgetError:
        """What to tell a person when the next request does not fit any more.

        Args:
            left: Unanswered requests of a work that can go on; None for one that begins anew.
        """
        limits = [
            f"{name}={value:g}"
            for name, value in (("budget_tokens", self.config.budget_tokens), ("budget_money", self.config.budget_money))
            if value is not None
        ]
        used_up = f"the budget ({', '.join(limits)}) is used up: {self.told()}"
        setting = f"data.teacher.{limits[-1].partition('=')[0]}=…"
        if left is None:
            return BudgetError(f"{used_up}; begin again with more, --set {setting}, or fewer trajectories")
        return BudgetError(
            f"{used_up}; {left} {'request is' if left == 1 else 'requests are'} left to ask; raise the budget and go on "
            f"(a run: `workbench resume RUN --set {setting}`), what was answered is kept"
        )

    def told(self) -> str:
        """Tokens and, with prices, money in words."""
        guess = ", partly estimated" if self.estimated_answers else ""
        money = f", {self.money:.4f} in money" if self.config.price_input or self.config.price_output else ""
        return f"{self.tokens} tokens spent{money}{guess}"

    def facts(self) -> dict[str, object]:
        """For a data card."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "money": round(self.money, 6),
            "answers": self.answers,
            "answers_with_estimated_tokens": self.estimated_answers,
        }

    def _money(self, prompt_tokens: float, completion_tokens: float) -> float:
        return (prompt_tokens * self.config.price_input + completion_tokens * self.config.price_output) / 1e6
