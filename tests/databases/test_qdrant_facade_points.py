"""Points on a Qdrant server, ours or a real one: written, read and asked for as the engine itself has them."""

import math
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as edge
from qdrant_client import QdrantClient, models

from support.qdrant_asked import DOT, FIELDS, START, TERMS, UUIDS, all_ids, asking, ids_of, points, status_and_text
from support.qdrant_server import qdrant_server

DIM, POINTS = 8, 40
FILTERED, KEPT = f"{START}-filtered", f"{START}-kept"  # collections
# of a text pydantic-core would make a time zone of its own, and freeing that while Python ends is a SIGSEGV (2.x)
YEAR = datetime(2024, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def fields(client: QdrantClient) -> str:
    """The name of a collection of FIELDS and TERMS, without points."""
    name = f"{START}-fields"
    client.create_collection(name, FIELDS, TERMS)
    return name


# ------------------------------------------------------------------------------------------------ writing


def test_points_are_read_as_they_were_written(client: QdrantClient, name: str) -> None:
    client.create_collection(name, FIELDS, TERMS)
    payload = {"text": "Grüße", "n": 1, "nested": {"a": [1, "x", True, None, 1.5]}}
    vector = {
        "text": [0.5, 0.5, 0.5, 0.5],
        "late": [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]],
        "terms": models.SparseVector(indices=[7, 4_294_967_295], values=[0.5, 2.0]),
    }

    done = client.upsert(name, [models.PointStruct(id=UUIDS[1], vector=vector, payload=payload)])

    (found,) = client.retrieve(name, [UUIDS[1], 77], with_vectors=True)
    assert done.status == models.UpdateStatus.COMPLETED
    assert (found.id, found.payload, found.vector) == (UUIDS[1], payload, vector)


def test_who_does_not_wait_is_told_that_it_was_heard(client: QdrantClient, name: str) -> None:
    client.create_collection(name, DOT)

    assert client.upsert(name, points([1]), wait=False).status == models.UpdateStatus.ACKNOWLEDGED
    assert client.count(name).count == 1


def test_some_keys_and_some_vectors_are_read(client: QdrantClient, name: str) -> None:
    client.create_collection(name, {"a": DOT, "b": DOT})
    both = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    client.upsert(name, [models.PointStruct(id=1, vector=both, payload={"x": 1, "y": 2})])

    (some,) = client.retrieve(name, [1], with_payload=["x"], with_vectors=["b"])
    (others,) = client.retrieve(name, [1], with_payload=models.PayloadSelectorExclude(exclude=["x"]))
    (bare,) = client.retrieve(name, [1], with_payload=False)

    assert (some.payload, some.vector) == ({"x": 1}, {"b": [3.0, 4.0]})
    assert (others.payload, others.vector) == ({"y": 2}, None)
    assert (bare.payload, bare.vector) == (None, None)


def test_columns_are_written_as_points_are(client: QdrantClient, name: str) -> None:
    client.create_collection(name, {"a": DOT})
    client.upsert(
        name, models.Batch(ids=[2, 1], vectors={"a": [[1.0, 2.0], [3.0, 4.0]]}, payloads=[{"n": 2}, {"n": 1}])
    )

    read = [(point.id, point.vector, point.payload) for point in client.scroll(name, with_vectors=True)[0]]
    assert read == [(1, {"a": [3.0, 4.0]}, {"n": 1}), (2, {"a": [1.0, 2.0]}, {"n": 2})]


def test_a_point_is_replaced_with_all_its_vectors(client: QdrantClient, name: str) -> None:
    client.create_collection(name, {"a": DOT, "b": DOT})
    client.upsert(name, [models.PointStruct(id=1, vector={"a": [1.0, 2.0]}, payload={"x": 1})])

    client.upsert(name, [models.PointStruct(id=1, vector={"b": [3.0, 4.0]}, payload={"y": 2})])

    (found,) = client.retrieve(name, [1], with_vectors=True)
    assert (found.vector, found.payload) == ({"b": [3.0, 4.0]}, {"y": 2})


