"""A function that opens an encoder becomes an encoder in a thread of its own, while the server already answers."""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import psutil

from embedstack.dialects.dialect import Memory, Standing, State, Status
from embedstack.engine.pool import Pool
from embedstack.errors import EmbedstackError, NotReady, RuntimeFailed
from embedstack.modelspec import ModelSpec
from embedstack.proof.startup import Proof
from embedstack.runtimes.processor import usable_threads
from embedstack.server.logs import log, quoted, trace
from embedstack.server.readiness import readiness
from embedstack.types import Encoder
from embedstack.watching import LivesElsewhere, Load, ShowsLoad

OpenEncoder = Callable[[], Encoder]
Settled = Callable[[EmbedstackError | None], None]
Check = Callable[[Encoder], Proof]


def unproven(encoder: Encoder) -> Proof:
    """The check of a server that was given none."""
    return "unproven"


LEAVE_S = 2.0  # weights load within it; a download that takes longer is cut by the process's end


@runtime_checkable
class KnowsAliases(Protocol):
    """An encoder that answers to more names than its specs have."""

    def spec_of(self, name: str) -> ModelSpec | None:
        """The model that a request with this name would get."""
        ...


class Opening:
    """The one encoder of a server: loading, then ready or failed, at last perhaps dead.

    Args:
        doing: what loading means, for those who ask meanwhile.
        on_settled: called once from the loading thread, with the error if there is one.
        check: says of the encoder that was opened whether it is proven; what it raises ends the opening.
    """

    def __init__(self, open_encoder: OpenEncoder, doing: str, on_settled: Settled, check: Check = unproven) -> None:
        self._open_encoder = open_encoder
        self._check = check
        self._doing = doing
        self._on_settled = on_settled
        self._encoder: Encoder | None = None
        self._find: Callable[[str], ModelSpec | None] = lambda name: None
        self._error: EmbedstackError | None = None
        self._proof: Proof = "unproven"
        self.is_draining = False
        self._started = time.time()
        self._began = time.monotonic()
        self._threads = usable_threads()  # as the tokenizers library counts them
        # A daemon, so that a download does not hold up the process's end.
        self._thread = threading.Thread(target=self._open, name="open-encoder", daemon=True)

    def start(self) -> None:
        """Begin to load."""
        self._thread.start()

    def _open(self) -> None:
        try:
            encoder = self._open_encoder()
            try:
                self._proof = self._check(encoder)
            except BaseException:
                asyncio.run(_close(encoder))
                raise
            self._find = finder_of(encoder)
            self._encoder = encoder
        except EmbedstackError as error:
            self._error = error
        except BaseException as error:  # also of a library that would end the process: the server must know
            log.error("event=open_failed cause=%s", quoted(trace(error)))
            self._error = RuntimeFailed(f"the model could not be opened ({type(error).__name__}: {error}); see the log")
            self._error.__cause__ = error
        try:
            self._report()
        finally:
            self._on_settled(self._error)

    def _report(self) -> None:
        took_s = time.monotonic() - self._began
        if self._error is not None:
            log.error("event=failed seconds=%.2f reason=%s", took_s, quoted(self._error.message))
        else:
            names = ",".join(spec.name for spec in self._encoder.models()) if self._encoder else ""
            log.info("event=ready seconds=%.2f models=%s proof=%s", took_s, quoted(names), self.proof)

    @property
    def state(self) -> State:
        """Where it stands now, without a look at its models: a request for a sound one is answered."""
        if self._error is not None:
            return "failed"
        if self._encoder is None:
            return "loading"
        if not getattr(self._encoder, "alive", True):
            return "dead"
        return "draining" if self.is_draining else "ready"

    @property
    def reason(self) -> str:
        """Why it is not ready; empty when it is."""
        match self.state:
            case "loading":
                return f"{self._doing} since {time.monotonic() - self._began:.0f} s; try again soon"
            case "failed":
                return str(self._error)
            case "dead":
                return "the engine is dead; restart the server"
            case "draining":
                return "the server is stopping; send the request to another replica"
            case "ready":
                return ""

    @property
    def proof(self) -> Proof:
        """What the check said; what holds now of a pool, which checks at each load, and of models elsewhere."""
        return self._encoder.proof if isinstance(self._encoder, Pool | LivesElsewhere) else self._proof

    @property
    def pool(self) -> Pool | None:
        """The encoder, if its models can come and go."""
        return self._encoder if isinstance(self._encoder, Pool) else None

    def encoder(self) -> Encoder:
        """The encoder.

        Raises:
            NotReady: with the reason.
        """
        if self.state not in ("ready", "draining") or self._encoder is None:
            raise NotReady(self.reason)
        return self._encoder

    def find(self, name: str) -> ModelSpec | None:
        """The model that a request with this name would get, if there is one."""
        return self._find(name)

    def drain(self) -> None:
        """Tell load balancers and clients to go elsewhere; what still comes is answered."""
        self.is_draining = True

    def status(self) -> Status:
        """What the pages show."""
        models = self._encoder.models() if self._encoder else ()
        standing = self.pool.states() if self.pool else None
        state, reason = readiness(self.state, self.reason, standing)
        down = self._down() if state == "ready" else {}
        if down:
            state, reason = "failed", "; ".join(down.values())
        states: Mapping[str, Standing] = {model.name: model.state for model in standing or ()}
        return Status(
            state=state,
            reason=reason,
            states=states or {spec.name: "failed" if spec.name in down else "loaded" for spec in models},
            models=models,
            find=self.find,
            started=self._started,
            uptime_s=time.monotonic() - self._began,
            memory=memory(),
            load=self._encoder.load() if isinstance(self._encoder, ShowsLoad) else Load(),
            threads=self._threads,
        )

    def _down(self) -> Mapping[str, str]:
        return self._encoder.down() if isinstance(self._encoder, LivesElsewhere) else {}

    async def close(self) -> None:
        """Close the encoder if it can be closed; it may be async or not."""
        await asyncio.to_thread(self._thread.join, LEAVE_S)
        await _close(self._encoder)


def finder_of(encoder: Encoder) -> Callable[[str], ModelSpec | None]:
    """The model by any of its names, as the encoder would take it."""
    if isinstance(encoder, KnowsAliases):
        return encoder.spec_of
    return lambda name: next((spec for spec in encoder.models() if spec.name == name), None)


async def _close(encoder: Encoder | None) -> None:
    close = getattr(encoder, "close", None)
    if close is not None:
        closing = close()
        if inspect.isawaitable(closing):
            await closing


def memory() -> Memory:
    """Bytes of this process; `shared`, which holds what is backed by files, is known on Linux only."""
    held = psutil.Process().memory_info()
    return Memory(resident=held.rss, mapped=getattr(held, "shared", 0))
