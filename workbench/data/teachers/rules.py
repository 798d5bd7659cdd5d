"""The tutor that needs nobody: the environment's own rules."""

from collections.abc import Sequence
from typing import Any

from workbench.data.teachers.base import Lesson, Teacher


class RulesTutor:
    """Says what the environment's teacher said while the steps were played.

    Args:
        teacher: That teacher.
    """

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher

    def explain(self, lessons: Sequence[Lesson]) -> list[str | None]:
        """The drafts as they are."""
        return [lesson.draft for lesson in lessons]

    def facts(self) -> dict[str, Any]:
        """The teacher's name."""
        return {"teacher": type(self.teacher).__name__}
