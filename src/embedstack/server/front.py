"""What every route shares: the encoder, the keys, the limits, the books; and the reply to an error."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from starlette.types import Scope

from embedstack import __version__
from embedstack.dialects.dialect import AnyRoute, Limits, Page, Status, Wire
from embedstack.dialects.places import Serving
from embedstack.dialects.wire import BodyTooSlow
from embedstack.engine.links import Links
from embedstack.errors import EmbedstackError, Forbidden, RuntimeFailed, Unauthorized
from embedstack.server.batches import Batches
from embedstack.server.bound_models import BoundModels, Find
from embedstack.server.bringing import Bringing
from embedstack.server.guard import HungUp, caller_by_head
from embedstack.server.keys import Keys, Refusals, challenge
from embedstack.server.logs import log, quoted, trace, word
from embedstack.server.metrics import Metrics
from embedstack.server.opening import Opening
from embedstack.server.served import Collections
from embedstack.server.tracing import Record, recorder
from embedstack.server.usage import UsageTotals
from embedstack.settings import Settings
from embedstack.types import Encoder

HUNG_UP = Wire(499, b"")  # nobody reads it; the number is nginx's


@dataclass(frozen=True, slots=True)
class Door:
    """What one request asks.

    Args:
        look: settles what a collection's name stands for in this request; of other names nothing.
    """

    encoder: Encoder
    find: Find
    limits: Limits
    look: Callable[[str], Awaitable[None]]


class Front:
    """One for each app.

    Args:
        clock: seconds, by which collections are looked at again.
    Raises:
        ConfigError: the keys or the collections cannot be read, or a package that is wanted is not installed.
    """

    def __init__(self, opening: Opening, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.opening = opening
        self.keys = Keys.of(settings)
        self.links = Links(settings)
        self.totals = UsageTotals()
        self.metrics = Metrics(self.status, self.keys.callers)
        self.batches = Batches(self.metrics.registry, settings.bulk_batch_ms / 1000)
        self.record: Record | None = None
        self.finish: Callable[[], None] = _nothing
        if settings.traces:
            self.record, self.finish = recorder()
        self._guards_metrics = not settings.open_metrics
        self.max_bytes = settings.max_body_mb * 1024 * 1024
        self.limits = Limits(
            max_items=settings.max_items,
            truncate=settings.truncate,
            token_ids=settings.token_ids,
            max_body_bytes=self.max_bytes,
            image_links=settings.image_links,
            find=opening.find,
        )
        self._refusals = Refusals()
        self.collections = Collections.of(settings, clock)
        self._missing = Bringing(settings, lambda: opening.pool)

    def door(self) -> Door:
        """For one request.

        Raises:
            NotReady: there is no encoder yet, or none any more.
        """
        if not self.collections:
            return Door(self.opening.encoder(), self.opening.find, self.limits, _nothing_there)
        bound = self.bound()
        return Door(bound, bound.find, replace(self.limits, find=bound.find), bound.look)

    def bound(self) -> BoundModels:
        """The encoder that knows collections; raises as `door`."""
        return BoundModels(self.opening.encoder(), self.opening.find, self.collections, self._missing)

    def admitted(self, scope: Scope) -> str | None:
        """The name of the key that came; None where nobody needs one.

        Raises:
            Unauthorized: no key, or a wrong one.
        """
        if not self.keys.are_set:
            return None
        with self._noting(scope):
            return self.keys.caller(dict(scope["headers"]))

    def admitted_admin(self, scope: Scope) -> None:
        """Let only the holder of the admin key through.

        Raises:
            Forbidden, Unauthorized: see Keys.admin.
        """
        with self._noting(scope):
            self.keys.admin(dict(scope["headers"]))

    def admitted_to_metrics(self, scope: Scope) -> None:
        """Let all through who may scrape: everybody, or holders of a key, also if the admin's is the only one.

        Raises:
            Unauthorized: no key, or a wrong one.
        """
        if self._guards_metrics and self.keys.are_set:
            self.admitted(scope)
        elif self._guards_metrics:
            self.admitted_admin(scope)

    @contextmanager
    def _noting(self, scope: Scope) -> Iterator[None]:
        """Write who is refused."""
        try:
            yield
        except (Unauthorized, Forbidden):
            self._refusals.note(peer_of(scope), scope["path"])
            raise

    def status(self) -> Status:
        """What the pages show, with the totals of all callers."""
        callers = self.totals.snapshot()
        return replace(self.opening.status(), limits=self.limits, callers=callers, version=__version__)

    def status_for(self, scope: Scope, key_name: str | None) -> Status:
        """The same for one caller, who sees no other's totals; and without a key where keys are set, no reasons."""
        headers = dict(scope["headers"])
        status = self.status()
        if self.keys.is_admin(headers):
            return status
        status = replace(status, callers=self.totals.seen_by(caller_by_head(headers, peer_of(scope), key_name)))
        return status if self.keys.is_caller(headers) else replace(status, reason=untold(status))

    def failed(self, serving: Serving, error: Exception, request_id: str) -> Wire:
        """The reply to an error; what nobody expected is told to the log, and to the caller only by its number."""
        if isinstance(error, HungUp):
            return HUNG_UP
        fail = _fail_of(serving.what) or serving.dialect.fail
        if not isinstance(error, EmbedstackError):
            log.error("event=bug id=%s cause=%s", word(request_id), quoted(trace(error)))
            return fail(RuntimeFailed(f"internal error; see the log with request id {request_id}"))
        if error.status >= 500 and not error.retry:
            cause = quoted(trace(error))
            log.error("event=failed id=%s reason=%s cause=%s", word(request_id), quoted(error.message), cause)
        wire = fail(error)
        # after half a body nothing else can be read from the connection (RFC 9110, section 15.5.9)
        closing = {"connection": "close"} if isinstance(error, BodyTooSlow) else {}
        return replace(wire, headers={**wire.headers, **challenge(error), **closing})

    def done(self, place: str, dialect: str, scope: Scope, status: int, took_s: float) -> None:
        """Count and log one reply: good ones at debug, others at info or warning.

        Who comes without a key is in the log already, once a second, so that nobody can fill it.
        """
        self.metrics.replied(place, dialect, status)
        level = 10 if status < 400 or status == Unauthorized.status else 20 if status < 500 else 30
        if log.isEnabledFor(level):
            line = "event=request id=%s method=%s route=%s dialect=%s status=%d ms=%.1f"
            request_id = word(scope["embedstack.request_id"])
            log.log(level, line, request_id, scope["method"], place, dialect, status, took_s * 1000)


def peer_of(scope: Scope) -> str:
    """The address of the caller."""
    return str(scope["client"][0]) if scope.get("client") else ""


def untold(status: Status) -> str:
    """What stands for a reason before those who hold no key: it may name files; empty when it is ready."""
    return f"the server is {status.state}; send a key to be told why" if status.reason else ""


def _fail_of(what: AnyRoute | Page) -> Callable[[EmbedstackError], Wire] | None:
    return None if isinstance(what, Page) else what.fail


def _nothing() -> None:
    """There are no spans to send."""


async def _nothing_there(name: str) -> None:
    """There are no collections."""
