"""Requests become calls to one endpoint, and its replies become answers that carry an identity: an Encoder."""

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np

from embedstack.client.aside import aside
from embedstack.client.calls import Calls, Carrier
from embedstack.client.connections import Clock
from embedstack.client.endpoint import MASK, Endpoint
from embedstack.client.health import HEALTH_S, PAGES, Health, health_of, unasked, unreachable
from embedstack.client.identity import must_be, must_be_wide, one_claim, unknown_spec
from embedstack.client.jobs import JobCalls
from embedstack.client.patience import Patience, Pause
from embedstack.client.running import Running
from embedstack.client.wording import in_one, kind_of, parts, plain, prompt_relied_on, prompted, rows_that_fit
from embedstack.dialects import open_dialect
from embedstack.dialects.dialect import AnyRoute, Claim, Heard, Info
from embedstack.dialects.reply import body_bytes, claimed, must_carry
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
JOB_TIMEOUT_S = 60.0  # a worker may have to start first; both as the RAG stack's clients have them
RETRIES = 3
MAX_MESSAGE_CHARS = 2000  # of an error; a worker's words may be any number

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
        url: the base URL that the dialect's own clients are given. One that ends in `/runsync` or `/run` is of jobs.
        model: the model's name there; a request may then name no other, save the spec's.
        dialect: openai (vectors), tei (vectors and scores, normalize, truncate), model-worker (images, too), runpod
            (jobs) or another; empty for runpod at an address of jobs and openai elsewhere.
        key: sent as a bearer token; never shown.
        spec: the model that must be there. Another claimed space, or another width, is a `Mismatch`.
        prompts_here: put the prompts of the spec in front here, for servers that know no roles.
        timeout_s: for one attempt, and for a job from its sending to its end; a request's deadline may be nearer.
            30 if None, 60 for jobs.
        retries: how often a call that was lost or put off is repeated.
        max_items: the most in one call; what the endpoint says, or its dialect's limit, if None.
        name: of the provider, for logs and errors; the dialect's, if empty.
        pause: waits between attempts.
        clock: what deadlines are on.
    Raises:
        ConfigError: the URL, the key or the dialect is none, or a number is out of its range.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        dialect: str = "",
        key: str = "",
        spec: ModelSpec | None = None,
        prompts_here: bool = False,
        timeout_s: float | None = None,
        retries: int = RETRIES,
        max_items: int | None = None,
        name: str = "",
        pause: Pause = asyncio.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        if prompts_here and spec is None:
            raise ConfigError("prompts_here needs the spec that holds the prompts; give the client a spec")
        if max_items is not None and max_items < 1:
            raise ConfigError(f"max_items={max_items!r} is below 1; leave it out for what the endpoint says")
        self._endpoint = Endpoint(url, key)
        self._dialect = open_dialect(dialect or ("runpod" if self._endpoint.job_step else "openai"))
        self._model = model
        self._spec = spec
        self._prompts_here = prompts_here
        self._max_items = max_items
        self._name = name
        self._clock = clock
        self._heard: dict[str, ModelSpec] = {}
        self._running = Running()
        self._has_jobs = bool(self._endpoint.job_step) or self._dialect.name == "runpod"
        if timeout_s is None:
            timeout_s = JOB_TIMEOUT_S if self._has_jobs else TIMEOUT_S
        patience = Patience(self._provider, self._endpoint.host, timeout_s, retries, pause, clock)
        self._calls: Carrier = (
            JobCalls(self._endpoint, self._dialect, patience)
            if self._has_jobs
            else Calls(self._endpoint, self._dialect, patience)
        )

    @property
    def _provider(self) -> str:
        return self._name or self._dialect.name

    @property
    def _shown(self) -> str:
        """What an error begins with."""
        return f"{self._name} ({self._endpoint.shown})" if self._name else self._endpoint.shown

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
        """End what runs, with `NotReady` for who waits for it and its jobs cancelled, and give the connections up."""
        await self._running.end()
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

    async def health(self) -> Health:
        """What its own health page says, asked for once, within 5 s; nothing that goes wrong is raised."""
        page = PAGES.get("runpod" if self._has_jobs else self._dialect.name)
        if page is None:
            return unasked(self._dialect.name)
        began = self._clock()
        try:
            wire = await self._running.ended(self._calls.peek(page, HEALTH_S))
            health = health_of(wire, self._dialect.hear_failure(wire), has_jobs=self._has_jobs)
        except EmbedstackError as error:
            health = unreachable(error)
        return replace(health, reason=self._endpoint.masked(health.reason), latency_s=self._clock() - began)

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
        began = self._clock()
        try:
            heard = await self._running.ended(self._in_parts(route, worded))
            answer = self._identified(task, request, *heard)
        except EmbedstackError as error:
            self._log_failed(len(request.items), error, self._clock() - began)
            said = self._endpoint.masked(str(error))[:MAX_MESSAGE_CHARS]  # masked whole: half a secret is one, too
            error.args = (f"{self._shown}: {said}", *error.args[1:])
            raise
        answer = replace(answer, usage=replace(answer.usage, run_s=self._clock() - began))
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
        max_bytes = self._calls.max_bytes
        max_items = await self._most_items(request)
        if max_bytes is not None and isinstance(request, Encode):
            max_items = min(max_items, rows_that_fit(max_bytes, request.dim or self._width))
        numbers = list(parts(request.items, max_items, max_bytes))
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
        heard = await aside(len(wire.body), lambda: hear(wire, request))
        claim = claimed(wire.headers)
        claim = claim if claim.space or heard.claim is None else heard.claim
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
                f"it does not say that it is embedstack, and may overlook the role {role!r}, "
                "whose prompt would then be missing; "
                "give the client a spec and prompts_here=True, or use the dialect tei"
            )

    @property
    def _width(self) -> int:
        """Of its vectors, as far as it is known; else 0."""
        specs = (self._spec,) if self._spec is not None else self._heard.values()
        return max((spec.dim for spec in specs), default=0)

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

    def _log_failed(self, items: int, error: EmbedstackError, run_s: float) -> None:
        line = "event=failed provider=%s host=%s dialect=%s items=%d cause=%s ms=%.1f"
        told = (self._provider, self._endpoint.host, self._dialect.name)
        log.info(line, *told, items, type(error).__name__, run_s * 1000)

    def _log(self, answer: _Answer) -> None:
        """Never a text, never a key."""
        has_scores = answer.rows.ndim == 1
        what = f"top_score={answer.rows.max():.4f}" if has_scores else f"dimensions={answer.rows.shape[1]}"
        line = "event=answered provider=%s host=%s dialect=%s items=%d %s ms=%.1f"
        usage = answer.usage
        told = (self._provider, self._endpoint.host, self._dialect.name)
        log.info(line, *told, usage.items, what, usage.run_s * 1000)


def _only(request: Encode | Score, numbers: list[int]) -> Encode | Score:
    """The request for these items alone. Two branches, as mypy types the items by the kind of request."""
    if isinstance(request, Score):
        return replace(request, items=tuple(request.items[number] for number in numbers))
    return replace(request, items=tuple(request.items[number] for number in numbers))
