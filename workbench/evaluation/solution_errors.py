"""What kind of mistake a wrong solution makes first. Told from its text and from where a teacher put its first wrong step; no torch."""

from typing import Literal

from workbench.envs.arithmetic.answers import final_answer
from workbench.envs.arithmetic.expressions import holds
from workbench.solutions import Response, Rewrite, steps

ErrorType = Literal["none", "miscalculated", "wrong operation", "wrong answer", "step missing", "no calculation", "cut off", "not located"]
ERROR_TYPES: dict[ErrorType, str] = {
    "none": "its answer is right",
    "miscalculated": "the first wrong step is a calculation whose result is wrong, such as 4*2=9",
    "wrong operation": "the first wrong step holds by itself, but is not what was due: a number copied wrongly, another operator or order",
    "wrong answer": "every step is right, or the answer comes too early, and what it states is wrong",
    "step missing": "every line is right, but something is missing at the end",
    "no calculation": "the first wrong step is no calculation: words, or something that cannot be read",
    "cut off": "it reached the length limit before its end",
    "not located": "wrong, but the teacher named no step",
}
"""What each type means."""


def error_type(response: Response, rewrite: Rewrite) -> ErrorType:
    """The kind of the first mistake of ``response``, which ``rewrite`` is the teacher's rewrite of.

    Example:
        >>> wrong = Response("p", "4*2=9\\n3+9=12\\nanswer 12", (), (), finished=True, is_right=False)
        >>> error_type(wrong, Rewrite("p", wrong.text, 0, "4*2=8\\n3+8=11\\nanswer 11", "repaired"))
        'miscalculated'
    """
    if response.is_right:
        return "none"
    if not response.finished:
        return "cut off"
    if rewrite.first_wrong_step is None:
        return "not located"
    lines = steps(response.text)
    if rewrite.first_wrong_step >= len(lines):
        return "step missing"
    line = lines[rewrite.first_wrong_step]
    if final_answer(line) is not None:
        return "wrong answer"
    true = holds(line)
    if true is None:
        return "no calculation"
    return "wrong operation" if true else "miscalculated"
