"""A database becomes a list of broken promises about rankings that it puts together itself; of one that does not, none.

The judge is `search.fuse`, with the answers to each leg alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from embedstack.databases.database import Column, Condition, Field, Fused, Fusing, Hit, Json, Leg, PointId, Where
from embedstack.errors import BadRequest, Mismatch, Unsupported
from embedstack.search import fuse
from embedstack.testing.promises import DIM, UUIDS, Part, Trial, differs, not_refused, points, rows, sparse

COUNT = 60
LIMITS = (1, 3, 10, 200)
TOLERANCE = 1e-5  # of scores: some roundings of float32
SMALL = 1e-3  # the least that a score is compared with
FIELDS = {
    "text": Field(dim=DIM),
    "image": Field(dim=DIM, distance="l2"),
    "terms": Field(kind="sparse", distance="dot", idf=True),
}
RED, BLUE = (Where(all=(Condition(key="colour", values=(colour,)),)) for colour in ("red", "blue"))

TEXT = Leg(vector=rows(1, seed=11)[0], field="text")
IMAGE = Leg(vector=rows(1, seed=12)[0], field="image", limit=25)
TERMS = Leg(vector=sparse({2: 1.0, 3: 2.0, 15: 1.0}), field="terms", limit=20)
FAR = replace(TEXT, vector=-rows(1, seed=11)[0])
EMPTY, UNKNOWN = (replace(TERMS, vector=sparse(terms)) for terms in ({}, {77_777: 1.0}))

ASKED: Mapping[str, Fused] = {
    "two by rank": Fused(legs=[TEXT, TERMS]),
    "three by rank": Fused(legs=[TEXT, IMAGE, TERMS]),
    "one by rank": Fused(legs=[TEXT]),
    "one field by rank that is asked twice, and another": Fused(legs=[TEXT, FAR, TERMS]),
    "two by rank, k 1": Fused(legs=[TEXT, TERMS], k=1),
    "two by rank, k 6": Fused(legs=[TEXT, TERMS], k=6),
    "two by score": Fused(legs=[TEXT, TERMS], fusion="dbsf"),
    "two by score, of distances": Fused(legs=[TEXT, IMAGE], fusion="dbsf"),
    "two by rank that weigh 3 and 1": Fused(legs=[TEXT, TERMS], weights=[3.0, 1.0]),
    "two by rank that weigh 0.5 and 2": Fused(legs=[TEXT, TERMS], weights=[0.5, 2.0]),
    "two by rank of which one weighs nothing": Fused(legs=[TEXT, IMAGE], weights=[1.0, 0.0]),
    "two by rank that weigh nothing": Fused(legs=[replace(TEXT, limit=50), IMAGE], weights=[0.0, 0.0]),
    "two by rank of which one is empty": Fused(legs=[EMPTY, TEXT], weights=[1.0, 2.0]),
    "two by rank of which one finds nothing": Fused(legs=[UNKNOWN, TEXT]),
    "an empty one": Fused(legs=[EMPTY]),
    "two by rank, exact": Fused(legs=[TEXT, IMAGE], is_exact=True),
    "two by rank, the red ones": Fused(legs=[TEXT, TERMS], where=RED),
    "two by rank, the blue ones, which are none": Fused(legs=[TEXT, TERMS], where=BLUE),
}
"""Of no leg are two scores equal; many of the fused ones are."""


def _fuses(trial: Trial) -> Iterator[str]:
    """By ranks and by scores, as whoever fuses the legs' own answers; what a database cannot fuse it may refuse."""
    if (made := _made(trial)) is None:
        return
    database, name = made
    for what, asked in ASKED.items():
        found = [trial.database.query(name, asked.query(leg)) for leg in asked.legs]
        wanted = _judged([[(hit.id, hit.score) for hit in hits] for hits in found], asked)
        for limit in LIMITS:
            try:
                given = database.fuse(name, replace(asked, limit=limit))
            except Unsupported:
                break
            yield from _unlike(f"{what}, limit {limit}", given, wanted[:limit])


def _judged(rankings: Sequence[fuse.Ranking[PointId]], asked: Fused) -> list[tuple[PointId, float]]:
    if asked.fusion == "dbsf":
        return fuse.dbsf(rankings, max(LIMITS))
    return fuse.rrf(rankings, k=asked.k - 1, weights=asked.weights or None, limit=max(LIMITS))


def _unlike(what: str, given: Sequence[Hit], wanted: Sequence[tuple[PointId, float]]) -> Iterator[str]:
    yield from differs(f"{what}: what was fused", [hit.id for hit in given], [point for point, _ in wanted])
    scores = dict(wanted)
    for hit in given:
        score = scores.get(hit.id, hit.score)
        if not abs(hit.score - score) <= TOLERANCE * max(SMALL, abs(score)):
            yield f"{what}: the fused score of {hit.id!r} is {hit.score}, it must be {score}"


