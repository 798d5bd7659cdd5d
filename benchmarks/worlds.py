"""A preset's success on held-out tasks beside its own warm-up's and a random agent's, all on the same tasks, with Wilson intervals.

    python benchmarks/worlds.py [--presets explore-quickstart household-quickstart] [--seeds 0] [--runs-dir runs]
    python benchmarks/worlds.py --runs RUN ... [--runs-dir runs]         runs that are finished, without training again

One run at a time, as a user would start it; the table is Markdown. Exits with code 1 where the final policy's interval does not lie above
both others', or a run took longer than ten minutes.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from workbench.config import EvaluationConfig
from workbench.evaluation.evaluate import assignments_for, evaluate
from workbench.evaluation.statistics import wilson_interval
from workbench.models.loading import POLICY, load_player
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.session import Session, open_session
from workbench.records import Interval
from workbench.seeding import generator
from workbench.store.layout import find_run

MOST_MINUTES = 10.0


class Row(NamedTuple):
    """What one run reached."""

    preset: str
    seed: int
    minutes: float | None
    random: Interval
    warm_up: Interval
    final: Interval

    def is_good(self) -> bool:
        """True where the final policy is above both others beyond doubt, in time."""
        in_time = self.minutes is None or self.minutes <= MOST_MINUTES
        return in_time and self.final.low > max(self.warm_up.high, self.random.high)


def main() -> None:
    """Train, evaluate and print; exits with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["explore-quickstart", "household-quickstart"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", nargs="+", default=[], help="finished runs to judge instead")
    parser.add_argument("--runs-dir", default="runs")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()
    print("| preset | seed | minutes | random agent | after warm-up | after online RL |")
    print("| --- | ---: | ---: | :---: | :---: | :---: |", flush=True)
    if options.runs:
        rows = [judged(find_run(Path(options.runs_dir), name).folder, None) for name in options.runs]
    else:
        rows = [trained(preset, seed, options) for preset in options.presets for seed in options.seeds]
    if not all(row.is_good() for row in rows):
        raise SystemExit(1)


def trained(preset: str, seed: int, options: argparse.Namespace) -> Row:
    """Carry a preset out through the command line, then judge it."""
    command = [sys.executable, "-m", "workbench", "train", preset, "--seed", str(seed), "--runs-dir", options.runs_dir, "--json", "--quiet"]
    for override in options.overrides:
        command += ["--set", override]
    started = time.perf_counter()
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    minutes = (time.perf_counter() - started) / 60
    return judged(Path(json.loads(finished.stdout.splitlines()[-1])["path"]), minutes)


def judged(folder: Path, minutes: float | None) -> Row:
    """Evaluate the warm-up and a random agent on what the run's own evaluation played."""
    session = open_session(find_run(folder.parent, folder.name))
    settings, stage = session.config.evaluation, session.make_env().stages[-1]
    line = json.loads(session.paths.evaluations.read_text(encoding="utf-8").splitlines()[-1])
    final = Interval(line["success_rate"], line["low"], line["high"])
    row = Row(
        session.config.preset,
        session.config.seed,
        minutes,
        random_agent(session, settings, stage),
        warm_up(session, settings, stage),
        final,
    )
    took = "" if minutes is None else f"{minutes:.1f}"
    print(f"| {row.preset} | {row.seed} | {took} | {shown(row.random)} | {shown(row.warm_up)} | {shown(row.final)} |", flush=True)
    return row


def shown(found: Interval) -> str:
    """A rate with its interval."""
    return f"{found.rate:.3f} ({found.low:.3f} to {found.high:.3f})"


def warm_up(session: Session, settings: EvaluationConfig, stage: str) -> Interval:
    """Success of the policy as its warm-up left it, with the same reflection player, tasks and dice."""
    newest = session.newest("sft-policy")
    if newest is None:
        raise SystemExit(f"run {session.paths.run_id} has no checkpoint of its policy's warm-up")
    players = session.players()
    load_player(players.policy, newest[0], POLICY)
    tasks = session.tasks[stage][settings.split]
    found = evaluate(
        make_collector(session, players),
        tasks,
        stage=stage,
        count=settings.trajectories,
        seed=settings.seed,
        temperature=settings.temperature,
        phase="evaluate",
        update=0,
    )
    return found.success


def random_agent(session: Session, settings: EvaluationConfig, stage: str) -> Interval:
    """Success of uniformly random commands on the same tasks."""
    env = session.make_env()
    wanted = assignments_for(
        session.tasks[stage][settings.split], stage=stage, count=settings.trajectories, seed=settings.seed, phase="evaluate", update=0
    )
    successes = 0
    for one in wanted:
        dice = generator(one.seed, "random-agent")
        _, info = env.reset(seed=one.seed, options={"task": one.task, "stage": stage})
        done = False
        while not done:
            commands = info["admissible_commands"]
            _, _, terminated, truncated, info = env.step(commands[int(dice.integers(len(commands)))])
            done = terminated or truncated
        successes += bool(info["success"])
    return wilson_interval(successes, len(wanted))


if __name__ == "__main__":
    main()
