"""What lanes ran, what shards were made of and what was committed -> the totals of a runner."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from embedstack.jobs.commit import Commit
from embedstack.jobs.events import Progress
from embedstack.jobs.shard_work import Made
from embedstack.types import Encoder
from embedstack.watching import BatchRun, ShowsBatches


@dataclass(slots=True)
class Failed:
    """What counts against the error budget, and why."""

    docs: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # of all dead letters

    def add(self, commit: Commit) -> None:
        """One more shard."""
        self.docs += commit.docs_failed
        for code, count in commit.reasons.items():
            self.reasons[code] = self.reasons.get(code, 0) + count


@dataclass(slots=True)
class Sums:
    """What one runner did, and what failed in the whole job as far as it knows."""

    done: int = 0
    lost: int = 0
    failed: Failed = field(default_factory=Failed)

    def did(self, commit: Commit) -> None:
        """One more."""
        self.done += 1
        self.failed.add(commit)


class Counting:
    """Totals of one process. Lanes tell theirs from their threads; where there are none, tokens come by shards."""

    def __init__(self, encoder: Encoder, spool_bytes: Callable[[], int]) -> None:
        self._encoder, self._spool_bytes = encoder, spool_bytes
        self._lock = Lock()
        self._docs = self._chunks = self._tokens = self._places = self._lanes = 0
        self._busy_s = 0.0
        self._said: Progress | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within it batches are counted."""
        if not isinstance(self._encoder, ShowsBatches):
            yield
            return
        listeners = self._encoder.on_batch
        listeners.append(self._ran)
        try:
            yield
        finally:
            listeners.remove(self._ran)

    def made(self, docs: int, made: Made) -> None:
        """A shard's vectors are there."""
        with self._lock:
            self._docs += docs
            self._chunks += len(made.dense)
            if not isinstance(self._encoder, ShowsBatches):
                self._tokens += made.tokens

    def news(self) -> Progress | None:
        """The totals, if they are not those of last time."""
        with self._lock:
            now = Progress(
                docs=self._docs,
                chunks=self._chunks,
                tokens=self._tokens,
                busy_s=self._busy_s,
                lanes=self._lanes,
                places=self._places,
                spool_bytes=self._spool_bytes(),
            )
        if now == self._said:
            return None
        self._said = now
        return now

    def _ran(self, run: BatchRun) -> None:
        with self._lock:
            self._tokens += run.tokens
            self._places += run.padded
            self._busy_s += run.run_s
            self._lanes = max(self._lanes, run.lane + 1)
