import json
import pkgutil

import pytest
import torch
from safetensors import safe_open

from tests.small_models import save_small, taxi_tokenizer
from tests.test_models_loading import DECISIONS, config_for, probabilities
from workbench.errors import CheckpointError
from workbench.models.loading import POLICY, REFLECTION, build_players, load_player
from workbench.models.policy import Policy
from workbench.trainers import checkpoint
from workbench.trainers.checkpoint import latest, load_optimizer, read_state, remove_checkpoint, save_checkpoint, steps


@pytest.fixture(scope="module")
def tokenizer():
    return taxi_tokenizer()


def tiny_player(tokenizer, *, seed=0):
    return build_players(config_for("tiny", seed=seed), tokenizer).policy


def optimizer_of(player):
    return torch.optim.AdamW([value for _, value in player.trainable_parameters()], lr=0.01, weight_decay=0.1, betas=(0.8, 0.95))


def train(player, optimizer, count):
    player.activate(training=True)
    for _ in range(count):
        optimizer.zero_grad()
        torch.autograd.backward(-Policy(player).log_probs(DECISIONS)[:, 0].sum())
        optimizer.step()


def weights(player):
    return {name: value.detach().clone() for name, value in player.model.named_parameters()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def saved(tokenizer, tmp_path):
    player = tiny_player(tokenizer)
    optimizer = optimizer_of(player)
    train(player, optimizer, 2)
    return save_checkpoint(tmp_path / "rl", 20, state={"dice": [1, 2]}, players={POLICY: player}, optimizer=optimizer)


# What is in it -------------------------------------------------------------------------------------------


def test_the_state_comes_back(saved):
    assert saved.name == "000020"
    state = read_state(saved)
    assert state["step"] == 20 and state["dice"] == [1, 2]
    assert state["optimizer"][0]["lr"] == 0.01


def test_nothing_in_a_checkpoint_is_pickled(saved):
    files = [path for path in saved.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md", ".jinja", ".txt"}
    for path in files:
        head = path.read_bytes()[:2]
        assert head != b"PK" and not head.startswith(b"\x80"), path  # torch.save's zip, and pickle
        if path.suffix == ".json":
            json.loads(path.read_text())
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as tensors:
                assert list(tensors.keys())


def test_a_checkpoint_of_adapters_holds_both_players_and_nothing_pickled(tmp_path):
    players = build_players(config_for(save_small(tmp_path / "base", "llama")), None)
    assert players.reflection is not None
    roles = {POLICY: players.policy, REFLECTION: players.reflection}
    folder = save_checkpoint(tmp_path / "sft", 1, state={}, players=roles, optimizer=optimizer_of(players.policy))
    read_state(folder)
    assert all((folder / role / "adapter_model.safetensors").is_file() for role in roles)
    assert not [path for path in folder.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl", ".ckpt")]


def test_extra_files_are_vouched_for(tmp_path):
    folder = save_checkpoint(tmp_path, 1, state={}, players={}, extra=lambda place: (place / "more.txt").write_text("hello"))
    read_state(folder)
    (folder / "more.txt").write_text("hallo")
    with pytest.raises(CheckpointError, match=r"more\.txt"):
        read_state(folder)


# The optimizer -------------------------------------------------------------------------------------------


def test_training_goes_on_bit_for_bit(tokenizer, tmp_path):
    player = tiny_player(tokenizer)
    optimizer = optimizer_of(player)
    train(player, optimizer, 3)
    optimizer.param_groups[0]["lr"] = 0.1 / 3  # as a schedule leaves it
    folder = save_checkpoint(tmp_path, 3, state={}, players={POLICY: player}, optimizer=optimizer)
    train(player, optimizer, 3)

    other = tiny_player(tokenizer, seed=4)
    fresh = optimizer_of(other)
    load_player(other, folder, POLICY)
    load_optimizer(folder, read_state(folder), fresh)
    assert fresh.param_groups[0]["lr"] == 0.1 / 3 and fresh.param_groups[0]["betas"] == (0.8, 0.95)
    train(other, fresh, 3)
    assert same(weights(player), weights(other))

    without = tiny_player(tokenizer, seed=4)  # the optimizer's state matters
    load_player(without, folder, POLICY)
    train(without, optimizer_of(without), 3)
    assert not same(weights(player), weights(without))


def test_the_optimizers_state_comes_back_bit_for_bit(tokenizer, tmp_path):
    player = tiny_player(tokenizer)
    optimizer = optimizer_of(player)
    train(player, optimizer, 2)
    folder = save_checkpoint(tmp_path, 2, state={}, players={}, optimizer=optimizer)
    fresh = optimizer_of(tiny_player(tokenizer))
    load_optimizer(folder, read_state(folder), fresh)
    before, after = optimizer.state_dict(), fresh.state_dict()
    assert before["param_groups"] == after["param_groups"]
    assert before["state"].keys() == after["state"].keys()
    for index, entry in before["state"].items():
        assert same(entry, after["state"][index])
        assert all(value.dtype == after["state"][index][key].dtype for key, value in entry.items())


def test_an_optimizer_before_its_first_step(tokenizer, tmp_path):
    player = tiny_player(tokenizer)
    folder = save_checkpoint(tmp_path, 0, state={}, players={}, optimizer=optimizer_of(player))
    fresh = optimizer_of(player)
    load_optimizer(folder, read_state(folder), fresh)
    train(player, fresh, 1)
    assert probabilities(player)[0, 0] > 0


# Whole or absent -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing is tidied up."""


def killed_at(monkeypatch, place, action):
    """Run ``action`` and die at the ``place``-th file operation; gives False when it finished before."""
    count = 0

    def counted(original):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == place:
                raise Killed
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("save_player", "save_file", "_fingerprint", "_sync", "os.replace", "shutil.rmtree"):
            path = f"workbench.trainers.checkpoint.{name}"
            patch.setattr(path, counted(pkgutil.resolve_name(path)))
        try:
            action()
        except Killed:
            return True
    return False


def test_a_kill_at_any_moment_leaves_whole_checkpoints_only(tokenizer, tmp_path, monkeypatch):
    player = tiny_player(tokenizer)
    optimizer = optimizer_of(player)
    train(player, optimizer, 1)

    def save(step, value):
        save_checkpoint(tmp_path, step, state={"value": value}, players={POLICY: player}, optimizer=optimizer, keep=2)

    save(1, "old")
    save(2, "old")
    place, kills = 0, 0
    while True:
        place += 1
        alive = killed_at(monkeypatch, place, lambda: save(3, "new"))
        for step in steps(tmp_path):
            assert read_state(tmp_path / f"{step:06d}")["value"] == ("new" if step == 3 else "old")
        assert steps(tmp_path)[-1] in (2, 3)
        assert 2 in steps(tmp_path)
        if not alive:
            break
        kills += 1
        if 3 in steps(tmp_path):
            remove_checkpoint(tmp_path / "000003")
        if 1 not in steps(tmp_path):
            save(1, "old")
    assert kills > 15
    assert steps(tmp_path) == [2, 3]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_kill_while_a_step_is_written_again_leaves_an_earlier_one(tmp_path, monkeypatch):
    for step in (1, 2):
        save_checkpoint(tmp_path, step, state={"value": "old"}, players={})
    place = 1
    while killed_at(monkeypatch, place, lambda: save_checkpoint(tmp_path, 2, state={"value": "new"}, players={})):
        newest = latest(tmp_path)
        assert newest is not None
        assert read_state(newest)["value"] in ("old", "new")
        place += 1
    assert place > 5
    assert read_state(tmp_path / "000002")["value"] == "new"


def test_what_a_killed_process_left_is_cleared(tmp_path):
    for name in (".000007.part", ".000003.doomed"):
        (tmp_path / name / POLICY).mkdir(parents=True)
        (tmp_path / name / checkpoint.MANIFEST).write_text("{}")
    assert steps(tmp_path) == [] and latest(tmp_path) is None
    save_checkpoint(tmp_path, 8, state={}, players={})
    assert [path.name for path in tmp_path.iterdir()] == ["000008"]


def test_only_the_newest_are_kept(tmp_path):
    for step in (1, 2, 10, 1_000_000):
        save_checkpoint(tmp_path, step, state={}, players={}, keep=2)
    assert steps(tmp_path) == [10, 1_000_000]
    assert latest(tmp_path) == tmp_path / "1000000"
    for step in (11, 12):
        save_checkpoint(tmp_path, step, state={}, players={})
    assert len(steps(tmp_path)) == 4
    assert steps(tmp_path / "nowhere") == [] and latest(tmp_path / "nowhere") is None


# Damage --------------------------------------------------------------------------------------------------


def damaged(folder):
    with pytest.raises(CheckpointError) as caught:
        read_state(folder)
    message = str(caught.value)
    assert str(folder) in message and "the checkpoint is damaged" in message and "delete this folder" in message
    assert "\n" not in message
    return message


def test_every_flipped_byte_missing_and_truncated_file_is_noticed(saved):
    files = sorted(path for path in saved.rglob("*") if path.is_file() and path.name != checkpoint.MANIFEST)
    assert len(files) >= 4
    for path in files:
        whole = path.read_bytes()
        middle = len(whole) // 2
        for content in (whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], whole[:-1], whole + b" ", b""):
            path.write_bytes(content)
            assert path.name in damaged(saved)
        path.unlink()
        assert path.name in damaged(saved)
        path.write_bytes(whole)
    read_state(saved)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"state.json": 3}'])
def test_a_damaged_manifest_is_noticed(saved, content):
    (saved / checkpoint.MANIFEST).write_bytes(content)
    damaged(saved)


def test_a_folder_without_a_manifest_is_no_checkpoint(saved):
    (saved / checkpoint.MANIFEST).unlink()
    assert steps(saved.parent) == []
    damaged(saved)