@pytest.mark.parametrize(
    ("mode", "left"),
    [
        (models.UpdateMode.UPSERT, {1: "new", 2: "new"}),
        (models.UpdateMode.INSERT_ONLY, {1: "old", 2: "new"}),
        (models.UpdateMode.UPDATE_ONLY, {1: "new"}),
    ],
)
def test_a_mode_says_which_points_are_written(
    client: QdrantClient, name: str, mode: models.UpdateMode, left: dict[int, str]
) -> None:
    client.create_collection(name, DOT)
    client.upsert(name, points([1], state="old"))

    client.upsert(name, points([1, 2], state="new"), update_mode=mode)

    assert {point.id: point.payload["state"] for point in client.scroll(name)[0]} == left


def test_vectors_of_points_that_are_there_are_changed_and_deleted(client: QdrantClient, name: str) -> None:
    client.create_collection(name, {"a": DOT, "b": DOT})
    client.upsert(name, [models.PointStruct(id=1, vector={"a": [1.0, 2.0]}, payload={"x": 1})])

    client.update_vectors(name, [models.PointVectors(id=1, vector={"b": [3.0, 4.0]})])
    (both,) = client.retrieve(name, [1], with_vectors=True)
    client.delete_vectors(name, ["a"], [1])

    assert (both.vector, both.payload) == ({"a": [1.0, 2.0], "b": [3.0, 4.0]}, {"x": 1})
    assert client.retrieve(name, [1], with_vectors=True)[0].vector == {"b": [3.0, 4.0]}


def test_vectors_of_a_point_that_is_not_there_are_refused(client: QdrantClient, name: str) -> None:
    client.create_collection(name, {"a": DOT})

    refused = status_and_text(
        lambda: client.update_vectors(name, [models.PointVectors(id=7, vector={"a": [1.0, 2.0]})])
    )
    assert refused == (404, "Not found: No point with id 7 found")


def test_payloads_are_added_to_replaced_and_cleared(client: QdrantClient, name: str) -> None:
    client.create_collection(name, DOT)
    client.upsert(name, points([1, 2, 3, 4], x=1))

    client.set_payload(name, {"y": 2}, [1])
    client.overwrite_payload(name, {"y": 2}, [2])
    client.delete_payload(name, ["x"], [3])
    client.clear_payload(name, [4])

    assert [point.payload for point in client.scroll(name)[0]] == [{"x": 1, "y": 2}, {"y": 2}, {}, {}]


def test_points_are_deleted_by_ids_and_by_a_filter(client: QdrantClient, name: str) -> None:
    client.create_collection(name, DOT)
    client.upsert(name, [*points([1, 2, UUIDS[0]], side="left"), *points([3, UUIDS[1]], side="right")])

    client.delete(name, [2, UUIDS[0], 77])
    client.delete(name, models.FilterSelector(filter=where(must=[is_value("side", "right")])))

    assert all_ids(client, name) == [1]


def test_a_list_of_changes_is_done_in_its_order(client: QdrantClient, name: str) -> None:
    client.create_collection(name, DOT)

    client.batch_update_points(
        name,
        [
            models.UpsertOperation(upsert=models.PointsList(points=points([1, 2], x=1))),
            models.DeleteOperation(delete=models.PointIdsList(points=[1])),
            models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload={"y": 2}, points=[2])),
        ],
    )

    assert [(point.id, point.payload) for point in client.scroll(name)[0]] == [(2, {"y": 2})]


@pytest.mark.parametrize(
    ("vector", "status", "text"),
    [
        ({"text": [1.0, 2.0]}, 400, "Wrong input: Vector dimension error: expected dim: 4, got 2"),
        ({"other": [1.0]}, 400, "Wrong input: Not existing vector name error: other"),
        ([1.0, 2.0, 3.0, 4.0], 400, "Wrong input: Not existing vector name error: "),
        ({"text": [math.nan] * 4}, 400, "Format error in JSON body: "),
        ({"late": [[1.0] * 4, [1.0] * 3]}, 422, "Validation error in JSON body: "),
        ({"late": [[], []]}, 422, "Validation error in JSON body: "),
        ({"terms": models.SparseVector(indices=[1, 1], values=[1.0, 2.0])}, 422, "Validation error in JSON body: "),
        ({"terms": models.SparseVector(indices=[1], values=[1.0, 2.0])}, 422, "Validation error in JSON body: "),
        ({"terms": models.SparseVector(indices=[2**32], values=[1.0])}, 400, "Format error in JSON body: "),
    ],
    ids=["width", "name", "no name", "nan", "ragged", "empty", "twice", "lengths", "term"],
)
def test_a_vector_that_does_not_fit_is_refused(
    client: QdrantClient, fields: str, vector: models.VectorStruct, status: int, text: str
) -> None:
    refused = status_and_text(lambda: client.upsert(fields, [models.PointStruct(id=2, vector=vector)]))

    assert (refused[0], refused[1][: len(text)]) == (status, text)


