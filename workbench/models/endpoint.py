"""An outside chat model behind an OpenAI-compatible address (OpenAI, vLLM, LM Studio, Ollama, `transformers serve`).

One :class:`Endpoint` is shared by many threads. It tries again after passing faults, pauses for all threads when the endpoint
says that it is asked too often, counts what is spent, and never lets an answer grow or take longer than it may. Nothing here
imports torch. The key is read from the environment when a request is made and appears in no message.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import tenacity

from workbench.config import EndpointConfig
from workbench.errors import EndpointError
from workbench.models.completion import Completion, Message, Served, seconds, told
from workbench.models.spending import Spending, estimated_tokens
from workbench.seeding import generator

__all__ = ["Cancelled", "Completion", "Endpoint", "Message", "Passing"]

MAX_ANSWER_BYTES = 4_000_000
FIRST_BACKOFF_SECONDS = 0.5
_PASSING = (408, 409, 425, 429)


class Passing(EndpointError):
    """A fault that another try may not meet."""

    def __init__(self, message: str, *, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause
        """Seconds after which the endpoint wants to be asked again."""


class Cancelled(EndpointError):
    """Somebody closed the endpoint while a request waited for its next try."""


@dataclass(frozen=True, slots=True)
class _Limited(httpx2.SyncByteStream):
    """An answer's bytes, up to a size and a moment."""

    stream: httpx2.SyncByteStream
    deadline: float

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self.stream:
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise httpx2.ReadError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() > self.deadline:
                raise httpx2.ReadTimeout("the answer took too long")
            yield chunk

    def close(self) -> None:
        self.stream.close()


