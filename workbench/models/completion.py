"""What an OpenAI-compatible server says: an answer, what it took, and who gave it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from workbench.models.spending import estimated_tokens

Message = Mapping[str, str]
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Completion(NamedTuple):
    """One answer and what it took."""

    text: str
    """Empty when the model refused, or spent all its tokens on thinking."""
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    """True when the endpoint reported no usage and the tokens are a guess from the text's length."""
    tries: int


class Served(NamedTuple):
    """What a server says of the model that answered."""

    model: str
    """Its name; empty where the server names none."""
    revision: str
    """``system_fingerprint``, or what stands behind the ``@`` of a name; empty where neither is told."""


class Told(NamedTuple):
    """What one response holds."""

    completion: Completion
    served: Served


def told(body: bytes, messages: Sequence[Message], tries: int) -> Told | None:
    """What a chat completion or a bare completion says; None when ``body`` is neither."""
    try:
        value = json.loads(body)
        choice = value["choices"][0]
        text = (choice["message"].get("content") if "message" in choice else choice["text"]) or ""
        usage = value.get("usage") or {}
        spent = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(text, str):
        return None
    reason = str(choice.get("finish_reason") or "")
    counts = [count for count in spent if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 10**9]
    if len(counts) == 2:
        return Told(Completion(text, reason, counts[0], counts[1], False, tries), _served(value))
    return Told(Completion(text, reason, estimated_tokens(messages), estimated_tokens([{"content": text}]), True, tries), _served(value))


def _served(value: Mapping[str, Any]) -> Served:
    model, print_of_system = value.get("model"), value.get("system_fingerprint")
    name, _, revision = model.partition("@") if isinstance(model, str) else ("", "", "")
    return Served(name[:200], (print_of_system if isinstance(print_of_system, str) else revision)[:200])


def seconds(text: str, *, unit: float = 1.0) -> float | None:
    """``1.5``, ``20ms`` or ``6m30s`` in seconds; None for anything else."""
    total, number, rest = 0.0, "", text.strip().lower()
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        number, rest = rest[:digits], rest[digits:]
        letters = len(rest) - len(rest.lstrip("hms"))
        name, rest = rest[:letters], rest[letters:]
        try:
            total += float(number) * (_UNITS[name] if name else unit)
        except (ValueError, KeyError):
            return None
    return total if text.strip() else None
