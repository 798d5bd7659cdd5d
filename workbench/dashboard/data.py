"""The page Data: what the players are taught, example by example, with exactly the tokens that carry loss."""

from typing import Any

import pandas as pd
import streamlit as st

from workbench.dashboard import cache, data_rows, links
from workbench.dashboard.components import all_runs, problem, prose, run_picker
from workbench.dashboard.export import download_table
from workbench.data.generate import Example
from workbench.data.sets import CARD_FILE, EXAMPLES_FILE, SETS
from workbench.errors import WorkbenchError
from workbench.store.files import read_json
from workbench.store.layout import RunPaths

_PAGE = 200
_ANY = "any"
_NOT_IN_SET = "negative"


def page() -> None:
    """Draw the page."""
    st.title("Data", anchor=False)
    st.markdown("What the players are warmed up on: every example as the trainer reads it, with the tokens that carry loss marked.")
    name = run_picker(all_runs())
    if not name:
        with st.container(border=True):
            st.markdown("**No run yet.** Start one on the first page; its data appears here when its first phase has ended.")
            links.link("runs", "To the runs", icon=":material/view_list:")
        return
    try:
        paths = cache.open_run(name)
        st.query_params["run"] = name
        _card(paths)
        if (paths.data / EXAMPLES_FILE).is_file():
            _examples(paths)
        else:
            _without_examples(paths)
    except (WorkbenchError, OSError) as error:
        problem("This run's data cannot be shown", str(error), hint="Choose another run above. Nothing in the folder was changed.")


def _without_examples(paths: RunPaths) -> None:
    with st.container(border=True):
        st.markdown(":material/dataset: **The examples of this run are not here.**")
        if cache.is_example(paths):
            st.caption("A recorded example comes with its data card alone. Start a run of your own to see examples.")
        else:
            st.caption("The phase generate writes them; they appear here when it has ended. A run without that phase has none.")


def _card(paths: RunPaths) -> None:
    card = read_json(paths.data / CARD_FILE)
    if not card:
        return
    numbers = {key: value for key, value in card.items() if not isinstance(value, (dict, list))}
    tables = {key: value for key, value in card.items() if isinstance(value, dict) and value}
    with st.expander("Data card", expanded=True, icon=":material/badge:"):
        st.code("\n".join(f"{key.replace('_', ' '):<34}{value}" for key, value in numbers.items()), language=None)
        columns = st.columns(4)
        for place, (key, value) in enumerate(tables.items()):
            with columns[place % 4]:
                rows = [{key.replace("_", " "): str(name), "": str(count)} for name, count in value.items()]
                st.dataframe(rows, hide_index=True, key=f"card_{key}", height=min(250, 38 + 35 * len(rows)))
        download_table(card_table(tables), f"{paths.run_id}-data-card", key="card", what="These counts as one table")


def card_table(tables: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """The counts of a data card in one table: what is counted, by what, how many."""
    rows = [(what, str(name), count) for what, counts in tables.items() for name, count in counts.items()]
    return pd.DataFrame(rows, columns=["counted", "value", "examples"])


def _examples(paths: RunPaths) -> None:
    examples = data_rows.examples(paths)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = links.parameter("set")
        name = st.selectbox("Set", SETS, index=SETS.index(wanted) if wanted in SETS else 1, key="data_set", width=250)
        kind = st.selectbox("Kind", [_ANY, *dict.fromkeys(one.kind for one in examples)], key="data_kind", width=150)
        stage = st.selectbox("Stage", [_ANY, *dict.fromkeys(one.stage for one in examples)], key="data_stage", width=150)
        split = st.selectbox("Split", [_ANY, *dict.fromkeys(one.split for one in examples)], key="data_split", width=150)
        text = st.text_input("Text in a reflection", key="data_text", width=220)
    chosen = [
        number
        for number, one in enumerate(examples)
        if (kind in (_ANY, one.kind) and stage in (_ANY, one.stage) and split in (_ANY, one.split))
        and not (name.endswith("_positive") and one.kind == _NOT_IN_SET)
        and text.lower() in one.reflection.lower()
    ]
    st.caption(f"{len(chosen):,} of {len(examples):,} examples; the trainer uses those of the split train.")
    st.query_params["set"] = name
    if not chosen:
        return
    number = _pick(examples, chosen)
    st.query_params["example"] = str(number)
    _show(paths, name, examples[number], number)


def _pick(examples: tuple[Example, ...], chosen: list[int]) -> int:
    """Draw the table, a page at a time, and give the number of the example to show."""
    pages = (len(chosen) - 1) // _PAGE + 1
    first = (int(st.number_input(f"Page (1 to {pages})", 1, pages, 1, key="data_page", width=160)) - 1) * _PAGE if pages > 1 else 0
    listed = chosen[first : first + _PAGE]
    frame = data_rows.example_table(examples, listed)
    event = st.dataframe(
        frame, hide_index=True, height=min(248, 38 + 35 * len(listed)), key="data_table", on_select="rerun", selection_mode="single-row"
    )
    download_table(lambda: data_rows.example_table(examples, chosen), "examples", key="examples", what=f"All {len(chosen):,} of them")
    rows = event.selection.rows
    if rows and rows[0] < len(listed):
        return listed[rows[0]]
    asked = links.parameter("example")
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 10 else -1
    return number if number in chosen else listed[0]


def _show(paths: RunPaths, name: str, example: Example, number: int) -> None:
    st.subheader(f"Example {number}", anchor=False)
    if example.mistake is not None:
        _correction(example)
    try:
        row, tokenizer = data_rows.training_row(paths, name, example, number)
    except WorkbenchError as error:
        problem("Its tokens cannot be shown", str(error), hint="Here is its text instead; the loss covers the completion.")
        _text(name, example)
        return
    marked = sum(label >= 0 for label in row.labels)
    st.caption(f"{len(row.input_ids)} tokens, {marked} of them with loss (marked). A thin line stands between tokens.")
    st.html(data_rows.row_html(tokenizer.pieces(row.input_ids), [label >= 0 for label in row.labels]))


def _correction(example: Example) -> None:
    """Draw a negative example beside the move that it corrects."""
    wrong, right = st.columns(2, gap="medium")
    with wrong, st.container(border=True):
        st.markdown(":material/close: **The wrong move**")
        st.text(str(example.mistake))
        st.caption("It led to this state:")
        st.code(example.observation, language=None, wrap_lines=True)
    with right, st.container(border=True):
        st.markdown(":material/check: **What is taught instead**")
        st.text(example.oracle_command)
        st.caption("with this reflection:")
        prose(example.reflection, example.oracle_command)


def _text(name: str, example: Example) -> None:
    st.code(f"{example.task_statement}\n{example.observation}", language=None, wrap_lines=True)
    st.caption("completion")
    st.code(example.reflection if name.startswith("sft_reflection") else example.oracle_command, language=None, wrap_lines=True)
