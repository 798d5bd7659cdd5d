import re

import pytest

from workbench.dashboard.turn_lake import lake_html, lake_rows
from workbench.envs.frozen_lake import FrozenLake

FIELDS = re.compile(r'title="([^"]*)">(.?)</td>')


@pytest.fixture
def way():
    """Observations along a shortest way."""
    lake = FrozenLake(size=4, maps=3)
    observation, _ = lake.reset(seed=0, options={"task": lake.tasks("full")[0], "stage": "full"})
    seen = [observation]
    for command in lake.oracle() or []:
        seen.append(lake.step(command)[0])
    return seen


def test_the_map_is_read_from_what_the_player_saw(way):
    rows = lake_rows(way[0])
    assert rows[0][0] == "@" and rows[-1][-1] == "G" and [len(row) for row in rows] == [4, 4, 4, 4]


def test_the_last_map_is_drawn_with_the_way_so_far(way):
    drawn = FIELDS.findall(lake_html(way[:3]))
    assert len(drawn) == 16
    assert [sign for _, sign in drawn].count("◉") == 1
    assert [sign for _, sign in drawn].count("·") == 2
    assert [title for title, _ in drawn].count("hole") == "".join(lake_rows(way[2])).count("H")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@ S\nThe goal",
        "At: /src\nHere: a b",
        "@ F\nF G F\nThe goal lies 1 down",
        "<b>\n@ F\nF G\nThe goal lies 1",
        "@ @\nF G\nThe goal lies 1",
    ],
)
def test_another_worlds_observation_is_left_to_others(text):
    assert lake_rows(text) == []
    assert lake_html([text]) == "" == lake_html([])
