"""A table is in a collection once, whatever happens on the way; real databases in a folder."""

import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from embedstack.databases.database import Collection, Database, Field, Index, Loaded, Points
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import BadRequest, Mismatch, Upstream
from embedstack.loading.source import BadRow
from embedstack.loading.stopping import Stop
from embedstack.loading.wish import Wish
from support.kinds import Opener
from support.loaded import (
    ALL,
    BEFORE,
    DIM,
    NAME,
    SINCE,
    SMALL,
    Around,
    Clock,
    Drawn,
    Log,
    Told,
    everything,
    killed,
    loaded,
    origin,
    table_of,
    wish_of,
)

PATIENCE_S = 20.0


def mark(database: Database) -> Loaded:
    there = database.describe(NAME)
    assert there is not None
    assert there.loaded is not None
    return there.loaded


# ------------------------------------------------------------------------------------------------ once


def test_all_of_a_table_is_there_to_the_bit(database: Database) -> None:
    table = Drawn(200, has_sparse=True, plan="p" * 64)

    done = loaded(table, database)

    assert everything(database) == table.truth
    assert mark(database) == Loaded(source=table.digest, rows=200, is_whole=True, plan="p" * 64)
    assert (done.written, done.uuids, done.checked, done.points, done.is_whole) == (200, 200, 8, 200, True)


def test_whose_the_vectors_are_is_signed(database: Database) -> None:
    loaded(Drawn(), database)

    there = database.describe(NAME)
    assert there is not None
    assert there.fields[""].origin == origin()


def test_a_table_that_is_there_is_not_written_again(database: Database) -> None:
    loaded(Drawn(), database)
    log, told = Log(), Told()

    done = loaded(Drawn(), Around(database, log), told=told)

    assert "write" not in log.names
    assert (done.why, done.written, done.rows, done.is_whole, done.points) == ("whole", 0, 200, True, 200)
    assert "--again" in told.notes[-1]


def test_it_is_written_again_for_who_wants_it(database: Database) -> None:
    table = Drawn()
    loaded(table, database)
    database.delete(NAME, list(table.truth)[:50])

    done = loaded(table, database, Wish(batch=32, again=True))

    assert (done.why, done.written) == ("again", 200)
    assert everything(database) == table.truth


def test_after_another_table_all_rows_are_written_again(database: Database) -> None:
    first, second = Drawn(seed=1), Drawn(seed=2)
    loaded(first, database)
    loaded(second, database)
    between = everything(database)

    done = loaded(first, database)

    assert (done.why, done.written) == ("other", 200)
    assert between == second.truth
    assert everything(database) == first.truth


def test_the_mark_of_another_table_is_replaced_before_the_first_write(database: Database) -> None:
    loaded(Drawn(seed=1), database)
    log = Log()

    loaded(Drawn(seed=2), Around(database, log))

    names = [name for name in log.names if name in ("mark", "write")]
    assert names[0] == "mark"
    assert names[-2:] == ["mark", "mark"]


@pytest.mark.slow
def test_a_collection_that_was_emptied_is_filled_again(database: Database) -> None:
    table = Drawn()
    loaded(table, database)
    database.delete(NAME, list(table.truth))

    done = loaded(table, database)

    assert (done.why, done.written) == ("new", 200)
    assert everything(database) == table.truth


def test_of_rows_with_one_id_the_last_one_is_there(database: Database) -> None:
    table = Drawn(500, ids=lambda number: number % 40)

    done = loaded(table, database, Wish(batch=32, streams=8))

    assert everything(database) == table.truth
    assert (done.points, done.numbers, done.uuids) == (40, 500, 0)


def test_it_is_counted_how_many_ids_are_of_which_kind(database: Database) -> None:
    table = Drawn(100, ids=lambda number: number if number < 10 else f"00000000-0000-0000-0000-{number:012}")

    done = loaded(table, database)

    assert (done.numbers, done.uuids) == (10, 90)
    assert everything(database) == table.truth


def test_a_table_whose_length_nobody_knows_is_loaded(database: Database) -> None:
    table = Drawn(77, total=None)

    assert loaded(table, database).rows == 77
    assert everything(database) == table.truth


def test_an_empty_table_makes_an_empty_collection(database: Database) -> None:
    done = loaded(Drawn(0), database)

    assert (done.points, done.is_whole, mark(database).is_whole) == (0, True, True)


