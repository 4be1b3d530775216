import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from embedstack.databases.database import (
    Collection,
    Database,
    Field,
    Loaded,
    Point,
    PointId,
    Points,
    Query,
    UnknownCollection,
    order_of,
)
from embedstack.databases.embedded.connections import FILE, Connections
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.databases.embedded.keys import id_of, key_of
from embedstack.errors import BadRequest, ConfigError, Mismatch, Upstream
from embedstack.testing.promises import IDS, origin, sparse

DOCS = Collection(name="docs", fields={"": Field(dim=2)})
BATCH = 20  # points that a child writes at a time


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "some" / "vectors"


@pytest.fixture
def database(folder: Path) -> Iterator[EmbeddedDatabase]:
    with closing(EmbeddedDatabase(folder)) as database:
        yield database


def _points(*ids: PointId, payload: str = "") -> Points:
    vectors = np.ones((len(ids), 2), np.float32)
    return Points(ids=ids, vectors={"": vectors}, payloads=[{"batch": payload}] * len(ids))


def _ids(database: Database, name: str = "docs") -> list[PointId]:
    return [point.id for point in database.read(name, limit=100_000).points]


def _sql(folder: Path, *statements: str) -> list[tuple[object, ...]]:
    """What the last one gives, run by somebody else."""
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


CALLS: dict[str, Callable[[EmbeddedDatabase], object]] = {
    "names": lambda database: database.names(),
    "describe": lambda database: database.describe("docs"),
    "create": lambda database: database.create(DOCS),
    "sign": lambda database: database.sign("docs", "", origin(dim=2), over=None),
    "mark": lambda database: database.mark("docs", None),
    "write": lambda database: database.write("docs", _points(1)),
    "delete": lambda database: database.delete("docs", [1]),
    "read": lambda database: database.read("docs"),
    "get": lambda database: database.get("docs", [1]),
    "query": lambda database: database.query("docs", Query(vector=np.ones(2, np.float32))),
    "aliases": lambda database: database.aliases(),
    "switch": lambda database: database.switch("alias", "docs", old=None),
    "drop": lambda database: database.drop("docs"),
}
OF_NOTHING = {"names": [], "describe": None, "aliases": {}, "drop": None}
"""What is asked of all that is there, or of what may be missing."""


# ------------------------------------------------------------------------------------------------ the folder


@pytest.mark.parametrize("call", sorted(CALLS.keys() - {"create"}))
def test_nothing_is_made_before_the_first_collection(call: str, database: EmbeddedDatabase, folder: Path) -> None:
    if call in OF_NOTHING:
        assert CALLS[call](database) == OF_NOTHING[call]
    else:
        with pytest.raises(UnknownCollection, match="collection 'docs' is not there; it has: none"):
            CALLS[call](database)

    assert not folder.parent.exists()


def test_the_url_is_that_of_the_folder_though_the_path_is_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert EmbeddedDatabase("a b").url == f"{tmp_path.as_uri()}/a%20b"


def test_a_folder_may_have_a_name_that_urls_escape(tmp_path: Path) -> None:
    folder = tmp_path / "50% é?#&mode=memory"
    with closing(EmbeddedDatabase(folder)) as database:
        database.create(DOCS)

    assert [path.name for path in folder.iterdir()] == [FILE]


@pytest.mark.parametrize("call", ["names", "create"])
def test_a_file_in_the_place_of_the_folder_is_said(call: str, folder: Path, database: EmbeddedDatabase) -> None:
    folder.parent.mkdir()
    folder.touch()

    with pytest.raises(ConfigError, match="a file stands where a folder is needed"):
        CALLS[call](database)


def test_a_folder_that_is_replaced_meanwhile_is_noticed(database: EmbeddedDatabase, folder: Path) -> None:
    database.create(DOCS)
    database.write("docs", _points(1))
    assert len(CALLS["query"](database)) == 1
    shutil.rmtree(folder)
    assert database.names() == []
    with closing(EmbeddedDatabase(folder)) as other:
        other.create(DOCS)
        other.write("docs", _points(2, 3))

    assert _ids(database) == [2, 3]
    assert [hit.id for hit in CALLS["query"](database)] == [2, 3]


def test_a_database_that_is_closed_leaves_one_file_and_answers_no_more(
    database: EmbeddedDatabase, folder: Path
) -> None:
    database.create(DOCS)
    database.write("docs", _points(1))
    database.close()
    database.close()

    assert [path.name for path in folder.iterdir()] == [FILE]
    with pytest.raises(BadRequest, match="is closed"):
        database.names()