def _cuts_legs(trial: Trial) -> Iterator[str]:
    """The least score is one of the leg, and as much is enough; so many of a leg take part as its limit says."""
    if (made := _made(trial)) is None:
        return
    database, name = made
    for leg in (TEXT, IMAGE, TERMS):
        hits = trial.database.query(name, Fused(legs=[]).query(leg))
        for place in (0, 6):
            least = hits[place].score
            given = database.fuse(name, Fused(legs=[replace(leg, least=least)], limit=COUNT))
            what = f"those of {leg.field!r} with a score of at least {least}"
            yield from differs(what, [hit.id for hit in given], [hit.id for hit in hits if hit.score >= least])
            given = database.fuse(name, Fused(legs=[replace(leg, limit=place + 1)], limit=COUNT))
            what = f"the first {place + 1} of {leg.field!r}"
            yield from differs(what, [hit.id for hit in given], [hit.id for hit in hits[: place + 1]])


def _gives_payloads(trial: Trial) -> Iterator[str]:
    """Of the points, where they are asked for."""
    if (made := _made(trial)) is None:
        return
    database, name = made
    for with_payload in (True, False):
        asked = Fused(legs=[TEXT, IMAGE], limit=3, with_payload=with_payload)
        given = {hit.id: dict(hit.payload) for hit in database.fuse(name, asked)}
        kept = {point.id: dict(point.payload) for point in trial.database.get(name, [*given])}
        wanted = {point: payload if with_payload else {} for point, payload in kept.items()}
        yield from differs(f"what was fused, with payloads {with_payload},", given, wanted)


def _refuses(trial: Trial) -> Iterator[str]:
    """What a field cannot answer, and what is out of range."""
    if (made := _made(trial)) is None:
        return
    database, name = made
    wrongs: Mapping[str, tuple[Fused, type[BadRequest | Mismatch], Sequence[object]]] = {
        "of nothing": (Fused(legs=[]), BadRequest, ()),
        "of a field that is not there": (Fused(legs=[TEXT, replace(TERMS, field="none")]), Mismatch, ("none",)),
        "of another width": (Fused(legs=[TERMS, replace(TEXT, vector=rows(1, DIM + 1)[0])]), Mismatch, (DIM, DIM + 1)),
        "of NaN": (Fused(legs=[replace(TEXT, vector=np.full(DIM, np.nan, np.float32))]), BadRequest, ()),
        "with k 0": (Fused(legs=[TEXT], k=0), BadRequest, ("k=0",)),
        "with limit 0": (Fused(legs=[TEXT], limit=0), BadRequest, ("limit 0",)),
        "with a leg of limit 0": (Fused(legs=[replace(TEXT, limit=0)]), BadRequest, ("limit 0",)),
        "with one weight for two": (Fused(legs=[TEXT, TERMS], weights=[1.0]), BadRequest, ()),
        "with a weight below 0": (Fused(legs=[TEXT], weights=[-1.0]), BadRequest, ("-1.0",)),
        "with weights of scores": (Fused(legs=[TEXT], fusion="dbsf", weights=[1.0]), BadRequest, ()),
    }
    for what, (asked, wanted, naming) in wrongs.items():
        call: Callable[[], object] = partial(database.fuse, name, asked)
        yield from not_refused(f"a fusion {what}", wanted, call, naming=naming)


# ------------------------------------------------------------------------------------------------ what is there


def _made(trial: Trial) -> tuple[Fusing, str] | None:
    """None where the database has no such fields, or puts nothing together."""
    database = trial.database
    name = trial.make_if_taken(FIELDS) if isinstance(database, Fusing) else None
    if name is None or not isinstance(database, Fusing):
        return None
    ids: list[PointId] = [*range(COUNT - len(UUIDS)), *UUIDS]
    payloads: list[Mapping[str, Json]] = [{"colour": "red" if place % 3 else "green"} for place in range(COUNT)]
    columns: Mapping[str, Column] = {"text": rows(COUNT), "image": rows(COUNT, seed=2), "terms": _terms()}
    trial.database.write(name, points(ids, columns, payloads))
    return database, name


def _terms() -> Column:
    drawn = enumerate(np.random.default_rng(4).uniform(0.1, 3, (COUNT, 3)).tolist())
    return [sparse({1: first, 2 + place % 4: other, 10 + place: own}) for place, (first, other, own) in drawn]


PARTS: tuple[Part, ...] = (_fuses, _cuts_legs, _gives_payloads, _refuses)
