"""Who may see the app: everybody who reaches it, whoever knows a password, or whoever logs in (OpenID Connect).

The app listens on this machine only, so nothing is asked for by default. On a machine with several people the environment variable
WORKBENCH_PASSWORD asks for a password, and an ``[auth]`` section in ``.streamlit/secrets.toml`` for a login by Streamlit's own means.
"""

import hmac
import os
import time

import streamlit as st

PASSWORD = "WORKBENCH_PASSWORD"
_WAIT_SECONDS = 1.0
_KNOWN = "knows_the_password"


def let_in() -> None:
    """Return once this visitor may see the pages; until then draw what is asked for and end the script run."""
    if _has_login():
        if not st.user.is_logged_in:
            st.title("workbench", anchor=False)
            st.button("Log in", type="primary", on_click=st.login)
            st.stop()
        return
    expected = os.environ.get(PASSWORD, "")
    if expected and not st.session_state.get(_KNOWN):
        _ask(expected)


def _has_login() -> bool:
    return st.secrets.load_if_toml_exists() and "auth" in st.secrets


def _ask(expected: str) -> None:
    st.title("workbench", anchor=False)
    typed = st.text_input("Password", type="password", key="password")
    if typed and hmac.compare_digest(typed.encode(), expected.encode()):
        st.session_state[_KNOWN] = True
        st.rerun()
    if typed:
        time.sleep(_WAIT_SECONDS)  # guessing takes its time
        st.error("That is not the password.")
    st.stop()
