"""Text of turns as HTML in which everything foreign is escaped: what changed, and how sure each token was."""

import html
import math
from collections.abc import Sequence
from difflib import SequenceMatcher

_MONO = "font-family: 'Source Code Pro', monospace; font-size: 0.86rem; line-height: 1.45; white-space: pre-wrap; overflow-wrap: anywhere;"
_GONE = "background: rgba(213, 94, 0, 0.22); color: inherit; text-decoration: line-through;"
_NEW = "background: rgba(0, 158, 115, 0.28); color: inherit; text-decoration: none; font-weight: 600;"
_LONGEST = 20_000
"""Characters of a text that are compared; finding the differences takes the square of it at worst."""


def difference_html(before: str, after: str) -> str:
    """The lines of ``after`` that are not in ``before``, and those that are gone, with the changed characters marked; empty when equal."""
    old, new = before[:_LONGEST].split("\n"), after[:_LONGEST].split("\n")
    rows: list[str] = []
    for tag, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        gone, came = old[start:end], new[first:last]
        for number in range(max(len(gone), len(came))):
            rows += _pair(gone[number] if number < len(gone) else None, came[number] if number < len(came) else None)
    return f'<div style="{_MONO}">{"".join(rows)}</div>' if rows else ""


def _pair(gone: str | None, came: str | None) -> list[str]:
    if gone is None or came is None:
        text, tag = (gone, "del") if gone is not None else (came, "ins")
        marked = f'<{tag} style="{_GONE if tag == "del" else _NEW}">{html.escape(text or "") or " "}</{tag}>'
        return [_row("-" if tag == "del" else "+", marked)]
    left, right = [], []
    for kind, start, end, first, last in SequenceMatcher(None, _pieces(gone), _pieces(came), autojunk=False).get_opcodes():
        a, b = html.escape("".join(_pieces(gone)[start:end])), html.escape("".join(_pieces(came)[first:last]))
        left.append(a if kind == "equal" else f'<del style="{_GONE}">{a}</del>' if a else "")
        right.append(b if kind == "equal" else f'<ins style="{_NEW}">{b}</ins>' if b else "")
    return [_row("-", "".join(left)), _row("+", "".join(right))]


def _pieces(line: str) -> list[str]:
    """Words and the spaces between them for prose; single characters for a map, which has few letters."""
    if sum(map(str.isalnum, line)) * 2 < len(line):
        return list(line)
    pieces: list[str] = []
    for character in line:
        if pieces and pieces[-1][-1].isalnum() and character.isalnum():
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces


def _row(sign: str, body: str) -> str:
    word = "gone" if sign == "-" else "new"
    return f'<div><span style="opacity: 0.6;" title="{word}">{sign} </span>{body}</div>'


def tokens_html(pieces: Sequence[str], log_probs: Sequence[float]) -> str:
    """A reflection token by token: the less likely a token was, the darker; its probability appears under the pointer.

    Args:
        pieces: The text of each token.
        log_probs: Its log-probability, nats.
    """
    spans = []
    for piece, log_prob in zip(pieces, log_probs, strict=True):
        probability = math.exp(min(0.0, log_prob)) if math.isfinite(log_prob) else 0.0
        shade = f"background: rgba(230, 159, 0, {0.85 * (1 - probability):.2f}); color: inherit; border-radius: 2px;"
        spans.append(f'<span style="{shade}" title="{probability:.1%}">{html.escape(piece)}</span>')
    style = "white-space: pre-wrap; overflow-wrap: anywhere; font-size: 1.05rem; line-height: 1.7;"
    return f'<div style="{style}">{"".join(spans)}</div>'
