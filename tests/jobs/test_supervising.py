"""Several processes as one: who dies is started again, who fails ends all, and nothing of them stays behind."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence

import pytest

from embedstack.errors import ConfigError
from embedstack.jobs.events import Ended, Event
from embedstack.jobs.quarantine import BARREN, BLAMED, SUSPECT, Quarantine
from embedstack.jobs.supervising import LONGEST_LINE, SHOWN, Careful, Supervisor
from support.job_children import ENDED, KILLED, child
from support.job_events import as_line, did, started, took, trying

FAILED = '{"event":"ended","done":0,"lost":0,"error":"no such place","code":"config","exit_code":2}'
Words = Callable[[int, Careful], Sequence[str]]
pytestmark = pytest.mark.faults


class Heard:
    """What a supervisor passed on."""

    def __init__(self, words: Words, processes: int = 1, *, also: Callable[[], None] = lambda: None) -> None:
        self.events: list[tuple[int, Event]] = []
        self.notes: list[str] = []
        self.gone: list[int] = []
        self._also = also
        self.supervisor = Supervisor(
            words,
            processes,
            told=self._told,
            gone=self.gone.append,
            note=self.notes.append,
            quarantine=Quarantine(first_pause_s=0.0),
        )

    def _told(self, seat: int, event: Event) -> None:
        self.events.append((seat, event))
        self._also()

    def run(self) -> Ended:
        return asyncio.run(asyncio.wait_for(self.supervisor.run(), 60))


def in_turn(*lines: Sequence[str]) -> tuple[Words, list[Careful]]:
    """One command line after the other; what each was told to be careful with."""
    left, told = iter(lines), []

    def words(seat: int, careful: Careful) -> Sequence[str]:
        told.append(dict(careful))
        return next(left)

    return words, told


def test_all_parts_are_done_and_counted_together() -> None:
    heard = Heard(lambda seat, careful: child(started(), did(seat), ENDED), processes=2)

    ended = heard.run()

    assert (ended.exit_code, ended.done) == (0, 2)


def test_every_event_is_passed_on_with_its_part() -> None:
    heard = Heard(lambda seat, careful: child(took(seat), ENDED), processes=2)

    heard.run()

    assert {(seat, event.shard) for seat, event in heard.events if type(event) is type(took(0))} == {(0, 0), (1, 1)}


def test_who_dies_is_started_again() -> None:
    words, _ = in_turn(child(started(), took(3), KILLED), child(took(3), did(3), ENDED))
    heard = Heard(words)

    ended = heard.run()

    assert (ended.exit_code, ended.done, heard.gone) == (0, 1, [0, 0])
    assert "over shard 3 (by SIGKILL)" in heard.notes[0]


def test_who_dies_twice_over_a_shard_is_careful_the_third_time() -> None:
    dying = [child(started(), took(3), KILLED)] * SUSPECT
    words, told = in_turn(*dying, child(ENDED))

    Heard(words).run()

    assert told == [{}] * SUSPECT + [{3: frozenset()}]


def test_the_document_that_kills_is_left_out_of_the_next_try() -> None:
    words, told = in_turn(*[child(trying(3, 0), trying(3, 1), KILLED)] * BLAMED, child(ENDED))

    Heard(words).run()

    assert told[-1] == {3: frozenset({1})}


def test_who_dies_before_it_begins_anything_ends_the_job_with_its_last_words() -> None:
    words, _ = in_turn(*[child("error:no memory", "exit:1")] * BARREN)

    ended = Heard(words).run()

    assert ended.exit_code == 6
    assert "with exit code 1: no memory" in ended.error


def test_an_error_that_one_part_says_ends_the_others_and_is_the_end() -> None:
    heard = Heard(lambda seat, careful: child(FAILED) if seat == 0 else child("wait"), processes=2)

    ended = heard.run()

    assert (ended.exit_code, ended.error) == (2, "no such place")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_told_by_the_exit_code(number: int) -> None:
    ends = [os.kill]
    heard = Heard(lambda seat, careful: child(did(seat), "wait"), also=lambda: ends and ends.pop()(os.getpid(), number))

    ended = heard.run()

    assert (ended.exit_code, ended.done) == (128 + number, 1)
    assert heard.gone == [0]


def test_who_was_asked_to_end_by_somebody_else_is_started_again() -> None:
    stopped = '{"event":"ended","done":0,"lost":0,"error":"","code":"stopped","exit_code":143}'
    words, told = in_turn(child(took(1), stopped, "exit:143"), child(took(1), stopped, "exit:143"), child(ENDED))

    ended = Heard(words).run()

    assert (ended.exit_code, told[-1]) == (0, {})


def test_a_line_that_was_not_finished_is_not_heard() -> None:
    whole = as_line(did(3))
    words, _ = in_turn(child(took(3), f"half:{whole[:-1]}", KILLED), child(ENDED))
    heard = Heard(words)

    ended = heard.run()

    assert (ended.exit_code, ended.done) == (0, 0)


def test_what_is_no_event_is_a_note() -> None:
    heard = Heard(lambda seat, careful: child("a warning of a library", ENDED))

    heard.run()

    assert heard.notes == ["a warning of a library"]


def test_a_line_without_an_end_stops_nobody_and_its_beginning_is_told() -> None:
    heard = Heard(lambda seat, careful: child(f"long:{LONGEST_LINE + 1}", "error:and on", ENDED))

    ended = heard.run()

    assert (ended.exit_code, heard.notes) == (0, ["x" * SHOWN, "and on"])


def test_what_a_part_of_several_says_on_stderr_is_told_with_its_number() -> None:
    heard = Heard(lambda seat, careful: child(f"error:ready {seat}", ENDED), processes=2)

    heard.run()

    assert sorted(heard.notes) == ["[0] ready 0", "[1] ready 1"]


def test_a_program_that_is_not_there_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="cannot be started"):
        Heard(lambda seat, careful: ["/nowhere/python"]).run()
