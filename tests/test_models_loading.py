import numpy as np
import pytest
import torch
from peft import PeftModel

from tests.small_models import ARCHITECTURES, save_small, taxi_tokenizer
from tests.test_models_reflection import situations
from workbench.config import RunConfig, TinyConfig
from workbench.errors import ModelError
from workbench.models.loading import POLICY, REFLECTION, build_players, build_tiny, context_of, load_player, load_tokenizer, save_player
from workbench.models.policy import Decision, Policy
from workbench.models.reflection import ModelReflection

PROMPTS = [tuple(range(3, 3 + length)) for length in (5, 30, 12)]
DECISIONS = [Decision(prompt, (10, 11, 12, 13)) for prompt in PROMPTS]
LORA = {"lora_r": 4, "lora_dropout": 0.1}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request, tmp_path_factory):
    return save_small(tmp_path_factory.mktemp(request.param) / "model", request.param)


@pytest.fixture(scope="module")
def tokenizer():
    return taxi_tokenizer()


def config_for(model, *, reflection=None, seed=0, **policy):
    return RunConfig.model_validate(
        {
            "seed": seed,
            "policy": {"model": str(model), "lora": LORA, "tiny": {"n_layer": 2, "n_embd": 32, "n_head": 2}, **policy},
            "reflection": {"model": str(reflection) if reflection else None},
            "device": {"device": "cpu"},
        }
    )


def both(players):
    """The policy and the reflection player, which is there."""
    assert players.reflection is not None
    return players.policy, players.reflection


def probabilities(player):
    return np.exp(np.stack(Policy(player).distributions(DECISIONS)))


def said(player):
    return ModelReflection(player, greedy=True, max_new_tokens=8).reflect(situations(3))


def train(player, *, steps=3):
    """Steps of the kind that the trainers take: the player's own parameters, gradients of its log-probabilities."""
    optimizer = torch.optim.AdamW([value for _, value in player.trainable_parameters()], lr=0.05)
    player.activate(training=True)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward(-Policy(player).log_probs(DECISIONS)[:, 0].sum())
        optimizer.step()


def snapshot(player, keep):
    return {name: value.detach().clone() for name, value in player.model.named_parameters() if keep(name)}


def unchanged(player, before):
    now = dict(player.model.named_parameters())
    return all(torch.equal(now[name], value) for name, value in before.items())


# Two adapters on one base --------------------------------------------------------------------------------


def test_both_players_share_one_base_in_memory(folder):
    policy, reflection = both(build_players(config_for(folder), None))
    assert policy.model is reflection.model
    assert (policy.adapter, reflection.adapter) == (POLICY, REFLECTION)
    names = [name for name, _ in policy.model.named_parameters()]
    own, other = ([name for name in names if f".{role}." in name] for role in (POLICY, REFLECTION))
    assert own and len(own) == len(other)
    assert all("lora_" in name for name in own + other)
    assert [name for name, _ in policy.trainable_parameters()] == own
    assert [name for name, _ in reflection.trainable_parameters()] == other
    assert not policy.model.training


def test_a_fresh_adapter_changes_nothing(folder):
    policy = build_players(config_for(folder), None).policy
    assert isinstance(policy.model, PeftModel)
    with policy.model.disable_adapter():
        expected = probabilities(policy)
    assert np.array_equal(probabilities(policy), expected)


def test_training_one_player_leaves_the_other_and_the_base_alone(folder):
    policy, reflection = both(build_players(config_for(folder), None))
    rest = snapshot(policy, lambda name: f".{POLICY}." not in name)
    own = snapshot(policy, lambda name: f".{POLICY}." in name)
    advice, chances = said(reflection), probabilities(reflection)
    before = probabilities(policy)
    train(policy)
    assert unchanged(policy, rest)
    assert not unchanged(policy, own)
    assert np.abs(probabilities(policy) - before).max() > 0.01
    assert said(reflection) == advice
    assert np.array_equal(probabilities(reflection), chances)
    assert not reflection.model.training
    # And the other way round.
    rest, trained = snapshot(policy, lambda name: f".{REFLECTION}." not in name), probabilities(policy)
    train(reflection)
    assert unchanged(policy, rest)
    assert np.array_equal(probabilities(policy), trained)
    assert not np.array_equal(probabilities(reflection), chances)


