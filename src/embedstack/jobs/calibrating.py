"""Chunks of a survey -> how many tokens a second the device does, while texts are cut and parts are written here."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice, pairwise
from typing import Protocol

from embedstack.chunks.chunk import Chunk
from embedstack.errors import BadRequest
from embedstack.jobs.opened import Opened, asking
from embedstack.jobs.plan import Wish
from embedstack.jobs.surveying import Cluster, Looked, Survey
from embedstack.types import Encode, Text

SECONDS = 20.0  # that are measured; bench/batch.py compares such estimates with their jobs
ROUNDS = 5  # that they are divided into; fewer than 3 say nothing of how steady the device is
IN_FLIGHT = 3  # rounds at a time, as a job has shards: one is cut while one is encoded and the next one waits
WARM = 16  # chunks of the first request, for which graphs are made
GROWTH = 4  # each request before the first round is at most so many times as large as the one before it
UNITS = 2000  # chunks that are taken of the survey, again and again on a fast device
MOST = 50_000  # chunks of one round
LATE_AT_ONCE = 4  # documents, with late chunking
Clock = Callable[[], float]


class Works(Protocol):
    """What is done beside the device: `jobs.weighing.Beside`. Blocks; one thread calls it."""

    def work(self, tokens: int, rows: int) -> None:
        """As much as a job has to do for so many tokens and rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How long is measured, and how chunks become requests."""

    seconds: float = SECONDS
    rounds: int = ROUNDS
    items_per_request: int | None = None  # None: a round is one whole request; else an endpoint takes so many
    requests_at_once: int = 2  # of an endpoint


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured."""

    rates: tuple[float, ...]  # tokens of chunks a second, of each round
    tokens: int
    took_s: float
    read_share: float = 1.0  # tokens that the model read for each of a chunk; windows of late chunking overlap

    @property
    def speed(self) -> float:
        """Tokens of chunks a second, over all rounds."""
        return self.tokens / self.took_s


@dataclass(frozen=True, slots=True)
class Unit:
    """What can be asked for alone: a chunk, or with late chunking the chunks of a document."""

    texts: tuple[str, ...]
    tokens: int


async def calibrate(
    opened: Opened, wish: Wish, survey: Survey, beside: Works, how: How, clock: Clock = time.perf_counter
) -> Calibration:
    """Encode chunks of the survey as a job does, with what a job does beside it.

    Raises:
        BadRequest: nothing that was drawn can be encoded; or too few rounds.
    """
    if how.rounds < 3 or how.seconds <= 0:
        raise BadRequest(f"{how.rounds} rounds in {how.seconds:g} s show no spread; take at least 3 and some seconds")
    pool = units(survey, is_late=wish.late_chunking)
    if not pool:
        raise BadRequest("no document that was drawn has a chunk, so nothing can be measured; look at the input")
    asking = _Asking(opened, wish, how, pool)
    size = await _warm(asking, how.seconds / how.rounds, clock)
    with ThreadPoolExecutor(1, "embedstack-beside") as thread:
        return await _rounds(asking, beside, thread, size, how.rounds, clock)


async def _warm(asking: "_Asking", round_s: float, clock: Clock) -> int:
    """Requests that grow until one takes a quarter of a round; how many units then make a round."""
    size = WARM
    await asking.round(size)
    while True:
        began = clock()
        await asking.round(size)
        took_s = max(clock() - began, 1e-6)
        wanted = min(MOST, max(1, round(size * round_s / took_s)))
        if took_s >= round_s / GROWTH or size >= wanted:
            return wanted
        size = min(wanted, size * GROWTH)


async def _rounds(
    asking: "_Asking", beside: Works, thread: ThreadPoolExecutor, size: int, rounds: int, clock: Clock
) -> Calibration:
    """Round after round, each cut and written beside the device before it is encoded: what is measured lies between the
    ends of the first and the last, and some always wait."""
    loop = asyncio.get_running_loop()

    async def one() -> _Round:
        wanted = asking.take(size)
        tokens, rows = sum(unit.tokens for unit in wanted), sum(len(unit.texts) for unit in wanted)
        await loop.run_in_executor(thread, beside.work, tokens, rows)
        return _Round(tokens, await asking.ask(wanted), clock())

    running = [asyncio.ensure_future(one()) for _ in range(IN_FLIGHT)]
    done: list[_Round] = []
    try:
        while len(done) <= rounds:
            done.append(await running.pop(0))
            running.append(asyncio.ensure_future(one()))
    finally:
        await _end(running)
    return _calibration(done)