@pytest.mark.parametrize("point_id", ["not-a-uuid", "-1"])
def test_an_id_that_is_none_is_refused(client: QdrantClient, fields: str, point_id: str) -> None:
    assert status_and_text(lambda: client.retrieve(fields, [point_id]))[0] == 400


# ------------------------------------------------------------------------------------------------ reading


def test_pages_come_in_the_order_of_ids(client: QdrantClient, name: str) -> None:
    client.create_collection(name, DOT)
    client.upsert(name, points([UUIDS[2], 2**64 - 1, 3, UUIDS[0], 10, UUIDS[1], 0]))

    pages, after = [], None
    while True:
        page, after = client.scroll(name, limit=3, offset=after)
        pages.append(ids_of(page))
        if after is None:
            break

    assert pages == [[0, 3, 10], [2**64 - 1, UUIDS[0], UUIDS[1]], [UUIDS[2]]]


def where(
    must: list[models.Condition] | None = None,
    must_not: list[models.Condition] | None = None,
    should: list[models.Condition] | None = None,
) -> models.Filter:
    return models.Filter(must=must, must_not=must_not, should=should)


def is_value(key: str, value: str | int | bool) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


PAYLOADS: list[dict[str, object]] = [
    {"k": 1},
    {"k": True},
    {"k": "1"},
    {"k": [1, "a"]},
    {"k": 1.5, "n": {"deep": "x"}},
    {"n": [{"deep": "x", "also": 1}, {"deep": "y", "also": 2}]},
    {"at": "2024-05-01T00:00:00Z"},
    {"k": None},
    {"k": False},
]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (where(must=[is_value("k", 1)]), [0, 3]),
        (where(must=[is_value("k", "1")]), [2]),
        (where(must=[is_value("k", True)]), [1]),
        (where(must=[is_value("k", False)]), [8]),
        (where(must_not=[is_value("k", 1)]), [1, 2, 4, 5, 6, 7, 8]),
        (where(must=[models.FieldCondition(key="k", match=models.MatchAny(any=[1, 7]))]), [0, 3]),
        (where(must=[models.FieldCondition(key="k", match=models.MatchAny(any=["1", "a"]))]), [2, 3]),
        (where(must=[models.FieldCondition(key="k", match=models.MatchExcept(**{"except": [1]}))]), [1, 2, 3, 4, 8]),
        (where(must=[models.FieldCondition(key="k", range=models.Range(gte=1, lt=1.5))]), [0, 3]),
        (where(must=[models.FieldCondition(key="k", range=models.Range(gt=1))]), [4]),
        (where(must=[models.FieldCondition(key="at", range=models.DatetimeRange(gte=YEAR))]), [6]),
        (where(must=[is_value("n.deep", "x")]), [4]),
        (where(must=[is_value("n[].deep", "x")]), [5]),
        (where(should=[is_value("k", "1"), is_value("n.deep", "x")]), [2, 4]),
        (where(must=[where(should=[is_value("k", 1), is_value("k", "1")])], must_not=[is_value("k", "a")]), [0, 2]),
        (where(must=[models.HasIdCondition(has_id=[2, 6, 77])]), [2, 6]),
        (where(must_not=[models.HasIdCondition(has_id=[*range(8)])]), [8]),
        (where(must=[models.HasVectorCondition(has_vector="b")]), [0]),
        (where(must=[models.IsEmptyCondition(is_empty=models.PayloadField(key="k"))]), [5, 6, 7]),
        (where(must=[models.IsNullCondition(is_null=models.PayloadField(key="k"))]), [7]),
        (where(must=[models.FieldCondition(key="k", values_count=models.ValuesCount(gte=2))]), [3]),
    ],
    ids=lambda given: given.model_dump_json(exclude_none=True) if isinstance(given, models.Filter) else "",
)
@pytest.mark.parametrize("route", ["scroll", "count", "query"])
def test_a_filter_finds_what_it_means(
    client: QdrantClient, filtered: str, condition: models.Filter, found: list[int], route: str
) -> None:
    match route:
        case "scroll":
            assert all_ids(client, filtered, condition) == found
        case "count":
            assert client.count(filtered, condition).count == len(found)
        case _:
            hits = client.query_points(filtered, [1.0, 0.0], using="a", query_filter=condition, limit=100).points
            assert sorted(hit.id for hit in hits) == found


