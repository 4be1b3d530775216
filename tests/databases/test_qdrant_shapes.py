from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest
from qdrant_client import models

from embedstack.databases.database import (
    Collection,
    Condition,
    Distance,
    Field,
    Index,
    IndexKind,
    Loaded,
    PointId,
    Points,
    Quantization,
    Storing,
    Vector,
    Where,
)
from embedstack.databases.qdrant.address import address_of
from embedstack.databases.qdrant.known import LOADED, marked, origin_of, signed
from embedstack.databases.qdrant.paths import key_of, path_of
from embedstack.databases.qdrant.points import (
    behind,
    cut,
    hit_of,
    named_of,
    parts_of,
    point_of,
    structs_of,
    vectors_of,
    wire_of,
)
from embedstack.databases.qdrant.shapes import (
    added_of,
    described_of,
    quantized_of,
    schema_of,
    settled,
    sparse_of,
)
from embedstack.databases.qdrant.shapes import vectors_of as params_of
from embedstack.databases.qdrant.where import filter_of
from embedstack.errors import BadRequest, ConfigError, Mismatch, Unsupported
from embedstack.origin import Identity, Origin, Probe
from embedstack.types import Sparse

IDENTITY = Identity(model="m", revision="r", space="s" * 64, fingerprint="f", dim=3, max_tokens=512)
ORIGIN = Origin(identity=IDENTITY, probes=(Probe("short", "query", "ä", "AAAA"),), basis="proven")
UUID = "0a000000-0000-4000-8000-00000000000f"


def _info(
    wanted: Collection,
    metadata: Mapping[str, object] | None = None,
    schema: Mapping[str, models.PayloadIndexInfo] | None = None,
    status: str = "green",
) -> models.CollectionInfo:
    """What a server says of a collection that was made with these parameters."""
    params = models.CollectionParams(vectors=params_of(wanted.fields), sparse_vectors=sparse_of(wanted.fields))
    config = models.CollectionConfig(
        params=params,
        hnsw_config=models.HnswConfig(m=16, ef_construct=100, full_scan_threshold=10000),
        optimizer_config=models.OptimizersConfig(
            deleted_threshold=0.2, vacuum_min_vector_number=1000, default_segment_number=0, flush_interval_sec=5
        ),
        quantization_config=quantized_of(wanted.quantization),
        metadata=dict(metadata) if metadata else None,
    )
    return models.CollectionInfo(
        status=models.CollectionStatus(status),
        optimizer_status=models.OptimizersStatusOneOf.OK,
        segments_count=1,
        config=config,
        payload_schema=dict(schema or {}),
    )


def _described(wanted: Collection, info: models.CollectionInfo | None = None) -> Collection:
    return described_of("docs", info or _info(wanted), is_local=False).collection


def _docs(fields: Mapping[str, Field], quantization: Quantization = "none") -> Collection:
    return Collection(name="docs", fields=fields, quantization=quantization)


# ------------------------------------------------------------------------------------------------ fields

FIELDS = [
    *(Field(dim=3, distance=distance) for distance in get_args(Distance)),
    *(Field(dim=3, storing=storing) for storing in get_args(Storing)),
    Field(kind="multi", dim=3),
    Field(kind="multi", dim=3, distance="dot", storing="float16"),
]
SPARSE = [
    Field(kind="sparse", distance="dot"),
    Field(kind="sparse", distance="dot", idf=True),
    Field(kind="sparse", distance="dot", idf=True, storing="float16"),
]


@pytest.mark.parametrize("field", [*FIELDS, *SPARSE])
def test_a_field_comes_back_as_it_was_wanted(field: Field) -> None:
    wanted = _docs({"text": field})

    assert _described(wanted).fields == {"text": field}
    assert settled(wanted, is_local=False) == wanted


def test_fields_of_all_kinds_stand_beside_each_other() -> None:
    wanted = _docs({"text": FIELDS[0], "late": FIELDS[-1], "sparse": SPARSE[1]})

    assert _described(wanted).fields == wanted.fields


def test_a_vector_without_a_name_stands_alone_or_beside_sparse_ones() -> None:
    wanted = _docs({"": Field(dim=3), "sparse": SPARSE[0]})

    assert isinstance(params_of(wanted.fields), models.VectorParams)
    assert _described(wanted).fields == wanted.fields


