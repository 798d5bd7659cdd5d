"""What a run was made by: code, packages, interpreter and command line, without secrets."""

import importlib.metadata
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.store.files import now

_PACKAGES = {"workbench": "text-agent-workbench"} | {name: name for name in ("torch", "transformers", "peft", "trl", "gymnasium", "numpy")}
_SECRET_NAME = re.compile(r"(?i)(token|api[_-]?key|secret|passw(or)?d|credentials?)$")
_SECRET_VALUE = re.compile(r"\b(hf_|sk-|gh[a-z]_)[A-Za-z0-9_-]{8,}|(?<=://)[^/\s@]+(?=@)")
_HIDDEN = "***"


def provenance() -> dict[str, Any]:
    """``started_at``, ``git_commit``, ``packages``, ``python`` and ``command`` of this process."""
    return {
        "started_at": now(),
        "git_commit": _git_commit(Path(__file__).parents[2]),
        "packages": _versions(),
        "python": platform.python_version(),
        "command": without_secrets([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with the values of ``--api-key X``, ``x.token=X`` and the like replaced by ``***``."""
    result, hide_next = [], False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if hide_next:
            result.append(_HIDDEN)
        elif equals and _SECRET_NAME.search(name):
            result.append(f"{name}={_HIDDEN}")
        else:
            result.append(_SECRET_VALUE.sub(_HIDDEN, argument))
        hide_next = not hide_next and not equals and argument.startswith("-") and bool(_SECRET_NAME.search(argument))
    return result


def _versions() -> dict[str, str]:
    versions = {}
    for package, distribution in _PACKAGES.items():
        try:
            versions[package] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _git_commit(checkout: Path) -> str | None:
    """The commit of the checkout the code runs from, ``-dirty`` when files differ; None when installed."""
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
