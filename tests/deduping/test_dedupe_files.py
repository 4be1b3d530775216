"""Which files are looked at, and that none of them is taken for its own duplicate."""

import os
from pathlib import Path

import pytest

from embedstack.deduping.files import AGAIN, HIDDEN, LINK, NO_FILE, walk
from embedstack.errors import ConfigError
from support.doubled import files, png


def names(*paths: Path) -> list[str]:
    return [file.path.name for file in walk(paths).files]


def test_files_come_in_the_order_of_their_names_folder_by_folder(tmp_path: Path) -> None:
    folder = files(tmp_path / "a", b__txt="b", a__md="a")
    files(folder / "sub", c__png=png())

    assert names(folder) == ["a.md", "b.txt", "c.png"]


def test_named_paths_keep_their_order(tmp_path: Path) -> None:
    first, second = files(tmp_path / "z", z__txt="z"), files(tmp_path / "a", a__txt="a")

    assert names(first, second) == ["z.txt", "a.txt"]


def test_a_picture_is_known_by_its_content_whatever_it_is_called(tmp_path: Path) -> None:
    folder = files(tmp_path, a__txt=png(), b=png(), c__txt="text")

    assert {file.path.name: file.is_picture for file in walk([folder]).files} == {
        "a.txt": True,
        "b": True,
        "c.txt": False,
    }


def test_what_is_called_like_a_picture_is_looked_at_as_one(tmp_path: Path) -> None:
    folder = files(tmp_path, a__jpg="<html>", b__HEIC=b"\0\0\0\x18ftypheic", c__png=b"")

    assert [file.is_picture for file in walk([folder]).files] == [True, True, True]


def test_what_is_passed_over_is_counted_by_its_kind(tmp_path: Path) -> None:
    folder = files(tmp_path / "a", a__txt="a", b__pdf="b", c__pdf="c", __hidden__txt="d")
    files(folder / ".git", e__txt="e")
    (folder / "link.txt").symlink_to(folder / "a.txt")
    (folder / "dangling.txt").symlink_to(folder / "gone.txt")
    (folder / "sub").symlink_to(folder / ".git")
    os.link(folder / "a.txt", folder / "hard.txt")
    os.mkfifo(folder / "pipe.txt")

    met = walk([folder])

    assert [file.path.name for file in met.files] == ["a.txt"]
    assert +met.skipped == {".pdf": 2, HIDDEN: 2, LINK: 3, AGAIN: 1, NO_FILE: 1}


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    folder = files(tmp_path / "a", a__txt="a")
    (tmp_path / "other").symlink_to(folder)

    met = walk([folder / "a.txt", folder, tmp_path / "other", tmp_path / "other" / "a.txt"])

    assert len(met.files) == 1
    assert met.skipped[AGAIN] == 3


def test_a_link_that_was_named_is_followed(tmp_path: Path) -> None:
    folder = files(tmp_path / "a", a__txt="a")
    (tmp_path / "link.txt").symlink_to(folder / "a.txt")

    assert names(tmp_path / "link.txt") == ["link.txt"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    folder = files(tmp_path / "a", a__txt="a")
    (folder / "up").symlink_to(tmp_path)

    assert names(tmp_path) == ["a.txt"]


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone.txt' is not there; name files, folders, tables"):
        walk([tmp_path / "gone.txt"])


def test_a_file_that_was_named_and_is_neither_picture_nor_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a.pdf' is no picture, and what text it holds cannot be told by its name"):
        walk([files(tmp_path, a__pdf="%PDF") / "a.pdf"])