def test_many_vectors_of_one_point_get_no_graph_and_are_scored_by_the_best_of_each() -> None:
    params = params_of({"late": Field(kind="multi", dim=3)})

    assert isinstance(params, dict)
    assert params["late"].hnsw_config == models.HnswConfigDiff(m=0)
    assert params["late"].multivector_config == models.MultiVectorConfig(comparator="max_sim")


@pytest.mark.parametrize("field", [FIELDS[0], FIELDS[-1], *SPARSE])
def test_a_field_that_is_added_is_the_one_that_is_made(field: Field) -> None:
    config = added_of(field)

    if isinstance(config, models.SparseVectorNameConfig):
        made = (sparse_of({"f": field}) or {})["f"]
        assert config.sparse.modifier == made.modifier
        assert (config.sparse.datatype is None) == (made.index is None)
    else:
        params = params_of({"f": field})
        assert isinstance(params, dict)
        assert config.dense.model_dump(mode="json") == params["f"].model_dump(
            mode="json", include={"size", "distance", "multivector_config", "datatype"}
        )


def test_a_sparse_field_is_always_of_products() -> None:
    made = settled(_docs({"sparse": Field(kind="sparse", dim=7)}), is_local=False)

    assert made.fields == {"sparse": Field(kind="sparse", distance="dot")}


@pytest.mark.parametrize(
    ("fields", "naming"),
    [
        ({"": Field(kind="sparse")}, "sparse"),
        ({"late": Field(kind="multi", dim=3, distance="l2")}, "'late'"),
        ({"text": Field(dim=3, idf=True)}, "'text'"),
        ({"text": Field()}, "'text'"),
    ],
)
def test_what_qdrant_cannot_hold_is_refused_by_name(fields: Mapping[str, Field], naming: str) -> None:
    with pytest.raises(BadRequest, match=naming):
        settled(_docs(fields), is_local=False)


def test_no_collection_begins_with_a_vector_without_a_name_beside_one_with() -> None:
    with pytest.raises(BadRequest, match="beside 'image'"):
        params_of({"": Field(dim=3), "image": Field(dim=3)})


@pytest.mark.parametrize(
    "params",
    [
        models.VectorParams(size=3, distance="Manhattan"),
        models.VectorParams(size=3, distance="Dot", datatype="uint8"),
        models.VectorParams(
            size=3, distance="Euclid", multivector_config=models.MultiVectorConfig(comparator="max_sim")
        ),
    ],
)
def test_a_field_that_we_have_no_word_for_is_said_to_be_so(params: models.VectorParams) -> None:
    info = _info(_docs({"": Field(dim=3)}))
    info.config.params.vectors = {"text": params}

    with pytest.raises(Unsupported, match="vector 'text' of collection 'docs'"):
        described_of("docs", info, is_local=False)


def test_a_collection_made_by_hand_is_described() -> None:
    info = _info(_docs({}))
    info.config.params = models.CollectionParams(vectors=models.VectorParams(size=3, distance="Cosine"))

    assert _described(_docs({}), info) == _docs({"": Field(dim=3)})


@pytest.mark.parametrize("quantization", get_args(Quantization))
def test_quantization_comes_back_as_it_was_wanted(quantization: Quantization) -> None:
    assert _described(_docs({"": Field(dim=3)}, quantization)).quantization == quantization


def test_quantization_of_a_vector_of_its_own_is_seen() -> None:
    info = _info(_docs({"": Field(dim=3)}))
    info.config.params.vectors = models.VectorParams(size=3, distance="Dot", quantization_config=quantized_of("binary"))

    assert _described(_docs({}), info).quantization == "binary"


def test_local_mode_wants_no_quantization() -> None:
    assert settled(_docs({"": Field(dim=3)}, "int8"), is_local=True).quantization == "none"


@pytest.mark.parametrize(
    ("said", "status"), [("green", "ready"), ("yellow", "indexing"), ("grey", "indexing"), ("red", "failed")]
)
def test_the_colours_have_a_meaning(said: str, status: str) -> None:
    wanted = _docs({"": Field(dim=3)})

    assert _described(wanted, _info(wanted, status=said)).status == status


# ------------------------------------------------------------------------------------------------ indexes


