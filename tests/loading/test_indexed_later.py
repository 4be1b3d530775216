"""A new table of PostgreSQL is filled without its index and has it in the end, wherever a load was ended."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from embedstack.databases.database import Query
from embedstack.databases.pgvector.server import PgvectorDatabase
from support.loaded import NAME, Drawn, Told, everything, loaded
from support.postgres import Postgres, running

pytestmark = pytest.mark.faults

VALID = "SELECT indexdef FROM pg_indexes WHERE tablename = 'docs' AND indexdef LIKE '%hnsw%'"


class Killed(BaseException):
    """No `Exception`, so that nothing on its way handles it."""


@pytest.fixture(scope="module")
def postgres() -> Postgres:
    return running()


@pytest.fixture
def place(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as name:
        yield name


@pytest.fixture
def database(postgres: Postgres, place: str) -> Iterator[PgvectorDatabase]:
    with closing(PgvectorDatabase(postgres.url(place))) as made:
        yield made


@pytest.fixture
def indexes(postgres: Postgres, place: str) -> Callable[[], int]:
    """A function: how many there are over vectors now."""
    return lambda: len(postgres.run(place, VALID))


class Mortal(PgvectorDatabase):
    """Ends before or after the first call of one of its methods."""

    def __init__(self, url: str, call: str, *, is_after: bool) -> None:
        super().__init__(url)
        self.dying = call, is_after

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name == "dying" or name != self.dying[0]:
            return found
        return lambda *given, **named: self._dies(found, *given, **named)

    def _dies(self, call: Callable[..., Any], *given: object, **named: object) -> None:
        if self.dying[1]:
            call(*given, **named)
        raise Killed


def killed(url: str, call: str, *, is_after: bool) -> None:
    with closing(Mortal(url, call, is_after=is_after)) as database, suppress(Killed):
        loaded(Drawn(), database)


def test_rows_go_in_without_the_index_and_it_is_there_at_the_end(
    database: PgvectorDatabase, indexes: Callable[[], int]
) -> None:
    seen: list[int] = []
    table, told = Drawn(200, each=lambda place: seen.append(indexes())), Told()

    done = loaded(table, database, told=told)

    assert (set(seen), indexes(), done.is_whole) == ({0}, 1, True)
    assert "the index over the vectors" in told.notes[-1]
    assert everything(database) == table.truth


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("call", ["postpone", "write", "index", "mark"])
def test_a_load_that_was_killed_has_the_index_after_the_next(
    database: PgvectorDatabase, indexes: Callable[[], int], call: str, is_after: bool
) -> None:
    killed(database.url, call, is_after=is_after)

    done = loaded(Drawn(), database)

    assert (done.is_whole, indexes()) == (True, 1)
    assert everything(database) == Drawn().truth


def test_while_it_is_missing_questions_are_answered(database: PgvectorDatabase, indexes: Callable[[], int]) -> None:
    killed(database.url, "index", is_after=False)
    one = next(Drawn().batches(0, 1))

    (hit,) = database.query(NAME, Query(vector=one.vectors[""][0], limit=1))

    assert (hit.id, indexes()) == (one.ids[0], 0)


def test_an_index_over_points_stays(database: PgvectorDatabase, indexes: Callable[[], int]) -> None:
    seen: list[int] = []
    loaded(Drawn(seed=1), database)

    loaded(Drawn(seed=2, each=lambda place: seen.append(indexes())), database)

    assert (set(seen), indexes()) == ({1}, 1)


def test_a_table_of_yours_keeps_its_index(
    database: PgvectorDatabase, indexes: Callable[[], int], postgres: Postgres, place: str
) -> None:
    seen: list[int] = []
    table = Drawn(each=lambda place: seen.append(indexes()))
    postgres.run(place, "CREATE TABLE docs (id uuid PRIMARY KEY, title text)")
    postgres.run(place, "INSERT INTO docs SELECT unnest(%s::uuid[])", [*table.truth])

    loaded(table, database)

    assert (set(seen), indexes()) == ({1}, 1)


SHARED = """
CREATE FUNCTION no_memory() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  IF current_setting('max_parallel_maintenance_workers') <> '0' AND EXISTS (SELECT FROM docs) THEN
    RAISE 'could not resize shared memory segment' USING ERRCODE = '53100';
  END IF;
END $$"""
TRIGGER = (
    "CREATE EVENT TRIGGER no_memory ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION no_memory()"
)


def test_where_shared_memory_is_too_small_for_several_one_process_builds_the_index(
    database: PgvectorDatabase, indexes: Callable[[], int], postgres: Postgres, place: str
) -> None:
    loaded(Drawn(0), database)
    postgres.run(place, SHARED)
    postgres.run(place, TRIGGER)

    done = loaded(Drawn(seed=1), database)

    assert (done.is_whole, indexes()) == (True, 1)
