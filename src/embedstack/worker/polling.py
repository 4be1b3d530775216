"""The SDK's calls for jobs -> the same, which pause where they would spin, and end once the worker is to end.

The SDK asks again at once after an error, and after an empty answer: some thousand times a second of a platform that
is away. https://github.com/runpod/runpod-python/blob/1.12.0/runpod/serverless/modules/rp_scale.py
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
CALL_S = 80.0  # for a call with its pause; after 90 s the SDK ends both, and does not say why
UNDER_WAY_S = 0.25  # for an answer that the platform sent before it knew that this worker ends
BODY_S = 60.0  # for the rest of an answer that began; 20 MB take so long over 3 Mbit/s

Fetch: TypeAlias = Callable[..., Awaitable[Any]]


class Polling:
    """In the place of a function of the SDK that fetches jobs.

    Args:
        told: set when the worker is to end.
    """

    def __init__(self, fetch: Fetch, told: asyncio.Event, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._told = told
        self._clock = clock
        self._pause_s = FIRST_PAUSE_S

    async def __call__(self, session: Any, *given: object) -> Any:
        """What is fetched; an error after a pause, which grows from one to the next."""
        began = self._clock()
        try:
            found = await unless(self._told, self._fetch, session, *given)
        except Exception:
            pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
            await self.pause(min(pause_s, max(FIRST_PAUSE_S, CALL_S - (self._clock() - began))))
            raise
        self._pause_s = FIRST_PAUSE_S
        if not found and self._clock() - began < FIRST_PAUSE_S:  # of always the same length: a job may come any time
            await self.pause(FIRST_PAUSE_S)
        return found

    async def pause(self, pause_s: float) -> None:
        """So long, or until the worker is to end."""
        waiting = asyncio.ensure_future(self._told.wait())
        try:
            await asyncio.wait({waiting}, timeout=pause_s)
        finally:
            waiting.cancel()


class Noting:
    """A session of aiohttp, as far as the SDK uses it to poll, that notes whether an answer began."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.has_answer = False

    @asynccontextmanager
    async def get(self, url: str) -> AsyncIterator[Any]:
        async with self._session.get(url) as reply:
            self.has_answer = True
            yield reply


async def unless(told: asyncio.Event, fetch: Fetch, session: Any, *given: object) -> Any:
    """What is fetched; nothing soon after it is told, which closes the connection: the platform sees it.

    An answer that began is waited for: the platform has handed its jobs out.
    """
    noting = Noting(session)
    fetching, waiting = asyncio.ensure_future(fetch(noting, *given)), asyncio.ensure_future(told.wait())
    try:
        await asyncio.wait({fetching, waiting}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({fetching}, timeout=None if fetching.done() else UNDER_WAY_S)
        if noting.has_answer:
            await asyncio.wait({fetching}, timeout=BODY_S)
        return fetching.result() if fetching.done() else []
    finally:
        fetching.cancel()
        waiting.cancel()
        await asyncio.gather(fetching, waiting, return_exceptions=True)
