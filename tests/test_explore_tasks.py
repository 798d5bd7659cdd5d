"""Generated repositories, questions about real ones, stages, and what the teacher says."""

import re
from pathlib import Path

import numpy as np
import pytest

from workbench.config import DataConfig
from workbench.data.generate import generate
from workbench.data.splits import split_tasks
from workbench.data.teachers import ExploreTeacher, make_teacher
from workbench.envs.explore.blocks import ask_about
from workbench.envs.explore.library import source_path
from workbench.envs.explore.reading import read_source
from workbench.envs.explore.repositories import domains, generate_repository
from workbench.envs.explore.tree import build_tree, kind_of
from workbench.envs.explore.world import AutoExplore
from workbench.envs.taxi import DangerousTaxi
from workbench.errors import DataError
from workbench.prompts import suggested_command

MOST_WORDS = 20


# Generated -----------------------------------------------------------------------------------------------


def test_there_are_many_domains_with_a_hierarchy_of_topics():
    assert len(domains()) >= 8
    for areas in domains().values():
        assert len(areas) >= 4
        assert all(len(topics) >= 2 and all(len(facts) >= 2 for facts in topics.values()) for topics in areas.values())


@pytest.mark.parametrize("depth", [0, 1, 2, 4, 8])
def test_a_repository_is_as_deep_as_asked_and_states_each_answer_in_one_file(depth):
    for number in range(18):
        repository = generate_repository(number, seed=3, depth=depth, vague_names=0.2)
        assert max(file.depth for file in repository.tree.files.values()) == depth
        for question in repository.questions:
            thing = re.sub(r"^.*? the |( set)?[?.]$", "", question.question)
            holders = [file.path for file in repository.tree.files.values() if thing in file.first_line]
            assert holders == [question.target]
            value, _, unit = question.answer.partition(" ")
            assert value in repository.tree.files[question.target].text
            assert unit in repository.tree.files[question.target].text


def test_files_are_of_every_kind_and_refer_to_files_that_exist():
    kinds = set()
    for number in range(18):
        tree = generate_repository(number, seed=0).tree
        for file in tree.files.values():
            kinds.add(kind_of(file.name))
            names = {other.path for other in tree.files.values()}
            modules = {path.rpartition(".")[0].replace("/", ".") for path in names}
            assert any(other in file.text for other in names | modules)
    assert kinds == {"code", "data", "text", "shell"}


def test_a_seed_gives_one_set_of_repositories():
    one, again, other = (generate_repository(4, seed=seed) for seed in (1, 1, 2))
    assert one.questions == again.questions != other.questions
    assert {path: file.text for path, file in one.tree.files.items()} == {path: file.text for path, file in again.tree.files.items()}


def test_names_that_tell_nothing_are_as_many_as_asked():
    vague = [
        question.target.rpartition("/")[2].split(".")[0] in ("notes", "settings", "main", "values", "misc", "general")
        for number in range(27)
        for question in generate_repository(number, seed=0, vague_names=0.3).questions
    ]
    assert 0.2 < np.mean(vague) < 0.4


def test_environments_with_equal_options_share_their_trees():
    one, other, different = AutoExplore(), AutoExplore(observation="compact"), AutoExplore(seed=5)
    trees = [world._library for world in (one, other, different)]
    assert trees[0] is trees[1]
    assert trees[0] is not trees[2]


# Stages and splits ---------------------------------------------------------------------------------------


def test_a_stage_holds_the_tasks_of_its_depth_and_the_last_holds_all():
    env = AutoExplore(depth=5)
    assert env.stages == ("depth-0", "depth-1", "depth-2", "depth-3", "all")
    for stage in env.stages[:-1]:
        depths = {env._task(task).depth for task in env.tasks(stage)}
        assert depths <= {3, 4, 5} if stage == "depth-3" else depths == {int(stage[-1])}
    assert sorted(env.tasks("all")) == sorted(task for stage in env.stages[:-1] for task in env.tasks(stage))


def test_the_first_two_depths_can_be_one_stage():
    merged, apart = AutoExplore(merge_first_two=True), AutoExplore()
    assert merged.stages == ("depth-1", "depth-2", "all")
    assert set(merged.tasks("depth-1")) == {*apart.tasks("depth-0"), *apart.tasks("depth-1")}


