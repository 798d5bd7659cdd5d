"""Errors a person can cause: one line each, saying what was wrong, what was found and what to do.

The command line prints the message of a :class:`WorkbenchError` and exits with code 2. Every class also
inherits the standard-library error it specialises, so that callers can catch either.
"""

import difflib
from collections.abc import Iterable


class WorkbenchError(Exception):
    """Root of all errors a person can mend."""


class ConfigError(WorkbenchError, ValueError):
    """A setting, preset or argument that cannot be used."""


class EnvError(WorkbenchError, ValueError):
    """An environment that breaks its contract, or a command it does not know."""


class ModelError(WorkbenchError, RuntimeError):
    """A model or tokenizer that cannot be loaded or cannot play."""


class DeviceError(WorkbenchError, RuntimeError):
    """A device or precision that this machine does not have."""


class PromptError(WorkbenchError, ValueError):
    """A prompt that does not fit, or a state with more commands than labels."""


class StoreError(WorkbenchError, RuntimeError):
    """A run folder that is missing, damaged, foreign or of a newer schema."""


class CheckpointError(StoreError):
    """A checkpoint that is incomplete or damaged."""


class RunBusyError(StoreError):
    """Another live process holds this run."""


class PartnerError(WorkbenchError, RuntimeError):
    """Another process of the same run has ended, so this one cannot go on."""


class DataError(WorkbenchError, ValueError):
    """Training data that is missing, malformed or empty."""


class EndpointError(WorkbenchError, RuntimeError):
    """An outside model that cannot be reached, refuses, or does not answer."""


class BudgetError(EndpointError):
    """The next request could cost more than what may be spent."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence naming the known names closest to ``name``, or all of them when none is close."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "known: " + ", ".join(known)


class RunStopped(Exception):
    """A person asked the run to stop; everything is saved.

    Attributes:
        by_signal: Whether a signal to this process asked (Ctrl+C), and not the app or another command, which mean this run alone.
    """

    def __init__(self, phase: str, step: int) -> None:
        super().__init__(f"stopped in {phase} after {step}")
        self.phase = phase
        self.step = step
        self.by_signal = False
