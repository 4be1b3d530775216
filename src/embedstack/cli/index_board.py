"""What an index says -> a bar for people, a line now and then where nobody sees one, or JSON lines for machines."""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

from tqdm import tqdm

from embedstack.catalog.network import to_stderr
from embedstack.cli.load_board import EVENT_S, LINE_S, event
from embedstack.cli.search_shown import plain
from embedstack.indexing.wish import LeftOut, Summary

SHOWN = 20  # documents that are left out by name; of the others it is said how many there are
NONE_YET = 0.1  # seconds, below which a rate says nothing


class IndexBoard:
    """Shows an index while it runs; what is said to it may come from several threads.

    With JSON each line of stdout is an event: `note`, `left_out`, `docs` once a second, and `ended` at the end.

    Args:
        is_shown: whether the bar is drawn; asked of stderr if None.
        clock: seconds that never go back.
    """

    def __init__(
        self, *, is_json: bool, is_shown: bool | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_json, self._clock = is_json, clock
        self._is_shown = (sys.stderr.isatty() if is_shown is None else is_shown) and not is_json
        self._lock = threading.RLock()
        self._bar: tqdm[NoReturn] | None = None
        self._said_s = self._began_s = clock()
        self._total = self._docs = self._chunks = self._tokens = self._left_out = 0

    def __enter__(self) -> "IndexBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._close()
            if self._left_out > SHOWN and not self._is_json:
                to_stderr(f"and {self._left_out - SHOWN:,} more are left out; --json names all")

    def looked(self, docs: int) -> None:
        """So many documents were compared with the collection."""
        with self._lock:
            if self._is_shown:
                self._draw(docs, None, "comparing")
            elif self._is_due():
                self._tell(f"{docs:,} documents compared", phase="compared", docs=docs)

    def begins(self, docs: int) -> None:
        """So many documents are embedded from now on."""
        with self._lock:
            self._close()
            self._total, self._began_s = docs, self._clock()

    def did(self, docs: int, chunks: int, tokens: int) -> None:
        """So many more are there."""
        with self._lock:
            self._docs, self._chunks, self._tokens = self._docs + docs, self._chunks + chunks, self._tokens + tokens
            if self._is_shown:
                self._draw(self._docs, self._total, f"{self._chunks:,} chunks, {self._per_s():,.0f} tokens/s")
            elif self._is_due():
                rate = f"{self._per_s():,.0f} tokens/s"
                self._tell(
                    f"{self._docs:,} of {self._total:,} documents, {self._chunks:,} chunks, {rate}",
                    phase="embedded", docs=self._docs, total=self._total, chunks=self._chunks, tokens=self._tokens,
                )  # fmt: skip

    def left_out(self, one: LeftOut) -> None:
        """A document is not there, and why; the first of them by name."""
        with self._lock:
            self._left_out += 1
            if self._is_json:
                event(event="left_out", doc_id=one.doc_id, file=one.file, code=one.code, message=one.message)
            elif self._left_out <= SHOWN:
                self._say(f"left out: {one.doc_id}: {one.message} ({one.code})")

    def note(self, text: str) -> None:
        """A line for people, above the bar."""
        with self._lock:
            if self._is_json:
                event(event="note", text=text)
            self._say(text)

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        to_stderr(plain(text))
        if self._bar is not None:
            self._bar.refresh()

    def _draw(self, done: int, total: int | None, text: str) -> None:
        if self._bar is None:
            self._bar = tqdm(total=total, unit=" documents")
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(done - self._bar.n)

    def _is_due(self) -> bool:
        if self._clock() - self._said_s < (EVENT_S if self._is_json else LINE_S):
            return False
        self._said_s = self._clock()
        return True

    def _tell(self, text: str, **numbers: object) -> None:
        if self._is_json:
            event(event="docs", **numbers)
        else:
            to_stderr(text)

    def _per_s(self) -> float:
        took_s = self._clock() - self._began_s
        return self._tokens / took_s if took_s > NONE_YET else 0.0

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None


def say_end(summary: Summary | None, *, error: str = "", code: str = "", exit_code: int = 0) -> None:
    """The last line for machines."""
    event(event="ended", error=error, code=code, exit_code=exit_code, **(summary.as_json() if summary else {}))


def told(done: Summary) -> str:
    """The last lines for people."""
    verb = "would be " if done.dry_run else ""
    parts = [
        f"{done.new:,} new",
        f"{done.changed:,} changed",
        f"{done.unchanged:,} unchanged",
        f"{done.gone:,} gone",
        *(f"{count:,} left out ({code})" for code, count in sorted(done.left_out.items())),
    ]
    lines = [f"{done.docs:,} documents: {', '.join(parts)}"]
    if done.dry_run:
        return "\n".join([*lines, f"nothing was written: --dry-run; {done.new + done.changed:,} {verb}embedded"])
    if done.chunks:
        rate = f"{done.tokens / done.embed_s:,.0f} tokens/s" if done.embed_s > NONE_YET else ""
        wrote = [f"{done.chunks:,} chunks of {done.tokens:,} tokens written in {done.took_s:.1f} s", rate]
        lines.append(", ".join(part for part in wrote if part))
    return "\n".join([*lines, f"collection {done.collection!r} has {done.points:,} points of {done.model!r}"])
