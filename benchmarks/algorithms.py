"""Seconds to 0.9 success per algorithm on DangerousTaxi, from one warm-up, side by side; and TRL's GRPOTrainer beside them.

    python benchmarks/algorithms.py [--stage pickup] [--algorithms reinforce ppo grpo rloo] [--trl] [--threads 2] [--budget 300] [--run RUN]

All begin with the players of one warm-up that is too short to solve the task, and take turns in one process, an update each, so that a
busy machine slows all alike. Time is that of collecting and updating; evaluations, which all have on the same validation tasks, do not
count. A contestant leaves when an evaluation reaches the target, or with its budget spent.

``--trl`` adds TRL's ``GRPOTrainer``, through ``trl_environment``: same world and stage, a model of the same size and architecture, the
same number of trajectories an update in groups of the same size. It has to be warmed up in its own language of tool calls, on the
oracle's plays, until it has about the success that the others begin with; see ``trl_contestant.py``. The others take a turn whenever it
has taken a step.

Prints a table and exits with code 1 where ours is less than three times as fast as TRL's, in turns per second or seconds to the target.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbench.config import RunConfig, apply_overrides, load_config, load_preset
from workbench.errors import WorkbenchError
from workbench.evaluation.evaluate import evaluate
from workbench.recipes.execute import execute, prepare_run
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.session import open_session
from workbench.seeding import derived_seed
from workbench.store.layout import RunPaths, find_run, run_root
from workbench.trainers.loop import OnlineLoop

PRESET = "taxi-quickstart"
FASTER = 3.0


@dataclass
class Score:
    """How far a contestant is."""

    name: str
    seconds: float = 0.0
    """Collecting and updating, evaluations aside."""
    updates: int = 0
    turns: int = 0
    success: list[float] = field(default_factory=list)
    """Evaluations in order, the first before any update."""
    seconds_to_target: float | None = None

    @property
    def turns_per_second(self) -> float:
        """Over all updates."""
        return self.turns / self.seconds if self.seconds else 0.0

    def judged(self, success: float, target: float) -> None:
        """Note an evaluation."""
        self.success.append(success)
        if success >= target and self.seconds_to_target is None:
            self.seconds_to_target = self.seconds

    def is_over(self, budget: float) -> bool:
        """The target is reached, or the budget spent."""
        return self.seconds_to_target is not None or self.seconds >= budget


class Ours:
    """One of the library's algorithms."""

    def __init__(self, config: RunConfig, root: Path, parent: RunPaths, options: argparse.Namespace) -> None:
        session = open_session(prepare_run(root, config, parent=parent), show_progress=False)
        collector = make_collector(session, session.players())
        self.loop = OnlineLoop(config, collector, session.tasks, session.writer, session.checkpoints("rl"))
        self.options = options
        self.score = Score(config.rl.algorithm)
        self.evaluate()

    def turn(self) -> None:
        """One update, and an evaluation when it is time."""
        started = time.perf_counter()
        metrics = self.loop.step()
        self.score.seconds += time.perf_counter() - started
        self.score.updates += 1
        self.score.turns += int(metrics["rollout/turns"])
        if self.score.updates % self.options.every == 0:
            self.evaluate()

    def evaluate(self) -> None:
        """Play validation tasks as the policy is sampled."""
        found = evaluate(
            self.loop.collector,
            self.loop.tasks[self.options.stage]["validation"],
            stage=self.options.stage,
            count=self.options.trajectories,
            seed=derived_seed(self.options.seed, "validation"),
            temperature=1.0,
            phase="rl",
            update=self.loop.update,
        )
        self.score.judged(found.success.rate, self.options.target)


def main() -> int:
    """Warm up, let them take turns, print; gives the exit code."""
    options = _parser().parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            parent = find_run(run_root(), options.run) if options.run else warmed_up(root, options)
            ours = [Ours(contest_config(parent, name, options), root, parent, options) for name in options.algorithms]
            scores = [one.score for one in ours]
            if options.trl:
                from trl_contestant import TrlContestant

                first = ours[0].loop
                theirs = TrlContestant(
                    root, first.config, first.tasks[options.stage], options, Score("TRL's GRPO"), like=max(one.success[0] for one in scores)
                )
                scores.append(theirs.score)
                theirs.run(between=lambda: take_turns(ours, options.budget))
            while take_turns(ours, options.budget):
                pass
    except WorkbenchError as error:
        print(f"algorithms: {error}", file=sys.stderr)
        return 2
    print_table(scores, options)
    return verdict(scores, options) if options.trl else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=("pickup", "dropoff", "full"), default="pickup")
    parser.add_argument("--algorithms", nargs="+", default=["reinforce", "ppo", "grpo", "rloo"])
    parser.add_argument("--trl", action="store_true", help="TRL's GRPOTrainer beside them")
    parser.add_argument("--run", help="a run whose players are taken, id or folder (default: warm some up here)")
    parser.add_argument("--warm-up-steps", type=int, default=500, help="of the policy (default: %(default)s)")
    parser.add_argument("--target", type=float, default=0.9)
    parser.add_argument("--budget", type=float, default=300.0, help="seconds of each contestant (default: %(default)s)")
    parser.add_argument("--every", type=int, default=3, help="updates between evaluations (default: %(default)s)")
    parser.add_argument("--trajectories", type=int, default=200, help="of an evaluation (default: %(default)s)")
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trl-warm-up-steps", type=int, default=600, help="of TRL's model at most (default: %(default)s)")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="a setting of all of ours, a.b=c")
    return parser


