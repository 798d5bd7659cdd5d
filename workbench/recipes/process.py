"""One of the processes that carry a run out together, as accelerate starts it: ``python -m workbench.recipes.process FOLDER [--queue]``.

The first one leads: it holds the run, writes it and tells its state. The others go through the same recipe and write nothing.
"""

import sys
from pathlib import Path

from workbench.config import load_config
from workbench.errors import PartnerError, RunStopped, WorkbenchError
from workbench.jobs.processes import error_file
from workbench.recipes.execute import RECIPES, execute
from workbench.recipes.session import open_session
from workbench.recipes.signals import signals_stop
from workbench.recipes.spread import own_config
from workbench.rollout.team import Team, join
from workbench.store.files import write_whole
from workbench.store.layout import RunPaths
from workbench.store.onlooker import Onlooker


def main() -> int:
    """Go through a run; gives the exit code."""
    folder, *options = sys.argv[1:]
    paths = RunPaths(Path(folder))
    team = join()
    if not team.leads:
        return follow(paths, team)
    try:
        execute(paths, queue="--queue" in options, show_progress=False, team=team)
    except RunStopped:
        return 0
    except WorkbenchError as error:  # it stands in status.json, unless the run is another's
        print(f"workbench: {error}", file=sys.stderr)
        return 1
    return 0


def follow(paths: RunPaths, team: Team) -> int:
    """Go through a run that another process leads; gives the exit code."""
    try:
        with signals_stop(paths):
            alone = team.agreed(True)  # the leader has the run now
            config = own_config(load_config(paths.config), team)
            session = open_session(paths, Onlooker(paths), config=config, threads=None if alone else 1, team=team)
            RECIPES[config.recipe](session)
    except (RunStopped, PartnerError):  # the leader tells of a stop; a leader that is gone has told, or the launcher will
        return 0
    except BaseException as error:
        line = (
            str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}"
        )
        write_whole(error_file(paths, team.rank), f"{line}\n".encode())
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
