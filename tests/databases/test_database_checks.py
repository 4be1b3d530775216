from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from embedstack.databases.checks import (
    check_field_name,
    check_name,
    check_points,
    check_query,
    check_same,
    unknown,
)
from embedstack.databases.database import Collection, Column, Field, Index, Json, PointId, Points, Query, Vector
from embedstack.errors import BadRequest, Mismatch
from embedstack.types import Sparse

UUID = "00000000-0000-4000-8000-00000000000a"
FIELDS = {
    "": Field(dim=3),
    "product": Field(dim=3, distance="dot"),
    "half": Field(dim=3, storing="float16"),
    "words": Field(kind="sparse", distance="dot"),
    "half words": Field(kind="sparse", distance="dot", storing="float16"),
    "tokens": Field(kind="multi", dim=3),
}
DOCS = Collection(name="docs", fields=FIELDS, indexes={"kind": Index()})


def _ones(count: int = 2, dim: int = 3) -> np.ndarray:
    return np.ones((count, dim), np.float32)


def _sparse(*terms: int, weight: float = 1.0) -> Sparse:
    return Sparse(np.array(terms, np.int32), np.full(len(terms), weight, np.float32))


def _points(
    vectors: Mapping[str, Column], ids: Sequence[PointId] = (1, UUID), payload: Mapping[str, Json] | None = None
) -> Points:
    return Points(ids=ids, vectors=vectors, payloads=[payload or {}] * len(ids))


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize("name", ["a", "A-b_c.d", "_", "0", "x" * 60])
def test_a_name_that_every_database_can_have_is_taken(name: str) -> None:
    check_name(name)
    check_field_name(name)


@pytest.mark.parametrize("name", ["", "-a", ".a", "x" * 61, "a b", "a/b", "é", "a\n", 'a"b'])
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match=r"^alias .* cannot be named so"):
        check_name(name, "alias")


def test_a_field_alone_may_have_no_name() -> None:
    check_field_name("")

    with pytest.raises(BadRequest, match=r"^vector 'a b' cannot be named so"):
        check_field_name("a b")


# ------------------------------------------------------------------------------------------------ points


def test_points_of_every_kind_are_taken() -> None:
    multi: Column = [_ones(1), _ones(7)]
    sparse: Column = [_sparse(0, 7, 2**31 - 1), _sparse()]

    check_points(DOCS, _points({"": _ones(), "half": _ones(), "words": sparse, "tokens": multi}))


def test_zeros_have_a_product_but_no_direction() -> None:
    check_points(DOCS, _points({"product": 0 * _ones()}))

    with pytest.raises(BadRequest, match=f"point {UUID!r} for collection 'docs' is all zeros"):
        check_points(DOCS, _points({"": np.array([[0, 1, 0], [0, 0, 0]], np.float32)}))


def test_what_float16_cannot_hold_is_refused_where_it_is_stored_so() -> None:
    large = _ones() * np.array([[1], [70_000]], np.float32)
    check_points(DOCS, _points({"product": large}))

    with pytest.raises(BadRequest, match=f"point {UUID!r} for vector 'half'.*not finite as float16"):
        check_points(DOCS, _points({"half": large}))
    heavy: Column = [_sparse(1), _sparse(1, weight=70_000)]
    check_points(DOCS, _points({"words": heavy}))
    with pytest.raises(BadRequest, match=f"point {UUID!r} for vector 'half words'.*not finite as float16"):
        check_points(DOCS, _points({"half words": heavy}))


def test_what_float16_rounds_to_zeros_has_no_direction() -> None:
    with pytest.raises(BadRequest, match="all zeros"):
        check_points(DOCS, _points({"half": 1e-9 * _ones()}))


NAN = np.array([[1, 1, 1], [1, np.nan, 1]], np.float32)
WRONG_NUMBERS: Mapping[str, tuple[dict[str, Column], str]] = {
    "not a number": ({"": NAN}, f"point {UUID!r} .*not finite"),
    "infinite": ({"": _ones() * np.inf}, "point 1 .*not finite"),
    "not a number among tokens": ({"tokens": [_ones(), NAN]}, f"point {UUID!r} .*not finite"),
    "zeros among tokens": ({"tokens": [_ones(), _ones() * [[1], [0]]]}, f"point {UUID!r} .*all zeros"),
    "no tokens": ({"tokens": [_ones(), _ones(0)]}, f"point {UUID!r} .*no vectors"),
    "infinite weight": ({"words": [_sparse(1), _sparse(1, weight=np.inf)]}, f"point {UUID!r} .*not finite"),
    "falling terms": ({"words": [_sparse(1), _sparse(2, 1)]}, f"point {UUID!r} .*do not rise"),
    "a term twice": ({"words": [_sparse(1), _sparse(2, 2)]}, "do not rise"),
    "a term below zero": ({"words": [_sparse(1), _sparse(-1, 2)]}, "do not rise"),
    "terms without weights": (
        {"words": [_sparse(1), Sparse(np.array([1, 2], np.int32), np.ones(1, np.float32))]},
        "2 terms and 1 weights",
    ),
}


