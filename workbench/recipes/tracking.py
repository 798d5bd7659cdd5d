"""Experiment trackers beside a run: what the writer writes, they hear. Through accelerate, so that one interface serves all four.

Trackers are found by their own environment variables (``MLFLOW_TRACKING_URI``, ``WANDB_MODE``, …). One that cannot be opened ends the run
before it begins; one that breaks later is left out with a warning, since the run folder has everything.
"""

import importlib.util
import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from workbench.config import RunConfig, TrackingConfig
from workbench.errors import ConfigError, WorkbenchError
from workbench.store.layout import TENSORBOARD, RunPaths
from workbench.store.writer import RunWriter

_OWN_STEPS = ("wandb", "trackio")
"""Trackers whose steps may only grow, while the updates of each phase begin at 1: they count for themselves."""
RUN_TAG = "workbench.run"

log = logging.getLogger("workbench")


def check_trackers(settings: TrackingConfig) -> None:
    """Refuse trackers that are not installed.

    Raises:
        ConfigError: One is not.
    """
    for name in settings.report_to:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"tracking.report_to names {name}, which is not installed; pip install -e '.[trackers]', or leave it out")


@contextmanager
def mirrored(config: RunConfig, paths: RunPaths, writer: RunWriter) -> Iterator[None]:
    """Let the configured trackers hear what ``writer`` writes while the ``with`` block lasts.

    Raises:
        ConfigError: A tracker is not installed.
        WorkbenchError: A tracker cannot be opened.
    """
    check_trackers(config.tracking)
    if not config.tracking.report_to:
        yield
        return
    mirror = Mirror(writer)
    try:
        for name in config.tracking.report_to:
            mirror.trackers[name] = _opened(name, config, paths)
        writer.listeners.append(mirror)
        yield
    finally:
        if mirror in writer.listeners:
            writer.listeners.remove(mirror)
        mirror.close()


class Mirror:
    """Repeats a run's numbers to trackers.

    Args:
        writer: The run's; it is told of trackers that break.
    """

    def __init__(self, writer: RunWriter) -> None:
        self.writer = writer
        self.trackers: dict[str, Any] = {}

    def metrics(self, phase: str, update: int, values: Mapping[str, float]) -> None:
        """One update's numbers, under ``<phase>/<metric>``."""
        self._log(phase, update, {f"{phase}/{key}": value for key, value in values.items()})

    def evaluation(self, values: Mapping[str, Any]) -> None:
        """One evaluation's numbers, under ``evaluation/<phase>/<metric>``."""
        phase, update = str(values.get("phase", "")), values.get("update")
        numbers = {f"evaluation/{phase}/{key}": value for key, value in values.items() if key not in ("phase", "update")}
        self._log(f"evaluation/{phase}", update if isinstance(update, int) else 0, numbers)

    def close(self) -> None:
        """Have every tracker send what it has."""
        for name in list(self.trackers):
            self._guard(name, lambda tracker: tracker.finish())
        self.trackers.clear()

    def _log(self, area: str, update: int, values: Mapping[str, Any]) -> None:
        numbers = {key: float(value) for key, value in values.items() if _is_number(value)}
        for name in list(self.trackers):
            if name in _OWN_STEPS:
                self._guard(name, lambda tracker: tracker.log({**numbers, f"{area}/update": update}))
            else:
                self._guard(name, lambda tracker: tracker.log(numbers, step=update))

    def _guard(self, name: str, call: Any) -> None:
        try:
            call(self.trackers[name])
        except Exception as error:  # a library's and its server's troubles, of any kind: the run goes on
            self.trackers.pop(name, None)
            log.warning("%s broke", name, exc_info=error)
            self.writer.event("warning", f"{name} is not told any more: {_line(error)}; the run folder has everything")


def _opened(name: str, config: RunConfig, paths: RunPaths) -> Any:
    try:
        tracker = _tracker(name, config, paths)
        tracker.start()
        if not paths.metrics.exists():  # settings are told once; some trackers refuse to hear them again
            tracker.store_init_configuration(_flat(config.model_dump()))
        return tracker
    except Exception as error:  # as above, but somebody is there to mend it
        raise WorkbenchError(f"{name} cannot be opened: {_line(error)}; mend that, or leave it out of tracking.report_to") from error


def _tracker(name: str, config: RunConfig, paths: RunPaths) -> Any:
    from accelerate import tracking

    project, run_id = config.tracking.project, paths.run_id
    if name == "tensorboard":
        return tracking.TensorBoardTracker(TENSORBOARD, logging_dir=paths.folder)
    if name == "wandb":
        return tracking.WandBTracker(project, name=run_id, id=run_id, resume="allow", dir=str(paths.folder))
    if name == "trackio":
        return tracking.TrackioTracker(project, name=run_id, resume="allow")
    # By default every request is tried for minutes; a run must not wait for its tracker.
    for variable, value in (("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"), ("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")):
        os.environ.setdefault(variable, value)
    known = _mlflow_run(project, run_id)
    return tracking.MLflowTracker(project, run_id=known, run_name=run_id, tags={RUN_TAG: run_id})


def _mlflow_run(project: str, run_id: str) -> str | None:
    """MLflow's own id of this run, where an earlier attempt made one."""
    import mlflow

    found: Any = mlflow.search_runs(
        experiment_names=[project], filter_string=f"tags.`{RUN_TAG}` = '{run_id}'", max_results=1, output_format="list"
    )
    return str(found[0].info.run_id) if found else None


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
