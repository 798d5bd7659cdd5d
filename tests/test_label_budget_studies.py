"""Both studies in small: splits, labels that stay unread, fine-tuning from the same weights, and answers by rule."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from workbench.config import TinyConfig
from workbench.data.generate import Example
from workbench.data.sets import IGNORED
from workbench.envs.catalog import make_env
from workbench.envs.text_env import TextEnv
from workbench.evaluation.evaluate import assignments_for
from workbench.models.scoring import token_log_probs
from workbench.prompts import suggested_command
from workbench.recipes import label_budget_instructions as instructions
from workbench.recipes import label_budget_states as states
from workbench.recipes.label_budget import CONTESTANTS, chosen_places
from workbench.recipes.label_budget_model import answer_log_likelihood, fine_tuned, steps
from workbench.recipes.label_budget_tasks import DAYS, NAMES, TASKS, WORDS, draw_instructions, shares_of
from workbench.records import Reflection
from workbench.seeding import generator

FEW = steps(2, 8, 1e-3)


def small(world: str) -> dict[str, states.StateSettings]:
    usual = states.WORLDS[world]
    config = {**usual.config, "data": {**usual.config["data"], "trajectories": 24}}
    if world == "explore":
        config["env"] = {"name": "explore", "options": {**config["env"]["options"], "repositories": 12}}
    return {world: dataclasses.replace(usual, config=config, pool=60, trajectories=3, reading=FEW, reflection=FEW)}


@pytest.fixture(scope="module", params=["taxi", "explore"])
def arena(request):
    return states.prepare(request.param, 0, small(request.param))


@pytest.fixture(scope="module")
def asked():
    tiny = TinyConfig(n_layer=1, n_embd=32, n_head=2, n_positions=64, vocab_size=500)
    settings = instructions.InstructionSettings(pool=300, test=2, worked=1, tiny=tiny, reading=FEW, tuning=FEW, answer_tokens=4)
    return instructions.prepare("long-tailed", 0, settings)


# States ---------------------------------------------------------------------------------------------------


def test_starts_are_split_before_anything_is_chosen(arena):
    held = {task for splits in arena.tasks.values() for split in ("validation", "test") for task in splits[split]}
    assert held and not {one.task for one in arena.states} & held
    assert arena.starts_shared() == 0
    assert {one.task for one in arena.held_out} <= {task for splits in arena.tasks.values() for task in splits["validation"]}
    assert len(set(arena.pool.prompts)) == len(arena.states) == len(arena.pool) <= 60


class Unlabelled:
    """A state of which the teacher's part may not be looked at."""

    def __init__(self, state: Example) -> None:
        self._state = state

    def __getattr__(self, name: str) -> Any:
        if name in ("reflection", "oracle_command", "behaviour_command", "mistake"):
            raise AssertionError(f"the label {name!r} was read")
        return getattr(self._state, name)


def test_neither_base_nor_designs_read_what_the_teacher_says(arena):
    hidden: list[Any] = [Unlabelled(one) for one in arena.states]
    with pytest.raises(AssertionError, match="was read"):
        _ = hidden[0].reflection
    # `fine_tuned` copies, so that the base can stand for an untrained start here.
    base = states.base_model(arena.base, hidden, arena.settings, arena.config.reflection.max_new_tokens, seed=0)
    blind = states.StateArena(arena.settings, arena.config, arena.tasks, hidden, arena.held_out, base)
    chosen = {name: chosen_places(blind.pool, blind.features, name, 16, seed=0) for name in CONTESTANTS}
    assert all(len(set(places.tolist())) == 16 for places in chosen.values())
    with pytest.raises(AssertionError, match="was read"):
        blind.measure(chosen["random"].tolist())


def test_only_the_chosen_states_are_asked_for(arena):
    hidden: list[Any] = [Unlabelled(one) for one in arena.states]
    for place in (3, 1, 7):
        hidden[place] = arena.states[place]
    open_arena = states.StateArena(arena.settings, arena.config, arena.tasks, hidden, arena.held_out, arena.base)
    found = open_arena.measure([3, 1, 7])
    assert found["teacher_words"] == sum(len(arena.states[place].reflection.split()) for place in (3, 1, 7))
    assert 0 <= found["success"] <= 1 and found["log_likelihood"] < 0


