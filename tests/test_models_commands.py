"""Whole commands scored instead of labels: by hand, with and without shared prompts, with gradients, and through a whole run."""

import json

import numpy as np
import pytest
import torch

from tests.chain_world import ChainWorld
from tests.small_models import tiny_player
from tests.small_runs import carry_on, short_config
from workbench.errors import PromptError
from workbench.models.commands import COMMAND_ROOM, command_log_probs
from workbench.models.loading import POLICY
from workbench.models.policy import Decision, Policy
from workbench.models.scoring import string_log_probs
from workbench.recipes.advise import advisor
from workbench.recipes.execute import prepare_run
from workbench.recipes.reflect_rl import make_collector, training_rows
from workbench.recipes.reproduce_verify import verify_run
from workbench.recipes.session import open_session
from workbench.recipes.what_if import open_players
from workbench.rollout.what_if import Question
from workbench.store.checkpoints import list_checkpoints
from workbench.store.reader import Run
from workbench.trainers.replay import ReplayBuffer, Step

PROMPTS = [(5, 6, 7, 8), (9, 4, 6)]
COMMANDS = [[(10, 11, 3), (12, 3)], [(10, 11, 3), (12, 3), (13, 14, 15, 3)]]
WORDS = [[2, 1], [2, 1, 3]]


@pytest.fixture(scope="module")
def player():
    return tiny_player("llama")


def by_hand(player, scoring: str, temperature: float = 1.0) -> list[list[float]]:
    """One plain forward for each prompt and command, softmax over all the vocabulary, tokens added up one by one."""
    found = []
    for prompt, commands, words in zip(PROMPTS, COMMANDS, WORDS, strict=True):
        scores = []
        for command, count in zip(commands, words, strict=True):
            logits = player.model(input_ids=torch.tensor([[*prompt, *command]])).logits[0].double()
            total = sum(
                float(torch.log_softmax(logits.detach()[len(prompt) - 1 + place], -1)[token]) for place, token in enumerate(command)
            )
            scores.append(total / {"sum": 1, "token": len(command), "word": count}[scoring] / temperature)
        whole = np.logaddexp.reduce(scores)
        found.append([float(score - whole) for score in scores])
    return found


