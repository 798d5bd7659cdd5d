"""Every page in every state of a store: empty, a live run, a finished one, a damaged folder, a folder of something else."""

import shutil
from pathlib import Path

import pytest

from tests.app_pages import shown, words
from tests.app_runs import make_run
from workbench.store.layout import RunPaths

OF_A_RUN = ("run", "trajectories", "compare", "reflections", "what_if", "data")
"""Pages that show the run that the address names."""
REFUSED = ("cannot be shown", "cannot be compared", "cannot be read")

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return {state: make_run(tmp_path_factory.mktemp(state), state=state, updates=2) for state in ("running", "finished")}


def put(recorded: RunPaths, root: Path) -> RunPaths:
    return RunPaths(Path(shutil.copytree(recorded.folder, root / recorded.run_id)))


@pytest.mark.parametrize("page", ["runs", *OF_A_RUN])
def test_an_empty_store_says_how_to_begin(page):
    assert "No run yet." in words(shown(page))


def test_an_empty_store_can_be_launched_into():
    test = shown("launch")
    assert "Nothing trains now" in words(test)
    assert test.selectbox(key="launch_parent").options == ["nothing: a run from the beginning"]


@pytest.mark.parametrize("state", ["running", "finished"])
@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("run", "phases"),
        ("trajectories", "8 of 8 trajectories."),
        ("compare", "in common"),
        ("reflections", "Reflection gain"),
        ("what_if", "This run has no checkpoint of its policy."),
        ("data", "The examples of this run are not here."),
    ],
)
def test_a_live_and_a_finished_run_are_shown(recorded, root, state, page, says):
    text = words(shown(page, run=put(recorded[state], root).run_id))
    assert says in text
    assert not [refusal for refusal in REFUSED if refusal in text]


@pytest.mark.parametrize(("state", "says"), [("running", "▶ running"), ("finished", "✓ finished")])
def test_the_list_and_the_queue_tell_a_live_run_from_a_finished_one(recorded, root, state, says):
    name = put(recorded[state], root).run_id
    table = shown("runs").dataframe[0].value
    assert table.set_index("Run")["State"].to_dict() == {name: says}
    launch = shown("launch")
    lines = [text.value for text in launch.text if name in text.value]
    assert [line.startswith("▶ running") for line in lines] == ([True] if state == "running" else [])
    assert ("Nothing trains now" in words(launch)) == (state == "finished")


def damaged(paths: RunPaths) -> None:
    paths.meta.write_text('{"schema_ver')


def foreign(paths: RunPaths) -> None:
    shutil.rmtree(paths.folder)
    paths.folder.mkdir()
    (paths.folder / "holiday.txt").write_text("sun")


@pytest.mark.parametrize(("harm", "says"), [(damaged, "damaged"), (foreign, "not a run folder")])
@pytest.mark.parametrize("page", OF_A_RUN)
def test_a_folder_that_is_no_run_is_said_with_what_to_do(recorded, root, page, harm, says):
    paths = put(recorded["finished"], root)
    harm(paths)
    text = words(shown(page, run=paths.run_id))
    assert says in text
    assert any(refusal in text for refusal in REFUSED)
    assert "Nothing in" in text or page == "run"


@pytest.mark.parametrize("harm", [damaged, foreign])
def test_a_folder_that_is_no_run_stops_neither_the_list_nor_the_form(recorded, root, harm):
    harm(put(recorded["finished"], root))
    other = make_run(root, updates=1)
    assert other.run_id in shown("runs").dataframe[0].value["Run"].tolist()
    launch = shown("launch", preset="taxi-smoke")
    assert launch.selectbox(key="launch_preset").value == "taxi-smoke"
    assert any("workbench train taxi-smoke" in code.value for code in launch.code)
