"""A database becomes a list of broken promises about points: written, replaced, deleted, and read in order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np

from embedstack.databases.database import (
    Column,
    Condition,
    Database,
    Field,
    Json,
    Page,
    PointId,
    Points,
    Query,
    Where,
    order_of,
)
from embedstack.errors import BadRequest, Mismatch
from embedstack.testing.promises import (
    DIM,
    HARD_TEXT,
    IDS,
    NUMBERS,
    UUIDS,
    WRITERS,
    Part,
    Trial,
    Value,
    Vectors,
    at_once,
    differs,
    not_refused,
    points,
    rows,
    sparse,
    unlike,
)

PAYLOAD: Mapping[str, Json] = {
    "text": HARD_TEXT,
    HARD_TEXT: "as a key",
    "long": "word " * 20_000,
    "numbers": [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 0.1, -2.5, 1.0],
    "not numbers": [True, False, None, "1", "true", "null", ""],
    "nested": {"list": [[], {}, [{"deep": [1]}]], "größe": {"b": 2, "a": 1}},
}
FIELDS = {
    "cosine": Field(dim=3),
    "dot": Field(dim=3, distance="dot"),
    "l2": Field(dim=2, distance="l2"),
    "half": Field(dim=3, distance="dot", storing="float16"),
    "half-cosine": Field(dim=3, storing="float16"),
}
BETWEEN: tuple[PointId, ...] = (
    5,
    2**62,
    "00000000-0000-4000-8000-000000000000",
    "7fffffff-ffff-4fff-bfff-fffffffffffe",
)
"""Where no point is."""
LIMITS = (1, 2, 5, len(IDS) - 1, len(IDS), len(IDS) + 1)
MANY = 300  # more than pages hold that nobody gave a limit
BATCHES, BATCH = 4, 20


# ------------------------------------------------------------------------------------------------ comes back


def _comes_back(trial: Trial) -> Iterator[str]:
    """Dense vectors of every distance and storing, and payloads with their types."""
    name = trial.make(FIELDS)
    drawn = {field: rows(3, FIELDS[field].dim, seed) for seed, field in enumerate(FIELDS)}
    payloads: list[Mapping[str, Json]] = [PAYLOAD, {}, {"": "no key"}]
    trial.database.write(name, points([3, 1, UUIDS[0]], drawn, payloads))
    page = trial.database.read(name, vectors=[*FIELDS])
    places: Mapping[PointId, int] = {1: 1, 3: 0, UUIDS[0]: 2}
    wanted = {point: {field: drawn[field][place] for field in FIELDS} for point, place in places.items()}
    yield from unlike("what was written", page.points, wanted, FIELDS)
    for point in page.points:
        yield from differs(f"the payload of {point.id!r}", _typed(point.payload), _typed(payloads[places[point.id]]))
    yield from differs("describe().points of three", trial.described(name).points, 3)


def _typed(value: Value) -> object:
    """So that 1, 1.0 and True are three."""
    if isinstance(value, Mapping):
        return {key: _typed(one) for key, one in value.items()}
    return [_typed(one) for one in value] if isinstance(value, list) else (type(value).__name__, value)


def _gives_what_is_asked(trial: Trial) -> Iterator[str]:
    database, name = trial.database, trial.make({"text": Field(dim=DIM), "image": Field(dim=DIM)})
    database.write(name, points([1], {"text": rows(1), "image": rows(1)}))
    for what, page, fields, payload in (
        ("read of nothing", database.read(name, payload=False), [], {}),
        ("read of payloads", database.read(name), [], {"place": 0}),
        ("read of a field", database.read(name, vectors=["image"], payload=False), ["image"], {}),
    ):
        given = [([*point.vectors], dict(point.payload)) for point in page.points]
        yield from differs(what, given, [(fields, payload)])
    given = [([*point.vectors], dict(point.payload)) for point in database.get(name, [1], vectors=["text"])]
    yield from differs("get of a field", given, [(["text"], {"place": 0})])


def _keeps_many_vectors(trial: Trial) -> Iterator[str]:
    fields = {"multi": Field(kind="multi", dim=3, distance="dot")}
    name = trial.make_if_taken(fields)
    if name is None:
        return
    drawn = [rows(count, 3, seed=count) for count in (2, 1, 5)]
    trial.database.write(name, points([1, 2, 3], {"multi": drawn}))
    given = trial.database.read(name, vectors=["multi"]).points
    wanted: Vectors = {place: {"multi": vectors} for place, vectors in enumerate(drawn, 1)}
    yield from unlike("points of several vectors", given, wanted, fields)


def _keeps_sparse(trial: Trial) -> Iterator[str]:
    """Also of terms with high numbers; a point without any term may have the vector or not."""
    fields = {"sparse": Field(kind="sparse", distance="dot")}
    name = trial.make_if_taken(fields)
    if name is None:
        return
    drawn = [sparse({5: 0.1, 0: 2.5, 250_001: 1e-3}), sparse({number: number / 7 for number in range(1, 300)})]
    trial.database.write(name, points([1, 2, 3], {"sparse": [*drawn, sparse({})]}))
    wanted: Vectors = {place: {"sparse": weights} for place, weights in enumerate(drawn, 1)}
    yield from unlike("points of terms", trial.database.get(name, [1, 2], vectors=["sparse"]), wanted, fields)
    yield from differs("the ids beside one without a term", trial.ids(name), [1, 2, 3])


def _comes_back_or_is_refused(trial: Trial) -> Iterator[str]:
    """What not every database can hold: never is it changed on the way."""
    database, name = trial.database, trial.make({"half": Field(dim=2, distance="dot", storing="float16")})
    for what, payload in (("NUL", {"text": "a\0b"}), ("half a surrogate", {"text": "a\ud800b"})):
        try:
            database.write(name, points([1], {"half": rows(1, 2)}, [payload]))
        except BadRequest:
            continue
        given = [dict(point.payload) for point in database.get(name, [1])]
        yield from differs(f"a payload with {what}", given, [payload])
    try:
        database.write(name, points([2], {"half": np.array([[1e6, 1.0]], np.float32)}))
    except BadRequest:
        return
    for point in database.get(name, [2], vectors=["half"]):
        if not np.isfinite(np.asarray(point.vectors["half"])).all():
            yield "a number that is too large for float16 is taken, and infinite when it is read"


# ------------------------------------------------------------------------------------------------ in order


def _pages(trial: Trial) -> Iterator[str]:
    """From every place, there or between, and of every size; with and without a condition."""
    database, name = trial.database, trial.make({"": Field(dim=DIM)})
    yield from differs("read of no points", database.read(name), Page([], None))
    shuffled = [IDS[place] for place in np.random.default_rng(3).permutation(len(IDS))]
    odd = [{"is_odd": bool(IDS.index(point) % 2)} for point in shuffled]
    database.write(name, points(shuffled, {"": rows(len(IDS))}, odd))
    yield from differs("read of all", trial.ids(name), [*IDS])
    for after in (None, *BETWEEN, *IDS):
        behind = [point for point in IDS if after is None or order_of(point) > order_of(after)]
        for limit in LIMITS:
            page = database.read(name, after=after, limit=limit, payload=False)
            given = [point.id for point in page.points]
            yield from differs(f"read after {after!r} of {limit}", given, behind[:limit])
            if (page.after is None) != (len(behind) <= limit):
                yield f"read after {after!r} of {limit} says that the next begins at {page.after!r}, {behind} are there"
    for what, where, wanted in (
        ("all", None, IDS),
        ("every second", Where(all=(Condition(key="is_odd", values=(True,)),)), IDS[1::2]),
        ("none", Where(all=(Condition(key="is_odd", values=("x",)),)), ()),
    ):
        for limit in (1, 2, 4, len(wanted) or 1):
            most = -(-len(wanted) // limit) or 1
            pages = [*islice(_walked(database, name, limit, where), most + 1)]
            yield from differs(f"a walk over {what} by {limit}", [i for page in pages for i in page], [*wanted])
            yield from differs(f"the pages of a walk over {what} by {limit}", len(pages), most)


def _walked(database: Database, name: str, limit: int, where: Where | None) -> Iterator[list[PointId]]:
    """The ids of one page after the other, without an end where the pages have none."""
    page = database.read(name, limit=limit, where=where)
    yield [point.id for point in page.points]
    while page.after is not None:
        page = database.read(name, after=page.after, limit=limit, where=where)
        yield [point.id for point in page.points]


def _gets(trial: Trial) -> Iterator[str]:
    """In the order of the ids that are given."""
    database, name = trial.database, trial.make({"": Field(dim=DIM)})
    database.write(name, points(IDS, {"": rows(len(IDS))}))
    asked: list[PointId] = [UUIDS[4], 3, NUMBERS[8], *BETWEEN, UUIDS[0], 0]
    given = [(point.id, point.payload.get("place")) for point in database.get(name, asked)]
    wanted = [(point, IDS.index(point)) for point in asked if point in IDS]
    yield from differs(f"get of {asked}", given, wanted)
    yield from differs("get of nothing", database.get(name, []), [])
    yield from differs("get of what is not there", database.get(name, [3, BETWEEN[3]]), [])


def _takes_many(trial: Trial) -> Iterator[str]:
    database, name = trial.database, trial.make({"": Field(dim=DIM)})
    database.write(name, points(range(MANY), {"": rows(MANY)}))
    walked = [point for page in islice(_walked(database, name, 256, None), 4) for point in page]
    yield from differs(f"the number of points after {MANY} were written", trial.described(name).points, MANY)
    if walked != [*range(MANY)]:
        yield f"a walk over {MANY} points by 256 gives {len(walked)} others, or in another order"
    yield from differs(f"get of {MANY}", len(database.get(name, range(MANY))), MANY)
    database.delete(name, range(1, MANY))
    yield from differs(f"the ids after all but the first of {MANY} were deleted", trial.ids(name), [0])


# ------------------------------------------------------------------------------------------------ changed


def _replaces(trial: Trial) -> Iterator[str]:
    """Payloads as a whole; vectors only where they are given."""
    fields = {"text": Field(dim=DIM, distance="dot"), "image": Field(dim=DIM, distance="dot")}
    database, name = trial.database, trial.make(fields)
    old, new = rows(2), rows(2, seed=2)
    first = points([1, UUIDS[0]], {"text": old, "image": old}, [{"a": 1}, {"a": {"b": 1}}])
    database.write(name, first)
    database.write(name, first)
    yield from differs("the ids after the same was written twice", trial.ids(name), [1, UUIDS[0]])
    yield from differs("describe().points after the same was written twice", trial.described(name).points, 2)
    database.write(name, points([1], {"text": new[:1]}, [{"c": 2}]))
    database.write(name, points([UUIDS[0]], {}, [{"a": {"c": 1}}]))
    given = database.get(name, [1, UUIDS[0]], vectors=[*fields])
    payloads = [dict(point.payload) for point in given]
    yield from differs("payloads after others were written", payloads, [{"c": 2}, {"a": {"c": 1}}])
    wanted: Vectors = {1: {"text": new[0], "image": old[0]}, UUIDS[0]: {"text": old[1], "image": old[1]}}
    yield from unlike("points that were partly replaced", given, wanted, fields)


def _lacks_fields(trial: Trial) -> Iterator[str]:
    fields = {"text": Field(dim=DIM, distance="dot"), "image": Field(dim=DIM, distance="dot")}
    database, name, row = trial.database, trial.make(fields), rows(1)
    database.write(name, points([1], {"text": row}))
    database.write(name, points([2], {"image": row}))
    wanted: Vectors = {1: {"text": row[0]}, 2: {"image": row[0]}}
    for given in (database.read(name, vectors=[*fields]).points, database.get(name, [1, 2], vectors=[*fields])):
        yield from unlike("points with one field of two", given, wanted, fields)
    database.write(name, points([1], {"image": row}))
    given = database.get(name, [1], vectors=[*fields])
    both: Vectors = {1: dict.fromkeys(fields, row[0])}
    yield from unlike("a point to which the missing field was written", given, both, fields)


def _writes_only_new(trial: Trial) -> Iterator[str]:
    fields = {"text": Field(dim=DIM, distance="dot"), "image": Field(dim=DIM, distance="dot")}
    database, name, old, new = trial.database, trial.make(fields), rows(2), rows(2, seed=2)
    database.write(name, points([1], {"text": old[:1]}, [{"a": 1}]), only_new=True)
    database.write(name, points([1, UUIDS[0]], {"text": new, "image": new}, [{"b": 2}, {"b": 3}]), only_new=True)
    given = database.get(name, [1, UUIDS[0]], vectors=[*fields])
    yield from differs("payloads after only_new", [dict(point.payload) for point in given], [{"a": 1}, {"b": 3}])
    wanted: Vectors = {1: {"text": old[0]}, UUIDS[0]: {"text": new[1], "image": new[1]}}
    yield from unlike("points after only_new", given, wanted, fields)


def _deletes(trial: Trial) -> Iterator[str]:
    database, name = trial.database, trial.make({"": Field(dim=DIM)})
    database.write(name, points(IDS, {"": rows(len(IDS))}))
    gone = [IDS[0], IDS[4], IDS[-1]]
    left = [point for point in IDS if point not in gone]
    for what, ids in (("some", [*gone, *BETWEEN]), ("the same again", gone), ("none", [])):
        database.delete(name, ids)
        yield from differs(f"the ids after a delete of {what}", trial.ids(name), left)
        yield from differs(f"describe().points after a delete of {what}", trial.described(name).points, len(left))
    yield from differs("get of what was deleted", database.get(name, gone), [])
    found = database.query(name, Query(vector=rows(len(IDS))[0], limit=100))
    yield from differs("what a query finds after a delete", sorted([hit.id for hit in found], key=order_of), left)
    database.write(name, points([IDS[0]], {"": rows(1)}, [{"is": "new"}]))
    given = [dict(point.payload) for point in database.get(name, [IDS[0]])]
    yield from differs("the payload of a point that was deleted and written again", given, [{"is": "new"}])


# ------------------------------------------------------------------------------------------------ refused


def _refuses(trial: Trial) -> Iterator[str]:
    """And nothing of such a batch is written."""
    name = trial.make({"": Field(dim=DIM)})
    sound = points([1, UUIDS[0], 3], {"": rows(3)})
    for what, wrong, wanted, naming in _wrongs(sound):
        call = partial(trial.database.write, name, wrong)
        yield from not_refused(f"a write with {what}", wanted, call, naming=naming)
        yield from differs(f"the ids after a write with {what}", trial.ids(name), [])
    trial.database.write(name, points([], {"": rows(0)}, []))
    trial.database.write(name, sound)
    yield from differs("the ids after a sound write", trial.ids(name), [1, 3, UUIDS[0]])


def _wrongs(
    sound: Points,
) -> Iterator[tuple[str, Points, tuple[type[BadRequest | Mismatch], ...], Sequence[object]]]:
    for number in (np.nan, np.inf, -np.inf):
        yield f"the number {number}", replace(sound, vectors=_with(1, number)), (BadRequest,), (UUIDS[0],)
    yield "zeros in a field of cosines", replace(sound, vectors=_with(1, 0)), (BadRequest,), (UUIDS[0],)
    for width in (DIM - 1, DIM + 1):
        yield f"{width} numbers", replace(sound, vectors={"": rows(3, width)}), (Mismatch,), (DIM, width)
    yield "a field that is not there", replace(sound, vectors={"nothing": rows(3)}), (Mismatch,), ("nothing",)
    yield "an id twice", replace(sound, ids=[1, 3, 1]), (BadRequest,), (1,)
    no_ids: tuple[PointId, ...] = (-1, 2**63, "not a uuid", "", "7", UUIDS[-1].upper(), UUIDS[0].replace("-", ""))
    for wrong in no_ids:
        yield f"the id {wrong!r}", replace(sound, ids=[1, wrong, 3]), (BadRequest,), (wrong,)
    yield "too few payloads", replace(sound, payloads=[{}, {}]), (BadRequest,), ()
    yield "too many vectors", replace(sound, vectors={"": rows(4)}), (BadRequest,), ()
    other: Column = [sparse({1: 1.0}) for _ in sound.ids]
    yield "sparse vectors in a dense field", replace(sound, vectors={"": other}), (Mismatch, BadRequest), ()


def _with(place: int, number: float) -> Mapping[str, Column]:
    """One row of three is that number alone."""
    column = rows(3)
    column[place] = number
    return {"": column}


def _takes_zeros(trial: Trial) -> Iterator[str]:
    """Where they have a meaning."""
    fields = {"dot": Field(dim=2, distance="dot"), "l2": Field(dim=2, distance="l2")}
    name, zeros = trial.make(fields), np.zeros((1, 2), np.float32)
    trial.database.write(name, points([1], {"dot": zeros, "l2": zeros}))
    given = trial.database.get(name, [1], vectors=[*fields])
    yield from unlike("a point of zeros", given, {1: dict.fromkeys(fields, zeros[0])}, fields)


# ------------------------------------------------------------------------------------------------ seen by others


def _shows_others(trial: Trial) -> Iterator[str]:
    """What another handle writes is seen by this one, which may have the points at hand."""
    if trial.reopen is None:
        return
    database, name, row = trial.database, trial.make({"": Field(dim=DIM)}), rows(3)
    question = Query(vector=row[1])
    other = trial.reopen()
    try:
        seen: Callable[[], list[PointId]] = lambda: [hit.id for hit in database.query(name, question)]  # noqa: E731
        database.write(name, points([1, 2], {"": row[:2]}))
        yield from differs("a query before another handle wrote", seen(), [2, 1])
        other.write(name, points([3], {"": row[1:2]}))
        yield from differs("a query after another handle wrote", seen(), [2, 3, 1])
        other.write(name, points([2], {"": -row[1:2]}))
        yield from differs("a query after another handle replaced a vector", seen(), [3, 1, 2])
        other.delete(name, [3])
        yield from differs("a query after another handle deleted", seen(), [1, 2])
        yield from differs("the ids that the other handle reads", [p.id for p in other.read(name).points], [1, 2])
    finally:
        other.close()


def _writes_together(trial: Trial) -> Iterator[str]:
    """Several threads, each with points of its own and some that all write."""
    database, name = trial.database, trial.make({"": Field(dim=DIM)})
    calls = [partial(_write_batches, database, name, writer) for writer in range(WRITERS)]
    at_once(calls)
    count = WRITERS * BATCHES * BATCH
    wanted = [*range(count), UUIDS[0], UUIDS[1]]
    yield from differs("the number of points that several wrote", trial.described(name).points, len(wanted))
    if trial.ids(name) != wanted:
        yield f"{len(wanted)} points that several wrote are not all there: {len(trial.ids(name))} are"


def _write_batches(database: Database, name: str, writer: int) -> None:
    for batch in range(BATCHES):
        first = (writer * BATCHES + batch) * BATCH
        ids: list[PointId] = [*UUIDS[:2], *range(first, first + BATCH)]
        database.write(name, points(ids if writer % 2 else ids[::-1], {"": rows(len(ids))}))
        database.query(name, Query(vector=rows(1)[0], limit=3))


PARTS: tuple[Part, ...] = (
    _comes_back, _gives_what_is_asked, _keeps_many_vectors, _keeps_sparse, _comes_back_or_is_refused, _pages, _gets,
    _takes_many, _replaces, _lacks_fields, _writes_only_new, _deletes, _refuses, _takes_zeros, _shows_others,
)  # fmt: skip
TOGETHER: tuple[Part, ...] = (_writes_together,)
