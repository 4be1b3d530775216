"""One endpoint of a plan and what is known of it: requests in its own words go out, and how it did is remembered."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from embedstack.client.breaker import Breaker
from embedstack.client.client import Client
from embedstack.client.health import PAGES
from embedstack.client.plan import Target
from embedstack.client.providers import provider
from embedstack.client.routing import Standing
from embedstack.client.shared import Clock
from embedstack.client.space import claim_of
from embedstack.errors import (
    BadRequest,
    DeadlineExceeded,
    EmbedstackError,
    Forbidden,
    Mismatch,
    NotReady,
    Unauthorized,
    UnknownModel,
    Unsupported,
)
from embedstack.modelspec import Task
from embedstack.proof.asking import logits
from embedstack.types import Encode, Encoded, Encoder, Floats, Pair, Score, Scored, Text

OpenLocal = Callable[[str], Encoder]
"""A model's name, empty for the usual one, becomes an Encoder in this process; may block."""
SILENT = 3  # calls in a row that were overtaken before they gave an answer: from then on each is a failure
SLOW_S = 5.0  # who has not answered for so long when a caller's time ran out has failed; before, it had no chance
TINY = 1e-30
PING = Encode(model="", items=(Text("ping"),), caller="router")
PING_OF_SCORES = Score(model="", items=(Pair("ping", "pong"),), caller="router")
Asked = TypeVar("Asked", Encode, Score)
Answer = TypeVar("Answer")
log = logging.getLogger("embedstack.client")


