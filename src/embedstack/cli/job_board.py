"""What the processes of a job say -> a bar for people or JSON lines for machines, and numbers for who scrapes them."""

import socket
import threading
import time
from collections.abc import Callable, Set
from contextlib import ExitStack, suppress
from dataclasses import asdict
from types import TracebackType

import click
import msgspec
import orjson

from embedstack.catalog.network import to_stderr
from embedstack.errors import EmbedstackError
from embedstack.jobs.events import Did, Ended, Event, Lost, Started
from embedstack.jobs.metrics import JobSeries, scraped
from embedstack.jobs.plan import Plan
from embedstack.jobs.progress import Bar, Done, Seen, Tally

TOTALS_S = 1.0  # between two lines of totals
LOOK_S = 60.0  # between two looks at what others have done: a listing of thousands of files in a bucket


class Board:
    """Shows a job while it runs. What is said to it may come from several threads.

    With JSON each line of stdout is an event with the number of its process, or `totals` of the whole job once a
    second, and the last one is the end.

    Args:
        before: what was done before this run.
        is_sample: most of the input is left out on purpose, so none of it is called new.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        plan: Plan,
        before: Done,
        *,
        is_json: bool,
        is_sample: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self._is_json, self._clock = plan, is_json, clock
        self.tally = Tally(plan, before, clock=clock)
        self._bar = Bar(to_stderr, is_shown=False if is_json else None, clock=clock)
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._totals_s = float("-inf")
        self._done = self._lost = 0
        self._has_noted = is_sample

    def __enter__(self) -> "Board":
        self._stack.enter_context(self._bar)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def serve(self, host: str, port: int, price: float | None) -> int:
        """Answer Prometheus until the end; the port.

        Raises:
            ConfigError: the address cannot be listened at.
        """
        series = JobSeries(self._seen, instance=socket.gethostname(), model=self._plan.wish.model, price=price)
        return self._stack.enter_context(scraped(series, host, port))

    def watch(
        self, committed: Callable[[], Set[int]], done_of: Callable[[Set[int]], Done], every_s: float = LOOK_S
    ) -> None:
        """Until the end look now and then at what is committed, also by those who work on the same job elsewhere."""
        over = threading.Event()
        looking = threading.Thread(target=self._look, args=(committed, done_of, every_s, over), daemon=True)
        looking.start()
        self._stack.callback(over.set)

    def _look(
        self,
        committed: Callable[[], Set[int]],
        done_of: Callable[[Set[int]], Done],
        every_s: float,
        over: threading.Event,
    ) -> None:
        while not over.wait(every_s):
            with suppress(EmbedstackError):  # whoever works there meets it, too, and says so
                found = committed()
                with self._lock:
                    self.tally.looked(found, done_of)

    def told(self, seat: int, event: Event) -> None:
        """A process said something."""
        with self._lock:
            self._done += isinstance(event, Did)
            self._lost += isinstance(event, Lost)
            is_first = not self.tally.exact_note
            self.tally.told(seat, event)
            if self._is_json and not isinstance(event, Ended):
                _line({"process": seat, **msgspec.to_builtins(event)})
            if isinstance(event, Started) and event.exact_note and is_first:
                self._bar.note(event.exact_note)
            if isinstance(event, Started):
                self._note_new(event.new_files)
            self._show(is_due=isinstance(event, Did))

    def gone(self, seat: int) -> None:
        """A process ended."""
        with self._lock:
            self.tally.gone(seat)

    def new_files(self, count: int) -> None:
        """The input has files that the plan has not."""
        with self._lock:
            self._note_new(count)

    def _note_new(self, count: int) -> None:
        if count and not self._has_noted:
            self._has_noted = True
            self._bar.note(f"not in the plan: {count:,} new files; for these plan again with --since")

    def note(self, text: str) -> None:
        """A line for people."""
        with self._lock:
            self._bar.note(text)

    def counted(self, ended: Ended) -> Ended:
        """With what all processes did."""
        return msgspec.structs.replace(ended, done=self._done, lost=self._lost)

    def _seen(self) -> Seen:
        with self._lock:
            return self.tally.now()

    def _show(self, *, is_due: bool) -> None:
        seen = self.tally.now()
        self._bar.show(seen)
        if self._is_json and (is_due or self._clock() - self._totals_s >= TOTALS_S):
            self._totals_s = self._clock()
            _line({"event": "totals", "share": seen.share, **asdict(seen)})


def say_end(ended: Ended) -> None:
    """The last line for machines."""
    _line(msgspec.to_builtins(ended))


def _line(value: object) -> None:
    click.echo(orjson.dumps(value).decode())
