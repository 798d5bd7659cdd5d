"""A new run from this one, with some settings changed."""

import streamlit as st

from workbench.config import RunConfig, apply_overrides, load_config
from workbench.dashboard import cache, links
from workbench.dashboard.components import problem
from workbench.errors import ConfigError, WorkbenchError
from workbench.jobs import launch
from workbench.store.layout import RunPaths, run_root
from workbench.store.players import has_players
from workbench.store.settings import changed

_ANEW, _GO_ON = "anew", "go on"
_WORDS = {_ANEW: "from the beginning", _GO_ON: "from this run's data and players: online learning and evaluation only"}
_AFTER_WARM_UP = ("rl", "policy", "evaluate")


def section(paths: RunPaths) -> None:
    """Draw the form that starts a run with changed settings."""
    with st.expander("Fork: a new run with some settings changed", icon=":material/fork_right:"):
        try:
            base = load_config(paths.config)
        except WorkbenchError as error:
            problem("This run's settings cannot be read, so none can be changed", str(error))
            return
        text = st.text_area(
            "Changed settings, one a line",
            key=f"fork_settings_{paths.run_id}",
            placeholder=f"seed={base.seed + 1}\nrl.learning_rate=1e-4",
            help="As after `--set`: a.b=c; the value is read as YAML. Empty lines and lines that begin with # are left out.",
        )
        start = st.radio("It starts", starts(paths, base), key=f"fork_start_{paths.run_id}", format_func=_WORDS.__getitem__)
        config = _checked(base, str(text or ""), str(start))
        if st.button("Start the fork", type="primary", icon=":material/fork_right:", key="fork", disabled=config is None) and config:
            _start(paths, config)


def starts(paths: RunPaths, base: RunConfig) -> list[str]:
    """The ways a fork of this run can start: anew unless it took its data from a parent, from its players once it has any."""
    found = [_ANEW] if "generate" in base.phases else []
    # A recorded example brings no players, and a job finds its parent among the runs of its own root only.
    if has_players(paths) and not cache.is_example(paths):
        found.append(_GO_ON)
    return found or [_ANEW]


def forked(base: RunConfig, text: str, start: str) -> RunConfig:
    """The settings of the fork.

    Raises:
        ConfigError: A line is wrong, nothing is changed, or no phase is left.
    """
    lines = [line.strip() for line in text.splitlines()]
    config = apply_overrides(base, [line for line in lines if line and not line.startswith("#")])
    if start == _GO_ON:
        phases = [phase for phase in config.phases if phase in _AFTER_WARM_UP]
        if not phases:
            raise ConfigError("this configuration has neither rl nor evaluate among its phases; choose to start from the beginning")
        config = config.model_copy(update={"phases": phases})
    elif config == base:
        raise ConfigError("nothing is changed yet; another seed is a change, too")
    elif "generate" not in config.phases:
        raise ConfigError("phases lacks generate, so there would be neither data nor players; add it, or start from this run's players")
    return config


def _checked(base: RunConfig, text: str, start: str) -> RunConfig | None:
    """Draw what the settings amount to; None when they cannot be used."""
    try:
        config = forked(base, text, start)
    except WorkbenchError as error:
        st.caption("The button works once this is mended:")
        st.text(str(error).replace("--set: ", "").replace("--set ", ""))
        return None
    differ = changed([base.model_dump(mode="json"), config.model_dump(mode="json")])
    told = [f"{name}: {before} → {after}" for name, (before, after) in differ.items()]
    st.text("\n".join(told) or "The same settings.")
    return config


def _start(paths: RunPaths, config: RunConfig) -> None:
    try:
        run_id = launch.submit(config, run_root(), parent=paths.run_id)
    except (WorkbenchError, OSError) as error:
        problem("The fork could not be started", str(error))
        return
    cache.forget_summaries()
    links.go("run", run=run_id)