@pytest.mark.parametrize("scoring", ["sum", "token", "word"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_distribution_is_that_of_the_strings_scored_one_by_one(player, scoring, temperature):
    player.activate()
    with torch.no_grad():
        found = command_log_probs(player, PROMPTS, COMMANDS, WORDS, scoring=scoring, temperature=temperature)
        expected = by_hand(player, scoring, temperature)
    assert found.shape == (2, 3)
    assert found[0, :2].tolist() == pytest.approx(expected[0], abs=1e-5)
    assert found[1].tolist() == pytest.approx(expected[1], abs=1e-5)
    assert float(found[0, 2]) == -1e9


def test_a_model_in_training_mode_reads_every_prompt_anew_and_finds_the_same(player):
    player.activate()
    shared = command_log_probs(player, PROMPTS, COMMANDS, WORDS, scoring="token")
    player.activate(training=True)  # no dropout in a tiny model
    assert not player.can_share_heads()
    apart = command_log_probs(player, PROMPTS, COMMANDS, WORDS, scoring="token")
    player.activate()
    torch.testing.assert_close(shared, apart, atol=1e-5, rtol=1e-5)


def test_gradients_reach_the_weights_through_the_shared_prompt(player):
    player.activate()
    parameters = [value for _, value in player.trainable_parameters()]
    shared = torch.autograd.grad(command_log_probs(player, PROMPTS, COMMANDS, WORDS, scoring="sum")[1, 2], parameters)
    player.activate(training=True)
    apart = torch.autograd.grad(command_log_probs(player, PROMPTS, COMMANDS, WORDS, scoring="sum")[1, 2], parameters)
    player.activate()
    assert any(float(one.abs().max()) > 0 for one in shared)
    for one, other in zip(shared, apart, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_normalisation_by_hand():
    sums, mask = torch.tensor([[-2.0, -3.0, 0.0]]), torch.tensor([[True, True, False]])
    whole = string_log_probs(sums, torch.tensor([[1.0, 1.0, 1.0]]), mask)
    assert whole[0, :2].exp().tolist() == pytest.approx([1 / (1 + np.exp(-1)), np.exp(-1) / (1 + np.exp(-1))])
    by_part = string_log_probs(sums, torch.tensor([[1.0, 3.0, 1.0]]), mask)
    assert by_part[0, :2].exp().tolist() == pytest.approx([np.exp(-1) / (1 + np.exp(-1)), 1 / (1 + np.exp(-1))])
    colder = string_log_probs(sums, torch.tensor([[1.0, 1.0, 1.0]]), mask, temperature=0.5)
    assert colder[0, 0] - colder[0, 1] == pytest.approx(2.0)
    assert whole[0, 2] == -1e9


def test_labels_and_commands_of_one_policy(player):
    policy = Policy(player, scoring="word")
    labelled = [Decision(prompt, (10, 11)) for prompt in PROMPTS]
    plain = Policy(player).distributions(labelled)
    assert all((one == other).all() for one, other in zip(policy.distributions(labelled), plain, strict=True))
    spoken = [Decision(*parts) for parts in zip(PROMPTS, [(1, 2), (1, 2, 3)], COMMANDS, WORDS, strict=True)]
    found = policy.distributions(spoken)
    assert [one.tolist() for one in found] == [pytest.approx(one, abs=1e-5) for one in by_hand(player, "word")]


def test_a_command_longer_than_its_room_is_refused(player):
    with pytest.raises(PromptError, match=rf"a command has {COMMAND_ROOM + 1} tokens and there is room for {COMMAND_ROOM}"):
        command_log_probs(player, [PROMPTS[0]], [[(3,) * (COMMAND_ROOM + 1)]], [[1]], scoring="sum")


def test_steps_keep_their_commands_through_a_checkpoint():
    step = Step((1, 2), (7, 8), 0, -0.5, 1.0, "here", success=True, command_token_ids=((4, 3), (5, 6, 3)), command_words=(1, 2))
    replay = ReplayBuffer(3)
    replay.load_state_dict(json.loads(json.dumps({"trajectories": [[list(step)]]})))
    (back,) = replay.sample(1, np.random.default_rng(0))
    assert back == step
    assert back.decision == Decision((1, 2), (7, 8), ((4, 3), (5, 6, 3)), (1, 2))
    old = list(step)[:11]  # as checkpoints were written before there was another way than labels
    assert Step.from_json(old) == step._replace(command_token_ids=(), command_words=())


@pytest.fixture(scope="module")
def spoken_run(tmp_path_factory):
    """A run of every phase whose policy says whole commands."""
    return carry_on(prepare_run(tmp_path_factory.mktemp("spoken"), short_config("policy.scoring=token")))


def test_a_whole_run_by_commands(spoken_run):
    assert list(Run(spoken_run).evaluations()["phase"].unique()) == ["rl", "evaluate"]
    session = open_session(spoken_run)
    players = session.players()
    (trajectory, *_) = Run(spoken_run).trajectories(phase="evaluate")["trajectory_id"]
    turn = Run(spoken_run).trajectory(trajectory).turns[0]
    assert sum(turn.probabilities) == pytest.approx(1.0, abs=1e-6)
    rules = make_collector(session, players).rules
    decision = rules.decision(
        turn.prompt_token_ids, [one for one in rules.prompts.labels if one.text in turn.labels], turn.admissible_commands
    )
    (now,) = Policy(players.policy, scoring="token").distributions([decision])
    assert np.exp(now).tolist() == pytest.approx(list(turn.probabilities), abs=1e-5)


def test_its_warm_up_teaches_whole_commands(spoken_run):
    session = open_session(spoken_run)
    player = session.players().policy
    for row in training_rows(session, player, POLICY)[:20]:
        taught = [token for token in row.labels if token >= 0]
        assert row.labels[-len(taught) :] == taught == row.input_ids[-len(taught) :]
        text = str(player.tokenizer.decode(taught))
        assert text in (" left\n", " right\n")


def test_its_trajectories_play_again(spoken_run):
    assert verify_run(spoken_run, tell=lambda line: None)["equal"]


def test_pages_ask_such_a_policy_as_it_is_scored(spoken_run):
    name = Run(spoken_run).trajectories(phase="evaluate")["trajectory_id"][0]
    trajectory = Run(spoken_run).trajectory(name)
    turn = trajectory.turns[0]
    newest = list_checkpoints(spoken_run, role="policy")[-1]
    question = Question(trajectory.task_statement, turn.observation, turn.reflection, turn.admissible_commands, turn.labels)
    considered = open_players(spoken_run, newest).consider(question, temperature=1.0)
    assert considered.probabilities == pytest.approx(turn.probabilities, abs=1e-5)
    env = ChainWorld()
    observation, info = env.reset(seed=0)
    assert sum(advisor(spoken_run)(env, observation, info).probabilities) == pytest.approx(1.0)
