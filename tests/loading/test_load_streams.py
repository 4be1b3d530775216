"""Batches end in any order; what counts is how many rows from the beginning are there."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from embedstack.databases.database import Points
from embedstack.errors import Mismatch
from embedstack.loading.stopping import Stop, Stopped
from embedstack.loading.streams import Streams

PATIENCE_S = 10.0


def batch(*ids: int) -> Points:
    return Points(ids=ids, vectors={}, payloads=[{}] * len(ids))


class Doors:
    """Writes that end when they are let through."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, ...]] = []
        self.wrong: dict[int, Exception] = {}
        self._open: set[int] = set()
        self._changed = threading.Condition()

    def write(self, points: Points) -> None:
        with self._changed:
            self.begun.append(tuple(points.ids))
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: points.ids[0] in self._open, PATIENCE_S)
        if points.ids[0] in self.wrong:
            raise self.wrong[points.ids[0]]

    def let(self, *firsts: int) -> None:
        with self._changed:
            self._open.update(firsts)
            self._changed.notify_all()

    def wait(self, is_so: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(is_so, PATIENCE_S)


def until(streams: Streams, is_so: Callable[[], bool]) -> None:
    """Wait for the threads."""
    with streams._changed:
        assert streams._changed.wait_for(is_so, PATIENCE_S)


@pytest.fixture
def doors() -> Doors:
    return Doors()


@contextmanager
def entered(doors: Doors, count: int = 2, stop: Stop | None = None, done: int = 0) -> Iterator[Streams]:
    with Streams(doors.write, count, stop or Stop(), done=done) as streams:
        yield streams
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embedstack-load")]


def test_rows_count_only_without_a_gap(doors: Doors) -> None:
    with entered(doors, done=10) as streams:
        streams.put(batch(1, 2, 3))
        streams.put(batch(4))
        streams.put(batch(5, 6))
        doors.wait(lambda: len(doors.begun) == 2)
        doors.let(4, 5)
        until(streams, lambda: len(streams._ended) == 2)
        behind_the_gap = streams.done
        doors.let(1)
        streams.finish()

    assert (behind_the_gap, streams.done) == (10, 16)


def test_several_are_written_at_a_time_and_few_wait(doors: Doors) -> None:
    with entered(doors, count=3) as streams:
        for number in range(3 + 6):
            streams.put(batch(number))
        doors.wait(lambda: len(doors.begun) == 3)
        late = threading.Thread(target=streams.put, args=(batch(99),))
        late.start()
        late.join(0.05)
        was_waiting = late.is_alive()
        doors.let(*range(100))
        late.join(PATIENCE_S)
        streams.finish()

    assert was_waiting
    assert streams.done == 10


def test_a_later_row_of_an_id_is_written_after_the_earlier_one(doors: Doors) -> None:
    with entered(doors) as streams:
        streams.put(batch(1, 2))
        late = threading.Thread(target=streams.put, args=(batch(3, 2),))
        late.start()
        doors.wait(lambda: len(doors.begun) == 1)
        late.join(0.05)
        was_waiting = late.is_alive()
        doors.let(1, 3)
        late.join(PATIENCE_S)
        streams.finish()

    assert was_waiting
    assert doors.begun == [(1, 2), (3, 2)]


def test_the_first_error_ends_all_and_is_raised(doors: Doors) -> None:
    stop, streams = Stop(), Streams(doors.write, 2, Stop())
    doors.wrong[2] = Mismatch("another space")

    def feed() -> None:
        nonlocal streams
        with entered(doors, stop=stop) as streams:
            for number in range(1, 7):
                streams.put(batch(number))
            doors.wait(lambda: len(doors.begun) == 2)
            doors.let(2)
            until(streams, lambda: streams._error is not None)
            doors.let(1)
            streams.finish()

    with pytest.raises(Mismatch, match="another space"):
        feed()

    assert sorted(doors.begun) == [(1,), (2,)]
    assert streams.done == 1
    assert stop.is_wanted


def test_an_error_reaches_who_waits_for_room(doors: Doors) -> None:
    doors.wrong[0] = Mismatch("another space")

    with pytest.raises(Mismatch):
        feed_more_than_there_is_room_for(doors, Stop(), lambda: doors.let(0))


def test_who_waits_for_room_hears_that_the_end_is_wanted(doors: Doors) -> None:
    stop = Stop()

    with pytest.raises(Stopped):
        feed_more_than_there_is_room_for(doors, stop, lambda: (stop.ask(15), doors.let(0)))

    assert doors.begun == [(0,)]


def feed_more_than_there_is_room_for(doors: Doors, stop: Stop, meanwhile: Callable[[], object]) -> None:
    with entered(doors, count=1, stop=stop) as streams:
        later = threading.Timer(0.02, meanwhile)
        later.start()
        try:
            for number in range(10):
                streams.put(batch(number))
        finally:
            later.join()


def test_what_is_in_flight_ends_when_the_feeder_fails_and_what_waits_does_not(doors: Doors) -> None:
    streams = Streams(doors.write, 2, Stop())

    def feed() -> None:
        nonlocal streams
        with entered(doors) as streams:
            for number in range(5):
                streams.put(batch(number))
            doors.wait(lambda: len(doors.begun) == 2)
            threading.Timer(0.02, doors.let, range(5)).start()
            raise ValueError("torn")

    with pytest.raises(ValueError, match="torn"):
        feed()

    assert (streams.done, len(doors.begun)) == (2, 2)


def test_nothing_to_write_is_no_trouble(doors: Doors) -> None:
    with entered(doors, done=7) as streams:
        streams.finish()

    assert streams.done == 7
