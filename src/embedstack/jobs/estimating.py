"""A plan, its input and an open model -> what the job will be: documents looked at, chunks encoded, a part written."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from embedstack.errors import BadRequest
from embedstack.jobs.calibrating import How, calibrate
from embedstack.jobs.estimated import Estimate, Measured
from embedstack.jobs.opened import Opened
from embedstack.jobs.plan import Plan, Shard
from embedstack.jobs.reckoning import reckon
from embedstack.jobs.sampling import draw
from embedstack.jobs.shard_work import Reads
from embedstack.jobs.surveying import survey
from embedstack.jobs.weighing import Beside
from embedstack.storage.storage import Storage

DOCS = 1000  # that are looked at: their tokens for a byte are then known to a few hundredths
Clock = Callable[[], float]


async def estimate(
    plan: Plan, shards: Sequence[Shard], reader: Reads, opened: Opened, storage: Storage, spool: Path, *,
    price_per_hour: float | None = None, for_bytes: int | None = None, docs: int = DOCS, how: How | None = None,
    open_s: float = 0.0, clock: Clock = time.perf_counter,
) -> Estimate:  # fmt: skip
    """Look at documents, write a few parts, encode some chunks, and reckon. Takes a minute on a slow device.

    Args:
        shards: of the plan.
        reader: `documents.reading.Reader` over the plan's input.
        storage: where the job's table will be: parts are written there and taken away again.
        spool: a folder that exists, for parts that are being written.
        price_per_hour: of the machine, in dollars.
        for_bytes: of an input like this one; that of the plan if None.
        docs: that are looked at.
        open_s: what it took to open the model and to list the input.
    Raises:
        BadRequest: there is nothing to encode, or a number makes no sense. What reading, encoding and storing raise.
    """
    check(plan, price_per_hour=price_per_hour, for_bytes=for_bytes, docs=docs)
    drawn = draw(shards, docs, most_bytes=plan.wish.reading.max_document_bytes)
    seen = await asyncio.to_thread(survey, drawn, reader, plan.wish, opened.ruler, clock=clock)
    beside = Beside(plan, seen, opened.ruler, storage, spool)
    parts = await asyncio.to_thread(beside.weigh, clock)
    calibration = await calibrate(opened, plan.wish, seen, beside, how or How(), clock)
    is_endpoint = how is not None and how.items_per_request is not None
    measured = Measured(survey=seen, calibration=calibration, parts=parts, open_s=open_s, is_endpoint=is_endpoint)
    return reckon(plan, measured, price_per_hour=price_per_hour, for_bytes=for_bytes)


def check(plan: Plan, *, price_per_hour: float | None, for_bytes: int | None, docs: int = DOCS) -> None:
    """Whether there is something to estimate.

    Raises:
        BadRequest: there is not, or a number makes no sense.
    """
    if not plan.docs or not plan.bytes:
        raise BadRequest("the plan has no document with content, so there is nothing to estimate; look at the input")
    if price_per_hour is not None and not price_per_hour >= 0:
        raise BadRequest(f"a price of {price_per_hour} dollars an hour is none; example: 0.40")
    if for_bytes is not None and for_bytes < 1:
        raise BadRequest(f"an input of {for_bytes} bytes is none; example: 200000000000")
    if docs < 2:
        raise BadRequest(f"{docs} documents say nothing of the others; look at 2 or more")
