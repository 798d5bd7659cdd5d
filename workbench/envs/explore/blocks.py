"""Questions about a real repository, each about a random block of a file."""

import re
from collections import Counter
from collections.abc import Callable

import numpy as np

from workbench.envs.explore.tasks import Question, without_repeats
from workbench.envs.explore.tree import File, Tree, kind_of
from workbench.seeding import generator

BLOCK_CHARACTERS = 8000
"""The paper's blocks have at most 2,000 tokens of about four characters."""
SHORTEST_BLOCK = 200
DATA_LINES = 20

BlockTeacher = Callable[[File, str, np.random.Generator], tuple[str, str, str] | None]
"""Given a file, one of its blocks and dice: question, answer and topic, or None where the block gives nothing to ask."""

_DEFINITION = re.compile(r"^[ \t]*(?:async +)?(def|class|func|struct|enum|interface) +([A-Za-z_]\w{3,})", re.MULTILINE)
_WORDS = {"def": "function", "func": "function"}


def ask_about(tree: Tree, *, count: int, depth: int, seed: int, teacher: BlockTeacher | None = None) -> tuple[Question, ...]:
    """Questions about up to ``count`` different files, each no deeper than ``depth`` folders.

    Files are drawn at random; from each one block is drawn: at most 2,000 tokens of code or text, the first 20 lines of data
    (Reflect-RL's code, ``gen_task``). Files that give less than 50 tokens are passed over, as are questions that fit two
    files.

    Args:
        tree: The repository.
        count: Most questions.
        depth: Folders above the deepest file that is asked about.
        seed: Of everything drawn here.
        teacher: Asks; by rules when None.
    """
    dice = generator(seed, "blocks")
    teacher = teacher or RuleTeacher(tree)
    files = [file for file in tree.files.values() if file.depth <= depth]
    found: list[Question] = []
    for place in dice.permutation(len(files)):
        block = _block(files[place], dice)
        asked = teacher(files[place], block, dice) if len(block) >= SHORTEST_BLOCK else None
        if asked is not None:
            question, answer, topic = asked
            found.append(Question(files[place].path, question, answer, topic))
        if len(found) == count:
            break
    return tuple(sorted(without_repeats(found), key=lambda question: question.target))


def some_files(tree: Tree, *, count: int, depth: int, seed: int) -> tuple[Question, ...]:
    """Up to ``count`` files that lie no deeper than ``depth`` folders, as targets whose questions are yet to be worded."""
    files = [file for file in tree.files.values() if file.depth <= depth]
    order = generator(seed, "files").permutation(len(files))[:count]
    return tuple(Question(files[place].path, "", "", "") for place in sorted(order))


def _block(file: File, dice: np.random.Generator) -> str:
    lines = file.text.splitlines()
    if kind_of(file.name) == "data":
        return "\n".join(lines[:DATA_LINES])[:BLOCK_CHARACTERS]
    start = int(dice.integers(max(len(lines) // 2, 1)))
    return "\n".join(lines[start:])[:BLOCK_CHARACTERS]


class RuleTeacher:
    """Asks by rules for what only one file has: a definition in code, else a line of some length."""

    def __init__(self, tree: Tree) -> None:
        self._texts = [file.text for file in tree.files.values()]
        self._defined = Counter(name for text in self._texts for name in {match[1] for match in _DEFINITION.findall(text)})

    def __call__(self, file: File, block: str, dice: np.random.Generator) -> tuple[str, str, str] | None:
        """A question about ``block``, or None."""
        names = [match for match in _DEFINITION.findall(block) if self._defined[match[1]] == 1]
        if names:
            word, name = names[int(dice.integers(len(names)))]
            word = _WORDS.get(word, word)
            form = ("Where is the {} {} defined?", "Which file defines the {} {}?", "I look for the {} {}.")[int(dice.integers(3))]
            return form.format(word, name), f"{word} {name}", name
        lines = [line.strip() for line in block.splitlines() if 20 <= len(line.strip()) <= 100 and line.strip().isprintable()]
        for place in dice.permutation(len(lines))[:5]:
            if sum(lines[place] in text for text in self._texts) == 1:
                form = ("Which file says: {}", "Where does it say: {}")[int(dice.integers(2))]
                return form.format(lines[place]), lines[place], "that line"
        return None
