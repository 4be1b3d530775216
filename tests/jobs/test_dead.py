"""Dead letters: a line for each document that has no rows."""

from pathlib import Path

import pytest

from embedstack.errors import ConfigError, Mismatch
from embedstack.jobs.dead import letter, read_dead, write_dead
from embedstack.jobs.digests import of_file

LETTERS = [
    letter("a.md", "a.md", 0, "empty", "it has no text", 3),
    letter("rows.jsonl#7", "rows.jsonl", 7, "bad_json", "line 8 is no JSON: 'expected'", 3),
]


def test_letters_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_dead(tmp_path / "dead", LETTERS)

    assert read_dead((tmp_path / "dead").read_bytes(), "dead") == LETTERS


def test_each_letter_is_a_line_and_the_file_is_stated(tmp_path: Path) -> None:
    made = write_dead(tmp_path / "dead", LETTERS)

    lines = (tmp_path / "dead").read_bytes().splitlines()
    assert len(lines) == 2
    assert (made.bytes, made.sha256) == ((tmp_path / "dead").stat().st_size, of_file(tmp_path / "dead"))


@pytest.mark.parametrize(("code", "skipped"), [("empty", True), ("index_page", True), ("bad_utf8", False)])
def test_only_what_was_left_out_on_purpose_is_skipped(code: str, skipped: bool) -> None:
    assert letter("a", "a", 0, code, "why", 0).skipped is skipped


@pytest.mark.parametrize("data", [b"{", b'{"doc_id": "a"}\n', b"[]\n", b"\xff\n"])
def test_what_is_no_letter_is_named(data: bytes) -> None:
    with pytest.raises(Mismatch, match=r"'dead/part-000003-00000000.jsonl' holds no dead letters"):
        read_dead(data, "dead/part-000003-00000000.jsonl")


def test_letters_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be written: .*--spool"):
        write_dead(tmp_path / "nowhere" / "dead", LETTERS)
