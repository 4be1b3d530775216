"""An error -> whose fault it is: a document's, the moment's (then it is tried again, for a while), or nobody's here."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, runtime_checkable

from embedstack.errors import (
    BadRequest,
    EmbedstackError,
    Forbidden,
    NoEndpoint,
    NotReady,
    Overloaded,
    RuntimeFailed,
    Unauthorized,
    UnknownModel,
    Upstream,
)
from embedstack.storage.storage import Missing

PATIENCE_S = 600.0  # a server that restarts with a large model, or a network that is mended, takes minutes
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0  # doubled in between
ODD_REPLIES = 3  # tries where a server sent what cannot be read: one torn reply must not end a job of days


class EngineDied(RuntimeFailed):
    """The engine in this process answers nobody any more."""


NOT_OF_DOCUMENTS = (Unauthorized, Forbidden, UnknownModel, Missing, EngineDied)
"""Errors that would be the same with any other document."""

T = TypeVar("T")
log = logging.getLogger(__name__)


@runtime_checkable
class MayDie(Protocol):
    """An Encoder that says whether it can still answer."""

    @property
    def alive(self) -> bool: ...


def is_panic(error: BaseException) -> bool:
    """A panic in Rust, as tokenizers may have over a text; its class cannot be imported and is no `Exception`.

    Source: https://github.com/PyO3/pyo3/blob/v0.25.0/src/panic.rs
    """
    return type(error).__name__ == "PanicException" and type(error).__module__ == "pyo3_runtime"


def is_of_documents(error: BaseException) -> bool:
    """Whether what was to be encoded can be the reason."""
    if is_panic(error):
        return True
    return isinstance(error, BadRequest | RuntimeFailed) and not isinstance(error, NOT_OF_DOCUMENTS)


def may_be_of_documents(error: BaseException) -> bool:
    """The same, where who was asked is elsewhere: a server that a text is too much for may say anything."""
    return is_of_documents(error) or (isinstance(error, Upstream | NoEndpoint) and not error.retry)


def code_of(error: BaseException) -> str:
    """Of a dead letter."""
    return error.code if isinstance(error, EmbedstackError) else "panic"


def message_of(error: BaseException) -> str:
    """Of a dead letter. What a panic says may hold text, so it is left out."""
    return error.message if isinstance(error, EmbedstackError) else "reading it ended in a panic; see the log"


class Patience:
    """Tries again what may pass by itself.

    Args:
        most_s: from the first failure in a row.
        is_alive: whether who is asked can still answer; there is no use in waiting for the dead.
        sleep: given by tests, as is the clock.
    """

    def __init__(
        self,
        most_s: float = PATIENCE_S,
        *,
        is_alive: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._most_s, self._is_alive, self._clock, self._sleep = most_s, is_alive, clock, sleep

    async def of(self, work: Callable[[], Awaitable[T]], most_s: float = math.inf) -> T:
        """What it gives, once it does.

        Args:
            most_s: less than usual.
        Raises:
            What it raises, if that does not pass, or has not for `most_s`.
        """
        began, tries = None, 0
        while True:
            try:
                return await work()
            except EmbedstackError as error:
                now = self._clock()
                began, tries = now if began is None else began, tries + 1
                pause_s = self._pause_s(error, tries)
                if pause_s is None or now + pause_s - began > min(most_s, self._most_s):
                    raise
                log.warning("event=job_waits error=%s pause_s=%.1f", error.code, pause_s)
            await self._sleep(pause_s)

    def _pause_s(self, error: EmbedstackError, tries: int) -> float | None:
        """None where it is of no use."""
        if not self._is_alive():
            raise EngineDied(f"the engine has died ({error.message}); run the job again, what is committed stays")
        is_odd = isinstance(error, Upstream | NoEndpoint) and tries < ODD_REPLIES
        if not error.retry and not is_odd:
            return None
        grown = min(FIRST_PAUSE_S * (1 << min(tries - 1, 10)), LONGEST_PAUSE_S)
        return max(error.retry_after_s, grown) if isinstance(error, Overloaded | NotReady) else grown


def liveness_of(encoder: object) -> Callable[[], bool]:
    """Whether an Encoder can still answer; those elsewhere come back."""
    if not isinstance(encoder, MayDie):
        return lambda: True
    mortal: MayDie = encoder
    return lambda: mortal.alive
