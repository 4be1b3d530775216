"""What is gone goes, where it is known what was there; with --prune all that the table has not."""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from embedstack.databases.database import Collection, Database, PointId
from embedstack.errors import BadRequest, Mismatch, Upstream
from embedstack.loading.deleting import is_listed
from embedstack.loading.source import BadRow
from embedstack.loading.stopping import Stop
from embedstack.loading.wish import Wish
from support.loaded import NAME, Around, Clock, Drawn, Log, Told, everything, loaded, uuid_of

FIRST, SECOND, THIRD = "1" * 64, "2" * 64, "3" * 64
PRUNE, KEEP, AGAIN = Wish(batch=32, prune=True), Wish(batch=32, keep_gone=True), Wish(batch=32, again=True)


def first() -> Drawn:
    return Drawn(60, plan=FIRST)


def second(**more: Any) -> Drawn:
    """Planned since the first: 20 of its rows are gone, 20 are new, 40 have other vectors."""
    gone = [uuid_of(number) for number in range(20)]
    return Drawn(60, seed=1, first=20, plan=SECOND, previous=FIRST, lists=gone, **more)


def is_second(database: Database) -> bool:
    return everything(database) == second().truth


# ------------------------------------------------------------------------------------------------ the list


@pytest.mark.parametrize(("held", "wanted"), [(FIRST, True), (SECOND, False)])
def test_a_list_counts_where_the_job_before_was_whole(held: str, *, wanted: bool) -> None:
    found = is_listed(second(), held, is_empty=False, prune=False, keep_gone=False, name=NAME)

    assert found is wanted


@pytest.mark.parametrize("held", ["", THIRD])
@pytest.mark.parametrize("previous", [FIRST, ""])
def test_a_list_for_what_is_not_there_is_refused(held: str, previous: str) -> None:
    table = second()
    table.previous = previous

    with pytest.raises(Mismatch, match=r"the list of deletions is for a collection that holds .*--prune .*--keep-gone"):
        is_listed(table, held, is_empty=False, prune=False, keep_gone=False, name=NAME)


@pytest.mark.parametrize("how", [{"is_empty": True}, {"prune": True}, {"keep_gone": True}])
def test_a_list_that_is_not_needed_is_not_worked_through(how: dict[str, bool]) -> None:
    asked = {"is_empty": False, "prune": False, "keep_gone": False, **how}

    assert not is_listed(second(), "", **asked, name=NAME)


def test_what_is_gone_since_the_job_before_is_deleted(database: Database) -> None:
    loaded(first(), database)

    done = loaded(second(), database)

    assert (done.deleted, done.points) == (20, 60)
    assert is_second(database)


def test_points_go_after_all_rows_are_there(database: Database) -> None:
    loaded(first(), database)
    log = Log()

    loaded(second(), Around(database, log))

    assert log.names[-4:] == ["write", "mark", "delete", "mark"]


def test_a_load_that_was_ended_in_between_still_deletes(database: Database) -> None:
    loaded(first(), database)
    with pytest.raises(BadRow):
        loaded(second(bad=40), database)

    done = loaded(second(), database)

    assert (done.why, done.start, done.deleted) == ("goes on", 32, 20)
    assert is_second(database)


def test_a_load_that_was_ended_while_it_deleted_goes_on_with_that(database: Database) -> None:
    loaded(first(), database)
    stop = Stop()

    def around(name: str, call: Callable[[], Any]) -> Any:
        if name == "delete":
            stop.ask(signal.SIGTERM)
            raise Upstream("away", retry=True)
        return call()

    ended = loaded(second(), Around(database, around), stop=stop)
    done = loaded(second(), database)

    assert (ended.stopped, ended.is_whole, ended.rows) == (signal.SIGTERM, False, 60)
    assert (done.written, done.deleted, done.is_whole) == (0, 20, True)
    assert is_second(database)


