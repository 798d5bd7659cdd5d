"""The workbench in the browser: the gate and the router, and nothing else. Start it with ``make app``."""

import streamlit as st

from workbench.dashboard import compare, data, gate, launch, links, look, reflections, rewards, run, runs, selection, trajectories, what_if

st.set_page_config(page_title="workbench", page_icon="🚕", layout="wide")
look.tidy()
gate.let_in()
pages = {
    "runs": st.Page(runs.page, title="Runs", icon=":material/view_list:", url_path="runs", default=True),
    "run": st.Page(run.page, title="Run", icon=":material/monitoring:", url_path="run"),
    "trajectories": st.Page(trajectories.page, title="Trajectories", icon=":material/route:", url_path="trajectories"),
    "compare": st.Page(compare.page, title="Compare", icon=":material/compare_arrows:", url_path="compare"),
    "reflections": st.Page(reflections.page, title="Reflections", icon=":material/psychology:", url_path="reflections"),
    "rewards": st.Page(rewards.page, title="Token rewards", icon=":material/token:", url_path="rewards"),
    "what_if": st.Page(what_if.page, title="What if", icon=":material/alt_route:", url_path="what_if"),
    "data": st.Page(data.page, title="Data", icon=":material/dataset:", url_path="data"),
    "selection": st.Page(selection.page, title="Selection", icon=":material/rule:", url_path="selection"),
    "launch": st.Page(launch.page, title="Launch", icon=":material/rocket_launch:", url_path="launch"),
}
links.remember(pages)
st.navigation(list(pages.values()), position="top").run()