def _schema(key: str, index: Index) -> dict[str, models.PayloadIndexInfo]:
    """As a server says it, which answers a short form with a short one."""
    told = schema_of(key, index)
    params = None if isinstance(told, models.PayloadSchemaType) else told
    return {path_of(key): models.PayloadIndexInfo(data_type=index.kind, params=params, points=0)}


INDEXES = [
    *(Index(kind=kind) for kind in get_args(IndexKind)),
    Index(is_tenant=True),
    Index(kind="uuid", is_tenant=True),
]


@pytest.mark.parametrize("index", INDEXES)
def test_an_index_comes_back_as_it_was_wanted(index: Index) -> None:
    wanted = _docs({"": Field(dim=3)})
    info = _info(wanted, schema=_schema("author.first name", index))

    assert _described(wanted, info).indexes == {"author.first name": index}


def test_an_index_that_we_have_no_word_for_is_kept_apart() -> None:
    wanted = _docs({"": Field(dim=3)})
    info = _info(wanted, schema={"text": models.PayloadIndexInfo(data_type="text", points=0)})
    found = described_of("docs", info, is_local=False)

    assert found.collection.indexes == {}
    assert found.others == {"text": "text"}


def test_tenants_are_told_apart_by_texts() -> None:
    with pytest.raises(BadRequest, match="index 'owner' is integer"):
        schema_of("owner", Index(kind="integer", is_tenant=True))


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a", "a"),
        ("a.b-c.d_1", "a.b-c.d_1"),
        ("first name", '"first name"'),
        ("a.größe.it's", 'a."größe"."it\'s"'),
        ("a[]", '"a[]"'),
        ("", '""'),
        ("a..b", 'a."".b'),
    ],
)
def test_a_key_becomes_a_path_and_back(key: str, path: str) -> None:
    assert path_of(key) == path
    assert key_of(path) == key


@pytest.mark.parametrize("path", ["a[].b", "a[0]", '"a.b".c'])
def test_a_path_that_no_key_has_stays_as_it_is(path: str) -> None:
    assert key_of(path) == path


def test_letters_that_qdrant_does_not_quote_are_read() -> None:
    assert key_of("größe.漢") == "größe.漢"


@pytest.mark.parametrize("key", ['say "so"', "a\\b"])
def test_a_key_without_a_path_is_refused(key: str) -> None:
    with pytest.raises(BadRequest, match="payload key"):
        path_of(key)


# ------------------------------------------------------------------------------------------------ known


def test_origins_and_mark_come_back_as_they_were_written() -> None:
    wanted, mark = _docs({"": Field(dim=3), "sparse": SPARSE[0]}), Loaded(source="d", rows=2**40, is_whole=True)
    info = _info(wanted, {**signed({"": ORIGIN}), **marked(mark), "theirs": 1})
    found = _described(wanted, info)

    assert found.fields == {"": Field(dim=3, origin=ORIGIN), "sparse": SPARSE[0]}
    assert found.loaded == mark


def test_each_is_a_key_of_its_own() -> None:
    assert [*signed({"": ORIGIN, "image": ORIGIN})] == ["embedstack.origin.", "embedstack.origin.image"]
    assert [*marked(None).items()] == [("embedstack.load", None)]


def test_a_null_is_none() -> None:
    wanted = _docs({"": Field(dim=3)})

    assert _described(wanted, _info(wanted, {"embedstack.load": None, "embedstack.origin.": None})) == wanted


@pytest.mark.parametrize("wrong", ["text", {"identity": {}}, 5, {**msgspec.to_builtins(ORIGIN), "role": 1}])
def test_an_origin_that_cannot_be_read_is_named(wrong: object) -> None:
    with pytest.raises(Mismatch, match=r"'embedstack\.origin\.image' in the metadata of collection 'docs'"):
        origin_of({"embedstack.origin.image": wrong}, "image", "docs")


def test_a_mark_that_cannot_be_read_is_named() -> None:
    wanted = _docs({"": Field(dim=3)})

    with pytest.raises(Mismatch, match=r"'embedstack\.load' in the metadata of collection 'docs'"):
        _described(wanted, _info(wanted, {LOADED: {"rows": 1}}))


# ------------------------------------------------------------------------------------------------ where


def _filter(condition: Condition) -> object:
    """As it is sent."""
    made = filter_of(Where(all=(condition,)))
    assert made is not None
    return made.model_dump(exclude_none=True, exclude_unset=True)["must"]


