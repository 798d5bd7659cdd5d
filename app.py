"""The workbench in the browser: the router, and nothing else. Start it with ``make app``."""

import streamlit as st

from workbench.dashboard import links, run, runs, trajectories

st.set_page_config(page_title="workbench", page_icon="🚕", layout="wide")
pages = {
    "runs": st.Page(runs.page, title="Runs", icon=":material/view_list:", url_path="runs", default=True),
    "run": st.Page(run.page, title="Run", icon=":material/monitoring:", url_path="run"),
    "trajectories": st.Page(trajectories.page, title="Trajectories", icon=":material/route:", url_path="trajectories"),
}
links.remember(pages)
st.navigation(list(pages.values()), position="top").run()
