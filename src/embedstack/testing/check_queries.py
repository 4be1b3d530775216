"""A database becomes a list of broken promises about questions: scores, their order, and which points are meant."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import TypeAlias

import numpy as np

from embedstack.databases.database import (
    Column,
    Condition,
    Field,
    Index,
    Json,
    PointId,
    Points,
    Query,
    Vector,
    Where,
    order_of,
)
from embedstack.errors import BadRequest, Mismatch
from embedstack.testing.promises import (
    DIM,
    HALF,
    IDS,
    NUMBERS,
    UUIDS,
    Part,
    Trial,
    differs,
    not_refused,
    points,
    rows,
    sparse,
    unlike,
)
from embedstack.types import Floats, Sparse

WIDE = 7  # numbers of a vector: no multiple of what a processor takes at once
COUNT = 40
TOLERANCE = 2e-5  # of scores: some roundings of float32
Scores: TypeAlias = Mapping[PointId, float]
IS_FAR, IS_EVEN = (Where(all=(Condition(key=key, values=(True,)),)) for key in ("is_far", "is_even"))

# ------------------------------------------------------------------------------------------------ the judge


def _wanted(scores: Scores, limit: int = COUNT, least: float | None = None) -> list[tuple[PointId, float]]:
    """The best of them, of equal scores the lower id first."""
    best = sorted(scores, key=lambda point: (-scores[point], order_of(point)))
    return [(point, scores[point]) for point in best if least is None or scores[point] >= least][:limit]


def _score(mine: Vector, theirs: Vector, field: Field) -> float:
    """By the book, in float64."""
    if isinstance(mine, Sparse) or isinstance(theirs, Sparse):
        raise TypeError("lexical weights are scored by _overlap")
    if field.kind == "multi":
        return sum(max(_nearness(one, other, field) for other in theirs) for one in mine)
    return _nearness(mine, theirs, field)


def _nearness(mine: Floats, theirs: Floats, field: Field) -> float:
    one, other = mine.astype(float), theirs.astype(float)
    if field.distance == "l2":
        return -float(((one - other) ** 2).sum() ** 0.5)
    product = float((one * other).sum())
    return product / float((one @ one * (other @ other)) ** 0.5) if field.distance == "cosine" else product


def _overlap(query: Sparse, documents: Mapping[PointId, Sparse], *, idf: bool) -> Scores:
    """Of those that share a term."""
    scores: dict[PointId, float] = {}
    kept = {point: dict(zip(one.ids.tolist(), one.weights.tolist(), strict=True)) for point, one in documents.items()}
    for term, weight in zip(query.ids.tolist(), query.weights.tolist(), strict=True):
        having = [point for point in kept if term in kept[point]]
        rarity = np.log(1 + (len(kept) - len(having) + 0.5) / (len(having) + 0.5)) if idf else 1.0
        for point in having:
            scores[point] = scores.get(point, 0.0) + weight * rarity * kept[point][term]
    return scores


def _asks(trial: Trial, name: str, query: Query, wanted: Sequence[tuple[PointId, float]], what: str) -> Iterator[str]:
    """Unless the hits are these, with these scores."""
    found = trial.database.query(name, query)
    yield from differs(f"{what}, limit {query.limit}: the query", [h.id for h in found], [point for point, _ in wanted])
    by_id = dict(wanted)
    for hit in found:
        if hit.id in by_id and not abs(hit.score - by_id[hit.id]) <= TOLERANCE * max(1, abs(by_id[hit.id])):
            yield f"{what}: the score of {hit.id!r} is {hit.score}, it must be {by_id[hit.id]}"


# ------------------------------------------------------------------------------------------------ scores


def _scores(trial: Trial) -> Iterator[str]:
    """By each distance, of vectors of all lengths and of one that is there, exact or by whatever index there is."""
    fields = {"cosine": Field(dim=WIDE), "dot": Field(dim=WIDE, distance="dot"), "l2": Field(dim=WIDE, distance="l2")}
    name, drawn, ids = trial.make(fields), rows(COUNT, WIDE), [*range(COUNT - len(UUIDS)), *UUIDS]
    drawn *= np.resize(np.array([0.01, 0.1, 1, 10, 100], np.float32), (COUNT, 1))
    trial.database.write(name, points(ids, dict.fromkeys(fields, drawn)))
    for (name_of, field), query in product(fields.items(), (rows(1, WIDE, seed=10)[0], drawn[7])):
        scores = {point: _score(query, row, field) for point, row in zip(ids, drawn, strict=True)}
        ranked = [score for _, score in _wanted(scores)]
        middle = (ranked[4] + ranked[5]) / 2
        for limit, least, is_exact in (
            (1, None, True), (10, None, True), (10, None, False), (100, None, True),
            (100, middle, True), (3, middle, False), (10, ranked[0] + 1, True),
        ):  # fmt: skip
            asked = Query(vector=query, field=name_of, limit=limit, least=least, is_exact=is_exact)
            what = f"{name_of}, least {least}, exact {is_exact}"
            yield from _asks(trial, name, asked, _wanted(scores, limit, least), what)


def _scores_halves(trial: Trial) -> Iterator[str]:
    """Of float16 the scores are near, and a vector is nearest to itself."""
    field = Field(dim=WIDE, storing="float16")
    name, drawn = trial.make({"": field}), rows(COUNT, WIDE)
    trial.database.write(name, points(range(COUNT), {"": drawn}))
    for place in (0, COUNT - 1):
        hits = trial.database.query(name, Query(vector=drawn[place], limit=1))
        if [hit.id for hit in hits] != [place] or not abs(hits[0].score - 1) <= HALF:
            yield f"the nearest to vector {place} of float16 is {hits}"


def _breaks_ties(trial: Trial) -> Iterator[str]:
    """Equal scores by id, also where the limit cuts among them."""
    for distance, score in (("cosine", 1.0), ("dot", 1.0), ("l2", 0.0)):
        field = Field(dim=DIM, distance=distance)  # type: ignore[arg-type]
        name, axes = trial.make({"": field}, of=distance), np.eye(DIM, dtype=np.float32)
        shuffled = [IDS[place] for place in np.random.default_rng(5).permutation(len(IDS))]
        trial.database.write(name, points(shuffled, {"": axes[[0] * len(IDS)]}))
        trial.database.write(name, points([77, 78], {"": axes[[1, 2]]}))
        for limit in (1, 3, len(NUMBERS) + 1, len(IDS)):
            asked = Query(vector=axes[0], limit=limit, least=score)
            yield from _asks(trial, name, asked, [(p, score) for p in IDS[:limit]], f"{distance}, all equal")
    yield from _breaks_ties_of_any(trial)


def _breaks_ties_of_any(trial: Trial) -> Iterator[str]:
    """Equal vectors have equal scores wherever they lie, whatever their numbers are."""
    name, drawn, query = trial.make({"": Field(dim=WIDE)}), rows(COUNT, WIDE), rows(1, WIDE, seed=6)[0]
    drawn[::3] = drawn[0]
    trial.database.write(name, points(range(COUNT), {"": drawn}))
    for sign in (1, -1):
        hits = trial.database.query(name, Query(vector=sign * query, limit=100, is_exact=True))
        given = [hit.id for hit in hits if isinstance(hit.id, int) and hit.id % 3 == 0]
        yield from differs("a query over equal vectors among others", given, [*range(0, COUNT, 3)])


def _finds_changes(trial: Trial) -> Iterator[str]:
    """What was written after the last question is in the next one."""
    database, row = trial.database, rows(3)
    name = trial.make({"": Field(dim=DIM), "other": Field(dim=DIM)} if _mixes(trial) else {"": Field(dim=DIM)})

    def found() -> list[PointId]:
        return [hit.id for hit in database.query(name, Query(vector=row[0], limit=10))]

    yield from differs("a query where no points are", found(), [])
    database.write(name, points([2], {"": row[:1]}))
    yield from differs("a query after the first write", found(), [2])
    database.write(name, points([1], {"": row[:1]}))
    yield from differs("a query after one more", found(), [1, 2])
    database.write(name, points([1], {"": -row[:1]}))
    yield from differs("a query after one was replaced", found(), [2, 1])
    database.write(name, points([2], {}, [{"is": "new"}]))
    hits = [(hit.id, dict(hit.payload)) for hit in database.query(name, Query(vector=row[0], limit=1))]
    yield from differs("a query after a payload was replaced", hits, [(2, {"is": "new"})])
    database.delete(name, [2])
    yield from differs("a query after one was deleted", found(), [1])


def _mixes(trial: Trial) -> bool:
    """Whether a field may stand beside the one without a name."""
    try:
        trial.make({"": Field(dim=DIM), "other": Field(dim=DIM)}, of="mixed")
    except BadRequest:
        return False
    return True


def _gives_with_hits(trial: Trial) -> Iterator[str]:
    """Payloads and vectors that are asked for; points without the field are none."""
    database, row = trial.database, rows(3)
    fields = {"text": Field(dim=DIM, distance="dot"), "image": Field(dim=DIM, distance="dot")}
    name = trial.make(fields)
    database.write(name, points([1], {"text": row[:1], "image": row[1:2]}, [{"a": [1]}]))
    database.write(name, points([2], {"text": row[:1]}, [{}]))
    database.write(name, points([3], {"image": row[:1]}, [{}]))
    ask = partial(Query, vector=row[0], field="text")
    plain = [(hit.id, dict(hit.payload), [*hit.vectors]) for hit in database.query(name, ask())]
    yield from differs("hits as they are", plain, [(1, {"a": [1]}, []), (2, {}, [])])
    hits = database.query(name, ask(limit=1, with_payload=False, with_vectors=["image"]))
    yield from unlike("a hit with a vector", hits, {1: {"image": row[1]}}, fields)
    yield from differs("hits without payloads", [dict(hit.payload) for hit in hits], [{}])


def _refuses(trial: Trial) -> Iterator[str]:
    """Questions that the field cannot answer."""
    name = trial.make({"": Field(dim=DIM)})
    trial.database.write(name, points([1], {"": rows(1)}))
    wrongs: Mapping[str, tuple[Query, type[BadRequest | Mismatch], Sequence[object]]] = {
        "of another width": (Query(vector=rows(1, DIM + 1)[0]), Mismatch, (DIM, DIM + 1)),
        "in a field that is not there": (Query(vector=rows(1)[0], field="nothing"), Mismatch, ("nothing",)),
        "with a sparse vector": (Query(vector=sparse({1: 1.0})), Mismatch, ()),
        "with several vectors": (Query(vector=rows(2)), Mismatch, ()),
        "with NaN": (Query(vector=np.full(DIM, np.nan, np.float32)), BadRequest, ()),
    }
    for what, (asked, wanted, naming) in wrongs.items():
        call: Callable[[], object] = partial(trial.database.query, name, asked)
        yield from not_refused(f"a query {what}", wanted, call, naming=naming)


def _looks_far(trial: Trial) -> Iterator[str]:
    """Those that are meant are found though all others are nearer; and the best of them."""
    name, drawn = trial.make({"": Field(dim=WIDE)}, indexes={"is_far": Index(kind="bool")}), rows(COUNT, WIDE)
    query = drawn[0]
    scores: Scores = {place: _score(query, row, Field(dim=WIDE)) for place, row in enumerate(drawn)}
    far = dict(_wanted(scores)[-5:])
    payloads: list[Mapping[str, Json]] = [{"is_far": place in far} for place in range(COUNT)]
    trial.database.write(name, points(range(COUNT), {"": drawn}, payloads))
    for limit in (2, 5, 10):
        asked = Query(vector=query, limit=limit, where=IS_FAR)
        yield from _asks(trial, name, asked, _wanted(far, limit), "the farthest five alone")


# ------------------------------------------------------------------------------------------------ of other kinds


def _scores_sparse(trial: Trial) -> Iterator[str]:
    """Without and with idf, whose counts are of the points that have a term in the field."""
    for idf in (False, True):
        fields = {"sparse": Field(kind="sparse", distance="dot", idf=idf), "text": Field(dim=DIM)}
        trial.empty()
        name = trial.make_if_taken(fields)
        if name is None:
            return
        documents = _documents()
        column: Column = [*documents.values()]
        payloads: list[Mapping[str, Json]] = [{"is_even": place % 2 == 0} for place in range(len(documents))]
        trial.database.write(name, points([*documents], {"sparse": column}, payloads))
        trial.database.write(name, points([500, 501], {"text": rows(2)}))
        trial.database.write(name, points([502, 503], {"text": rows(2), "sparse": [sparse({})] * 2}))
        trial.database.write(name, points([504, 505], {"sparse": [sparse({})] * 2}))
        for terms in ({1: 1.0}, {1: 0.5, 2: 2.0, 30: 1.0, 999: 9.0}, {40: 1.0}, {999: 1.0}):
            query, what = sparse(terms), f"terms {terms}, idf {idf}"
            scores = _overlap(query, documents, idf=idf)
            for limit in (1, 3, 100):
                asked = Query(vector=query, field="sparse", limit=limit)
                yield from _asks(trial, name, asked, _wanted(scores, limit), what)
            even = {
                point: score for place, point in enumerate(documents) if not place % 2 and (score := scores.get(point))
            }
            asked = Query(vector=query, field="sparse", where=IS_EVEN, limit=100)
            yield from _asks(trial, name, asked, _wanted(even), f"{what}, every second")
        least = _wanted(scores := _overlap(sparse({1: 1.0}), documents, idf=idf))[2][1] - TOLERANCE
        asked = Query(vector=sparse({1: 1.0}), field="sparse", limit=100, least=least)
        yield from _asks(trial, name, asked, _wanted(scores, least=least), f"at least {least}, idf {idf}")


def _forgets_terms(trial: Trial) -> Iterator[str]:
    """Of what was deleted or replaced. How rare a term is may follow later: Qdrant counts what it has yet to clear."""
    fields = {"sparse": Field(kind="sparse", distance="dot", idf=True), "text": Field(dim=DIM)}
    database, name = trial.database, trial.make_if_taken(fields)
    if name is None:
        return
    terms: Column = [sparse({1: 1.0}), sparse({1: 1.0, 2: 2.0}), sparse({2: 1.0})]
    database.write(name, points([1, 2, 3], {"sparse": terms}))
    database.delete(name, [1])
    database.write(name, points([2], {"sparse": terms[2:]}))
    database.write(name, points([4], {"sparse": terms[:1]}))
    database.write(name, points([5], {"sparse": terms[1:2]}))
    database.write(name, points([5], {"sparse": [sparse({})]}))
    for term, wanted in ((1, [4]), (2, [2, 3])):
        found = database.query(name, Query(vector=sparse({term: 1.0}), field="sparse"))
        yield from differs(f"a query for term {term} after deletes and writes", [hit.id for hit in found], wanted)


def _documents() -> Mapping[PointId, Sparse]:
    """Term 1 is in all, 2 in some, 30 in one; 40 has equal weights everywhere, so that ids decide."""
    made: dict[PointId, Sparse] = {}
    for place, point in enumerate((*IDS, 300)):
        terms = {1: 0.25 * (place + 1), 40: 0.5, 100 + place: 1.0}
        made[point] = sparse(terms | ({2: 0.125 * place} if place % 3 == 1 else {}) | ({30: 3.0} if place == 7 else {}))
    return made


def _scores_many_vectors(trial: Trial) -> Iterator[str]:
    """The sum over the query's vectors of the best that the point has for each."""
    distances = ("cosine", "dot")
    fields = {name: Field(kind="multi", dim=WIDE, distance=name) for name in distances}  # type: ignore[arg-type]
    name = trial.make_if_taken(fields)
    if name is None:
        return
    drawn = {point: rows(1 + place % 4, WIDE, seed=place) for place, point in enumerate(IDS)}
    column: Column = [*drawn.values()]
    trial.database.write(name, points([*drawn], dict.fromkeys(fields, column)))
    for field in distances:
        for count in (1, 3):
            query = rows(count, WIDE, seed=50 + count)
            scores = {point: _score(query, vectors, fields[field]) for point, vectors in drawn.items()}
            for limit in (2, 100):
                asked = Query(vector=query, field=field, limit=limit)
                yield from _asks(trial, name, asked, _wanted(scores, limit), f"{count} vectors, {field}")
    call: Callable[[], object] = partial(trial.database.query, name, Query(vector=rows(1, WIDE)[0], field="dot"))
    yield from not_refused("a query with one vector where points have several", Mismatch, call)


