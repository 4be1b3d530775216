"""What every worker and pod did since when -> seconds by state, and the dollars that they cost.

Time is kept in whole microseconds, so a span that is cut into hours is neither more nor less than before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import fsum
from typing import Literal

from embedstack.emulator.prices import FREE, Rate

Product = Literal["serverless", "pods"]

MICROS = 1_000_000
HOUR = 3600 * MICROS
PAID = frozenset({"INITIALIZING", "IDLE", "RUNNING", "UNHEALTHY"})
"""States of a worker that cost money, by runpod/docs serverless/pricing.mdx. That an unhealthy one does is a guess: the
one that is not kind."""


@dataclass(frozen=True, slots=True)
class Line:
    """What runs up alike: a state of the workers of one endpoint, or of one pod, and what a second of it costs."""

    product: Product
    resource: str  # the endpoint's or the pod's id
    state: str
    rate: Rate = FREE


@dataclass(frozen=True, slots=True)
class Entry:
    """So much of a line within one hour."""

    line: Line
    hour: int  # microseconds from 1970 to its beginning
    micros: int

    @property
    def seconds(self) -> float:
        """Seconds of one worker or pod."""
        return self.micros / MICROS

    @property
    def amount(self) -> float:
        """Dollars."""
        return self.line.rate.total * self.seconds


def worker_line(endpoint_id: str, state: str, rate: Rate) -> Line:
    """The line of a worker in a state: one that waits for a machine costs nothing."""
    return Line("serverless", endpoint_id, state, rate if state in PAID else FREE)


class Ledger:
    """Every unit (a worker or a pod) is on one line at a time, from when it enters it to when it enters another."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Line, int]] = {}
        self._hours: dict[tuple[Line, int], int] = {}

    def enter(self, unit: str, line: Line | None, now: float) -> None:
        """From `now` on (seconds since 1970) the unit runs up this line; None: nothing any more.

        A clock that was put back takes nothing back, and counts nothing twice.
        """
        moment = round(now * MICROS)
        begun = self._open.pop(unit, None)
        if begun:
            moment = max(moment, begun[1])
            for entry in _by_hours(*begun, moment):
                key = (entry.line, entry.hour)
                self._hours[key] = self._hours.get(key, 0) + entry.micros
        if line:
            self._open[unit] = line, moment

    def entries(self, now: float) -> list[Entry]:
        """All there is up to now, what still runs included, by hour and line."""
        sums = dict(self._hours)
        for line, since in self._open.values():
            for entry in _by_hours(line, since, round(now * MICROS)):
                key = (entry.line, entry.hour)
                sums[key] = sums.get(key, 0) + entry.micros
        found = [Entry(line, hour, micros) for (line, hour), micros in sums.items()]
        return sorted(found, key=lambda entry: (entry.hour, entry.line.resource, entry.line.state))

    def seconds(self, now: float, resource: str | None = None) -> dict[str, float]:
        """Seconds by state, of one endpoint or pod or of all."""
        sums: dict[str, int] = {}
        for entry in self.entries(now):
            if resource in (None, entry.line.resource):
                sums[entry.line.state] = sums.get(entry.line.state, 0) + entry.micros
        return {state: micros / MICROS for state, micros in sums.items()}

    def spent(self, now: float, resource: str | None = None) -> float:
        """Dollars, for one endpoint or pod or for all."""
        return fsum(entry.amount for entry in self.entries(now) if resource in (None, entry.line.resource))


def _by_hours(line: Line, since: int, until: int) -> Iterator[Entry]:
    """The span cut where hours of UTC begin."""
    while since < until:
        hour = since - since % HOUR
        end = min(until, hour + HOUR)
        yield Entry(line, hour, end - since)
        since = end
