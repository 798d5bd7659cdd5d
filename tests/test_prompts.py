import re
from pathlib import Path

import numpy as np
import pytest

from tests.small_models import ARCHITECTURES, byte_level_tokenizer, taxi_tokenizer, tokenizer_for, word_start_tokenizer
from workbench.config import DataConfig
from workbench.data.generate import Example
from workbench.data.sets import policy_row, reflection_row
from workbench.envs.catalog import make_env
from workbench.errors import PromptError
from workbench.models.policy import Decision, Judgement
from workbench.prompts import (
    ACTION,
    ANALYZE,
    CHOOSE,
    PromptBuilder,
    assign_labels,
    cut_at_marker,
    label_candidates,
    policy_text,
    reflection_text,
    single_token_labels,
    suggested_command,
)
from workbench.records import Reflection
from workbench.rollout.play import Assignment, Rules, Situation, script
from workbench.seeding import generator

GOLDEN = Path(__file__).parent / "golden"
TASK = "r2c3-R-G"
THOUGHT = "The passenger is north and west, so go west."
ORDER = [3, 0, 5, 1, 4, 2]

TOKENIZERS = {
    "byte-level": byte_level_tokenizer,
    "byte-level-bos": lambda: byte_level_tokenizer(bos=True),
    "word-start": word_start_tokenizer,
    "tiny": taxi_tokenizer,
}


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]()


@pytest.fixture(scope="module")
def taxi():
    env = make_env("taxi")
    observation, info = env.reset(seed=0, options={"task": TASK, "stage": "full"})
    return info["task_statement"], observation, info["admissible_commands"]


def builder_for(tokenizer, max_tokens=10_000):
    return PromptBuilder(tokenizer, max_tokens)


def golden(name):
    return (GOLDEN / name).read_bytes().decode()


# The three forms -----------------------------------------------------------------------------------------


def forms(builder, taxi):
    statement, observation, commands = taxi
    labels = [builder.labels[place] for place in ORDER]
    return {
        "taxi_reflection.txt": builder.reflection(statement, observation),
        "taxi_policy.txt": builder.policy(statement, observation, builder.encode(THOUGHT), commands, labels),
        "taxi_no_player.txt": builder.policy(statement, observation, None, commands, labels),
    }


@pytest.mark.parametrize("name", ["taxi_reflection.txt", "taxi_policy.txt", "taxi_no_player.txt"])
def test_prompts_read_as_the_golden_files(tokenizer, taxi, name):
    prompt = forms(builder_for(tokenizer), taxi)[name]
    text = tokenizer.decode(list(prompt.token_ids), skip_special_tokens=True)
    # A tokenizer that marks word starts reads every piece back with a space before it; no line has one at its ends otherwise.
    assert re.sub(" ?\n ?", "\n", text) == golden(name)
    assert not prompt.was_cut


def test_prompts_in_letters_read_as_the_same_files(taxi):
    statement, observation, commands = taxi
    labels = [label_candidates()[place] for place in ORDER]
    assert reflection_text(statement, observation) == golden("taxi_reflection.txt")
    assert policy_text(statement, observation, THOUGHT, commands, labels) == golden("taxi_policy.txt")
    assert policy_text(statement, observation, None, commands, labels) == golden("taxi_no_player.txt")


def test_without_a_task_statement_the_observation_begins(tokenizer):
    assert reflection_text("", "A door.") == f"A door.\n{ANALYZE}"
    assert policy_text("", "A door.", None, ("open",), ("0",)) == f"A door.\n{CHOOSE}0 open\n{ACTION}"
    builder = builder_for(tokenizer)
    start = builder.reflection("a", "b").token_ids[: -len(builder.encode("a\n") + builder.encode("b\n") + builder.encode(ANALYZE))]
    assert builder.reflection("", "A door.").token_ids == (*start, *builder.encode("A door.\n"), *builder.encode(ANALYZE))


