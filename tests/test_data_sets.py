"""The five SFT sets: what the files hold, and on what the loss falls."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from pyarrow import parquet

from tests.small_play import CHAIN, TAXI, play_config, world_examples, world_tokenizer
from workbench.config import DataConfig
from workbench.data.sets import (
    CARD_FILE,
    EXAMPLES_FILE,
    IGNORED,
    SETS,
    data_card,
    example_labels,
    policy_row,
    read_examples,
    reflection_row,
    taught_command,
    write_sets,
)
from workbench.errors import DataError
from workbench.prompts import ACTION, ANALYZE, CHOOSE, PromptBuilder, single_token_labels

CONFIG = DataConfig()


@pytest.fixture(scope="module")
def examples():
    return list(world_examples(TAXI))


@pytest.fixture(scope="module")
def labels():
    return single_token_labels(world_tokenizer(TAXI))


@pytest.fixture
def folder(tmp_path, examples, labels):
    write_sets(tmp_path / "data", examples, labels, CONFIG, seed=4, facts={"teacher": "TaxiTeacher"})
    return tmp_path / "data"


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_set_has_the_examples_it_is_for(folder, examples):
    counts = Counter(example.kind for example in examples)
    assert counts["negative"] == 8
    sizes = {name: len(read(folder / f"{name}.jsonl")) for name in SETS}
    everything = counts["positive"] + counts["negative"]
    assert sizes == {
        "sft": everything,
        "sft_reflection": everything,
        "sft_policy": everything,
        "sft_reflection_positive": counts["positive"],
        "sft_policy_positive": counts["positive"],
    }
    assert {row["kind"] for row in read(folder / "sft_policy_positive.jsonl")} == {"positive"}
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [CARD_FILE, EXAMPLES_FILE, *(f"{name}.{form}" for name in SETS for form in ("jsonl", "parquet"))]
    )


def test_prompts_have_the_parts_of_their_set_in_order(folder, examples):
    plain, thinking, policy = (read(folder / f"{name}.jsonl") for name in ("sft", "sft_reflection", "sft_policy"))
    for example, without, reflection, with_it in zip(examples, plain, thinking, policy, strict=True):
        situation = f"{example.task_statement}\n{example.observation}\n"
        assert reflection["prompt"] == situation + ANALYZE
        assert reflection["completion"] == example.reflection
        assert without["prompt"].startswith(situation + CHOOSE)
        assert ANALYZE not in without["prompt"]
        assert with_it["prompt"].startswith(situation + ANALYZE + example.reflection + CHOOSE)
        assert with_it["prompt"].endswith(ACTION)
        assert without["completion"] == with_it["completion"]
        listed = with_it["prompt"].split(CHOOSE)[1].removesuffix(ACTION).splitlines()
        assert f"{with_it['completion']} {example.oracle_command}" in listed
        assert sorted(line.split(" ", 1)[1] for line in listed) == sorted(example.commands)


def test_no_label_stands_for_a_command(folder, examples):
    taught: dict[str, set[str]] = {}
    for example, row in zip(examples, read(folder / "sft.jsonl"), strict=True):
        taught.setdefault(example.oracle_command, set()).add(row["completion"])
    assert all(len(labels) > 3 for labels in taught.values())


def test_the_card_counts_and_finds_no_leakage(folder, examples):
    card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    assert card == {**json.loads(json.dumps(data_card(examples, CONFIG))), "teacher": "TaxiTeacher"}
    assert card["tasks_in_two_splits"] == 0
    assert card["examples"] == len(examples) == sum(card["by_split"].values()) == sum(card["by_stage"].values())
    assert sum(card["by_taught_command"].values()) == len(examples)
    assert card["states"] == len({example.state_key for example in examples})


def test_the_card_counts_many_commands_by_their_first_word(examples):
    many = [replace(example, oracle_command=f"{'cat' if number % 3 else 'cd'} {number}") for number, example in enumerate(examples[:90])]
    assert data_card(many[:30], CONFIG)["by_taught_command"]["cd 0"] == 1
    assert data_card(many, CONFIG)["by_taught_command"] == {"cd …": 30, "cat …": 60}


def test_the_card_would_tell_leakage(examples):
    train = next(example for example in examples if example.split == "train")
    leaked = [*examples, type(train)(**{**train.as_json(), "split": "validation", "commands": train.commands})]
    assert data_card(leaked, CONFIG)["tasks_in_two_splits"] == 1


def test_examples_are_read_back_as_they_were(folder, examples):
    assert read_examples(folder) == examples


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "the warm-up data cannot be read"),
        (lambda text: text.replace('"oracle_command"', '"oracle"', 1), "unexpected keyword argument 'oracle'"),
        (lambda text: "not json\n", "Expecting value"),
        (lambda text: "[1, 2]\n", "the warm-up data cannot be read"),
        (lambda text: "{}\n", "the warm-up data cannot be read"),
    ],
)
def test_damaged_data_is_one_line_and_says_what_to_do(folder, damage, reason):
    path = folder / EXAMPLES_FILE
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(DataError, match=reason) as caught:
        read_examples(folder)
    assert "\n" not in str(caught.value)
    assert "delete the folder's data/ and resume" in str(caught.value)


def test_missing_data_is_one_line(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_examples(tmp_path)


def test_what_is_taught(examples):
    positives = [example for example in examples if example.kind == "positive"]
    assert all(taught_command(example, DataConfig()) == example.oracle_command for example in examples)
    executed = DataConfig(policy_labels="behaviour")
    assert all(taught_command(example, executed) == example.behaviour_command for example in examples)
    assert any(taught_command(example, executed) != example.oracle_command for example in positives)
    # A negative example corrects under either setting.
    assert all(taught_command(example, executed) == example.oracle_command for example in examples if example.kind == "negative")


def test_label_noise_is_a_share_and_always_the_same(examples):
    noisy = DataConfig(policy_label_noise=0.5)
    taught = [taught_command(example, noisy) for example in examples]
    assert taught == [taught_command(example, noisy) for example in reversed(examples)][::-1]
    wrong = sum(command != example.oracle_command for command, example in zip(taught, examples, strict=True))
    # Half are redrawn among six commands: 5/12 of them differ; more than 200 examples leave a standard error of 0.034.
    assert wrong / len(examples) == pytest.approx(5 / 12, abs=0.12)


def test_the_loss_covers_exactly_the_reflection_and_its_end(examples):
    tokenizer = world_tokenizer(TAXI)
    prompts = PromptBuilder(tokenizer, 80)
    for example in examples:
        row = reflection_row(example, prompts, tokenizer.eos_token_id, max_new_tokens=40)
        prompt = prompts.reflection(example.task_statement, example.observation).token_ids
        answer = row.input_ids[len(prompt) :]
        assert tuple(row.input_ids[: len(prompt)]) == prompt
        assert row.labels == [IGNORED] * len(prompt) + answer
        assert answer[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(answer[:-1]) == example.reflection


@pytest.mark.parametrize("with_reflection", [True, False])
def test_the_loss_covers_exactly_the_label(examples, with_reflection):
    tokenizer = world_tokenizer(TAXI)
    prompts = PromptBuilder(tokenizer, 127)
    for number, example in enumerate(examples):
        row = policy_row(example, number, prompts, CONFIG, seed=4, with_reflection=with_reflection)
        assert row.labels[:-1] == [IGNORED] * (len(row.input_ids) - 1)
        assert row.labels[-1] == row.input_ids[-1]
        own = example_labels(example, number, prompts.labels, seed=4)
        assert [one.token_id for one in own][example.commands.index(example.oracle_command)] == row.labels[-1]
        text = tokenizer.decode(row.input_ids)
        assert (example.reflection in text) == with_reflection


def test_a_reflection_longer_than_the_player_may_write_is_refused(examples):
    tokenizer = world_tokenizer(TAXI)
    length = len(tokenizer.encode(examples[0].reflection)) + 1
    prompts = PromptBuilder(tokenizer, 80)
    reflection_row(examples[0], prompts, tokenizer.eos_token_id, max_new_tokens=length)
    with pytest.raises(DataError, match=f"has {length} tokens but reflection.max_new_tokens is {length - 1}; raise it"):
        reflection_row(examples[0], prompts, tokenizer.eos_token_id, max_new_tokens=length - 1)


def test_any_environment_with_an_oracle_fills_the_sets(tmp_path):
    chain = list(world_examples(CHAIN))
    write_sets(tmp_path, chain, single_token_labels(world_tokenizer(CHAIN)), play_config(CHAIN).data, seed=0, facts={})
    assert read_examples(tmp_path) == chain
    assert {example.oracle_command for example in chain} == {"right"}


def test_parquet_holds_the_same_rows(folder):
    for name in SETS:
        assert parquet.read_table(folder / f"{name}.parquet").to_pylist() == read(folder / f"{name}.jsonl")


def test_the_card_tells_lengths_and_negatives(folder, examples):
    card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    assert sum(card["negatives_by_stage"].values()) == sum(card["negatives_by_turn"].values()) == card["by_kind"]["negative"]
    assert card["trajectories"] == len({example.trajectory for example in examples if example.kind == "positive"})
    assert card["reflection_characters"]["max"] == max(len(example.reflection) for example in examples)
    assert card["trajectory_turns"]["min"] >= 1