async def _end(running: Sequence["asyncio.Future[_Round]"]) -> None:
    """Those that only kept the device busy; an error of theirs is of no interest once there are enough rounds."""
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Round:
    tokens: int  # of chunks
    read: int  # by the model
    end_s: float


def _calibration(done: Sequence[_Round]) -> Calibration:
    done = sorted(done, key=lambda one: one.end_s)  # two at a time may overtake each other
    took = [max(after.end_s - before.end_s, 1e-6) for before, after in pairwise(done)]
    counted = done[1:]
    tokens, read = sum(one.tokens for one in counted), sum(one.read for one in counted)
    rates = tuple(one.tokens / took_s for one, took_s in zip(counted, took, strict=True))
    return Calibration(rates, tokens, sum(took), read / tokens)


class _Asking:
    """Units, again and again, as the requests that a job would make of them."""

    def __init__(self, opened: Opened, wish: Wish, how: How, pool: Sequence[Unit]) -> None:
        self._opened, self._wish, self._how = opened, wish, how
        self._pool = cycle(pool)
        self._places = asyncio.Semaphore(LATE_AT_ONCE if wish.late_chunking else max(1, how.requests_at_once))

    def take(self, count: int) -> list[Unit]:
        """The next ones."""
        return list(islice(self._pool, count))

    async def round(self, count: int) -> int:
        """Take and ask."""
        return await self.ask(self.take(count))

    async def ask(self, wanted: Sequence[Unit]) -> int:
        """Tokens that the model read."""
        requests = [self._request(texts) for texts in self._divided(wanted)]
        if len(requests) == 1:
            return (await self._opened.encoder.encode(requests[0])).usage.tokens
        return sum(await asyncio.gather(*(self._one(request) for request in requests)))

    async def _one(self, request: Encode) -> int:
        async with self._places:
            return (await self._opened.encoder.encode(request)).usage.tokens

    def _divided(self, wanted: Sequence[Unit]) -> Iterator[tuple[str, ...]]:
        if self._wish.late_chunking:
            yield from (unit.texts for unit in wanted)
            return
        texts = tuple(text for unit in wanted for text in unit.texts)
        most = self._how.items_per_request or len(texts)
        yield from (texts[at : at + most] for at in range(0, len(texts), most))

    def _request(self, texts: Sequence[str]) -> Encode:
        items, wish = [Text(text, self._wish.role) for text in texts], self._wish
        is_here = self._how.items_per_request is None
        return asking(self._opened.model, items, wish, is_here=is_here, late_chunking=wish.late_chunking)


# ------------------------------------------------------------------------------------------------ what is encoded


def units(survey: Survey, *, is_late: bool, count: int = UNITS, seed: int = 0) -> list[Unit]:
    """Chunks as all of the input has them, in an order of chance; with late chunking documents.

    Those that were looked at lie end to end, each as long as what it stands for, and evenly spaced points fall on
    them: a document that stands for many gives more of its chunks.
    """
    laid = [
        (one, weight)
        for cluster in (*survey.files, *survey.rows)
        for one, weight in _weighted(cluster)
        if one.chunks and not (is_late and one.document is None)
    ]
    chosen = _points([weight * (1 if is_late else one.count) for one, weight in laid], count) if laid else ()
    made = [_late(laid[place][0]) if is_late else _single(*laid[place], into) for place, into in chosen]
    random.Random(seed).shuffle(made)  # noqa: S311 - a sample is no secret
    return made


def _weighted(cluster: Cluster) -> Iterator[tuple[Looked, float]]:
    """Each document with how many it stands for."""
    share = cluster.docs / max(1, len(cluster.looked))
    return ((one, cluster.weight * share) for one in cluster.looked)


def _points(sizes: Sequence[float], count: int) -> Iterator[tuple[int, float]]:
    """Evenly spaced points over sizes laid end to end: which one each falls on, and how far into it."""
    step = sum(sizes) / count
    begin, point = 0.0, step / 2
    for place, size in enumerate(sizes):
        while point < begin + size:
            yield place, point - begin
            point += step
        begin += size


def _single(one: Looked, weight: float, into: float) -> Unit:
    place = int(into / weight / one.count * len(one.chunks))
    chunk: Chunk = one.chunks[min(place, len(one.chunks) - 1)]
    return Unit((chunk.text,), chunk.tokens)


def _late(one: Looked) -> Unit:
    return Unit(tuple(chunk.text for chunk in one.chunks), one.tokens)