def warmed_up(root: Path, options: argparse.Namespace) -> RunPaths:
    """A run that has made data and warmed up both players, the policy not for long."""
    settings = [f"sft_policy.max_steps={options.warm_up_steps}", f"device.num_threads={options.threads}", f"seed={options.seed}"]
    settings += ["phases=[generate,sft-reflection,sft-policy]", "device.device=cpu"]
    started = time.perf_counter()
    paths = prepare_run(root, apply_overrides(load_preset(PRESET), [*settings, *options.overrides]))
    execute(paths, queue=False, show_progress=sys.stderr.isatty())
    print(f"warmed up in {time.perf_counter() - started:.0f} s", flush=True)
    return paths


def contest_config(parent: RunPaths, algorithm: str, options: argparse.Namespace) -> RunConfig:
    """The run's settings with one algorithm, the stage throughout, and nothing written but metrics."""
    settings = ["phases=[rl]", "curriculum.kind=none", f"curriculum.stages=[{options.stage}]", "record.trajectories_every=0"]
    settings += ["record.oracle_commands=false", f"rl.group_size={options.group_size}", f"rl.algorithm={algorithm}", "rl.max_steps=100000"]
    settings += ["device.device=cpu", f"device.num_threads={options.threads}"]
    return apply_overrides(load_config(parent.config), [*settings, *options.overrides])


def take_turns(contestants: Sequence[Ours], budget: float) -> bool:
    """Give everyone who is not done one update; False when nobody is left."""
    left = [one for one in contestants if not one.score.is_over(budget)]
    for one in left:
        one.turn()
    return bool(left)


def print_table(scores: Sequence[Score], options: argparse.Namespace) -> None:
    """A line per contestant, Markdown."""
    columns: dict[str, Callable[[Score], str]] = {
        "algorithm": lambda one: one.name,
        f"seconds to {options.target:g}": lambda one: (
            f"{one.seconds_to_target:.1f}" if one.seconds_to_target is not None else "not reached"
        ),
        "seconds": lambda one: f"{one.seconds:.1f}",
        "updates": lambda one: f"{one.updates}",
        "turns": lambda one: f"{one.turns:,}",
        "turns a second": lambda one: f"{one.turns_per_second:,.1f}",
        "success before": lambda one: f"{one.success[0]:.3f}",
        "at the end": lambda one: f"{one.success[-1]:.3f}",
    }
    print(
        f"DangerousTaxi, {options.stage}; {options.threads} thread(s), seed {options.seed}, {options.trajectories} trajectories to judge\n"
    )
    print("| " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * (len(columns) - 1))
    for one in scores:
        print("| " + " | ".join(value(one) for value in columns.values()) + " |")


def verdict(scores: Sequence[Score], options: argparse.Namespace) -> int:
    """Ours against TRL's, the last of ``scores``; gives the exit code."""
    *ours, theirs = scores
    mine = next((one for one in ours if one.name == "grpo"), ours[0])
    if not mine.turns or not theirs.turns:
        who, advice = (mine.name, "a shorter --warm-up-steps") if not mine.turns else (theirs.name, "a longer --trl-warm-up-steps")
        print(f"\nnothing to compare: {who} took no turn; use {advice}")
        return 1
    speed = mine.turns_per_second / theirs.turns_per_second
    print(f"\n{mine.name}: {speed:.1f} times the turns a second of TRL's, target {FASTER:g}: {'met' if speed >= FASTER else 'MISSED'}")
    if mine.seconds_to_target is None:
        print(f"{mine.name}: {options.target:g} not reached within {options.budget:g} s: MISSED")
        return 1
    spent = theirs.seconds if theirs.seconds_to_target is None else theirs.seconds_to_target
    ratio, least = spent / max(mine.seconds_to_target, 1e-9), "at least " if theirs.seconds_to_target is None else ""
    print(
        f"{mine.name}: {least}{ratio:.1f} times as soon at {options.target:g}, target {FASTER:g}: {'met' if ratio >= FASTER else 'MISSED'}"
    )
    return 0 if min(speed, ratio) >= FASTER else 1


if __name__ == "__main__":
    sys.exit(main())
