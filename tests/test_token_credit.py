"""Sums, alignments, types of error and fading of token tables, worked by hand."""

import math

import pandas as pd
import pytest

from workbench.envs.arithmetic.expressions import holds
from workbench.evaluation.solution_errors import ERROR_TYPES, error_type
from workbench.evaluation.token_credit import aligned, fading, loss_check, solution_table, visited, wrong_tokens
from workbench.solutions import Response, Rewrite

WRONG = "4*2=9\n3+9=12\nanswer 12"
RIGHT = "4*2=8\n3+8=11\nanswer 11"


def token(sample, side, place, **values):
    base = {
        "round": 1,
        "update": 1,
        "problem_id": f"p{sample}",
        "token_id": place,
        "token": str(place),
        "policy_prob": 0.5,
        "old_policy_prob": 0.5,
        "reward_model_prob": 0.5,
        "reward": 0.0 if side == "original" else None,
        "is_edited": False,
        "imitation_weight": 0.5,
        "rl_contribution": 0.0,
        "imitation_contribution": 0.0,
        "contribution": 0.0,
    }
    return {"sample": sample, "side": side, "place": place, **base, **values}


def table(*rows):
    return visited(pd.DataFrame(rows))


def test_an_alignment_has_every_token_of_both_sides_once_and_in_order():
    columns = aligned([5, 6, 7, 8], [5, 9, 8, 4])
    assert [column.original for column in columns if column.original is not None] == [0, 1, 2, 3]
    assert [column.rewrite for column in columns if column.rewrite is not None] == [0, 1, 2, 3]
    assert sum(not column.kept for column in columns) == 3  # 6 to 9, 7 away, 4 put there
    assert all(column.kept for column in aligned([1, 2], [1, 2])) and aligned([], []) == []
    assert [(one.original, one.rewrite) for one in aligned([], [1])] == [(None, 0)]


def test_a_solution_taken_twice_by_an_update_counts_twice_in_the_loss_and_is_listed_twice():
    twice = [token(3, "original", place, contribution=0.25) for _ in range(2) for place in (0, 1)]
    tokens = table(
        *twice, token(4, "original", 0, contribution=-1.0, reward=-0.1, is_edited=True), token(4, "rewrite", 0, contribution=0.5)
    )
    listed = solution_table(tokens)
    assert listed[["sample", "visit"]].to_numpy().tolist() == [[3, 0], [3, 1], [4, 0]]
    assert listed["tokens"].tolist() == [2, 2, 1] and listed["edited"].tolist() == [0, 0, 1]
    assert listed["contribution"].tolist() == [0.5, 0.5, -0.5] and listed["reward"].tolist() == pytest.approx([0.0, 0.0, -0.1])
    assert loss_check(tokens, {"loss/total": 0.5})["agrees"].tolist() == [True]


def test_sums_are_held_against_what_was_logged():
    tokens = table(token(0, "original", 0, contribution=0.3, rl_contribution=0.1, imitation_contribution=0.2))
    found = loss_check(tokens, {"loss/total": 0.3, "loss/rl": 0.1001, "loss/imitation": math.nan})
    assert found["metric"].tolist() == ["loss/total", "loss/rl"]
    assert found["agrees"].tolist() == [True, False] and found["difference"].tolist() == pytest.approx([0.0, -0.0001])
    assert loss_check(tokens, {}).empty


def test_wrong_tokens_are_the_true_edit_set_or_where_nobody_knows_it_the_punished_ones():
    known = [token(0, "original", 0, reward=-0.1), token(0, "original", 1, is_edited=True)]
    unknown = [token(1, "original", 0, is_edited=None, reward=-0.1), token(1, "original", 1, is_edited=None, reward=0.0)]
    tokens = table(*known, *unknown, token(1, "rewrite", 0, is_edited=True))
    assert wrong_tokens(tokens).tolist() == [False, True, True, False, False]


def test_fading_is_the_geometric_mean_over_the_wrong_tokens():
    rows = []
    for update, (first, second, mend) in enumerate([(0.9, 0.4, 0.1), (0.1, 0.4, 0.8)]):
        for place, probability in enumerate((first, second)):
            rows.append(token(7, "original", place, update=update, is_edited=True, policy_prob=probability))
        rows += [token(7, "original", 2, update=update), token(7, "rewrite", 0, update=update, is_edited=True, policy_prob=mend)]
    found = fading(pd.DataFrame(rows)).set_index(["group", "side", "update"])["probability"]
    assert found[7, "original", 0] == pytest.approx(0.6) and found[7, "original", 1] == pytest.approx(0.2)
    assert found[7, "rewrite", 1] == pytest.approx(0.8)
    grouped = fading(pd.DataFrame(rows), {7: "miscalculated", 8: "cut off"})
    assert set(grouped["group"]) == {"miscalculated"} and grouped["tokens"].tolist() == [2, 2, 1, 1]
    assert fading(pd.DataFrame(rows), {}).empty


@pytest.mark.parametrize(
    ("text", "step", "finished", "kind"),
    [
        (RIGHT, None, True, "none"),
        (WRONG, 0, True, "miscalculated"),
        ("3+4=7\n7*2=14\nanswer 14", 0, True, "wrong operation"),
        ("4*2=8\n3+8=11\nanswer 12", 2, True, "wrong answer"),
        ("answer 8", 0, True, "wrong answer"),
        ("4*2=8\n3+8=11", 2, True, "step missing"),
        ("four times two\nanswer 9", 0, True, "no calculation"),
        (WRONG, 0, False, "cut off"),
        (WRONG, None, True, "not located"),
    ],
)
def test_types_of_error(text, step, finished, kind):
    response = Response("p", text, (), (), finished=finished, is_right=kind == "none")
    found = error_type(response, Rewrite("p", text, step, RIGHT, "right" if kind == "none" else "repaired"))
    assert found == kind and found in ERROR_TYPES


def test_a_step_holds_or_not_and_words_are_no_step():
    assert [holds(line) for line in ("4*2=8", "2 + 2 = 5", "3-9=6", "7/2=3", "8/2=4", "so 4*2=8", "")] == [
        *(True, False, False, False, True),
        *(None, None),
    ]
