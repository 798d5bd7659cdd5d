"""Supervised warm-up: where the loss falls, and that it goes on exactly as it would have."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.small_models import save_small
from tests.small_play import CHAIN, play_config, world_examples, world_tokenizer
from workbench.config import RunConfig, SFTSettings
from workbench.data.sets import IGNORED, Row, policy_row, reflection_row
from workbench.errors import DataError
from workbench.models.language_model import Batch, LanguageModel
from workbench.models.loading import build_players, load_player
from workbench.trainers import sft
from workbench.trainers.checkpoint import load_optimizer, read_state, save_checkpoint
from workbench.trainers.label_loss import text_loss

SEED = 11
SETTINGS = SFTSettings(max_steps=10, per_device_train_batch_size=4, warmup_steps=2, learning_rate=3e-3, logging_steps=3)


def player(seed: int = 0) -> LanguageModel:
    config = play_config(CHAIN, f"seed={seed}")
    return build_players(config, world_tokenizer(CHAIN)).policy


def rows() -> list[Row]:
    """Of both kinds, so that lengths and numbers of taught tokens differ."""
    prompts, config = player().prompts(room=1), RunConfig().data
    eos = int(world_tokenizer(CHAIN).eos_token_id)
    chosen = list(enumerate(world_examples(CHAIN)))[:9]
    answers = [policy_row(example, number, prompts, config, seed=0, with_reflection=True) for number, example in chosen]
    return answers + [reflection_row(example, prompts, eos, max_new_tokens=40) for _, example in chosen]


ROWS = rows()


def train(
    model: LanguageModel,
    warm_up: sft.WarmUp,
    start: int,
    stop: int,
    settings: SFTSettings = SETTINGS,
    on_step: Callable[[int], bool] = lambda step: False,
) -> tuple[int, list[tuple[int, dict[str, float]]]]:
    logged: list[tuple[int, dict[str, float]]] = []
    done = sft.train_segment(
        model,
        ROWS,
        warm_up,
        settings,
        start=start,
        stop=stop,
        seed=SEED,
        on_log=lambda step, metrics: logged.append((step, metrics)),
        on_step=on_step,
    )
    return done, logged


def weights(model: LanguageModel) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.model.state_dict().items()}


def assert_equal_weights(one: LanguageModel, other: LanguageModel) -> None:
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys()
    different = [name for name in mine if not torch.equal(mine[name], theirs[name])]
    assert not different


@pytest.fixture(scope="module")
def whole():
    """Ten steps in one go."""
    model = player()
    done, logged = train(model, sft.prepare(model, SETTINGS), 0, 10)
    assert done == 10
    return model, logged


def test_the_warm_up_learns(whole):
    model = player()
    many = SETTINGS.model_copy(update={"max_steps": 60, "logging_steps": 10})
    _, logged = train(model, sft.prepare(model, many), 0, 60, many)
    losses = [metrics["loss/sft"] for _, metrics in logged]
    assert losses[-1] < 0.5 * losses[0]


def test_what_reaches_the_loss_is_taught_on_the_answers_only(monkeypatch):
    model = player()
    seen: list[tuple[list[int], list[int]]] = []

    def noted(given, rows, targets):
        seen.extend(zip(rows, targets, strict=True))
        return text_loss(given, rows, targets)

    monkeypatch.setattr(sft, "text_loss", noted)
    train(model, sft.prepare(model, SETTINGS), 0, 2)
    order = sft.row_order(len(ROWS), 0, 8, seed=SEED)
    assert len(seen) == len(order) == 8
    for (ids, labels), row in zip(seen, (ROWS[place] for place in order), strict=True):
        assert ids == row.input_ids and labels == row.labels and IGNORED in labels


def test_the_loss_is_the_mean_over_taught_tokens():
    model = player()
    expected = mean_loss(model, [ROWS[place] for place in sft.row_order(len(ROWS), 0, 4, seed=SEED)])
    every = SETTINGS.model_copy(update={"logging_steps": 1})
    _, logged = train(model, sft.prepare(model, every), 0, 1, every)
    assert logged[0][1]["loss/sft"] == pytest.approx(expected, abs=1e-5)


def mean_loss(model: LanguageModel, chosen: list[Row]) -> float:
    losses = []
    base: Any = model.model
    with torch.no_grad():
        for row in chosen:
            log_probs_TV = base(torch.tensor([row.input_ids])).logits[0].log_softmax(-1)
            taught = [place for place, label in enumerate(row.labels) if label != IGNORED]
            losses += [-float(log_probs_TV[place - 1, row.labels[place]]) for place in taught]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_rows_of_labels_learn_what_they_would_from_whole_rows(accumulation, monkeypatch):
    labels_only = [row for row in ROWS if sum(label != IGNORED for label in row.labels) == 1]
    assert len({len(row.input_ids) for row in labels_only}) > 1, "some rows are padded"
    settings = SETTINGS.model_copy(update={"logging_steps": 1, "gradient_accumulation_steps": accumulation})
    found = []
    for shorter in (True, False):
        if not shorter:
            monkeypatch.delattr(sft._Trainer, "compute_loss")
        model = player()
        logged: list[dict[str, float]] = []

        def keep(step: int, metrics: dict[str, float], kept: list[dict[str, float]] = logged) -> None:
            kept.append(metrics)

        sft.train_segment(
            model,
            labels_only,
            sft.prepare(model, settings),
            settings,
            start=0,
            stop=3,
            seed=SEED,
            on_log=keep,
            on_step=lambda step: False,
        )
        found.append((model, logged))
    (fast, fast_logged), (plain, plain_logged) = found
    for one, other in zip(fast_logged, plain_logged, strict=True):
        assert one == pytest.approx(other, abs=2e-4)
    for name, value in weights(fast).items():
        torch.testing.assert_close(value, weights(plain)[name], atol=2e-4, rtol=1e-3)


def test_the_models_own_forward_is_back_afterwards(whole):
    model, _ = whole
    assert "forward" not in model.model.__dict__
    assert not model.model.training
    assert model.forward(Batch(torch.tensor([[1, 2, 3]]), None, None)).logits.shape[1] == 1

    own = player()
    base: Any = own.model
    marked = base.forward
    base.forward = marked
    train(own, sft.prepare(own, SETTINGS), 0, 1)
    assert base.__dict__["forward"] is marked


def test_forward_is_back_when_training_breaks():
    model = player()

    def explode(step: int) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, sft.prepare(model, SETTINGS), 0, 3, on_step=explode)
    assert "forward" not in model.model.__dict__


@pytest.mark.parametrize("cuts", [(4,), (1, 2, 9), (5, 6)])
def test_segments_with_checkpoints_between_give_the_same_bits(whole, tmp_path, cuts):
    expected, expected_log = whole
    logged: list[tuple[int, dict[str, float]]] = []
    model = player()
    warm_up = sft.prepare(model, SETTINGS)
    for start, stop in zip((0, *cuts), (*cuts, 10), strict=True):
        _, new = train(model, warm_up, start, stop)
        logged += new
        state = {"scheduler": sft.scheduler_state(warm_up.scheduler), "unlogged": warm_up.unlogged}
        folder = save_checkpoint(tmp_path, stop, state=state, players={"policy": model}, optimizer=warm_up.optimizer)
        model = loaded(model, folder)
        warm_up = sft.prepare(model, SETTINGS)
        saved = read_state(folder)
        load_optimizer(folder, saved, warm_up.optimizer)
        warm_up.scheduler.load_state_dict(saved["scheduler"])
        warm_up.unlogged.extend(saved["unlogged"])
    assert_equal_weights(model, expected)
    assert logged == expected_log


def loaded(like: LanguageModel, folder: Any) -> LanguageModel:
    other = player(seed=5)
    load_player(other, folder, "policy")
    assert_equal_weights(other, like)
    return other


@pytest.fixture
def adapted(tmp_path):
    """Two players as adapters of one small GPT-2."""
    model = save_small(tmp_path / "gpt2", "gpt2")
    return build_players(play_config(CHAIN, f"policy.model={model}", "policy.lora.lora_r=4"), None)


def adapter_rows(model: LanguageModel) -> list[Row]:
    prompts, eos = model.prompts(room=80), int(model.tokenizer.eos_token_id)
    return [reflection_row(example, prompts, eos, max_new_tokens=80) for example in world_examples(CHAIN)[:6]]


def test_only_the_players_own_adapter_is_trained(adapted):
    model = adapted.reflection
    base, before = model.model.get_base_model(), weights(model)
    warm_up = sft.prepare(model, SETTINGS)
    sft.train_segment(
        model, adapter_rows(model), warm_up, SETTINGS, start=0, stop=3, seed=0, on_log=lambda *_: None, on_step=lambda _: False
    )
    changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert changed
    assert changed == {name for name in before if ".reflection." in name}
    assert "forward" not in base.__dict__ and "forward" not in model.model.__dict__
    assert not model.model.training
    assert model.forward(Batch(torch.tensor([[1, 2, 3]]), None, None)).logits.shape[1] == 1


def test_a_different_seed_is_another_warm_up(whole):
    other = player()
    warm_up = sft.prepare(other, SETTINGS)
    sft.train_segment(other, ROWS, warm_up, SETTINGS, start=0, stop=10, seed=SEED + 1, on_log=lambda *_: None, on_step=lambda step: False)
    assert not torch.equal(weights(other)["model.embed_tokens.weight"], weights(whole[0])["model.embed_tokens.weight"])


def test_on_step_is_asked_after_every_step_and_may_end_it(whole):
    model = player()
    warm_up = sft.prepare(model, SETTINGS)
    asked: list[int] = []

    def enough(step: int) -> bool:
        asked.append(step)
        return step == 4

    done, first = train(model, warm_up, 0, 10, on_step=enough)
    assert (done, asked) == (4, [1, 2, 3, 4])
    assert [step for step, _ in first] == [3]
    assert len(warm_up.unlogged) == 1
    _, rest = train(model, warm_up, 4, 10)
    assert_equal_weights(model, whole[0])
    assert first + rest == whole[1]


def test_lines_are_means_at_multiples_of_logging_steps(whole):
    every = SETTINGS.model_copy(update={"logging_steps": 1})
    model = player()
    _, single = train(model, sft.prepare(model, every), 0, 10, every)
    assert [step for step, _ in single] == list(range(1, 11))
    assert [step for step, _ in whole[1]] == [3, 6, 9]
    for step, metrics in whole[1]:
        covered = [values for number, values in single if step - 3 < number <= step]
        assert metrics["loss/sft"] == pytest.approx(sum(one["loss/sft"] for one in covered) / 3)
        assert metrics["sft/token_accuracy"] == pytest.approx(sum(one["sft/token_accuracy"] for one in covered) / 3)
        assert metrics["sft/learning_rate"] == covered[-1]["sft/learning_rate"]
        assert metrics["sft/gradient_norm"] > 0


def test_accumulated_micro_batches_are_one_batch(whole):
    halves = SETTINGS.model_copy(update={"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2})
    model = player()
    _, logged = train(model, sft.prepare(model, halves), 0, 10, halves)
    for name, value in weights(whole[0]).items():
        torch.testing.assert_close(weights(model)[name], value, atol=2e-5, rtol=0, msg=name)
    assert [round(metrics["loss/sft"], 4) for _, metrics in logged] == [round(metrics["loss/sft"], 4) for _, metrics in whole[1]]


def test_the_learning_rate_warms_up_and_falls():
    every = SETTINGS.model_copy(update={"logging_steps": 1})
    model = player()
    _, logged = train(model, sft.prepare(model, every), 0, 10, every)
    # What each step used: linear to 3e-3 over two steps, then a half cosine over eight.
    cosine = [3e-3 * 0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    expected = [0.0, 1.5e-3, *cosine]
    assert [metrics["sft/learning_rate"] for _, metrics in logged] == pytest.approx(expected, abs=1e-9)


def test_row_order_goes_through_every_row_before_it_repeats():
    order = sft.row_order(5, 0, 15, seed=0)
    assert [sorted(order[start : start + 5]) for start in (0, 5, 10)] == [[0, 1, 2, 3, 4]] * 3
    assert order[:5] != order[5:10]
    assert sft.row_order(5, 7, 13, seed=0) == order[7:13]
    assert sft.row_order(5, 0, 15, seed=1) != order


def test_without_rows_there_is_nothing_to_learn():
    model = player()
    with pytest.raises(DataError, match=r"no training rows; raise data.trajectories"):
        sft.train_segment(
            model, [], sft.prepare(model, SETTINGS), SETTINGS, start=0, stop=1, seed=0, on_log=lambda *_: None, on_step=lambda _: False
        )


def test_only_the_players_own_parameters_are_in_the_optimizer():
    model = player()
    before = copy.deepcopy(weights(model))
    train(model, sft.prepare(model, SETTINGS), 0, 3)
    changed = [name for name, value in weights(model).items() if not torch.equal(value, before[name])]
    assert set(changed) == set(before)