@pytest.mark.parametrize("before", [None, Drawn(60, seed=3, plan=THIRD), Drawn(60, bad=40, plan=FIRST)])
def test_where_something_else_is_nothing_is_written(database: Database, before: Drawn | None) -> None:
    loaded(Drawn(10, seed=7, first=500), database)
    if before is None:
        database.mark(NAME, None)
    elif before.plan == THIRD:
        loaded(before, database)
    else:
        with pytest.raises(BadRow):
            loaded(before, database)
    was, log = everything(database), Log()

    with pytest.raises(Mismatch, match="load that job first"):
        loaded(second(), Around(database, log))

    assert log.names == []
    assert everything(database) == was


def test_into_an_empty_collection_the_table_goes_without_the_job_before(database: Database) -> None:
    log = Log()
    with pytest.raises(BadRow):
        loaded(second(bad=40), database)

    loaded(second(), Around(database, log))

    assert "delete" not in log.names
    assert is_second(database)


def test_who_wants_nothing_deleted_keeps_all(database: Database) -> None:
    loaded(first(), database)

    done = loaded(second(), database, KEEP)

    assert (done.deleted, done.points) == (0, 80)


def test_what_was_kept_is_not_deleted_by_writing_it_again(database: Database) -> None:
    loaded(first(), database)
    loaded(second(), database, KEEP)

    done = loaded(second(), database, replace(KEEP, again=True))

    assert (done.deleted, done.points) == (0, 80)
    with pytest.raises(Mismatch, match="--keep-gone"):
        loaded(second(), database, AGAIN)


def test_a_chain_of_jobs_is_followed(database: Database) -> None:
    third = Drawn(30, seed=2, first=50, plan=THIRD, previous=SECOND, lists=[uuid_of(n) for n in range(20, 50)])
    for table in (first(), second(), third):
        loaded(table, database)

    assert everything(database) == third.truth


def test_a_database_that_is_away_while_it_deletes_is_waited_for(database: Database) -> None:
    loaded(first(), database)
    clock, fails = Clock(), [True, True]

    def around(name: str, call: Callable[[], Any]) -> Any:
        if name == "delete" and fails:
            fails.pop()
            raise Upstream("away", retry=True)
        return call()

    assert loaded(second(), Around(database, around), clock=clock).deleted == 20
    assert clock.pauses == [1, 2]
    assert is_second(database)


# ------------------------------------------------------------------------------------------------ prune


def mixed(number: int) -> PointId:
    """Numbers and UUIDs, some of the same bits."""
    return number if number % 2 else f"00000000-0000-0000-0000-{number + 1:012x}"


@pytest.mark.parametrize("ids", [uuid_of, int, mixed])
def test_only_what_the_table_has_is_left(database: Database, ids: Callable[[int], PointId]) -> None:
    loaded(Drawn(300, ids=ids), database)
    table, told = Drawn(100, seed=1, first=250, ids=ids), Told()

    done = loaded(table, database, PRUNE, told=told)

    assert (done.pruned, told.asked, done.points) == (250, [250], 100)
    assert everything(database) == table.truth


def test_a_number_and_a_uuid_of_its_bits_are_two(database: Database) -> None:
    loaded(Drawn(10, ids=int, first=5), database)
    table = Drawn(10, seed=1, first=5, ids=lambda number: f"00000000-0000-0000-0000-{number:012x}")

    done = loaded(table, database, PRUNE)

    assert (done.pruned, everything(database)) == (10, table.truth)


def test_what_is_there_as_a_whole_is_pruned_without_writing(database: Database) -> None:
    loaded(first(), database)
    database.write(NAME, Drawn(5, first=900).points(range(5)))
    log = Log()

    done = loaded(first(), Around(database, log), PRUNE)

    assert (done.why, done.pruned) == ("whole", 5)
    assert "write" not in log.names
    assert everything(database) == first().truth


def test_nobody_is_asked_where_there_is_nothing_to_prune(database: Database) -> None:
    told = Told(may=False)

    done = loaded(first(), database, PRUNE, told=told)

    assert (done.pruned, told.asked, done.is_whole) == (0, [], True)


