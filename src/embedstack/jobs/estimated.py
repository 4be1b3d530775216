"""The nouns of an estimate: a range, what was measured, what the whole job will be; and lines of it for people."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from embedstack.jobs.calibrating import Calibration
from embedstack.jobs.surveying import Survey
from embedstack.jobs.weighing import Weighed


class Range(msgspec.Struct, frozen=True):
    """What it is most likely, and between which numbers it lies 19 times in 20."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> "Range":
        """In another unit."""
        return Range(self.low * factor, self.likely * factor, self.high * factor)

    def widened(self, share: float) -> "Range":
        """By a share to either side."""
        return Range(self.low / (1 + share), self.likely, self.high * (1 + share))

    def holds(self, number: float) -> bool:
        """Whether it lies between the two."""
        return self.low <= number <= self.high


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Of a whole job, from its start to its manifest, by one process on the machine that was measured."""

    bytes: int  # of input
    docs: int
    tokens: Range  # that the model reads
    chunks: Range
    output_bytes: Range
    hours: Range
    dollars: Range | None
    tokens_per_s: float
    sampled_docs: int
    level: float
    assumptions: tuple[str, ...]  # sentences
    start_s: float = 0.0  # of the likely hours, before the first document is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that an estimate is made from."""

    survey: Survey
    calibration: Calibration
    parts: tuple[Weighed, ...]  # of which each stands for many
    open_s: float = 0.0  # to open the model and to list the input
    is_endpoint: bool = False  # whether the device is elsewhere


def lines(estimate: Estimate) -> Iterator[str]:
    """For a terminal."""
    yield f"{amount(estimate.bytes)}B of input in {estimate.docs:,} documents, {estimate.sampled_docs:,} looked at"
    yield f"{'':10}{'likely':>12}{'at least':>12}{'at most':>12}   ({estimate.level:.0%} sure)"
    yield _row("tokens", estimate.tokens, amount)
    yield _row("chunks", estimate.chunks, amount)
    yield _row("output", estimate.output_bytes, lambda number: f"{amount(number)}B")
    yield _row("time", estimate.hours, time_of)
    if estimate.dollars is not None:
        yield _row("dollars", estimate.dollars, lambda number: f"{number:,.2f}")
    yield "Taken for granted:"
    yield from (f"- {sentence}" for sentence in estimate.assumptions)


def _row(name: str, of: Range, shown: Callable[[float], str]) -> str:
    return f"{name:10}{shown(of.likely):>12}{shown(of.low):>12}{shown(of.high):>12}"


def amount(number: float) -> str:
    """Three digits and the letter of a power of 1000: 12.3 M."""
    for letter in ("", "k", "M", "G", "T"):
        if abs(number) < 999.5:
            digits = 0 if not letter or abs(number) >= 99.95 else 1 if abs(number) >= 9.995 else 2
            return f"{number:.{digits}f} {letter}".rstrip() if not letter else f"{number:.{digits}f} {letter}"
        number /= 1000
    return f"{number:.3g} P"


def time_of(hours: float) -> str:
    """In the largest unit that is below it: 2.4 h, 3.1 min, 12 s."""
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.0f} s"
