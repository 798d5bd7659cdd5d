"""An environment may be a person's own and raise anything: whatever it is, one line says where it happened."""

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.errors import EnvError, WorkbenchError


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Say at what ``place`` (task, stage, seed) an environment broke; messages meant for people pass as they are.

    Raises:
        EnvError: The environment raised something else.
    """
    try:
        yield
    except WorkbenchError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise EnvError(f"{place}: the environment broke ({reason}); mend it, `check_text_env` helps to find out what is wrong") from error