def test_a_measurement_leaves_the_base_as_it_was_and_is_repeatable(arena):
    before = {name: value.clone() for name, value in arena.base.model.state_dict().items()}
    first, second = arena.measure([0, 1, 2]), arena.measure([0, 1, 2])
    assert first == second
    assert all(torch.equal(value, before[name]) for name, value in arena.base.model.state_dict().items())


def test_a_reading_row_advises_an_admissible_command_and_no_other_text_than_the_state(arena):
    prompts, eos = arena.base.prompts(room=arena.config.reflection.max_new_tokens), int(arena.base.tokenizer.eos_token_id)
    for seed, state in enumerate(arena.states[:20]):
        if prompts.reflection(state.task_statement, state.observation).was_cut:
            continue
        row = states.reading_row(state, prompts, eos, generator(seed, "test-reading"))
        text = str(arena.base.tokenizer.decode(row.input_ids[:-1]))
        read, advice = text.split("# Analyze:\n")
        assert read == f"{state.task_statement}\n{state.observation}\n"
        assert suggested_command(advice, state.commands) is not None
        assert row.input_ids[-1] == eos and row.labels == [IGNORED, *row.input_ids[1:]]


class Adviser:
    """Says what the oracle would do, or nothing at all."""

    wants_hint = False

    def __init__(self, envs: Sequence[TextEnv], silent: bool) -> None:
        self.envs, self.silent = envs, silent

    def reflect(self, situations: Sequence[Any]) -> list[Reflection]:
        told = {(env.task_statement(), env.observe()): (env.oracle() or ["nothing"])[0] for env in self.envs}
        return [Reflection("" if self.silent else f"So {told[one.task_statement, one.observation]}.") for one in situations]


def test_good_advice_that_is_followed_succeeds_and_none_is_a_walk_by_lot(arena):
    stage = arena.settings.stages[-1]
    found = {}
    for silent in (False, True):
        assignments = assignments_for(arena.tasks[stage]["test"], stage=stage, count=4, seed=1, phase="evaluate", update=0)
        envs = [make_env(arena.config.env.name, **arena.config.env.options) for _ in assignments]
        found[silent] = states.follow(Adviser(envs, silent), envs, assignments)
    assert all(one.success and one.agreed == one.turns > 0 for one in found[False])
    assert sum(one.agreed for one in found[True]) < sum(one.turns for one in found[True])


# Instructions ---------------------------------------------------------------------------------------------


def test_answers_by_hand():
    dice = generator(0, "test-answers")
    found = draw_instructions(dict.fromkeys(TASKS, 30), dice, set())
    by_task = {task: [one for one in found if one.task == task] for task in TASKS}
    for one in by_task["sum"]:
        numbers = [int(word) for word in "".join(char if char.isdigit() else " " for char in one.prompt).split()]
        assert int(one.answer) == sum(numbers)
    for one in by_task["sort"]:
        assert one.answer.split() == sorted(char for char in one.prompt if char.isdigit())
    for one in by_task["look-up"]:
        asked = [name for name in NAMES if one.prompt.count(name) == 2]
        assert len(asked) == 1 and f"{asked[0]} has {one.answer}" in one.prompt
    for one in by_task["last"]:
        assert one.answer == [word for word in one.prompt.replace("?", " ").replace(".", " ").split() if word in WORDS][-1]
    follows = dict(zip(DAYS, DAYS[1:] + DAYS[:1], strict=True))
    for one in by_task["day-after"]:
        assert one.answer == follows[next(day for day in DAYS if day in one.prompt)]
    assert len({one.prompt for one in found}) == len(found) == 30 * len(TASKS)


