"""The prompts of the policy and of the generative reward model on worked solutions, the same text in training and in generation.

Every prompt ends in a line of its own, and what follows it is tokenised apart and joined as ids: a response has the same token ids after
the policy's prompt, where it was sampled, and after the rewrite prompt, where it is scored (RLMEC, arXiv 2401.06081). The reward model is
shown the reference solution; the policy is not.
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
    label counts. ``step_count`` itself may be named: a step is missing at the end. "correct" and "incorrect" are words like others: a
    response that was not located is never taken for a right one.

    >>> named_step("The first wrong step is [12].", 20), named_step("All steps are correct.", 20), named_step("[12]", 5)
    (12, None, None)
    """
    found = _LABEL.search(answer) or _STEP.search(answer) or _BARE.fullmatch(answer)
    step = int(found.group(1)) if found else None
    return step if step is not None and step <= step_count else None


# What an outside chat model is asked, as a teacher in the reward model's place ----------------------------

Messages = list[dict[str, str]]

_TEACHER = (
    "You correct solutions line by line. A reference solution is given; other right ways are right, too. You change as little as possible."
)


def locate_messages(problem: Problem, response: str) -> Messages:
    """Asks for the label of the first wrong line of a response whose answer is wrong; :func:`named_step` reads it."""
    count = len(steps(response))
    ask = (
        "The attempt does not reach the right answer. Which line is the first that is wrong? Answer with its label alone, such as [0]; "
        f"answer [{count}] if every line is right but something is missing at the end."
    )
    return _asked(problem, response, ask)


def rewrite_messages(problem: Problem, response: str, first_wrong_step: int) -> Messages:
    """Asks for what follows the right lines; they are put before it whatever is answered, so that they cannot change."""
    kept = f"The lines before [{first_wrong_step}] are right and stay as they are. " if first_wrong_step else ""
    ask = (
        f"{kept}Write the attempt's lines from [{first_wrong_step}] to the end as they should be: keep every word and number that can "
        "stay, follow the attempt's own way, and end with the right answer in the form that the reference has. "
        "Write only these lines, without labels and without any remark."
    )
    return _asked(problem, response, ask)


def _asked(problem: Problem, response: str, ask: str) -> Messages:
    shown = f"Problem:\n{problem.question}\n\nReference solution:\n{numbered(problem.solution)}\n\nAttempt:\n{numbered(response)}\n\n{ask}"
    return [{"role": "system", "content": _TEACHER}, {"role": "user", "content": shown}]


def clean_lines(answer: str) -> str:
    """A model's lines without its thinking, code fences, control characters and empty lines around them."""
    text = re.sub(r"<think>.*?(</think>|$)", "", answer, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.strip().startswith("```")]
    return "\n".join("".join(char for char in line if char.isprintable() or char == "\t").rstrip() for line in lines).strip("\n")


def without_labels(text: str) -> str:
    """Lines without the labels that :func:`numbered` gives them."""
    return "\n".join(re.sub(r"^\s*\[\d{1,4}\]\s?", "", line) for line in text.split("\n"))
