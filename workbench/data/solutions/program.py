"""The teacher that is a program: recomputes from the first wrong step and changes only what must change.

It knows the true edit set, against which token rewards can be measured. The lines before the first wrong step stay as they are; of all
right ways to go on, the one is taken that needs the fewest insertions, deletions and substitutions of characters in the whole text.
"""

from collections.abc import Sequence
from itertools import islice

from rapidfuzz.distance import Levenshtein

from workbench.data.solutions.derivations import MOST_ENDINGS, Derivation, derivation_of
from workbench.envs.arithmetic.answers import is_right
from workbench.solutions import Problem, Rewrite, Span, Status, steps


class ProgramTeacher:
    """Rewrites responses to the problems that this workbench makes."""

    def rewrite_all(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Rewrite]:
        """The rewrite of each response, in order; arguments as in :func:`repaired`."""
        return [repaired(problem, response) for problem, response in zip(problems, responses, strict=True)]


def repaired(problem: Problem, response: str) -> Rewrite:
    """The response with the fewest edits that make it a right solution; itself when its answer is right already.

    Args:
        problem: Made by ``make_problems``, or of the same form.
        response: Any text; what it says is never executed.

    Raises:
        DataError: The problem is of a task whose steps no program here can check.
    """
    derivation = derivation_of(problem)
    if is_right(problem, response):
        return Rewrite(problem.problem_id, response, None, response, "right", ())
    lines = steps(response)
    located = derivation.right_lines(lines)
    text = _nearest(derivation, response, lines[:located], lines[located:])
    # A derivation that is complete and followed by something else has the rest cut off; anything else ends in the right answer.
    status: Status = "repaired" if is_right(problem, text) else "not-verified"
    return Rewrite(problem.problem_id, response, located, text, status, edited_spans(response, text))


def edited_spans(original: str, rewrite: str) -> tuple[Span, ...]:
    """Ranges of ``original`` that a shortest edit into ``rewrite`` does not keep, ascending.

    Where something is inserted, the character that stands in its place belongs to the set; at the end that is the end-of-text.

    >>> edited_spans("4*2=9", "4*2=8"), edited_spans("answer 2", "answer 12"), edited_spans("4*2", "4*2=8")
    (((4, 5),), ((7, 8),), ((3, 3),))
    """
    spans: list[Span] = []
    for edit in Levenshtein.opcodes(original, rewrite):
        if edit.tag == "equal":
            continue
        if spans and spans[-1][1] == edit.src_start:
            spans[-1] = (spans[-1][0], edit.src_end)
        else:
            spans.append((edit.src_start, edit.src_end))
    # Nothing but insertions: what stands in their place is the next character.
    return tuple((start, min(end + (start == end), len(original))) for start, end in spans)


def _nearest(derivation: Derivation, response: str, right: Sequence[str], wrong: Sequence[str]) -> str:
    endings = islice(derivation.endings(right, wrong), MOST_ENDINGS)
    texts = ("\n".join((*right, *ending)) for ending in endings)
    return min(texts, key=lambda text: Levenshtein.distance(response, text))
