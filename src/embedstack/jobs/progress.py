"""What the processes of a job say -> how far it is, how fast, how long it will take; and a bar of it for people."""

import sys
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import NoReturn

import msgspec
from tqdm import tqdm

from embedstack.jobs.commit import Commit
from embedstack.jobs.events import Did, Ended, Event, Progress, Started
from embedstack.jobs.plan import Plan
from embedstack.jobs.rates import Rate

LINE_S = 30.0  # between two lines where nobody sees a bar
BAR = "{percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt}{unit}{postfix}"
NOTHING = Progress(docs=0, chunks=0, tokens=0, busy_s=0.0, lanes=0)
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a job has behind it before this run."""

    shards: int = 0
    docs: int = 0
    bytes: int = 0

    def without(self, commit: Commit) -> "Done":
        """One less."""
        return Done(shards=self.shards - 1, docs=self.docs - commit.docs, bytes=self.bytes - commit.input_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How a job stands."""

    shards: int
    shards_done: int
    docs: int
    docs_done: int  # those that are dead among them
    docs_dead: int  # in this run
    docs_failed: int  # of these, the ones that count against the error budget
    rows: int  # in this run
    tokens: int  # expected of the whole job; 0 while nobody knows
    tokens_done: int  # expected of what was done before, and those of this run
    tokens_here: int  # of this run alone
    tokens_read: int  # in this run, also what was lost with processes that died
    docs_here: int
    tokens_per_s: float
    docs_per_s: float
    busy: float  # share of the device's time that it computed
    padding: float  # share of what it computed that was nothing
    spool_bytes: int
    processes: int
    took_s: float
    eta_s: float | None  # None while nobody knows

    @property
    def share(self) -> float:
        """Of the work, by tokens; by documents where these are not known."""
        if self.shards_done >= self.shards:
            return 1.0
        whole, part = (self.tokens, self.tokens_done) if self.tokens else (self.docs, self.docs_done)
        return min(1.0, part / whole) if whole else 0.0


@dataclass(slots=True)
class _Seat:
    """What one process after the other said that do the same part."""

    said: Progress = NOTHING
    tokens: int = 0  # committed
    docs: int = 0
    base: tuple[int, int] = (0, 0)  # tokens and documents committed by those before it
    before: Progress = NOTHING  # worked on by those before it, also what was lost with them
    is_here: bool = False

    @property
    def tokens_worked(self) -> int:
        """On by all of them; a commit may be told before the progress that holds it."""
        return self.before.tokens + max(self.said.tokens, self.tokens - self.base[0])

    @property
    def docs_worked(self) -> int:
        return self.before.docs + max(self.said.docs, self.docs - self.base[1])

    @property
    def tokens_kept(self) -> int:
        """Of these, without what was lost."""
        return max(self.tokens, self.base[0] + self.said.tokens)

    @property
    def docs_kept(self) -> int:
        return max(self.docs, self.base[1] + self.said.docs)


@dataclass(slots=True)
class _Sums:
    """Of the commits of this run."""

    shards: int = 0
    docs: int = 0
    dead: int = 0
    failed: int = 0
    rows: int = 0
    tokens: int = 0
    bytes: int = 0


