"""How every page looks beyond what Streamlit's theme settles (``.streamlit/config.toml``): no empty space around what is shown."""

import streamlit as st

# Streamlit leaves 6 to 8 rem above a page's title and 10 below its end, and 5 at either side of a wide page.
_STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding: 3.75rem 3rem 3rem; }
</style>"""


def tidy() -> None:
    """Apply it; takes no place on the page."""
    st.html(_STYLE)