def _finds_those_named(trial: Trial) -> Iterator[str]:
    """Of the points that are named those that are there, once each, with the scores that they have among all."""
    alone = {"one": Field(dim=WIDE)}
    fields = alone | {"many": Field(kind="multi", dim=WIDE)}
    name = trial.make_if_taken(fields)
    if name is None:
        name, fields = trial.make(alone), alone
    drawn = {point: rows(1 + place % 3, WIDE, seed=place) for place, point in enumerate(IDS)}
    payloads: list[dict[str, Json]] = [{"is_even": place % 2 == 0} for place in range(len(IDS))]
    first, many = np.stack([vectors[0] for vectors in drawn.values()]), [*drawn.values()]
    columns: dict[str, Column] = {"one": first, "many": many}
    trial.database.write(name, Points(ids=IDS, vectors={one: columns[one] for one in fields}, payloads=payloads))
    some = [IDS[5], IDS[0], 10**9, IDS[5], IDS[2]]
    queries: Mapping[str, Vector] = {"one": rows(1, WIDE, seed=60)[0], "many": rows(2, WIDE, seed=60)}
    for field, kept in fields.items():
        query = queries[field]
        scores = {
            one: _score(query, drawn[one] if field == "many" else drawn[one][0], kept) for one in {*some} & {*IDS}
        }
        even = {one: score for one, score in scores.items() if IDS.index(one) % 2 == 0}
        for among, where, wanted in ((some, Where(), scores), (some, IS_EVEN, even), ([], Where(), {})):
            for is_exact, limit in product((True, False), (2, 100)):
                asked = Query(vector=query, field=field, limit=limit, where=where, among=among, is_exact=is_exact)
                what = f"{len(among)} named points, vector {field!r}, exact {is_exact}"
                yield from _asks(trial, name, asked, _wanted(wanted, limit), what)


def _finds_those_named_by_terms(trial: Trial) -> Iterator[str]:
    """How rare a term is says the whole collection."""
    name, documents = trial.make_if_taken({"sparse": Field(kind="sparse", distance="dot", idf=True)}), _documents()
    if name is None:
        return
    trial.database.write(name, points([*documents], {"sparse": [*documents.values()]}))
    query, named = sparse({1: 1.0, 2: 1.0, 30: 1.0}), [*documents][2:8]
    scores = _overlap(query, documents, idf=True)
    asked = Query(vector=query, field="sparse", limit=100, among=named)
    yield from _asks(trial, name, asked, _wanted({one: scores[one] for one in named}), "named points, by terms")


PARTS: tuple[Part, ...] = (
    _scores, _scores_halves, _breaks_ties, _finds_changes, _gives_with_hits, _refuses, _looks_far,
    _scores_sparse, _forgets_terms,
    _scores_many_vectors, _finds_those_named, _finds_those_named_by_terms,
)  # fmt: skip