def test_it_is_told_how_far_it_is(database: Database) -> None:
    told = Told()

    loaded(Drawn(500), database, told=told)

    assert told.steps == sorted(told.steps)
    assert told.steps[-1] == 500


def test_indexes_and_quantization_are_asked_for(database: Database) -> None:
    asked: list[Collection] = []
    indexes = {"org": Index(is_tenant=True), "metadata.place": Index(kind="integer")}

    def around(name: str, call: Any) -> Any:
        asked.extend(call.args if name == "create" else ())
        return call()

    loaded(Drawn(), Around(database, around), Wish(batch=32, indexes=indexes, quantization="int8"))

    assert [(one.indexes, one.quantization) for one in asked] == [(indexes, "int8")]


# ------------------------------------------------------------------------------------------------ refused


def test_vectors_of_another_space_are_refused_and_nothing_changes(database: Database) -> None:
    loaded(Drawn(seed=1), database)
    before, was = everything(database), mark(database)

    with pytest.raises(Mismatch, match=r"'hash'.*'other'"):
        loaded(Drawn(seed=2, model="other"), database)

    assert everything(database) == before
    assert mark(database) == was


def test_points_that_nobody_signed_are_claimed_by_who_says_so(database: Database) -> None:
    foreign = Drawn(10, seed=5, first=1000)
    database.create(Collection(name=NAME, fields={"": Field(dim=DIM)}))
    database.write(NAME, foreign.points(range(10)))

    with pytest.raises(Mismatch, match="--claim"):
        loaded(Drawn(), database)
    loaded(Drawn(), database, Wish(batch=32, claim=True))

    there = database.describe(NAME)
    assert there is not None
    assert there.fields[""].origin is not None
    assert (there.fields[""].origin.basis, there.points) == ("stated", 210)


# ------------------------------------------------------------------------------------------------ interrupted


def test_a_bad_row_ends_it_and_what_stands_before_stays(database: Database) -> None:
    with pytest.raises(BadRow, match=r"rows.jsonl:101"):
        loaded(Drawn(bad=100), database)
    was, there = mark(database), everything(database)

    done = loaded(Drawn(), database)

    assert (was.rows, was.is_whole, len(there)) == (96, False, 96)
    assert (done.why, done.start, done.written) == ("goes on", 96, 104)
    assert everything(database) == Drawn().truth


def test_a_table_that_is_away_for_a_moment_is_read_on(database: Database) -> None:
    done = loaded(Drawn(away=[0, 100, 150]), database)

    assert done.is_whole
    assert everything(database) == Drawn().truth


class Restarting:
    """Away between two moments; a call that meets the beginning is done, and yet nobody hears of it."""

    def __init__(self, clock: Clock, calls: int, *, until_s: float) -> None:
        self._clock, self._left, self._until_s = clock, calls, until_s
        self._lock = threading.Lock()

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        with self._lock:
            self._left -= 1
            left = self._left
        if left >= 0 or self._clock() >= self._until_s:
            return call()
        if left == -1:
            call()
        raise Upstream("the database restarts", retry=True)


@pytest.mark.parametrize("calls", [0, 1, 2, 3, 5, 8])
def test_a_database_that_restarts_loses_nothing(database: Database, calls: int) -> None:
    clock = Clock()

    done = loaded(
        Drawn(), Around(database, Restarting(clock, calls, until_s=100)), Wish(batch=32, alias="live"), clock=clock
    )

    assert done.is_whole
    assert clock.pauses[:3] == [1, 2, 4]
    assert everything(database) == Drawn().truth
    assert database.aliases() == {"live": NAME}


def test_patience_ends_and_what_was_written_stays_marked(database: Database) -> None:
    clock, writes = Clock(), iter(range(100))

    def around(name: str, call: Callable[[], Any]) -> Any:
        if name == "write" and next(writes) >= 3:
            raise Upstream("the database is away", retry=True)
        return call()

    with pytest.raises(Upstream, match="what was written stays"):
        loaded(Drawn(), Around(database, around), Wish(batch=32, streams=1, patience_s=60), clock=clock)

    assert sum(clock.pauses) == 60
    assert (mark(database).rows, mark(database).is_whole) == (96, False)
    assert loaded(Drawn(), database).start == 96


