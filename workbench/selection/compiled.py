"""Compiling the greedy loops with numba, and keeping the result between processes where a folder can be written."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

# Sums may be vectorised, but nothing that changes what NaN or infinity do.
_FAST = {"reassoc", "nsz", "contract"}


def compiled(function: Function) -> Function:
    """``function`` as machine code, compiled at its first call for the types it meets."""
    try:
        return cast(Function, numba.njit(cache=True, fastmath=_FAST, nogil=True)(function))
    except RuntimeError:  # neither this package's folder nor the person's cache folder can be written
        return cast(Function, numba.njit(fastmath=_FAST, nogil=True)(function))
