"""What the repository promises beside its code: dependencies that agree, links that lead somewhere, a light import."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "workbench"
LIGHT = ("records", "config", "errors", "seeding", "prompts", "curriculum", "envs", "store", "jobs", "dashboard")


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def pins() -> dict[str, str]:
    requirements = [Requirement(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()]
    return {canonicalize_name(requirement.name): str(requirement.specifier) for requirement in requirements}


def repository_files() -> list[Path]:
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        files = [ROOT / name for name in listed if name]
    else:  # an unpacked archive
        files = [path for path in ROOT.rglob("*") if not {".venv", "runs", "__pycache__"} & set(path.relative_to(ROOT).parts)]
    return [path for path in files if path.is_file()]


def texts() -> dict[str, str]:
    found = {}
    for path in repository_files():
        try:
            found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


# Dependencies ---------------------------------------------------------------------------------------------


def test_the_conda_environment_installs_what_the_project_names():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert environment["name"] == "workbench"
    assert f"python{project()['requires-python']}" in conda
    assert [entry for entry in pip if entry.startswith("-")] == ["-c constraints.txt", "-e ."]
    wanted = [entry for entry in pip if not entry.startswith("-")]
    assert sorted(wanted) == sorted(project()["dependencies"] + project()["optional-dependencies"]["notebooks"])


def test_every_dependency_is_pinned_to_a_version_in_its_range():
    pinned = pins()
    extras = project()["optional-dependencies"]
    for line in project()["dependencies"] + extras["notebooks"] + extras["dev"]:
        requirement = Requirement(line)
        version = pinned[canonicalize_name(requirement.name)].removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), f"{line} is pinned to {version}"


def test_every_pin_is_exact_and_of_a_public_version():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert len(pins()) == len(lines), "a package is pinned twice"
    wrong = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)]
    assert wrong == []


def test_no_pin_shuts_out_the_oldest_python():
    oldest = project()["requires-python"].removeprefix(">=") + ".0"
    pinned = pins()
    shut_out = []
    for package in metadata.distributions():
        needs = package.metadata["Requires-Python"]
        is_pin = pinned.get(canonicalize_name(package.name)) == f"=={package.version}"
        if is_pin and needs and not SpecifierSet(needs).contains(oldest):
            shut_out.append(f"{package.name}=={package.version} needs Python {needs}")
    assert shut_out == []


def test_all_is_every_other_extra():
    extras = project()["optional-dependencies"]
    (everything,) = [Requirement(line) for line in extras["all"]]
    assert everything.name == project()["name"]
    # alfworld compiles packages under the GPL, Ray and the trackers are large: nobody gets them without asking for them by name.
    assert everything.extras == set(extras) - {"all", "alfworld", "ray", "trackers"}


# Repository -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [path.name for path in ROOT.glob("*.md")])
def test_links_of_a_page_lead_to_files_of_the_repository(page):
    listed = {path.resolve() for path in repository_files()}
    known = listed | {parent for path in listed for parent in path.parents}
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r"""(?:src|href)=["']([^"']+)""", text)
    local = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if target and (ROOT / target).resolve() not in known] == []


def test_anchors_of_the_readme_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ +(.+)$", text, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


def test_the_readme_shows_the_two_commands():
    lines = [line.strip() for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()]
    for command in ("make app", "make test"):
        assert any(line.split("#")[0].strip() == command for line in lines), command


def test_the_python_of_the_readme_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


def test_no_file_names_a_path_of_one_machine_or_a_private_host():
    homes = r"(?<![\w.}~-])/(?:home|root|Users|work|opt|mnt|srv)/[\w.-]+"
    private = r"\b(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\b|://[\w.-]+\.(?:internal|local|lan|corp)\b"
    registries = (
        r"(?:index-url|find-links|trusted-host)[ =\"']+(?:https?|file)://|://[\w.-]*(?:registry|mirror|artifact|nexus|wheels)[\w.-]*"
    )
    pattern = re.compile("|".join((homes, private, registries)))
    found = {name: match.group() for name, text in texts().items() if (match := pattern.search(text))}
    assert found == {}


def test_no_tracked_file_is_large():
    assert [path.name for path in repository_files() if path.stat().st_size > 2 * 1024**2] == []


def test_every_preset_and_type_marker_is_part_of_the_wheel():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"] == {
        "packages": ["workbench"]
    }
    tracked = {path.relative_to(ROOT).as_posix() for path in repository_files()}
    assert "workbench/py.typed" in tracked
    assert any(name.startswith("workbench/presets/") for name in tracked)


# Imports --------------------------------------------------------------------------------------------------


def modules_of(area: str) -> list[str]:
    """Dotted names of every module of ``area`` that exists."""
    folder, single = PACKAGE / area, PACKAGE / f"{area}.py"
    paths = sorted(folder.rglob("*.py")) if folder.is_dir() else [single] if single.is_file() else []
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]


def heavy_after_importing(modules: list[str]) -> str:
    program = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        "print(sorted({'torch', 'transformers', 'trl', 'peft'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_workbench_alone_is_light():
    assert heavy_after_importing(["workbench"]) == "[]"


@pytest.mark.parametrize("area", [area for area in LIGHT if modules_of(area)])
def test_what_the_app_needs_imports_without_torch(area):
    assert heavy_after_importing(modules_of(area)) == "[]"


def test_every_public_name_of_the_package_can_be_had():
    program = "import workbench\nfor name in workbench.__all__: assert getattr(workbench, name).__name__ == name"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