def test_training_and_test_share_no_repository():
    env = AutoExplore()
    splits = split_tasks(env, DataConfig(), seed=0)["all"]
    homes = {split: {task.split("/")[0] for task in splits[split]} for split in ("train", "validation", "test")}
    assert all(homes.values())
    assert not homes["train"] & homes["test"]
    assert not homes["train"] & homes["validation"]


# Real repositories ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def standard_library() -> AutoExplore:
    return AutoExplore(source="stdlib", tasks_per_repository=60)


def test_the_standard_library_is_a_repository(standard_library):
    env = standard_library
    assert len(env.tasks("all")) >= 40
    for task in env.tasks("all"):
        env.reset(seed=0, options={"task": task})
        question, target = env.episode.task.question, env.episode.target
        assert target.depth <= 2
        assert target.path not in question.question
        # The words asked for stand in the target and in no other file.
        words = question.answer.split(" ")[-1] if question.topic != "that line" else question.answer
        assert words in target.text
        for command in env.oracle():
            _, _, _, _, info = env.step(command)
        assert info["success"]


def test_two_questions_about_one_file_stay_on_one_side(standard_library):
    task = standard_library.tasks("all")[0]
    assert standard_library.task_group(task) == standard_library._task(task).question.target


def test_an_installed_package_is_a_repository_and_is_not_imported():
    path = source_path("package:gymnasium")
    assert (path / "core.py").is_file()
    env = AutoExplore(source="package:gymnasium", questions="easy", tasks_per_repository=30)
    assert all(task.startswith("gymnasium/") for task in env.tasks("all"))
    env.reset(seed=0)
    assert env.task_statement().split("Question: ")[1].startswith("Find ")


def test_a_definition_is_asked_for_only_where_one_file_has_it():
    body = "\n    return '" + "a body long enough to be worth a question, or so it has to seem to whoever reads it; " * 3 + "'"
    contents: dict[tuple[str, ...], tuple[str, str]] = {
        ("one.py",): (f"def only_here():{body}", ""),
        ("two.py",): (f"def in_both():{body}", ""),
        ("three.py",): (f"def in_both():{body}", ""),
        ("short.py",): ("def tiny_thing(): ...", ""),
    }
    found = ask_about(build_tree(contents), count=9, depth=2, seed=0)
    assert [(question.target, question.topic) for question in found] == [("one.py", "only_here")]


def test_a_teacher_of_your_own_may_ask():
    path = Path(__file__).parent.parent / "workbench"
    tree = build_tree(read_source(path))
    found = ask_about(tree, count=5, depth=1, seed=0, teacher=lambda file, block, dice: (f"Q {file.path}?", block[:5], "a topic"))
    assert len(found) == 5
    assert all(question.target.count("/") <= 1 for question in found)


# The teacher ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"observation": "compact", "identify": "read", "vague_names": 0.3}, {"commands": "all", "depth": 4}]
)
def test_the_teacher_names_the_right_command_last_and_no_file_out_of_sight(options):
    env = AutoExplore(**options)
    teacher = make_teacher(env)
    assert isinstance(teacher, ExploreTeacher)
    config = DataConfig(trajectories=150, negatives=150)
    examples = generate(env, split_tasks(env, config, seed=0), teacher, config, seed=0)
    assert len({example.reflection for example in examples}) > 100
    for example in examples:
        assert suggested_command(example.reflection, example.commands) == example.oracle_command
        assert len(example.reflection.split()) <= MOST_WORDS
        hidden = {file.name for file in env._task(example.task).repository.tree.files.values()}
        said = hidden & {word.strip(".,:") for word in example.reflection.split()}
        seen = set(example.observation.split())
        assert said <= seen | {example.mistake.partition(" ")[2] if example.mistake else ""}


def test_the_teacher_of_one_world_refuses_another():
    env = DangerousTaxi()
    env.reset(seed=0)
    with pytest.raises(DataError, match="cannot teach DangerousTaxi"):
        ExploreTeacher().reflect(env, np.random.default_rng(0))


def test_steady_suffixes_are_the_same_in_every_repository_and_mixed_ones_are_not():
    def suffixes(steady):
        found: dict[str, set[str]] = {}
        for number in range(0, 90, len(domains())):
            tree = generate_repository(number, seed=3, vague_names=0.0, steady_suffixes=steady)
            for question in tree.questions:
                name, _, suffix = question.target.rpartition("/")[2].rpartition(".")
                found.setdefault(name, set()).add(suffix)
        return found

    assert all(len(own) == 1 for own in suffixes(True).values())
    assert any(len(own) > 1 for own in suffixes(False).values())
