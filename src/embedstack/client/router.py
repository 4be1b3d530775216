"""Several endpoints through one door: each request goes to whom the plan, their health and the proof of them say."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from itertools import takewhile
from types import TracebackType
from typing import Any, Literal, TypeVar

import numpy as np

from embedstack.client.client import RETRIES
from embedstack.client.driving import Calls, driven
from embedstack.client.identity import unknown_spec
from embedstack.client.plan import TASKS, Plan, Target
from embedstack.client.proofs import Proofs
from embedstack.client.routing import Attempt, Decision, function_of, route
from embedstack.client.seat import PING, PING_OF_SCORES, OpenLocal, Seat
from embedstack.client.shared import Clock, Shared
from embedstack.client.space import Known
from embedstack.errors import ConfigError, EmbedstackError, NoEndpoint, NotReady, UnknownModel, Unsupported
from embedstack.modelspec import ModelSpec, Task
from embedstack.types import (
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Score,
    Scored,
    Tokenize,
    Tokenized,
    Usage,
)

LOOK_S = 10.0  # for all endpoints together before a server starts; two of their pages may take that
RETRIES_OF_SEVERAL = 1  # where another endpoint can be asked, that is better than a third pause at this one
WHAT: dict[Task, str] = {"embed": "vectors", "rerank": "scores"}
Answer = TypeVar("Answer", Encoded, Scored)
log = logging.getLogger("embedstack.client")


class Router:
    """Satisfies `Encoder`; for one event loop, and an async context manager.

    Vectors come from endpoints of one proven space alone. Scores may come from another model than usual: the answer's
    spec names who scored.

    Args:
        known: the model that the vectors must be of, where it is on this machine.
        local: opens a model in this process, for plans that name the provider local.
        clock: seconds that never go back.
    Raises:
        ConfigError: the plan names the provider local, and nothing opens it; or its probes cannot be read.
    """

    def __init__(
        self, plan: Plan, *, known: Known | None = None, local: OpenLocal | None = None, clock: Clock = time.monotonic
    ) -> None:
        if local is None and any(not target.url for task in TASKS for target in plan.way(task).targets):
            raise ConfigError("the plan names the provider 'local', and nothing opens a model in this process")
        self.plan = plan
        prompts = known.spec.prompts if known is not None else plan.prompts
        self._seats: dict[Task, tuple[Seat, ...]] = {
            task: tuple(
                Seat(
                    target,
                    task,
                    prompts=prompts,
                    retries=_retries(plan, task, target),
                    local=local,
                    clock=clock,
                    patience_s=plan.hedge_after_s,
                )
                for target in plan.way(task).targets
            )
            for task in TASKS
        }
        self._health: Shared[bool] = Shared(plan.health_ttl_s, clock)
        self._proofs = Proofs(plan, self._seats["embed"], known, clock)
        self._scored_last: ModelSpec | None = None
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._aside: set[asyncio.Future[Any]] = set()  # what runs and nobody waits for, whatever it gives

    async def __aenter__(self) -> "Router":
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def models(self) -> tuple[ModelSpec, ...]:
        """One for each task that the plan has; of one that nobody answered for yet little more than the name."""
        return tuple(self._spec(task) for task in TASKS if self._seats[task])

    def spec_of(self, name: str) -> ModelSpec | None:
        """The model that a request with this name would get."""
        return next((self._spec(task) for task in TASKS if self._seats[task] and name in self._names(task)), None)

    async def encode(self, request: Encode) -> Encoded:
        """Vectors of the plan's space.

        Raises:
            NoEndpoint: nobody could, each for a reason of its own; the message lists them.
            BadRequest, DeadlineExceeded: nobody could do better.
        """
        self._check("embed", request.model)
        if not request.items:
            spec = self._spec("embed")
            empty = np.zeros((0, request.dim or spec.dim), np.float32)
            return Encoded(spec=spec, fingerprint="", usage=Usage(0, 0), dense=empty)
        function = function_of(request)
        seats = [seat for seat in self._seats["embed"] if function in seat.target.functions]
        if not seats:
            raise NoEndpoint(f"no endpoint of the plan is for the function {function!r}; name one for it")
        return await self._routed("embed", seats, lambda seat: self._proofs.encoded(seat, request), request.deadline)

    async def score(self, request: Score) -> Scored:
        """Scores; the spec of the answer names who scored. Errors as for `encode`."""
        self._check("rerank", request.model)
        if not request.items:
            empty = np.zeros(0, np.float32)
            return Scored(spec=self._spec("rerank"), fingerprint="", usage=Usage(0, 0), scores=empty)
        return await self._scored(self._seats["rerank"], request)

    async def classify(self, request: Classify) -> Classified:
        """Nobody can be asked for labels."""
        raise _unasked("classify texts")

    async def tokens(self, request: Tokenize) -> Tokenized:
        """Nobody can be asked for tokens."""
        raise _unasked("show tokens")

    async def decode(self, request: Decode) -> Decoded:
        """Nobody can be asked for the text of tokens."""
        raise _unasked("decode tokens")

    # -------------------------------------------------------------------------------------------- how it stands

    @property
    def proof(self) -> Literal["proven", "unproven"]:
        """Whether vectors were compared with what was kept of the space, and not only with one another."""
        return "proven" if self._proofs.is_proven else "unproven"

    def down(self) -> dict[str, str]:
        """By model: why it cannot be had, as far as is known; nothing where nothing speaks against it.

        Called in an event loop, it has those looked at again that are down and whose last look is too old.
        """
        self._look_again()
        return {self._spec(task).name: reason for task in TASKS if (reason := self._down(task))}

    async def look(self) -> None:
        """Ask every endpoint how it is and have it prove itself, before anybody waits for one. Nothing is raised.

        Takes 10 s at most, save where the first model is opened in this process: who is silent for longer is met again
        by the requests. What belongs to the event loop is given up at the end, so that another loop can go on.
        """
        self._loop = asyncio.get_running_loop()  # nothing else is begun beside
        await self._open_here()
        looking = asyncio.ensure_future(self._looked_at_all())
        await asyncio.wait([looking], timeout=LOOK_S)
        self._leave(looking)
        await self._let_go()

    async def _open_here(self) -> None:
        """Have the models that are first here opened, however long that takes."""
        for task in TASKS:
            for seat in self._seats[task][:1]:
                if not seat.target.url:
                    with suppress(EmbedstackError):
                        await seat.attempt(seat.ping)

    async def _looked_at_all(self) -> None:
        seats = [seat for task in TASKS for seat in self._seats[task]]
        await asyncio.gather(*(self._health.get(seat, seat.healthy) for seat in seats))
        await asyncio.gather(*(self._prepared(task) for task in TASKS))

    async def _prepared(self, task: Task) -> None:
        """Those that may answer are proven, or one of them has said its name, and all are awake."""
        if task == "rerank" or not self._proves:
            await self._introduced(task)
        await asyncio.gather(*(self._warmed(seat) for seat in self._seats[task] if seat.is_up is not False))

    async def close(self) -> None:
        """Give everything up; more than once does no harm."""
        self._is_closed = True
        await self._let_go()
        await asyncio.gather(*(seat.close() for task in TASKS for seat in self._seats[task]))

    async def _let_go(self) -> None:
        aside = list(self._aside)
        for one in aside:
            one.cancel()
        await asyncio.gather(*aside, self._health.end(), self._proofs.end(), return_exceptions=True)
        await asyncio.gather(*(seat.let_go() for task in TASKS for seat in self._seats[task]))
        self._loop = None

    # -------------------------------------------------------------------------------------------- one request

    def _check(self, task: Task, model: str) -> None:
        if self._is_closed:
            raise NotReady("this router is closed; make another")
        if not self._seats[task]:
            raise Unsupported(f"the plan has no endpoint for {WHAT[task]}; name one under [{task}]")
        if model and model not in self._names(task):
            known = ", ".join(sorted(self._names(task)))
            raise UnknownModel(f"model {model!r} is not what this router is for; ask for one of: {known}")

    async def _routed(
        self,
        task: Task,
        seats: Sequence[Seat],
        ask: Callable[[Seat], Coroutine[object, object, Answer]],
        deadline: float | None,
    ) -> Answer:
        self._begin()
        way = self.plan.way(task)
        if way.looks_first and len(seats) > 1:
            await self._looked(seats)
        standings = [seat.standing(is_healthy=self._health.last(seat) is not False) for seat in seats]
        steps = route(standings, hedge_after_s=self.plan.hedge_after_s, falls_back=way.falls_back)
        decision, calls = await driven(steps, lambda place: ask(seats[place]), self._leave, deadline)
        if decision.place is None:
            raise _no_endpoint(task, decision, calls)
        called = {seats[place].name for place in calls}
        if failed := [attempt.name for attempt in decision.attempts if attempt.name in called]:
            log.warning("event=fell_back task=%s from=%s to=%s", task, ",".join(failed), seats[decision.place].name)
        answer: Answer = calls[decision.place].result()
        for place in takewhile(lambda place: place != decision.place, calls):  # those that were begun before
            if not calls[place].done():
                seats[place].overtake(calls[place])
        self._health.keep(seats[decision.place], True)
        return answer

    async def _scored(self, seats: Sequence[Seat], request: Score) -> Scored:
        answer = await self._routed(
            "rerank", seats, lambda seat: seat.attempt(partial(seat.score, request)), request.deadline
        )
        self._scored_last = answer.spec
        return answer

    async def _looked(self, seats: Sequence[Seat]) -> None:
        """Whose last look is too old is looked at beside this request; it waits only for the first one's first look."""
        for seat in seats:
            if seat.is_up is False and self._health.last(seat):
                self._health.forget(seat)  # it failed since
            if not self._health.is_fresh(seat):
                self._health.begin(seat, seat.healthy)
        if self._health.last(seats[0]) is None:
            await self._health.get(seats[0], seats[0].healthy)

    def _leave(self, call: "asyncio.Future[Any]") -> None:
        """Nobody waits for it any more."""
        call.cancel()
        self._later(call)

    def _later(self, work: "asyncio.Future[Any]") -> None:
        self._aside.add(work)
        work.add_done_callback(self._ended)

    def _ended(self, work: "asyncio.Future[Any]") -> None:
        self._aside.discard(work)
        if not work.cancelled():
            work.exception()  # heard by whom it concerned; the loop would take it for one that nobody heard

    # -------------------------------------------------------------------------------------------- beside requests

    def _begin(self) -> None:
        """Once in a loop: call those that may have to start something, and wait for none of them."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        self._loop = loop
        if self.plan.warm_up:
            for task in TASKS:
                for seat in self._seats[task]:
                    self._later(asyncio.ensure_future(self._warmed(seat)))

    async def _warmed(self, seat: Seat) -> None:
        """Awake, and proven if it is one of several; whoever fails is met again by the requests."""
        try:
            if not seat.target.url and not seat.is_open:
                return  # nothing is fetched and opened here before it is asked for
            if seat.task == "embed" and self._proves:
                if seat is self._seats["embed"][0]:
                    await self._proofs.first()
                await self._proofs.verdict(seat)
            elif seat.sleeps and not seat.has_answered:
                await seat.attempt(seat.ping)
        except EmbedstackError as error:
            log.info("event=not_warm endpoint=%s reason=%r", seat.name, error.message)

    @property
    def _proves(self) -> bool:
        """Whether vectors are compared at all."""
        return len(self._seats["embed"]) > 1 or self.plan.probes is not None

    async def _introduced(self, task: Task) -> None:
        """Have a model say its name and width, so that callers can ask for it by them."""
        seats = [seat for seat in self._seats[task] if seat.target.url or seat.is_open]  # none is opened for that
        is_any_up = any(seat.is_up is not False for seat in seats)
        if is_any_up and self._learnt(task) is None:
            with suppress(EmbedstackError):
                await (self.encode(PING) if task == "embed" else self._scored(seats, PING_OF_SCORES))

    def _look_again(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        for task in TASKS:
            for seat in self._seats[task]:
                if seat.is_up is False and not self._health.is_fresh(seat):
                    self._health.begin(seat, seat.healthy)
        self._proofs.judge_again()

    def _down(self, task: Task) -> str:
        """Why none of a task's endpoints can be had; empty where one may."""
        reasons = [seat.down or (self._proofs.refusal(seat) if task == "embed" else "") for seat in self._seats[task]]
        if not reasons or not all(reasons):
            return ""
        pairs = zip(self._seats[task], reasons, strict=True)
        told = "; ".join(_named(Attempt(seat.name, reason)) for seat, reason in pairs)
        return f"no endpoint for {WHAT[task]} can be had: {told}"

    # -------------------------------------------------------------------------------------------- names

    def _spec(self, task: Task) -> ModelSpec:
        learnt = self._learnt(task)
        if learnt is not None:
            return learnt
        first = self.plan.way(task).targets[0]
        return unknown_spec(first.name, self.plan.way(task).model or first.model or first.name, 0, task)

    def _learnt(self, task: Task) -> ModelSpec | None:
        return self._proofs.spec if task == "embed" else self._scored_last

    def _names(self, task: Task) -> set[str]:
        """What a request may call the model: as the plan does, as an endpoint does, as the answers do."""
        way = self.plan.way(task)
        first = way.targets[0]
        own = {way.model, way.model or first.model or first.name, self._spec(task).name}
        return (own | {target.model for target in way.targets}) - {""}