def test_playing_the_other_role_between_two_steps_does_not_disturb_training(folder):
    plain, mixed = (build_players(config_for(folder, lora={"lora_r": 4, "lora_dropout": 0.0}), None) for _ in range(2))
    optimizers = [torch.optim.AdamW([value for _, value in one.policy.trainable_parameters()], lr=0.05) for one in (plain, mixed)]
    for _ in range(2):
        said(mixed.reflection)
        for players, optimizer in zip((plain, mixed), optimizers, strict=True):
            players.policy.activate(training=True)
            optimizer.zero_grad()
            torch.manual_seed(0)  # GPT-2 has dropout of its own
            torch.autograd.backward(-Policy(players.policy).log_probs(DECISIONS)[:, 0].sum())
            optimizer.step()
    assert np.array_equal(probabilities(plain.policy), probabilities(mixed.policy))


def test_dropout_is_on_in_training_only(folder):
    policy = build_players(config_for(folder, lora={"lora_r": 4, "lora_dropout": 0.9}), None).policy
    train(policy)
    policy.activate(training=True)
    with torch.no_grad():
        assert not torch.equal(policy.last_logits(PROMPTS), policy.last_logits(PROMPTS))
    assert np.array_equal(probabilities(policy), probabilities(policy))


def test_bases_are_apart_where_their_names_differ(tmp_path):
    one, other = save_small(tmp_path / "one", "gpt2"), save_small(tmp_path / "other", "llama", seed=1)
    policy, reflection = both(build_players(config_for(one, reflection=other), None))
    assert policy.model is not reflection.model
    assert policy.tokenizer.get_vocab() != reflection.tokenizer.get_vocab()
    advice = said(reflection)
    train(policy)
    assert said(reflection) == advice


def test_nobody_reflects_where_no_model_is_asked_for(tmp_path):
    config = config_for(save_small(tmp_path / "one", "gpt2"))
    for kind in ("none", "oracle"):
        changed = config.model_copy(update={"reflection": config.reflection.model_copy(update={"kind": kind})})
        assert build_players(changed, None).reflection is None


# tiny ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_tiny_players_are_two_whole_models(tokenizer, architecture):
    tiny = {"architecture": architecture, "n_layer": 2, "n_embd": 32, "n_head": 2}
    policy, reflection = both(build_players(config_for("tiny", tiny=tiny), tokenizer))
    assert policy.model is not reflection.model
    shared = {value.data_ptr() for value in policy.model.parameters()} & {value.data_ptr() for value in reflection.model.parameters()}
    assert not shared
    assert policy.adapter is None and policy.model.config.model_type == architecture
    assert len(policy.trainable_parameters()) == len(list(policy.model.parameters()))
    assert not np.array_equal(probabilities(policy), probabilities(reflection))  # each has its own seed
    advice = said(reflection)
    train(policy)
    assert said(reflection) == advice


