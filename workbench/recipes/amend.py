"""Changing what a begun run may still change: how it reaches its outside models, and what that may cost."""

from collections.abc import Sequence

from workbench.config import apply_overrides, dump_config, load_config
from workbench.errors import ConfigError
from workbench.store.files import write_whole, writing
from workbench.store.layout import RunPaths
from workbench.store.writer import RunLock

_REACHING = ("base_url", "api_key_env", "concurrency", "timeout_seconds", "max_retries", "max_backoff_seconds")
AMENDABLE = {
    "data.teacher": (*_REACHING, "budget_tokens", "budget_money", "price_input", "price_output"),
    "tracking": ("report_to", "project"),
    "reflection.endpoint": (*_REACHING, "on_change", "check_seconds"),
    "device": ("num_processes",),
}
"""Settings by section that no answer depends on, so that a run continues as if it had begun with them; with ``on_change``, that a
person accepts another model."""


def amend(paths: RunPaths, overrides: Sequence[str]) -> None:
    """Write other settings into a run's configuration.

    Args:
        paths: The run folder.
        overrides: ``a.b=c`` strings.

    Raises:
        ConfigError: A setting is unknown, refused, or one that results depend on.
        RunBusyError: Another process has the run.
    """
    for override in overrides:
        section, _, name = override.partition("=")[0].strip().rpartition(".")
        if name not in AMENDABLE.get(section, ()):
            free = "; ".join(f"{part}.* of {', '.join(names)}" for part, names in AMENDABLE.items())
            raise ConfigError(
                f"--set {override.partition('=')[0].strip()}: a begun run keeps its settings, but for {free}; "
                "train a new run, or --from this one"
            )
    with RunLock(paths):
        changed = apply_overrides(load_config(paths.config), overrides)
        with writing(paths.folder):
            write_whole(paths.config, dump_config(changed).encode())
