"""Token ids of what is asked and answered about worked solutions, and where in the text each token stands."""

from collections.abc import Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from workbench.solution_prompts import locate_prompt, locate_target, policy_prompt, rewrite_prompt
from workbench.solutions import Problem, Span

CACHED_TEXTS = 65_536


class SolutionIds:
    """Prompts and answers as ids of one tokenizer; prompt and answer are tokenised apart, so an answer has the same ids after any
    prompt."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.eos_id = int(tokenizer.eos_token_id)
        bos = tokenizer.bos_token_id
        # Models trained with a begin-of-text token expect it; a tokenizer says so by adding it itself.
        adds = bos is not None and list(tokenizer.encode("a", add_special_tokens=True))[:1] == [bos]
        self._start: tuple[int, ...] = (int(bos),) if adds else ()
        self._encoded = lru_cache(maxsize=CACHED_TEXTS)(self._encode)

    def _encode(self, text: str) -> tuple[int, ...]:
        # Special tokens spelled out in a question or an answer are words like any other.
        return tuple(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def text(self, text: str) -> tuple[int, ...]:
        """Ids of a piece of text alone."""
        return self._encoded(text)

    def answer(self, text: str) -> tuple[int, ...]:
        """Ids of an answer with its end-of-text."""
        return (*self._encoded(text), self.eos_id)

    def policy(self, problem: Problem) -> tuple[int, ...]:
        """What the policy reads."""
        return (*self._start, *self._encoded(policy_prompt(problem)))

    def locate(self, problem: Problem, response: str) -> tuple[int, ...]:
        """What the reward model reads when it looks for the first wrong step."""
        return (*self._start, *self._encoded(locate_prompt(problem, response)))

    def rewrite(self, problem: Problem, response: str) -> tuple[int, ...]:
        """What the reward model reads when it rewrites, and when it scores."""
        return (*self._start, *self._encoded(rewrite_prompt(problem, response)))

    def prompt(self, text: str) -> tuple[int, ...]:
        """Any other prompt, with the beginning that the tokenizer's models expect."""
        return (*self._start, *self._encoded(text))

    def located(self, first_wrong_step: int | None) -> tuple[int, ...]:
        """The answer to :meth:`locate`."""
        return self.answer(locate_target(first_wrong_step))

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of ids, the end-of-text left out."""
        return str(self.tokenizer.decode([token for token in token_ids if token != self.eos_id]))

    def spans(self, token_ids: Sequence[int]) -> list[Span]:
        """For every token the half-open range of characters it adds to the decoded text; ``(n, n)`` for an end-of-text after ``n``.

        A character that takes several tokens belongs to the last of them.
        """
        pieces, text = [self._piece(token) for token in token_ids], self.decode(token_ids)
        if "".join(pieces) != text:  # spaces that depend on neighbours, characters of several tokens
            last = max((place for place, token in enumerate(token_ids) if token != self.eos_id), default=0)
            ends = [len(self._whole(self.decode(token_ids[: place + 1]))) if place < last else len(text) for place in range(len(token_ids))]
        else:
            ends, end = [], 0
            for piece in pieces:
                end += len(piece)
                ends.append(end)
        return list(zip([0, *ends[:-1]], ends, strict=True)) if ends else []

    def _piece(self, token: int) -> str:
        return "" if token == self.eos_id else self._decoded(token)

    def _decoded(self, token: int) -> str:
        return str(self.tokenizer.decode([token]))

    @staticmethod
    def _whole(text: str) -> str:
        return text.rstrip("\ufffd")  # the beginning of a character that is not complete yet
