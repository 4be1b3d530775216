"""A finished job and a way to post it -> sent, and tried again while that can help; given up only aloud."""

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable

from embedstack.worker.output import Output

log = logging.getLogger(__name__)
PATIENCE_S = 600.0  # the time that a job has by default on RunPod; later nobody waits for it
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
GONE = (404, 410)  # cancelled, expired, or another worker has it
UNFIT = (400, 413, 422)  # the body is refused, and would be again

Post = Callable[[bytes], Awaitable[int]]


class LostError(Exception):
    """No answer came; whether the result arrived is not known."""


async def deliver(
    post: Post,
    body: bytes,
    job_id: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    draw: Callable[[], float] = random.random,
) -> bool:
    """Post the result of a job until it is taken; whether it was.

    A result may arrive twice where an answer was lost: the platform keeps the first. One that is refused as it is
    becomes a failed job, so that its caller hears of it.

    Args:
        post: gives the status of the answer. Raises LostError if there was none.
        draw: a number from 0 to 1, by which pauses differ from worker to worker.
    """
    end, pause_s, is_replaced = clock() + PATIENCE_S, FIRST_PAUSE_S, False
    while True:
        status, said = await _posted(post, body)
        if 200 <= status < 300:
            return True
        if status in UNFIT and not is_replaced:
            log.error("event=refused job=%s bytes=%d answer=%s", job_id, len(body), said)
            body, is_replaced = refusal(status, len(body)).body(), True
            continue
        wait_s = pause_s * (0.5 + draw())
        if status in (*UNFIT, *GONE) or clock() + wait_s >= end:
            log.error("event=not_sent job=%s answer=%s", job_id, said)
            return False
        log.warning("event=sent_again job=%s in_s=%.1f answer=%s", job_id, wait_s, said)
        await sleep(wait_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def _posted(post: Post, body: bytes) -> tuple[int, str]:
    """The status, 0 where there was none, and what to write of it."""
    try:
        status = await post(body)
    except LostError as error:
        return 0, json.dumps(str(error))
    return status, str(status)


def refusal(status: int, size_bytes: int) -> Output:
    """What is sent instead of a result that was refused."""
    return Output(
        error=b'"the platform refused the output of %d bytes (status %d); send fewer items in a job, or ask '
        b'for encoding_format base64 where its kind takes it"' % (size_bytes, status)
    )
