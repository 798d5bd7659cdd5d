"""Many runs of one configuration: every combination of some settings, each carried to its end once.

A sweep keeps no record of its own. A combination's run is the run of the same root with the same configuration, so the same command
again skips what is finished, resumes what was killed or stopped, and begins what is missing. No torch.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from workbench.config import RunConfig, apply_overrides, load_config
from workbench.errors import WorkbenchError
from workbench.jobs.combinations import Combination
from workbench.jobs.launch import request_stop, requeue
from workbench.jobs.lease import DeviceLease
from workbench.store.files import parse_time, read_json
from workbench.store.layout import RunPaths, run_names
from workbench.store.status import LIVE, effective, read_status

START_PATIENCE_SECONDS = 900.0
"""How long a process may take from its start to its first word: on a busy machine importing alone takes minutes."""
_POLL_SECONDS = 0.5


def same_work(config: RunConfig, *, has_parent: bool) -> dict[str, Any]:
    """What makes two runs the same: everything but where they are computed and who is told.

    Args:
        config: A run's configuration.
        has_parent: Its data and players came from another run, which leaves phases out.
    """
    values = config.model_dump()
    values["device"] = {"dtype": values["device"]["dtype"]}
    del values["tracking"]
    if has_parent:
        del values["phases"]
    return values


class Launcher(Protocol):
    """Gives a run a process. Whether it lives is read from the run folder, whoever launched it."""

    @property
    def devices(self) -> Sequence[str]:
        """A device for each run that may be under way at once, as ``device.device`` names it; empty for the configuration's own."""

    def launch(self, paths: RunPaths) -> None:
        """Have a queued run carried on; may return at once or when the run has ended.

        Raises:
            WorkbenchError: No process can be had.
        """

    def problem(self, paths: RunPaths) -> str | None:
        """What the launcher alone knows: why the run could not begin; None where it knows nothing."""

    def is_gone(self, paths: RunPaths) -> bool:
        """True when the launcher is certain that nothing it started has the run any more."""

    def close(self) -> None:
        """No more is launched."""


@dataclass(slots=True)
class Row:
    """One combination and what became of it."""

    combination: Combination
    parent: "Row | None" = None
    """The combination whose run's data and players this one starts from; it waits until that is finished."""
    paths: RunPaths | None = None
    state: str = "waiting"
    has_ended: bool = False
    """True once the sweep has nothing more to do for it."""
    launches: int = 0
    device: str = ""
    error: str | None = None


