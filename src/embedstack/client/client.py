"""Requests become calls to one endpoint, and its replies become answers that carry an identity: an Encoder."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TypeVar

import numpy as np

from embedstack.client.calls import Calls, Pause
from embedstack.client.endpoint import MASK, Endpoint
from embedstack.client.identity import must_be, must_be_wide, one_claim, unknown_spec
from embedstack.client.wording import in_one, kind_of, parts, plain, prompt_relied_on, prompted
from embedstack.dialects import open_dialect
from embedstack.dialects.dialect import AnyRoute, Heard, Info
from embedstack.dialects.reply import Claim, body_bytes, claimed, must_carry
from embedstack.errors import ConfigError, EmbedstackError, UnknownModel, Unsupported, Upstream
from embedstack.modelspec import Input, ModelSpec, Task
from embedstack.types import (
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Floats,
    Score,
    Scored,
    Tokenize,
    Tokenized,
    Usage,
)

TIMEOUT_S = 30.0
RETRIES = 3
BIG_BYTES = 256 * 1024  # about a millisecond of JSON; above it the loop stays free for others
Given = TypeVar("Given")

log = logging.getLogger("embedstack.client")


@dataclass(frozen=True, slots=True)
class _Answer:
    rows: Floats
    spec: ModelSpec
    fingerprint: str
    usage: Usage


class Client:
    """One endpoint. Satisfies `Encoder`; for one event loop, and an async context manager.

    An embedstack server says with each reply of which space and fingerprint it is. Of another server nothing is known:
    answers then carry the spec that was expected, or `unknown_spec`, and an empty fingerprint; `proof` can prove it.

    Args:
        url: the base URL that the dialect's own clients are given.
        model: the model's name there; a request may then name no other, save the spec's.
        dialect: openai (vectors), tei (vectors and scores, normalize, truncate), model-worker (images, too) or another.
        key: sent as a bearer token; never shown.
        spec: the model that must be there. Another claimed space, or another width, is a `Mismatch`.
        prompts_here: put the prompts of the spec in front here, for servers that know no roles.
        timeout_s: for one attempt; a request's deadline may be nearer.
        retries: how often a call that was lost or put off is repeated.
        max_items: the most in one call; what the endpoint says, or its dialect's limit, if None.
        pause: waits between attempts.
    Raises:
        ConfigError: the URL, the key or the dialect is none, or a number is out of its range.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        dialect: str = "openai",
        key: str = "",
        spec: ModelSpec | None = None,
        prompts_here: bool = False,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        max_items: int | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        if prompts_here and spec is None:
            raise ConfigError("prompts_here needs the spec that holds the prompts; give the client a spec")
        if max_items is not None and max_items < 1:
            raise ConfigError(f"max_items={max_items!r} is below 1; leave it out for what the endpoint says")
        self._endpoint = Endpoint(url, key)
        self._dialect = open_dialect(dialect)
        self._model = model
        self._spec = spec
        self._prompts_here = prompts_here
        self._max_items = max_items
        self._heard: dict[str, ModelSpec] = {}
        self._calls = Calls(self._endpoint, self._dialect, timeout_s=timeout_s, retries=retries, pause=pause)

    def __repr__(self) -> str:
        key = MASK if self._endpoint.key else ""
        return f"Client({self._endpoint.shown!r}, model={self._model!r}, dialect={self._dialect.name!r}, key={key!r})"

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connections up."""
        await self._calls.close()

    close = aclose  # the name by which a server closes any encoder

    def models(self) -> tuple[ModelSpec, ...]:
        """The expected model; without one, what answered so far."""
        return tuple(self._heard.values()) if self._spec is None else (self._spec,)

    async def encode(self, request: Encode) -> Encoded:
        """Vectors from there; of late chunking without spans, which no dialect has words for.

        Raises:
            Unsupported: the dialect cannot carry what is asked for; nothing was sent.
            Mismatch: another model answers than was expected.
            Upstream, Overloaded, NotReady, DeadlineExceeded, BadRequest: from there, or from the way there.
            NotReady also if this client is closed.
        """
        got = await self._asked("embed", request)
        return Encoded(spec=got.spec, fingerprint=got.fingerprint, usage=got.usage, dense=got.rows)

    async def score(self, request: Score) -> Scored:
        """Scores from there; errors as for `encode`."""
        got = await self._asked("rerank", request)
        return Scored(spec=got.spec, fingerprint=got.fingerprint, usage=got.usage, scores=got.rows)

    async def classify(self, request: Classify) -> Classified:
        """No dialect asks for labels yet."""
        raise self._unasked("classify texts")

    async def tokens(self, request: Tokenize) -> Tokenized:
        """No dialect asks for tokens yet."""
        raise self._unasked("show tokens")

    async def decode(self, request: Decode) -> Decoded:
        """No dialect asks for the text of tokens yet."""
        raise self._unasked("decode tokens")

    def _unasked(self, what: str) -> Unsupported:
        return Unsupported(
            f"the dialect {self._dialect.name!r} cannot ask an endpoint to {what}; only vectors and scores can be had"
        )

    async def _asked(self, task: Task, request: Encode | Score) -> _Answer:
        route = self._route(task, kind_of(request))
        worded = self._worded(route, replace(request, model=self._name_there(request.model)))
        must_carry(worded, route.carries, self._dialect.name)
        if not request.items:
            return self._nothing(task, request)
        began = time.monotonic()
        try:
            heard = await self._in_parts(route, worded)
            answer = self._identified(task, request, *heard)
        except EmbedstackError as error:
            error.args = (self._endpoint.masked(f"{self._endpoint.shown}: {error}"), *error.args[1:])
            raise
        answer = replace(answer, usage=replace(answer.usage, run_s=time.monotonic() - began))
        self._log(answer)
        return answer

    def _route(self, task: Task, kind: Input) -> AnyRoute:
        for route in self._dialect.routes:
            if (route.task, route.input) == (task, kind) and route.say is not None and route.hear is not None:
                return route
        if kind == "image":
            raise Unsupported(f"the dialect {self._dialect.name!r} cannot carry images; use model-worker")
        raise Unsupported(f"the dialect {self._dialect.name!r} has no route for the task {task!r}; use tei")

    def _name_there(self, asked: str) -> str:
        """The endpoint's name for the model.

        Raises:
            UnknownModel: this client is for another.
        """
        names = [name for name in (self._model, self._spec.name if self._spec else "") if name]
        if asked and names and asked not in names:
            raise UnknownModel(f"model {asked!r} is not what this client is for; ask for {names[0]!r}")
        return self._model or asked

    def _worded(self, route: AnyRoute, request: Encode | Score) -> Encode | Score:
        if self._spec is None:
            return request
        if self._prompts_here and isinstance(request, Encode):
            request = prompted(request, self._spec, route)
            return plain(request, replace(self._spec, prompts={}), route)
        return plain(request, self._spec, route)

    def _nothing(self, task: Task, request: Encode | Score) -> _Answer:
        spec = self._spec or unknown_spec(self._endpoint.host, request.model or self._model, 0, task)
        width = (request.dim or spec.dim,) if isinstance(request, Encode) else ()
        return _Answer(np.zeros((0, *width), np.float32), spec, "", Usage(0, 0))

    async def _in_parts(self, route: AnyRoute, request: Encode | Score) -> tuple[Heard, Claim]:
        """The whole in input order, and whose it is."""
        numbers = list(parts(request.items, await self._most_items(request)))
        in_one(numbers, request)
        replies = [await self._part(route, _only(request, few)) for few in numbers]
        widths = {heard.rows.shape[1:] for heard, _ in replies}
        if len(widths) > 1:
            raise Upstream(f"its vectors are {' and '.join(str(width[0]) for width in sorted(widths))} numbers wide")
        stacked = np.concatenate([heard.rows for heard, _ in replies])
        rows = np.empty_like(stacked)
        rows[np.concatenate(numbers)] = stacked
        return Heard(rows, sum(heard.tokens for heard, _ in replies)), one_claim([claim for _, claim in replies])

    async def _part(self, route: AnyRoute, request: Encode | Score) -> tuple[Heard, Claim]:
        say, hear = route.say, route.hear
        assert say is not None  # `_route` chose it so
        assert hear is not None
        body = body_bytes(say(request))
        wire = await self._calls.post(route.path, body, request)
        heard = await _aside(len(wire.body), lambda: hear(wire, request))
        claim = claimed(wire.headers)
        if isinstance(request, Encode) and route.overlooks_role:
            self._must_have_prompted(request, claim)
        return heard, claim

    def _must_have_prompted(self, request: Encode, claim: Claim) -> None:
        """Refuse vectors whose prompt nobody may have put in front, or two did."""
        role = prompt_relied_on(request, self._spec)
        if self._prompts_here and claim.space and role:
            raise Unsupported("it is embedstack and puts prompts in front itself; leave prompts_here out")
        if not self._prompts_here and not claim.space and role:
            raise Unsupported(
                f"it is not embedstack and may overlook the role {role!r}, whose prompt would then be missing; "
                "give the client a spec and prompts_here=True, or use the dialect tei"
            )

    async def _most_items(self, request: Encode | Score) -> int:
        """What the endpoint takes in one call, asked for once."""
        info = self._dialect.info
        if self._max_items is None:
            self._max_items = self._dialect.max_items if info is None else await self._told(info, request)
        return self._max_items

    async def _told(self, info: Info, request: Encode | Score) -> int:
        try:
            return info.hear_max_items(await self._calls.get(info.path, request))
        except EmbedstackError as error:
            if error.retry:
                raise
            return self._dialect.max_items  # it is there and has no such page

    def _identified(self, task: Task, request: Encode | Score, heard: Heard, claim: Claim) -> _Answer:
        width = heard.rows.shape[1] if isinstance(request, Encode) else 0
        if self._spec is not None:
            must_be(self._spec, claim)
        asked = request.dim if isinstance(request, Encode) else None
        expected = asked or (self._spec.dim if self._spec is not None else width)
        if isinstance(request, Encode):
            must_be_wide(width, expected)
        spec = self._spec or unknown_spec(
            self._endpoint.host, claim.model or request.model or self._model, width, task, space=claim.space
        )
        self._heard[spec.space] = spec
        usage = Usage(len(request.items), heard.tokens, dropped=claim.dropped, truncated=claim.truncated)
        return _Answer(heard.rows, spec, claim.fingerprint, usage)

    def _log(self, answer: _Answer) -> None:
        """Never a text, never a key."""
        has_scores = answer.rows.ndim == 1
        what = f"top_score={answer.rows.max():.4f}" if has_scores else f"dimensions={answer.rows.shape[1]}"
        line = "event=answered host=%s dialect=%s items=%d %s ms=%.1f"
        usage = answer.usage
        log.info(line, self._endpoint.host, self._dialect.name, usage.items, what, usage.run_s * 1000)


def _only(request: Encode | Score, numbers: list[int]) -> Encode | Score:
    """The request for these items alone. Two branches, as mypy types the items by the kind of request."""
    if isinstance(request, Score):
        return replace(request, items=tuple(request.items[number] for number in numbers))
    return replace(request, items=tuple(request.items[number] for number in numbers))


async def _aside(size_bytes: int, work: Callable[[], Given]) -> Given:
    """Do big work in a thread, small work here."""
    return await asyncio.to_thread(work) if size_bytes > BIG_BYTES else work()