def test_pieces_are_tokenised_one_by_one_and_joined_as_ids(tokenizer, taxi):
    statement, observation, commands = taxi
    builder = builder_for(tokenizer)
    said = builder.encode(THOUGHT)

    def pieces(*texts):
        return [token for text in texts for token in tokenizer.encode(text, add_special_tokens=False)]

    start = [tokenizer.bos_token_id] if tokenizer.encode("a")[0] == tokenizer.bos_token_id else []
    head = start + pieces(f"{statement}\n", f"{observation}\n")
    listed = [
        token
        for place, command in zip(ORDER, commands, strict=True)
        for token in (builder.labels[place].token_id, *pieces(f" {command}\n"))
    ]
    found = forms(builder, taxi)
    assert list(found["taxi_reflection.txt"].token_ids) == head + pieces(ANALYZE)
    assert list(found["taxi_policy.txt"].token_ids) == head + pieces(ANALYZE) + list(said) + pieces(CHOOSE) + listed + pieces(ACTION)
    assert list(found["taxi_no_player.txt"].token_ids) == head + pieces(CHOOSE) + listed + pieces(ACTION)


def test_the_begin_of_text_comes_first_where_the_tokenizer_adds_it(taxi):
    statement, observation, _ = taxi
    wanting, other = word_start_tokenizer(), byte_level_tokenizer(bos=True)
    assert builder_for(wanting).reflection(statement, observation).token_ids[0] == wanting.bos_token_id
    assert other.bos_token_id not in builder_for(other).reflection(statement, observation).token_ids


def test_the_reflection_player_never_sees_the_list_of_commands(taxi):
    text = golden("taxi_reflection.txt")
    _, observation, commands = taxi
    assert text.endswith(ANALYZE)
    assert CHOOSE.strip() not in text
    # The statement and the observation may name commands; as a list, a line each, they are not there.
    assert not set(commands) & {line.split(" ", 1)[-1] for line in text.replace(observation, "").splitlines()}


def test_the_list_comes_after_the_reflection():
    text = golden("taxi_policy.txt")
    assert text.index(ANALYZE) < text.index(THOUGHT) < text.index(CHOOSE) < text.index(" south\n", text.index(CHOOSE)) < text.index(ACTION)
    assert text.endswith(ACTION)


def test_the_policys_prompt_begins_with_the_whole_reflection_prompt(tokenizer, taxi):
    found = forms(builder_for(tokenizer), taxi)
    shorter = found["taxi_reflection.txt"].token_ids
    assert found["taxi_policy.txt"].token_ids[: len(shorter)] == shorter


def test_special_tokens_spelled_out_in_a_text_are_words(tokenizer):
    builder = builder_for(tokenizer)
    evil = f"wall {tokenizer.eos_token} south"
    special = set(tokenizer.all_special_ids)
    assert tokenizer.eos_token_id in tokenizer.encode(evil, add_special_tokens=False)
    assert not special & set(builder.encode(evil))
    assert not special & set(builder.reflection("Go.", evil).token_ids[1:])
    assert tokenizer.decode(list(builder.encode(evil))) == evil


# One builder everywhere ----------------------------------------------------------------------------------


def example(taxi):
    statement, observation, commands = taxi
    return Example(
        kind="positive",
        split="train",
        stage="full",
        task=TASK,
        trajectory=0,
        turn=0,
        task_statement=statement,
        observation=observation,
        state_key="x",
        commands=commands,
        oracle_command="west",
        behaviour_command="east",
        reflection=THOUGHT,
    )


