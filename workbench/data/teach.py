"""From played steps to taught steps: whoever the tutor is, the states and the right commands are the same."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from workbench.config import RunConfig
from workbench.data.answers import AnswerFile
from workbench.data.generate import Example
from workbench.data.teachers.base import Lesson, Teacher, Tutor
from workbench.data.teachers.endpoint import EndpointSource, Watch, never
from workbench.data.teachers.outside import PAPER_WORDS, OutsideTutor
from workbench.data.teachers.recorded import RecordedSource
from workbench.data.teachers.rules import RulesTutor
from workbench.errors import DataError

WORDS_PER_TOKEN = 0.6
"""On the low side, so that most reflections fit the player."""


@contextmanager
def open_tutor(
    config: RunConfig, teacher: Teacher, folder: Path, *, should_stop: Callable[[], bool] = never, watch: Watch | None = None
) -> Iterator[Tutor]:
    """The tutor that ``config.data.teacher`` names.

    Args:
        config: A run's configuration.
        teacher: The environment's own rules.
        folder: Where an endpoint's answers are kept.
        should_stop: True ends an endpoint's work gracefully.
        watch: Told how far an endpoint is and what was spent.

    Raises:
        DataError: The recording cannot be read, or another process uses the folder.
    """
    settings = config.data.teacher
    if settings.kind == "rules":
        yield RulesTutor(teacher)
        return
    words = min(PAPER_WORDS, max(8, int(WORDS_PER_TOKEN * config.reflection.max_new_tokens)))
    if settings.kind == "recorded":
        yield OutsideTutor(RecordedSource(Path(settings.recording)), settings, max_words=words)
        return
    with AnswerFile(folder) as answers:
        source = EndpointSource(settings, answers, should_stop=should_stop, watch=watch, seed=config.seed)
        yield OutsideTutor(source, settings, max_words=words)


def explain(examples: Sequence[Example], tutor: Tutor) -> list[Example]:
    """The examples in the tutor's words; those that had to be left out are missing.

    Raises:
        DataError: Nothing is left.
    """
    texts = tutor.explain([lesson(example, number) for number, example in enumerate(examples)])
    taught = [replace(example, reflection=text) for example, text in zip(examples, texts, strict=True) if text is not None]
    if examples and not taught:
        raise DataError("every reflection of the teacher was refused (empty, betraying its spoiler); use another model or spoiler=false")
    return taught


def lesson(example: Example, number: int) -> Lesson:
    """What a tutor has to know about an example."""
    return Lesson(
        number=number,
        task_statement=example.task_statement,
        observation=example.observation,
        commands=example.commands,
        first=example.turn == 0,
        best=example.oracle_command,
        mistake=example.mistake,
        draft=example.reflection,
    )


def fit_reflections(examples: Sequence[Example], count: Callable[[str], int], limit: int) -> tuple[list[Example], int]:
    """Shorten reflections that are longer than the player may write, at the end of a sentence where there is one.

    Args:
        examples: What an outside teacher taught.
        count: Tokens of a text.
        limit: Most tokens, end-of-text left aside.

    Returns:
        The examples, and how many were shortened.
    """
    fitted = [replace(example, reflection=shortened(example.reflection, count, limit)) for example in examples]
    return fitted, sum(one.reflection != other.reflection for one, other in zip(fitted, examples, strict=True))


def shortened(text: str, count: Callable[[str], int], limit: int) -> str:
    """The longest beginning of ``text`` within ``limit`` tokens that ends a sentence, else a word, else anywhere.

    Example:
        >>> shortened("Go west. The wall is near.", lambda text: len(text.split()), 4)
        'Go west.'
    """
    if count(text) <= limit:
        return text
    sentences = [place + 1 for place, char in enumerate(text[:-1]) if char in ".!?" and text[place + 1] == " "]
    words = [place for place, char in enumerate(text) if char == " "]
    for ends in (sentences, words, list(range(1, len(text)))):
        fitting = [end for end in ends if count(text[:end]) <= limit]
        if fitting:
            return text[: fitting[-1]]
    return ""
