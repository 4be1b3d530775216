"""A collection's name is a name of the model of its vectors, and stays it to a request's end."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.databases.database import Collection, Database, Field
from embedstack.databases.opening import open_database
from embedstack.errors import EmbedstackError, Mismatch, NotReady, UnknownModel, Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.origin import Identity, Origin
from embedstack.search.bm25 import Bm25
from embedstack.server.bound_models import BoundModels, Unseen, identity_of, seen
from embedstack.server.opening import finder_of
from embedstack.server.served import Collections
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import Classify, Decode, Encode, Encoded, Pair, Score, Text, Tokenize, Tokens
from support.served_collections import fill, origin

pytestmark = pytest.mark.anyio
FIRST, SECOND = hash_spec("first"), hash_spec("second", dim=16, cuts=())
ITEMS = (Text("a cat"),)
ABSENT = NotReady("it is not served")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = open_database(str(tmp_path))
    fill(made, "v1", FIRST)
    fill(made, "v2", SECOND)
    made.switch("docs", "v1", old=None)
    yield made
    made.close()


class Clock:
    """Seconds, moved by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def collections(database: Database, tmp_path: Path, clock: Clock) -> Iterator[Collections]:
    text = ", ".join(f"{tmp_path}#{name}" for name in ("docs", "v2", "cut", "strange", "absent"))
    made = Collections.of(replace(Settings(), collections=text), clock)
    yield made
    made.close()


def bound(collections: Collections, specs: Sequence[ModelSpec] = (FIRST, SECOND, overlap_spec())) -> BoundModels:
    """For one request."""
    encoder = HashEncoder(specs)
    return BoundModels(encoder, finder_of(encoder), collections, lambda identity: ABSENT)


async def encoded(models: BoundModels, name: str, **changes: object) -> Encoded:
    return await models.encode(replace(Encode(model=name, items=ITEMS), **changes))


async def test_a_name_stands_for_the_model_of_the_vectors(collections: Collections) -> None:
    answers = [await encoded(bound(collections), name) for name in ("docs", "v2", "first")]

    assert [answer.spec.name for answer in answers] == ["first", "second", "first"]
    assert [answer.dense.shape for answer in answers] == [(1, 32), (1, 16), (1, 32)]


async def test_with_the_alias_the_model_is_switched(collections: Collections, database: Database, clock: Clock) -> None:
    names = [(await encoded(bound(collections), "docs")).spec.name]
    database.switch("docs", "v2", old="v1")
    for passed_s in (4.9, 0.1):
        clock.now_s += passed_s
        names.append((await encoded(bound(collections), "docs")).spec.name)

    assert names == ["first", "first", "second"]


async def test_a_request_ends_with_the_model_with_which_it_began(
    collections: Collections, database: Database, clock: Clock
) -> None:
    began = bound(collections)
    await began.look("docs")
    database.switch("docs", "v2", old="v1")
    clock.now_s += 60

    assert (await encoded(bound(collections), "docs")).spec.name == "second"
    assert (await encoded(began, "docs")).spec.name == "first"
    assert began.find("docs") == FIRST


async def test_a_name_that_was_not_looked_at_says_so_and_the_work_is_done_again(collections: Collections) -> None:
    models, tried = bound(collections), []
    with pytest.raises(Unseen):
        models.find("docs")

    async def work() -> ModelSpec | None:
        tried.append(1)
        return models.find("docs")

    assert await seen(work) == FIRST
    assert len(tried) == 2


async def test_names_of_models_are_found_as_they_were(collections: Collections) -> None:
    models = bound(collections)

    assert (models.find("first"), models.find("nobody")) == (FIRST, None)
    assert models.models() == (FIRST, SECOND, overlap_spec())
    with pytest.raises(UnknownModel):
        await encoded(models, "nobody")


async def test_a_model_under_another_name_counts_by_its_space(collections: Collections) -> None:
    renamed = replace(FIRST, name="mine")

    assert (await encoded(bound(collections, (renamed, SECOND)), "docs")).spec.name == "mine"


async def test_of_two_models_of_the_space_the_one_of_that_name_comes_first(collections: Collections) -> None:
    twin = replace(FIRST, name="twin")

    assert (await encoded(bound(collections, (twin, FIRST)), "docs")).spec.name == "first"


async def test_a_model_of_that_name_and_of_another_space_is_refused_with_both_named(collections: Collections) -> None:
    changed = replace(FIRST, weights="0" * 64)
    said = rf"'v1' holds vectors of 'first' \(space {FIRST.space[:12]}…\), and 'first' \(space {changed.space[:12]}…\)"
    with pytest.raises(Mismatch, match=said):
        await encoded(bound(collections, (changed,)), "docs")


async def test_a_model_that_is_not_served_is_told_as_the_server_has_it(collections: Collections) -> None:
    with pytest.raises(NotReady, match="it is not served"):
        await encoded(bound(collections, (SECOND,)), "docs")


