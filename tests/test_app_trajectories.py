"""The page of trajectories: filters, steps, permanent addresses, and text that may hold anything."""

import dataclasses

import pytest

from tests.app_pages import parameter, shown, words
from tests.app_runs import make_run, taxi_trajectory
from tests.chain_world import ChainWorld
from workbench.dashboard.turn_figures import Place, grid_figure, places, probability_figure, strip_figure
from workbench.dashboard.turn_view import entropy, notebook_code
from workbench.dashboard.turn_world import trail
from workbench.envs.taxi import DangerousTaxi, grid_cells
from workbench.errors import EnvError
from workbench.store.reader import Run

ATTACK = "<script>alert(1)</script> ![x](http://127.0.0.1:9/pixel) <img src=x onerror=alert(2)> **bold** :red[red] $x$"

pytestmark = pytest.mark.usefixtures("run")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("recorded"), updates=8)


def test_the_first_trajectory_is_open_and_the_address_leads_to_it(run):
    test = shown("trajectories", run=run.run_id)
    first = test.dataframe[0].value["trajectory_id"].iloc[0]
    assert parameter(test, "trajectory") == first
    assert parameter(test, "turn") == "0"


def test_a_permalink_opens_exactly_that_turn(run):
    wanted = next(one for one in _all(run) if len(one.turns) >= 4)
    test = shown("trajectories", run=run.run_id, trajectory=wanted.trajectory_id, turn="3")
    assert "Turn 3: the world" in [heading.value for heading in test.subheader]
    assert wanted.turns[3].observation in [code.value for code in test.code]
    assert test.slider(key="turn_slider").value == 3
    assert notebook_code(run, wanted.trajectory_id, 3) in words(test)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_code_that_is_shown_runs_and_gives_the_turn(run, root, monkeypatch, elsewhere):
    if elsewhere:  # a recorded example lies outside the run root
        monkeypatch.setenv("WORKBENCH_RUNS", str(root / "other"))
    wanted = _all(run)[0]
    found: dict[str, object] = {}
    exec(notebook_code(run, wanted.trajectory_id, 0), found)
    assert found["turn"] == wanted.turns[0]
    assert found["trajectory"] == wanted


def test_buttons_and_slider_move_and_write_the_address(run):
    wanted = next(one for one in _all(run) if len(one.turns) >= 4)
    test = shown("trajectories", run=run.run_id, trajectory=wanted.trajectory_id, turn="0")
    assert test.button(key="previous").disabled
    test.button(key="next").click().run()
    assert parameter(test, "turn") == "1"
    test.slider(key="turn_slider").set_value(3).run()
    assert parameter(test, "turn") == "3"
    test.button(key="previous").click().run()
    assert parameter(test, "turn") == "2"
    assert not test.exception


@pytest.mark.parametrize("turn", ["999", "-1", "one", "1e3", "٣", "9" * 400, "<b>0</b>"])
def test_a_turn_that_is_not_there_is_said_and_the_first_is_shown(run, turn):
    test = shown("trajectories", run=run.run_id, trajectory=_all(run)[0].trajectory_id, turn=turn)
    assert "The address asks for a turn that is not there" in words(test)
    assert "Turn 0: the world" in [heading.value for heading in test.subheader]


@pytest.mark.parametrize("name", ["none-such", "'; DROP TABLE turns; --", "../../etc/passwd", ATTACK])
def test_a_trajectory_that_is_not_there_is_said(run, name):
    test = shown("trajectories", run=run.run_id, trajectory=name)
    assert "This trajectory cannot be shown" in words(test)
    assert all(name not in element.value for element in test.markdown)


def test_filters_narrow_the_table(run):
    test = shown("trajectories", run=run.run_id)
    everything = len(test.dataframe[0].value)
    test.selectbox(key="filter_outcome").set_value("✓ success").run()
    solved = test.dataframe[0].value
    assert 0 < len(solved) < everything
    assert set(solved["success"]) == {"✓ success"}
    test.toggle(key="filter_disagree").set_value(True).run()
    assert (test.dataframe[0].value["disagreements"] > 0).all()
    test.text_input(key="filter_text").set_value("no reflection says this").run()
    assert len(test.dataframe) == 0
    assert not test.exception