@dataclass
class Foreman:
    """Carries a sweep out with a launcher.

    Attributes:
        root: The run root.
        rows: The combinations.
        launcher: Gives runs their processes.
        prepare: Makes a checked run folder of a configuration, from the parent run where there is one.
        parent: Id of the run whose data and players those rows start from that name no other.
        retries: How often a run that lost its process is launched again.
        again: Begin every combination anew, whatever runs there are.
        tell: Told what happens, a line at a time.
    """

    root: Path
    rows: list[Row]
    launcher: Launcher
    prepare: Callable[[RunConfig, RunPaths | None], RunPaths]
    parent: str | None = None
    retries: int = 2
    again: bool = False
    tell: Callable[[str], object] = print
    _configs: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    def look(self) -> list[Row]:
        """Find every combination's run; what is live or finished is so already."""
        for row in self.rows:
            row.paths = self._run_of(row)
            row.state = _state(row.paths) if row.paths else "waiting"
            row.has_ended = row.state == "finished"
        return self.rows

    def carry_out(self) -> list[Row]:
        """Go on until every combination has ended; gives the rows.

        Raises:
            WorkbenchError: A run folder cannot be made, or the launcher can give no process at all.
        """
        self.look()
        for row in self.rows:
            if row.state == "finished" and row.paths:
                self.tell(f"{row.combination.told()}: finished before, run {row.paths.run_id}")
        try:
            while True:
                for row in self.rows:
                    self._watch(row)
                    self._give_up(row)
                waiting = [row for row in self.rows if not row.has_ended]
                if not waiting:
                    break
                busy = [row.device for row in self.rows if row.state == "under way" and row.launches]
                places = self.launcher.devices
                free = [device for device in places if busy.count(device) < places.count(device)]
                fresh = next((row for row in waiting if row.state != "under way" and _may_begin(row)), None)
                if fresh is not None and free:
                    self._launch(fresh, free[0])
                else:
                    time.sleep(_POLL_SECONDS)
        finally:
            self.launcher.close()
        return self.rows

    def _launch(self, row: Row, device: str) -> None:
        # Two sweeps of one root must not both begin the same combination.
        with DeviceLease(self.root, "sweep") as lease:
            lease.acquire(wait=True, should_give_up=lambda: False)
            if row.paths is None:
                row.paths = self._run_of(row)
            if row.paths is not None and _state(row.paths) in ("under way", "finished"):
                row.state = "under way"  # somebody else's; it is watched like our own
                return
            if row.paths is None:
                placed = [f"device.device={device}"] if device else []
                above = row.parent.paths if row.parent else None
                row.paths = self.prepare(apply_overrides(row.combination.config, placed), above)
                words = "begins"
            else:
                requeue(row.paths, device or None)
                words = "goes on"
        row.state, row.device, row.launches = "under way", device, row.launches + 1
        self.tell(f"{row.combination.told()}: {words}, run {row.paths.run_id}")
        self.launcher.launch(row.paths)

    def _watch(self, row: Row) -> None:
        """Look at a run that is under way; one that lost its process waits for the next, unless it lost too many."""
        if row.state != "under way" or row.paths is None or row.has_ended:
            return
        row.error = self.launcher.problem(row.paths)
        state = "failed" if row.error else _state(row.paths, is_gone=self.launcher.is_gone(row.paths))
        if state == "under way":
            return
        row.error = row.error or effective(read_status(row.paths.status), row.paths.run_id).get("error")
        if state == "lost" and row.launches <= self.retries:
            self.tell(f"{row.combination.told()}: run {row.paths.run_id} lost its process")
            request_stop(row.paths)  # of one that nobody ever took up: it waits for nobody any more
            row.state = "waiting"
            return
        row.has_ended = True
        row.state = "failed" if state == "lost" else state
        self.tell(f"{row.combination.told()}: {row.state}, run {row.paths.run_id}{f': {row.error}' if row.error else ''}")

    def _give_up(self, row: Row) -> None:
        """A combination whose parent has no finished run to give waits in vain."""
        if not row.has_ended and row.parent is not None and row.parent.has_ended and row.parent.state != "finished":
            row.has_ended, row.state, row.error = True, "waiting", f"{row.parent.combination.told()} is {row.parent.state}"
            self.tell(f"{row.combination.told()}: left out, since {row.error}")

    def _run_of(self, row: Row) -> RunPaths | None:
        """The run of this row's configuration and parent; of several the one that is furthest."""
        if self.again or (row.parent is not None and row.parent.paths is None):
            return None
        config, parent = row.combination.config, row.parent.paths.run_id if row.parent and row.parent.paths else self.parent
        # The phases of a run that starts from another follow from that one, except where a row says from which.
        leaves_out = parent is not None and row.parent is None
        wanted = same_work(config, has_parent=leaves_out)
        names = self._candidates(config, parent)
        found = [RunPaths(self.root / name) for name in names if self._known(name, leaves_out) == wanted]
        order = ("finished", "under way", "stopped", "lost", "failed")
        return min(found, key=lambda paths: order.index(_state(paths)), default=None)

    def _candidates(self, config: RunConfig, parent: str | None) -> Iterable[str]:
        for name in run_names(self.root):
            meta = read_json(RunPaths(self.root / name).meta) or {}
            if (meta.get("preset"), meta.get("seed"), meta.get("parent")) == (config.preset, config.seed, parent):
                yield name

    def _known(self, name: str, leaves_out: bool) -> dict[str, Any] | None:
        if name not in self._configs:
            try:
                self._configs[name] = same_work(load_config(RunPaths(self.root / name).config), has_parent=leaves_out)
            except WorkbenchError:  # of an older workbench, or damaged: no combination's run
                self._configs[name] = None
        return self._configs[name]


def _may_begin(row: Row) -> bool:
    return row.parent is None or row.parent.state == "finished"


def _state(paths: RunPaths, *, is_gone: bool = False) -> str:
    """``finished``, ``stopped``, ``failed``, ``under way``, or ``lost``: it should have a process and has none."""
    stored = read_status(paths.status)
    state = str(effective(stored, paths.run_id)["state"])
    unclaimed = stored is not None and stored.get("state") == "queued" and "pid" not in stored
    if is_gone and unclaimed:
        return "lost"
    if state in LIVE:
        return "under way"
    if stored is None or stored.get("state") not in LIVE:
        return state
    if unclaimed and _age_seconds(stored.get("heartbeat")) < START_PATIENCE_SECONDS:
        return "under way"
    return "lost"


def _age_seconds(moment: object) -> float:
    told = parse_time(moment)
    return float("inf") if told is None else time.time() - told.timestamp()
