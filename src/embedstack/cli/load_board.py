"""What a load says -> a bar for people, a line now and then where nobody sees one, or JSON lines for machines."""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from types import TracebackType
from typing import NoReturn

import click
import orjson
from tqdm import tqdm

from embedstack.catalog.network import to_stderr
from embedstack.loading.wish import Summary

LINE_S = 30.0  # between two lines where nobody sees a bar
EVENT_S = 1.0  # between two events for machines


class LoadBoard:
    """Shows a load while it runs.

    With JSON each line of stdout is an event: `note`, `rows` once a second, and `ended` at the end.

    Args:
        is_sure: nobody is asked before points are deleted.
        is_shown: whether the bar is drawn; asked of stderr if None.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        *,
        is_json: bool,
        is_sure: bool,
        is_shown: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_json, self._is_sure, self._clock = is_json, is_sure, clock
        self._is_shown = (sys.stderr.isatty() if is_shown is None else is_shown) and not is_json
        self._bar: tqdm[NoReturn] | None = None
        self._lock = threading.Lock()
        self._said_s = clock()
        self._first: tuple[float, int] | None = None  # when the first rows were told, and how many were there
        self.done = 0

    def __enter__(self) -> "LoadBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def rows(self, done: int, total: int | None) -> None:
        """So many rows of the table are there."""
        with self._lock:
            self.done = done
            if self._first is None:
                self._first = self._clock(), done
            if self._is_shown:
                self._draw(done, total)
            elif self._clock() - self._said_s >= (EVENT_S if self._is_json else LINE_S):
                self._said_s = self._clock()
                self._tell(done, total)

    def note(self, text: str) -> None:
        """A line for people, above the bar."""
        with self._lock:
            if self._bar is not None:
                self._bar.clear()
            if self._is_json:
                event(event="note", text=text)
            to_stderr(text)
            if self._bar is not None:
                self._bar.refresh()

    def may_delete(self, count: int, name: str) -> bool:
        """Ask, unless nobody wants to be asked; no bar is drawn behind the question."""
        self._close()
        self.note(f"{count:,} points of collection {name!r} are not in this table")
        return self._is_sure or click.confirm("delete them?", err=True)

    def _close(self) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.close()
            self._bar = None

    def _draw(self, done: int, total: int | None) -> None:
        if self._bar is None:
            self._bar = tqdm(total=total, initial=done, unit=" rows", unit_scale=True)
        self._bar.update(done - self._bar.n)

    def _tell(self, done: int, total: int | None) -> None:
        per_s = self._per_s(done)
        left_s = (total - done) / per_s if per_s and total is not None else None
        if self._is_json:
            event(event="rows", done=done, total=total, rows_per_s=per_s, eta_s=left_s)
            return
        parts = [
            f"{done:,} rows" if total is None else f"{done:,} of {total:,} rows",
            f"{per_s:,.0f} rows/s",
            f"{timedelta(seconds=round(left_s))} left" if left_s is not None else "",
        ]
        to_stderr(", ".join(part for part in parts if part))

    def _per_s(self, done: int) -> float:
        """Of this run."""
        if self._first is None or self._clock() <= self._first[0]:
            return 0.0
        return (done - self._first[1]) / (self._clock() - self._first[0])


def event(**said: object) -> None:
    """A line for machines."""
    click.echo(orjson.dumps(said).decode())


def say_end(summary: Summary | None, *, error: str = "", code: str = "", exit_code: int = 0) -> None:
    """The last line for machines."""
    event(event="ended", error=error, code=code, exit_code=exit_code, **(asdict(summary) if summary else {}))


def told(summary: Summary) -> str:
    """The last line for people."""
    if summary.dry_run:
        return "nothing was written: --dry-run"
    per_s = summary.written / summary.took_s if summary.took_s else 0.0
    kinds = [f"{count:,} {name}" for count, name in ((summary.numbers, "numbers"), (summary.uuids, "UUIDs")) if count]
    deleted = summary.deleted + summary.pruned
    parts = [
        f"{summary.written:,} rows in {summary.took_s:.1f} s ({per_s:,.0f} rows/s)" if summary.written else "",
        f"ids: {', '.join(kinds)}" if len(kinds) > 1 else "",
        f"{deleted:,} points deleted" if deleted else "",
        f"alias {summary.alias!r} stands for it" if summary.alias else "",
        f"collection {summary.collection!r} now has {summary.points:,} points",
    ]
    return "; ".join(part for part in parts if part)
