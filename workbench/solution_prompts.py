"""The prompts of the policy and of the generative reward model on worked solutions, the same text in training and in generation.

Every prompt ends in a line of its own, and what follows it is tokenised apart and joined as ids: a response has the same token ids after
the policy's prompt, where it was sampled, and after the rewrite prompt, where it is scored (RLMEC, arXiv 2401.06081). The reward model is shown
the reference solution; the policy is not.
"""

import re

from workbench.solutions import Problem, steps

SOLUTION = "# Solution:\n"
REFERENCE = "# Reference:\n"
ATTEMPT = "# Attempt:\n"
LOCATE = "# First wrong step:\n"
REWRITE = "# Rewrite:\n"
SOLUTION_MARKERS = (SOLUTION, REFERENCE, ATTEMPT, LOCATE, REWRITE)
ALL_RIGHT = "none"

_LABEL = re.compile(r"\[\s*(\d{1,4})\s*\]")
_STEP = re.compile(r"\b(?:step|line|label)\s*(?:is\s*|number\s*)?:?\s*(\d{1,4})\b", re.IGNORECASE)
_BARE = re.compile(r"\s*(\d{1,4})\s*\.?\s*")


def policy_prompt(problem: Problem) -> str:
    """What the policy reads before it writes its solution."""
    return f"{problem.question}\n{SOLUTION}"


def locate_prompt(problem: Problem, response: str) -> str:
    """Asks for the first wrong step of a response; :func:`locate_target` is the answer."""
    return f"{problem.question}\n{REFERENCE}{numbered(problem.solution)}\n{ATTEMPT}{numbered(response)}\n{LOCATE}"


def locate_target(first_wrong_step: int | None) -> str:
    """The label of a step, such as ``[3]``; None is a response without a wrong step."""
    return ALL_RIGHT if first_wrong_step is None else f"[{first_wrong_step}]"


def rewrite_prompt(problem: Problem, response: str) -> str:
    """Asks for the response with as few changes as make it right; the rewritten solution is the answer."""
    return f"{problem.question}\n{REFERENCE}{problem.solution}\n{ATTEMPT}{response}\n{REWRITE}"


def numbered(text: str) -> str:
    """A solution with a label before each step.

    >>> print(numbered("4*2=8\\nanswer 8"))
    [0] 4*2=8
    [1] answer 8
    """
    return "\n".join(f"[{number}] {step}" for number, step in enumerate(steps(text)))


def named_step(answer: str, step_count: int) -> int | None:
    """The step that an answer to :func:`locate_prompt` names, or None when it names none or one that is not there.

    A label in brackets counts before "step 3", and that before a lone number; labels are read whole, however many digits. The first
    label counts. ``step_count`` itself may be named: a step is missing at the end. "correct" and "incorrect" are words like others, so that a
    response that was not located is never taken for a right one.

    >>> named_step("The first wrong step is [12].", 20), named_step("All steps are correct.", 20), named_step("[12]", 5)
    (12, None, None)
    """
    found = _LABEL.search(answer) or _STEP.search(answer) or _BARE.fullmatch(answer)
    step = int(found.group(1)) if found else None
    return step if step is not None and step <= step_count else None
