"""Random trees and random commands: nothing breaks, nothing grows, nothing outside the tree is reached."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.envs.explore.shell import COMMANDS, Shell
from workbench.envs.explore.tree import CUT, SHOWN_CHARACTERS, File, Tree, build_tree

LONGEST_RESULT = SHOWN_CHARACTERS + len(CUT)

NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=8).filter(lambda name: name not in (".", ".."))
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=4).map(tuple),
    st.tuples(st.text(max_size=60), st.sampled_from(["", "the end"])),
    min_size=1,
    max_size=12,
).map(build_tree)


def check(shell: Shell, command: str) -> None:
    """Carry out a command and look at everything that must hold whatever it is."""
    tree, before = shell.tree, shell.folder
    result = shell.execute(command)
    assert tree.folders[shell.folder.path] is shell.folder
    assert shell.folder is before or (not result.problem and command.split()[0].strip("'\"\\") == "cd")
    for file in (result.read, result.identified):
        assert file is None or tree.files[file.path] is file
    if result.read is None:
        assert len(result.text) <= max(
            LONGEST_RESULT, len(shell.listing(before)), *(len(folder.listing) for folder in tree.folders.values())
        )
    else:
        assert len(result.text) <= LONGEST_RESULT
        assert result.text.replace("\n", "").isprintable()
    assert (result.problem == "") == (not result.text.startswith(("Error: ", "Warning: ")) or result.read is not None)


@settings(max_examples=150, deadline=None)
@given(
    TREES, st.lists(st.one_of(st.text(max_size=30), st.builds("{} {}".format, st.sampled_from(COMMANDS), st.text(max_size=20))), max_size=8)
)
def test_no_text_breaks_the_shell(tree, commands):
    shell = Shell(tree)
    for command in commands:
        check(shell, command)


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_every_file_of_any_tree_can_be_reached_and_named(tree):
    for file in tree.files.values():
        shell = Shell(tree)
        for depth in range(file.depth):
            path = "/".join(file.path.split("/")[: depth + 1]) + "/"
            assert shell.execute(tree.folders[path].command).problem == ""
        cat, head, tail, name = file.commands
        identified = shell.execute(name).identified
        assert identified == file
        assert all(shell.execute(command).read is file for command in (cat, head, tail))
        assert (cat + name + shell.listing(shell.folder)).isprintable()
        for _ in range(file.depth):
            shell.execute("cd ..")
        assert shell.folder is tree.root


def random_tree(dice: random.Random) -> Tree:
    letters = "ab .'\"\\$;|&\n\t\r~*-\u202e\ud800é𝄞"
    contents = {}
    for _ in range(dice.randint(1, 8)):
        names = tuple("".join(dice.choices(letters, k=dice.randint(1, 4))) for _ in range(dice.randint(1, 4)))
        contents[names] = ("".join(dice.choices(letters, k=dice.randint(0, 50))), dice.choice(["", "end"]))
    return build_tree(contents)


def test_what_is_no_name_is_no_part_of_a_tree():
    ways = [("..", "up.py"), ("a", ".", "b.py"), ("a/b.py",), ("",), (), ("a", "nul\0.py"), ("a", "good.py")]
    assert list(build_tree(dict.fromkeys(ways, ("words", ""))).files) == ["a/good.py"]


def random_commands(tree: Tree, dice: random.Random) -> Iterator[str]:
    files: list[File] = list(tree.files.values())
    pieces = [
        "..",
        ".",
        "/",
        "//",
        "../..",
        "/etc/passwd",
        "~",
        "$HOME",
        "`id`",
        "$(id)",
        ";",
        "| cat",
        "'",
        '"',
        "\\",
        "\n",
        "\0",
        "-n",
        "%2e%2e",
    ]
    for _ in range(4):
        kind = dice.random()
        if kind < 0.4:
            yield dice.choice(dice.choice(files).commands)
        elif kind < 0.6:
            yield dice.choice(list(tree.folders.values())).command
        else:
            yield (
                dice.choice([*COMMANDS, "rm", ""])
                + " "
                + "".join(dice.choices([*pieces, *(file.path for file in files)], k=dice.randint(0, 3)))
            )


def test_ten_thousand_random_trees_and_commands():
    dice = random.Random(0)
    for _ in range(2_500):
        tree = random_tree(dice)
        if tree.files:
            shell = Shell(tree)
            for command in random_commands(tree, dice):
                check(shell, command)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("cat ../secret.txt", "Error: the path leaves the repository"),
        ("cat shop/../../secret.txt", "Error: the path leaves the repository"),
        ("cat /etc/passwd", "Error: paths start at the present folder, not at /"),
        ("cat shop", "Error: cat takes a file, found a folder"),
        ("cd notes.md", "Error: cd takes a folder, found a file"),
        ("cat notes.md/x", "Error: a file has nothing below it"),
        ("cat none.md", "Error: no such file or folder"),
        ("cat", "Error: cat takes one name, found 0"),
        ("cat notes.md shop", "Error: cat takes one name, found 2"),
        ("cat 'notes.md", "Error: a quote is not closed"),
        ("rm notes.md", "Warning: unknown command; the commands are cd, cat, head, tail, ls, id"),
        ("x" * 5000, "Warning: unknown command; the commands are cd, cat, head, tail, ls, id"),
        ("cat notes.md; id notes.md", "Error: cat takes one name, found 3"),
        ("ls", "shop/ notes.md"),
        ("ls shop", "fees.py"),
        ("cat shop/fees.py", "FEE = 4"),
        ("cat ./shop//fees.py", "FEE = 4"),
    ],
)
def test_what_commands_say(command, text):
    shell = Shell(build_tree({("notes.md",): ("words", ""), ("shop", "fees.py"): ("FEE = 4\n", "")}))
    assert shell.execute(command).text == text


@pytest.mark.parametrize(("name", "lines"), [("a.py", 1000), ("a.csv", 5), ("a.md", 100), ("a.sh", 10)])
def test_how_much_of_a_file_is_shown_depends_on_its_kind(name, lines):
    text = "".join(f"{number % 10}\n" for number in range(lines + 1))
    shell = Shell(build_tree({(name,): (text, "")}))
    shown = shell.execute(f"cat {name}").text
    if lines < 1000:  # a thousand lines are more than the 2,000 characters
        assert shown == text[: 2 * lines].rstrip("\n") + CUT
    assert len(shown) <= LONGEST_RESULT
    head = shell.execute(f"head {name}").text.removesuffix(CUT)
    assert head.split("\n") == text.rstrip("\n").split("\n")[:10]
    assert shell.execute(f"tail {name}").text == "\n".join(text.rstrip("\n").split("\n")[-10:])
