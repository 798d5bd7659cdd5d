"""A run from the outside: made from a configuration, carried out under its lock, its state always told."""

import json
import logging
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from workbench.config import RunConfig, load_config
from workbench.errors import ConfigError, RunBusyError, RunStopped, StoreError, WorkbenchError
from workbench.jobs.lease import DeviceLease
from workbench.jobs.waiting import is_first
from workbench.models.loading import POLICY, REFLECTION, model_of
from workbench.recipes import reflect_rl, rlmec, rlmec_parent
from workbench.recipes.preflight import preflight
from workbench.recipes.session import Session, open_session
from workbench.recipes.signals import signals_stop
from workbench.recipes.spread import devices_of, own_config, spread
from workbench.recipes.tracking import mirrored
from workbench.rollout.team import ALONE, Team
from workbench.store.files import disk_full, is_disk_full, now, read_json
from workbench.store.layout import START, TOKENIZER, RunPaths, create_run, find_run
from workbench.store.writer import RunLock, RunWriter
from workbench.trainers import checkpoint

log = logging.getLogger("workbench")
_AFTER_A_PARENT = ("rl", "evaluate")
"""Phases of a run that starts from another, where none are named."""
_MAY_FOLLOW = ("sft-reflection", "sft-policy", *_AFTER_A_PARENT)
"""Those that may be named: a warm-up that is named is done anew, on the parent's data."""
RECIPES = {"reflect-rl": reflect_rl.run, "rlmec": rlmec.run}


def prepare_run(root: Path | str, config: RunConfig, *, parent: RunPaths | None = None, phases_were_named: bool = False) -> RunPaths:
    """Check a configuration and make its run folder, with a parent's data and players in it if there is one.

    Args:
        root: The run root.
        config: What the run will do.
        parent: Run whose data and players it starts from; phases that make these are left out then, unless they were named.
        phases_were_named: Somebody asked for exactly these phases: warm-ups among them are done anew; what cannot follow is refused.

    Raises:
        WorkbenchError: The configuration cannot work here, a phase cannot follow a parent, or the parent has nothing to give.
    """
    if parent is not None and config.recipe == "rlmec":
        config = rlmec_parent.child_phases(config, phases_were_named=phases_were_named)
    elif parent is not None:
        done = [phase for phase in config.phases if phase not in (_MAY_FOLLOW if phases_were_named else _AFTER_A_PARENT)]
        if done and phases_were_named:
            raise ConfigError(
                f"phases names {', '.join(done)}, but --from gives data; only {', '.join(_MAY_FOLLOW)} can follow: leave the others out"
            )
        config = config.model_copy(update={"phases": [phase for phase in config.phases if phase not in done]})
        if not config.phases:
            raise ConfigError("--from gives data and players, but the configuration has neither rl nor evaluate among its phases; add one")
    else:
        _needs_players(config)
    preflight(config)
    paths = create_run(root, config, parent=parent.run_id if parent else None)
    if parent is not None:
        try:
            _adopt(parent, paths)
        except BaseException:
            shutil.rmtree(paths.folder, ignore_errors=True)
            raise
    return paths


def _needs_players(config: RunConfig) -> None:
    if "generate" in config.phases:
        return
    needs = [phase for phase in config.phases if phase in ("sft-reflection", "sft-policy")]
    if needs:
        raise ConfigError(f"phases has {needs[0]} but not generate, so there would be no data; add generate")
    reflects = config.recipe == "reflect-rl" and config.reflection.kind in ("model", "shuffled")
    if "tiny" in (model_of(config, POLICY), model_of(config, REFLECTION) if reflects else ""):
        raise ConfigError(
            "phases lacks generate, which trains the tokenizer of `tiny` players; add generate, or train --from a run that has it"
        )


def _adopt(parent: RunPaths, child: RunPaths) -> None:
    if load_config(child.config).recipe == "rlmec":
        rlmec_parent.adopt(parent, child)
        return
    source = Session(parent, load_config(parent.config), RunWriter(parent), show_progress=False)
    if parent.data.is_dir():
        shutil.copytree(parent.data, child.data, dirs_exist_ok=True)
    tokenizer = source.tiny_tokenizer()
    anew = [role for role in (POLICY, REFLECTION) if f"sft-{role}" in load_config(child.config).phases]
    weights = {role: found for role in (POLICY, REFLECTION) if role not in anew and (found := source.weights(role)) is not None}
    if not weights and not (anew and source.is_done("generate")):
        raise StoreError(f"run {parent.run_id} has no checkpoint of a player yet; let it go on with `workbench resume {parent.run_id}`")

    def write(folder: Any) -> None:
        for role, found in weights.items():
            shutil.copytree(found / role, folder / role)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder / TOKENIZER)

    checkpoint.save_checkpoint(child.checkpoints / START, 1, state={"parent": parent.run_id}, players={}, extra=write)


