"""Calls that run become their results, until all are ended."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from embedstack.errors import NotReady

CLOSED = "this client is closed; make another"
Given = TypeVar("Given")


class Running:
    """The calls of one client."""

    def __init__(self) -> None:
        self._calls: set[asyncio.Task[object]] = set()
        self._has_ended = False

    async def ended(self, call: Coroutine[object, object, Given]) -> Given:
        """What the call gives; it goes with its caller.

        Raises:
            NotReady: all were ended, or will be no more.
        """
        task = asyncio.ensure_future(call)
        self._calls.add(task)
        task.add_done_callback(self._forget)
        try:
            if not self._has_ended:
                await asyncio.wait({task})
            if self._has_ended and (task.cancelled() or not task.done()):
                raise NotReady(CLOSED)
            return task.result()
        finally:
            task.cancel()

    async def end(self) -> None:
        """Cancel all, and wait until they have cleared up behind them."""
        self._has_ended = True
        for call in tuple(self._calls):
            call.cancel()
        if self._calls:
            await asyncio.wait(tuple(self._calls))

    def _forget(self, call: "asyncio.Task[object]") -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # of one that nobody waits for; else it is logged
