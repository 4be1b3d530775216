"""`embedstack load`: what it says, how it refuses, and what signals do to it."""

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from embedstack.cli.load import load, say_done, with_tenants
from embedstack.cli.load_board import LINE_S, LoadBoard, told
from embedstack.databases.database import Collection, Index, Loaded
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import BadRequest, ConfigError, Mismatch
from embedstack.loading.stopping import GRACE_S
from embedstack.loading.wish import Summary
from support.commands import COMMAND, PATIENCE_S, good, run, settings_only
from support.tables import IDENTITY, job

SMALL, LARGE = 6, 8000  # rows
Docs = Mapping[str, list[str]]


def docs(rows: int, word: str = "text") -> list[Docs]:
    return [
        {f"doc-{number}": [f"{word} {number} {index}" for index in range(100)][:rows]}
        for number in range(-(-rows // 100))
    ]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job whose load takes long enough to be met in its middle."""
    root = tmp_path_factory.mktemp("large") / "job"
    job(root, docs(LARGE))
    return root


@pytest.fixture
def table(machine: Path) -> Path:
    """A small job, in the working folder."""
    job(machine / "job", docs(SMALL))
    return machine / "job"


def lines_of(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def described(folder: Path) -> Collection:
    with closing(EmbeddedDatabase(folder)) as database:
        there = database.describe("docs")
    assert there is not None
    return there


# ------------------------------------------------------------------------------------------------ what it says


def test_a_job_is_loaded_and_the_last_line_says_how_much_is_there(table: Path) -> None:
    said = good("load", str(table), "db", "--collection", "docs").stdout

    assert said.startswith(f"{SMALL} rows in ")
    assert said.endswith(f" rows/s); collection 'docs' now has {SMALL} points\n")
    assert described(Path("db")).points == SMALL


def test_a_job_that_is_there_is_not_written_again(table: Path) -> None:
    good("load", str(table), "db", "-c", "docs")

    result = good("load", str(table), "db", "-c", "docs")

    assert "--again" in result.stderr
    assert result.stdout == f"collection 'docs' now has {SMALL} points\n"


def test_for_machines_the_last_line_sums_it_up(table: Path) -> None:
    *_, ended = lines_of(good("load", str(table), "db", "-c", "docs", "--alias", "live", "--json").stdout)

    assert (ended["event"], ended["exit_code"], ended["error"]) == ("ended", 0, "")
    assert (ended["written"], ended["points"], ended["checked"]) == (SMALL, SMALL, SMALL)
    assert (ended["alias"], ended["is_whole"]) == ("live", True)


def test_for_machines_an_error_is_the_last_line_too(table: Path) -> None:
    result = run("load", "nowhere", "db", "-c", "docs", "--json")

    *_, ended = lines_of(result.stdout)
    assert (ended["event"], ended["exit_code"], ended["code"]) == ("ended", 2, "config")
    assert "nowhere" in str(ended["error"])
    assert isinstance(result.exception, ConfigError)


def test_a_dry_run_says_what_would_be_done_and_leaves_no_folder(table: Path) -> None:
    result = good("load", str(table), "db", "-c", "docs", "--dry-run")

    assert "collection 'docs' would be made" in result.stderr
    assert f"{SMALL} rows would be written" in result.stderr
    assert result.stdout == "nothing was written: --dry-run\n"
    assert not Path("db").exists()


def test_names_and_payloads_are_as_they_are_wished(table: Path) -> None:
    good("load", str(table), "db", "-c", "docs", "--vector", "dense", "--text-key", "content", "--flat")

    with closing(EmbeddedDatabase(Path("db"))) as database:
        (point, *_) = database.read("docs", limit=1).points
    assert list(described(Path("db")).fields) == ["dense"]
    assert {"content", "title", "headings", "doc_id"} <= point.payload.keys()
    assert "metadata" not in point.payload


def test_a_job_planned_since_another_deletes_what_is_gone_if_that_is_asked_for(table: Path) -> None:
    job(table.parent / "other", docs(SMALL - 2))
    good("load", str(table), "db", "-c", "docs")

    good("load", "other", "db", "-c", "docs", "--prune", "--yes")

    assert described(Path("db")).points == SMALL - 2


# ------------------------------------------------------------------------------------------------ how it refuses


def test_another_space_has_exit_code_3(table: Path) -> None:
    job(table.parent / "other", docs(SMALL, "word"), identity=replace(IDENTITY, model="other", space="6" * 32))
    good("load", str(table), "db", "-c", "docs")

    result = run("load", "other", "db", "-c", "docs")

    assert isinstance(result.exception, Mismatch)
    assert "'hash'" in str(result.exception)
    assert "'other'" in str(result.exception)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--prune",), "--yes"),
        (("--prune", "--yes", "--keep-gone"), "leave one out"),
        (("--alias", "docs"), "the name of a collection"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    table: Path, flags: tuple[str, ...], said: str
) -> None:
    result = run("load", str(table), "db", "-c", "docs", *flags)

    assert isinstance(result.exception, BadRequest)
    assert said in str(result.exception)
    assert not Path("db").exists()


def test_where_there_is_no_input_at_all_nobody_can_be_asked(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)  # as with `<&-` in a shell

    with pytest.raises(BadRequest, match="--yes"):
        load.main([str(table), "db", "-c", "docs", "--prune"], standalone_mode=False)


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("-c", "d", "--batch", "16"),
        ("-c", "d", "--streams", "9"),
        ("-c", "d", "--index", "a:text"),
        ("-c", "d", "--patience", "-1"),
    ],
)
def test_flags_out_of_range_are_refused(flags: tuple[str, ...]) -> None:
    assert run("load", "job", "db", *flags).exit_code == 2


def test_a_database_that_is_none_is_refused(table: Path) -> None:
    result = run("load", str(table), "mysql://host/db", "-c", "docs")

    assert isinstance(result.exception, ConfigError)
    assert "mysql" in str(result.exception)


def test_lines_that_do_not_say_whose_they_are_need_a_model(table: Path) -> None:
    Path("rows.jsonl").write_text('{"id": 1, "vector": [1, 0], "text": "a"}\n')

    result = run("load", "rows.jsonl", "db", "-c", "docs")

    assert isinstance(result.exception, BadRequest)
    assert "--model" in str(result.exception)


@pytest.mark.slow
def test_a_database_that_is_away_has_exit_code_5(table: Path) -> None:
    result = run("load", str(table), "http://127.0.0.1:9", "-c", "docs", "--patience", "0", "--json")

    *_, ended = lines_of(result.stdout)
    assert (ended["exit_code"], ended["code"]) == (5, "upstream")


def test_a_key_of_both_kinds_of_index_keeps_its_kind() -> None:
    made = with_tenants({"org": Index(kind="uuid"), "lang": Index()}, ("org", "user"))

    assert made == {
        "org": Index(kind="uuid", is_tenant=True),
        "lang": Index(),
        "user": Index(is_tenant=True),
    }


# ------------------------------------------------------------------------------------------------ the board


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def steps(board: LoadBoard, clock: Clock, total: int | None) -> None:
    """A hundred rows each ten seconds."""
    with board:
        for number in range(8):
            board.rows(100 * number, total)
            clock.now_s += LINE_S / 3


def test_where_nobody_sees_a_bar_there_is_a_line_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()

    steps(LoadBoard(is_json=False, is_sure=True, is_shown=False, clock=clock), clock, 1000)

    assert capsys.readouterr().err.splitlines() == [
        "300 of 1,000 rows, 10 rows/s, 0:01:10 left",
        "600 of 1,000 rows, 10 rows/s, 0:00:40 left",
    ]


def test_without_a_total_nothing_is_said_of_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()

    steps(LoadBoard(is_json=False, is_sure=True, is_shown=False, clock=clock), clock, None)

    assert capsys.readouterr().err.splitlines() == ["300 rows, 10 rows/s", "600 rows, 10 rows/s"]


def test_machines_hear_of_rows_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    board = LoadBoard(is_json=True, is_sure=True, clock=clock)

    board.note("something")
    steps(board, clock, 1000)

    said = lines_of(capsys.readouterr().out)
    assert said[0] == {"event": "note", "text": "something"}
    assert said[1] == {"event": "rows", "done": 100, "total": 1000, "rows_per_s": 10.0, "eta_s": 90.0}
    assert len(said) == 8


def test_a_bar_shows_rows_and_notes_stand_above_it(capsys: pytest.CaptureFixture[str]) -> None:
    with LoadBoard(is_json=False, is_sure=True, is_shown=True) as board:
        board.rows(0, 500)
        board.note("something")
        board.rows(500, 500)

    said = capsys.readouterr().err
    assert "something\n" in said
    assert "500/500" in said


def test_a_question_stands_on_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    with LoadBoard(is_json=False, is_sure=False, is_shown=True) as board:
        board.rows(500, 500)
        may = board.may_delete(7, "docs")

    said = capsys.readouterr().err.splitlines()
    assert not may
    assert said[-1].startswith("delete them? [y/N]")
    assert said[-2] == "7 points of collection 'docs' are not in this table"


def test_the_end_says_what_else_was_done() -> None:
    done = Summary(collection="docs", written=3, numbers=1, uuids=2, deleted=4, pruned=1, points=9, took_s=2.0)

    assert told(done) == (
        "3 rows in 2.0 s (2 rows/s); ids: 1 numbers, 2 UUIDs; 5 points deleted; collection 'docs' now has 9 points"
    )


def test_two_loads_at_once_are_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        say_done(Summary(collection="docs", is_contested=True), is_json=False)

    assert ended.value.code == Mismatch.exit_code
    assert "at the same time" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ signals


@contextmanager
def loading(table: Path, *flags: str, **options: int) -> Iterator["subprocess.Popen[str]"]:
    """In a process of its own."""
    process = subprocess.Popen(
        [*COMMAND, "load", str(table), "db", "-c", "docs", "--batch", "32", *flags],
        env=settings_only(PYTHONPATH=os.pathsep.join(sys.path)), stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(is_so: Callable[[], bool]) -> None:
    """Another process cannot be waited for but by looking."""
    ends_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < ends_s
        time.sleep(0.001)


def points() -> int:
    """That are in the database now; 0 where there is none yet."""
    with closing(EmbeddedDatabase(Path("db"))) as database:
        there = database.describe("docs")
    return there.points if there else 0


def mark() -> Loaded:
    there = described(Path("db")).loaded
    assert there is not None
    return there


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_mark_of_what_is_there(machine: Path, large: Path, number: signal.Signals) -> None:
    with loading(large) as process:
        until(lambda: points() > 0)
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)

    there = described(Path("db"))
    assert process.returncode == 128 + number
    assert f"{number.name} came; {mark().rows:,} rows are there; run the same command again to go on" in said
    assert 0 < mark().rows == there.points < LARGE
    good("load", str(large), "db", "-c", "docs")
    assert (mark().is_whole, described(Path("db")).points) == (True, LARGE)


def is_locked(connection: sqlite3.Connection) -> bool:
    """Try it, for others write, too."""
    try:
        connection.execute("begin immediate")
    except sqlite3.OperationalError:
        return False
    return True


@pytest.mark.slow
def test_the_second_signal_ends_it_at_once(machine: Path, large: Path) -> None:
    with loading(large) as process:
        until(lambda: points() > 0)
        with closing(sqlite3.connect("db/vectors.db", isolation_level=None, timeout=0)) as connection:
            until(lambda: is_locked(connection))  # what is in flight does not end
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)  # two at once are one
            began_s = time.monotonic()
            process.send_signal(signal.SIGINT)
            code = process.wait(PATIENCE_S)
            took_s = time.monotonic() - began_s

    assert code == 130
    assert took_s < GRACE_S / 2


@pytest.mark.slow
def test_what_is_asked_may_be_answered_with_no_or_with_a_signal(machine: Path, table: Path) -> None:
    job(machine / "other", docs(SMALL - 2))
    good("load", str(table), "db", "-c", "docs")
    ours, theirs = os.openpty()

    with loading(machine / "other", "--prune", stdin=theirs) as process:
        until(lambda: mark().rows == SMALL - 2)
        os.write(ours, b"n\n")
        _, said = process.communicate(timeout=PATIENCE_S)
    with loading(machine / "other", "--prune", stdin=theirs) as asked:
        assert asked.stderr is not None
        until(lambda: "are not in this table" in asked.stderr.readline())
        asked.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            asked.wait(PATIENCE_S / 3)
        asked.send_signal(signal.SIGINT)  # one that came just before it began to read an answer is heard with the next
        code = asked.wait(PATIENCE_S)
    os.close(ours)
    os.close(theirs)

    assert "2 points of collection 'docs' are not in this table" in said
    assert process.returncode == 0
    assert code == 130
    assert described(Path("db")).points == SMALL