def test_who_wants_it_to_end_gets_a_mark_of_what_is_there(database: Database) -> None:
    stop = Stop()

    done = loaded(Drawn(each=lambda place: stop.ask(signal.SIGTERM) if place == 160 else None), database, stop=stop)

    assert (done.stopped, done.is_whole) == (signal.SIGTERM, False)
    assert mark(database).rows == done.rows < 200
    assert len(everything(database)) == done.rows
    loaded(Drawn(), database)
    assert everything(database) == Drawn().truth


def test_who_wants_it_to_end_does_not_wait_for_a_database_that_is_away(database: Database) -> None:
    stop, clock = Stop(), Clock()

    def around(name: str, call: Callable[[], Any]) -> Any:
        if name == "write":
            stop.ask(signal.SIGINT)
            raise Upstream("the database is away", retry=True)
        return call()

    done = loaded(Drawn(), Around(database, around), stop=stop, clock=clock)

    assert (done.stopped, clock.pauses) == (signal.SIGINT, [])


@pytest.mark.faults
def test_a_load_that_is_killed_twenty_times_ends_with_the_same_points(tmp_path: Path) -> None:
    folder, table = tmp_path / "vectors", table_of(ALL)
    ends = [killed(ALL, folder, 1 + number % 9, ("before", "after")[number % 2]) for number in range(20)]

    with closing(EmbeddedDatabase(folder)) as database:
        done = loaded(table, database, wish_of(ALL))

        assert set(ends) == {-signal.SIGKILL}
        assert (done.why, done.is_whole) == ("goes on", True)
        assert 0 < done.start < 2000
        assert everything(database) == table.truth


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_its_end_it_still_deletes_what_is_gone_and_switches(tmp_path: Path, moment: str) -> None:
    first = tmp_path / "first"
    with closing(EmbeddedDatabase(first)) as database:
        loaded(table_of(BEFORE), database)
    ends = []
    for number in range(4, 9):
        folder = shutil.copytree(first, tmp_path / f"killed-{number}")
        ends.append(killed(SINCE, folder, number, moment))
        with closing(EmbeddedDatabase(folder)) as database:
            loaded(table_of(SINCE), database, wish_of(SINCE))

            assert everything(database) == table_of(SINCE).truth
            assert database.aliases() == {"live": NAME}
    assert set(ends) == {-signal.SIGKILL}


# ------------------------------------------------------------------------------------------------ two at once


class Meeting:
    """Two loads of two tables: each waits in its middle until the other one is there, and one ends before the other."""

    def __init__(self) -> None:
        self.first_is_there, self.second_is_there, self.first_has_ended = (threading.Event() for _ in range(3))

    def first(self, place: int) -> None:
        if place == 96:
            self.first_is_there.set()
            assert self.second_is_there.wait(PATIENCE_S)

    def second(self, place: int) -> None:
        if place == 96:
            self.second_is_there.set()
            assert self.first_has_ended.wait(PATIENCE_S)


@pytest.mark.parametrize("prune", [False, True])
def test_two_tables_at_once_are_seen_by_both_loads(database: Database, opener: Opener, *, prune: bool) -> None:
    meeting, ends = Meeting(), {}
    wish = Wish(batch=32, alias="live", prune=prune)

    def second() -> None:
        assert meeting.first_is_there.wait(PATIENCE_S)
        with closing(opener()) as other:
            ends["second"] = loaded(Drawn(seed=2, first=100, each=meeting.second), other, wish)

    thread = threading.Thread(target=second)
    thread.start()
    ends["first"] = loaded(Drawn(seed=1, each=meeting.first), database, wish)
    meeting.first_has_ended.set()
    thread.join(PATIENCE_S)

    assert [end.is_contested for end in ends.values()] == [True, True]
    assert [end.is_whole for end in ends.values()] == [False, False]
    assert mark(database).is_contested
    assert database.aliases() == {}
    assert len(everything(database)) == 300


class Preparing:
    """While the collection is prepared, something else happens once."""

    def __init__(self, happens: Callable[[], Any]) -> None:
        self._left = [happens]

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        result = call()
        if name == "create" and self._left:
            self._left.pop()()
        return result


def test_what_was_loaded_while_a_load_prepared_is_neither_overwritten_nor_deleted(database: Database) -> None:
    other = Drawn(60, seed=5, plan="3" * 64)  # with the rows that the list of deletions names
    loaded(table_of(BEFORE), database)

    with pytest.raises(Mismatch, match=r"somebody else.* run the same command again"):
        loaded(table_of(SINCE), Around(database, Preparing(lambda: loaded(other, database))))

    assert everything(database) == other.truth
    assert mark(database).is_whole