class Seat:
    """An endpoint. For one event loop at a time: `let_go` before another.

    Args:
        prompts: what goes in front of texts where the endpoint puts nothing; None: nobody knows.
        retries: how often a call is repeated here.
        patience_s: after which another endpoint is asked as well; None: never.
        local: opens a model in this process.
    """

    def __init__(
        self,
        target: Target,
        task: Task,
        *,
        prompts: Mapping[str, str] | None,
        retries: int,
        local: OpenLocal | None,
        clock: Clock,
        patience_s: float | None = None,
    ) -> None:
        self.target = target
        self.task = task
        self.breaker = Breaker()
        self.openings = 0  # of the breaker: what was found out before one does not count afterwards
        self.is_up: bool | None = None  # by the last call or look; None: there was none yet
        self.has_answered = False
        self.last_words = ""  # of its last failure
        self.prompts = prompts if _overlooks_roles(target, prompts) else None
        self._retries = retries
        self._patience_s = patience_s
        self._silent = 0  # calls in a row that were given up after that
        self._overtaken: set[asyncio.Future[Any]] = set()  # calls that are being cancelled for that
        self._local = local
        self._clock = clock
        self._client: Client | None = None
        self._opened: Encoder | None = None
        self._opening: asyncio.Future[Encoder] | None = None

    @property
    def name(self) -> str:
        """For logs and errors."""
        return self.target.name

    @property
    def is_open(self) -> bool:
        """Whether its model is in this process."""
        return self._opened is not None

    @property
    def sleeps(self) -> bool:
        """Whether a call in advance may spare somebody a wait."""
        return provider(self.target.provider).sleeps

    @property
    def down(self) -> str:
        """Why it would not answer now, as far as is known; empty where it may."""
        return self._barred(self._clock()) or (self.last_words if self.is_up is False else "")

    def standing(self, *, is_healthy: bool) -> Standing:
        """As a route sees it."""
        return Standing(self.name, self._barred(self._clock()), is_healthy)

    async def healthy(self) -> bool:
        """Whether it says that it would answer. Who has no page for it is asked for something small once it failed."""
        if not self.target.url:
            return True
        if provider(self.target.provider).dialect not in PAGES:
            return self.is_up is not False or await self._answers()
        health = await self._there().health()
        if not health.is_ready:
            self.last_words = f"{self.target.shown}: {health.reason}"
        self.is_up = health.is_ready
        return health.is_ready

    async def _answers(self) -> bool:
        try:
            await self.attempt(self.ping)
        except EmbedstackError:
            return False
        return True

    # -------------------------------------------------------------------------------------------- asked

    async def encode(self, request: Encode) -> Encoded:
        """Vectors from there; what its dialect cannot say and can be done here as well is done here."""
        prompted = self._prompted(request)
        encoder, asked = await self._addressed(prompted)
        try:
            answer = await encoder.encode(asked)
        except Unsupported:
            if not asked.normalize:
                raise
            answer = await encoder.encode(replace(asked, normalize=None))
            answer = replace(answer, dense=None if answer.dense is None else _unit(answer.dense))
        if prompted is not request and claim_of(answer) and any((self.prompts or {}).values()):
            raise Unsupported("it is embedstack and puts prompts in front itself; give it the provider 'embedstack'")
        return answer

    async def score(self, request: Score) -> Scored:
        """Scores from there. Where logits are wanted and it has none, those of its relevance between 0 and 1."""
        encoder, asked = await self._addressed(request)
        try:
            return await encoder.score(asked)
        except Unsupported:
            if not asked.raw_scores:
                raise
        answer = await encoder.score(replace(asked, raw_scores=False))
        if answer.scores.size and not (answer.scores.min() >= 0 and answer.scores.max() <= 1):
            raise Unsupported("its scores are not between 0 and 1, so nobody knows their logits; ask for plain scores")
        return replace(answer, scores=logits(answer.scores, replace(answer.spec, score_activation="sigmoid")))

    async def ping(self) -> None:
        """A small call that has it start what it needs."""
        if self.task == "embed":
            await self.encode(PING)
        else:
            await self.score(PING_OF_SCORES)

    async def _addressed(self, request: Asked) -> tuple[Encoder, Asked]:
        """Who answers, and the request with the name that the model has there."""
        if self.target.url:
            return self._there(), replace(request, model="")
        encoder = await self._here()
        names = [spec.name for spec in encoder.models() if spec.task == self.task]
        return encoder, replace(request, model=names[0] if names else "")

    def _prompted(self, request: Encode) -> Encode:
        """Prompts in front and no roles, where the endpoint would overlook them and the prompts are known."""
        prompts = self.prompts
        if prompts is None or not any(isinstance(item, Text) for item in request.items):
            return request
        unknown = {item.role for item in request.items if isinstance(item, Text)} - {
            "query",
            "document",
            "none",
            *prompts,
        }
        if unknown:
            known = ", ".join(sorted({"query", "document", "none", *prompts}))
            raise BadRequest(f"the model has no role {min(unknown)!r}; use one of: {known}")
        items = (
            Text(prompts.get(item.role, "") + item.text) if isinstance(item, Text) else item for item in request.items
        )
        return replace(request, items=tuple(items))

    def _there(self) -> Client:
        if self._client is None:
            target = self.target
            self._client = Client(
                target.url,
                name=target.name,
                model=target.model,
                dialect=provider(target.provider).dialect,
                key=target.key,
                timeout_s=target.timeout_s,
                retries=self._retries,
            )
        return self._client

    async def _here(self) -> Encoder:
        """The model in this process, opened once and in a thread, also where several ask at once."""
        if self._opened is None:
            if self._local is None:
                raise NotReady("no model can be opened in this process")
            if self._opening is None or self._opening.cancelled():  # with the event loop in which it began
                self._opening = asyncio.ensure_future(asyncio.to_thread(self._local, self.target.model))
            try:
                self._opened = await asyncio.shield(self._opening)
            finally:
                if self._opening is not None and self._opening.done():
                    self._opening = None
        return self._opened

    # -------------------------------------------------------------------------------------------- remembered

    async def attempt(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """A call, if it may be made now, and what it says of the endpoint.

        Raises:
            NotReady: it may not. EmbedstackError: as it answers.
        """
        began = self._clock()
        if barred := self._barred(began):
            raise NotReady(barred)
        number = self.breaker.began()
        try:
            answer = await work()
        except EmbedstackError as error:
            self._did_badly(error, _is_own_fault(error, self._clock() - began), number)
            raise
        except BaseException:
            self._was_left(self._clock() - began, number)
            raise
        self.breaker.succeeded()
        self._silent = 0
        self.has_answered = True
        self.is_up = True
        return answer

    def overtake(self, call: "asyncio.Future[Any]") -> None:
        """Say of a call that still runs: another endpoint answered its request, though it was asked later."""
        self._overtaken.add(call)
        call.add_done_callback(self._overtaken.discard)

    def _was_left(self, after_s: float, number: int) -> None:
        """By a caller that had an answer from elsewhere, or that is gone."""
        is_overtaken = asyncio.current_task() in self._overtaken
        is_silent = is_overtaken and self._patience_s is not None and after_s >= self._patience_s
        self._silent += is_silent
        silence = NotReady(f"it was silent for {after_s:.1f} s and overtaken, {self._silent} times in a row")
        self._did_badly(silence, is_silent and self._silent >= SILENT, number)

    def _did_badly(self, error: EmbedstackError, is_own_fault: bool, number: int) -> None:
        if not is_own_fault:
            self.breaker.released(number)
            return
        self.is_up, self.last_words = False, error.message
        if self.breaker.failed(self._clock(), number):
            self.openings += 1
            log.warning("event=left_alone endpoint=%s seconds=%.0f", self.name, self.breaker.open_s)

    def _barred(self, now: float) -> str:
        """Why it is not asked; empty where it is."""
        if self.breaker.may_ask(now):
            return ""
        left = self.breaker.left_s(now)
        pause = f"for another {left:.0f} s" if left else "while one call tries it"
        return f"not asked {pause}, since it failed before: {self.last_words}"

    async def let_go(self) -> None:
        """Give connections up; the next call makes others."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def close(self) -> None:
        """Give everything up."""
        await self.let_go()
        opened, self._opened = self._opened, None
        close = getattr(opened, "close", None)
        closing = close() if close is not None else None
        if inspect.isawaitable(closing):
            await closing


def _overlooks_roles(target: Target, prompts: Mapping[str, str] | None) -> bool:
    """Whether prompts go in front here. At RunPod anybody's worker may be, and of a model without prompts it is sure
    that overlooking a role does no harm.
    """
    row = provider(target.provider)
    return row.overlooks_roles or (row.dialect == "runpod" and prompts is not None and not any(prompts.values()))


def _is_own_fault(error: EmbedstackError, took_s: float) -> bool:
    if isinstance(error, DeadlineExceeded):
        return took_s >= SLOW_S
    return not isinstance(error, BadRequest | Mismatch) or isinstance(error, Unauthorized | Forbidden | UnknownModel)


def _unit(rows: Floats) -> Floats:
    """Each of length 1; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, TINY), np.float32)
