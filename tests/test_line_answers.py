"""What the policy is asked at the end of every listed command: where, what, and how it joins the loss."""

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from tests.small_play import CHAIN, play_config, world_examples, world_tokenizer
from workbench.config import RunConfig, SFTSettings
from workbench.data.sets import IGNORED, Row, policy_row, reflection_row
from workbench.models.language_model import LanguageModel
from workbench.models.loading import build_players
from workbench.prompts import ACTION
from workbench.trainers import sft
from workbench.trainers.label_loss import is_for_labels, label_loss

EXAMPLES = world_examples(CHAIN)[:12]
SETTINGS = SFTSettings(max_steps=4, per_device_train_batch_size=4, warmup_steps=0, learning_rate=3e-3, logging_steps=1)


def player() -> LanguageModel:
    return build_players(play_config(CHAIN, "seed=0"), world_tokenizer(CHAIN)).policy


def rows(asked: bool) -> list[Row]:
    config = RunConfig().data.model_copy(update={"line_answers": asked})
    prompts = player().prompts(room=1)
    return [policy_row(one, number, prompts, config, seed=0, with_reflection=True) for number, one in enumerate(EXAMPLES)]


def test_each_line_is_asked_after_its_last_token_and_only_the_chosen_one_answers_its_label():
    prompts = player().prompts(room=1)
    other = prompts.encode(ACTION)[0]
    for row, plain, example in zip(rows(True), rows(False), EXAMPLES, strict=True):
        assert row.input_ids == plain.input_ids, "nothing else is fed"
        assert row.labels[-1] == plain.labels[-1] == row.input_ids[-1]
        asked = [place for place, label in enumerate(row.labels[:-1]) if label != IGNORED]
        assert len(asked) == len(example.commands)
        chosen = []
        for place, command in zip(asked, example.commands, strict=True):
            line = list(prompts.encode(f" {command}\n"))
            assert row.input_ids[place - len(line) : place] == line, "the line has just ended"
            own_label = row.input_ids[place - len(line) - 1]
            assert row.labels[place] in (own_label, other)
            if row.labels[place] == own_label:
                chosen.append(own_label)
        assert chosen == [row.input_ids[-1]]


def test_a_policy_that_speaks_is_asked_nothing():
    config = RunConfig().data.model_copy(update={"line_answers": True})
    prompts = player().prompts(room=8)
    row = policy_row(EXAMPLES[0], 0, prompts, config, seed=0, with_reflection=True, speaks=True)
    taught = [place for place, label in enumerate(row.labels) if label != IGNORED]
    assert all(row.labels[place] == row.input_ids[place] for place in taught)


def test_rows_are_told_apart():
    prompts = player().prompts(room=40)
    eos = int(world_tokenizer(CHAIN).eos_token_id)
    written = [reflection_row(one, prompts, eos, max_new_tokens=40) for one in EXAMPLES[:3]]
    for found, expected in ((rows(True), True), (rows(False), True), (written, False)):
        columns = (([row.input_ids for row in found], 0), ([row.labels for row in found], IGNORED))
        ids_BT, targets_BT = (pad_sequence([torch.tensor(one) for one in part], True, filler) for part, filler in columns)
        assert is_for_labels(ids_BT, targets_BT) is expected


def test_the_loss_is_that_of_whole_sequences():
    model, chosen = player(), rows(True)[:5]
    found = label_loss(model, [row.input_ids for row in chosen], [row.labels for row in chosen])
    answers, lines = [], []
    with torch.no_grad():
        for row in chosen:
            log_probs_TV = model.model(torch.tensor([row.input_ids])).logits[0].log_softmax(-1)
            taught = [place for place, label in enumerate(row.labels) if label != IGNORED]
            said = [-float(log_probs_TV[place - 1, row.labels[place]]) for place in taught]
            answers.append(said[-1])
            lines += said[:-1]
    assert found.answers_B.tolist() == pytest.approx(answers, abs=1e-5)
    assert float(found.lines.detach()) == pytest.approx(sum(lines) / len(lines), abs=1e-5)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_warm_up_learns_both(accumulation):
    model = player()
    settings = SETTINGS.model_copy(update={"gradient_accumulation_steps": accumulation})
    logged = []
    sft.train_segment(
        model,
        rows(True),
        sft.prepare(model, settings),
        settings,
        start=0,
        stop=4,
        seed=3,
        on_log=lambda step, metrics: logged.append(metrics["loss/sft"]),
        on_step=lambda step: False,
    )
    start = player()
    order = sft.row_order(len(EXAMPLES), 0, 4 * accumulation, seed=3)
    passes = [[rows(True)[place] for place in order[at : at + 4]] for at in range(0, len(order), 4)]
    expected = [label_loss(start, [row.input_ids for row in one], [row.labels for row in one]) for one in passes]
    first = [float(one.answers_B.detach().mean()) + float(one.lines.detach()) for one in expected]
    assert logged[0] == pytest.approx(sum(first) / len(first), abs=1e-4)
    assert logged[-1] < logged[0]
