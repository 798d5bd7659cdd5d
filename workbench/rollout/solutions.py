"""The policy answers problems in free text: the place where problems, their checker and a model meet."""

from collections.abc import Callable, Sequence

from workbench.envs.arithmetic.answers import is_right
from workbench.models.generation import Generated, Generator
from workbench.models.language_model import LanguageModel
from workbench.models.solution_ids import SolutionIds
from workbench.seeding import generator
from workbench.solutions import Problem, Response


def answer_problems(
    player: LanguageModel,
    problems: Sequence[Problem],
    *,
    samples: int = 1,
    temperature: float,
    top_p: float = 1.0,
    max_new_tokens: int,
    batch_size: int = 256,
    seed: int,
    on_batch: Callable[[int], object] = lambda count: None,
) -> list[Response]:
    """Several answers to each problem, those of one problem together; whether each is right is checked here and nowhere else.

    Args:
        player: The policy.
        problems: What is asked.
        samples: Answers to each problem.
        temperature: 0 takes the most probable token.
        top_p: See :class:`Generator`.
        max_new_tokens: Longest answer; one that does not end in time is wrong.
        batch_size: Answers written at once.
        seed: Of the dice of each answer.
        on_batch: Called with the number of answers of each batch.
    """
    ids = SolutionIds(player.tokenizer)
    asked = [problem for problem in problems for _ in range(samples)]
    dice = [generator(seed, "answer", problem.problem_id, number) for problem in problems for number in range(samples)]
    writer = Generator(player, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, batch_size=batch_size)
    written = writer.generate([ids.policy(problem) for problem in asked], dice, on_batch=on_batch)
    return [_response(problem, answer, ids) for problem, answer in zip(asked, written, strict=True)]


def _response(problem: Problem, answer: Generated, ids: SolutionIds) -> Response:
    text = ids.decode(answer.token_ids)
    right = answer.finished and is_right(problem, text)
    return Response(problem.problem_id, text, answer.token_ids, answer.log_probs, finished=answer.finished, is_right=right)
