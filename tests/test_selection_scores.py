"""Scores and embeddings of one pass: by hand, against a plain loop, and indifferent to padding and order."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from tests.small_models import PLAYERS, player_named
from workbench.errors import ConfigError, DataError, ModelError
from workbench.selection.features import QUANTITIES, SCORES, Features
from workbench.selection.scores import score_prompts, token_quantities

PROMPTS = ["go south", "The passenger is south and east", "x1", "A wall is in the way so drive west. pickup", "go north"]
CLOSE = 1e-4  # padding changes the order of float32 sums


def test_token_quantities_by_hand():
    probs = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.25] * 4, [1.0, 0.0, 0.0, 0.0]])
    found = token_quantities(probs.log(), torch.tensor([0, 3, 0]))
    expected = [[1.5 * math.log(2), 0.5, 0.75, math.log(2)], [math.log(4), 0.75, 1.0, math.log(4)], [0.0, 0.0, 0.0, 0.0]]
    assert found.numpy() == pytest.approx(np.array(expected), abs=1e-6)


@torch.no_grad()
def plain(player: Any, prompt: str, max_new_tokens: int) -> tuple[np.ndarray, torch.Tensor]:
    """One prompt at a time, no cache, no padding: every token's quantities, and the prompt's last hidden layer."""
    ids = player.tokenizer.encode(prompt)
    first = player.model(torch.tensor([ids]), output_hidden_states=True)
    rows = []
    for _ in range(max_new_tokens):
        probs = player.model(torch.tensor([ids])).logits[0, -1].double().softmax(-1)
        taken = int(probs.argmax())
        two = probs.sort(descending=True).values[:2]
        rows.append([float(-(probs * probs.log()).sum()), 1 - float(probs[taken]), 1 - float(two[0] - two[1]), -math.log(probs[taken])])
        ids = [*ids, taken]
        if taken == player.tokenizer.eos_token_id:
            break
    return np.array(rows), first.hidden_states[-1][0]


@pytest.mark.parametrize("name", PLAYERS)
def test_one_pass_equals_a_plain_loop(name):
    player = player_named(name)
    found: Any = score_prompts(player, PROMPTS, max_new_tokens=6, batch_size=3)
    last = score_prompts(player, PROMPTS, max_new_tokens=6, pooling="last")
    assert set(found.scores) == set(SCORES)
    for place, prompt in enumerate(PROMPTS):
        rows_TQ, hidden_TE = plain(player, prompt, 6)
        assert found.lengths[place] == len(rows_TQ)
        for column, quantity in enumerate(QUANTITIES):
            values = rows_TQ[:, column]
            for reducer, value in (("mean", values.mean()), ("max", values.max()), ("sum", values.sum())):
                assert found.scores[f"{quantity}-{reducer}"][place] == pytest.approx(value, abs=CLOSE)
        for one, vector in ((found, hidden_TE.mean(0)), (last, hidden_TE[-1])):
            assert one.embeddings[place] == pytest.approx((vector / vector.norm()).numpy(), abs=CLOSE)


class EndsAt:
    """Makes end-of-text certain at a step of decoding."""

    def __init__(self, player: Any, step: int) -> None:
        self.player, self.step, self.calls, self.forward = player, step, 0, player.forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        output = self.forward(*args, **kwargs)
        if self.calls == self.step:
            output.logits[0, -1, self.player.tokenizer.eos_token_id] += 1e4  # of the first row of the batch only
        self.calls += 1
        return output


def test_nothing_counts_after_end_of_text(monkeypatch):
    player = player_named("gpt2")
    whole: Any = score_prompts(player, PROMPTS[:2], max_new_tokens=5)
    monkeypatch.setattr(player, "forward", EndsAt(player, 2))
    found: Any = score_prompts(player, PROMPTS[:2], max_new_tokens=5)
    short, other = (0, 1) if found.lengths[0] < found.lengths[1] else (1, 0)
    assert (found.lengths[short], found.lengths[other]) == (3, whole.lengths[other])
    assert found.scores["surprisal-sum"][other] == pytest.approx(whole.scores["surprisal-sum"][other], abs=CLOSE)
    assert found.scores["entropy-mean"][short] == pytest.approx(found.scores["entropy-sum"][short] / 3)
    rows_TQ, _ = plain(player, PROMPTS[short], 2)
    assert found.scores["surprisal-sum"][short] == pytest.approx(rows_TQ[:, 3].sum(), abs=CLOSE)  # the forced end adds nothing


def test_order_and_batches_do_not_matter():
    player = player_named("gpt2")
    found = score_prompts(player, PROMPTS, max_new_tokens=4, batch_size=2)
    turned = score_prompts(player, PROMPTS[::-1], max_new_tokens=4, batch_size=5)
    assert found.embeddings == pytest.approx(turned.embeddings[::-1], abs=CLOSE)
    assert found.scores["entropy-mean"] == pytest.approx(turned.scores["entropy-mean"][::-1], abs=CLOSE)


def test_each_prompt_is_read_once_and_nothing_learns(monkeypatch):
    player = player_named("gpt2")
    read: list[int] = []
    forward = player.forward

    def counting(batch: Any, **kwargs: Any) -> Any:
        assert not torch.is_grad_enabled()
        if kwargs["past_key_values"].get_seq_length() == 0:
            read.append(len(batch.token_ids_BT))
        return forward(batch, **kwargs)

    monkeypatch.setattr(player, "forward", counting)
    done: list[int] = []
    score_prompts(player, PROMPTS, max_new_tokens=3, batch_size=2, on_progress=done.append)
    assert sum(read) == len(PROMPTS)
    assert done == [2, 4, 5]


def test_long_prompts_lose_their_beginning():
    player = player_named("gpt2")
    found: Any = score_prompts(player, ["go " * 3000 + "south"], max_new_tokens=4)
    assert found.facts["prompts_cut"] == 1
    assert found.lengths[0] >= 1


def test_bad_settings_are_refused():
    player = player_named("gpt2")
    with pytest.raises(ConfigError, match="unknown pooling 'max'; known: mean, last"):
        score_prompts(player, PROMPTS, pooling="max")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="max_new_tokens from 1 to 511, found 32 and 512"):
        score_prompts(player, PROMPTS, max_new_tokens=512)
    with pytest.raises(DataError, match="the pool is empty"):
        score_prompts(player, [])
    with torch.no_grad():
        next(player.model.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="gpt2: gives NaN or infinity"):
        score_prompts(player, PROMPTS)


def test_length_correlation_is_spearmans():
    lengths = np.array([1, 2, 3, 4])
    scores = {"up": np.array([1.0, 2, 3, 100]), "down": np.array([4.0, 3, 2, -9]), "mixed": np.array([1.0, 3, 2, 4]), "flat": np.ones(4)}
    found = Features(np.eye(4, dtype=np.float32), scores, lengths).length_correlations()
    assert found == {"up": pytest.approx(1), "down": pytest.approx(-1), "mixed": pytest.approx(0.8), "flat": None}
