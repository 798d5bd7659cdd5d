"""Worked solutions: a problem, what the policy answered to it, and the answer repaired with as few edits as possible.

The records of RLMEC (arXiv 2401.06081). No torch, no pandas: plain values only. Token ids are kept from the moment they are sampled.
Whether a response is right, and how its rewriting went, are fields of their own and are never inferred from a step number.
"""

from dataclasses import dataclass
from typing import Literal

Status = Literal["right", "repaired", "not-located", "not-verified", "failed"]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with a worked solution."""

    problem_id: str
    """Unique among the problems that are used together, and the same whenever the problem is made or read again."""
    question: str
    """What the policy reads, choices included."""
    solution: str
    """A right solution that ends in its answer; one step a line."""
    answer: str
    """The right answer alone; the text of the choice where there are choices."""
    task: str
    """``arithmetic``, ``word-problems``, ``knowledge`` or the name of a data set; says how answers are compared."""
    stage: str = "full"
    split: str = "train"
    choices: tuple[str, ...] = ()
    """Texts of the choices in the order of their letters; empty for a free answer."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer that the policy gave to a problem."""

    problem_id: str
    text: str
    """As decoded from the ids, end-of-text left out; never stripped."""
    token_ids: tuple[int, ...]
    """Sampled ids in the policy's vocabulary, the end-of-text included when ``finished``."""
    log_probs: tuple[float, ...]
    """Behaviour log-probability of each id as it was sampled, nats; same length as ``token_ids``."""
    finished: bool
    """False when the length limit cut it before its end-of-text."""
    is_right: bool
    """Whether its final answer is right."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What a teacher made of a response."""

    problem_id: str
    original: str
    """Text of the response."""
    first_wrong_step: int | None
    """0-based line of ``original``; the number of its lines when all are right and one is missing; None when right or not known."""
    text: str
    """The rewritten solution; ``original`` itself when it was right; empty when there is none."""
    status: Status
    """``right``: the original's answer is right, ``text`` repeats it. ``repaired``: located, rewritten, and the new answer is right.
    ``not-located``: wrong, but the teacher named no step. ``not-verified``: rewritten, but the new answer is wrong. ``failed``: no usable
    answer from the teacher. Only the first two may be learnt from."""
    edited_spans: tuple[Span, ...] | None = None
    """The true edit set: half-open ranges of characters of ``original`` that must not stay as they are. Where something is missing, the
    character that stands in its place is in the set; ``(len(original), len(original))`` is the end-of-text. None when it is not known."""

    @property
    def is_usable(self) -> bool:
        """True when the text is a solution with the right answer, so that something may be learnt from it."""
        return self.status in ("right", "repaired")

    @property
    def edited_steps(self) -> tuple[int, ...] | None:
        """0-based lines of ``original`` that the true edit set touches; None when it is not known."""
        if self.edited_spans is None:
            return None
        return tuple(sorted({self.original.count("\n", 0, start) for start, _ in self.edited_spans}))


def steps(text: str) -> list[str]:
    """The steps of a solution, one a line; empty lines at its end are none."""
    return text.rstrip().split("\n") if text.strip() else []


def is_edited(span: Span, edited_spans: tuple[Span, ...]) -> bool:
    """Whether the characters of a token, a half-open range, touch the edit set; ``(n, n)`` is the end-of-text after ``n`` characters.

    >>> is_edited((3, 5), ((4, 6),)), is_edited((3, 4), ((4, 6),)), is_edited((7, 7), ((7, 7),))
    (True, False, True)
    """
    return any(start < span[1] and span[0] < end if start < end else span == (start, end) for start, end in edited_spans)
