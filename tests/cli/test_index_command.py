"""`embedstack index`: what it says, what it refuses, and what signals do to it."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from embedstack.cli.index import say_done
from embedstack.cli.index_board import SHOWN, IndexBoard, told
from embedstack.cli.load_board import LINE_S
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import BadRequest, ConfigError, Mismatch
from embedstack.indexing.wish import LeftOut, Summary
from embedstack.loading.stopping import Stop
from support.commands import COMMAND, PATIENCE_S, good, process, run, settings_only
from support.confusion import tiny_folder
from support.indexed import points_in

TEXTS = {
    "a.md": "# Pandas\n\nThe panda sleeps on the ground.",
    "b.txt": "It rains.",
    "c.html": "<h1>Tea</h1><p>is hot</p>",
}
MANY = 120


@pytest.fixture
def docs(machine: Path) -> Path:
    """A folder in the working folder."""
    folder = machine / "docs"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


def lines_of(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def documents(folder: str = ".embedstack") -> dict[str, str]:
    """The first chunk of each."""
    with closing(EmbeddedDatabase(Path(folder))) as database:
        return {str(payload["doc_id"]): str(payload["text"]) for payload, *_ in points_in(database).values()}


# ------------------------------------------------------------------------------------------------ what it says


def test_a_folder_is_there_after_one_command_and_nothing_else_is_named(docs: Path, embedder: str) -> None:
    said = good("index", "docs", "-m", embedder).stdout

    assert said.startswith("3 documents: 3 new, 0 changed, 0 unchanged, 0 gone\n3 chunks of ")
    assert said.endswith(f"\ncollection 'documents' has 3 points of {Path(embedder).name!r}\n")
    assert documents() == {"a.md": TEXTS["a.md"], "b.txt": "It rains.", "c.html": "# Tea\n\nis hot"}


def test_the_second_time_nothing_is_opened_or_written(docs: Path, embedder: str) -> None:
    good("index", "docs", "-m", embedder)

    again = good("index", "docs", "-m", embedder)

    assert again.stdout.startswith("3 documents: 0 new, 0 changed, 3 unchanged, 0 gone\ncollection")
    assert "ready in" not in again.stderr


def test_what_cannot_be_read_is_named_and_counted_and_no_failure(docs: Path, embedder: str) -> None:
    (docs / "bad.txt").write_bytes(b"\xff\xff")
    (docs / "empty.md").write_bytes(b"")

    said = good("index", "docs", "-m", embedder)

    assert "left out: bad.txt: the file is not UTF-8 at byte 0" in said.stderr
    assert said.stdout.startswith(
        "3 documents: 3 new, 0 changed, 0 unchanged, 0 gone, 1 left out (bad_utf8), 1 left out (empty)\n"
    )


def test_if_nothing_can_be_read_that_is_a_failure(machine: Path, embedder: str) -> None:
    (machine / "bad.txt").write_bytes(b"\xff\xff")

    result = run("index", "bad.txt", "-m", embedder)

    assert isinstance(result.exception, BadRequest)
    assert result.exception.exit_code == 2
    assert not Path(".embedstack").exists()


def test_for_machines_each_line_is_an_event_and_the_last_sums_it_up(docs: Path, embedder: str) -> None:
    (docs / "bad.txt").write_bytes(b"\xff\xff")

    events = lines_of(good("index", "docs", "-m", embedder, "--json").stdout)

    assert [event for event in events if event["event"] == "left_out"] == [
        {
            "event": "left_out",
            "doc_id": "bad.txt",
            "file": "bad.txt",
            "code": "bad_utf8",
            "message": "the file is not UTF-8 at byte 0; convert it first",
        }
    ]
    ended = events[-1]
    assert (ended["event"], ended["exit_code"], ended["new"], ended["points"]) == ("ended", 0, 3, 3)
    assert ended["left_out"] == {"bad_utf8": 1}


def test_for_machines_an_error_is_the_last_line_too(machine: Path) -> None:
    result = run("index", "nowhere", "--json")

    ended = lines_of(result.stdout)[-1]
    assert (ended["event"], ended["exit_code"], ended["code"]) == ("ended", 2, "config")
    assert isinstance(result.exception, ConfigError)


def test_a_dry_run_says_what_would_be_done_and_leaves_no_folder(docs: Path, embedder: str) -> None:
    result = good("index", "docs", "-m", embedder, "--dry-run")

    assert result.stdout.endswith("\nnothing was written: --dry-run; 3 would be embedded\n")
    assert "ready in" not in result.stderr
    assert not Path(".embedstack").exists()


# ------------------------------------------------------------------------------------------------ how


def test_without_a_name_the_model_is_the_collections(
    docs: Path, embedder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good("index", "docs", "-m", embedder)
    (docs / "d.txt").write_text("more")
    monkeypatch.setenv("EMBEDSTACK_MODELS", embedder)

    assert "1 new, 0 changed, 3 unchanged" in good("index", "docs").stdout


def test_a_model_of_the_collection_that_cannot_be_found_is_asked_for(docs: Path, embedder: str) -> None:
    good("index", "docs", "-m", embedder)

    result = run("index", "docs")

    assert isinstance(result.exception, ConfigError)
    assert "name its folder with --model" in str(result.exception)


def test_another_model_is_refused_naming_both(docs: Path, embedder: str, tmp_path: Path) -> None:
    good("index", "docs", "-m", embedder)
    other = tiny_folder("bert-cls", tmp_path)

    result = run("index", "docs", "-m", str(other))

    assert isinstance(result.exception, Mismatch)
    assert all(repr(Path(one).name) in str(result.exception) for one in (embedder, other))


def test_gone_documents_are_deleted_unless_they_shall_stay(docs: Path, embedder: str) -> None:
    good("index", "docs", "-m", embedder)
    (docs / "b.txt").unlink()

    assert "0 gone" in good("index", "docs", "-m", embedder, "--keep-gone").stdout
    assert "b.txt" in documents()
    assert "1 gone" in good("index", "docs", "-m", embedder).stdout
    assert "b.txt" not in documents()


def test_rows_are_read_by_the_fields_that_are_named(machine: Path, embedder: str) -> None:
    (machine / "rows.csv").write_text("url,body\nhttp://a,first\nhttp://b,second\n")
    good(
        "index", "rows.csv", "-m", embedder, "--text-field", "body", "--id-field", "url", "-d", "db", "-c", "documents"
    )

    assert documents("db") == {"http://a": "first", "http://b": "second"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tenant", "acme"), "'acme' is no KEY=VALUE such as org=acme"),
        (("--sparse", "bm42"), "'bm42' is not one of"),
        (("--chunk-tokens", "0"), "0 is not in the range"),
    ],
)
def test_a_flag_that_cannot_be_meant_is_a_wrong_use(docs: Path, words: tuple[str, ...], said: str) -> None:
    result = run("index", "docs", *words)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_name_that_no_collection_can_have_is_refused_at_once(docs: Path) -> None:
    result = run("index", "docs", "-c", "my docs")

    assert isinstance(result.exception, BadRequest)
    assert "collection 'my docs' cannot be named so" in str(result.exception)


def test_a_database_that_is_none_is_refused_before_a_model_is_fetched(docs: Path) -> None:
    (docs.parent / "file").write_text("no database")

    result = run("index", "docs", "-d", "file")

    assert isinstance(result.exception, ConfigError)
    assert "fetch" not in result.stderr


# ------------------------------------------------------------------------------------------------ the board


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_where_nobody_sees_a_bar_there_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with IndexBoard(is_json=False, is_shown=False, clock=clock) as board:
        board.begins(1000)
        for number in range(1, 4):
            clock.now_s = number * LINE_S * 0.6
            board.did(100, 250, 9000)

    assert capsys.readouterr().err.splitlines() == ["200 of 1,000 documents, 500 chunks, 500 tokens/s"]


def test_the_bar_shows_documents_chunks_and_tokens_a_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with IndexBoard(is_json=False, is_shown=True, clock=clock) as board:
        board.looked(10)
        board.begins(10)
        clock.now_s = 2.0
        board.did(10, 25, 900)
        board.note("a note")
        shown = sys.stderr.getvalue()  # type: ignore[attr-defined]

    assert "10/10" in shown
    assert "25 chunks, 450 tokens/s" in shown
    assert "a note" in shown


def test_only_the_first_that_are_left_out_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with IndexBoard(is_json=False, is_shown=False) as board:
        for number in range(SHOWN + 3):
            board.left_out(LeftOut(f"{number}.txt", f"{number}.txt", "bad_utf8", "it is not UTF-8"))

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == SHOWN + 1
    assert lines[-1] == "and 3 more are left out; --json names all"


def test_a_name_moves_no_cursor_and_changes_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    with IndexBoard(is_json=False, is_shown=False) as board:
        board.left_out(LeftOut("a\x1b[31m\nb.txt", "a\x1b[31m\nb.txt", "bad_utf8", "it is not UTF-8"))

    assert capsys.readouterr().err == "left out: a[31m b.txt: it is not UTF-8 (bad_utf8)\n"


def test_of_nothing_written_no_rate_is_told() -> None:
    done = Summary(collection="docs", docs=2, unchanged=2, points=7, model="hash")

    assert told(done) == "2 documents: 0 new, 0 changed, 2 unchanged, 0 gone\ncollection 'docs' has 7 points of 'hash'"


def test_after_a_signal_the_exit_code_is_the_shells(capsys: pytest.CaptureFixture[str]) -> None:
    stop = Stop()
    stop.ask(signal.SIGTERM)

    with pytest.raises(SystemExit) as ended:
        say_done(None, stop, is_json=True)
    assert ended.value.code == 143
    assert lines_of(capsys.readouterr().out)[-1]["code"] == "stopped"


# ------------------------------------------------------------------------------------------------ in processes


@pytest.fixture
def many(machine: Path) -> Path:
    """Enough documents for several groups."""
    folder = machine / "many"
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number:04d}.txt").write_text(" ".join(f"word{number * 7 + place}" for place in range(200)))
    return folder


def running(embedder: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    words = [*COMMAND, "index", "many", "-m", embedder, "--json", "--chunk-tokens", "32"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=settings()) as command:
        assert command.stdout is not None
        for line in command.stdout:
            yield command, line


def settings() -> dict[str, str]:
    return settings_only(EMBEDSTACK_CACHE_DIR=os.environ["EMBEDSTACK_CACHE_DIR"], EMBEDSTACK_LANES="1")


def stopped_by(number: signal.Signals, embedder: str) -> "subprocess.Popen[str]":
    """Once something is written; where it is too quick for that, at its end."""
    for command, _ in running(embedder):
        if _points() > 0:
            command.send_signal(number)
            command.wait(PATIENCE_S)
            break
    return command


def _points() -> int:
    with closing(EmbeddedDatabase(Path(".embedstack"))) as database:
        there = database.describe("documents")
        return there.points if there else 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_and_the_same_command_goes_on(many: Path, embedder: str, number: signal.Signals) -> None:
    ended = stopped_by(number, embedder)
    left = _points()

    words = ("index", "many", "-m", embedder, "--json", "--chunk-tokens", "32")
    done = lines_of(process(*words, env=settings()).stdout.decode())[-1]

    assert ended.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert 0 < left < done["points"]
    assert done["unchanged"] > 0
    assert done["new"] + done["changed"] + done["unchanged"] == MANY
    assert process(*words, env=settings()).returncode == 0


@pytest.mark.slow
def test_nothing_beyond_the_default_install_is_needed(docs: Path, embedder: str) -> None:
    (docs / "rows.jsonl").write_text('{"text": "a row"}')
    (docs / "rows.csv").write_text("text\nanother row\n")
    (docs / "front.md").write_text("---\ntags: [a, b]\n---\ntext")
    without = "import sys; sys.modules |= dict.fromkeys(['pyarrow', 'obstore', 'qdrant_client', 'psycopg'])"
    for words in (["index", "docs", "-m", embedder], ["search", "row", "-m", embedder]):
        code = f"{without}; sys.argv[1:] = {words!r}; from embedstack.cli import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=settings(), check=False)

        assert done.returncode == 0, done.stderr
    assert "rows.jsonl#0" in done.stdout


@pytest.mark.slow
def test_an_error_is_one_line_and_its_exit_code(machine: Path) -> None:
    done = process("index", "nowhere", env=settings_only())

    assert done.returncode == 2
    assert done.stderr.decode().startswith("error: input 'nowhere' is not there")
    assert done.stderr.count(b"\n") == 1