def test_a_run_without_trajectories_says_so(root):
    paths = make_run(root, updates=0)
    assert "has recorded no trajectory yet" in words(shown("trajectories", run=paths.run_id))


def test_text_of_a_model_is_shown_literally(root):
    paths = make_run(root, updates=1, reflection=ATTACK)
    test = shown("trajectories", run=paths.run_id)
    bodies = [element.value for element in test.html]
    assert any("&lt;script&gt;alert(1)&lt;/script&gt; ![x](http" in body for body in bodies)
    assert all("<script" not in body and "<img" not in body for body in bodies)
    for element in (*test.markdown, *test.caption, *test.subheader, *test.title):
        assert "alert" not in element.value
        assert "pixel" not in element.value


def test_a_command_cannot_put_tags_into_a_figure():
    turn = taxi_trajectory(1, stage="pickup", update=1, skill=1.0).turns[0]
    names = ("<a href='http://127.0.0.1/'>x</a>", *turn.admissible_commands[1:])
    changed = dataclasses.replace(turn, admissible_commands=names, command=names[0])
    assert "<a" not in probability_figure(changed).to_json().replace("\\u003c", "<")


def test_another_world_is_shown_as_text(run):
    observation = ChainWorld().reset(seed=0)[0]
    with pytest.raises(EnvError):
        grid_cells(observation)
    assert trail([]) == []


def test_the_grid_shows_what_the_observation_says():
    env = DangerousTaxi()
    observation, _ = env.reset(seed=0, options={"task": "r2c3-R-G", "stage": "full"})
    cells = grid_cells(observation)
    assert places(cells, "T") == [Place(x=3, y=2)]
    assert places(cells, "P") == [Place(x=0, y=0)]
    assert places(cells, "D") == [Place(x=4, y=0)]
    figure = grid_figure(cells, [], "north")
    named = {trace.name: (trace.x[0], trace.y[0]) for trace in figure.data}
    assert named == {"taxi": (3, 2), "passenger": (0, 0), "destination": (4, 0)}
    walls = [(shape.x0, shape.y0) for shape in figure.layout.shapes if shape.type == "line"]
    # Gymnasium's map: right of R's column pair in the two upper rows, and two pairs in the two lower ones.
    assert sorted(walls) == [(0.5, 2.5), (0.5, 3.5), (1.5, -0.5), (1.5, 0.5), (2.5, 2.5), (2.5, 3.5)]
    arrow = figure.layout.annotations[0]
    assert (arrow.x, arrow.y < 2) == (3, True)


def test_the_bars_mark_chosen_suggested_and_oracle():
    turn = taxi_trajectory(1, stage="pickup", update=1, skill=0.5).turns[0]
    traces = {trace.name: trace for trace in probability_figure(turn).data}
    assert tuple(traces["chosen"].y) == (turn.chosen_index,)
    assert tuple(traces["chosen"].x) == (turn.probabilities[turn.chosen_index],)
    assert len(traces["not chosen"].y) == 5
    assert tuple(traces["oracle"].y) == (turn.admissible_commands.index(turn.oracle_command),)
    assert tuple(traces["suggested"].y) == (turn.admissible_commands.index(turn.reflection.suggested_command),)


def test_the_strip_has_every_turn_and_marks_the_current_one():
    trajectory = taxi_trajectory(1, stage="full", update=1, skill=1.0)
    figure = strip_figure(trajectory, 2)
    assert tuple(figure.data[0].y) == tuple(turn.reward for turn in trajectory.turns)
    assert {(shape.x0, shape.x1) for shape in figure.layout.shapes} == {(1.5, 2.5)}


def test_entropy_is_in_nats():
    assert entropy([0.5, 0.5]) == pytest.approx(0.6931, abs=1e-4)
    assert entropy([1.0, 0.0]) == 0.0


def _all(run):
    reader = Run(run)
    return [reader.trajectory(name) for name in reader.trajectories()["trajectory_id"]]