@pytest.mark.parametrize("what", WRONG_NUMBERS)
def test_numbers_that_mean_nothing_are_refused_with_the_points_id(what: str) -> None:
    vectors, message = WRONG_NUMBERS[what]

    with pytest.raises(BadRequest, match=message):
        check_points(DOCS, _points(vectors))


WRONG_FIELDS: Mapping[str, tuple[dict[str, Column], str]] = {
    "unknown": (
        {"image": _ones()},
        "'docs' has no vector 'image'; it has: '', 'half', 'half words', 'product', 'tokens', 'words'",
    ),
    "width": ({"": _ones(dim=4)}, "collection 'docs' holds 3 numbers of each vector, and these have 4"),
    "width of tokens": ({"tokens": [_ones(), _ones(dim=2)]}, "vector 'tokens' .* holds 3 .*, and these have 2"),
    "sparse in dense": ({"": [_sparse(1), _sparse(1)]}, "holds dense vectors"),
    "multi in dense": ({"": [_ones(), _ones()]}, "holds dense vectors"),
    "dense in sparse": ({"words": _ones()}, "is dense, and vector 'words' of collection 'docs' holds sparse"),
    "dense in multi": ({"tokens": _ones()}, "is dense, and vector 'tokens' of collection 'docs' holds multi"),
    "sparse in multi": ({"tokens": [_sparse(1), _sparse(1)]}, "is sparse, and .* holds multi"),
}


@pytest.mark.parametrize("what", WRONG_FIELDS)
def test_vectors_that_a_field_does_not_hold_are_a_mismatch_naming_both(what: str) -> None:
    vectors, message = WRONG_FIELDS[what]

    with pytest.raises(Mismatch, match=message):
        check_points(DOCS, _points(vectors))