@pytest.fixture(scope="module")
def filtered(client: QdrantClient) -> str:
    """The name of a collection of PAYLOADS."""
    client.create_collection(FILTERED, {"a": DOT, "b": DOT})
    extra = [{"b": [1.0, 1.0]}] + [{}] * len(PAYLOADS)
    rows = [
        models.PointStruct(id=row, vector={"a": [1.0, 1.0], **extra[row]}, payload=payload)
        for row, payload in enumerate(PAYLOADS)
    ]
    client.upsert(FILTERED, rows)
    return FILTERED


# ------------------------------------------------------------------------------------------------ questions

RANDOM = np.random.default_rng(7)
DENSE = RANDOM.standard_normal((POINTS, DIM)).astype(np.float32)
MULTI = [RANDOM.standard_normal((1 + row % 3, DIM)).astype(np.float32) for row in range(POINTS)]
SPARSE = [{int(term): float(term + row) / 8 for term in RANDOM.choice(30, 5, replace=False)} for row in range(POINTS)]
ASKED = RANDOM.standard_normal(DIM).astype(np.float32)
ASKED_MULTI = RANDOM.standard_normal((3, DIM)).astype(np.float32)
ASKED_SPARSE = {3: 0.5, 7: 1.25, 11: 2.0}
DISTANCES = {"cosine": "Cosine", "dot": "Dot", "l2": "Euclid", "half": "Dot"}


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def by_hand(field: str) -> dict[int, float]:
    """The score of each point, one after the other."""
    match field:
        case "cosine":
            return {row: float(unit(vector) @ unit(ASKED)) for row, vector in enumerate(DENSE)}
        case "dot" | "half":
            kind = np.float16 if field == "half" else np.float32  # what is asked for is rounded too
            stored, asked = (given.astype(kind).astype(np.float32) for given in (DENSE, ASKED))
            return {row: float(vector @ asked) for row, vector in enumerate(stored)}
        case "l2":
            return {row: float(np.linalg.norm(vector - ASKED)) for row, vector in enumerate(DENSE)}
        case "multi":
            return {
                row: sum(max(float(one @ wanted) for one in unit(vectors)) for wanted in unit(ASKED_MULTI))
                for row, vectors in enumerate(MULTI)
            }
        case _:
            return {row: score for row, score in enumerate(map(sparse_by_hand(field == "idf"), SPARSE)) if score}


def sparse_by_hand(has_idf: bool) -> Callable[[dict[int, float]], float]:
    holding = {term: sum(term in one for one in SPARSE) for term in ASKED_SPARSE}
    rarity = {term: math.log(1 + (POINTS - df + 0.5) / (df + 0.5)) if has_idf else 1.0 for term, df in holding.items()}
    return lambda one: sum(ASKED_SPARSE[term] * rarity[term] * one.get(term, 0.0) for term in ASKED_SPARSE)


@pytest.fixture(scope="module")
def shard(client: QdrantClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.EdgeShard]:
    """The engine itself, with the same points as the collection `KEPT`."""
    shard = edge.EdgeShard.create(str(tmp_path_factory.mktemp("shard")), edge_config())
    client.create_collection(KEPT, client_config(), {"sparse": models.SparseVectorParams(), "idf": TERMS["terms"]})
    rows = [vectors_of(row, models.SparseVector) for row in range(POINTS)]
    client.upsert(KEPT, [models.PointStruct(id=row, vector=vector) for row, vector in enumerate(rows)])
    rows = [vectors_of(row, edge.SparseVector) for row in range(POINTS)]
    shard.update(edge.UpdateOperation.upsert_points([edge.Point(row, vector) for row, vector in enumerate(rows)]))
    yield shard
    shard.close()


