"""What a repository may be read from, and what never gets in or out."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from workbench.envs.explore import reading
from workbench.envs.explore.reading import read_source, usable_name
from workbench.envs.explore.shell import Shell
from workbench.envs.explore.tree import SHOWN_CHARACTERS, Tree, build_tree
from workbench.envs.explore.world import AutoExplore
from workbench.errors import EnvError

SECRET = "the secret that lies outside of every repository"


def tree_of(path: Path) -> Tree:
    return build_tree(read_source(path))


def write(root: Path, path: str, text: str = "some words to read\n") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "outside/secret.txt", SECRET)
    root = tmp_path / "inside"
    write(root, "shop/fees.py", "FEE = 4  # of a late parcel\n")
    write(root, "notes.md")
    return root


def test_a_folder_is_read_once_and_not_looked_at_again(folder):
    tree = tree_of(folder)
    assert list(tree.files) == ["notes.md", "shop/fees.py"]
    (folder / "notes.md").unlink()
    assert Shell(tree).execute("cat notes.md").text == "some words to read"


def test_links_pipes_and_cycles_are_passed_over(folder):
    (folder / "secret.txt").symlink_to(folder.parent / "outside" / "secret.txt")
    (folder / "elsewhere").symlink_to(folder.parent / "outside", target_is_directory=True)
    (folder / "shop" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "broken.py").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.txt")
    assert list(tree_of(folder).files) == ["notes.md", "shop/fees.py"]


def test_the_papers_filter_takes_whole_names_only(folder):
    kept = ["pricing/social.md", "city.csv", "contests/a.txt"]
    dropped = [".git/x.py", "_private.py", "__init__.py", "ci/a.sh", "tests/a.py", "LICENSE.txt", "requirements.txt", "photo.png", "a"]
    for path in kept + dropped:
        write(folder, path)
    assert set(tree_of(folder).files) == {"notes.md", "shop/fees.py", *kept}


@pytest.mark.parametrize("data", [b"\0" * 50, b"\xff\xfe" + b"words" * 9, "тысяча слов".encode() * 3, b"short"])
def test_what_is_no_english_text_is_passed_over(folder, data):
    (folder / "odd.txt").write_bytes(data)
    assert "odd.txt" not in tree_of(folder).files


def test_a_long_file_keeps_its_beginning_and_its_end(folder):
    line = "word " * 2_000_000
    write(folder, "long.txt", f"{line}\nthe very end\n")
    # A cut between the bytes of one letter does not make the file unreadable.
    write(folder, "umlaut.txt", "x" * (reading.HEAD_BYTES - 1) + "ä" + "y" * 9000)
    tree = tree_of(folder)
    shell = Shell(tree)
    assert len(tree.files["long.txt"].text) == reading.HEAD_BYTES
    for verb in ("cat", "head", "tail"):
        assert len(shell.execute(f"{verb} long.txt").text) <= SHOWN_CHARACTERS + 40
    assert shell.execute("cat long.txt").text.endswith("[the rest is not shown]")
    assert shell.execute("tail long.txt").text.endswith("the very end")
    assert "umlaut.txt" in tree.files


@pytest.mark.parametrize(
    "name", ["a b.py", "new\nline.py", "$(touch x).sh", "'quoted\".txt", "back\\slash.md", "rtl\u202etxt.py", "ünïcode.md", "-n.txt"]
)
def test_odd_names_stay_on_one_line_and_can_be_used(folder, name):
    write(folder, f"odd {name[:3]}x/{name}")
    tree = tree_of(folder)
    file = next(file for file in tree.files.values() if "/" in file.path and not file.path.startswith("shop"))
    shell = Shell(tree)
    home = tree.home(file)
    assert shell.execute(home.command).problem == ""
    for command in file.commands:
        assert command.isprintable()
        result = shell.execute(command)
        assert file in (result.read, result.identified)
    assert shell.listing(home).isprintable()


def test_names_that_look_alike_once_escaped_stay_apart(folder):
    write(folder, "a\nb.txt", "the first of two files")
    write(folder, "a\\x0ab.txt", "the second of two files")
    texts = {file.text for file in tree_of(folder).files.values()}
    assert {"the first of two files", "the second of two files"} <= texts


def test_control_characters_of_a_file_never_reach_the_terminal(folder):
    write(folder, "colour.txt", "\x1b[31mred words\x1b[0m and a bell \x07 here\n")
    text = Shell(tree_of(folder)).execute("cat colour.txt").text
    assert text.isprintable()
    assert "red words" in text


def test_a_folder_of_many_files_is_cut_to_what_can_be_offered(folder):
    for number in range(400):
        write(folder, f"many/file{number:03}.txt")
    for number in range(150):
        write(folder, f"wide/inner{number:03}/a.txt")
    env = AutoExplore(source=str(folder), commands="all", questions="easy", tasks_per_repository=1000)
    for task in env.tasks("all"):
        _, info = env.reset(seed=0, options={"task": task})
        for command in env.oracle():
            assert len(info["admissible_commands"]) <= 252
            info = env.step(command)[4]
        assert info["success"]


@pytest.mark.slow
def test_a_hundred_thousand_files(folder):
    for number in range(100_000):
        if number % 100 == 0:
            (folder / f"part{number // 10_000}/block{number // 100 % 100}").mkdir(parents=True)
        (folder / f"part{number // 10_000}/block{number // 100 % 100}/file{number % 100}.txt").write_bytes(b"a dozen letters")
    assert len(read_source(folder)) == 100_002


def test_too_much_is_refused_in_one_line(folder, monkeypatch):
    monkeypatch.setattr(reading, "MOST_FILES", 1)
    with pytest.raises(EnvError, match="holds more than 1 files"):
        read_source(folder)
    monkeypatch.setattr(reading, "MOST_ENTRIES", 1)
    with pytest.raises(EnvError, match="holds more than 1 entries"):
        read_source(folder)


# Archives ------------------------------------------------------------------------------------------------

MEMBERS = {
    "shop/fees.py": "FEE = 4  # of a late parcel\n",
    "./notes.md": "some words to read\n",
    "../escape.py": SECRET,
    "/etc/absolute.py": SECRET,
    "shop/../../up.py": SECRET,
    "shop//double.py": SECRET,
    "shop/" * 50 + "deep.py": SECRET,
    "x" * 300 + ".py": SECRET,
    "notes.md": "a second file of that name\n",
}


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in MEMBERS.items():
            archive.writestr(name, text)
        link = zipfile.ZipInfo("link.py")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd is where this points")
    return path


def tarred(path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in MEMBERS.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        for name, kind in (("link.py", tarfile.SYMTYPE), ("hard.py", tarfile.LNKTYPE), ("device.py", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    return path


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_gives_its_plain_files_and_nothing_else(tmp_path, pack):
    before = sorted(tmp_path.parent.rglob("*"))
    path = pack(tmp_path / "some.archive")
    found = read_source(path)
    assert set(found) == {("shop", "fees.py"), ("notes.md",)}
    assert found["notes.md",][0] == "some words to read\n"
    assert sorted(tmp_path.parent.rglob("*")) == sorted([*before, path])  # nothing was unpacked


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_ARCHIVED_BYTES", 1 << 20)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.txt", "0" * (1 << 21))
    with pytest.raises(EnvError, match="unpacks to more than"):
        read_source(path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("plain.txt", b"only words", "is a file but no zip or tar archive"),
        ("half.zip", None, "is a file but no zip or tar archive"),
        ("empty.zip", b"PK\x05\x06" + b"\0" * 18, "holds no readable"),
    ],
)
def test_what_is_no_source_is_refused_in_one_line(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data if data is not None else zipped(tmp_path / "whole.zip").read_bytes()[:100])
    with pytest.raises(EnvError) as caught:
        AutoExplore(source=str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_archive_is_refused_in_one_line(tmp_path):
    whole = bytearray(zipped(tmp_path / "whole.zip").read_bytes())
    whole[45:60] = b"\xff" * 15
    (tmp_path / "damaged.zip").write_bytes(whole)
    with pytest.raises(EnvError, match="cannot be read"):
        read_source(tmp_path / "damaged.zip")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b.py", "a\0.py", ".hidden.py", "_own.py", "x" * 256])
def test_names_that_are_no_names_are_refused(name):
    assert not usable_name(name, is_file=True)
