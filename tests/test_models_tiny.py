"""What a `tiny` player starts from: how its text is cut, and how its weights begin."""

import pytest
import torch

from workbench.config import TinyConfig
from workbench.models.loading import SHORT_CONTEXT, build_tiny
from workbench.models.tokenizer import PIECES, train_tokenizer

COMMANDS = ["go to cabinet 1", "take mug 2 from desk 1", "cat truck_load.java", "cd .."]
TEXTS = [f" {command}\n" for command in COMMANDS for _ in range(40)] + [f"The thing is there, so: {command}.\n" for command in COMMANDS]


def tokenizer(pieces: str):
    return train_tokenizer(TEXTS, whole=[], vocab_size=800, pieces=pieces)


@pytest.mark.parametrize("pieces", sorted(PIECES))
def test_every_text_comes_back(pieces):
    one = tokenizer(pieces)
    for text in (*TEXTS, "+---+\n|R: | : :G|\n", "never seen: é漢 <|end|>\n", "  two  spaces\n\n"):
        ids = one.encode(text, add_special_tokens=False, split_special_tokens=True)
        assert one.decode(ids) == text


@pytest.mark.parametrize("pieces", ["bare-words", "names", "phrases"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_the_same_tokens_in_a_reflection_and_in_the_list(pieces, command):
    one = tokenizer(pieces)
    listed = one.encode(f" {command}\n", add_special_tokens=False)[:-1]
    # A teacher sets no full stop after a command that ends in one.
    said = one.encode(f"The thing is there, so: {command}{'' if command.endswith('.') else '.'}", add_special_tokens=False)
    assert any(said[start : start + len(listed)] == listed for start in range(len(said)))


def test_phrases_make_a_frequent_command_one_token_and_words_do_not():
    lengths = {pieces: len(tokenizer(pieces).encode(" go to cabinet 1", add_special_tokens=False)) for pieces in PIECES}
    assert lengths == {"words": 4, "bare-words": 4, "names": 3, "digits": 5, "phrases": 1}


def test_a_matching_start_ties_keys_to_queries_and_leaves_the_rest_of_the_draw():
    one = tokenizer("words")
    size = TinyConfig(n_layer=2, n_embd=32, n_head=4, n_positions=64)
    plain, matching = (build_tiny(size.model_copy(update={"matching_start": value}), one, seed=3) for value in (False, True))
    other = dict(plain.named_parameters())
    for name, value in matching.named_parameters():
        attention = name.rpartition(".self_attn.")[0]
        if ".k_proj." in name:
            torch.testing.assert_close(value, other[f"{attention}.self_attn.q_proj.weight"], atol=0, rtol=0)
        elif ".o_proj." in name:
            torch.testing.assert_close(value, other[f"{attention}.self_attn.v_proj.weight"].T, atol=0, rtol=0)
        else:
            torch.testing.assert_close(value, other[name], atol=0, rtol=0)


@pytest.mark.parametrize(("positions", "attention"), [(SHORT_CONTEXT, "eager"), (SHORT_CONTEXT + 1, "sdpa")])
def test_short_contexts_take_plain_attention(positions, attention):
    model = build_tiny(TinyConfig(n_layer=2, n_embd=32, n_head=4, n_positions=positions), tokenizer("words"), seed=0)
    assert model.config._attn_implementation == attention