def test_tiny_weights_follow_the_seed_alone(tokenizer):
    size = TinyConfig(n_layer=2, n_embd=32, n_head=2)
    before = torch.random.get_rng_state()
    one = build_tiny(size, tokenizer, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    same, other = (build_tiny(size, tokenizer, seed=seed) for seed in (1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert one.config.eos_token_id == tokenizer.eos_token_id


def test_adapters_follow_the_runs_seed(folder):
    def first(seed):
        return {
            name: value.clone()
            for name, value in build_players(config_for(folder, seed=seed), None).policy.model.named_parameters()
            if "lora_A" in name
        }

    one, same, other = first(0), first(0), first(1)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert all(not torch.equal(one[name], other[name]) for name in one)
    pairs = [(name, name.replace(f".{POLICY}.", f".{REFLECTION}.")) for name in one if f".{POLICY}." in name]
    assert all(not torch.equal(one[a], one[b]) for a, b in pairs)


# Saving and reading --------------------------------------------------------------------------------------


def test_an_adapter_is_saved_and_read(folder, tmp_path):
    policy, reflection = both(build_players(config_for(folder), None))
    train(policy)
    train(reflection)
    for role, player in ((POLICY, policy), (REFLECTION, reflection)):
        save_player(player, tmp_path, role)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {POLICY, REFLECTION}
    new_policy, new_reflection = both(build_players(config_for(folder, seed=5), None))
    assert not np.array_equal(probabilities(new_policy), probabilities(policy))
    load_player(new_policy, tmp_path, POLICY)
    assert np.array_equal(probabilities(new_policy), probabilities(policy))
    assert not np.array_equal(probabilities(new_reflection), probabilities(reflection))
    load_player(new_reflection, tmp_path, REFLECTION)
    assert said(new_reflection) == said(reflection)
    # The base is not copied into every checkpoint.
    size = sum(path.stat().st_size for path in (tmp_path / POLICY).glob("*.safetensors"))
    assert size < sum(value.numel() for _, value in policy.trainable_parameters()) * 4 + 20_000


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_tiny_player_is_saved_and_read(tokenizer, tmp_path, architecture):
    tiny = {"architecture": architecture, "n_layer": 2, "n_embd": 32, "n_head": 2}
    player = build_players(config_for("tiny", tiny=tiny), tokenizer).policy
    train(player)
    save_player(player, tmp_path, POLICY)
    again = build_players(config_for("tiny", seed=9, tiny=tiny), load_tokenizer(str(tmp_path / POLICY))).policy
    load_player(again, tmp_path, POLICY)
    assert np.array_equal(probabilities(again), probabilities(player))
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), player.model.parameters(), strict=True))
    assert context_of(str(tmp_path / POLICY)) == player.context


def wrong(player, source, role=POLICY):
    with pytest.raises(ModelError) as caught:
        load_player(player, source, role)
    message = str(caught.value)
    assert "do not fit" in message and "name the run they came from" in message and "\n" not in message
    return message


def test_weights_of_another_size_are_refused(folder, tmp_path):
    save_player(build_players(config_for(folder, lora={"lora_r": 8}), None).policy, tmp_path, POLICY)
    player = build_players(config_for(folder), None).policy
    before = probabilities(player)
    wrong(player, tmp_path)
    assert np.array_equal(probabilities(player), before)


def test_adapters_of_other_layers_are_refused(tmp_path):
    base = save_small(tmp_path / "base", "llama")
    few, many = ({"lora_r": 4, "lora_target_modules": names} for names in (["q_proj"], ["q_proj", "v_proj"]))
    saved, asked = (build_players(config_for(base, lora=lora), None).policy for lora in (few, many))
    save_player(saved, tmp_path / "few", POLICY)
    assert "is missing" in wrong(asked, tmp_path / "few")
    save_player(asked, tmp_path / "many", POLICY)
    assert "is unknown" in wrong(saved, tmp_path / "many")


def test_missing_and_damaged_weights_are_refused(tokenizer, folder, tmp_path):
    for number, config in enumerate((config_for("tiny"), config_for(folder))):
        player = build_players(config, tokenizer).policy
        assert str(tmp_path) in wrong(player, tmp_path / "nowhere")
        place = tmp_path / str(number)
        save_player(player, place, POLICY)
        weights = next((place / POLICY).glob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:-10])
        wrong(player, place)
        weights.write_bytes(b"nonsense")
        wrong(player, place)
        weights.unlink()
        wrong(player, place)


def test_a_tiny_model_of_another_size_is_refused(tokenizer, tmp_path):
    save_player(build_players(config_for("tiny"), tokenizer).policy, tmp_path, POLICY)
    wrong(build_players(config_for("tiny", tiny={"n_layer": 1, "n_embd": 32, "n_head": 2}), tokenizer).policy, tmp_path)
    wrong(build_players(config_for("tiny", tiny={"n_layer": 2, "n_embd": 16, "n_head": 2}), tokenizer).policy, tmp_path)
    wrong(build_players(config_for("tiny", tiny={"n_layer": 3, "n_embd": 32, "n_head": 2}), tokenizer).policy, tmp_path)
