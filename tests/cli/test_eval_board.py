"""What is shown while an evaluation runs."""

import pytest

from embedstack.cli.eval_board import EvalBoard


def steps(board: EvalBoard) -> None:
    with board:
        board("documents by one", 0, 4)
        board("documents by one", 4, 4)
        board.say("something")
        board("queries by one", 1, 3)


def test_each_thing_that_is_done_has_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    steps(EvalBoard(is_shown=True))

    said = capsys.readouterr()
    assert "documents by one:   0%|          | 0/4 [" in said.err
    assert "queries by one:   0%|          | 0/3 [" in said.err
    assert said.out == ""


def test_a_bar_leaves_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    steps(EvalBoard(is_shown=True))

    *_, last = capsys.readouterr().err.rstrip("\r").split("\r")
    assert last.strip() == ""


def test_where_nobody_looks_only_lines_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    steps(EvalBoard())

    assert capsys.readouterr().err == "something\n"


def test_who_wants_quiet_hears_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    steps(EvalBoard(is_quiet=True, is_shown=True))

    assert capsys.readouterr().err == ""