def test_who_says_no_keeps_all(database: Database) -> None:
    loaded(Drawn(80), database)

    done = loaded(Drawn(60, seed=1), database, PRUNE, told=Told(may=False))

    assert (done.pruned, done.points, done.is_whole) == (0, 80, True)


def test_a_table_with_a_list_is_pruned_whatever_was_there(database: Database) -> None:
    loaded(Drawn(60, seed=3, first=300), database)

    done = loaded(second(), database, PRUNE)

    assert (done.deleted, done.pruned) == (0, 60)
    assert is_second(database)


@pytest.mark.slow
def test_a_prune_that_was_ended_is_not_forgotten(database: Database) -> None:
    loaded(Drawn(2100), database, Wish(batch=256))
    stop, seen = Stop(), []

    def around(name: str, call: Callable[[], Any]) -> Any:
        if name == "delete":
            seen.append(call)
            stop.ask(signal.SIGINT)
        return call()

    ended = loaded(Drawn(60, seed=1), Around(database, around), PRUNE, stop=stop)
    done = loaded(Drawn(60, seed=1), database, PRUNE)

    assert (ended.pruned, ended.is_whole, len(seen)) == (1000, False, 1)
    assert (done.written, done.pruned, done.points) == (0, 1040, 60)


def test_who_wants_the_end_does_not_wait_for_all_ids_of_the_table(database: Database) -> None:
    stop, seen = Stop(), []

    class Long(Drawn):
        def ids(self) -> Iterator[Sequence[PointId]]:
            for ids in super().ids():
                seen.append(len(ids))
                stop.ask(signal.SIGINT)
                yield ids

    ended = loaded(Long(700), database, PRUNE, stop=stop)

    assert (ended.stopped, ended.rows, len(seen)) == (signal.SIGINT, 700, 1)


def test_nothing_is_pruned_that_somebody_else_began_to_load_meanwhile(database: Database) -> None:
    loaded(first(), database)

    class Slow(Told):
        def may_delete(self, count: int, name: str) -> bool:
            loaded(Drawn(30, seed=4, first=700), database)
            return True

    database.write(NAME, Drawn(5, first=900).points(range(5)))
    done = loaded(first(), database, PRUNE, told=Slow())

    assert (done.pruned, done.is_contested, done.is_whole) == (0, True, False)
    assert len(everything(database)) == 95


class Own(Around):
    """A table of somebody's own: its rows, and what else stands in them, are theirs."""

    def __init__(self, database: Any) -> None:
        super().__init__(database, lambda name, call: _own(call()) if name == "describe" else call())


def _own(found: Collection | None) -> Collection | None:
    return found and replace(found, keeps_payload=False)


@pytest.mark.parametrize(("wish", "mend"), [(PRUNE, "leave --prune out"), (Wish(batch=32), "add --keep-gone")])
def test_nothing_is_deleted_in_somebodys_own_table(database: Database, wish: Wish, mend: str) -> None:
    loaded(first(), database)

    with pytest.raises(BadRequest, match=f"belong to a table of yours.*{mend}"):
        loaded(second(), Own(database), wish)

    assert everything(database) == first().truth


def test_a_later_list_is_refused_where_something_was_left_on_purpose(database: Database) -> None:
    third = Drawn(
        40, seed=2, first=20, plan=THIRD, previous=SECOND, lists=[uuid_of(number) for number in range(60, 80)]
    )
    loaded(first(), database)
    loaded(second(), database, KEEP)

    with pytest.raises(Mismatch, match="holds something else, or a part"):
        loaded(third, database)


def test_a_later_list_is_refused_where_the_answer_to_prune_was_no(database: Database) -> None:
    class No(Told):
        def may_delete(self, count: int, name: str) -> bool:
            return False

    third = Drawn(
        40, seed=2, first=20, plan=THIRD, previous=SECOND, lists=[uuid_of(number) for number in range(60, 80)]
    )
    loaded(first(), database)
    done = loaded(second(), database, PRUNE, told=No())

    assert (done.pruned, done.is_whole) == (0, True)
    with pytest.raises(Mismatch, match="holds something else, or a part"):
        loaded(third, database)