class Endpoint:
    """Asks one chat model.

    Args:
        config: Address, model, limits and prices.
        spending: What was spent already and what may be; a fresh account of the configuration's budget when None.
        seed: Of the jitter between tries; nothing that is asked depends on it.
        bare: Send the last message's text as a prompt without a chat template, to ``/completions``.
    """

    def __init__(self, config: EndpointConfig, *, spending: Spending | None = None, seed: int = 0, bare: bool = False) -> None:
        self.config = config
        self.bare = bare
        self.served: Served | None = None
        """What the server said of itself with its last answer."""
        self.faults = 0
        """Passing faults met so far: the server may have been another one after each."""
        self.is_failing = False
        """True from a fault until something is answered."""
        self.spending = spending or Spending(config)
        self._seed = seed
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._asked = 0
        self._client = openai.OpenAI(
            base_url=config.base_url,
            api_key=self._key() or "none",  # servers on this machine ask for no key, but the client insists on one
            timeout=config.timeout_seconds,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(
                # A redirect could carry the key to another host.
                follow_redirects=False,
                # Compressed answers could unfold to any size.
                headers={"Accept-Encoding": "identity"},
                event_hooks={"response": [self._limit]},
                limits=httpx2.Limits(max_connections=config.concurrency, max_keepalive_connections=config.concurrency),
            ),
        )

    def complete(self, messages: Sequence[Message]) -> Completion:
        """The model's answer to a conversation.

        Raises:
            EndpointError: The endpoint refused, or no try of ``max_retries`` + 1 was answered.
        """
        with self._lock:
            self._asked += 1
            number = self._asked
        tries = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.config.max_retries + 1),
            wait=lambda state: self._pause(state, number),
            retry=tenacity.retry_if_exception_type(Passing),
            sleep=self._sleep,
            reraise=True,
        )
        for attempt in tries:
            with attempt:
                self._wait_for_turn()
                return self._try(messages, attempt.retry_state.attempt_number)
        raise AssertionError("tenacity raises what the last try raised")

    def close(self) -> None:
        """Let waiting requests give up; those that are being answered come back."""
        self._closed.set()

    def _try(self, messages: Sequence[Message], tries: int) -> Completion:
        try:
            response = self._send(messages)
        except openai.APITimeoutError:
            raise Passing(f"no answer within {self.config.timeout_seconds:g} seconds") from None
        except openai.APIConnectionError as error:
            raise Passing(f"the connection broke ({self._told(error.__cause__ or error)})") from None
        except openai.APIStatusError as error:
            raise self._refusal(error) from None
        self._heed(response.headers)
        body = response.content
        found = told(body, messages, tries)
        if found is None:
            # It may have been charged for all the same.
            self.spending.add(estimated_tokens(messages), len(body) // 4, estimated=True)
            raise Passing(f"the answer is no chat completion: {self._told(body[:80].decode(errors='replace'))!r}")
        answer, self.served = found
        self.is_failing = False
        self.spending.add(answer.prompt_tokens, answer.completion_tokens, estimated=answer.estimated)
        return answer

    def _send(self, messages: Sequence[Message]) -> Any:
        how: dict[str, Any] = {"model": self.config.model}
        if self.config.temperature is not None:
            how["temperature"] = self.config.temperature
        if self.bare:
            return self._client.completions.with_raw_response.create(
                prompt=messages[-1]["content"], max_tokens=self.config.max_tokens, **how
            )
        how[self.config.max_tokens_field] = self.config.max_tokens
        sent: Any = [dict(message) for message in messages]
        return self._client.chat.completions.with_raw_response.create(messages=sent, **how)

    def _refusal(self, error: openai.APIStatusError) -> EndpointError:
        code, said = error.status_code, self._told(error.message)
        if 300 <= code < 400:
            return EndpointError(f"{self.config.base_url} redirects (status {code}); give the address it leads to as base_url")
        if code in (401, 403):
            name = self.config.api_key_env
            state = "is set, but its value is not accepted" if self._key() else "is not set"
            return EndpointError(f"{self.config.base_url} asks for a key (status {code}); the environment variable {name} {state}")
        spent = code == 429 and "insufficient_quota" in str(error.code or said)
        if code in _PASSING or code >= 500:
            if spent:
                return EndpointError(f"{self.config.base_url} refuses: the account has nothing left to spend ({said})")
            return Passing(f"status {code}: {said}", pause=self._heed(error.response.headers, refused=True))
        advice = "check base_url and model" if code == 404 else "check model, max_tokens_field and temperature"
        return EndpointError(f"{self.config.base_url} refuses model {self.config.model!r} (status {code}: {said}); {advice}")

    def _heed(self, headers: Mapping[str, str], *, refused: bool = False) -> float | None:
        """Let every thread pause when the endpoint says so; gives the pause in seconds."""
        pause = seconds(headers.get("retry-after-ms", ""), unit=0.001) or seconds(headers.get("retry-after", ""))
        for what in ("requests", "tokens"):
            if headers.get(f"x-ratelimit-remaining-{what}") == "0":
                pause = max(pause or 0.0, seconds(headers.get(f"x-ratelimit-reset-{what}", "")) or 0.0)
        if not pause or (not refused and "retry-after" in headers):
            return None
        pause = min(pause, self.config.max_backoff_seconds)
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + pause)
        return pause

    def _pause(self, state: tenacity.RetryCallState, number: int) -> float:
        with self._lock:
            self.faults += 1
            self.is_failing = True
        error = state.outcome.exception() if state.outcome else None
        asked = error.pause if isinstance(error, Passing) else None
        longest = min(self.config.max_backoff_seconds, FIRST_BACKOFF_SECONDS * 2.0 ** min(state.attempt_number - 1, 32))
        # Jitter: requests that failed together must not come back together.
        dice = float(generator(self._seed, "backoff", number, state.attempt_number).random())
        return (asked or 0.0) + longest * (0.5 + 0.5 * dice) * (0.2 if asked else 1.0)

    def _wait_for_turn(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            self._sleep(left)

    def _sleep(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise Cancelled("stopped while waiting for another try")

    def _limit(self, response: httpx2.Response) -> None:
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Limited(response.stream, time.monotonic() + self.config.timeout_seconds)

    def _key(self) -> str | None:
        return os.environ.get(self.config.api_key_env) or None

    def _told(self, text: object) -> str:
        """What the other side said, as one short line without the key."""
        line = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
        key = self._key()
        return (line.replace(key, "***") if key else line)[:200]
