"""What is tried again, how often and after which pause; attempts that end at last in a reply or in an error."""

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from embedstack.client.connections import Clock
from embedstack.dialects.dialect import Wire
from embedstack.errors import ConfigError, DeadlineExceeded, EmbedstackError, NotReady, Upstream

Pause = Callable[[float], Awaitable[None]]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0  # as OpenAI's own client, openai-python src/openai/_constants.py
MOST_PATIENCE_S = 60.0  # a server that wants more time than this is not waited for, as there

log = logging.getLogger("embedstack.client")


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt without an answer."""

    error: EmbedstackError
    told_s: float = 0.0  # how long the server wants not to be asked


class Silent(Upstream):
    """No answer in time. Not repeated here: the server may still be at work, and would only have more of it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client goes on.

    Args:
        provider: its name in the log.
        timeout_s: for one attempt.
        retries: attempts after the first.
        pause: waits between attempts.
        clock: what deadlines are on.
    Raises:
        ConfigError: a number is out of its range.
    """

    provider: str
    host: str
    timeout_s: float
    retries: int
    pause: Pause
    clock: Clock

    def __post_init__(self) -> None:
        if not self.timeout_s > 0:  # so that NaN is refused too
            raise ConfigError(
                f"timeout_s={self.timeout_s!r} is not above 0; it is the seconds that one attempt may take"
            )
        if self.retries < 0:
            raise ConfigError(f"retries={self.retries!r} is below 0; give 0 for a single attempt")

    async def answered(self, attempt: Callable[[], Awaitable[Wire | Failed]], deadline: float | None) -> Wire:
        """The first reply of several attempts.

        Raises:
            EmbedstackError: that of the last attempt.
        """
        count = 0
        while True:
            reply = await attempt()
            if isinstance(reply, Wire):
                return reply
            wait_s = max(_told_s(reply), backoff_s(count))
            if count >= self.retries or not self._may_repeat(reply.error, wait_s, deadline):
                raise reply.error
            cause = type(reply.error).__name__
            log.info("event=retry provider=%s host=%s cause=%s wait_s=%.2f", self.provider, self.host, cause, wait_s)
            await self.pause(wait_s)
            count += 1

    def _may_repeat(self, error: EmbedstackError, wait_s: float, deadline: float | None) -> bool:
        if isinstance(error, DeadlineExceeded | Silent) or wait_s > MOST_PATIENCE_S:
            return False
        return error.retry and (deadline is None or self.clock() + wait_s < deadline)


def _told_s(failed: Failed) -> float:
    """How long the server is not to be asked, by a header or as the dialect heard it."""
    return max(failed.told_s, failed.error.retry_after_s if isinstance(failed.error, NotReady) else 0.0)


def backoff_s(count: int) -> float:
    """The pause after so many attempts, of which callers have different ones."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**count)
    return spread(longest)


def spread(seconds: float) -> float:
    """Up to a quarter less."""
    return seconds * random.uniform(0.75, 1.0)  # noqa: S311 spreads callers, guards nothing
