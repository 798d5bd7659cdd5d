"""Turn a finished run into the small recorded example that the app shows on a first visit.

    python scripts/make_example.py RUN [--runs-dir D]

Keeps configuration, metrics, evaluations, events, log and the tokenizer as they are, and a sample of the trajectories; leaves
out weights and everything that names the machine.
"""

import argparse
import json
import shutil
from pathlib import Path

from workbench.data.sets import CARD_FILE
from workbench.store.layout import RunPaths, find_run, run_root
from workbench.store.reader import Run
from workbench.store.tokens import tokenizer_file
from workbench.store.writer import RunWriter

EXAMPLE = Path(__file__).parent.parent / "examples" / "runs" / "taxi-quickstart-example"
UPDATE_STEP, PER_UPDATE, EVALUATED = 10, 12, 60


def main() -> None:
    """Write ``examples/runs/taxi-quickstart-example``, replacing what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--runs-dir")
    arguments = parser.parse_args()
    count = make_example(find_run(run_root(arguments.runs_dir), arguments.run), RunPaths(EXAMPLE))
    print(f"{count} trajectories in {EXAMPLE}")


def make_example(source: RunPaths, target: RunPaths) -> int:
    """Write the example of ``source`` to ``target``, replacing what is there; gives the number of trajectories."""
    shutil.rmtree(target.folder, ignore_errors=True)
    target.folder.mkdir(parents=True)
    for name in ("config", "metrics", "evaluations", "events"):
        shutil.copyfile(getattr(source, name), getattr(target, name))
    _copy_facts(source, target)
    target.data.mkdir()
    shutil.copyfile(source.data / CARD_FILE, target.data / CARD_FILE)
    _copy_tokenizer(source, target)
    run = Run(source)
    frame = run.trajectories()
    updates = frame["update"] % UPDATE_STEP == 0
    chosen = frame[(frame["phase"] == "rl") & ((frame["update"] == 1) | updates)].groupby("update").head(PER_UPDATE)
    judged = frame[frame["phase"] == "evaluate"]
    failed = judged[~judged["success"].astype(bool)].head(EVALUATED // 3)
    solved = judged[judged["success"].astype(bool)].head(EVALUATED - len(failed))
    names = sorted([*chosen["trajectory_id"], *failed["trajectory_id"], *solved["trajectory_id"]])
    writer = RunWriter(target)
    writer.trajectories([run.trajectory(name) for name in names])
    writer.flush()
    return len(names)


def _copy_tokenizer(source: RunPaths, target: RunPaths) -> None:
    """Pages read the tokens of a turn with it; it is small, and without its checkpoint's manifest nothing is resumed from there."""
    found = tokenizer_file(source, "tiny")
    if found is not None:
        copy = target.folder / found.relative_to(source.folder)
        copy.parent.mkdir(parents=True)
        shutil.copyfile(found, copy)


def _copy_facts(source: RunPaths, target: RunPaths) -> None:
    meta = json.loads(source.meta.read_text(encoding="utf-8"))
    meta["command"] = ["workbench", "train", "taxi-quickstart"]
    target.meta.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    status = json.loads(source.status.read_text(encoding="utf-8"))
    for private in ("pid", "pid_started", "host"):
        status.pop(private, None)
    target.status.write_text(json.dumps(status, indent=2) + "\n", encoding="utf-8")
    target.logs.mkdir()
    newest = source.attempt_logs()[max(source.attempt_logs())]
    shutil.copyfile(newest, target.logs / "attempt-1.log")


if __name__ == "__main__":
    main()
