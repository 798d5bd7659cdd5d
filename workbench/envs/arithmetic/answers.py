"""Whether a solution ends in the right answer.

Model text is untrusted: it is read by patterns and compared as numbers or words. Only what is left, formulas of the task ``math``, goes on
to a library (``formulas.py``), within limits.
"""

import re
from fractions import Fraction

from workbench.envs.arithmetic.formulas import same_formula
from workbench.solutions import Problem

LONGEST = 400
"""Characters of an answer; longer ones are no answers."""
FORMULA_TASKS = ("math",)
LETTERS = "ABCDEFGH"

_STATED = re.compile(
    r"\\boxed\s*\{"
    r"|####[^\S\n]*(?P<hashes>(?:(?!\\boxed)[^\n])*)"
    r"|\banswer\b(?:[^\S\n]+is)?[^\S\n]*[:=]?[^\S\n]*(?P<said>(?:(?!\\boxed)[^\n;])*)",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?P<sign>[-+\u2212]?)\s*[$£€]?\s*(?P<whole>\d{1,3}(?:,\d{3})+|\d{0,60})(?P<decimals>\.\d{1,60})?(?:\s*/\s*(?P<below>\d{1,60}))?\s*(?P<percent>%?)"
)
_UNIT = re.compile(r"(?P<number>[-+\u2212]?[$£€]?[\d.,/]*\d)\s*(?P<unit>[^\d\s=+*/^-][^\d=+*/^-]{0,40})")
_CHOICE = re.compile(r"(?:option|choice)?\s*\(?(?P<letter>[A-Ha-h])\)?\s*[.:)]?\s*(?P<rest>.*)", re.DOTALL)


def is_right(problem: Problem, text: str) -> bool:
    """Whether the final answer of a solution equals the problem's; a solution that states none is wrong."""
    found = final_answer(text)
    return found is not None and same_answer(problem, found)


def final_answer(text: str) -> str | None:
    r"""What a solution states last as its answer, or None.

    It stands after "answer" or "the answer is" to the end of the line, after "####", or in ``\boxed{}``.

    >>> final_answer("4*2=8\nanswer 8"), final_answer("So the answer is (B)."), final_answer(r"$\boxed{\frac{1}{2}}$"), final_answer("8")
    ('8', '(B)', '\\frac{1}{2}', None)
    """
    for match in reversed(list(_STATED.finditer(text[-20_000:]))):
        said = match["hashes"] or match["said"]
        if match[0].startswith("\\"):
            said = _braced(match.string, match.end())
        if said is not None and (tidy := _tidied(said)):
            return tidy[:LONGEST]
    return None


def same_answer(problem: Problem, found: str) -> bool:
    """Whether an answer is the problem's: a choice by its text or letter, a number by its value, anything else by its words."""
    expected, found = _tidied(problem.answer), _tidied(found)
    if len(found) > LONGEST or not found:
        return False
    if problem.choices:
        return chosen(found, problem.choices) == chosen(expected, problem.choices) is not None
    if _words(found) == _words(expected):
        return True
    value = number(expected)
    if value is not None and value == (number(found) if number(found) is not None else _measured(found)):
        return True
    return problem.task in FORMULA_TASKS and same_formula(expected, found)


def chosen(answer: str, choices: tuple[str, ...]) -> int | None:
    """Which choice an answer names, by its text (upper or lower case) or by its letter; None when by none."""
    words = [_words(choice) for choice in choices]
    if _words(answer) in words:
        return words.index(_words(answer))
    match = _CHOICE.fullmatch(answer)
    if match is None:
        return None
    place = LETTERS.index(match["letter"].upper())
    # "(B) moss" has to mean one choice, and "a bird" is no letter.
    named = place < len(choices) and (not match["rest"] or _words(match["rest"]) == words[place])
    return place if named else None


def number(text: str) -> Fraction | None:
    """The value of a number such as ``1,200``, ``-3.50``, ``3/4`` or ``12%``, or None.

    >>> number("1,200"), number("0.5") == number("1/2"), number("12 apples")
    (Fraction(1200, 1), True, None)
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None or not (match["whole"] or match["decimals"]):
        return None
    value = Fraction((match["whole"].replace(",", "") or "0") + (match["decimals"] or ""))
    if match["below"] is not None:
        if not int(match["below"]):
            return None
        value /= int(match["below"])
    # Twelve per cent is written as 12 or 12% where a question asks for per cent.
    return -value if match["sign"] in ("-", "\u2212") else value


def _measured(text: str) -> Fraction | None:
    """The number of ``12 apples``."""
    match = _UNIT.fullmatch(text)
    return number(match["number"]) if match else None


def _braced(text: str, start: int) -> str | None:
    """What stands from ``start`` to the brace that closes it."""
    depth = 1
    for place in range(start, min(len(text), start + LONGEST)):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return text[start:place]
    return None


def _tidied(text: str) -> str:
    """Without white space, dollar signs of formulas, stars and full stops around it."""
    text = text.strip().strip("*_`\"' ").rstrip(".").strip()
    if len(text) > 1 and text.startswith("$") and text.endswith("$"):
        text = text.strip("$").strip()
    return text.strip("*_`\"' ").rstrip(".").strip()


def _words(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")
