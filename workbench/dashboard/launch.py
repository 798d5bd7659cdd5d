"""The page Launch: any setting of a run, checked before it starts, on a device of choice, in a queue that needs no browser."""

import shlex
from typing import Any

import streamlit as st

from workbench.config import RunConfig, apply_overrides, load_config, load_preset, preset_names
from workbench.dashboard import cache, form, launch_devices, launch_queue, links
from workbench.dashboard.components import duration, problem
from workbench.errors import ConfigError, WorkbenchError
from workbench.jobs import launch, preparing
from workbench.store.checkpoints import list_checkpoints
from workbench.store.layout import RunPaths, run_root
from workbench.store.pace import expected_seconds

_FIRST_PRESET = "taxi-quickstart"
_NOBODY = "nothing: a run from the beginning"
_AFTER_WARM_UP = ("rl", "policy", "evaluate")
_CHECKED = "launch_checked"


def page() -> None:
    """Draw the page."""
    st.title("Launch", anchor=False)
    launch_queue.show(run_root())
    base, parent = _beginning()
    config = _settings(base, parent)
    devices = launch_devices.choose(config)
    runs = _runs(config, devices)
    if not runs:
        return
    st.subheader("The command line", anchor=False)
    for _, one in runs:
        st.code(command_line(base, one, parent), language="bash", wrap_lines=True)
    _check_and_start(runs, parent)


def _beginning() -> tuple[RunConfig, str | None]:
    """Draw the choice of a preset and of a run to start from."""
    presets = preset_names()
    asked = links.parameter("preset")
    first = asked if asked in presets else _FIRST_PRESET if _FIRST_PRESET in presets else presets[0]
    players = [one.run for one in cache.own_runs() if not one.problem and list_checkpoints(RunPaths(one.path), role="policy")]
    wanted = links.parameter("parent")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        preset = st.selectbox("Preset", presets, index=presets.index(first), key="launch_preset", width=280)
        place = 1 + players.index(wanted) if wanted in players else 0
        parent = st.selectbox("Data and players from", [_NOBODY, *players], index=place, key="launch_parent", width=420)
    base = load_preset(preset)
    st.caption(base.description or "A ready configuration.")
    return base, None if parent == _NOBODY else str(parent)


def _settings(base: RunConfig, parent: str | None) -> RunConfig | None:
    """Draw every setting and give the configuration that they make; None where they make none."""
    values = base.model_dump()
    if parent is not None:
        values["phases"] = [phase for phase in base.phases if phase in _AFTER_WARM_UP]
        st.caption("With data and players from a run, only online learning and evaluation are left to do.")
    changed: dict[str, Any] = {} if parent is None else {"phases": values["phases"]}
    tabs = st.tabs([group.replace("_", " ") for group in form.groups()])
    for tab, group in zip(tabs, form.groups(), strict=True):
        with tab:
            changed |= form.draw_group(group, values, prefix=f"launch:{base.preset}:{parent}")
    try:
        config = apply_overrides(base, form.overrides(changed))
        if parent is not None:
            _fits(config, load_config(cache.open_run(parent).config))
    except WorkbenchError as error:
        problem("These settings cannot be used", str(error).replace("--set: ", ""), hint="Change the setting above.")
        return None
    shown = {key: form.written(value) for key, value in changed.items()}
    st.text("Changed: " + ", ".join(f"{key}={value}" for key, value in shown.items()) if shown else "Nothing is changed from the preset.")
    return config


def _fits(config: RunConfig, parent: RunConfig) -> None:
    """Refuse settings that players of ``parent`` cannot go on with.

    Raises:
        ConfigError: Another environment or model, or phases that would make the players anew.
    """
    for key in ("env.name", "policy.model", "policy.tiny", "reflection.model"):
        mine, theirs = (form.value_at(one.model_dump(), key) for one in (config, parent))
        if mine != theirs:
            raise ConfigError(f"{key} is {form.written(mine)}, but the run with the players has {form.written(theirs)}; make them equal")
    if set(config.phases) - set(_AFTER_WARM_UP):
        raise ConfigError("phases: a run with data and players from another goes through rl and evaluate only; take the others out")