def client_config() -> dict[str, models.VectorParams]:
    fields = {field: models.VectorParams(size=DIM, distance=distance) for field, distance in DISTANCES.items()}
    fields["half"].datatype = models.Datatype.FLOAT16
    multi = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    return {**fields, "multi": models.VectorParams(size=DIM, distance="Cosine", multivector_config=multi)}


def edge_config() -> edge.EdgeConfig:
    half = edge.VectorStorageDatatype.Float16
    fields = {
        field: edge.EdgeVectorParams(DIM, getattr(edge.Distance, distance), datatype=half if field == "half" else None)
        for field, distance in DISTANCES.items()
    }
    multi = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
    fields["multi"] = edge.EdgeVectorParams(DIM, edge.Distance.Cosine, multivector_config=multi)
    sparse = edge.EdgeSparseVectorParams()
    return edge.EdgeConfig(fields, {"sparse": sparse, "idf": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)})


def vectors_of(row: int, sparse: type) -> dict[str, object]:
    terms = sparse(indices=[*SPARSE[row]], values=[*SPARSE[row].values()])
    dense = dict.fromkeys(DISTANCES, DENSE[row].tolist())
    return {**dense, "multi": MULTI[row].tolist(), "sparse": terms, "idf": terms}


def asked_of(field: str, sparse: type) -> object:
    if field in ("sparse", "idf"):
        return sparse(indices=[*ASKED_SPARSE], values=[*ASKED_SPARSE.values()])
    return (ASKED_MULTI if field == "multi" else ASKED).tolist()


@pytest.mark.parametrize("is_exact", [False, True])
@pytest.mark.parametrize("field", [*DISTANCES, "multi", "sparse", "idf"])
def test_scores_are_those_of_the_engine_and_of_a_loop(
    client: QdrantClient, shard: edge.EdgeShard, field: str, is_exact: bool
) -> None:
    request = edge.QueryRequest(
        limit=POINTS,
        query=edge.Query.Nearest(asked_of(field, edge.SparseVector), field),
        params=edge.SearchParams(exact=is_exact),
    )

    hits = client.query_points(
        KEPT,
        asked_of(field, models.SparseVector),
        using=field,
        limit=POINTS,
        search_params=models.SearchParams(exact=is_exact),
    ).points

    loop = by_hand(field)
    assert [(hit.id, hit.score) for hit in hits] == [(hit.id, hit.score) for hit in shard.query(request)]
    assert {hit.id: hit.score for hit in hits} == pytest.approx(loop, rel=1e-5, abs=1e-5)
    assert [hit.id for hit in hits] == sorted(loop, key=lambda row: loop[row], reverse=field != "l2")


def test_a_question_is_cut_by_limit_offset_and_score(client: QdrantClient, shard: edge.EdgeShard) -> None:
    ordered = sorted(by_hand("cosine").items(), key=lambda pair: -pair[1])
    least = (ordered[4][1] + ordered[5][1]) / 2

    some = client.query_points(KEPT, ASKED.tolist(), using="cosine", limit=3, offset=1).points
    good = client.query_points(KEPT, ASKED.tolist(), using="cosine", limit=POINTS, score_threshold=least).points

    assert [hit.id for hit in some] == [row for row, _ in ordered[1:4]]
    assert [hit.id for hit in good] == [row for row, _ in ordered[:5]]


def test_hits_come_with_what_was_asked_for(client: QdrantClient, name: str) -> None:
    client.create_collection(name, {"a": DOT, "b": DOT})
    vector = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    client.upsert(name, [models.PointStruct(id=UUIDS[0], vector=vector, payload={"x": 1, "y": 2})])

    (bare,) = client.query_points(name, [1.0, 1.0], using="a", with_payload=False).points
    (whole,) = client.query_points(name, [1.0, 1.0], using="a", with_payload=["x"], with_vectors=["b"]).points

    assert (bare.id, bare.score, bare.payload, bare.vector) == (UUIDS[0], 3.0, None, None)
    assert (whole.payload, whole.vector) == ({"x": 1}, {"b": [3.0, 4.0]})


