"""An order -> a process that works on it, begun with all imports done, its log, and signals to it."""

import contextlib
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext

import psutil

from support.killing import Order, work

PATIENCE_S = 60.0
LOOK_S = 0.005
RUSAGE_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes
Line = dict[str, object]
_one = threading.Lock()  # processes may be started and asked for their end from one thread at a time


class Run:
    """A process that works on an order."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.over = threading.Event()
        with _one:
            self._process = context().Process(target=work, args=(order,), daemon=True)
            self._process.start()
        self.pid = self._process.pid

    def ended(self) -> int:
        """Wait for its end: the exit code, or the number of the signal below 0."""
        assert wait([self._process.sentinel], PATIENCE_S), f"a runner did not end in {PATIENCE_S:g} s"
        with _one:
            code = self._process.exitcode
        self.over.set()
        return code

    @property
    def sentinel(self) -> int:
        """Becomes readable when the process is gone."""
        return self._process.sentinel

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return bool(wait([self._process.sentinel], 0))

    def send(self, number: int) -> None:
        """A signal, if it is still there."""
        if not self.has_ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def lines(self) -> list[Line]:
        """Of its log."""
        data = self.order.log.read_bytes() if self.order.log.exists() else b""
        return [json.loads(line) for line in data.splitlines()]

    @property
    def writes(self) -> list[Line]:
        """That it began."""
        return [line for line in self.lines if "write" in line]

    @property
    def said(self) -> str:
        """Its error, if it ended in one."""
        ends = [line for line in self.lines if "message" in line]
        return " ".join(f"{line.get('error', line.get('ended'))}: {line['message']}" for line in ends)

    @property
    def peak_bytes(self) -> int:
        """The most memory that it had; it must have ended by itself."""
        return next(line["peak"] for line in self.lines if "peak" in line) * RUSAGE_UNIT

    def shards(self, event: str) -> list[int]:
        """Of which it said this, in order."""
        return [line["shard"] for line in self.lines if line.get("event") == event]

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Look until it is so."""
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end, f"never: {what}; {self.said}"
            self.over.wait(LOOK_S)

    def stopped(self) -> None:
        """Wait until a signal holds it."""
        self.until(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED, "it was stopped")


@cache
def context() -> ForkServerContext:
    """Where processes come from that have their imports done."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["support.killing"])
    with variables(PYTHONPATH=os.pathsep.join(path for path in sys.path if path)):
        forkserver.ensure_running()
    return made


@contextlib.contextmanager
def variables(**given: str) -> Iterator[None]:
    """The environment within this."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
