"""One supervised phase of any recipe: rows, a player, checkpoints, and an exact resume."""

import logging
from collections.abc import Callable, Sequence

from workbench.config import SFTSettings
from workbench.data.sets import Row
from workbench.errors import RunStopped
from workbench.models.language_model import LanguageModel
from workbench.recipes.session import Session
from workbench.seeding import derived_seed
from workbench.trainers import sft
from workbench.trainers.checkpoint import load_optimizer, save_checkpoint

log = logging.getLogger("workbench")


def supervise(
    session: Session,
    phase: str,
    role: str,
    player: LanguageModel,
    rows: Sequence[Row],
    settings: SFTSettings,
    *,
    first: int = 0,
    begin: Callable[[], object] = lambda: None,
) -> None:
    """Train ``player`` on ``rows`` from the phase's newest checkpoint to its last step.

    Args:
        session: The run.
        phase: Name of its checkpoints and metrics.
        role: The player's name in checkpoints.
        player: With the newest weights of this run; trained in place.
        rows: What it learns.
        settings: ``max_steps`` steps are taken.
        first: Step at which this round of the phase begins, with a fresh optimizer and schedule.
        begin: Called when nothing of this round has been done yet.

    Raises:
        RunStopped: A stop was asked for; everything is saved.
        DataError: There are no rows.
    """
    seed, last = derived_seed(session.config.seed, phase), first + settings.max_steps
    progress = sft.prepare(player, settings)
    done = first
    newest = session.newest(phase)
    if newest is None or newest[1]["step"] <= first:
        begin()
    else:
        checkpoint, state = newest
        load_optimizer(checkpoint, state, progress.optimizer)
        progress.scheduler.load_state_dict(state["scheduler"])
        progress.unlogged.extend(state["unlogged"])
        done = state["step"]
    with session.bar(phase, last, done, "step") as bar:

        def on_log(step: int, metrics: dict[str, float]) -> None:
            session.writer.metrics(phase, step, metrics)
            log.info("%s step %d of %d: loss %.3f", phase, step, last, metrics["loss/sft"])
            bar.set_postfix(loss=f"{metrics['loss/sft']:.3f}")

        def on_step(step: int) -> bool:
            bar.update(1)
            session.writer.beat(phase, step, last)
            return session.writer.stop_requested()

        while done < last:
            stop = min(last, (done // settings.save_steps + 1) * settings.save_steps)
            done = sft.train_segment(player, rows, progress, settings, start=done, stop=stop, seed=seed, on_log=on_log, on_step=on_step)
            state = {
                "scheduler": sft.scheduler_state(progress.scheduler),
                "unlogged": progress.unlogged,
                "store": session.writer.position(),
            }
            save_checkpoint(session.checkpoints(phase), done, state=state, players={role: player}, optimizer=progress.optimizer, keep=2)
            if done < last and session.writer.stop_requested():
                raise RunStopped(phase, done)
