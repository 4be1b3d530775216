"""A database becomes a list of broken promises about collections: made, completed, and gone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from embedstack.databases.database import (
    Collection,
    Database,
    Field,
    Index,
    Query,
    UnknownCollection,
)
from embedstack.errors import BadRequest, Mismatch, Unsupported
from embedstack.origin import Origin
from embedstack.testing.promises import (
    DIM,
    MARK,
    ROUNDS,
    WRITERS,
    Part,
    Trial,
    Vectors,
    at_once,
    differs,
    not_refused,
    origin,
    points,
    rows,
    unlike,
)

NOT_NAMES = ("", " ", "a b", "a/b", "-a", ".a", "..", "a" * 61, "é", "a\0", "a'b", 'a"b', "a;b", "a%b", "a\nb")
FIELDS = ("image", "Image", "id", "payload", "vector", "embedding", "a-b_c.d", "1", "f" * 59 + "1", "f" * 59 + "2")
"""Where capitals are folded, names are cut, or columns of a table's own have the same."""


# ------------------------------------------------------------------------------------------------ made


def _makes(trial: Trial) -> Iterator[str]:
    database, name = trial.database, trial.name()
    if database.describe(name) is not None:
        yield "a collection that is not there is described"
    fields = {"text": Field(dim=3, origin=origin(dim=3)), "other": Field(dim=DIM, distance="l2", storing="float16")}
    wanted = Collection(name=name, fields=fields)
    yield from differs("create of one that is not there", database.create(wanted), True)
    yield from differs("create of one that is there", database.create(wanted), False)
    there = trial.described(name)
    yield from differs("the name of what was made", there.name, name)
    yield from differs("the fields of what was made", dict(there.fields), fields)
    yield from differs("points and mark of what was made", (there.points, there.loaded), (0, None))
    if name not in database.names():
        yield f"names() has no {name!r}, which was made"


def _takes_names(trial: Trial) -> Iterator[str]:
    database, wanted = trial.database, {"": Field(dim=DIM)}
    twins = [trial.name("x" * 58)[:59] + last for last in "12"]
    names = sorted([*twins, trial.name("Docs"), trial.name("docs"), trial.name("a_b-1")])
    for place, name in enumerate(names):
        database.create(Collection(name=name, fields=wanted))
        database.write(name, points([place], {"": rows(1)}))
    made = [name for name in database.names() if name.startswith(trial.prefix)]
    yield from differs("names() of five", made, names)
    yield from differs("names() that is sorted", database.names(), sorted(database.names()))
    for place, name in enumerate(names):
        yield from differs(f"the points of {name!r}, beside others with nearly its name", trial.ids(name), [place])
    for name in NOT_NAMES:
        collection = Collection(name=name, fields=wanted)
        yield from not_refused(f"create of {name!r}", BadRequest, partial(database.create, collection))
        collection = Collection(name=trial.name("more"), fields={name: Field(dim=DIM)})
        if name:
            yield from not_refused(f"create with field {name!r}", BadRequest, partial(database.create, collection))
        yield from not_refused(
            f"switch of alias {name!r}", BadRequest, partial(database.switch, name, trial.name("docs"), old=None)
        )


def _takes_fields(trial: Trial) -> Iterator[str]:
    """Of any name, and one without beside them where the database can."""
    fields = {name: Field(dim=2, origin=origin(name, dim=2)) for name in FIELDS}
    try:
        name = trial.make({**fields, "": Field(dim=2)})
        fields[""] = Field(dim=2)
    except BadRequest:
        name = trial.make(fields)
    there = trial.described(name)
    yield from differs("the fields of a collection with many", dict(there.fields), fields)
    drawn = {field: rows(1, 2, seed) for seed, field in enumerate(fields)}
    trial.database.write(name, points([7], drawn))
    wanted: Vectors = {7: {field: row[0] for field, row in drawn.items()}}
    given = trial.database.read(name, vectors=[*fields]).points
    yield from unlike("a point with many fields", given, wanted, fields)
    for field, row in drawn.items():
        found = trial.database.query(name, Query(vector=row[0], field=field))
        yield from differs(f"a query in field {field!r} of many", [hit.id for hit in found], [7])


def _leaves_alone(trial: Trial) -> Iterator[str]:
    database = trial.database
    fields = {"text": Field(dim=DIM, origin=origin()), "image": Field(dim=DIM)}
    name = trial.make(fields, indexes={"colour": Index(), "owner": Index(is_tenant=True)})
    database.write(name, points([1], {"text": rows(1)}))
    database.mark(name, MARK)
    before = trial.described(name)
    for what, wanted in (
        ("fewer fields", {"text": Field(dim=DIM)}),
        ("another origin", {"text": Field(dim=DIM, origin=origin("second"))}),
        ("an origin where none is signed", {"image": Field(dim=DIM, origin=origin("second"))}),
    ):
        made = database.create(Collection(name=name, fields=wanted))
        yield from differs(f"create with {what} of one that is there", made, False)
        yield from differs(f"a collection after a create with {what}", trial.described(name), before)