def _runs(config: RunConfig | None, devices: list[str]) -> list[tuple[str, RunConfig]]:
    """The runs that the form asks for: one for each device, or kind of device that its processes share, with a seed of its own."""
    if config is None:
        return []
    if not devices:
        st.caption("Choose a device above.")
        return []
    if config.device.num_processes > 1:  # they share the cores, or take a GPU each
        devices = list(dict.fromkeys(device.partition(":")[0] for device in devices))
    return [
        (device, apply_overrides(config, [f"device.device={device}", f"seed={config.seed + place}"]))
        for place, device in enumerate(devices)
    ]


def command_line(base: RunConfig, config: RunConfig, parent: str | None) -> str:
    """The command that does what the form does, word for word."""
    before, after = base.model_dump(), config.model_dump()
    if parent is not None:  # --from leaves these phases by itself
        before["phases"] = [phase for phase in base.phases if phase in _AFTER_WARM_UP]
    keys = [setting.key for setting in form.settings()]
    changed = {key: form.value_at(after, key) for key in keys if form.value_at(after, key) != form.value_at(before, key)}
    number = config.device.num_processes
    words = ["workbench", "train", base.preset]
    if number > 1 and changed.pop("device.num_processes", None):
        words += ["--launcher", "accelerate", "--num-processes", str(number)]
    for override in form.overrides(changed):
        words += ["--set", override]
    return shlex.join(words + (["--from", parent] if parent else []))


def _check_and_start(runs: list[tuple[str, RunConfig]], parent: str | None) -> None:
    """Draw the check and, once it has passed for exactly these settings, the button that starts."""
    asked = repr((runs, parent))
    if st.button("Check", icon=":material/fact_check:", key="check"):
        with st.spinner("Looking whether this can run here …", show_time=True):
            st.session_state[_CHECKED] = (asked, _look(runs))
    known, found = st.session_state.get(_CHECKED, ("", []))
    holds = known == asked and bool(found) and all(check.ok for check in found)
    if known == asked:
        for check in found:
            st.text(f"{'✓' if check.ok else '✗'} {check.name}: {check.found}")
    elif known:
        st.caption("The settings have changed since the check.")
    _time(runs)
    label = "Start" if len(runs) == 1 else f"Start {len(runs)} runs"
    if st.button(label, type="primary", icon=":material/play_arrow:", key="launch", disabled=not holds):
        _start(runs, parent)
    if not holds:
        st.caption("The button works once a check of exactly these settings has passed.")


def _look(runs: list[tuple[str, RunConfig]]) -> list[preparing.Check]:
    found: list[preparing.Check] = []
    for device, config in runs:
        try:
            found += [check._replace(name=f"{device}: {check.name}") for check in preparing.checks(config, run_root())]
        except (WorkbenchError, OSError) as error:
            found.append(preparing.Check(device, False, str(error)))
    return found


def _time(runs: list[tuple[str, RunConfig]]) -> None:
    for device, config in runs:
        guess = expected_seconds(config, device, [*cache.own_runs(), *cache.recorded_examples()])
        if guess is None:
            st.text(f"○ {device}: time: no finished run of this environment and model on such a device to judge by")
        else:
            st.text(f"○ {device}: time: about {duration(guess.seconds)}, by the pace of {guess.run}")


def _start(runs: list[tuple[str, RunConfig]], parent: str | None) -> None:
    try:
        names = [launch.submit(config, run_root(), parent=parent) for _, config in runs]
    except (WorkbenchError, OSError) as error:
        problem("The run could not be started", str(error))
        return
    st.session_state.pop(_CHECKED, None)
    cache.forget_summaries()
    if len(names) == 1:
        links.go("run", run=names[0])
    st.rerun()
