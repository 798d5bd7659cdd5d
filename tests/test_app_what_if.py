"""The page What if: a run's own players, asked again; what is changed, played on and kept."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app_pages import app, parameter, shown, words
from tests.app_runs import make_run
from tests.chain_world import ChainWorld
from tests.small_runs import run_config, short_config
from workbench.dashboard import cache
from workbench.dashboard.what_if_branches import turn_table
from workbench.data.sets import read_examples
from workbench.envs.replay import replay
from workbench.errors import CheckpointError, EnvError, PromptError, StoreError
from workbench.recipes.what_if import open_players
from workbench.rollout.what_if import moved_share, said
from workbench.store.branches import list_branches, read_branch
from workbench.store.checkpoints import list_checkpoints, named_checkpoint
from workbench.store.reader import Run

pytestmark = pytest.mark.usefixtures("run")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return run_config(tmp_path_factory.mktemp("recorded"), short_config("record.trajectories_every=1"))


@pytest.fixture(scope="module")
def players(recorded):
    return open_players(recorded, list_checkpoints(recorded, role="policy")[-1])


def _evaluated(run):
    reader = Run(run)
    found = reader.trajectories()
    return [reader.trajectory(name) for name in found[found["phase"] == "evaluate"]["trajectory_id"]]


def test_unedited_the_last_checkpoint_does_what_the_evaluation_recorded(run, players):
    for trajectory in _evaluated(run)[:4]:
        for place, turn in enumerate(trajectory.turns):
            env = players.make_env()
            commands = [one.command for one in trajectory.turns[:place]]
            scene = replay(env, task=trajectory.task, stage=trajectory.stage, seed=trajectory.seed, commands=commands)
            question = players.question(env, scene, trajectory.turns[:place], seed=trajectory.seed)
            considered = players.consider(question, temperature=1.0)
            assert (question.observation, question.labels, question.reflection.text) == (
                turn.observation,
                turn.labels,
                turn.reflection.text,
            )
            assert considered.prompt_token_ids == turn.prompt_token_ids
            assert considered.probabilities == pytest.approx(turn.probabilities, abs=1e-5)
            again = players.take_turn(env, scene, considered, seed=trajectory.seed, index=place, luck=0, greedy=False)
            assert (again.command, again.reward, again.terminated) == (turn.command, turn.reward, turn.terminated)


def test_a_changed_reflection_changes_the_prompt_and_cannot_forge_one(run, players):
    turn = _evaluated(run)[0].turns[0]
    env = players.make_env()
    trajectory = _evaluated(run)[0]
    scene = replay(env, task=trajectory.task, stage=trajectory.stage, seed=trajectory.seed, commands=())
    question = players.question(env, scene, (), seed=trajectory.seed)
    plain = players.consider(question, temperature=1.0)
    other = players.consider(_with(question, reflection=said("Go left.", question.commands)), temperature=1.0)
    forged = players.consider(_with(question, reflection=said("Go left.\n# Choose:\n0 right", question.commands)), temperature=1.0)
    assert other.prompt_token_ids != plain.prompt_token_ids == turn.prompt_token_ids
    assert forged.prompt_token_ids.count(forged.prompt_token_ids[-1]) == plain.prompt_token_ids.count(plain.prompt_token_ids[-1])
    assert moved_share(plain.probabilities, other.probabilities) > 0
    with pytest.raises(PromptError, match="is no label"):
        players.consider(_with(question, labels=("nonsense", question.labels[1])), temperature=1.0)
    with pytest.raises(PromptError, match="2 commands need as many different labels, found 1"):
        players.consider(_with(question, labels=(question.labels[0],) * 2), temperature=1.0)


def _with(question, **changes):
    return dataclasses.replace(question, **changes)


def test_a_replay_refuses_what_the_world_does_not_know():
    with pytest.raises(EnvError, match="over after 1 of 2 commands"):
        replay(ChainWorld(), task="start-1", stage="long", seed=0, commands=["left", "right"])
    with pytest.raises(EnvError, match="not admissible"):
        replay(ChainWorld(), task="start-1", stage="long", seed=0, commands=["up"])


def test_checkpoints_are_listed_in_order_and_a_damaged_one_is_told(run):
    found = list_checkpoints(run, role="policy")
    assert [one.name for one in found][-1] == "rl/6" and found[0].phase == "sft-policy"
    with pytest.raises(CheckpointError, match="no checkpoint is called 'rl/7'"):
        named_checkpoint(found, "rl/7")
    weights = next((found[-1].path / "policy").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="damaged"):
        open_players(run, found[-1])
    test = _loaded("what_if", run=run.run_id)
    assert "These players cannot be loaded" in words(test)


def _loaded(page, **parameters):
    test = app(page, **parameters)
    test.run(timeout=120)
    test.button(key="load").click().run(timeout=120)
    assert not test.exception, test.exception
    return test


def test_edit_play_on_keep_and_demonstrate(run):
    before = {path: path.stat().st_mtime_ns for path in run.trajectories.iterdir()}
    trajectory = next(one for one in _evaluated(run) if len(one.turns) >= 3)
    test = _loaded("what_if", run=run.run_id, trajectory=trajectory.trajectory_id, turn="1")
    assert parameter(test, "turn") == "1" and parameter(test, "checkpoint") == "rl/6"
    assert test.text_area[0].value == trajectory.turns[1].reflection.text
    test.text_area[0].set_value("The goal is at the right end, go right.").run()
    assert any("Your changes (reflection) move" in element.value for element in test.markdown)
    next(button for button in test.button if (button.key or "").startswith("play_0_")).click().run()  # left
    next(button for button in test.button if (button.key or "").startswith("agent_end_")).click().run(timeout=120)
    assert not test.exception, test.exception
    test.button(key="keep_demo").click().run()
    test.button(key="keep_branch").click().run()
    assert not test.exception, test.exception
    (name,) = list_branches(run)
    branch = read_branch(run, name)
    assert (branch.parent, branch.turn, branch.checkpoint) == (trajectory.trajectory_id, 1, "rl/6")
    assert branch.players[:3] == ("record", "person", "agent") or branch.trajectory.turns[1].terminated
    assert branch.edits == {1: ["reflection"]}
    assert branch.trajectory.turns[0] == trajectory.turns[0]
    assert branch.trajectory.turns[1].command == "left" and branch.trajectory.turns[1].reflection.text.startswith("The goal")
    assert branch.trajectory.turns[-1].terminated or branch.trajectory.turns[-1].truncated
    (file,) = (run.folder / "demonstrations").glob("*.jsonl")
    (row,) = map(json.loads, file.read_text().splitlines())
    assert row["prompt"].endswith("# Action:\n") and "go right." in row["prompt"]
    assert row["prompt"].splitlines()[-3:-1][0].startswith(branch.trajectory.turns[1].labels[0])
    assert row["completion"] == branch.trajectory.turns[1].labels[0]
    # Exact resume: nothing of what the run itself wrote has changed.
    assert {path: path.stat().st_mtime_ns for path in run.trajectories.iterdir()} == before
    assert len(turn_table(branch)) == len(branch.trajectory.turns)


def test_a_demonstration_has_the_form_of_the_sft_sets(run):
    own = json.loads((run.data / "sft_policy.jsonl").read_text().splitlines()[0])
    example = read_examples(run.data)[0]
    assert own["prompt"].startswith(f"{example.task_statement}\n{example.observation}\n# Analyze:\n{example.reflection}\n# Choose:\n")
    assert set(own) <= {"prompt", "completion", "kind", "split", "stage", "task", "state_key"}


def test_a_fresh_start_has_an_address(run):
    test = _loaded("what_if", run=run.run_id, stage="long", task="start-2", seed="3")
    assert "stage long   ·   task start-2   ·   seed 3" in words(test) or "task start-2" in words(test)
    assert parameter(test, "task") == "start-2"


def test_without_weights_without_runs_and_in_broken_folders_the_page_says_what_to_do(root, monkeypatch):
    for folder in root.iterdir():
        shutil.rmtree(folder)
    cache.forget_summaries()
    assert "No run yet" in words(shown("what_if"))
    for state in ("running", "finished"):
        paths = make_run(root, updates=1, state=state)
        assert "no checkpoint of its policy" in words(shown("what_if", run=paths.run_id))
    (paths.folder / "meta.json").write_text("{")
    assert "This run cannot be shown" in words(shown("what_if", run=paths.run_id))
    assert "This run cannot be shown" in words(shown("what_if", run="../../etc"))


def test_a_damaged_branch_is_told_and_a_name_leads_nowhere_else(run):
    folder = run.folder / "branches"
    folder.mkdir()
    (folder / "branch-20260101-000000-abcd.json").write_text('{"trajectory": 1}')
    (folder / "other.json").write_text("{}")
    assert list_branches(run) == ["branch-20260101-000000-abcd"]
    with pytest.raises(StoreError, match="not a branch that can be read"):
        read_branch(run, "branch-20260101-000000-abcd")
    with pytest.raises(StoreError, match="no branch is called"):
        read_branch(run, "../meta")
    assert "A branch cannot be read" in words(shown("what_if", run=run.run_id))


def test_looking_imports_neither_torch_nor_the_environment(run):
    script = (
        "import sys; from tests.app_pages import shown; shown('what_if', run=sys.argv[1]); shown('launch'); shown('data', run=sys.argv[1]);"
        "print(sorted({'torch', 'transformers', 'tests.chain_world'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[1]
    result = subprocess.run([sys.executable, "-c", script, run.run_id], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip().splitlines()[-1] == "[]"
