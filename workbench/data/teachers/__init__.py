"""Teachers: they know the solution and say it in words."""

from collections.abc import Callable

from workbench.data.teachers.base import Mistake, Teacher, best_command
from workbench.data.teachers.corridor import CorridorTeacher
from workbench.data.teachers.explore import ExploreTeacher
from workbench.data.teachers.generic import GenericTeacher
from workbench.data.teachers.household import HouseholdTeacher
from workbench.data.teachers.taxi import TaxiTeacher
from workbench.envs.text_env import TextEnv
from workbench.errors import DataError

__all__ = [
    "CorridorTeacher",
    "ExploreTeacher",
    "GenericTeacher",
    "HouseholdTeacher",
    "Mistake",
    "TaxiTeacher",
    "Teacher",
    "best_command",
    "make_teacher",
]

# By the name that an environment's class carries; every other environment is taught by GenericTeacher.
_ELOQUENT: dict[str, Callable[[], Teacher]] = {
    "corridor": CorridorTeacher,
    "explore": ExploreTeacher,
    "household": HouseholdTeacher,
    "taxi": TaxiTeacher,
}


def make_teacher(env: TextEnv) -> Teacher:
    """The most eloquent teacher there is for ``env``.

    Raises:
        DataError: The environment has no oracle, so nobody here knows what is right.
    """
    if type(env).oracle is TextEnv.oracle:
        raise DataError(
            f"environment {env.name!r} defines no oracle(), so no reflections can be generated; define it, or leave generate out of "
            "phases: phases=[rl,evaluate] with reflection.kind=none and a pretrained policy.model need none"
        )
    return _ELOQUENT.get(env.name, GenericTeacher)()
