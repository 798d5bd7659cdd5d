"""Has a policy learned to look a command's label up? How often its likeliest command stays the same when labels are dealt out anew.

    python benchmarks/label_lookup.py RUN [RUN ...] [--trajectories 60] [--turns 4] [--deals 6]

Takes recorded turns of each run's last evaluation and asks the run's policy again, with the same words and with labels in other orders. A
policy that looks labels up chooses by the command, whatever it is called: two deals agree nearly always, but for near ties. One that
goes by the label agrees by chance, in one of as many as there are commands. Chosen right is the oracle's own command. One thread.
"""

import argparse
import sys

import numpy as np
import torch

from workbench.errors import WorkbenchError
from workbench.models.policy import Decision
from workbench.prompts import Label
from workbench.recipes.reflect_rl import make_collector
from workbench.recipes.session import open_session
from workbench.records import Trajectory, Turn
from workbench.rollout.collect import Collector
from workbench.seeding import generator
from workbench.store.layout import find_run, run_root
from workbench.store.reader import Run


def main() -> int:
    """Ask and print; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--trajectories", type=int, default=60)
    parser.add_argument("--turns", type=int, default=4, help="the first so many of each trajectory")
    parser.add_argument("--deals", type=int, default=6, help="orders of the labels a turn is asked in")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| run | turns | commands a turn | deals agree | chosen right |\n| --- | ---: | ---: | ---: | ---: |")
    try:
        for name in options.runs:
            print(row_of(name, options), flush=True)
    except WorkbenchError as error:
        print(f"label_lookup: {error}", file=sys.stderr)
        return 2
    return 0


def row_of(name: str, options: argparse.Namespace) -> str:
    """A run's line of the table."""
    paths = find_run(run_root(None), name)
    session, run = open_session(paths), Run(paths)
    collector = make_collector(session, session.players())
    random = generator(0, "deals of labels")
    agreed, right, commands = [], [], []
    for one in run.trajectories(phase="evaluate", limit=options.trajectories)["trajectory_id"]:
        trajectory = run.trajectory(one)
        for turn in trajectory.turns[: options.turns]:
            if len(turn.admissible_commands) < 2:
                continue
            picked = picks(collector, trajectory, turn, [random.permutation(len(turn.labels)) for _ in range(options.deals)])
            pairs = picked[:, None] == picked[None, :]
            agreed.append((pairs.sum() - len(picked)) / (len(picked) * (len(picked) - 1)))
            right.append(np.mean([turn.admissible_commands[index] == turn.oracle_command for index in picked]))
            commands.append(len(turn.admissible_commands))
    return f"| {paths.run_id} | {len(agreed)} | {np.mean(commands):.1f} | {np.mean(agreed):.3f} | {np.mean(right):.3f} |"


def picks(collector: Collector, trajectory: Trajectory, turn: Turn, deals: list[np.ndarray]) -> np.ndarray:
    """Index of the likeliest command in each deal, (deals,)."""
    reflection = turn.reflection.token_ids if turn.reflection is not None else None
    asked = []
    for deal in deals:
        labels = [Label(turn.labels[index], turn.label_token_ids[index]) for index in deal]
        prompt = collector.rules.prompts.policy(trajectory.task_statement, turn.observation, reflection, turn.admissible_commands, labels)
        asked.append(Decision(prompt.token_ids, tuple(label.token_id for label in labels)))
    return np.array([int(np.argmax(answer)) for answer in collector.policy.distributions(asked)])


if __name__ == "__main__":
    sys.exit(main())
