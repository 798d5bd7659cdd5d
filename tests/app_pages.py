"""Pages of the app under Streamlit's AppTest, for tests."""

from streamlit.testing.v1 import AppTest

# A page run directly, with the links that the router would have made: AppTest follows no address to a page made of a function.
_SCRIPT = """
import streamlit as st
from workbench.dashboard import compare, data, launch, links, reflections, rewards, run, runs, selection, trajectories, what_if
found = (compare, data, launch, reflections, rewards, run, runs, selection, trajectories, what_if)
modules = {{module.__name__.rpartition(".")[2]: module for module in found}}
links.remember({{name: st.Page(module.page, url_path=name) for name, module in modules.items()}})
modules[{page!r}].page()
"""


def app(page: str, **parameters: str) -> AppTest:
    """A page that has not been run yet, with these query parameters."""
    test = AppTest.from_string(_SCRIPT.format(page=page), default_timeout=30)
    for name, value in parameters.items():
        test.query_params[name] = value
    return test


def shown(page: str, **parameters: str) -> AppTest:
    """A page after its first run, which raised nothing."""
    test = app(page, **parameters).run()
    assert not test.exception, test.exception
    return test


def words(test: AppTest) -> str:
    """All text on the page, as it was handed to Streamlit."""
    kinds = (test.text, test.code, test.markdown, test.caption, test.info, test.html)
    return "\n".join(str(getattr(element, "value", "")) for kind in kinds for element in kind)


def parameter(test: AppTest, name: str) -> str:
    """What the address says."""
    value = test.query_params[name]
    return value if isinstance(value, str) else value[-1]
