"""Where a pretrained model comes from: a local folder, or a hub id, checked before anything is read.

Names and files come from people and from the network: whatever is wrong with them becomes one line, code
that a model's author ships is never run, and a hub that cannot be reached is noticed at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

from workbench.errors import ModelError

PROBE_SECONDS = 10.0


class Source(NamedTuple):
    """What ``from_pretrained`` is given."""

    path: str
    options: dict[str, Any]


def locate(name: str) -> Source:
    """The source of a hub id or folder.

    Raises:
        ModelError: The folder holds no model, or the hub has none of that name or cannot be reached.
    """
    # None would make transformers ask a person at the terminal whether to run the author's code.
    options = {"trust_remote_code": False}
    folder = Path(name)
    if name.startswith("~/"):
        folder = folder.expanduser()
    if not (name.startswith((".", "/", "~")) or folder.is_dir()):
        _find_on_hub(name)
        return Source(name, options)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{name!r}: this folder holds no model (no config.json); name a folder made by save_pretrained, or a hub id")
    return Source(str(folder), options)


def _find_on_hub(name: str) -> None:
    """Ask for one small file, once: the hub's own downloads try five times, which takes half a minute for every file."""
    with readable(name):
        if not isinstance(try_to_load_from_cache(name, "config.json"), str):
            get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=PROBE_SECONDS)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn whatever reading a model raises into one line.

    Raises:
        ModelError: Reading failed.
    """
    try:
        yield
    except Exception as error:  # tokenizers and safetensors raise bare subclasses of Exception for damaged files
        reason = " ".join(str(error).split())[:160]
        raise ModelError(
            f"model {name!r} cannot be loaded ({type(error).__name__}: {reason}); check the name and the network, or name a local folder"
        ) from error