def _refuses_others(trial: Trial) -> Iterator[str]:
    """A field that is another than the one there, naming it and both."""
    database = trial.database
    name = trial.make({"text": Field(dim=DIM), "half": Field(dim=DIM, storing="float16")})
    before = trial.described(name)
    others = {
        "width": ("text", Field(dim=DIM + 1), (DIM, DIM + 1)),
        "distance": ("text", Field(dim=DIM, distance="dot"), ("cosine", "dot")),
        "storing": ("half", Field(dim=DIM), ("float16", "float32")),
    }
    for what, (field, other, both) in others.items():
        wanted = Collection(name=name, fields={field: other})
        call = partial(database.create, wanted)
        yield from not_refused(f"create with another {what}", Mismatch, call, naming=(field, *both))
    for what, other in {"kind": Field(kind="multi", dim=DIM), "kind ": Field(kind="sparse", distance="dot")}.items():
        call = partial(database.create, Collection(name=name, fields={"text": other}))
        yield from not_refused(f"create with another {what}", (Mismatch, Unsupported), call)
    yield from differs("a collection after creates that were refused", trial.described(name), before)


def _refuses_other_idf(trial: Trial) -> Iterator[str]:
    plain = Field(kind="sparse", distance="dot")
    name = trial.make_if_taken({"sparse": plain})
    if name is None:
        return
    yield from differs("a sparse field without idf", trial.described(name).fields["sparse"], plain)
    call = partial(trial.database.create, Collection(name=name, fields={"sparse": replace(plain, idf=True)}))
    yield from not_refused("create with idf of one without", Mismatch, call, naming=("sparse", "idf"))


def _adds_fields(trial: Trial) -> Iterator[str]:
    """Where the database can; else it says so and nothing is changed."""
    database, old, new = trial.database, rows(1), rows(1, seed=2)
    name = trial.make({"text": Field(dim=DIM, origin=origin())})
    database.write(name, points([1], {"text": old}))
    fields = {"text": Field(dim=DIM, origin=origin()), "more": Field(dim=DIM, distance="dot")}
    try:
        yield from differs("create that adds a field", database.create(Collection(name=name, fields=fields)), False)
    except Mismatch as error:
        if "more" not in str(error):
            yield f"a field that cannot be added is not named in {str(error)!r}"
        return
    yield from differs("the fields after one was added", dict(trial.described(name).fields), fields)
    given = database.get(name, [1], vectors=[*fields])
    yield from unlike("a point that was there before a field", given, {1: {"text": old[0]}}, fields)
    database.write(name, points([1], {"more": new}))
    given = database.get(name, [1], vectors=[*fields])
    yield from unlike("a point that got a new field", given, {1: {"text": old[0], "more": new[0]}}, fields)


# ------------------------------------------------------------------------------------------------ completed


def _completes_indexes(trial: Trial) -> Iterator[str]:
    """A collection whose maker died before its indexes; where there are none they are nobody's concern."""
    database, fields = trial.database, {"": Field(dim=DIM)}
    few: dict[str, Index] = {"colour": Index()}
    rest = {"count": Index(kind="integer"), "owner": Index(is_tenant=True), "author.age": Index(kind="float")}
    name = trial.make(fields, indexes=few)
    create = _creating(database, name, fields)
    yield from differs("create that adds indexes", create(few | rest), False)
    there = trial.described(name)
    if not there.keeps_indexes:
        yield from differs("the indexes where there are none", dict(there.indexes), {})
        create({"count": Index()})
        return
    yield from differs("the indexes after some were added", dict(there.indexes), few | rest)
    create({})
    yield from differs("the indexes after a create without any", dict(trial.described(name).indexes), few | rest)
    for what, key, other in (
        ("kind", "count", Index(kind="float")),
        ("tenancy", "colour", Index(is_tenant=True)),
        ("tenancy", "owner", Index()),
    ):
        call = partial(create, {key: other})
        yield from not_refused(f"an index of another {what} for {key!r}", Mismatch, call, naming=(key,))
    yield from differs("the indexes after others were refused", dict(trial.described(name).indexes), few | rest)
    every = {kind: Index(kind=kind) for kind in ("keyword", "integer", "float", "bool", "datetime", "uuid")}
    name = trial.make(fields, of="every", indexes=every)
    yield from differs("one index of each kind", dict(trial.described(name).indexes), every)


