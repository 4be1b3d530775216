"""Big work in a thread, small work at once, so that the event loop stays free for others."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

BIG_BYTES = 256 * 1024  # about a millisecond of JSON; above it the loop stays free for others
Given = TypeVar("Given")


async def aside(size_bytes: int, work: Callable[[], Given]) -> Given:
    """What the work gives.

    Args:
        size_bytes: of what it works on.
    """
    return await asyncio.to_thread(work) if size_bytes > BIG_BYTES else work()