def test_the_room_of_what_was_dropped_is_used_again(database: EmbeddedDatabase, folder: Path) -> None:
    sizes = []
    for _ in range(3):
        database.create(DOCS)
        database.write("docs", _points(*range(2000)))
        database.drop("docs")
        sizes += _sql(folder, "PRAGMA page_count")

    assert sizes[1] == sizes[2]


def test_ids_sort_as_their_keys_do_and_come_back() -> None:
    keys = [key_of(one) for one in IDS]

    assert sorted(keys) == [key_of(one) for one in sorted(IDS, key=order_of)]
    assert [id_of(key) for key in keys] == list(IDS)


def test_a_page_may_have_any_limit(database: EmbeddedDatabase) -> None:
    database.create(DOCS)
    database.write("docs", _points(1, 2))

    assert [len(database.read("docs", limit=limit).points) for limit in (sys.maxsize, 2**70)] == [2, 2]


# ------------------------------------------------------------------------------------------------ collections


def test_fields_that_are_missing_are_added_and_their_points_have_none_of_them(database: EmbeddedDatabase) -> None:
    database.create(DOCS)
    database.write("docs", _points(1))
    words = Field(kind="sparse", distance="dot", origin=origin(dim=2))

    assert not database.create(Collection(name="docs", fields={"words": words}))
    database.write("docs", Points(ids=[2], vectors={"words": [sparse({3: 0.5})]}, payloads=[{}]))

    described = database.describe("docs")
    assert described is not None
    assert described.fields == {"": Field(dim=2), "words": words}
    assert [list(point.vectors) for point in database.read("docs", vectors=["", "words"]).points] == [[""], ["words"]]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (Field(dim=0), "'x' is dense and 0 wide"),
        (Field(kind="sparse", dim=5, distance="dot"), "'x' is sparse and 5 wide"),
        (Field(kind="sparse"), "'x' is sparse, with distance 'cosine'"),
        (Field(kind="multi", dim=2, distance="l2"), "'x' is multi, with distance 'l2'"),
        (Field(dim=2, idf=True), "'x' is dense and has no terms"),
    ],
)
def test_a_field_that_means_nothing_is_refused(
    field: Field, message: str, database: EmbeddedDatabase, folder: Path
) -> None:
    with pytest.raises(BadRequest, match=message):
        database.create(Collection(name="docs", fields={"x": field}))

    assert not folder.exists()


def test_what_is_expected_to_be_signed_and_is_not_is_a_mismatch(database: EmbeddedDatabase) -> None:
    database.create(DOCS)

    with pytest.raises(Mismatch, match="nobody has signed vector '' of collection 'docs'"):
        database.sign("docs", "", origin("new", dim=2), over=origin("old", dim=2))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE fields SET origin = '{'", "the origin of vector '' of collection 'docs' cannot be read"),
        ("UPDATE collections SET loaded = '{}'", "the mark of collection 'docs' cannot be read"),
    ],
)
def test_what_cannot_be_read_about_a_collection_is_a_mismatch_naming_the_place(
    statement: str, message: str, database: EmbeddedDatabase, folder: Path
) -> None:
    database.create(DOCS)
    _sql(folder, statement)

    with pytest.raises(Mismatch, match=message):
        database.describe("docs")


# ------------------------------------------------------------------------------------------------ several processes

WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from embedstack.databases.database import Collection, Field, Points
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.testing.promises import origin

folder, start, batches, size = Path(sys.argv[1]), *map(int, sys.argv[2:])
database = EmbeddedDatabase(folder)
print("ready", flush=True)
sys.stdin.readline()
print(database.create(Collection(name="docs", fields={"": Field(dim=2, origin=origin(str(start), dim=2))})), flush=True)
for batch in range(start, start + batches):
    ids = range(batch * size, batch * size + size)
    payloads = [{"batch": str(batch)}] * size
    database.write("docs", Points(ids=ids, vectors={"": np.ones((size, 2), np.float32)}, payloads=payloads))
    print(batch, flush=True)
