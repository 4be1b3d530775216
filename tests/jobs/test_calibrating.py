"""The speed of a device is that of chunks as all of the input has them, with what a job does beside it."""

import asyncio
from collections import Counter

import pytest

from embedstack.chunks.chunk import Chunk, Chunking
from embedstack.documents.document import Document
from embedstack.errors import BadRequest
from embedstack.jobs.calibrating import How, calibrate, units
from embedstack.jobs.opened import Opened
from embedstack.jobs.plan import Wish
from embedstack.jobs.surveying import Cluster, Looked, Survey
from embedstack.testing.fake import HashEncoder, WordRuler
from embedstack.types import Encode, Encoded
from support.tables import EXACT, IDENTITY

WISH = Wish(inputs=("object",), model="hash", chunking=Chunking(strategy="window", tokens=8, overlap=0))


class Device(HashEncoder):
    """One that takes a time of its own clock: a thousandth of a second for each token, or more after a while."""

    def __init__(self, slower_after: int = 10**9) -> None:
        super().__init__()
        self.now_s = 0.0
        self.asked: list[Encode] = []
        self._done, self._slower_after = 0, slower_after
        self._turn = asyncio.Lock()

    async def encode(self, request: Encode) -> Encoded:
        self.asked.append(request)
        async with self._turn:
            made = await super().encode(request)
            await asyncio.sleep(0)
            self._done += made.usage.tokens
            self.now_s += made.usage.tokens * (0.002 if self._done > self._slower_after else 0.001)
            return made


class Idle:
    """Nothing to do beside the device; what would have been asked of it."""

    def __init__(self) -> None:
        self.tokens = self.rows = 0

    def work(self, tokens: int, rows: int) -> None:
        self.tokens, self.rows = self.tokens + tokens, self.rows + rows


def looked(name: str, chunks: int, words: int = 5) -> Looked:
    """A document of so many chunks, each of whose words is the document's name."""
    texts = [" ".join([name] * words)] * chunks
    made = tuple(Chunk(place, text, 0, len(text), words) for place, text in enumerate(texts))
    document = Document(name, " ".join(texts))
    return Looked(text_bytes=100, tokens=words * chunks, count=chunks, row_bytes=10, document=document, chunks=made)


def survey_of(*weighted: tuple[Looked, float]) -> Survey:
    clusters = tuple(Cluster(weight, 1, 1, one.text_bytes, (one,)) for one, weight in weighted)
    return Survey(clusters, (), False, True)


MANY = survey_of(*((looked(f"d{number}", 4), 1.0) for number in range(50)))


def opened(device: HashEncoder) -> Opened:
    return Opened(device, device.models()[0], WordRuler(), IDENTITY, EXACT, ())


async def run(device: Device, how: How, wish: Wish = WISH, beside: Idle | None = None) -> tuple[float, ...]:
    found = await calibrate(opened(device), wish, MANY, beside or Idle(), how, lambda: device.now_s)
    return found.rates


def test_the_speed_is_that_of_the_device() -> None:
    rates = asyncio.run(run(Device(), How(seconds=1.0, rounds=3)))

    assert rates == pytest.approx([1000, 1000, 1000])


def test_a_round_is_about_as_long_as_was_asked_for() -> None:
    device = Device()
    asyncio.run(run(device, How(seconds=2.0, rounds=4)))

    assert device.asked[-1].items.__len__() * 5 * 0.001 == pytest.approx(0.5, rel=0.2)


def test_a_device_that_becomes_slower_shows_it() -> None:
    rates = asyncio.run(run(Device(slower_after=4000), How(seconds=4.0, rounds=4)))

    assert max(rates) > 1.5 * min(rates)


def test_requests_are_whole_and_refuse_to_cut_as_those_of_a_job() -> None:
    device = Device()
    asyncio.run(run(device, How(seconds=0.5, rounds=3)))

    assert {(one.whole, one.truncate, one.priority, one.caller) for one in device.asked} == {
        (True, "refuse", "bulk", "job")
    }


def test_an_endpoint_is_asked_for_so_many_items_at_a_time() -> None:
    device = Device()
    asyncio.run(run(device, How(seconds=0.5, rounds=3, items_per_request=7, requests_at_once=2)))

    assert max(len(one.items) for one in device.asked) == 7
    assert not any(one.whole for one in device.asked)


def test_beside_the_device_is_done_what_its_tokens_and_rows_need() -> None:
    device, beside = Device(), Idle()
    asyncio.run(run(device, How(seconds=0.5, rounds=3), beside=beside))

    assert beside.rows
    assert beside.tokens == 5 * beside.rows


def test_late_chunking_is_asked_for_document_by_document() -> None:
    device = Device()
    wish = Wish(inputs=("object",), model="hash", late_chunking=True)
    asyncio.run(run(device, How(seconds=0.5, rounds=3), wish))

    assert {(len(one.items), one.late_chunking) for one in device.asked} == {(4, True)}


def test_two_rounds_are_too_few() -> None:
    with pytest.raises(BadRequest, match="2 rounds"):
        asyncio.run(run(Device(), How(rounds=2)))


def test_nothing_to_encode_is_said() -> None:
    empty = survey_of((Looked("empty"), 1.0))

    with pytest.raises(BadRequest, match="no document that was drawn has a chunk"):
        asyncio.run(calibrate(opened(Device()), WISH, empty, Idle(), How(), lambda: 0.0))


# ------------------------------------------------------------------------------------------------ which chunks


def names(survey: Survey, count: int) -> Counter[str]:
    return Counter(unit.texts[0].split()[0] for unit in units(survey, is_late=False, count=count))


def test_a_document_that_stands_for_many_gives_more_chunks() -> None:
    counted = names(survey_of((looked("few", 4), 1.0), (looked("many", 4), 9.0)), 100)

    assert counted == {"few": 10, "many": 90}


def test_a_long_document_gives_more_chunks_than_a_short_one() -> None:
    counted = names(survey_of((looked("short", 1), 1.0), (looked("long", 9), 1.0)), 100)

    assert counted == {"short": 10, "long": 90}


def test_dead_documents_give_none() -> None:
    assert set(names(survey_of((Looked("bad_utf8"), 5.0), (looked("good", 2), 1.0)), 20)) == {"good"}


def test_chunks_come_in_the_same_order_of_chance_every_time() -> None:
    assert units(MANY, is_late=False) == units(MANY, is_late=False)
