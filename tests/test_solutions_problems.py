"""Problems that are made: right, seeded, and of one split each; the worlds of one turn around them."""

import re

import pytest

from workbench import check_text_env
from workbench.cli import main
from workbench.envs.arithmetic.answers import is_right
from workbench.envs.arithmetic.chains import SIZES
from workbench.envs.arithmetic.expressions import after_step, calculation_of, reductions, state_of, usual_way, ways
from workbench.envs.arithmetic.knowledge import is_held_out
from workbench.envs.arithmetic.problems import SPLITS, make_problems, split_of, stages_of, task_names
from workbench.envs.arithmetic.stories import HELD_OUT
from workbench.envs.arithmetic.world import Arithmetic, KnowledgeQuiz, WordProblems
from workbench.errors import EnvError

EVERY_STAGE = [(task, stage) for task in task_names() for stage in stages_of(task)]


def steps_of(expression):
    return [reduction.step for reduction in usual_way(state_of(expression)) or ()]


def test_the_usual_order_is_brackets_then_products_then_from_the_left():
    assert steps_of("3+4*2") == ["4*2=8", "3+8=11"]
    assert steps_of("20-(3+4)*2-1") == ["3+4=7", "7*2=14", "20-14=6", "6-1=5"]
    assert steps_of("((12+7)*3)/57") == ["12+7=19", "19*3=57", "57/57=1"]
    assert usual_way(state_of("3-5+4")) is None, "a value on the way is negative"
    assert usual_way(state_of("7/2")) is None, "no whole number"


def test_only_orders_that_keep_the_value_are_taken():
    assert [reduction.step for reduction in reductions(state_of("1+2+3"))] == ["1+2=3", "2+3=5"]
    assert [reduction.step for reduction in reductions(state_of("9-2-3"))] == ["9-2=7"]
    assert [reduction.step for reduction in reductions(state_of("9-6+3"))] == ["9-6=3"]
    assert [reduction.step for reduction in reductions(state_of("12/2*3"))] == ["12/2=6"]
    assert [reduction.step for reduction in reductions(state_of("5*6/3"))] == ["5*6=30", "6/3=2"]
    assert [reduction.step for reduction in reductions(state_of("8+9-2"))] == ["8+9=17", "9-2=7"]
    assert len(list(ways(state_of("1+2+3+4")))) == 6


def test_a_written_step_leads_on_only_when_it_is_right():
    start = [state_of("3+4*2")]
    assert after_step(start, "4*2=8") == {("3", "+", "8")}
    assert after_step(start, " 2 \u00d7 4 = 8 ") == {("3", "+", "8")}
    for wrong in ("4*2=9", "3+4=7", "4+2=6", "8", "", "4*2=8=8", "4*2=8 3+8=11"):
        assert not after_step(start, wrong), wrong
    assert after_step([state_of("2+2+2")], "2+2=4") == {("4", "+", "2"), ("2", "+", "4")}


def test_worked_steps_say_which_calculation_they_are_of():
    assert "".join(calculation_of(["3*4=12", "5*2=10", "12+10=22"]) or ()) == "((3*4)+(5*2))"
    assert calculation_of(["3*4=12", "5*2=10"]) is None, "two results, neither used"
    assert calculation_of(["first 3*4=12"]) is None


@pytest.mark.parametrize(("task", "stage"), EVERY_STAGE)
def test_reference_solutions_are_right_and_problems_differ(task, stage):
    problems = make_problems(task, count=60, stage=stage, seed=3)
    assert len({problem.question for problem in problems}) == len({problem.problem_id for problem in problems}) == 60
    for problem in problems:
        assert is_right(problem, problem.solution)
        assert problem.solution.split("\n")[-1] == f"answer {problem.answer}"
        assert (problem.task, problem.stage, problem.split) == (task, stage, "train")


def test_chains_are_what_the_question_says():
    for problem in make_problems("arithmetic", count=100, stage="long"):
        expression = problem.question.removeprefix("What is ").removesuffix("?")
        assert re.fullmatch(r"[\d+*()-]+", expression)
        value = usual_way(state_of(expression))
        assert value is not None and str(value[-1].value) == problem.answer
        *lines, _ = problem.solution.split("\n")
        states = frozenset([state_of(expression)])
        for line in lines:
            states = after_step(states, line)
        assert states == {(problem.answer,)}


