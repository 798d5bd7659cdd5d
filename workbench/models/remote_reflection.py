"""The frozen reflection player behind a server: asked in parallel, each prompt once, and known by its answers to a probe.

A server may be started again with another model under the same name. So the player asks its probe (the same few states every time)
at the start, after every broken connection and from time to time, and compares the answers' hash. What was answered while the
server was in doubt is used only after that. Nothing here imports torch.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from workbench.errors import EndpointError
from workbench.instructions import clean_answer, reflection_messages
from workbench.models.asking import ask_all
from workbench.models.completion import Message
from workbench.models.endpoint import Completion, Endpoint
from workbench.models.reflection import Situation
from workbench.prompts import cut_at_marker, reflection_text
from workbench.records import Reflection

Question = tuple[Message, ...]


class Identity(NamedTuple):
    """Who answers at a server."""

    model: str
    """As the server calls it; as the configuration does where the server names none."""
    revision: str
    """Empty where the server tells none."""
    probe: str
    """Hash of the answers to the probe: other weights, another tokenizer or another template answer otherwise."""
    prompt_tokens: int | None
    """Of the whole probe as the server counts them; None where it reports no usage."""

    def told(self) -> str:
        """In words, for messages."""
        return f"{self.model}{f' (revision {self.revision})' if self.revision else ''}, probe {self.probe}"


class Keeper(Protocol):
    """Whoever uses the answers of a server: how they want to be told of them."""

    def asked(self) -> bool:
        """Called about twice a second while answers are awaited; True gives up where the server fails."""

    def keep(self, key: str, reflection: Reflection) -> None:
        """One more answer of a greedy player, before it is used; called by many threads."""

    def check(self) -> None:
        """The server may have become another one: look, and raise if that cannot be accepted."""

    def stop(self) -> Exception:
        """What to raise when :meth:`asked` gave up."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How a state becomes a question, and an answer a reflection.

    Attributes:
        chat: Ask a chat model with an instruction; otherwise send the bare prompt that reflection players are warmed up with.
        max_words: Longest reflection that an instruction asks for.
        shorten: Cuts a text to what the policy's prompt has room for, in the policy's tokens; the text itself where it fits.
    """

    chat: bool
    max_words: int
    shorten: Callable[[str], str]

    def question(self, task_statement: str, observation: str) -> Question:
        """What is sent for one state."""
        if self.chat:
            return tuple(reflection_messages(task_statement, observation, first=False, told=None, max_words=self.max_words))
        return ({"role": "user", "content": reflection_text(task_statement, observation)},)

    def reflection(self, answer: Completion) -> Reflection:
        """The answer as the policy reads it: text, since its tokens are of the server's vocabulary, not the policy's."""
        text = clean_answer(answer.text) if self.chat else cut_at_marker(answer.text)
        fitted = self.shorten(text)
        return Reflection(text=fitted, finished=answer.finish_reason != "length" and fitted == text)


def key_of(question: Question) -> str:
    """A name for a question: equal names, equal questions."""
    text = json.dumps([[one["role"], one["content"]] for one in question], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def identify(endpoint: Endpoint, probe: Sequence[Question], *, asked: Callable[[], bool] = lambda: False) -> Identity | None:
    """Ask the probe and tell who answered; None when ``asked`` gave up while the server failed.

    Raises:
        EndpointError: The server refuses, or does not answer.
    """
    answers = _ask(endpoint, probe, lambda number, answer: None, asked)
    if answers is None:
        return None
    said = json.dumps([[answers[number].text, answers[number].finish_reason] for number in range(len(probe))], ensure_ascii=True)
    served = endpoint.served
    model = (served.model if served else "") or endpoint.config.model
    counted = None if any(one.estimated for one in answers.values()) else sum(one.prompt_tokens for one in answers.values())
    return Identity(model, served.revision if served else "", hashlib.sha256(said.encode()).hexdigest()[:16], counted)


class RemoteReflection:
    """A reflection player behind an endpoint; a greedy one is asked each question once.

    Args:
        endpoint: The server.
        asking: How questions are put.
        greedy: True remembers every answer.
        keeper: Who uses the answers.
        memo: Answers given before, by :func:`key_of`.
        check_seconds: Most time between two checks of who answers.
    """

    wants_hint = False

    def __init__(
        self, endpoint: Endpoint, asking: Asking, *, greedy: bool, keeper: Keeper, memo: dict[str, Reflection], check_seconds: float
    ) -> None:
        self.endpoint = endpoint
        self.asking = asking
        self.greedy = greedy
        self.keeper = keeper
        self.memo = memo
        self.check_seconds = check_seconds
        self.questions_sent = 0
        self._faults = endpoint.faults
        self._checked = time.monotonic()

    def reflect(self, situations: Sequence[Situation]) -> list[Reflection]:
        """Reflections in order; equal questions to a greedy player are asked once.

        Raises:
            EndpointError: The server refuses, does not answer, or has become another one.
        """
        questions = [self.asking.question(one.task_statement, one.observation) for one in situations]
        if not self.greedy:
            return self._answers(questions, lambda number, reflection: None)
        keys = [key_of(question) for question in questions]
        known = {key: self.memo[key] for key in keys if key in self.memo}
        missing = {key: question for key, question in zip(keys, questions, strict=True) if key not in known}
        names = list(missing)

        def keep(number: int, reflection: Reflection) -> None:
            self.memo[names[number]] = reflection
            self.keeper.keep(names[number], reflection)

        if missing:
            known |= dict(zip(names, self._answers(list(missing.values()), keep), strict=True))
        return [known[key] for key in keys]

    def _answers(self, questions: Sequence[Question], keep: Callable[[int, Reflection], None]) -> list[Reflection]:
        """Ask everything; ``keep`` hears of an answer at once, or after the check where the server was in doubt."""
        if time.monotonic() - self._checked > self.check_seconds:
            self._check()
        found: dict[int, Reflection] = {}
        in_doubt: list[int] = []

        def take(number: int, answer: Completion) -> None:
            found[number] = self.asking.reflection(answer)
            if self.endpoint.faults == self._faults:
                keep(number, found[number])
            else:
                in_doubt.append(number)

        self.questions_sent += len(questions)
        if _ask(self.endpoint, questions, take, self.keeper.asked) is None:
            raise self.keeper.stop()
        if in_doubt:
            self._check()
            for number in in_doubt:
                keep(number, found[number])
        return [found[number] for number in range(len(questions))]

    def _check(self) -> None:
        faults = self.endpoint.faults
        self.keeper.check()
        # A fault during the check leaves the server in doubt.
        self._faults, self._checked = faults, time.monotonic()


def _ask(
    endpoint: Endpoint, questions: Sequence[Question], take: Callable[[int, Completion], None], asked: Callable[[], bool]
) -> dict[int, Completion] | None:
    """Every answer by number; None when ``asked`` gave up."""
    answers: dict[int, Completion] = {}

    def on_answer(number: int, answer: Completion) -> None:
        take(number, answer)
        answers[number] = answer

    # Only a failing server is left alone: from one that answers, the rest of a batch comes soon.
    failures = ask_all(endpoint, questions, on_answer=on_answer, should_stop=lambda: asked() and endpoint.is_failing)
    if failures:
        raise EndpointError(
            f"{endpoint.config.base_url} left {len(failures)} of {len(questions)} reflections unanswered after "
            f"{endpoint.config.max_retries + 1} tries each (the last: {next(reversed(failures.values()))}); "
            "mend the server and resume, or raise reflection.endpoint.max_retries"
        )
    return answers if len(answers) == len(questions) else None
