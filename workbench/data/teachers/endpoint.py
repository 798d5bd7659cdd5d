"""Answers from a chat model behind an endpoint; each is kept the moment it is given, and none is asked for twice."""

from collections.abc import Callable, Sequence
from typing import Any

from workbench.config import EndpointConfig
from workbench.data.answers import Answer, AnswerFile, Query
from workbench.errors import EndpointError, RunStopped
from workbench.models.asking import ask_all
from workbench.models.endpoint import Completion, Endpoint
from workbench.models.spending import Spending

Watch = Callable[[int, int, Spending], object]


def never() -> bool:
    """Nobody asks for a stop."""
    return False


class EndpointSource:
    """Asks an endpoint for what the file does not hold yet.

    Args:
        config: The endpoint.
        answers: An open file of answers.
        should_stop: True ends the generation gracefully.
        watch: Told about twice a second how many of the queries so far are answered, how many there are, and what was spent.
        seed: Of the jitter between tries.
    """

    def __init__(
        self,
        config: EndpointConfig,
        answers: AnswerFile,
        *,
        should_stop: Callable[[], bool] = never,
        watch: Watch | None = None,
        seed: int = 0,
    ) -> None:
        self.config = config
        self.answers = answers
        self.should_stop = should_stop
        self.watch = watch
        spending = Spending(config)
        for answer in answers.known.values():
            spending.add(answer.prompt_tokens, answer.completion_tokens, estimated=answer.estimated)
        self.endpoint = Endpoint(config, spending=spending, seed=seed)
        self._total = 0
        self._done = 0

    def ask(self, queries: Sequence[Query]) -> list[str]:
        """The answer to each query, in order, whatever order they were given in.

        Raises:
            RunStopped: A stop was asked for.
            BudgetError: The next request could exceed the budget.
            EndpointError: The endpoint refuses, or some requests failed at every try.
        """
        keys = [query.key(self.config) for query in queries]
        missing = [place for place, key in enumerate(keys) if key not in self.answers.known]
        self._total += len(queries)
        self._done += len(queries) - len(missing)
        done_before = len(self.answers.known)

        def keep(number: int, found: Completion) -> None:
            query = queries[missing[number]]
            self.answers.add(_answer(keys[missing[number]], query, self.config.model, found))

        def look_up() -> bool:
            self._tell(len(self.answers.known) - done_before)
            return self.should_stop()

        failures = ask_all(self.endpoint, [queries[place].messages for place in missing], on_answer=keep, should_stop=look_up)
        self._tell(len(self.answers.known) - done_before)
        self._done += len(self.answers.known) - done_before
        if failures:
            raise EndpointError(
                f"{self.config.base_url} left {len(failures)} of {len(queries)} requests unanswered after {self.config.max_retries + 1} "
                f"tries each (the last: {next(reversed(failures.values()))}); the others are kept, go on to ask only for these"
            )
        if any(key not in self.answers.known for key in keys):
            raise RunStopped("generate", self._done)
        return [self.answers.known[key].text for key in keys]

    def facts(self) -> dict[str, Any]:
        """Model and costs."""
        return {"teacher": "endpoint", "model": self.config.model, "base_url": self.config.base_url, **self.endpoint.spending.facts()}

    def _tell(self, new: int) -> None:
        if self.watch is not None:
            self.watch(self._done + new, self._total, self.endpoint.spending)


def _answer(key: str, query: Query, model: str, found: Completion) -> Answer:
    told = found._asdict()
    return Answer(key=key, request=query.request, number=query.number, kind=query.kind, attempt=query.attempt, model=model, **told)