def test_stories_are_what_their_steps_say():
    signs = {
        "finds": "+",
        "buys": "+",
        "friend": "+",
        "loses": "-",
        "gives away": "-",
        "sells": "-",
        "swaps": "*",
        "turns": "*",
        "divides": "/",
    }
    for problem in make_problems("word-problems", count=60, stage="long", seed=1):
        start, *events, _ = re.split(r"(?<=\.) ", problem.question)
        amount = int(re.findall(r"\d+", start)[0])
        for event, step in zip(events, problem.solution.split("\n")[:-1], strict=True):
            number = re.findall(r"\d+", event)[0]
            words = re.sub(r"gives \d+ away", "gives away", event)
            (sign,) = {signs[word] for word in signs if word in words}
            assert step.startswith(f"{amount}{sign}{number}=")
            amount = int(step.partition("=")[2])
        assert problem.answer == str(amount)


def test_problems_are_the_same_by_seed_and_more_of_them_begin_the_same():
    few, many = make_problems("arithmetic", count=5, seed=2), make_problems("arithmetic", count=50, seed=2)
    assert many[:5] == few
    assert make_problems("arithmetic", count=50, seed=2) == many
    assert make_problems("arithmetic", count=5, seed=3) != few


@pytest.mark.parametrize("task", task_names())
def test_no_question_is_in_two_splits_whatever_the_seed(task):
    made = {split: set[str]() for split in SPLITS}
    for split in SPLITS:
        for seed in range(3):
            made[split] |= {problem.question for problem in make_problems(task, count=40, stage=stages_of(task)[0], split=split, seed=seed)}
    for one in SPLITS:
        for other in SPLITS:
            assert one == other or not made[one] & made[other]
    assert all(split_of(question) == "test" for question in made["test"])


@pytest.mark.parametrize(("task", "stage"), [stage for stage in EVERY_STAGE if stage[0] != "knowledge"])
def test_held_out_numbers_stand_in_held_out_questions_only(task, stage):
    held_out = SIZES[stage].held_out if task == "arithmetic" else HELD_OUT
    for split in SPLITS:
        for problem in make_problems(task, count=30, stage=stage, split=split):
            has = any(int(word) in held_out for word in re.findall(r"\d+", problem.question))
            assert has == (split == "held-out")


def test_held_out_animals_stand_in_held_out_questions_only():
    for split in SPLITS:
        for problem in make_problems("knowledge", count=60, stage="two-hop", split=split):
            names = re.findall(r"^(\w+) is an? ", problem.question, flags=re.MULTILINE)
            assert names and all(is_held_out(name) == (split == "held-out") for name in names)
            assert problem.answer in problem.choices and len(set(problem.choices)) == 4


def test_what_cannot_be_made_is_said():
    with pytest.raises(EnvError, match="no problems can be made for 'arithmetics'; did you mean 'arithmetic'"):
        make_problems("arithmetics", count=1)
    with pytest.raises(EnvError, match="unknown stage 'huge'; known: easy, long, medium, short"):
        make_problems("arithmetic", count=1, stage="huge")
    with pytest.raises(EnvError, match="unknown split 'tests'; did you mean 'test'"):
        make_problems("arithmetic", count=1, split="tests")
    with pytest.raises(EnvError, match="must be at least 1, found 0"):
        make_problems("arithmetic", count=0)


@pytest.mark.parametrize("env_class", [Arithmetic, WordProblems, KnowledgeQuiz])
def test_the_worlds_keep_the_contract(env_class):
    check_text_env(lambda: env_class(problems=12))


def test_a_world_takes_a_whole_solution_as_its_command():
    env = Arithmetic(problems=4, split="test")
    observation, info = env.reset(seed=1, options={"stage": "short"})
    assert observation == env.problem.question and env.problem.split == "test"
    assert "admissible_commands" not in info
    _, reward, terminated, _, info = env.step(env.problem.solution.replace("\n", " ; "))
    assert (reward, terminated, info["success"]) == (1.0, True, True)
    env.reset(seed=1, options={"stage": "short"})
    _, reward, terminated, truncated, info = env.step("answer 1000")
    assert (reward, terminated, truncated, info["success"]) == (0.0, True, False, False)
    env.reset(seed=1)
    with pytest.raises(EnvError, match="None is not admissible"):
        env.step(None)  # type: ignore[arg-type]


def test_wrong_options_of_a_world_are_told():
    with pytest.raises(EnvError, match="problems must be 1 to 100,000, found 0"):
        Arithmetic(problems=0)
    with pytest.raises(EnvError, match="unknown split 'dev'"):
        Arithmetic(split="dev")


def test_a_person_plays_it_in_the_terminal(monkeypatch, capsys):
    answer = Arithmetic().oracle()
    typed = iter(["?", "answer 99999"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    assert answer and main(["play", "arithmetic", "--seed", "1"]) == 0
    shown = capsys.readouterr().out
    assert "What is" in shown and "Hint:" in shown and "Failed after 1 turn" in shown