def _retries(plan: Plan, task: Task, target: Target) -> int:
    if target.retries is not None:
        return target.retries
    return RETRIES_OF_SEVERAL if len(plan.way(task).targets) > 1 and plan.way(task).falls_back else RETRIES


def _no_endpoint(task: Task, decision: Decision, calls: "Calls[Encoded] | Calls[Scored]") -> EmbedstackError:
    """Every attempt in one message; where nobody could ever do it, that is no matter of endpoints."""
    told = "; ".join(_named(attempt) for attempt in decision.attempts)
    errors = [error for call in calls.values() if not call.cancelled() and (error := call.exception()) is not None]
    were_all_asked = len(errors) == len(decision.attempts)
    if were_all_asked and all(isinstance(error, Unsupported) for error in errors):
        made: EmbedstackError = Unsupported(f"no endpoint can do that: {told}")
    else:
        passes = not were_all_asked or any(getattr(error, "retry", False) for error in errors)
        made = NoEndpoint(f"no endpoint could give {WHAT[task]}: {told}", retry=passes)
    made.__cause__ = errors[-1] if errors else None
    return made


def _named(attempt: Attempt) -> str:
    """A client's own words begin with the name already."""
    said, name = attempt.happened, attempt.name
    return said if said.startswith(f"{name} (") else f"{name}: {said}"


def _unasked(what: str) -> Unsupported:
    return Unsupported(f"a router cannot ask an endpoint to {what}; only vectors and scores can be had")
