"""Ctrl-C and SIGTERM become a wish to end that every thread of a load sees; the second one ends it at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE_S = 10.0  # for what is in flight; Docker kills after 10 s, too


class Stopped(BaseException):
    """Somebody wants the end; no `Exception`, so that nothing on its way takes it for a failure."""


class Stop:
    """Whether the end is wanted. Any thread may look."""

    def __init__(self) -> None:
        self.number = 0  # of the signal that came; 0 where nobody asked
        self.is_busy = False  # something is written, which is to end properly
        self._wanted = threading.Event()

    @property
    def is_wanted(self) -> bool:
        """By somebody, or because something failed: nothing is waited for any more."""
        return self._wanted.is_set()

    def ask(self, number: int) -> None:
        """A signal came."""
        self.number = number
        self._wanted.set()

    def give_up(self) -> None:
        """Something failed, and whoever waits for something else shall not."""
        self._wanted.set()

    def pause(self, pause_s: float) -> None:
        """Shorter where the end is wanted."""
        self._wanted.wait(pause_s)

    def check(self) -> None:
        """Raises: Stopped: somebody asked for the end."""
        if self.number:
            raise Stopped

    @contextmanager
    def busy(self, is_busy: bool = True) -> Iterator[None]:
        """Within it a signal only asks for the end, or if False raises Stopped at once."""
        before, self.is_busy = self.is_busy, is_busy
        try:
            yield
        finally:
            self.is_busy = before


@contextmanager
def heard(stop: Stop, *, grace_s: float = GRACE_S, leave: Callable[[int], None] = os._exit) -> Iterator[None]:
    """Within it the first signal asks for the end, and the second is the end; so is a grace that is over.

    Args:
        leave: ends the process with a code, whatever its threads do; given by tests.
    Raises:
        Stopped: a signal came, and nothing was being written.
    """
    timers: list[threading.Timer] = []

    def told(number: int) -> None:
        if stop.number:
            leave(128 + number)
        stop.ask(number)
        if not stop.is_busy:
            raise Stopped
        timers.append(threading.Timer(grace_s, leave, (128 + number,)))
        timers[-1].daemon = True
        timers[-1].start()

    try:
        with _told(told):
            yield
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()


@contextmanager
def _told(handler: Callable[[int], None]) -> Iterator[None]:
    """Only the main thread hears of signals; in another one nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda told, frame: handler(told)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)