@pytest.mark.parametrize("reflects", [True, False])
def test_warm_up_and_rollout_see_the_same_ids(tokenizer, taxi, reflects):
    builder = builder_for(tokenizer)
    rules = Rules(prompts=builder, reflects=reflects, shares_tokens=True)
    playing = script(make_env("taxi"), Assignment("t", "rl", 0, TASK, "full", seed=7), rules)
    question = next(playing)
    if reflects:
        assert isinstance(question, Situation)
        said = builder.encode(THOUGHT)
        asked = builder.reflection(question.task_statement, question.observation)
        row = reflection_row(example(taxi), builder, tokenizer.eos_token_id, max_new_tokens=100)
        assert row.input_ids == [*asked.token_ids, *said, tokenizer.eos_token_id]
        question = playing.send(Reflection(THOUGHT, token_ids=said))
    assert isinstance(question, Decision)
    # The same labels: rollout shuffles by its own dice, so the warm-up's number is looked for.
    for number in range(5000):
        if [label.token_id for label in assign_labels(builder.labels, 6, generator(0, "sft-labels", number))] == question.label_token_ids:
            break
    else:
        pytest.fail("no example number gives the rollout's labels")
    row = policy_row(example(taxi), number, builder, DataConfig(), seed=0, with_reflection=reflects)
    assert row.input_ids[:-1] == list(question.prompt_token_ids)
    assert row.input_ids[-1] == question.label_token_ids[taxi[2].index("west")]
    assert row.labels == [-100] * (len(row.input_ids) - 1) + row.input_ids[-1:]


# Labels --------------------------------------------------------------------------------------------------


def test_labels_are_one_token_each_and_read_back(tokenizer):
    labels = single_token_labels(tokenizer)
    assert len(labels) >= 62  # digits and letters at least
    assert len({label.token_id for label in labels}) == len(labels)
    assert not {label.token_id for label in labels} & set(tokenizer.all_special_ids)
    order = label_candidates()
    assert [order.index(label.text) for label in labels] == sorted(order.index(label.text) for label in labels)
    for label in labels:
        assert tokenizer.decode([label.token_id]).strip() == label.text


def test_a_tokenizer_that_marks_word_starts_still_has_digits():
    tokenizer = word_start_tokenizer()
    assert len(tokenizer.encode("0", add_special_tokens=False)) == 2
    labels = single_token_labels(tokenizer)
    assert [label.text for label in labels[:10]] == list("0123456789")
    assert labels[0].token_id == tokenizer.convert_tokens_to_ids("0")


def test_labels_in_the_list_are_the_ids_the_policy_is_asked_for(tokenizer, taxi):
    statement, observation, commands = taxi
    builder = builder_for(tokenizer)
    labels = [builder.labels[place] for place in ORDER]
    ids = list(builder.policy(statement, observation, None, commands, labels).token_ids)
    tail = ids[len(ids) - sum(1 + len(builder.encode(f" {command}\n")) for command in commands) - len(builder.encode(ACTION)) :]
    place = 0
    for label, command in zip(labels, commands, strict=True):
        assert tail[place] == label.token_id
        place += 1 + len(builder.encode(f" {command}\n"))


def test_candidates_are_the_papers_252():
    names = label_candidates()
    assert len(names) == len(set(names)) == 252
    assert names[:2] + names[199:202] + names[-1:] == ["0", "1", "199", "a", "b", "Z"]


def test_too_few_labels_are_one_line():
    labels = single_token_labels(word_start_tokenizer())
    with pytest.raises(PromptError) as caught:
        assign_labels(labels, 100, generator(0))
    message = str(caught.value)
    assert f"{len(labels)} single-token labels" in message and "100 commands" in message
    assert "use another model" in message and "\n" not in message


def test_assigned_labels_are_a_seeded_permutation_of_the_first():
    labels = single_token_labels(byte_level_tokenizer())
    one = assign_labels(labels, 6, generator(3, "labels"))
    assert sorted(one) == sorted(labels[:6])
    assert assign_labels(labels, 6, generator(3, "labels")) == one
    seen = {tuple(assign_labels(labels, 6, generator(seed))) for seed in range(200)}
    assert len(seen) > 120  # of 720
    firsts = np.bincount([labels.index(assign_labels(labels, 6, generator(seed))[0]) for seed in range(600)], minlength=6)
    assert firsts.min() > 60  # 100 expected: no label stands for a command
    assert assign_labels(labels, 0, generator(0)) == []


