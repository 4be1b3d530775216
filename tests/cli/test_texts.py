"""Where texts come from: arguments, files and stdin."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from embedstack.cli.texts import in_chunks, read_texts
from embedstack.errors import BadRequest, ConfigError

Stdin = Callable[[bytes], None]


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Stdin:
    """Give these bytes to whoever reads stdin."""
    return lambda content: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(*files: Path, field: str | None = None) -> str:
    with pytest.raises((BadRequest, ConfigError)) as caught:
        list(read_texts((), files, field))
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ order


def test_arguments_come_before_files_and_files_in_their_order(tmp_path: Path) -> None:
    files = file(tmp_path, "b", "three\nfour\n"), file(tmp_path, "a", "five\n")

    assert list(read_texts(("one", "two"), files)) == ["one", "two", "three", "four", "five"]


def test_stdin_is_read_where_nothing_else_is_given(stdin: Stdin) -> None:
    stdin("one\nдва\n".encode())

    assert list(read_texts((), ())) == ["one", "два"]


def test_stdin_is_left_alone_where_texts_are_given(stdin: Stdin) -> None:
    stdin(b"not me\n")

    assert list(read_texts(("me",), ())) == ["me"]


def test_an_argument_is_taken_as_it_is() -> None:
    assert list(read_texts((" a\nb ", ""), ())) == [" a\nb ", ""]


# ------------------------------------------------------------------------------------------------ lines


def test_blank_lines_are_skipped(tmp_path: Path) -> None:
    assert list(read_texts((), (file(tmp_path, "t", "\none\n\n \t\ntwo\n\n"),))) == ["one", "two"]


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    assert list(read_texts((), (file(tmp_path, "t", "one\ntwo"),))) == ["one", "two"]


def test_the_ends_of_windows_lines_are_no_part_of_a_text(tmp_path: Path) -> None:
    assert list(read_texts((), (file(tmp_path, "t", "one\r\n\r\ntwo\r\n"),))) == ["one", "two"]


def test_spaces_inside_a_line_are_kept(tmp_path: Path) -> None:
    assert list(read_texts((), (file(tmp_path, "t", "  one \n"),))) == ["  one "]


@pytest.mark.parametrize("name", ["t.txt", "t.jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_text(tmp_path: Path, name: str) -> None:
    line = '{"text": "one"}' if name.endswith("l") else "one"

    assert list(read_texts((), (file(tmp_path, name, f"\ufeff{line}\n"),))) == ["one"]


def test_a_line_of_unusual_separators_is_one_text(tmp_path: Path) -> None:
    assert list(read_texts((), (file(tmp_path, "t", "a\x0bb\x0cc\u2028d\n"),))) == ["a\x0bb\x0cc\u2028d"]


# ------------------------------------------------------------------------------------------------ JSON lines


def test_a_jsonl_file_holds_texts_in_the_field_text(tmp_path: Path) -> None:
    rows = file(tmp_path, "rows.jsonl", '{"text": "one", "id": 1}\n\n{"id": 2, "text": "t\\u0077o"}\n')

    assert list(read_texts((), (rows,))) == ["one", "two"]


def test_another_field_may_be_named(tmp_path: Path) -> None:
    assert list(read_texts((), (file(tmp_path, "rows.jsonl", '{"body": "one", "text": "x"}\n'),), "body")) == ["one"]


def test_a_field_makes_json_lines_of_stdin(stdin: Stdin) -> None:
    stdin(b'{"body": "one"}\n')

    assert list(read_texts((), (), "body")) == ["one"]


def test_without_a_field_stdin_is_plain_lines(stdin: Stdin) -> None:
    stdin(b'{"text": "one"}\n')

    assert list(read_texts((), ())) == ['{"text": "one"}']


@pytest.mark.parametrize("line", ["{", "[1]", "5", "null", '{"title": "one"}', '"text"'])
def test_a_line_without_the_field_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    rows = file(tmp_path, "rows.jsonl", f'{{"text": "one"}}\n\n{line}\n')

    assert refusal(rows) == f"{rows} line 3 is no JSON object with the field 'text'; name it with --field"


@pytest.mark.parametrize(("value", "kind"), [("5", "int"), ("null", "NoneType"), ('["a"]', "list")])
def test_a_field_that_is_no_string_is_refused(tmp_path: Path, value: str, kind: str) -> None:
    rows = file(tmp_path, "rows.jsonl", f'{{"text": {value}}}\n')

    assert refusal(rows).startswith(f"{rows} line 1 holds {kind} in 'text', not a string")


# ------------------------------------------------------------------------------------------------ refusals


def test_a_file_that_is_missing_is_refused_before_any_text_is_read(tmp_path: Path) -> None:
    there, missing = file(tmp_path, "there", "one\n"), tmp_path / "missing"

    with pytest.raises(ConfigError, match=r"missing' is not there; give a text file"):
        read_texts(("zero",), (there, missing))


def test_a_folder_is_no_text_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{str(tmp_path)!r} is a folder; give a text file"


def test_what_is_not_utf_8_is_refused_by_line_and_byte(tmp_path: Path) -> None:
    latin = file(tmp_path, "latin", "one\ncaf\u00e9\n".encode("latin-1"))

    assert refusal(latin) == f"{latin} line 2 is not UTF-8 at byte 4; convert it first"


def test_stdin_that_is_not_utf_8_is_refused(stdin: Stdin) -> None:
    stdin(b"\xff\xfe\n")

    assert refusal() == "stdin line 1 is not UTF-8 at byte 1; convert it first"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \r\n"])
def test_input_without_a_text_is_refused_at_once(stdin: Stdin, tmp_path: Path, content: bytes) -> None:
    stdin(content)

    with pytest.raises(BadRequest, match="no text; the input was empty"):
        read_texts((), ())
    with pytest.raises(BadRequest, match="no text; the input was empty"):
        read_texts((), (file(tmp_path, "empty", content),))


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(b"typed\n")))

    assert refusal() == "no text; give texts as arguments, with --file, or on stdin"


# ------------------------------------------------------------------------------------------------ chunks


def test_chunks_are_full_but_for_the_last() -> None:
    assert list(in_chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_chunks_are_read_when_they_are_asked_for() -> None:
    numbers = iter(range(10))

    next(in_chunks(numbers, 3))

    assert next(numbers) == 3