def test_the_same_table_may_be_loaded_while_a_load_prepares(database: Database) -> None:
    done = loaded(Drawn(), Around(database, Preparing(lambda: loaded(Drawn(), database))))

    assert (done.is_whole, done.is_contested) == (True, False)
    assert everything(database) == Drawn().truth


def test_an_alias_that_is_switched_while_a_load_prepares_moves_no_mark(database: Database) -> None:
    for name in ("docs-1", "docs-2"):
        database.create(Collection(name=name, fields={"": Field(dim=DIM)}))
    database.switch(NAME, "docs-1", old=None)
    with pytest.raises(BadRow):
        loaded(Drawn(bad=180), database)
    begun = Loaded(source=Drawn().digest, rows=32)
    database.mark("docs-2", begun)
    switched = Preparing(lambda: database.switch(NAME, "docs-2", old="docs-1"))

    with pytest.raises(Mismatch, match="its alias switched"):
        loaded(Drawn(), Around(database, switched))

    assert mark(database) == begun


def test_a_load_of_another_table_that_came_and_went_is_seen(database: Database) -> None:
    def between(place: int) -> None:
        if place == 96:
            loaded(Drawn(seed=2), database)

    done = loaded(Drawn(seed=1, each=between), database)

    assert done.is_contested
    assert mark(database).is_contested


def test_nobody_goes_on_from_a_contested_mark_and_a_new_load_mends_it(database: Database) -> None:
    table = Drawn(seed=1, each=lambda place: database.mark(NAME, None) if place == 96 else None)
    loaded(table, database)
    told = Told()

    done = loaded(Drawn(seed=1), database, told=told)

    assert (done.why, done.written, done.is_contested) == ("contested", 200, False)
    assert "at once" in told.notes[0]
    assert mark(database).is_whole
    assert everything(database) == Drawn(seed=1).truth


def test_two_loads_of_one_table_are_in_nobodys_way(database: Database) -> None:
    def between(place: int) -> None:
        if place == 96:
            loaded(Drawn(), database)

    done = loaded(Drawn(each=between), database)

    assert (done.is_whole, done.is_contested) == (True, False)
    assert everything(database) == Drawn().truth


# ------------------------------------------------------------------------------------------------ read back


def torn(database: Database, number: int) -> Around:
    """Of each batch one vector is lost on its way."""

    def around(name: str, call: Any) -> Any:
        if name != "write":
            return call()
        points = call.args[1]
        vectors = points.vectors[""].copy()
        vectors[number] = vectors[number][::-1]
        return database.write(NAME, Points(ids=points.ids, vectors={"": vectors}, payloads=points.payloads))

    return Around(database, around)


def test_rows_that_read_back_wrong_are_told_and_the_load_is_not_whole(database: Database) -> None:
    with pytest.raises(Mismatch, match=r"row 0 of table 0 .* reads back wrong: its vector is another"):
        loaded(Drawn(), torn(database, 0))

    assert not mark(database).is_whole
    loaded(Drawn(), database, Wish(batch=32, again=True))
    assert everything(database) == Drawn().truth


def test_rows_of_an_earlier_run_are_read_back_too(database: Database) -> None:
    with pytest.raises(BadRow):
        loaded(Drawn(bad=190), torn(database, 0))

    with pytest.raises(Mismatch, match="row 0 of table 0"):
        loaded(Drawn(), database)


def test_points_that_vanish_meanwhile_are_told(database: Database) -> None:
    table = Drawn(each=lambda place: database.delete(NAME, list(Drawn().truth)[:32]) if place == 160 else None)

    with pytest.raises(Mismatch, match=r"row 0 of table 0 .* it is not there"):
        loaded(table, database, Wish(batch=32, streams=1))


def test_a_vector_of_half_precision_reads_back_as_itself(database: Database) -> None:
    table = Drawn()
    table.fields = {"": Field(dim=DIM, storing="float16", distance="dot", origin=origin())}

    assert loaded(table, database).checked == 8


# ------------------------------------------------------------------------------------------------ aliases


