"""The generative reward model: locates the first wrong step, rewrites from there, and scores what was written (RLMEC, arXiv 2401.06081).

It is a language model like the policy, with weights or an adapter of its own, and is shown the reference solution. Its probability of
each token of a response, where the response stands in the place of the rewrite, is what token rewards are made of.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from workbench.models.generation import Generator
from workbench.models.language_model import LanguageModel
from workbench.models.responses import score_responses
from workbench.models.solution_ids import SolutionIds
from workbench.solution_prompts import named_step
from workbench.solutions import Problem, Response, steps

LABEL_TOKENS = 12
"""Longest answer to where the first wrong step is: ``[1234]`` and its end-of-text in any tokenizer."""
Progress = Callable[[int], object]


def _quiet(count: int) -> None:
    pass


def first_changed_step(original: str, rewrite: str) -> int | None:
    """The first step of ``original`` that is not in its place in ``rewrite``, from 0; None where both are the same.

    >>> first_changed_step("1+1=2\\n2+1=4", "1+1=2\\n2+1=3"), first_changed_step("1+1=2", "1+1=2\\nanswer 2"), first_changed_step("a", "a")
    (1, 1, None)
    """
    before, after = steps(original), steps(rewrite)
    changed = (place for place, (one, other) in enumerate(zip(before, after, strict=False)) if one != other)
    return next(changed, None if len(before) == len(after) else min(len(before), len(after)))


class Revision(NamedTuple):
    """What the reward model made of a response."""

    located: int | None
    """0-based step that it called the first wrong one, or changed first; None when it named or changed none."""
    text: str
    token_ids: tuple[int, ...]
    """Of the whole rewrite, the kept beginning with the response's own ids; the end-of-text included when it came."""
    finished: bool


class RewardModel:
    """A language model as generative reward model.

    Args:
        player: The model; it has the policy's tokenizer.
        max_new_tokens: Longest rewrite.
        located_by: ``label`` asks for the first wrong step; ``rewrite`` takes the first one that the model's own rewrite changes.
        forced_prefix: Rewrites keep the steps before the labelled one; otherwise the whole is written anew.
        batch_size: Rewrites written together.
        batch_tokens: Tokens scored together, padding included; 0 takes what suits the device.
    """

    def __init__(
        self,
        player: LanguageModel,
        *,
        max_new_tokens: int,
        located_by: Literal["label", "rewrite"] = "label",
        forced_prefix: bool = True,
        batch_size: int = 256,
        batch_tokens: int = 0,
    ) -> None:
        self.player = player
        self.ids = SolutionIds(player.tokenizer)
        self.batch_tokens = batch_tokens
        self.max_new_tokens = max_new_tokens
        self.located_by = located_by
        self.forced_prefix = forced_prefix
        self.batch_size = batch_size

    def log_probs(self, problems: Sequence[Problem], responses: Sequence[Response], *, on_batch: Progress = _quiet) -> list[list[float]]:
        """Log-probability of every token of each response where a rewrite of it would stand, nats; the end-of-text included.

        Raises:
            DataError: A prompt with its response is longer than the model's context, or a response is empty.
        """
        prompts = [self.ids.rewrite(problem, response.text) for problem, response in zip(problems, responses, strict=True)]
        answers = [response.token_ids for response in responses]
        return score_responses(self.player, prompts, answers, batch_tokens=self.batch_tokens, on_batch=on_batch)

    def locate(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[int | None]:
        """The step of each text that the model calls the first wrong one, from 0; None where it names none that exists."""
        prompts = [self.ids.locate(problem, text) for problem, text in zip(problems, texts, strict=True)]
        answers = self._generator(LABEL_TOKENS, prompts).generate(prompts)
        return [named_step(self.ids.decode(answer.token_ids), len(steps(text))) for answer, text in zip(answers, texts, strict=True)]

    def revise(self, problems: Sequence[Problem], responses: Sequence[Response], *, on_batch: Progress = _quiet) -> list[Revision]:
        """Locate, then rewrite greedily, with everything before the located step forced; without a step the whole is written anew.

        Where steps are located by the rewrite, the whole is written anew and compared with the response.
        """
        if self.located_by == "rewrite":
            located: list[int | None] = [None] * len(responses)
        else:
            located = self.locate(problems, [response.text for response in responses])
        kept = [self._kept(response, step) for response, step in zip(responses, located, strict=True)]
        prompts = [
            (*self.ids.rewrite(problem, response.text), *beginning)
            for problem, response, beginning in zip(problems, responses, kept, strict=True)
        ]
        endings = self._generator(self.max_new_tokens, prompts).generate(prompts, on_batch=on_batch)
        found = []
        for step, beginning, ending in zip(located, kept, endings, strict=True):
            token_ids = (*beginning, *ending.token_ids)
            found.append(Revision(step, self.ids.decode(token_ids), token_ids, ending.finished))
        if self.located_by == "rewrite":
            found = [
                one._replace(located=first_changed_step(response.text, one.text)) for one, response in zip(found, responses, strict=True)
            ]
        return found

    def _kept(self, response: Response, step: int | None) -> tuple[int, ...]:
        """Ids of the steps before ``step``: the response's own where they end with a token."""
        if not step or not self.forced_prefix:
            return ()
        text = "".join(line + "\n" for line in response.text.split("\n")[:step])
        own = response.token_ids[:-1] if response.finished else response.token_ids
        for place, (_, end) in enumerate(self.ids.spans(own)):
            if end == len(text) <= len(response.text):
                return own[: place + 1]
        return self.ids.text(text)

    def _generator(self, max_new_tokens: int, prompts: Sequence[Sequence[int]]) -> Generator:
        room = self.player.context - max(map(len, prompts), default=0)
        return Generator(self.player, max_new_tokens=max(1, min(max_new_tokens, room)), temperature=0, batch_size=self.batch_size)
