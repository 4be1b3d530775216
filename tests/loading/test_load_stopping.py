"""Signals ask for the end while something is written, and are the end otherwise."""

import signal
import threading

import pytest

from embedstack.loading.stopping import Stop, Stopped, heard

PATIENCE_S = 10.0


def test_where_nothing_is_written_a_signal_is_the_end() -> None:
    stop = Stop()

    with pytest.raises(Stopped), heard(stop):
        signal.raise_signal(signal.SIGTERM)

    assert stop.number == signal.SIGTERM


def test_while_something_is_written_the_first_asks_and_the_second_ends() -> None:
    stop, codes = Stop(), list[int]()

    with heard(stop, leave=codes.append), stop.busy():
        signal.raise_signal(signal.SIGINT)
        after_one = (stop.number, stop.is_wanted, list(codes))
        signal.raise_signal(signal.SIGTERM)

    assert after_one == (signal.SIGINT, True, [])
    assert codes == [128 + signal.SIGTERM]


def test_a_grace_that_is_over_ends_it() -> None:
    stop, codes, left = Stop(), list[int](), threading.Event()

    def leave(code: int) -> None:
        codes.append(code)
        left.set()

    with heard(stop, grace_s=0.01, leave=leave), stop.busy():
        signal.raise_signal(signal.SIGINT)
        assert left.wait(PATIENCE_S)

    assert codes == [130]


def test_what_ends_in_time_is_left_alone() -> None:
    before, codes = threading.active_count(), list[int]()

    with heard(stop := Stop(), leave=codes.append), stop.busy():
        signal.raise_signal(signal.SIGINT)

    assert (codes, threading.active_count()) == ([], before)


def test_within_what_is_written_there_is_room_for_a_question() -> None:
    stop = Stop()

    with pytest.raises(Stopped), heard(stop), stop.busy(), stop.busy(False):
        signal.raise_signal(signal.SIGINT)

    assert not stop.is_busy


def test_afterwards_signals_mean_what_they_meant_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    with heard(Stop()):
        pass

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_another_thread_hears_nothing_and_is_no_worse_for_it() -> None:
    seen: list[object] = []

    def work() -> None:
        with heard(Stop()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE_S)

    assert seen == [signal.getsignal(signal.SIGINT)]


def test_a_pause_ends_when_the_end_is_wanted() -> None:
    stop = Stop()
    threading.Timer(0.01, stop.give_up).start()

    stop.pause(PATIENCE_S * 100)

    assert (stop.is_wanted, stop.number) == (True, 0)
    stop.check()