def test_an_alias_is_switched_once_all_is_there(database: Database) -> None:
    log = Log()
    database.create(Collection(name="old", fields={"": Field(dim=DIM)}))
    database.switch("live", "old", old=None)

    done = loaded(Drawn(), Around(database, log), Wish(batch=32, alias="live"))

    assert (done.alias, log.names[-1]) == ("live", "switch")
    assert database.aliases() == {"live": NAME}


def test_an_alias_is_switched_to_what_is_there_already(database: Database) -> None:
    loaded(Drawn(), database)

    loaded(Drawn(), database, Wish(alias="live"))
    loaded(Drawn(), database, Wish(alias="live"))

    assert database.aliases() == {"live": NAME}


@pytest.mark.parametrize("alias", [NAME, "old"])
def test_a_collections_name_as_an_alias_is_refused_before_anything_is_written(database: Database, alias: str) -> None:
    database.create(Collection(name="old", fields={"": Field(dim=DIM)}))

    with pytest.raises(BadRequest, match=f"'{alias}' is the name of a collection"):
        loaded(Drawn(), database, Wish(alias=alias))

    assert database.names() == ["old"]


@pytest.mark.parametrize("alias", ["two words", "-v", "a" * 61])
def test_what_no_alias_can_be_called_is_refused_before_anything_is_written(database: Database, alias: str) -> None:
    with pytest.raises(BadRequest, match="cannot be named so"):
        loaded(Drawn(), database, Wish(alias=alias))

    assert database.names() == []


def test_what_an_alias_stands_for_is_loaded_under_its_own_name(database: Database) -> None:
    database.create(Collection(name="docs-1", fields={"": Field(dim=DIM)}))
    database.switch(NAME, "docs-1", old=None)

    done = loaded(Drawn(), database, Wish(batch=32, alias=NAME))

    assert done.collection == "docs-1"
    assert everything(database, "docs-1") == Drawn().truth


# ------------------------------------------------------------------------------------------------ dry


def test_a_dry_run_does_not_even_make_a_folder(tmp_path: Path) -> None:
    told = Told()
    with closing(EmbeddedDatabase(tmp_path / "vectors")) as database:
        done = loaded(Drawn(), database, Wish(dry_run=True, alias="live", prune=True), told=told)

    assert list(tmp_path.iterdir()) == []
    assert (done.dry_run, done.rows) == (True, 0)
    assert told.notes[0] == "collection 'docs' would be made, with the vectors: one without a name"
    assert "200 rows would be written" in told.notes[1]


def test_a_dry_run_says_what_is_left_and_changes_nothing(database: Database) -> None:
    with pytest.raises(BadRow):
        loaded(Drawn(bad=100), database)
    database.write(NAME, Drawn(3, first=5000).points(range(3)))
    log, told = Log(), Told()

    loaded(Drawn(), Around(database, log), Wish(dry_run=True, prune=True), told=told)

    assert log.names == []
    assert "104 rows behind the first 96 would be written to 'docs'" in told.notes
    assert "3 of 99 points would be deleted: this table has not got them" in told.notes


def test_a_dry_run_sees_another_space(database: Database) -> None:
    loaded(Drawn(seed=1), database)

    with pytest.raises(Mismatch, match="'other'"):
        loaded(Drawn(seed=2, model="other"), database, Wish(dry_run=True))


def test_what_the_table_has_to_say_is_said_first(database: Database) -> None:
    table, told = Drawn(), Told()
    table.notes = ["3 ids are made of texts"]

    loaded(table, database, SMALL, told=told)

    assert told.notes == ["3 ids are made of texts"]


class Without(Around):
    """A field of the collection is gone, as somebody may have dropped a column."""

    def __init__(self, database: Any) -> None:
        super().__init__(database, lambda name, call: _without(call()) if name == "describe" else call())


def _without(found: Collection | None) -> Collection | None:
    return found and replace(found, fields={"other": Field(dim=DIM)})


def test_a_field_that_is_gone_is_written_from_the_first_row_whatever_the_mark_says(database: Database) -> None:
    loaded(Drawn(), database)

    done = loaded(Drawn(), Without(database), Wish(batch=32, dry_run=True))

    assert (done.why, done.start) == ("new", 0)


def test_an_alias_may_be_wished_again_and_moved(database: Database) -> None:
    wish = Wish(batch=32, alias="live")
    for _ in range(2):
        loaded(Drawn(), database, wish)

    assert database.aliases() == {"live": NAME}