def _adopt_what_is_missing(paths: RunPaths) -> None:
    """Give a run its parent's data and players, if it needs them and was made by a page, which cannot read weights."""
    parent = (read_json(paths.meta) or {}).get("parent")
    config = load_config(paths.config)
    later = rlmec_parent.MAY_FOLLOW if config.recipe == "rlmec" else _MAY_FOLLOW
    begins_later = not set(config.phases) - set(later)
    if isinstance(parent, str) and begins_later and checkpoint.latest(paths.checkpoints / START) is None:
        _adopt(find_run(paths.folder.parent, parent, allow_paths=False), paths)


def execute(paths: RunPaths, *, queue: bool, show_progress: bool, team: Team | None = None, port: int | None = None) -> dict[str, Any]:
    """Carry a run on to its end, from wherever it stands; gives its last evaluation.

    Args:
        paths: The run folder.
        queue: Wait until no other run trains on the same device.
        show_progress: Draw progress bars.
        team: Processes that carry it out together, of which this one leads; as many as the configuration asks for are started when None.
        port: Where they meet; any free one when None.

    Raises:
        RunBusyError: Another process has the run.
        RunStopped: A stop was asked for; everything is saved.
        WorkbenchError: Something a person can mend; the run's state is then failed and says so.
    """
    if team is None and load_config(paths.config).device.num_processes > 1:
        return spread(paths, queue=queue, show_progress=show_progress, port=port)
    with RunLock(paths):
        writer = RunWriter(paths)
        handler = logging.FileHandler(writer.start_attempt(), encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            return _guarded(paths, writer, team or ALONE, queue=queue, show_progress=show_progress)
        finally:
            log.removeHandler(handler)
            handler.close()


def _guarded(paths: RunPaths, writer: RunWriter, team: Team, *, queue: bool, show_progress: bool) -> dict[str, Any]:
    try:
        config = load_config(paths.config)
        device, *others = devices_of(config)
        with signals_stop(paths), DeviceLease(paths.folder.parent, device) as lease, ExitStack() as leases:
            if queue:
                _wait_for_device(paths, writer, lease, device)
                alone = True
            else:
                writer.clear_stop()
                alone = lease.acquire(wait=False, should_give_up=lambda: True)
            for other in others:
                alone &= _take(paths, writer, leases, other, wait=queue)
            writer.status("running", device=device)
            log.info("running")
            _adopt_what_is_missing(paths)
            team.agreed(alone)  # its partners wait for this
            # Two processes with all threads each slow one another many times over: who comes second takes one.
            threads = None if alone else 1
            own = own_config(config, team)
            session = open_session(paths, writer, config=own, threads=threads, show_progress=show_progress, team=team)
            with mirrored(session.config, paths, writer):
                result = RECIPES[session.config.recipe](session)
            writer.compact()
            writer.status("finished")
            log.info("finished %s", json.dumps(result))
            return result
    except RunStopped as stopped:
        writer.clear_stop()
        writer.status("stopped")
        log.info("%s", stopped)
        raise
    except RunBusyError:
        raise
    except WorkbenchError as error:
        # What lies behind it (an environment's own error, a library's) is for the log.
        log.error("%s", error, exc_info=error.__cause__)
        _note_failure(writer, str(error))
        raise
    except BaseException as error:
        if is_disk_full(error):
            full = disk_full(paths.folder)
            log.error("%s", full, exc_info=error)
            _note_failure(writer, str(full))
            raise full from error
        log.exception("the run broke")
        _note_failure(writer, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}")
        raise


def _wait_for_device(paths: RunPaths, writer: RunWriter, lease: DeviceLease, device: str) -> None:
    writer.status("queued", device=device, queued_since=now())
    log.info("waiting for the device")

    def stop_requested() -> bool:
        writer.beat()
        return writer.stop_requested()

    def next_in_line() -> bool:
        return is_first(paths.folder.parent, paths.run_id, device)

    if not lease.acquire(wait=True, should_give_up=stop_requested, may_try=next_in_line) or writer.stop_requested():
        raise RunStopped("queued", 0)


def _note_failure(writer: RunWriter, message: str) -> None:
    try:
        writer.status("failed", error=message)
    except StoreError:  # a full disk is often why it failed; the first error is the one to tell
        log.error("the failure could not be written to status.json")


def _take(paths: RunPaths, writer: RunWriter, leases: ExitStack, device: str, *, wait: bool) -> bool:
    """A further device for a run on several; gives whether it has it for itself."""
    lease = leases.enter_context(DeviceLease(paths.folder.parent, device))
    has = lease.acquire(wait=wait, should_give_up=writer.stop_requested)
    if wait and not has:
        raise RunStopped("queued", 0)
    return has