def test_pools_are_long_tailed_or_balanced():
    tail, even = (shares_of(name, generator(0, "test-shares")) for name in ("long-tailed", "balanced"))
    assert sum(tail.values()) == pytest.approx(1) == sum(even.values())
    assert sorted(tail.values())[-1] == pytest.approx(len(TASKS) * sorted(tail.values())[0])
    assert len(set(even.values())) == 1


def test_pool_test_and_worked_examples_share_no_prompt(asked):
    pool, test = {one.prompt for one in asked.instructions}, {one.prompt for one in asked.test}
    assert len(pool) == len(asked.instructions) and not pool & test
    assert {one.task for one in asked.test} == set(TASKS)
    assert not any(
        one.answer in prompt.split(instructions.ANSWER)[1] for one, prompt in zip(asked.instructions, asked.pool.prompts, strict=True)
    )


class Unanswered:
    """An instruction whose answer may not be looked at."""

    def __init__(self, one: Any) -> None:
        self.prompt, self.task = one.prompt, one.task

    @property
    def answer(self) -> str:
        raise AssertionError("an answer was read")


def test_only_the_chosen_answers_are_read(asked):
    hidden: list[Any] = [Unanswered(one) for one in asked.instructions]
    blind = instructions.InstructionArena(asked.settings, 0, hidden, asked.test, asked.base)
    chosen = [chosen_places(blind.pool, blind.features, name, 20, seed=0).tolist() for name in CONTESTANTS]
    assert all(len(set(places)) == 20 for places in chosen)
    with pytest.raises(AssertionError, match="an answer was read"):
        blind.measure(chosen[0])
    for place in (5, 9):
        hidden[place] = asked.instructions[place]
    assert set(blind.measure([5, 9])) == {"exact_match", "exact_match_as_pool", "log_likelihood", "answer_words"}


def test_exact_match_over_tasks_and_as_the_pool_has_them(asked, monkeypatch):
    right = {"sum": 2, "colour": 1}
    left = dict(right)

    def answering(player: Any, prompts: Any, *, max_new_tokens: int) -> list[str]:
        found = []
        for one in asked.test:
            hit = left.get(one.task, 0) > 0
            left[one.task] = left.get(one.task, 0) - 1
            found.append(one.answer if hit else "?")
        return found

    monkeypatch.setattr(instructions, "greedy_answers", answering)
    found = asked.tested(asked.base)
    counts = {task: sum(one.task == task for one in asked.instructions) for task in right}
    assert found["exact_match"] == pytest.approx(3 / len(asked.test), abs=1e-4)
    assert found["exact_match_as_pool"] == pytest.approx((counts["sum"] + 0.5 * counts["colour"]) / len(asked.pool), abs=1e-4)


def test_greedy_answers_equal_a_plain_loop(asked):
    player, prompts = asked.base, [one.prompt for one in asked.test[:5]]
    found = instructions.greedy_answers(player, prompts, max_new_tokens=4)
    for prompt, answer in zip(prompts, found, strict=True):
        ids, taken = instructions.prompt_ids(prompt, player), list[int]()
        for _ in range(4):
            with torch.inference_mode():
                taken.append(int(player.last_logits([[*ids, *taken]])[0].argmax()))
            if taken[-1] == player.tokenizer.eos_token_id:
                break
        assert str(player.tokenizer.decode(taken, skip_special_tokens=True)).strip() == answer


def test_log_likelihood_equals_a_plain_loop_and_grows_by_training(asked):
    rows = [instructions.answer_row(one, asked.base) for one in asked.test[:9]]
    total = 0.0
    for row in rows:
        start = row.labels.index(next(label for label in row.labels if label != IGNORED))
        with torch.inference_mode():
            logits = asked.base.model(input_ids=torch.tensor([row.input_ids])).logits[0, start - 1 : -1]
        own = token_log_probs(logits).gather(1, torch.tensor(row.input_ids[start:])[:, None])
        total += float(own.mean())
    before = answer_log_likelihood(asked.base, rows)
    assert before == pytest.approx(total / 9, abs=1e-4)
    after = answer_log_likelihood(fine_tuned(asked.base, rows, steps(10, 9, 1e-2), seed=0), rows)
    assert after > before + 0.1