def _creating(database: Database, name: str, fields: Mapping[str, Field]) -> Callable[[Mapping[str, Index]], bool]:
    return lambda indexes: database.create(Collection(name=name, fields=fields, indexes=indexes))


def _quantizes(trial: Trial) -> Iterator[str]:
    """Where it can; a database that cannot ignores the wish or says so."""
    database = trial.database
    wanted = Collection(name=trial.name(), fields={"": Field(dim=DIM)}, quantization="int8")
    try:
        database.create(wanted)
    except Unsupported:
        return
    yield from differs("a second create with quantization", database.create(wanted), False)
    there = trial.described(wanted.name).quantization
    yield from differs("a create that asks for none", database.create(replace(wanted, quantization="none")), False)
    yield from differs("the quantization after that", trial.described(wanted.name).quantization, there)
    if there != "none":
        yield from differs("the quantization that was asked for", there, "int8")
        call = partial(database.create, replace(wanted, quantization="binary"))
        yield from not_refused("create with another quantization", Mismatch, call, naming=("int8", "binary"))


# ------------------------------------------------------------------------------------------------ gone


def _drops(trial: Trial) -> Iterator[str]:
    """With all that belongs to it, so that the next of its name begins with nothing."""
    database, alias = trial.database, trial.name("alias")
    other = trial.make({"text": Field(dim=DIM)}, "other")
    name = trial.make({"text": Field(dim=DIM, origin=origin())}, indexes={"colour": Index()})
    database.write(name, points([1], {"text": rows(1)}))
    database.mark(name, MARK)
    database.switch(alias, name, old=None)
    for what in ("that is there", "that is not there"):
        database.drop(name)
        gone = (database.describe(name), database.describe(alias), database.aliases().get(alias))
        yield from differs(f"collection, alias and its meaning after a drop of one {what}", gone, (None, None, None))
    if other not in database.names():
        yield "a drop takes another collection with it"
    trial.make({"text": Field(dim=DIM)})
    there = trial.described(name)
    left = (there.points, there.loaded, there.fields["text"].origin, dict(there.indexes))
    yield from differs("points, mark, origin and indexes of one made again", left, (0, None, None, {}))
    database.switch(alias, name, old=None)
    database.drop(alias)
    if name in database.names() or alias in database.aliases():
        yield "a drop by an alias leaves the collection or the alias"


def _misses(trial: Trial) -> Iterator[str]:
    database, name = trial.database, trial.name("nothing")
    trial.make({"": Field(dim=DIM)})
    calls: dict[str, Callable[[], object]] = {
        "sign": lambda: database.sign(name, "", origin(), over=None),
        "mark": lambda: database.mark(name, None),
        "write": lambda: database.write(name, points([1], {"": rows(1)})),
        "delete": lambda: database.delete(name, [1]),
        "read": lambda: database.read(name),
        "get": lambda: database.get(name, [1]),
        "query": lambda: database.query(name, Query(vector=rows(1)[0])),
    }
    for what, call in calls.items():
        yield from not_refused(f"{what} of a collection that is not there", UnknownCollection, call, naming=(name,))
    if database.describe(name) is not None:
        yield "a collection is there after a call that could not find it"


# ------------------------------------------------------------------------------------------------ several at once


def _creates_one_of_many(trial: Trial) -> Iterator[str]:
    """And its origins are those of the one that made it."""
    for number in range(ROUNDS):
        name = trial.name(f"many-{number}")
        made = at_once([partial(_creates, trial.database, name, origin(f"model-{n}")) for n in range(WRITERS)])
        winners = [f"model-{n}" for n, is_new in enumerate(made) if is_new]
        there = [field.origin and field.origin.identity.model for field in trial.described(name).fields.values()]
        if len(winners) != 1:
            yield f"{len(winners)} of {WRITERS} creators made one collection"
        yield from differs("the origins of a collection that one of many made", there, 2 * winners[:1])


def _creates(database: Database, name: str, mine: Origin) -> bool:
    fields = {field: Field(dim=DIM, origin=mine) for field in ("text", "image")}
    return database.create(Collection(name=name, fields=fields, indexes={"colour": Index()}))


PARTS: tuple[Part, ...] = (
    _makes, _takes_names, _takes_fields, _leaves_alone, _refuses_others, _refuses_other_idf, _adds_fields,
    _completes_indexes, _quantizes, _drops, _misses,
)  # fmt: skip
TOGETHER: tuple[Part, ...] = (_creates_one_of_many,)