async def test_vectors_have_the_collections_width(collections: Collections, database: Database) -> None:
    fill(database, "cut", FIRST, dim=8)
    answers = [await encoded(bound(collections), "cut", dim=dim) for dim in (None, 8)]

    assert [answer.dense.shape for answer in answers] == [(1, 8), (1, 8)]


async def test_another_width_is_refused(collections: Collections, database: Database) -> None:
    fill(database, "cut", FIRST, dim=8)
    with pytest.raises(Mismatch, match="'cut' holds 8 numbers of each vector, and 16 were asked for"):
        await encoded(bound(collections), "cut", dim=16)


async def test_what_the_model_cannot_do_is_said_of_the_model(collections: Collections) -> None:
    with pytest.raises(Unsupported, match="'first' is made for the task 'embed'"):
        await bound(collections).score(Score(model="docs", items=(Pair("a", "b"),)))
    with pytest.raises(Unsupported, match="'first' is made for the task 'embed'"):
        await bound(collections).classify(Classify(model="docs", items=ITEMS))


async def test_tokens_are_those_of_the_model(collections: Collections) -> None:
    pieces = await bound(collections).tokens(Tokenize(model="v2", items=ITEMS))
    texts = await bound(collections).decode(Decode(model="v2", items=(Tokens((1, 2)),)))

    assert (pieces.spec.name, texts.spec.name) == ("second", "second")


# ------------------------------------------------------------------------------------------------ whose vectors


def counted() -> Field:
    return Field(kind="sparse", distance="dot", idf=True, origin=Origin(identity=Bm25("en").identity))


def dense(spec: ModelSpec, dim: int = 0) -> Field:
    return Field(dim=dim or spec.dim, origin=origin(spec, dim or None))


def sparse(spec: ModelSpec) -> Field:
    return Field(kind="sparse", distance="dot", origin=origin(spec))


STANDS: dict[str, tuple[dict[str, Field], str]] = {
    "the only vectors": ({"": dense(FIRST)}, "first"),
    "two fields of one model": ({"title": dense(FIRST), "body": dense(FIRST)}, "first"),
    "dense ones before sparse ones": ({"lexical": sparse(SECOND), "": dense(FIRST)}, "first"),
    "sparse ones where there are no others": ({"lexical": sparse(SECOND), "bm25": counted()}, "second"),
    "counted words beside them": ({"bm25": counted(), "": dense(FIRST)}, "first"),
    "vectors that nobody has signed beside them": ({"old": Field(dim=4), "": dense(FIRST)}, "first"),
}
NONE: dict[str, tuple[dict[str, Field], str]] = {
    "two models": ({"a": dense(FIRST), "b": dense(SECOND)}, r"of 'first' \(32 numbers\) and 'second' \(16 numbers\)"),
    "two widths": ({"a": dense(FIRST), "b": dense(FIRST, 8)}, r"of 'first' \(32 numbers\) and 'first' \(8 numbers\)"),
    "nobody has signed": ({"": Field(dim=4)}, "nobody has signed its vectors"),
    "counted words alone": ({"bm25": counted()}, "nobody has signed its vectors"),
    "no vectors": ({}, "nobody has signed its vectors"),
}


@pytest.mark.parametrize("name", STANDS)
def test_whose_the_vectors_are(name: str) -> None:
    fields, model = STANDS[name]

    assert identity_of(Collection(name="docs", fields=fields)).model == model


@pytest.mark.parametrize("name", NONE)
def test_where_no_one_model_made_them_none_stands_for_the_name(name: str) -> None:
    fields, said = NONE[name]
    with pytest.raises(Mismatch, match=said):
        identity_of(Collection(name="docs", fields=fields))


async def test_a_pure_sparse_model_stands_for_its_vectors(collections: Collections, database: Database) -> None:
    spec = replace(hash_spec("lexical", outputs=("sparse",)), dim=0)
    identity = Identity(
        model="lexical", revision="1", space=spec.space, fingerprint="f", dim=0, max_tokens=spec.max_tokens
    )
    field = Field(kind="sparse", distance="dot", origin=Origin(identity=identity))
    database.create(Collection(name="strange", fields={"": field}))
    models = bound(collections, (FIRST, spec))
    await models.look("strange")

    assert models.find("strange") == spec


# ------------------------------------------------------------------------------------------------ before a search


def check(models: BoundModels, fields: dict[str, Field]) -> EmbedstackError | None:
    try:
        models.check(Collection(name="docs", fields=fields), [*fields])
    except EmbedstackError as error:
        return error
    return None


def test_a_search_needs_a_model_of_one_of_the_fields(collections: Collections) -> None:
    models = bound(collections, (SECOND,))

    assert check(models, {"": dense(SECOND)}) is None
    assert check(models, {"a": dense(FIRST), "b": dense(SECOND)}) is None
    assert check(models, {"bm25": counted()}) is None
    assert check(models, {"": dense(FIRST), "bm25": counted()}) is ABSENT