def test_nothing_said_means_every_point() -> None:
    assert filter_of(None) is None
    assert filter_of(Where()) is None


def test_values_are_asked_for_by_their_types() -> None:
    asked = _filter(Condition(key="a", values=("1", 1, True, "x")))

    assert asked == [
        {
            "should": [
                {"key": "a", "match": {"value": True}},
                {"key": "a", "match": {"any": ["1", "x"]}},
                {"key": "a", "match": {"any": [1]}},
            ]
        }
    ]


def test_none_of_no_values_is_meant() -> None:
    assert _filter(Condition(key="a", values=())) == [{"has_id": []}]


def test_limits_are_a_range() -> None:
    assert _filter(Condition(key="a.b", least=1, most=2.5)) == [{"key": "a.b", "range": {"gte": 1.0, "lte": 2.5}}]


def test_a_value_within_limits_is_one_value_of_a_list() -> None:
    condition = Condition(key="a", values=(1, 3, 9, "3", True), least=2, most=5)

    assert _filter(condition) == [{"key": "a", "match": {"any": [3]}}]


def test_a_key_alone_is_there() -> None:
    assert _filter(Condition(key="a")) == [
        {"should": [{"must_not": [{"is_empty": {"key": "a"}}]}, {"is_null": {"key": "a"}}]}
    ]


def test_what_must_not_hold_is_each_condition_as_a_whole() -> None:
    made = filter_of(Where(none=(Condition(key="a", values=("x",)), Condition(key="b", values=(1, "1")))))

    assert made is not None
    assert made.must is None
    assert [type(one) for one in made.must_not or []] == [models.FieldCondition, models.Filter]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_limit_that_is_no_number_is_refused(number: float) -> None:
    with pytest.raises(BadRequest, match="limit"):
        filter_of(Where(all=(Condition(key="a", least=number),)))


# ------------------------------------------------------------------------------------------------ points


ROWS = np.random.default_rng(1).normal(0, 1, (3, 4)).astype(np.float32)
TERMS = Sparse(np.array([3, 70_000], np.int32), np.array([0.1, 2], np.float32))


@pytest.mark.parametrize("vector", [ROWS[0], ROWS, TERMS])
def test_a_vector_comes_back_bit_for_bit(vector: Vector) -> None:
    given = vectors_of({"f": wire_of(vector)})["f"]

    if isinstance(vector, Sparse):
        assert isinstance(given, Sparse)
        assert (given.ids.dtype, given.weights.dtype) == (np.int32, np.float32)
        assert [given.ids.tolist(), given.weights.tolist()] == [vector.ids.tolist(), vector.weights.tolist()]
    else:
        assert not isinstance(given, Sparse)
        assert given.dtype == np.float32
        assert np.array_equal(given, vector)


def test_terms_are_sorted_when_they_are_read() -> None:
    given = vectors_of({"s": models.SparseVector(indices=[9, 1], values=[0.5, 2.0])})["s"]

    assert isinstance(given, Sparse)
    assert [given.ids.tolist(), given.weights.tolist()] == [[1, 9], [2.0, 0.5]]


def test_a_vector_without_a_name_is_sent_alone_where_it_is_alone() -> None:
    alone, terms = ROWS[0].tolist(), wire_of(TERMS)

    assert named_of({"": alone}) == alone
    assert named_of({"": alone, "sparse": terms}) == {"": alone, "sparse": terms}
    assert named_of({"text": alone}) == {"text": alone}
    assert named_of({}) == {}


def test_points_become_rows_of_their_columns() -> None:
    given = Points(ids=[7, UUID], vectors={"text": ROWS[:2], "sparse": [TERMS, TERMS]}, payloads=[{"a": 1}, {}])
    made = structs_of(given)

    assert [one.id for one in made] == [7, UUID]
    assert [one.payload for one in made] == [{"a": 1}, {}]
    assert made[1].vector == {"text": ROWS[1].tolist(), "sparse": wire_of(TERMS)}


