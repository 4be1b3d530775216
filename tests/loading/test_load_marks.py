"""Where a load begins, and what the mark says that it leaves."""

from contextlib import closing
from pathlib import Path

import pytest

from embedstack.databases.database import Collection, Field, Loaded, UnknownCollection
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.loading.marks import EVERY_ROWS, EVERY_S, Marker, Start, following, start_of
from embedstack.loading.retrying import Retrying
from embedstack.loading.stopping import Stop
from support.loaded import NAME, Around, Clock, Log

MINE, OTHER, PLAN = "a" * 64, "b" * 64, "c" * 64


def mark(source: str = MINE, rows: int = 10, *, plan: str = "", whole: bool = False, contested: bool = False) -> Loaded:
    return Loaded(source=source, rows=rows, plan=plan, is_whole=whole, is_contested=contested)


@pytest.mark.parametrize(
    ("before", "again", "wanted"),
    [
        (None, False, Start(0, "new")),
        (mark(rows=10), False, Start(10, "goes on")),
        (mark(rows=10, whole=True, plan=PLAN), False, Start(10, "whole", PLAN)),
        (mark(rows=10, whole=True, plan=PLAN), True, Start(0, "again", PLAN)),
        (mark(rows=10), True, Start(0, "again")),
        (mark(OTHER, whole=True, plan=PLAN), False, Start(0, "other", PLAN)),
        (mark(contested=True), False, Start(0, "contested")),
        (mark(contested=True, whole=True, plan=PLAN), False, Start(0, "contested")),
        (mark(OTHER, contested=True), True, Start(0, "contested")),
    ],
)
def test_a_load_goes_on_only_behind_its_own_rows(before: Loaded | None, again: bool, wanted: Start) -> None:
    assert start_of(before, MINE, again=again) == wanted


def test_a_load_that_goes_on_knows_what_was_there_before_it_began() -> None:
    assert start_of(mark(plan=PLAN), MINE, again=False).held == PLAN


def test_what_another_load_left_unfinished_holds_nothing_as_a_whole() -> None:
    assert start_of(mark(OTHER, plan=PLAN), MINE, again=False).held == ""


def test_a_mark_follows_its_own() -> None:
    assert following(mark(rows=1), mark(rows=2), is_contested=False) == mark(rows=2)


@pytest.mark.parametrize("found", [mark(OTHER), mark(OTHER, whole=True), None])
def test_what_somebody_else_left_makes_the_mark_contested(found: Loaded | None) -> None:
    made = following(found, mark(rows=2, whole=True, plan=PLAN), is_contested=False)

    assert made == mark(rows=2, contested=True)


@pytest.mark.parametrize("found", [mark(contested=True), mark(OTHER, contested=True)])
def test_a_contested_mark_stays(found: Loaded) -> None:
    assert following(found, mark(rows=2), is_contested=False) is None
    assert following(found, mark(rows=2), is_contested=True) is None


def test_one_that_knows_of_another_load_does_not_take_it_back() -> None:
    assert following(mark(OTHER), mark(rows=2, whole=True), is_contested=True) == mark(rows=2, contested=True)


def test_one_that_knows_of_another_load_leaves_the_mark_of_who_began_anew() -> None:
    assert following(mark(rows=0), mark(rows=2, whole=True), is_contested=True) is None


# ------------------------------------------------------------------------------------------------ in a database


def marker(database: Around, clock: Clock) -> Marker:
    retry = Retrying(0, clock=clock, pause=clock.pause, stop=Stop(), say=print)
    return Marker(database, NAME, mark(rows=0), retry=retry, clock=clock)


def test_marks_are_set_after_so_many_rows_or_seconds_and_only_for_rows(tmp_path: Path) -> None:
    clock, log = Clock(), Log()
    with closing(EmbeddedDatabase(tmp_path)) as database:
        database.create(Collection(name=NAME, fields={"": Field(dim=2)}))
        made = marker(Around(database, log), clock)
        made.begin(Start(0, "new"))
        steps = [
            (EVERY_ROWS - 1, 0.0),
            (EVERY_ROWS, 0.0),
            (EVERY_ROWS + 1, EVERY_S - 0.1),
            (EVERY_ROWS + 2, 0.1),
            (EVERY_ROWS + 2, EVERY_S),
        ]
        marks = []
        for rows, wait_s in steps:
            clock.now_s += wait_s
            made.look(rows)
            marks.append(log.names.count("mark"))
        there = database.describe(NAME)

    assert marks == [1, 2, 2, 3, 3]
    assert there is not None
    assert there.loaded == mark(rows=EVERY_ROWS + 2)


def test_a_collection_that_was_dropped_meanwhile_gets_no_mark(tmp_path: Path) -> None:
    with closing(EmbeddedDatabase(tmp_path)) as database:
        database.create(Collection(name=NAME, fields={"": Field(dim=2)}))
        made = marker(Around(database, Log()), Clock())
        made.begin(Start(0, "new"))
        database.drop(NAME)

        with pytest.raises(UnknownCollection, match="dropped while it was loaded"):
            made.set(5)
