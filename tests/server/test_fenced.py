"""A database behind the fence: what callers hear of its failures, and what they cannot do."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Semaphore, Thread

import numpy as np
import pytest

from embedstack.databases.database import (
    Collection,
    Condition,
    Database,
    Fused,
    Fusing,
    Hit,
    Leg,
    Points,
    Query,
    UnknownCollection,
    Where,
)
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.databases.opening import open_database
from embedstack.errors import (
    BadRequest,
    ConfigError,
    EmbedstackError,
    Mismatch,
    NotReady,
    Overloaded,
    Unsupported,
    Upstream,
)
from embedstack.server.fenced import Fenced, fence
from embedstack.testing.fake import hash_spec
from support.served_collections import fill, origin

SPEC = hash_spec()
QUESTION = Query(vector=np.eye(SPEC.dim, dtype=np.float32)[0], limit=1)
ADDRESS = "postgresql://somebody@inside:5432/secrets"


class Failing(EmbeddedDatabase):
    """Raises what it is given."""

    def __init__(self, error: Exception) -> None:
        super().__init__("nowhere")
        self.url = ADDRESS
        self._error = error

    def describe(self, name: str) -> Collection | None:
        raise self._error


class Blinking(EmbeddedDatabase):
    """Fails so often before it answers."""

    def __init__(self, path: Path, failures: int) -> None:
        super().__init__(path)
        self._left = failures

    def describe(self, name: str) -> Collection | None:
        self._left -= 1
        if self._left >= 0:
            raise Upstream("the connection broke", retry=True)
        return super().describe(name)


class Together(EmbeddedDatabase):
    """Puts rankings together: the first of them is all that it looks at."""

    def fuse(self, name: str, asked: Fused) -> list[Hit]:
        return self.query(name, asked.query(asked.legs[0]))


class Held(EmbeddedDatabase):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__("nowhere")
        self.began, self.let = Event(), Event()

    def describe(self, name: str) -> Collection | None:
        self.began.set()
        assert self.let.wait(10)
        return None


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = open_database(str(tmp_path / "db"))
    fill(made, "docs", SPEC)
    fill(made, "others-secret", SPEC)
    yield made
    made.close()


def fenced(database: Database, turns: int = 8) -> Fenced:
    return fence(database, "docs", Semaphore(turns))


TOLD = {
    "a database that is away": (Upstream(f"{ADDRESS} cannot be reached", retry=True), NotReady, "does not answer"),
    "one that fails": (Upstream(f"{ADDRESS} failed (XX000)"), Upstream, "the log of this server says why"),
    "a wrong password": (ConfigError(f"{ADDRESS} refuses this user"), Upstream, "the log of this server says why"),
    "a filter that it cannot take": (BadRequest(f"{ADDRESS} refuses that"), BadRequest, "database of 'docs' refuses"),
    "what is never asked so": (Unsupported(f"{ADDRESS} fuses nothing"), Unsupported, "database of 'docs' fuses"),
    "another space": (Mismatch("of two spaces"), Mismatch, "of two spaces"),
}


@pytest.mark.parametrize("name", TOLD)
def test_a_failure_is_told_without_the_address(name: str, caplog: pytest.LogCaptureFixture) -> None:
    error, kind, said = TOLD[name]
    with caplog.at_level(logging.WARNING), pytest.raises(EmbedstackError) as caught:
        fenced(Failing(error)).describe("docs")

    assert type(caught.value) is kind
    assert said in caught.value.message
    assert "inside" not in caught.value.message
    assert ("inside" in caplog.text) == (kind in (NotReady, Upstream))


def test_who_is_away_says_when_to_come_back() -> None:
    with pytest.raises(NotReady) as caught:
        fenced(Failing(Upstream("away", retry=True))).describe("docs")

    assert caught.value.retry_after_s == 5.0


def test_a_connection_that_breaks_is_tried_once_more(database: Database, tmp_path: Path) -> None:
    assert fenced(Blinking(tmp_path / "db", 1)).describe("docs") == database.describe("docs")
    with pytest.raises(NotReady):
        fenced(Blinking(tmp_path / "db", 2)).describe("docs")


def test_other_collections_are_not_named(database: Database) -> None:
    with pytest.raises(UnknownCollection) as caught:
        fenced(database).query("gone", QUESTION)

    assert "others-secret" not in caught.value.message
    assert fenced(database).names() == []
    assert fenced(database).aliases() == {}


def test_reading_is_passed_on(database: Database) -> None:
    behind = fenced(database)

    assert behind.describe("docs") == database.describe("docs")
    assert behind.query("docs", QUESTION) == database.query("docs", QUESTION)
    assert behind.get("docs", [1]) == database.get("docs", [1])
    where = Where(all=(Condition(key="kind", values=("two",)),))
    assert behind.read("docs", where=where) == database.read("docs", where=where)


WRITES: dict[str, Callable[[Fenced], object]] = {
    "create": lambda behind: behind.create(Collection(name="new", fields={})),
    "sign": lambda behind: behind.sign("docs", "", origin(hash_spec("other")), over=origin(SPEC)),
    "mark": lambda behind: behind.mark("docs", None),
    "write": lambda behind: behind.write("docs", Points(ids=[], vectors={}, payloads=[])),
    "delete": lambda behind: behind.delete("docs", [1]),
    "switch": lambda behind: behind.switch("live", "docs", old=None),
    "drop": lambda behind: behind.drop("docs"),
}


@pytest.mark.parametrize("name", WRITES)
def test_nothing_is_written(name: str, database: Database) -> None:
    before = database.describe("docs"), database.aliases()
    with pytest.raises(Unsupported, match="is only read here"):
        WRITES[name](fenced(database))

    assert (database.describe("docs"), database.aliases()) == before


def test_it_is_closed_by_who_opened_it(database: Database) -> None:
    fenced(database).close()

    assert database.names() == ["docs", "others-secret"]


def test_in_one_request_the_collection_stays_as_it_was_seen(database: Database) -> None:
    seen = database.describe("docs")
    assert seen is not None
    behind = fenced(database).over(seen)
    database.drop("docs")

    assert behind.describe("docs") == seen
    with pytest.raises(UnknownCollection):
        behind.query("docs", QUESTION)


def test_a_database_that_fuses_does_so_behind_the_fence(database: Database, tmp_path: Path) -> None:
    together = Together(tmp_path / "db")
    seen = together.describe("docs")
    assert seen is not None
    behind = fenced(together).over(seen)

    assert isinstance(behind, Fusing)
    assert not isinstance(fenced(database), Fusing)
    asked = Fused(legs=[Leg(vector=QUESTION.vector)], limit=1)
    assert behind.fuse("docs", asked) == together.fuse("docs", asked)


def test_so_many_threads_wait_and_more_are_refused() -> None:
    held = Held()
    behind = fenced(held, turns=1)
    waiting = Thread(target=behind.describe, args=("docs",))
    waiting.start()
    assert held.began.wait(10)

    with pytest.raises(Overloaded, match="wait for the database of 'docs' already"):
        behind.describe("docs")
    held.let.set()
    waiting.join()
    assert behind.describe("docs") is None
