"""Carrying a study out: its runs as jobs, parents before children, what is finished left alone, and how long is left.

A study keeps no record of its own: an arm's run is the run of the root with the same configuration and parent. So the same command goes on
after a kill, and a second one of it, in another process with ``--launcher foreground``, takes the next runs.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from workbench.config import RunConfig
from workbench.errors import ConfigError, nearest
from workbench.jobs.combinations import Combination
from workbench.jobs.sweep import Foreman, Launcher, Row
from workbench.recipes.reproduce_reflect_rl import REFLECT_RL
from workbench.recipes.reproduce_rlmec import RLMEC
from workbench.recipes.reproduce_study import Study, World
from workbench.store.layout import RunPaths
from workbench.store.pace import worked_seconds

STUDIES: dict[str, Study] = {one.name: one for one in (REFLECT_RL, RLMEC)}


class Piece(NamedTuple):
    """One run of a study: where, which arm, which seed."""

    world: World
    arm: str
    seed: int
    row: Row

    @property
    def is_shown(self) -> bool:
        """Whether it is a result by itself, or work that others share."""
        return self.arm in self.world.arms

    def line(self) -> list[RunConfig]:
        """Configurations from the first parent down to this run."""
        found: list[RunConfig] = []
        row: Row | None = self.row
        while row is not None:
            found.insert(0, row.combination.config)
            row = row.parent
        return found


def study_of(name: str) -> Study:
    """The study of that name.

    Raises:
        ConfigError: There is none.
    """
    if name not in STUDIES:
        raise ConfigError(f"unknown study {name!r}; {nearest(name, list(STUDIES))}")
    return STUDIES[name]


def pieces_of(
    study: Study,
    *,
    scale: str,
    worlds: Sequence[str] = (),
    arms: Sequence[str] = (),
    seeds: int | None = None,
    overrides: Sequence[str] = (),
) -> list[Piece]:
    """Every run of a study, seed by seed, parents first.

    Args:
        study: What is compared.
        scale: ``tiny`` or ``paper``.
        worlds: Only these; all when empty.
        arms: Only these and what they start from; a world's own when empty.
        seeds: How many; the world's own number when None.
        overrides: Settings of all runs, as ``--set`` takes them: for trying a study out.

    Raises:
        ConfigError: A name is unknown, or a setting is refused.
    """
    if seeds is not None and seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, found {seeds}")
    chosen = [study.world(name) for name in worlds] or [world for world in study.worlds if scale in world.presets]
    if not chosen:
        raise ConfigError(f"{study.name} has no world at scale {scale!r}; name another --scale")
    for name in arms:
        study.arm(name)
    if arms and not any(name in world.arms for world in chosen for name in arms):
        raise ConfigError(f"none of {', '.join(world.name for world in chosen)} has any of the arms {', '.join(arms)}; name others")
    pieces = []
    for seed in range(max(seeds or world.seeds for world in chosen)):
        for world in chosen:
            if seed < (seeds or world.seeds):
                pieces += _of_seed(study, world, scale, seed, arms, overrides)
    return pieces


def _of_seed(study: Study, world: World, scale: str, seed: int, arms: Sequence[str], overrides: Sequence[str]) -> list[Piece]:
    wanted = [name for name in world.arms if not arms or name in arms]
    rows: dict[str, Row] = {}
    for arm in study.with_parents(wanted):
        config = study.config(world, arm, scale=scale, seed=seed, overrides=overrides)
        over = {"world": world.name, "arm": arm.name, "seed": str(seed)}
        rows[arm.name] = Row(Combination(over, config), parent=rows[arm.parent] if arm.parent else None)
    return [Piece(world, name, seed, row) for name, row in rows.items()]


def foreman_of(pieces: Sequence[Piece], root: Path, launcher: Launcher, *, tell: Callable[[str], object] = print) -> Foreman:
    """Who carries the runs out; ``tell`` also hears how long is left whenever a run has ended."""
    rows = [piece.row for piece in pieces]

    def prepare(config: RunConfig, above: RunPaths | None) -> RunPaths:
        from workbench.recipes.execute import prepare_run  # torch takes seconds

        return prepare_run(root, config, parent=above, phases_were_named=True)

    def told(line: str) -> None:
        tell(line)
        if ": finished, run " in line:
            tell(left_line(pieces, places=len(launcher.devices)))

    return Foreman(root, rows, launcher, prepare, tell=told)


def seconds_left(pieces: Sequence[Piece]) -> float | None:
    """Seconds of work that unfinished runs will take, by those of finished ones; None while nothing is known.

    A run takes as long as its arm took in this world with other seeds; before there is one, as the mean run of this world, or of all.
    """
    known = [(piece, worked_seconds(piece.row.paths)) for piece in pieces if piece.row.state == "finished" and piece.row.paths]
    if not known:
        return None
    left = 0.0
    for piece in pieces:
        if piece.row.state == "finished":
            continue
        same = [seconds for other, seconds in known if (other.world.name, other.arm) == (piece.world.name, piece.arm)]
        near = [seconds for other, seconds in known if other.world.name == piece.world.name]
        measured = same or near or [seconds for _, seconds in known]
        done = worked_seconds(piece.row.paths) if piece.row.paths else 0.0
        left += max(0.0, sum(measured) / len(measured) - done)
    return left


def left_line(pieces: Sequence[Piece], *, places: int) -> str:
    """How many runs are finished, and how long the others will take."""
    done = sum(piece.row.state == "finished" for piece in pieces)
    seconds = seconds_left(pieces)
    told = "nobody knows how long yet" if seconds is None else f"about {duration(seconds / max(1, places))} left"
    return f"{done} of {len(pieces)} runs finished, {told}"


def duration(seconds: float) -> str:
    """Hours and minutes.

    Example:
        >>> duration(5400), duration(50), duration(200)
        ('1 h 30 min', '1 min', '3 min')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