database.close()
"""


def _writer(folder: Path, start: int, batches: int) -> "subprocess.Popen[str]":
    """A process that is ready to make the collection and write; it tells each batch once it is written."""
    order = [sys.executable, "-c", WRITER, str(folder), str(start), str(batches), str(BATCH)]
    child = subprocess.Popen(order, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert _line(child) == "ready"
    return child


def _begin(child: "subprocess.Popen[str]") -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def _line(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


@pytest.mark.slow
def test_processes_that_make_and_write_at_once_make_one_collection_and_lose_nothing(
    database: EmbeddedDatabase, folder: Path
) -> None:
    starts = (0, 100, 200)
    children = [_writer(folder, start, batches=30) for start in starts]
    for child in children:
        _begin(child)
    said = [child.communicate(timeout=60)[0].split() for child in children]

    assert [child.returncode for child in children] == [0, 0, 0]
    assert sorted(lines[0] for lines in said) == ["False", "False", "True"]
    made = starts[[lines[0] for lines in said].index("True")]
    assert database.describe("docs") == Collection(
        name="docs", fields={"": Field(dim=2, origin=origin(str(made), dim=2))}, points=90 * BATCH, keeps_indexes=False
    )
    assert _ids(database) == [start * BATCH + number for start in starts for number in range(30 * BATCH)]


@pytest.mark.slow
def test_what_another_process_writes_is_in_the_next_answer(database: EmbeddedDatabase, folder: Path) -> None:
    database.create(Collection(name="docs", fields={"": Field(dim=2, origin=origin("0", dim=2))}))
    database.write("docs", _points(10**6))
    assert [hit.id for hit in CALLS["query"](database)] == [10**6]
    child = _writer(folder, 0, batches=1)
    _begin(child)
    child.communicate(timeout=60)

    assert [hit.id for hit in CALLS["query"](database)] == list(range(10))


@pytest.mark.slow
def test_a_kill_leaves_whole_batches_and_all_that_were_said_to_be_written(
    database: EmbeddedDatabase, folder: Path
) -> None:
    told = []
    for start in (0, 10_000, 20_000):
        with _writer(folder, start, batches=10_000) as child:
            _begin(child)
            assert _line(child) == str(start == 0)
            told += [_line(child) for _ in range(25)]
            os.kill(child.pid, signal.SIGKILL)
            told += (child.stdout or "").read().split()

    batches: dict[object, list[Point]] = {}
    for point in database.read("docs", limit=10**6, vectors=[""]).points:
        batches.setdefault(point.payload["batch"], []).append(point)
    assert {len(points) for points in batches.values()} == {BATCH}
    assert all(np.array_equal(point.vectors[""], [1, 1]) for points in batches.values() for point in points)
    assert set(told) <= batches.keys()
    assert len(batches) - len(told) <= 3


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_who_makes_the_file_waits_for_who_is_making_it(lock: str, database: EmbeddedDatabase, folder: Path) -> None:
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / FILE, isolation_level=None, check_same_thread=False)) as other:
        other.execute(f"BEGIN {lock}")
        release = threading.Timer(0.1, other.execute, ["COMMIT"])
        release.start()
        is_made = database.create(DOCS)
        release.join()

    assert is_made
    assert database.names() == ["docs"]


# ------------------------------------------------------------------------------------------------ one writer at a time


@pytest.fixture
def impatient(folder: Path) -> Iterator[Connections]:
    """To a database that is there."""
    with closing(Connections(folder, wait_s=0.05)) as connections:
        with connections.making() as connection:
            connection.execute("CREATE TABLE some (number INTEGER)")
        yield connections


def test_a_writer_waits_so_long_and_then_says_that_it_may_be_tried_again(impatient: Connections, folder: Path) -> None:
    with closing(Connections(folder)) as other, other.writing():
        began = time.monotonic()
        with pytest.raises(Upstream, match=r"by another writer for 0\.05 s") as caught, impatient.writing():
            pass

    assert caught.value.retry
    assert 0.05 <= time.monotonic() - began < 5


def test_threads_of_one_process_wait_as_processes_do(impatient: Connections) -> None:
    with impatient.writing(), pytest.raises(Upstream, match="held by another writer"), impatient.writing():
        pass


def test_a_reader_waits_for_nobody_and_sees_what_was_there(impatient: Connections) -> None:
    with impatient.writing() as writer:
        writer.execute("INSERT INTO some VALUES (1)")
        with impatient.reading() as reader:
            assert reader.execute("SELECT * FROM some").fetchall() == []

    with impatient.reading() as reader:
        assert reader.execute("SELECT * FROM some").fetchall() == [(1,)]


def test_a_transaction_that_fails_leaves_nothing(impatient: Connections) -> None:
    for error in (BadRequest("ours"), ValueError("foreign"), KeyboardInterrupt()):
        with pytest.raises(type(error)), impatient.writing() as writer:  # noqa: PT012
            writer.execute("INSERT INTO some VALUES (1)")
            raise error

    with impatient.reading() as reader:
        assert reader.execute("SELECT * FROM some").fetchall() == []


def test_a_disk_without_room_is_told_and_leaves_what_was_there(impatient: Connections) -> None:
    with impatient.writing() as writer:
        writer.execute("INSERT INTO some VALUES (1)")
        writer.execute("PRAGMA max_page_count = 20")  # of this connection alone
    with pytest.raises(ConfigError, match=r"database or disk is full.*make room"), impatient.writing() as writer:
        writer.execute("INSERT INTO some SELECT value FROM json_each(?)", (str([*range(100_000)]),))

    with impatient.writing() as writer:
        writer.execute("INSERT INTO some VALUES (2)")
        assert writer.execute("SELECT * FROM some").fetchall() == [(1,), (2,)]


# ------------------------------------------------------------------------------------------------ files of others


@pytest.mark.parametrize("call", CALLS)
def test_a_database_of_a_newer_version_is_refused(call: str, database: EmbeddedDatabase, folder: Path) -> None:
    database.create(DOCS)
    _sql(folder, "PRAGMA user_version = 2")

    with pytest.raises(ConfigError, match=f"{folder}/.* has tables of version 2, and this embedstack knows .* 1; "):
        CALLS[call](database)
    with closing(EmbeddedDatabase(folder)) as other, pytest.raises(ConfigError, match="version 2"):
        CALLS[call](other)


@pytest.mark.parametrize("call", ["names", "create"])
def test_a_database_of_another_program_is_refused(call: str, database: EmbeddedDatabase, folder: Path) -> None:
    folder.mkdir(parents=True)
    _sql(folder, "CREATE TABLE theirs (number INTEGER)")

    with pytest.raises(ConfigError, match="is one of another program"):
        CALLS[call](database)

    assert _sql(folder, "SELECT name FROM sqlite_master") == [("theirs",)]


@pytest.mark.parametrize("call", ["names", "create"])
def test_a_file_that_is_no_database_is_told(call: str, database: EmbeddedDatabase, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(b"no database" * 1000)

    with pytest.raises(ConfigError, match=f"{folder}/.*file is not a database.*restore it"):
        CALLS[call](database)


def test_a_file_that_a_kill_left_empty_is_as_none(database: EmbeddedDatabase, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / FILE).touch()

    assert database.names() == []
    assert database.create(DOCS)
    assert database.names() == ["docs"]


def _kept(folder: Path) -> Path:
    """The file of a database with a thousand points."""
    with closing(EmbeddedDatabase(folder)) as database:
        database.create(DOCS)
        database.write("docs", _points(*range(1000), payload="x" * 50))
        database.mark("docs", Loaded(source="digest", rows=1000))
    return folder / FILE


@pytest.mark.slow
@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\x0d"])
def test_damage_is_told_wherever_it_is_met(fill: bytes, database: EmbeddedDatabase, folder: Path) -> None:
    """Each page of the file in turn: SQLite finds it, or we do, or nobody needs that page."""
    path = _kept(folder)
    sound = path.read_bytes()
    met = set()
    for start in range(0, len(sound), 8192):
        path.write_bytes(sound[:start] + fill * 8192 + sound[start + 8192 :])
        for call in ("describe", "read", "query"):
            with closing(EmbeddedDatabase(folder)) as other:
                try:
                    CALLS[call](other)
                except (ConfigError, UnknownCollection):
                    met.add(call)

    assert met == {"describe", "read", "query"}


def test_a_file_that_was_cut_off_is_told(folder: Path) -> None:
    path = _kept(folder)
    os.truncate(path, path.stat().st_size // 2)

    with closing(EmbeddedDatabase(folder)) as database, pytest.raises(ConfigError, match="cannot be used"):
        CALLS["query"](database)


TORN = {
    "a short vector": "UPDATE vectors1 SET vector = x'00000000' WHERE point = 7",
    "a vector that grew": "UPDATE vectors1 SET vector = vector || vector WHERE point = 7",
    "an infinite number": "UPDATE vectors1 SET vector = x'0000807f0000807f' WHERE point = 7",
    "a vector of zeros": "UPDATE vectors1 SET vector = x'0000000000000000' WHERE point = 7",
    "a vector of nobody": "INSERT INTO vectors1 VALUES (5000, x'0000803f0000803f')",
    "a payload": "UPDATE points1 SET payload = '{' WHERE number = 1",
    "an id": "UPDATE points1 SET id = x'0000' WHERE number = 1",
    "a field": """UPDATE fields SET kept = '{"kind": "other"}'""",
    "a table": "DROP TABLE vectors1",
}


@pytest.mark.parametrize("what", TORN)
def test_what_was_never_written_so_is_told(what: str, folder: Path) -> None:
    _kept(folder)
    _sql(folder, TORN[what])

    with closing(EmbeddedDatabase(folder)) as database, pytest.raises(ConfigError, match=r"damaged|cannot be used"):
        CALLS["query"](database)