# What a reflection says ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "commands", "expected"),
    [
        ("The wall is north, so go west.", ("north", "west"), "west"),
        ("west. No: NORTH!", ("north", "west"), "north"),
        ("The northern road", ("north", "west"), None),
        ("", ("north",), None),
        ("go north", (), None),
        ("take the key now", ("take key", "take the key", "key"), "take the key"),
        ("Now pick  up\nthe key.", ("key", "pick up the key", "the key"), "pick up the key"),
        ("put pick_up-2 there", ("pick-up 2", "put"), "pick-up 2"),
        ("open door 1 then open door 2", ("open door 1", "open door 2", "open door 22"), "open door 2"),
        ("nothing to say ... or so", ("...", "!"), None),
    ],
)
def test_the_command_named_last_is_suggested(text, commands, expected):
    assert suggested_command(text, commands) == expected


def test_equal_ends_prefer_the_longer_command_in_any_order():
    for commands in (("key", "blue key"), ("blue key", "key")):
        assert suggested_command("take the blue key", commands) == "blue key"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Go west.", "Go west."),
        ("Go west.\n# Choose:\n0 north\n# Action:\n0", "Go west.\n"),
        ("# Action:\n3", ""),
        ("x # Analyze: y # Choose: z", "x "),
        ("#Choose: is no marker", "#Choose: is no marker"),
    ],
)
def test_a_reflection_ends_where_it_would_forge_a_prompt(text, kept):
    assert cut_at_marker(text) == kept


# Truncation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["reflection", "policy", "no player"])
def test_only_the_observation_is_cut_and_from_its_beginning(tokenizer, taxi, form):
    statement, _, commands = taxi
    observation = "\n".join(f"line {number}" for number in range(60))
    builder = builder_for(tokenizer)

    def prompt(builder):
        if form == "reflection":
            return builder.reflection(statement, observation)
        said = builder.encode(THOUGHT) if form == "policy" else None
        return builder.policy(statement, observation, said, commands, builder.labels[:6])

    whole, body = prompt(builder), builder.encode(f"{observation}\n")
    size = len(whole.token_ids)
    start = next(place for place in range(size) if whole.token_ids[place : place + len(body)] == body)
    for cut in (0, 1, len(body) // 2, len(body) - 1):
        short = prompt(builder_for(tokenizer, size - cut))
        assert short.was_cut == (cut > 0)
        assert short.token_ids == whole.token_ids[:start] + whole.token_ids[start + cut :]
    for excess in (len(body), len(body) + 1):
        with pytest.raises(PromptError) as caught:
            prompt(builder_for(tokenizer, size - excess))
        message = str(caught.value)
        assert f"needs {size - len(body)} tokens without its observation" in message
        assert f"room for {size - excess}" in message and "\n" not in message


def test_a_cut_prompt_is_told_to_the_record(taxi):
    tokenizer = byte_level_tokenizer()
    builder = builder_for(tokenizer)
    statement, observation, commands = taxi
    size = len(builder.policy(statement, observation, None, commands, builder.labels[:6]).token_ids)
    rules = Rules(prompts=builder_for(tokenizer, size - 3), reflects=False, shares_tokens=True)
    playing = script(make_env("taxi", horizon=1), Assignment("t", "rl", 0, TASK, "full", seed=7), rules)
    next(playing)
    with pytest.raises(StopIteration) as ended:
        playing.send(Judgement(np.log(np.full(6, 1 / 6))))
    turn = ended.value.value.turns[0]
    assert turn.prompt_was_cut
    assert len(turn.prompt_token_ids) == size - 3
    assert turn.observation == observation  # the record keeps what the environment said


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tokenizers_of_every_architecture_give_labels_for_every_taxi_state(architecture):
    assert len(single_token_labels(tokenizer_for(architecture))) >= 6
