"""Figures as SVG: marks stand where the numbers say, text is escaped, and what cannot be drawn is refused."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from tests.store_records import make_trajectory
from workbench.dashboard.run_figures import Band, success_figure
from workbench.dashboard.turn_figures import probability_figure, strip_figure
from workbench.errors import ConfigError
from workbench.pictures import Strip, credit_picture, figure_svg, flip_book, show, trajectory_book
from workbench.pictures.axis import Axis, round_places, written

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def words(svg: str) -> list[str]:
    return [element.text or "" for element in parsed(svg).iter(f"{SVG}text")]


def test_an_axis_puts_values_between_its_ends():
    axis = Axis(0, 10, 100, 300)
    assert [axis.pixel(value) for value in (0, 5, 10)] == [100, 200, 300]
    assert [text for _, text in axis.ticks()] == ["0", "2", "4", "6", "8", "10"]


def test_a_reversed_axis_and_a_logarithmic_one():
    assert Axis(10, 0, 100, 300).pixel(10) == 100
    log = Axis(0, 2, 0, 200, logarithmic=True)
    assert [log.pixel(value) for value in (1, 10, 100)] == [0, 100, 200]
    assert [text for _, text in log.ticks()] == ["1", "10", "100"]
    assert np.isnan(log.pixel(0))


def test_categories_stand_in_the_order_in_which_they_come():
    axis = Axis(-0.5, 1.5, 0, 200, categories=("east", "west"))
    assert (axis.pixel("east"), axis.pixel("west")) == (50, 150)


@pytest.mark.parametrize(("value", "form", "text"), [(0.5, ".0%", "50%"), (1234.0, ",", "1,234"), (0.123, ".2f", "0.12"), (2.5, "", "2.5")])
def test_numbers_are_written_in_their_format(value, form, text):
    assert written(value, form) == text


def test_round_places_lie_inside_and_are_round():
    assert round_places(0, 100, 6) == [0, 20, 40, 60, 80, 100]
    assert round_places(-0.3, 0.3, 6) == [-0.2, 0.0, 0.2] or round_places(-0.3, 0.3, 6) == [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]
    assert round_places(1, 1, 6) == [1]


def test_bars_are_as_high_as_their_values():
    figure = go.Figure(go.Bar(x=["a", "b"], y=[1, 3], marker={"color": "#123456"}))
    bars = [element for element in parsed(figure_svg(figure)).iter(f"{SVG}rect") if element.get("fill") == "#123456"]
    one, three = (float(bar.get("height", "nan")) for bar in bars)
    assert three == pytest.approx(3 * one, abs=0.2)
    assert {"a", "b"} <= set(words(figure_svg(figure)))


def test_piled_bars_stand_on_one_another():
    figure = go.Figure([go.Bar(x=["a"], y=[1], marker={"color": "#111111"}), go.Bar(x=["a"], y=[1], marker={"color": "#222222"})])
    figure.update_layout(barmode="stack")
    bars = {element.get("fill"): element for element in parsed(figure_svg(figure)).iter(f"{SVG}rect")}
    lower, upper = bars["#111111"], bars["#222222"]
    assert float(upper.get("y", "nan")) + float(upper.get("height", "nan")) == pytest.approx(float(lower.get("y", "nan")), abs=0.2)


def test_a_line_breaks_where_a_value_is_missing():
    figure = go.Figure(go.Scatter(x=[0, 1, 2, 3, 4], y=[1.0, 2.0, None, 4.0, 5.0], mode="lines"))
    assert len(list(parsed(figure_svg(figure)).iter(f"{SVG}polyline"))) == 2


def test_text_of_a_model_is_only_text():
    figure = go.Figure(go.Scatter(x=[1], y=[1], name="<script>alert(1)</script>", showlegend=True))
    figure.update_layout(title='" onload="alert(1)', showlegend=True)
    svg = figure_svg(figure)
    assert "<script" not in svg
    assert not any(name.startswith("on") for element in parsed(svg).iter() for name in element.attrib)


def test_cells_are_coloured_from_low_to_high():
    figure = go.Figure(go.Heatmap(z=[[0, 1]], colorscale=[[0, "#000000"], [1, "#ffffff"]], text=[["low", "high"]]))
    svg = figure_svg(figure)
    assert [element.get("fill") for element in parsed(svg).iter(f"{SVG}rect")][1:] == ["#000000", "#ffffff"]
    assert {"low", "high"} <= set(words(svg))


def test_what_cannot_be_drawn_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"'pie'.*known: scatter, bar, heatmap"):
        figure_svg(go.Figure(go.Pie(values=[1, 2])))


def test_the_apps_figures_can_be_drawn():
    record = make_trajectory(1)
    metrics = pd.DataFrame({"update": [1, 2, 3], "success/rate": [0.1, 0.5, 0.9]})
    evaluations = pd.DataFrame({"update": [3], "success_rate": [0.8], "low": [0.7], "high": [0.9]})
    changes = pd.DataFrame({"update": [2.0], "from": ["a"], "to": ["b"], "rate": [0.5], "reason": ["because"]})
    for figure in (
        probability_figure(record.turns[0]),
        strip_figure(record, 0),
        success_figure(metrics, evaluations, [Band(1, 1, "a", 0), Band(2, 3, "b", 1)], changes),
    ):
        svg = figure_svg(figure)
        assert "nan" not in svg
        assert re.search("<(rect|circle|polygon|polyline)", svg)


def test_equal_figures_give_equal_text():
    figure = go.Figure(go.Scatter(x=np.linspace(0, 1, 50), y=np.linspace(0, 1, 50) ** 2))
    assert figure_svg(figure) == figure_svg(go.Figure(figure))


def test_a_picture_is_shown_as_svg_and_says_what_it_is():
    bundle = show(go.Figure(go.Bar(x=[1], y=[1])), "one bar")._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml", "text/plain"}
    assert bundle["text/plain"] == "one bar"
    assert parsed(bundle["image/svg+xml"]).get("aria-label") == "one bar"


def test_a_flip_book_shows_its_first_frame_where_nothing_moves():
    frames = [figure_svg(go.Figure(go.Bar(x=[1], y=[height]))) for height in (1, 2, 3)]
    groups = [element for element in parsed(flip_book(frames, "three").svg) if element.tag == f"{SVG}g"]
    assert [group.get("opacity") for group in groups] == ["1", "0", "0"]
    assert all(group.find(f"{SVG}animate") is not None for group in groups)


def test_a_trajectory_becomes_a_book_with_a_frame_a_turn():
    record = make_trajectory(1)
    picture = trajectory_book(record)
    groups = [element for element in parsed(picture.svg) if element.tag == f"{SVG}g"]
    assert len(groups) == len(record.turns)
    assert any(record.turns[0].command in text for text in words(picture.svg))


def test_names_below_an_axis_shrink_where_they_would_run_into_one_another():
    def sizes(names):
        svg = parsed(figure_svg(go.Figure(go.Bar(x=names, y=[1.0] * len(names)))))
        return {element.get("font-size") for element in svg.iter(f"{SVG}text") if element.text in names}

    long = ["SFT + RL, no reflection", "random agent", "oracle agent", "SFT only", "Reflect-RL", "shuffled"]
    assert sizes(["SFT", "RL"]) == {"12"}
    assert len(sizes(long)) == 1 and 8 <= int(sizes(long).pop()) < 12


def test_characters_that_no_picture_may_hold_are_shown_as_unknown():
    record = make_trajectory(1)
    first = replace(record.turns[0], reflection=replace(record.turns[0].reflection, text="go \x17\ufffe\ud800 <on>"))
    drawn = words(trajectory_book(replace(record, turns=(first, *record.turns[1:]))).svg)
    assert "go \ufffd\ufffd\ufffd <on>" in drawn


def test_credit_is_drawn_token_by_token_with_its_number_and_gaps_stay_empty():
    strips = [Strip("<wrong>", ["4", None, "\n", ""], [-0.1, None, 0.0, None], [0]), Strip("right", ["<", "9"], [0.05, 0.1])]
    picture = credit_picture(strips, "credit & blame")
    drawn = words(picture.svg)
    assert [word for word in drawn if word in ("<wrong>", "right", "4", "↵", "■", "<", "9")] == [
        "<wrong>",
        "4",
        "↵",
        "■",
        "right",
        "<",
        "9",
    ]
    assert "-0.10" in drawn and "0.05" in drawn and "credit & blame" in drawn
    fills = [element.get("fill") for element in parsed(picture.svg).iter(f"{SVG}rect")][1:]
    assert fills[0] == "rgba(213, 94, 0, 0.75)" and fills[1] == "white" and fills[-1] == "rgba(0, 114, 178, 0.75)"


def test_long_strips_go_on_below_and_numbers_have_to_fit_the_tokens():
    tall, short = (credit_picture([Strip("", ["a"] * count, [0.0] * count)], "x").svg for count in (60, 5))
    heights = [float(parsed(svg).get("height", "")) for svg in (tall, short)]
    assert heights[0] > 2 * heights[1] - 40 and len([word for word in words(tall) if word == "a"]) == 60
    with pytest.raises(ConfigError, match="2 tokens and 1 numbers"):
        credit_picture([Strip("s", ["a", "b"], [1.0])], "x")
