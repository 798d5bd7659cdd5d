"""Where the pages are, and the one way to get from one to another: through the address, so that every view has a link."""

from typing import Literal

import streamlit as st
from streamlit.navigation.page import Page

Name = Literal["runs", "run", "trajectories", "compare", "reflections", "rewards", "what_if", "data", "selection", "launch"]
_KEY = "workbench_pages"


def remember(pages: dict[str, Page]) -> None:
    """Keep the router's pages for this session; pages that link to each other then need not import each other."""
    st.session_state[_KEY] = pages


def go(name: Name, **parameters: str) -> None:
    """Leave for a page with these query parameters."""
    st.switch_page(st.session_state[_KEY][name], query_params=parameters)


def link(name: Name, label: str, *, icon: str, **parameters: str) -> None:
    """Draw a link to a page with these query parameters; ``label`` is our own text, never a file's or a model's."""
    st.page_link(st.session_state[_KEY][name], label=label, icon=icon, query_params=parameters)


def parameter(name: str) -> str:
    """A query parameter, or an empty string; it may hold anything."""
    return str(st.query_params.get(name, ""))
