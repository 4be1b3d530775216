"""A database becomes a list of broken promises about what is beside the points: whose vectors, marks and aliases."""

from collections.abc import Iterator
from functools import partial

from embedstack.databases.database import Collection, Field, Index, Loaded, Query, UnknownCollection
from embedstack.errors import BadRequest, Mismatch
from embedstack.testing.promises import (
    DIM,
    MARK,
    ROUNDS,
    WRITERS,
    Part,
    Trial,
    at_once,
    differs,
    not_refused,
    origin,
    points,
    rows,
)

# ------------------------------------------------------------------------------------------------ signed and marked


def _signs(trial: Trial) -> Iterator[str]:
    database = trial.database
    name = trial.make({"text": Field(dim=DIM), "image": Field(dim=DIM)})
    first, second = origin("first"), origin("second")
    for what, given, over, wanted in (
        ("over none, where there is none", first, None, first),
        ("over none, where there is one", second, None, first),
        ("over another than is there", second, origin("third"), first),
        ("over what is there", second, first, second),
        ("again over what was there before", first, first, second),
        ("the same over the same", second, second, second),
    ):
        yield from differs(f"sign {what},", database.sign(name, "text", given, over=over), wanted)
        yield from differs(f"the origin after sign {what}", trial.described(name).fields["text"].origin, wanted)
    yield from differs("the origin of a field beside it", trial.described(name).fields["image"].origin, None)
    call = partial(database.sign, name, "nothing", first, over=None)
    yield from not_refused("sign of a field that is not there", Mismatch, call, naming=("nothing",))


def _marks(trial: Trial) -> Iterator[str]:
    database = trial.database
    name = trial.make({"text": Field(dim=DIM, origin=origin())})
    contested = Loaded(source="other", rows=0, is_whole=True, is_contested=True)
    for mark in (MARK, contested, None, None, MARK):
        database.mark(name, mark)
        there = trial.described(name)
        yield from differs("a mark that was set", there.loaded, mark)
        yield from differs("the origin after a mark was set", there.fields["text"].origin, origin())
    database.sign(name, "text", origin("second"), over=origin())
    database.write(name, points([1], {"text": rows(1)}))
    yield from differs("the mark after sign and write", trial.described(name).loaded, MARK)
    yield from differs("the points beside a mark", trial.ids(name), [1])


def _survives(trial: Trial) -> Iterator[str]:
    """Marks, origins and aliases are in the database, not in the one object that wrote them."""
    if trial.reopen is None:
        return
    name, alias = trial.make({"text": Field(dim=DIM)}, indexes={"colour": Index()}), trial.name("alias")
    trial.database.sign(name, "text", origin(), over=None)
    trial.database.mark(name, MARK)
    trial.database.switch(alias, name, old=None)
    other = trial.reopen()
    try:
        yield from differs("what another handle describes", other.describe(name), trial.database.describe(name))
        yield from differs("the alias that another handle sees", other.aliases().get(alias), name)
        other.mark(name, None)
        other.sign(name, "text", origin("second"), over=origin())
        there = trial.described(name)
        yield from differs("the mark after another handle took it away", there.loaded, None)
        yield from differs("the origin after another handle signed", there.fields["text"].origin, origin("second"))
    finally:
        other.close()
        other.close()


# ------------------------------------------------------------------------------------------------ aliases


def _resolves_aliases(trial: Trial) -> Iterator[str]:
    """In every method that takes a name."""
    database, alias = trial.database, trial.name("alias")
    name = trial.make({"text": Field(dim=DIM)})
    database.switch(alias, name, old=None)
    yield from differs("the alias", database.aliases().get(alias), name)
    if alias in database.names():
        yield "names() has an alias in it"
    database.write(alias, points([1, 2], {"text": rows(2)}))
    database.delete(alias, [2])
    database.sign(alias, "text", origin(), over=None)
    database.mark(alias, MARK)
    there = trial.described(name)
    yield from differs("what an alias describes", database.describe(alias), there)
    yield from differs("points after write and delete by an alias", (trial.ids(name), trial.ids(alias)), ([1], [1]))
    yield from differs("get by an alias", [point.id for point in database.get(alias, [1])], [1])
    found = database.query(alias, Query(vector=rows(1)[0], field="text"))
    yield from differs("a query by an alias", [hit.id for hit in found], [1])
    yield from differs("sign and mark by an alias", (there.fields["text"].origin, there.loaded), (origin(), MARK))
    names = database.names()
    yield from _creates_as_alias(trial, Collection(name=alias, fields={"text": Field(dim=DIM)}))
    yield from differs("the names after create by an alias", database.names(), names)


def _creates_as_alias(trial: Trial, wanted: Collection) -> Iterator[str]:
    """It is the collection's, or it is refused."""
    try:
        yield from differs("create by an alias", trial.database.create(wanted), False)
    except (BadRequest, Mismatch):
        return


def _switches(trial: Trial) -> Iterator[str]:
    database, alias = trial.database, trial.name("alias")
    first, second = (trial.make({"text": Field(dim=DIM)}, of) for of in ("first", "second"))
    for place, name in enumerate((first, second)):
        database.write(name, points([place], {"text": rows(1)}))
    switch = partial(database.switch, alias)
    yield from not_refused("switch of an alias that is not there", Mismatch, partial(switch, first, old=second))
    switch(first, old=None)
    for what, old in (("none", None), ("another", second)):
        yield from not_refused(f"switch over {what} where it is {first!r}", Mismatch, partial(switch, second, old=old))
        yield from differs("an alias after a switch that was refused", database.aliases().get(alias), first)
    switch(second, old=first)
    yield from differs("an alias after a switch", database.aliases().get(alias), second)
    yield from differs("the points of an alias after a switch", trial.ids(alias), [1])
    yield from differs("the points of what it stood for", trial.ids(first), [0])
    missing = partial(switch, trial.name("nothing"), old=second)
    yield from not_refused("switch to a collection that is not there", UnknownCollection, missing)
    call = partial(database.switch, first, second, old=None)
    yield from not_refused("an alias named like a collection", (BadRequest, Mismatch), call)
    yield from differs("an alias after all that was refused", database.aliases().get(alias), second)


def _signs_one_of_many(trial: Trial) -> Iterator[str]:
    name = trial.make({f"text-{number}": Field(dim=DIM) for number in range(ROUNDS)})
    mine = [origin(f"model-{number}") for number in range(WRITERS)]
    for field in trial.described(name).fields:
        told = at_once([partial(trial.database.sign, name, field, each, over=None) for each in mine])
        there = trial.described(name).fields[field].origin
        for wrong in {each.name for each in told if each != there}:
            yield f"a signer of many is told that {wrong} stands there, and it is {there and there.name}"


PARTS: tuple[Part, ...] = (_signs, _marks, _survives, _resolves_aliases, _switches)
TOGETHER: tuple[Part, ...] = (_signs_one_of_many,)