RRF, DBSF = (models.FusionQuery(fusion=fusion) for fusion in (models.Fusion.RRF, models.Fusion.DBSF))


@pytest.mark.parametrize(
    ("asked", "theirs"),
    [
        (RRF, edge.Fusion.Rrf(2)),
        (models.RrfQuery(rrf=models.Rrf()), edge.Fusion.Rrf(2)),
        (models.RrfQuery(rrf=models.Rrf(k=61)), edge.Fusion.Rrf(61)),
        (models.RrfQuery(rrf=models.Rrf(k=5, weights=[3.0, 1.0])), edge.Fusion.Rrf(5, [3.0, 1.0])),
        (DBSF, edge.Fusion.Dbsf()),
    ],
)
def test_rankings_become_one_as_the_engine_has_it(
    client: QdrantClient, shard: edge.EdgeShard, asked: models.Query, theirs: edge.Fusion
) -> None:
    fields, least = ("cosine", "idf"), (0.0, None)
    prefetches = [
        edge.Prefetch(4, edge.Query.Nearest(asked_of(field, edge.SparseVector), field), score_threshold=score)
        for field, score in zip(fields, least, strict=True)
    ]
    wanted = shard.query(edge.QueryRequest(limit=99, prefetches=prefetches, query=theirs))

    legs = [
        models.Prefetch(query=asked_of(field, models.SparseVector), using=field, limit=4, score_threshold=score)
        for field, score in zip(fields, least, strict=True)
    ]
    hits = client.query_points(KEPT, prefetch=legs, query=asked, limit=99).points

    assert 4 < len(hits) < 9
    assert sorted((hit.score, hit.id) for hit in hits) == sorted((hit.score, hit.id) for hit in wanted)


@pytest.mark.faults
def test_weights_of_rankings_are_passed_over_before_1_17(tmp_path: Path) -> None:
    weighing, plain = (models.RrfQuery(rrf=models.Rrf(k=5, weights=weights)) for weights in ([9.0, 1.0], None))
    with qdrant_server(tmp_path, version="1.16.0") as server, asking(server.url) as client:
        client.create_collection("docs", {"a": DOT, "b": DOT})
        vectors = [{"a": [1.0, row], "b": [row, -1.0]} for row in (0.0, 1.0, 2.0)]
        client.upsert("docs", [models.PointStruct(id=row, vector=vector) for row, vector in enumerate(vectors)])
        legs = [models.Prefetch(query=[1.0, 1.0], using=field, limit=9) for field in ("a", "b")]
        answers = [client.query_points("docs", prefetch=legs, query=query) for query in (weighing, plain)]

    assert answers[0] == answers[1]


def test_several_questions_are_answered_together(client: QdrantClient, shard: edge.EdgeShard) -> None:
    asked = [models.QueryRequest(query=ASKED.tolist(), using=field, limit=2) for field in ("dot", "l2")]

    alone = [
        client.query_points(KEPT, ASKED.tolist(), using=field, limit=2, with_payload=False) for field in ("dot", "l2")
    ]
    assert client.query_batch_points(KEPT, asked) == alone


@pytest.mark.parametrize(
    ("query", "using", "text"),
    [
        ([1.0], "dot", "Wrong input: Vector dimension error: expected dim: 8, got 1"),
        ([1.0], "other", "Wrong input: Not existing vector name error: other"),
        ([1.0], None, "Wrong input: Not existing vector name error: "),
        ([1.0] * DIM, "sparse", "Wrong input: Wrong usage of sparse vectors"),
        ([[1.0] * DIM], "dot", "Wrong input: Wrong usage of multi vectors"),
    ],
)
def test_a_question_that_does_not_fit_its_field_is_refused(
    client: QdrantClient, shard: edge.EdgeShard, query: list[float], using: str | None, text: str
) -> None:
    assert status_and_text(lambda: client.query_points(KEPT, query, using=using)) == (400, text)
