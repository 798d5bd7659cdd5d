"""What the generative reward model is trained on: prompt and completion of three kinds.

``locate``: name the first wrong step; ``rewrite``: write the response with the fewest changes; ``identity``: repeat a right response.
Follows RLMEC (arXiv 2401.06081), except that how many right responses are repeated is set, not a by-product of how many are wrong.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from workbench.envs.arithmetic.answers import is_right
from workbench.errors import DataError
from workbench.seeding import generator
from workbench.solution_prompts import locate_prompt, locate_target, rewrite_prompt
from workbench.solutions import Problem, Rewrite

Kind = Literal["locate", "rewrite", "identity"]


class Pair(NamedTuple):
    """One example; the loss is over the completion and the end-of-text after it."""

    problem_id: str
    kind: Kind
    prompt: str
    completion: str


def reward_model_pairs(
    problems: Iterable[Problem], rewrites: Iterable[Rewrite], *, seed: int, identity_ratio: float = 1.0, locate: bool = True
) -> list[Pair]:
    """Training pairs in a seeded order.

    Every repaired response gives a rewrite pair and a locate pair; right ones, drawn at random, give identity pairs. Responses that were
    not located, not verified or not answered give none: a wrong response never becomes something to repeat.

    Args:
        problems: Those that the rewrites belong to; others may be among them.
        rewrites: A teacher's.
        seed: Of the choice among right responses and of the order.
        identity_ratio: Identity pairs per rewrite pair, at most; 0 leaves them out (an ablation).
        locate: False leaves the locate pairs out.

    Raises:
        DataError: A rewrite's problem is missing, its status is not borne out by its texts, or no pair is left.
    """
    if identity_ratio < 0:
        raise DataError(f"identity_ratio must be at least 0, found {identity_ratio}")
    known = {problem.problem_id: problem for problem in problems}
    given = list(rewrites)
    usable = without_repeats(learnable(known, given))
    wrong = [rewrite for rewrite in usable if rewrite.status == "repaired"]
    right = [rewrite for rewrite in usable if rewrite.status == "right"]
    kept = generator(seed, "identity pairs").permutation(len(right))[: round(identity_ratio * len(wrong))]
    pairs = [_rewriting(known, rewrite, "rewrite") for rewrite in wrong]
    pairs += [_rewriting(known, right[place], "identity") for place in sorted(kept)]
    if locate:
        pairs += [_locating(known, rewrite) for rewrite in wrong]
    if not pairs:
        told = ", ".join(f"{number} {status}" for status, number in sorted(Counter(rewrite.status for rewrite in given).items()))
        advice = "sample more responses, or use a teacher that can repair them"
        raise DataError(f"no rewrite can be learnt from ({told or 'none given'}); {advice}")
    return [pairs[place] for place in generator(seed, "order of pairs").permutation(len(pairs))]


def learnable(problems: Mapping[str, Problem], rewrites: Iterable[Rewrite]) -> list[Rewrite]:
    """The right and repaired ones, each checked against the answer of its problem; a status alone is not believed.

    Raises:
        DataError: A rewrite's problem is missing, or its texts belie its status.
    """
    usable = []
    for rewrite in rewrites:
        problem = problems.get(rewrite.problem_id)
        if problem is None:
            raise DataError(f"a rewrite belongs to problem {rewrite.problem_id!r}, which is not among the {len(problems)} problems given")
        if not rewrite.is_usable:
            continue
        if rewrite.status == "right":
            sound = rewrite.text == rewrite.original and rewrite.first_wrong_step is None
        else:
            sound = rewrite.first_wrong_step is not None and not is_right(problem, rewrite.original)
        if not sound or not is_right(problem, rewrite.text):
            raise DataError(
                f"a rewrite of problem {rewrite.problem_id!r} is called {rewrite.status!r}, but its texts do not bear that out: "
                f"first wrong step {rewrite.first_wrong_step}, answer {problem.answer!r}; mend the teacher that made it"
            )
        usable.append(rewrite)
    return usable


def without_repeats(rewrites: Sequence[Rewrite]) -> list[Rewrite]:
    """The first of those that repeat each other: responses to the same problem with the same text.

    Right ones are the same, too, where only spaces, line ends and full stops differ. Equal responses to different problems are different.
    """
    first: dict[tuple[str, str, str], Rewrite] = {}
    for rewrite in rewrites:
        text = _bare(rewrite.original) if rewrite.status == "right" else rewrite.original
        first.setdefault((rewrite.problem_id, rewrite.status, text), rewrite)
    return list(first.values())


def _rewriting(problems: Mapping[str, Problem], rewrite: Rewrite, kind: Kind) -> Pair:
    problem = problems[rewrite.problem_id]
    return Pair(problem.problem_id, kind, rewrite_prompt(problem, rewrite.original), rewrite.text)


def _locating(problems: Mapping[str, Problem], rewrite: Rewrite) -> Pair:
    problem = problems[rewrite.problem_id]
    return Pair(problem.problem_id, "locate", locate_prompt(problem, rewrite.original), locate_target(rewrite.first_wrong_step))


def _bare(text: str) -> str:
    return "".join(text.split()).replace(".", "")
