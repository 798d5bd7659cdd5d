"""What can be done with the runs chosen in the table: open, compare, name, tag, archive, delete."""

from collections.abc import Callable, Sequence

import streamlit as st

from workbench.dashboard import cache, links
from workbench.dashboard.components import problem
from workbench.dashboard.export import download_table
from workbench.dashboard.runs_table import Listed, run_table
from workbench.errors import WorkbenchError
from workbench.store.labels import NAME_CHARACTERS, TAG_CHARACTERS, TAGS, read_labels, relabel
from workbench.store.layout import RunPaths, find_run, run_root
from workbench.store.remove import delete_run
from workbench.store.status import LIVE

_CHOSEN, _TOLD = "chosen_runs", "runs_told"


def chosen() -> list[str]:
    """Ids of the runs chosen in the table."""
    return list(st.session_state.get(_CHOSEN, []))


def remember(place: str, names: Sequence[str], *, opens_only: bool) -> None:
    """Take over what was clicked in the table ``place`` with the runs ``names``: a name opens its run, boxes choose."""
    selection = st.session_state[place].selection
    rows = [names[row] for row in selection.rows if row < len(names)]
    cells = [(row, column) for row, column in selection.cells if row < len(names)]
    if cells and (opens_only or cells[0][1] == "Run"):
        st.session_state["last_run"] = st.session_state[f"open_{place}"] = names[cells[0][0]]
    if not opens_only:
        st.session_state[_CHOSEN] = rows


def told() -> None:
    """Say what became of the last action."""
    for heading, message in st.session_state.pop(_TOLD, []):
        problem(heading, message)


def toolbar(found: Sequence[Listed]) -> None:
    """Draw the actions for the chosen runs among those that are listed."""
    picked = [one for one in found if one.run in chosen()]
    with st.container(horizontal=True, vertical_alignment="center"):
        if not picked:
            st.caption("A click on a name opens the run. Tick boxes at the left to compare, name, tag, archive or delete runs.")
        else:
            _buttons(picked)
        st.space("stretch")
        table = run_table(found)
        download_table(table, "runs", key="runs")


def _buttons(picked: Sequence[Listed]) -> None:
    st.text(f"{len(picked)} chosen")
    names = [one.run for one in picked]
    if st.button("Open", icon=":material/open_in_new:", key="open_chosen", disabled=len(picked) > 1):
        st.session_state["last_run"] = names[0]
        links.go("run", run=names[0])
    if st.button("Compare", icon=":material/compare_arrows:", key="compare_chosen", disabled=len(picked) < 2):
        st.query_params["compare"] = ",".join(names)
        st.rerun()
    with st.popover("Name and tags", icon=":material/label:"):
        _label_form(picked)
    archived = all(one.labels.archived for one in picked)
    word, icon = ("Take out of the archive", ":material/unarchive:") if archived else ("Archive", ":material/archive:")
    if st.button(word, icon=icon, key="archive_chosen", help="Archived runs stay where they are; the list leaves them out."):
        _each(names, "could not be archived", lambda name: relabel(_own(name), archived=not archived))
    with st.popover("Delete", icon=":material/delete:"):
        _delete_form(picked)


def _label_form(picked: Sequence[Listed]) -> None:
    names = [one.run for one in picked]
    known = sorted({tag for one in picked for tag in one.labels.tags})
    shared = [tag for tag in known if all(tag in one.labels.tags for one in picked)]
    mark = hash(tuple((one.run, one.labels) for one in picked))
    with st.form(f"label_form_{mark}", border=False):
        name = None
        if len(picked) == 1:
            name = st.text_input(
                "Name",
                picked[0].labels.name,
                key=f"label_name_{mark}",
                max_chars=NAME_CHARACTERS,
                placeholder=names[0],
                help="Shown instead of the id; empty takes it away. The folder keeps its id.",
            )
        tags = st.multiselect(
            "Tags" if len(picked) == 1 else "Tags that all of them have",
            known,
            shared,
            key=f"label_tags_{mark}",
            accept_new_options=True,
            max_selections=TAGS,
            placeholder="type a new one",
            help=f"At most {TAG_CHARACTERS} characters each",
        )
        if st.form_submit_button("Save", type="primary", key="label_save"):
            kept, gone = set(tags), set(shared) - set(tags)

            def change(run: str) -> None:
                before = read_labels(_own(run)).tags
                relabel(_own(run), name=name, tags=(set(before) | kept) - gone)

            _each(names, "could not be labelled", change)


def _delete_form(picked: Sequence[Listed]) -> None:
    live = [one.run for one in picked if one.summary.state in LIVE]
    if live:
        st.markdown("**Still live.** Stop these before you delete them:")
        st.text("\n".join(live))
        return
    st.markdown("**Delete for good?** Weights, trajectories and logs of these runs are removed from the disk:")
    st.text("\n".join(one.run if one.title == one.run else f"{one.run}   {one.title}" for one in picked))
    if st.button(f"Yes, delete {len(picked)}", type="primary", icon=":material/delete_forever:", key="delete_chosen"):
        _each([one.run for one in picked], "was not deleted", lambda name: delete_run(_root_of_own(name), name))


def _own(name: str) -> RunPaths:
    return find_run(_root_of_own(name), name, allow_paths=False)


def _root_of_own(name: str) -> str:
    root = run_root()
    if cache.is_example(RunPaths(root / name)):
        raise WorkbenchError(f"{name} is a recorded example, which is never changed; copy its folder to your run root first")
    return str(root)


def _each(names: Sequence[str], failed: str, action: Callable[[str], object]) -> None:
    """Do ``action`` for every run, then draw the page anew; what failed is said there."""
    found = []
    for name in names:
        try:
            action(name)
        except (WorkbenchError, OSError) as error:
            found.append((f"A run {failed}", str(error)))
    st.session_state[_TOLD] = found
    st.session_state[_CHOSEN] = []
    cache.forget_summaries()
    st.rerun()
