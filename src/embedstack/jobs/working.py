"""Work that is given as a coroutine -> the same in a process that says what it does in lines, and ends when asked."""

import asyncio
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Thread

import msgspec

from embedstack.errors import EmbedstackError
from embedstack.jobs.events import Ended, Event

Say = Callable[[Event], None]
Work = Callable[[], Coroutine[object, object, Ended]]
STOPPED = "stopped"
SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE_S = 5.0  # for what runs, once the process above is gone


def work_here(work: Work) -> Ended:
    """Run it to its end, or until SIGTERM or SIGINT; then nothing is finished, and what is committed stays.

    An error of ours is told in what is returned; any other is raised.
    """
    return asyncio.run(_until_told(work))


async def _until_told(work: Work) -> Ended:
    running = asyncio.ensure_future(_guarded(work))
    told: list[int] = []

    def stop(number: int) -> None:
        told.append(number)
        running.cancel()

    with on_signals(stop):
        try:
            return await running
        except asyncio.CancelledError:
            if not told:
                raise
            return stopped(told[0])


async def _guarded(work: Work) -> Ended:
    try:
        return await work()
    except EmbedstackError as error:
        return failed(error)


def failed(error: EmbedstackError) -> Ended:
    """The end that an error makes."""
    return Ended(done=0, lost=0, error=str(error), code=error.code, exit_code=error.exit_code)


def stopped(number: int) -> Ended:
    """The end that a signal makes; 130 and 143 are what shells say of these two."""
    name = signal.Signals(number).name
    message = f"{name} came; what is committed stays, run the same command again to go on"
    return Ended(done=0, lost=0, error=message, code=STOPPED, exit_code=128 + number)


@contextmanager
def on_signals(stop: Callable[[int], None]) -> Iterator[None]:
    """Within it a signal to end is told to `stop` in the running loop; nothing changes outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number] or signal.SIG_DFL)  # the loop has put back the default


class Signalled(BaseException):
    """A signal to end came; no `Exception`, so that nothing on its way takes it for a failure."""

    def __init__(self, number: int) -> None:
        self.number = number


def ended_by(work: Callable[[], Ended]) -> Ended:
    """What is no coroutine, in the same way: its end, that of an error of ours, or that of a signal."""
    if threading.current_thread() is not threading.main_thread():
        return _end_of(work)

    def stop(number: int, frame: object) -> None:
        raise Signalled(number)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        return _end_of(work)
    except Signalled as told:
        return stopped(told.number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_of(work: Callable[[], Ended]) -> Ended:
    try:
        return work()
    except EmbedstackError as error:
        return failed(error)


# ------------------------------------------------------------------------------------------------ as a child


@contextmanager
def speaking() -> Iterator[Say]:
    """Within it stdout belongs to events alone: whatever else is printed goes to stderr."""
    sys.stdout.flush()
    out = os.dup(1)
    os.dup2(2, 1)
    lock = Lock()

    def say(event: Event) -> None:
        line = msgspec.json.encode(event) + b"\n"
        with lock:
            _write_all(out, line)

    try:
        yield say
    finally:
        sys.stdout.flush()
        os.dup2(out, 1)
        os.close(out)


def _write_all(out: int, data: bytes) -> None:
    """A pipe may take a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(out, rest) :]


def end_with_parent(grace_s: float = GRACE_S) -> None:
    """Ask this process to end once nobody holds the other end of its stdin; only where that is a pipe.

    Args:
        grace_s: after which it is ended without being asked.
    """
    with suppress(OSError):
        kind = os.fstat(0).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
            Thread(target=_wait_for_end, args=(grace_s,), name="embedstack-parent", daemon=True).start()


def _wait_for_end(grace_s: float) -> None:
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    end = threading.Timer(grace_s, os._exit, (128 + signal.SIGTERM,))
    end.daemon = True
    end.start()
    os.kill(os.getpid(), signal.SIGTERM)
