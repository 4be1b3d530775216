"""A part of a job as a process of its own: stdout is for events, and it ends when it is asked to or left alone."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest

from embedstack.errors import Overloaded
from embedstack.jobs.events import Ended
from embedstack.jobs.working import STOPPED, ended_by, work_here

PATIENCE_S = 60
SPEAKING = """
import os, sys
from embedstack.jobs.events import Took
from embedstack.jobs.working import speaking
with speaking() as say:
    print("a library's own words")
    os.system("echo a program\\\\'s own words")
    say(Took(shard=3))
print("behind it")
"""
WAITING = """
import asyncio
from embedstack.jobs.events import Took
from embedstack.jobs.working import end_with_parent, speaking, work_here
async def wait():
    say(Took(shard=3))
    await asyncio.Event().wait()
with speaking() as say:
    end_with_parent()
    raise SystemExit(work_here(wait).exit_code)
"""
SIGNALLED = """
import asyncio, json, os, signal, sys
from embedstack.jobs.events import Ended
from embedstack.jobs.working import ended_by, work_here
number = int(sys.argv[1])
before = signal.getsignal(number)
async def done():
    return Ended(done=2, lost=1)
def strike():
    os.kill(os.getpid(), number)
    raise AssertionError
"""
NO_COROUTINE = "print(json.dumps([ended_by(strike).exit_code, signal.getsignal(number) == before]))"
BEHIND_A_LOOP = """
def work():
    work_here(done)
    strike()
print(json.dumps([ended_by(work).code, signal.getsignal(number) == before]))
"""
WAITS = """
cleaned = []
async def waits():
    os.kill(os.getpid(), number)
    try:
        await asyncio.Event().wait()
    finally:
        cleaned.append(True)
ended = work_here(waits)
print(json.dumps([ended.code, ended.exit_code, cleaned == [True]]))
"""
DEAF = WAITING.replace("end_with_parent()", "end_with_parent(0.1)").replace(
    "await asyncio.Event().wait()", "import time; time.sleep(600)"
)


def started(code: str, **pipes: int) -> subprocess.Popen[bytes]:
    words: Sequence[str] = [sys.executable, "-c", code]
    return subprocess.Popen(words, stdout=subprocess.PIPE, **pipes)


def said(code: str, number: int) -> list[object]:
    """What a process prints that sends itself a signal."""
    words = [sys.executable, "-c", SIGNALLED + code, str(int(number))]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, timeout=PATIENCE_S).stdout)


async def done() -> Ended:
    return Ended(done=2, lost=1)


def test_work_that_is_done_is_told() -> None:
    assert work_here(done) == Ended(done=2, lost=1)


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_what_is_no_coroutine_in_the_same_way(number: int) -> None:
    assert said(NO_COROUTINE, number) == [128 + number, True]


@pytest.mark.faults
def test_a_signal_counts_also_behind_work_that_had_a_loop() -> None:
    assert said(BEHIND_A_LOOP, signal.SIGTERM) == [STOPPED, True]


def test_an_error_of_ours_is_the_end_of_what_is_no_coroutine() -> None:
    def fails() -> Ended:
        raise Overloaded("too much waits")

    assert (ended_by(fails).exit_code, ended_by(fails).error) == (Overloaded.exit_code, "too much waits")


def test_an_error_of_ours_is_told_with_its_code() -> None:
    async def fails() -> Ended:
        raise Overloaded("too much waits")

    ended = work_here(fails)

    assert (ended.error, ended.code, ended.exit_code) == ("too much waits", "overloaded", 4)


def test_an_error_of_nobody_is_raised() -> None:
    async def fails() -> Ended:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work_here(fails)


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_the_exit_code_of_shells(number: int) -> None:
    assert said(WAITS, number) == [STOPPED, 128 + number, True]


def test_signals_are_as_before_once_it_is_over() -> None:
    before = signal.getsignal(signal.SIGTERM)

    work_here(done)

    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.faults
def test_stdout_belongs_to_events_whoever_prints() -> None:
    with started(SPEAKING, stderr=subprocess.PIPE) as process:
        out, errors = process.communicate(timeout=PATIENCE_S)

    assert out.splitlines() == [b'{"event":"took","shard":3}', b"behind it"]
    assert sorted(errors.splitlines()) == [b"a library's own words", b"a program's own words"]


@pytest.mark.faults
def test_it_ends_when_nobody_holds_its_stdin_any_more() -> None:
    with started(WAITING, stdin=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdin.close()

        code = process.wait(PATIENCE_S)

    assert code == 128 + signal.SIGTERM


@pytest.mark.faults
def test_what_does_not_listen_ends_all_the_same() -> None:
    with started(DEAF, stdin=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdin.close()

        code = process.wait(PATIENCE_S)

    assert code == 128 + signal.SIGTERM


@pytest.mark.faults
def test_a_stdin_that_is_no_pipe_ends_nothing() -> None:
    with started(WAITING, stdin=subprocess.DEVNULL) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)

        code = process.wait(PATIENCE_S)

    assert code == 128 + signal.SIGINT
