"""The endpoints of a plan and what the space is known by -> vectors from those alone that were proven to be of it."""

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from embedstack.client.plan import Plan
from embedstack.client.record import read_anchor, write_anchor
from embedstack.client.seat import Seat
from embedstack.client.shared import Clock, Shared
from embedstack.client.space import (
    Anchor,
    Known,
    Verdict,
    anchor_of,
    anchor_of_truth,
    claim_of,
    is_int8,
    is_unknown,
    judged,
    of_giver,
    sampled,
)
from embedstack.errors import ConfigError, EmbedstackError, Mismatch
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded

PROOF_TTL_S = 3600.0  # an hour; who failed for long, or changed its claim, is asked before that
log = logging.getLogger("embedstack.client")


class Proofs:
    """What is known of the space, and of each endpoint beside it.

    The space is known by the model's truth on this machine, else by the probes that were kept, else by what the first
    endpoint of the plan gives. That one is taken at its word only in the last case; every other one is compared.

    Args:
        seats: of the plan's embeddings, in its order.
        known: the model on this machine, if it is here.
    Raises:
        ConfigError: the probes that were kept cannot be read.
    """

    def __init__(self, plan: Plan, seats: Sequence[Seat], known: Known | None, clock: Clock) -> None:
        self._plan = plan
        self._seats = seats
        self._known = known
        self._anchor = anchor_of_truth(known) if known is not None else None
        if self._anchor is None and plan.probes is not None:
            self._anchor = read_anchor(plan.probes)
        self._is_kept = self._anchor is not None
        self._verdicts: Shared[Verdict] = Shared(
            lambda verdict: PROOF_TTL_S if verdict.is_proven else verdict.pause_s, clock
        )
        self._anchors: Shared[Anchor] = Shared(PROOF_TTL_S, clock)
        self._given: _Given | None = None  # by the first endpoint, while nothing else is known of the space
        self._spec: ModelSpec | None = self._anchor.spec if self._anchor is not None else None

    @property
    def spec(self) -> ModelSpec | None:
        """What answers carry, as soon as that is known."""
        return self._spec

    @property
    def is_proven(self) -> bool:
        """Whether some endpoint gives what was kept of the space."""
        verdicts = (self._verdicts.last(_key(seat)) for seat in self._seats)
        return self._is_kept and any(verdict is not None and verdict.is_proven for verdict in verdicts)

    def refusal(self, seat: Seat) -> str:
        """Why the endpoint may not stand in, as far as is known."""
        if self._anchor is None and seat is not self._seats[0] and self._seats[0].down:
            return _unprovable(self._seats[0], self._seats[0].down)
        verdict = self._verdicts.last(_key(seat))
        return verdict.reason if verdict is not None else ""

    def judge_again(self) -> None:
        """Those that were refused, beside all requests, if that is too long ago."""
        for seat in self._seats:
            if self.refusal(seat) and not self._verdicts.is_fresh(_key(seat)):
                self._verdicts.begin(_key(seat), partial(self._judged, seat))

    async def encoded(self, seat: Seat, request: Encode) -> Encoded:
        """Vectors from there, of the space.

        Raises:
            Mismatch: it is not of the space, or nobody can say so. EmbedstackError: as it answers.
        """
        verdict = None if self._gives_the_space(seat) else await self._passed(seat, request)
        answer = await seat.attempt(partial(seat.encode, request))
        if self._gives_the_space(seat):
            self._must_be_as_before(_given(answer, request))
            if len(self._seats) > 1 or self._plan.probes is not None:
                self._anchors.begin(0, self._from_first)
        else:
            await self._must_be_as_judged(seat, verdict, request, answer)
        return self._identified(request, answer)

    async def verdict(self, seat: Seat) -> Verdict:
        """Whether it may stand in, looked into once for all who ask."""
        return await self._verdicts.get(_key(seat), partial(self._judged, seat))

    async def first(self) -> None:
        """Learn what the space is known by.

        Raises:
            EmbedstackError: as the first endpoint answers.
        """
        if self._anchor is None and self._seats and not self._is_elsewhere(self._seats[0]):
            await self._anchors.get(0, self._from_first)

    async def end(self) -> None:
        """Give up what is under way."""
        await self._verdicts.end()
        await self._anchors.end()

    def _gives_the_space(self, seat: Seat) -> bool:
        return self._anchor is None and seat is self._seats[0]

    def _is_elsewhere(self, seat: Seat) -> bool:
        """Whether its model is to be in this process and is not on this machine yet."""
        return not seat.target.url and self._known is None and not seat.is_open

    async def _passed(self, seat: Seat, request: Encode) -> Verdict:
        """That it may be asked this.

        Raises:
            Mismatch: it may not.
        """
        verdict = await self.verdict(seat)
        if reason := verdict.reason or verdict.lacks(request):
            raise Mismatch(reason)
        return verdict

    async def _must_be_as_judged(self, seat: Seat, verdict: Verdict | None, request: Encode, answer: Encoded) -> None:
        """Who says another thing of itself than when it was judged is judged again before its answer goes out.

        Raises:
            Mismatch: it is not of the space any more.
        """
        if verdict is not None and verdict.is_of(answer, request):
            return
        if verdict is not None and self._verdicts.last(_key(seat)) is verdict:
            log.warning("event=changed endpoint=%s", seat.name)
            self._verdicts.forget(_key(seat))
        verdict = await self._passed(seat, request)
        if not verdict.is_of(answer, request):
            raise Mismatch("it says another thing of itself with each reply; different models answer there")

    def _must_be_as_before(self, given: "_Given") -> None:
        """The first endpoint alone says what the space is, so it must go on saying that.

        Raises:
            Mismatch: it does not.
        """
        before = self._given = self._given or given
        if given.claimed != before.claimed:
            told = (f"of the space {one.claimed}" if one.claimed else "of no space" for one in (before, given))
            raise Mismatch(f"it was {next(told)} and says now that it is {next(told)}; another model answers there")
        if given.width and before.width and given.width != before.width:
            raise Mismatch(f"its vectors are {given.width} numbers wide now, and {before.width} are wanted")
        if given.is_int8 and not before.is_int8 and not self._plan.allow_int8:
            raise Mismatch("its vectors are of int8 now and were not before; take them with allow_int8 = true")
        self._given = replace(before, width=before.width or given.width)

    async def _judged(self, seat: Seat) -> Verdict:
        anchor = await self._known_by()
        for earlier in range(seat.openings):
            self._verdicts.forget((seat, earlier))
        verdict = await self._compared(seat, anchor)
        if verdict.is_proven:
            log.info("event=proven endpoint=%s", seat.name)
            return verdict
        log.warning("event=refused endpoint=%s reason=%r", seat.name, verdict.reason)
        before = self._verdicts.last(_key(seat))
        twice = 2 * before.pause_s if before is not None else 0.0  # probes cost money and wake who sleeps
        return replace(verdict, pause_s=max(self._plan.health_ttl_s, min(PROOF_TTL_S, twice)))

    async def _compared(self, seat: Seat, anchor: Anchor) -> Verdict:
        try:
            sample = await seat.attempt(partial(sampled, seat.encode))
        except Mismatch as error:
            return Verdict(error.message)
        verdict = judged(anchor, sample, allow_int8=self._plan.allow_int8, prompts=seat.prompts)
        return of_giver(sample) if verdict.is_proven and seat.target.shown == anchor.giver else verdict

    async def _known_by(self) -> Anchor:
        if self._anchor is not None:
            return self._anchor
        first = self._seats[0]
        why = first.last_words if first.is_up is False else ""
        if self._is_elsewhere(first):
            why = f"its model {first.target.model!r} is not on this machine, and none is fetched only to compare"
        if not why:
            try:
                return await self._anchors.get(0, self._from_first)
            except EmbedstackError as error:
                why = error.message
        raise Mismatch(_unprovable(first, why))

    async def _from_first(self) -> Anchor:
        """By the first endpoint's own vectors, which are kept if the plan says where."""
        seat = self._seats[0]
        sample = await seat.attempt(partial(sampled, seat.encode))
        width = len(next(iter(sample.rows.values())))
        self._must_be_as_before(_Given(sample.claimed, width, is_int8(sample.claimed, sample.fingerprint, width)))
        anchor = anchor_of(seat.target.shown, sample, self._plan.embed.model)
        if self._known is not None and sample.claimed:
            must_be_of(self._known.spec, sample.claimed)
            anchor = replace(anchor, spec=self._known.spec, space=sample.claimed)
        self._anchor, self._spec = anchor, anchor.spec
        self._verdicts.keep(_key(seat), of_giver(sample))
        if self._plan.probes is not None:
            self._keep(anchor)
        return anchor

    def _keep(self, anchor: Anchor) -> None:
        assert self._plan.probes is not None
        try:
            write_anchor(anchor, self._plan.probes)
        except ConfigError as error:  # what was asked is answered all the same; the next start has to learn it again
            log.warning("event=probes_not_kept reason=%r", error.message)

    def _identified(self, request: Encode, answer: Encoded) -> Encoded:
        """With the identity that all answers of the space have.

        Raises:
            Mismatch: what it says of itself, or the width, is not that of the space.
        """
        claim = claim_of(answer)
        if self._known is not None and claim:
            must_be_of(self._known.spec, claim)
        wanted = self._width
        if wanted and request.dim is None and answer.dense is not None and answer.dense.shape[1] != wanted:
            raise Mismatch(f"its vectors are {answer.dense.shape[1]} numbers wide, and {wanted} are wanted")
        self._spec = self._spec_of(answer, claim)
        return replace(answer, spec=self._spec)

    @property
    def _width(self) -> int:
        """Of all vectors of the space; 0 while nobody knows."""
        if self._anchor is not None:
            return len(next(iter(self._anchor.rows.values())))
        return self._known.spec.dim if self._known is not None else 0

    def _spec_of(self, answer: Encoded, claim: str) -> ModelSpec:
        if self._known is not None and claim:
            return self._known.spec
        if not is_unknown(answer.spec):
            return answer.spec
        if self._anchor is not None:
            return self._anchor.spec
        return replace(answer.spec, name=self._plan.embed.model or answer.spec.name)


@dataclass(frozen=True, slots=True)
class _Given:
    """What an answer of the first endpoint says of the space; `width` is 0 where another than the model's was asked."""

    claimed: str
    width: int
    is_int8: bool


def _given(answer: Encoded, request: Encode) -> _Given:
    width = 0 if answer.dense is None else answer.dense.shape[1]
    claimed = claim_of(answer)
    is_rounded = is_int8(claimed, answer.fingerprint, width, request)
    return _Given(claimed, width if request.dim is None else 0, is_rounded)


def _unprovable(first: Seat, why: str) -> str:
    return (
        f"it cannot be proven to be of the space of {first.name!r}, which gave nothing to compare with ({why}); "
        'keep what the space is known by, with probes = "FILE" in the plan'
    )


def must_be_of(spec: ModelSpec, claim: str) -> None:
    """Refuse another model than the one that the plan names.

    Raises:
        Mismatch: names both spaces.
    """
    if claim != spec.space:
        raise Mismatch(f"it is of the space {claim}, and {spec.name!r} of {spec.space}; it serves another model")


def _key(seat: Seat) -> Hashable:
    """What was found out of an endpoint before it failed for long does not count afterwards."""
    return seat, seat.openings
