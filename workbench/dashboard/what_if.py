"""The page What if: ask a run's players about any step, change what they read, and play on from there."""

import streamlit as st

from workbench.dashboard import cache, links, turn_cache, what_if_players
from workbench.dashboard.components import all_runs, problem, run_picker
from workbench.dashboard.what_if_branches import show_branches
from workbench.dashboard.what_if_scene import show_scene
from workbench.dashboard.what_if_state import Line, fresh_line, line_from
from workbench.errors import WorkbenchError
from workbench.rollout.what_if import Players
from workbench.store.checkpoints import list_checkpoints
from workbench.store.layout import RunPaths

_MOST_TRAJECTORIES = 500
_DEVICES = ("auto", "cpu", "cuda")
_STARTS = {"recorded": "A recorded step", "fresh": "A fresh start"}


def page() -> None:
    """Draw the page."""
    st.title("What if", anchor=False)
    st.markdown("Change the reflection, the labels or the state at any step, and see at once what the policy would have done.")
    name = run_picker(all_runs())
    if not name:
        with st.container(border=True):
            st.markdown("**No run yet.** Start one on the first page; its players can be asked here from their first checkpoint on.")
            links.link("runs", "To the runs", icon=":material/view_list:")
        return
    try:
        paths = cache.open_run(name)
        checkpoints = [one.name for one in list_checkpoints(paths, role="policy")][::-1]
    except (WorkbenchError, OSError) as error:
        problem("This run cannot be shown", str(error), hint="Choose another run above. Nothing in the folder was changed.")
        return
    st.query_params["run"] = name
    if checkpoints:
        _ask(paths, checkpoints)
    else:
        _no_players(paths)
    show_branches(paths)


def _no_players(paths: RunPaths) -> None:
    with st.container(border=True):
        st.markdown(":material/inventory_2: **This run has no checkpoint of its policy.**")
        if cache.is_example(paths):
            st.caption("A recorded example comes without weights. Start a run of your own, or choose one above.")
            links.link("runs", "To the runs", icon=":material/view_list:")
        else:
            st.caption("The first one is written while the policy is warmed up. Come back then, or choose another run above.")
            links.link("run", "How far it is", icon=":material/monitoring:", run=paths.run_id)


def _ask(paths: RunPaths, checkpoints: list[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = links.parameter("checkpoint")
        if wanted and wanted not in checkpoints:
            st.caption("The checkpoint of the address is gone; the newest is chosen.")
        place = checkpoints.index(wanted) if wanted in checkpoints else 0
        checkpoint = st.selectbox("Policy of checkpoint", checkpoints, index=place, key=f"checkpoint_{paths.run_id}", width=220)
        device = st.selectbox(
            "On", _DEVICES, key="what_if_device", width=110, help="auto: tiny players on the CPU, others on a GPU where there is one"
        )
        start = st.segmented_control(
            "Begin at", list(_STARTS), format_func=_STARTS.__getitem__, key="what_if_start", default=_asked_start()
        )
        loaded = what_if_players.wants(paths, checkpoint, device)
        if st.button(
            "Load the players", type="secondary" if loaded else "primary", icon=":material/neurology:", key="load", disabled=loaded
        ):
            what_if_players.ask_for(paths, checkpoint, device)
            loaded = True
    st.query_params["checkpoint"] = checkpoint
    players = _players(paths, checkpoint, device) if loaded else None
    try:
        line = _fresh(paths, players) if start == "fresh" else _recorded(paths)
        if players is not None and line is not None:
            show_scene(paths, players, line, checkpoint)
    except (WorkbenchError, OSError) as error:
        problem("This step cannot be asked about", str(error), hint="Choose another step or checkpoint above.")
        return
    if players is None:
        st.caption("Loading imports PyTorch, the run's environment and its weights into the app; until then the app has none of them.")


def _players(paths: RunPaths, checkpoint: str, device: str) -> Players | None:
    try:
        return what_if_players.players(paths, checkpoint, device)
    except (WorkbenchError, OSError) as error:
        what_if_players.forget()
        problem("These players cannot be loaded", str(error), hint="Choose another checkpoint or device above.")
        return None


def _asked_start() -> str:
    return "fresh" if links.parameter("task") and not links.parameter("trajectory") else "recorded"


def _recorded(paths: RunPaths) -> Line | None:
    """Draw the choice of a recorded step and give the line that begins there."""
    names = [str(name) for name in turn_cache.overview(paths)["trajectory_id"].head(_MOST_TRAJECTORIES)]
    if not names:
        st.caption("This run has recorded no trajectory yet; begin at a fresh start instead.")
        return None
    asked = links.parameter("trajectory")
    options = names if not asked or asked in names else [asked, *names]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = st.selectbox("Trajectory", options, index=options.index(asked) if asked else 0, key=f"what_if_{paths.run_id}", width=340)
        trajectory = cache.trajectory(paths, wanted)
        last = len(trajectory.turns) - 1
        text = links.parameter("turn") if wanted == asked else ""
        turn = min(int(text), last) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
        if last > 0:
            turn = st.slider(f"Turn (0 to {last})", 0, last, turn, key=f"what_if_turn_{wanted}", width=420)
        links.link(
            "trajectories", "As it was", icon=":material/route:", run=paths.run_id, trajectory=trajectory.trajectory_id, turn=str(turn)
        )
    for name in ("stage", "task", "seed"):
        st.query_params.pop(name, None)
    st.query_params.update({"trajectory": wanted, "turn": str(turn)})
    return line_from(paths.run_id, trajectory, turn)


def _fresh(paths: RunPaths, players: Players | None) -> Line | None:
    """Draw the choice of a task and give the line that begins there; the tasks are known once the environment is loaded."""
    if players is None:
        st.caption("The stages and tasks are listed as soon as the players are loaded.")
        return None
    env = players.make_env()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        asked = links.parameter("stage")
        stages = list(env.stages)
        stage = st.selectbox(
            "Stage", stages, index=stages.index(asked) if asked in stages else len(stages) - 1, key="what_if_stage", width=160
        )
        tasks, asked = list(env.tasks(stage)), links.parameter("task")
        task = st.selectbox("Task", tasks, index=tasks.index(asked) if asked in tasks else 0, key=f"what_if_task_{stage}", width=300)
        seed = int(st.number_input("Seed", min_value=0, max_value=2**31 - 1, value=0, key="what_if_seed", width=130))
    for name in ("trajectory", "turn"):
        st.query_params.pop(name, None)
    st.query_params.update({"stage": stage, "task": task, "seed": str(seed)})
    return fresh_line(paths.run_id, stage, task, seed)
