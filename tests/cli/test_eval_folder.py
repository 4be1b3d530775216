"""The folder of a report: all of it or none of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from embedstack.cli.eval_folder import LONGEST, check_folder, file_names, write_files
from embedstack.errors import ConfigError

FILES = {"runs/a.run": "q Q0 d 1 1 a\n", "report.json": "{}"}


def writing(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


WRITERS = {name: writing(text) for name, text in FILES.items()}


def texts_of(folder: Path) -> dict[str, str]:
    """Everything in it, also what is hidden."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_made_with_the_folders_above_it(tmp_path: Path) -> None:
    write_files(tmp_path / "new/report", WRITERS)

    assert texts_of(tmp_path / "new") == {f"report/{name}": text for name, text in FILES.items()}


def test_a_folder_that_was_made_can_be_read_by_those_who_read_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour").mkdir()

    write_files(tmp_path / "report", WRITERS)

    assert (tmp_path / "report").stat().st_mode == (tmp_path / "neighbour").stat().st_mode


def test_a_folder_that_is_there_keeps_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")

    write_files(tmp_path, WRITERS)

    assert texts_of(tmp_path) == {**FILES, "mine.txt": "mine"}


@pytest.mark.parametrize("is_there", [True, False])
def test_an_end_in_the_middle_leaves_what_was_there(tmp_path: Path, is_there: bool) -> None:
    def end(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    (tmp_path / "report.json").write_text("old")

    with pytest.raises(KeyboardInterrupt):
        write_files(tmp_path if is_there else tmp_path / "new", {**WRITERS, "report.json": end})

    assert texts_of(tmp_path) == {"report.json": "old"}
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder must be")

    with pytest.raises(ConfigError, match="cannot be written"):
        write_files(tmp_path, WRITERS)

    assert "report.json" not in texts_of(tmp_path)


@pytest.mark.parametrize("name", ["file", "file/below/it"])
def test_a_file_is_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="is a file; name another one"):
        check_folder(tmp_path / name)


@pytest.mark.parametrize("name", ["", "new", "new/below/it"])
def test_a_folder_may_be_there_or_not(tmp_path: Path, name: str) -> None:
    check_folder(tmp_path / name)

    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------ names


def test_plain_names_stay() -> None:
    assert file_names(["bm25+all-MiniLM-L6-v2~ms-marco"]) == {
        "bm25+all-MiniLM-L6-v2~ms-marco": "bm25+all-MiniLM-L6-v2~ms-marco"
    }


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "http://host:6333#docs/title", ".", "C:\\models", "a\nb", "{./c++}", "é" * 300]
)
def test_a_name_is_one_file_in_the_folder_that_it_is_meant_for(name: str, tmp_path: Path) -> None:
    (made,) = file_names([name]).values()

    (tmp_path / f"{made}.run").write_text("")
    assert [path.name for path in tmp_path.iterdir()] == [f"{made}.run"]
    assert len(made) <= LONGEST


def test_no_two_names_are_equal_where_case_does_not_count() -> None:
    made = file_names(["a:b", "a/b", "A b", "a_b"])

    assert len({name.lower() for name in made.values()}) == 4
