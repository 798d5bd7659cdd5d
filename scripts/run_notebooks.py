"""Run notebooks in the order given and keep their outputs: ``python -m scripts.run_notebooks notebooks/*.ipynb``.

What a rerun changes without meaning anything (times of cells, the version of Python) is not kept, so that equal outputs are equal files.
"""

import argparse
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

CELL_SECONDS = 600


def run(path: Path) -> None:
    """Execute one notebook in place.

    Raises:
        CellExecutionError: A cell failed; the file is as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}, record_timing=False
    ).execute()
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, path)


def main() -> int:
    """Run what the command line names; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="+", type=Path)
    for path in parser.parse_args().notebooks:
        started = time.perf_counter()
        try:
            run(path)
        except CellExecutionError as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 1
        print(f"{path}: {time.perf_counter() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