class Tally:
    """Keeps count for one run of a job.

    Tokens of the whole job are those that the plan expects, or what the shards done in this run had for their bytes:
    so the time that is left is right also after a resume, whatever was done before.

    Args:
        before: what was committed before this run; corrected by `looked`.
    """

    def __init__(self, plan: Plan, before: Done, *, clock: Clock = time.monotonic) -> None:
        self._plan, self._before, self._clock = plan, before, clock
        self._began_s = clock()
        self._seats: dict[int, _Seat] = {}
        self._sums = _Sums()
        self._own: set[int] = set()  # shards done in this run
        self._others: frozenset[int] = frozenset()  # that were seen to be done, and not in this run
        self._rates = self._from_now()
        self.exact_note = ""

    def told(self, seat: int, event: Event) -> None:
        """A process said something."""
        mine = self._seats.setdefault(seat, _Seat())
        match event:
            case Started(exact_note=note):
                if event.done > self._before.shards and not self._own:  # in a bucket only the runner lists what is done
                    self._before = Done(shards=event.done, docs=event.docs_done, bytes=event.bytes_done)
                _begin(mine)
                self._rates = self._from_now()  # no work was done while it loaded
                self.exact_note = self.exact_note or note
            case Progress():
                mine.said = event
                self._mark()
            case Did():
                self._add(mine, event)
            case Ended():
                mine.is_here = False
            case _:
                pass

    def gone(self, seat: int) -> None:
        """A process ended, however it did."""
        if seat in self._seats:
            self._seats[seat].is_here = False

    def looked(self, committed: Set[int], done_of: Callable[[Set[int]], Done]) -> None:
        """Somebody looked at all that is committed, by others that work on the same job, too."""
        self._others = frozenset(committed - self._own)
        self._before = done_of(self._others)

    def now(self) -> Seen:
        """How it stands."""
        self._mark()
        plan, before, sums = self._plan, self._before, self._sums
        expected, before_tokens = self._expected()
        here = sum(seat.tokens_kept for seat in self._seats.values())
        docs_here = sum(seat.docs_kept for seat in self._seats.values())
        tokens_done = min(before_tokens + here, expected) if expected else here
        now_s = self._clock()
        per_s, docs_per_s, busy_s = (rate.per_s(now_s) for rate in self._rates)
        lanes = sum(seat.said.lanes for seat in self._seats.values() if seat.is_here)
        places = sum(seat.before.places + seat.said.places for seat in self._seats.values())
        worked = sum(seat.before.tokens + seat.said.tokens for seat in self._seats.values())
        is_over = before.shards + sums.shards >= plan.shards
        return Seen(
            shards=plan.shards,
            shards_done=before.shards + sums.shards,
            docs=plan.docs,
            docs_done=min(plan.docs, before.docs + (sums.docs if is_over else docs_here)),
            docs_dead=sums.dead,
            docs_failed=sums.failed,
            rows=sums.rows,
            tokens=expected,
            tokens_done=expected if is_over and expected else tokens_done,
            tokens_here=here,
            tokens_read=sum(seat.tokens_worked for seat in self._seats.values()),
            docs_here=docs_here,
            tokens_per_s=per_s,
            docs_per_s=docs_per_s,
            busy=min(1.0, busy_s / lanes) if lanes else 0.0,
            padding=max(0.0, 1 - worked / places) if places else 0.0,
            spool_bytes=sum(seat.said.spool_bytes for seat in self._seats.values() if seat.is_here),
            processes=sum(seat.is_here for seat in self._seats.values()),
            took_s=self._clock() - self._began_s,
            eta_s=0.0 if is_over else max(0, expected - tokens_done) / per_s if expected and per_s else None,
        )

    def _add(self, seat: _Seat, did: Did) -> None:
        commit, sums = did.commit, self._sums
        if commit.shard in self._others:  # by this run, and seen before it was told
            self._others -= {commit.shard}
            self._before = self._before.without(commit)
        seat.tokens, seat.docs = seat.tokens + commit.tokens, seat.docs + commit.docs
        if commit.shard in self._own:  # its files were gone, and are there again
            return
        self._own.add(commit.shard)
        sums.shards += 1
        sums.docs += commit.docs
        sums.dead += commit.docs_dead
        sums.failed += commit.docs_failed
        sums.rows += commit.rows
        sums.tokens += commit.tokens
        sums.bytes += commit.input_bytes
        self._mark()

    def _expected(self) -> tuple[int, int]:
        """Tokens of the whole job, and of what was done before this run."""
        plan, before, sums = self._plan, self._before, self._sums
        if plan.tokens:
            return plan.tokens, round(plan.tokens * before.bytes / plan.bytes) if plan.bytes else 0
        if not sums.bytes or not sums.tokens:
            return 0, 0
        rate = sums.tokens / sums.bytes
        return max(sums.tokens, round(rate * plan.bytes)), round(rate * before.bytes)

    def _mark(self) -> None:
        now_s = self._clock()
        for rate, total in zip(self._rates, self._worked(), strict=True):
            rate.add(now_s, total)

    def _from_now(self) -> tuple[Rate, ...]:
        """Of tokens, documents and busy seconds."""
        return tuple(Rate(self._clock(), total) for total in self._worked())

    def _worked(self) -> tuple[float, ...]:
        """These three, which never fall."""
        seats = self._seats.values()
        return (
            sum(seat.tokens_worked for seat in seats),
            sum(seat.docs_worked for seat in seats),
            sum(seat.before.busy_s + seat.said.busy_s for seat in seats),
        )


def _begin(seat: _Seat) -> None:
    """What the process before had not committed is done again."""
    before, said = seat.before, seat.said
    seat.before = msgspec.structs.replace(
        before,
        tokens=seat.tokens_worked,
        docs=seat.docs_worked,
        busy_s=before.busy_s + said.busy_s,
        places=before.places + said.places,
    )
    seat.base = seat.tokens, seat.docs
    seat.said = NOTHING
    seat.is_here = True


def line(seen: Seen) -> str:
    """In words, behind the bar and in logs."""
    parts = [
        f"{_short(seen.tokens_per_s)} tokens/s",
        f"{seen.docs_per_s:.1f} documents/s",
        f"{seen.busy:.0%} busy",
        f"{seen.padding:.0%} padding" if seen.padding else "",
        f"{seen.docs_dead} dead" if seen.docs_dead else "",
        f"{timedelta(seconds=round(seen.eta_s))} left" if seen.eta_s is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _short(number: float) -> str:
    """Three digits and a letter, as bars have it."""
    return tqdm.format_sizeof(number, divisor=1000) if number >= 1000 else f"{number:.0f}"


class Bar:
    """One bar for all processes; a line now and then where stderr is no terminal.

    Args:
        say: takes such a line.
        is_shown: whether it is drawn; asked of stderr if None.
    """

    def __init__(
        self, say: Callable[[str], None], *, is_shown: bool | None = None, clock: Clock = time.monotonic
    ) -> None:
        self._say, self._is_shown, self._clock = say, is_shown, clock
        self._bar: tqdm[NoReturn] | None = None
        self._said_s = clock()

    def __enter__(self) -> "Bar":
        shown = sys.stderr.isatty() if self._is_shown is None else self._is_shown
        if shown:
            self._bar = tqdm(total=0, unit=" tokens", unit_scale=True, bar_format=BAR, leave=True)
        self._said_s = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, seen: Seen) -> None:
        """As it stands now."""
        bar = self._bar
        if bar is not None:
            whole, part = (seen.tokens, seen.tokens_done) if seen.tokens else (seen.docs, seen.docs_done)
            bar.unit = " tokens" if seen.tokens else " documents"
            bar.total, bar.n = max(whole, part), part
            bar.set_postfix_str(line(seen), refresh=False)
            bar.refresh()
        elif self._clock() - self._said_s >= LINE_S:
            self._said_s = self._clock()
            self._say(f"{seen.share:.1%}, {seen.shards_done} of {seen.shards} shards, {line(seen)}")

    def note(self, text: str) -> None:
        """Something beside the numbers, above the bar."""
        if self._bar is not None:
            self._bar.clear()
        self._say(text)
        if self._bar is not None:
            self._bar.refresh()