def _points(count: int) -> Points:
    """With much of all that takes room."""
    draw = np.random.default_rng(2)
    dense = (draw.normal(0, 1, (count, 32)) * 1e-20).astype(np.float32)
    sparse = [Sparse(np.arange(2**31 - 9, 2**31 - 1, dtype=np.int32), -dense[row, :8]) for row in range(count)]
    multi = [dense[row].reshape(-1, 2) for row in range(count)]
    payloads = [{"text": 'ß漢\n"' * int(draw.integers(0, 200))} for _ in range(count)]
    ids = [f"ffffffff-ffff-4fff-bfff-{row:012x}" for row in range(count)]
    return Points(ids=ids, vectors={"text": dense, "late": multi, "sparse": sparse}, payloads=payloads)


def _bytes(points: Points) -> int:
    body = models.PointsList(points=structs_of(points))
    return len(body.model_dump_json(exclude_none=True, exclude_unset=True, by_alias=True).encode())


def test_no_part_is_larger_than_it_may_be_and_none_is_far_smaller() -> None:
    parts = [*parts_of(_points(60), most=20_000)]

    assert all(_bytes(part) <= 20_000 for part in parts)
    assert all(_bytes(part) > 10_000 for part in parts[:-1])


def test_parts_are_all_points_in_their_order() -> None:
    whole = _points(20)
    parts = [*parts_of(whole, most=9_000)]

    assert len(parts) > 2
    assert [given for part in parts for given in part.ids] == whole.ids
    assert [one for part in parts for one in structs_of(part)] == structs_of(whole)


def test_a_point_over_the_limit_goes_alone() -> None:
    assert [len(part) for part in parts_of(_points(3), most=1)] == [1, 1, 1]


def test_no_points_have_no_parts() -> None:
    assert [*parts_of(cut(_points(1), 0, 0))] == []


@pytest.mark.parametrize(
    ("given", "following"),
    [
        (0, 1),
        (2**63 - 1, 2**63),
        ("00000000-0000-4000-8000-0000000000ff", "00000000-0000-4000-8000-000000000100"),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", None),
    ],
)
def test_a_page_begins_at_the_very_next_id(given: PointId, following: PointId | None) -> None:
    assert behind(given) == following


def test_a_number_that_other_databases_cannot_have_is_refused() -> None:
    with pytest.raises(BadRequest, match="9223372036854775808"):
        point_of(models.Record(id=2**63))


def test_a_term_that_other_databases_cannot_have_is_refused() -> None:
    with pytest.raises(BadRequest, match="2147483648"):
        vectors_of({"s": models.SparseVector(indices=[2**31, 1], values=[0.5, 2.0])})


def test_a_point_without_anything_is_read() -> None:
    point = point_of(models.Record(id=UUID.upper()))

    assert (point.id, point.vectors, point.payload) == (UUID, {}, {})


@pytest.mark.parametrize(("is_distance", "score"), [(False, 0.1), (True, -0.1)])
def test_more_is_nearer(is_distance: bool, score: float) -> None:
    found = models.ScoredPoint(id=1, version=0, score=0.1)

    assert hit_of(found, is_distance=is_distance).score == float(np.float32(score))


def test_no_distance_is_a_score_of_0_without_a_minus() -> None:
    assert str(hit_of(models.ScoredPoint(id=1, version=0, score=0.0), is_distance=True).score) == "0.0"


# ------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://localhost", "http://localhost:6333"),
        ("http://localhost:80/", "http://localhost:80"),
        ("https://q.example/a/b", "https://q.example:6333/a/b"),
        ("qdrant://q", "http://q:6333"),
        ("qdrants://q:443", "https://q:443"),
        ("HTTP://[::1]:1", "http://[::1]:1"),
    ],
)
def test_an_address_leads_to_a_server(url: str, server: str) -> None:
    assert (address_of(url).server, address_of(url).url) == (server, url)


@pytest.mark.parametrize(("url", "folder"), [("qdrant-local:/a b", "/a b"), ("qdrant-local:///a", "/a")])
def test_an_address_leads_to_a_folder(url: str, folder: str) -> None:
    assert address_of(url) == replace(address_of(url), url=url, server="", folder=Path(folder))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:geheim@host",
        "https://geheim@host",
        "http://:geheim@host",
        "http://host?api-key=geheim",
        "http://host#geheim",
        "http://host:geheim",
        "http://user:geheim/geheim@host",
        "http://user/geheim@host",
    ],
)
def test_an_address_with_a_secret_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        address_of(url)

    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://", "ftp://host", "http://host:99999", "qdrant-local:", "qdrant-local://a"])
def test_an_address_that_is_none_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigError, match="give one like"):
        address_of(url)
