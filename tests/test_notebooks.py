"""What every notebook promises beside its results, which `make test-notebooks` compares: its parts, its outputs, its size."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 500_000
"""Bytes of a notebook with its outputs."""
LONGEST_FUNCTION = 20
"""Lines; longer ones belong into the library."""


def read(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def code(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in read(path) if cell["cell_type"] == "code"]


def prose(path: Path) -> str:
    return "\n".join(cell["source"] for cell in read(path) if cell["cell_type"] == "markdown")


pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_the_first_cell_says_what_there_is_to_see_how_long_it_takes_and_what_a_gpu_changes(path):
    first = read(path)[0]
    assert first["cell_type"] == "markdown"
    assert first["source"].startswith(f"# {path.stem[:2]} · ")
    for heading in ("**What you will see.**", "**Time.**", "**On a GPU.**"):
        assert heading in first["source"], heading


def test_parameters_are_a_cell_that_papermill_finds(path):
    (cell,) = [cell for cell in code(path) if "parameters" in cell["metadata"].get("tags", [])]
    assert cell["source"].startswith('scale = "small"')
    uses = "\n".join(other["source"] for other in code(path) if other is not cell)
    assert '"full"' in uses, "nothing is made of scale=full"


def test_every_cell_was_run_in_order_without_an_error(path):
    assert [cell["execution_count"] for cell in code(path)] == list(range(1, len(code(path)) + 1))
    kinds = {output["output_type"] for cell in code(path) for output in cell["outputs"]}
    assert "error" not in kinds
    assert not [output for cell in code(path) for output in cell["outputs"] if output.get("name") == "stderr"]


def test_outputs_are_seen_without_scripts_and_small(path):
    assert path.stat().st_size <= LARGEST
    kinds = {kind for cell in code(path) for output in cell["outputs"] for kind in output.get("data", {})}
    assert kinds <= {"text/plain", "text/html", "text/markdown", "image/svg+xml"}
    assert "image/svg+xml" in kinds, "no picture"
    assert "<script" not in json.dumps([cell["outputs"] for cell in code(path)])


def test_an_output_is_left_out_of_the_comparison_only_with_a_reason(path):
    for cell in code(path):
        if "NBVAL_" in cell["source"]:
            # nbval reads the mark where it stands alone in its line; the reason is in the next.
            assert re.match(r"# NBVAL_IGNORE_OUTPUT\n# .{9,}\n", cell["source"]), cell["source"].splitlines()[0]


def test_it_ends_in_assertions_and_two_exercises_with_folded_solutions(path):
    text = prose(path)
    assert "## What has to hold" in text
    checks = [cell["source"] for cell in code(path)][-1]
    assert checks.count("assert ") >= 3
    exercises = text.partition("## Exercises")[2]
    assert exercises.count("<details><summary>") == exercises.count("</details>") == 2


def test_no_long_function_hides_in_it(path):
    for cell in code(path):
        for match in re.finditer(r"^def .*?(?=^\S|\Z)", cell["source"], flags=re.MULTILINE | re.DOTALL):
            assert len(match.group().rstrip().splitlines()) <= LONGEST_FUNCTION, match.group().splitlines()[0]


def test_the_folders_readme_lists_it(path):
    assert f"({path.name})" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_links_lead_to_files(path):
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(path))
    local = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if target and not (FOLDER / target).exists()] == []