def test_columns_must_be_as_long_as_the_ids() -> None:
    with pytest.raises(BadRequest, match="2 ids come with 3 vectors of 'half'"):
        check_points(DOCS, _points({"half": _ones(3)}))
    with pytest.raises(BadRequest, match="2 ids come with 1 payloads"):
        check_points(DOCS, Points(ids=[1, 2], vectors={}, payloads=[{}]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (-1, "outside"), (2**63, "outside"), (True, "neither"), ("doc-7", "neither"), (UUID.upper(), f"give {UUID!r}"),
        (UUID.replace("-", ""), f"give {UUID!r}"), (1, "there twice"),
    ],
)  # fmt: skip
def test_an_id_is_a_number_or_a_uuid_as_it_is_written_here_and_once(wrong: PointId, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        check_points(DOCS, _points({}, ids=[1, wrong]))


@pytest.mark.parametrize("payload", [{"a": float("nan")}, {"a": [float("inf")]}, {"a": {1, 2}}, {"a": "\ud800"}])
def test_a_payload_that_is_not_json_is_refused_with_the_points_id(payload: Mapping[str, Json]) -> None:
    with pytest.raises(BadRequest, match="payload of point 1 is not JSON"):
        check_points(DOCS, _points({}, payload=payload))


def test_a_payload_may_have_as_many_levels_as_every_database_reads() -> None:
    deep: Json = {}
    for _ in range(49):
        deep = {"a": [deep]}
    check_points(DOCS, _points({}, payload={"a": deep}))

    with pytest.raises(BadRequest, match="more than 100 levels"):
        check_points(DOCS, _points({}, payload={"a": [deep]}))


# ------------------------------------------------------------------------------------------------ questions


def test_a_query_gives_the_field_that_it_asks_for() -> None:
    assert check_query(DOCS, Query(vector=_ones()[0], field="half", with_vectors=["words"])) == FIELDS["half"]


WRONG_QUERIES: Mapping[str, tuple[Query, type[Exception], str]] = {
    "field": (Query(vector=_ones()[0], field="image"), Mismatch, "no vector 'image'"),
    "given field": (Query(vector=_ones()[0], with_vectors=["image"]), Mismatch, "no vector 'image'"),
    "width": (Query(vector=_ones(dim=4)[0]), Mismatch, "holds 3 .*, and these have 4"),
    "sparse": (Query(vector=_sparse(1)), Mismatch, "the query is sparse, and collection 'docs' holds dense"),
    "multi": (Query(vector=_ones()), Mismatch, "the query is multi, and collection 'docs' holds dense"),
    "axes": (Query(vector=np.ones((1, 1, 3), np.float32)), Mismatch, "the query is of 3 axes"),
    "nan": (Query(vector=NAN[1]), BadRequest, "the query for collection 'docs' has a number that is not finite"),
    "zeros": (Query(vector=0 * _ones()[0]), BadRequest, "the query .* is all zeros"),
    "too large": (Query(vector=1e200 * _ones().astype(np.float64)[0]), BadRequest, "not finite as float32"),
    "too small": (Query(vector=1e-200 * _ones().astype(np.float64)[0]), BadRequest, "is all zeros"),
    "terms": (Query(vector=_sparse(2, 1), field="words"), BadRequest, "do not rise"),
    "limit": (Query(vector=_ones()[0], limit=0), BadRequest, "limit 0"),
    "least": (Query(vector=_ones()[0], least=float("nan")), BadRequest, "least nan"),
}


@pytest.mark.parametrize("what", WRONG_QUERIES)
def test_a_query_that_the_field_cannot_answer_is_refused(what: str) -> None:
    query, error, message = WRONG_QUERIES[what]

    with pytest.raises(error, match=message):
        check_query(DOCS, query)


def test_a_query_may_be_larger_than_what_a_field_keeps() -> None:
    vector: Vector = 70_000 * _ones()[0]

    assert check_query(DOCS, Query(vector=vector, field="half")) == FIELDS["half"]


# ------------------------------------------------------------------------------------------------ collections


def _wanted(**changed: Field) -> Collection:
    return Collection(name="docs", fields={"": Field(dim=3), **changed})


def test_what_is_missing_is_told_in_the_order_in_which_it_is_wanted() -> None:
    wanted = Collection(
        name="docs", fields={"z": Field(dim=1), "": Field(dim=3), "b": Field(dim=2)},
        indexes={"year": Index(kind="integer"), "kind": Index()},
    )  # fmt: skip

    assert check_same(DOCS, wanted) == (["z", "b"], ["year"])


@pytest.mark.parametrize(
    "other",
    [Field(dim=4), Field(dim=3, distance="l2"), Field(dim=3), Field(kind="multi", dim=3, storing="float16")],
)
def test_another_field_of_the_name_is_a_mismatch_naming_both(other: Field) -> None:
    with pytest.raises(
        Mismatch,
        match=rf"vector 'half' .* is dense, 3 wide, cosine, float16, and {other.kind}, {other.dim} wide.* wanted",
    ):
        check_same(DOCS, _wanted(half=other))


def test_another_idf_is_a_mismatch() -> None:
    with pytest.raises(Mismatch, match="is sparse, dot, float32, and sparse, dot, float32, with idf was wanted"):
        check_same(DOCS, _wanted(words=Field(kind="sparse", distance="dot", idf=True)))


def test_an_origin_makes_no_other_field() -> None:
    assert check_same(DOCS, _wanted()) == ([], [])


@pytest.mark.parametrize("other", [Index(kind="integer"), Index(is_tenant=True)])
def test_another_index_of_the_key_is_a_mismatch(other: Index) -> None:
    wanted = Collection(name="docs", fields={}, indexes={"kind": other})

    with pytest.raises(Mismatch, match=r"index 'kind' of collection 'docs' is keyword, and .* was wanted"):
        check_same(DOCS, wanted)


def test_quantization_is_compared_where_one_is_wanted() -> None:
    there = Collection(name="docs", fields={}, quantization="int8")
    assert check_same(there, Collection(name="docs", fields={})) == ([], [])

    with pytest.raises(Mismatch, match=r"quantization .* is int8, and binary was wanted"):
        check_same(there, Collection(name="docs", fields={}, quantization="binary"))


def test_indexes_are_not_looked_at_where_there_are_none() -> None:
    there = Collection(name="docs", fields={}, keeps_indexes=False)
    wanted = Collection(name="docs", fields={}, indexes={"kind": Index()}, quantization="int8")

    assert check_same(there, wanted) == ([], [])


def test_an_unknown_collection_is_told_with_some_that_are_there() -> None:
    assert str(unknown("x", [])) == "collection 'x' is not there; it has: none"
    assert str(unknown("x", ["b", "a"])) == "collection 'x' is not there; it has: a, b"
    assert str(unknown("x", list("gfedcba"))) == "collection 'x' is not there; it has: a, b, c, d, e and 2 more"
