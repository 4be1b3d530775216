from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
from qdrant_client import QdrantClient, models

from embedstack.databases.database import (
    Collection,
    Column,
    Condition,
    Field,
    Index,
    Json,
    Loaded,
    PointId,
    Points,
    Query,
    UnknownCollection,
    Where,
)
from embedstack.databases.qdrant.server import QdrantDatabase
from embedstack.errors import BadRequest, ConfigError, Mismatch, Unsupported, Upstream
from embedstack.origin import Identity, Origin
from embedstack.types import Floats, Sparse

UUIDS = ("00000000-0000-4000-8000-000000000001", "f0000000-0000-4000-8000-000000000000")
AXES = np.eye(3, dtype=np.float32)
DOT = Field(dim=3, distance="dot")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"qdrant-local:{tmp_path}/qdrant"


@pytest.fixture
def database(url: str) -> Iterator[QdrantDatabase]:
    with closing(QdrantDatabase(url)) as made:
        yield made


def _docs(fields: Mapping[str, Field] | None = None, indexes: Mapping[str, Index] | None = None) -> Collection:
    return Collection(name="docs", fields=fields or {"": DOT}, indexes=indexes or {})


def _points(ids: list[PointId], vectors: Mapping[str, Column], payloads: list[dict[str, Json]] | None = None) -> Points:
    return Points(ids=ids, vectors=vectors, payloads=payloads or [{} for _ in ids])


def _origin(model: str = "first") -> Origin:
    identity = Identity(model=model, revision="r", space=model, fingerprint=model, dim=3, max_tokens=512)
    return Origin(identity=identity)


def _by_hand(url: str) -> QdrantClient:
    """As who made a collection before us."""
    return QdrantClient(path=url.removeprefix("qdrant-local:"))


def _vectors(database: QdrantDatabase, given: PointId, *names: str) -> dict[str, list[float]]:
    (point,) = database.get("docs", [given], vectors=names)
    return {name: vector.tolist() for name, vector in point.vectors.items() if not isinstance(vector, Sparse)}


# ------------------------------------------------------------------------------------------------ made by hand


def test_a_collection_that_was_made_by_hand_is_described(url: str) -> None:
    with closing(_by_hand(url)) as client:
        client.create_collection("docs", models.VectorParams(size=3, distance="Cosine"))
        client.upsert("docs", [models.PointStruct(id=5, vector=[1.0, 0.0, 0.0], payload={"a": 1})])

    with closing(QdrantDatabase(url)) as database:
        there = database.describe("docs")

        assert there == Collection(name="docs", fields={"": Field(dim=3)}, points=1, keeps_indexes=False)
        assert database.names() == ["docs"]


def test_a_collection_that_was_made_by_hand_is_written_read_and_asked(url: str) -> None:
    with closing(_by_hand(url)) as client:
        client.create_collection(
            "docs",
            models.VectorParams(size=3, distance="Dot"),
            sparse_vectors_config={"sparse": models.SparseVectorParams()},
        )
        client.upsert("docs", [models.PointStruct(id=5, vector=[0.0, 2.0, 0.0])])
    terms = Sparse(np.array([7], np.int32), np.array([0.5], np.float32))

    with closing(QdrantDatabase(url)) as database:
        database.write("docs", _points([6], {"": AXES[:1], "sparse": [terms]}))
        page = database.read("docs", vectors=["", "sparse"])

        assert [sorted(point.vectors) for point in page.points] == [[""], ["", "sparse"]]
        assert [hit.id for hit in database.query("docs", Query(vector=AXES[1]))] == [5, 6]
        assert [hit.id for hit in database.query("docs", Query(vector=terms, field="sparse"))] == [6]


def test_a_collection_of_which_we_have_no_word_for_a_field_says_so(url: str) -> None:
    with closing(_by_hand(url)) as client:
        client.create_collection("docs", models.VectorParams(size=3, distance="Manhattan"))

    with closing(QdrantDatabase(url)) as database:
        assert database.names() == ["docs"]
        with pytest.raises(Unsupported, match=r"collection 'docs'.*Manhattan"):
            database.describe("docs")


def test_a_number_over_the_limit_is_refused_when_it_is_read(url: str) -> None:
    with closing(_by_hand(url)) as client:
        client.create_collection("docs", models.VectorParams(size=3, distance="Dot"))
        client.upsert("docs", [models.PointStruct(id=number, vector=[1.0, 0.0, 0.0]) for number in (1, 2**63)])

    with closing(QdrantDatabase(url)) as database:
        assert [point.id for point in database.read("docs", limit=1).points] == [1]
        with pytest.raises(BadRequest, match="9223372036854775808"):
            database.read("docs", after=1)
        with pytest.raises(BadRequest, match="9223372036854775808"):
            database.query("docs", Query(vector=AXES[0]))


def test_metadata_of_others_stays_and_is_not_ours(url: str) -> None:
    with closing(_by_hand(url)) as client:
        client.create_collection("docs", models.VectorParams(size=3, distance="Dot"), metadata={"theirs": {"a": 1}})
    with closing(QdrantDatabase(url)) as database:
        database.sign("docs", "", _origin(), over=None)
        database.mark("docs", Loaded(source="d", rows=1))
        database.mark("docs", None)

    with closing(_by_hand(url)) as client:
        metadata = client.get_collection("docs").config.metadata
    assert metadata is not None
    assert sorted(metadata) == ["embedstack.origin.", "theirs"]
    assert metadata["theirs"] == {"a": 1}


@pytest.mark.parametrize("key", ["embedstack.origin.", "embedstack.load"])
def test_metadata_that_cannot_be_read_is_named(url: str, key: str) -> None:
    with closing(_by_hand(url)) as client:
        client.create_collection("docs", models.VectorParams(size=3, distance="Dot"), metadata={key: {"by": "others"}})

    with closing(QdrantDatabase(url)) as database, pytest.raises(Mismatch, match=f"'{key}'.*collection 'docs'"):
        database.describe("docs")


def test_a_mark_that_cannot_be_read_can_be_replaced(url: str) -> None:
    mark = Loaded(source="d", rows=1)
    with closing(_by_hand(url)) as client:
        client.create_collection("docs", models.VectorParams(size=3, distance="Dot"), metadata={"embedstack.load": 1})

    with closing(QdrantDatabase(url)) as database:
        database.mark("docs", mark)
        there = database.describe("docs")

        assert there is not None
        assert there.loaded == mark


# ------------------------------------------------------------------------------------------------ made by us


def test_everything_outlives_a_restart(url: str) -> None:
    fields = {
        "text": Field(dim=3, distance="l2", storing="float16", origin=_origin()),
        "late": Field(kind="multi", dim=3, origin=_origin("late")),
        "sparse": Field(kind="sparse", distance="dot", idf=True),
    }
    late: list[Floats] = [AXES, AXES[:1]]
    with closing(QdrantDatabase(url)) as database:
        database.create(_docs(fields))
        database.write("docs", _points([1, UUIDS[0]], {"text": AXES[:2], "late": late}, [{"a": [1]}, {}]))
        database.mark("docs", Loaded(source="d", rows=2))
        database.switch("alias", "docs", old=None)
        before = database.describe("docs")

    with closing(QdrantDatabase(url)) as database:
        assert database.describe("alias") == before
        assert before is not None
        assert dict(before.fields) == fields
        assert [point.payload for point in database.read("docs").points] == [{"a": [1]}, {}]
        assert [hit.id for hit in database.query("alias", Query(vector=AXES[:2], field="late"))] == [1, UUIDS[0]]


def test_indexes_are_wanted_in_vain_and_without_a_warning(database: QdrantDatabase) -> None:
    assert database.create(_docs(indexes={"a": Index(), "b": Index(kind="integer")}))
    assert not database.create(_docs(indexes={"a": Index(kind="float")}))

    there = database.describe("docs")
    assert there is not None
    assert (dict(there.indexes), there.keeps_indexes) == ({}, False)


def test_a_question_may_be_exact_without_a_warning(database: QdrantDatabase) -> None:
    database.create(_docs())
    database.write("docs", _points([1], {"": AXES[:1]}))

    assert [hit.score for hit in database.query("docs", Query(vector=2 * AXES[0], is_exact=True))] == [2.0]


def test_quantization_is_wanted_in_vain(database: QdrantDatabase) -> None:
    wanted = Collection(name="docs", fields={"": DOT}, quantization="int8")

    assert [database.create(wanted), database.create(wanted)] == [True, False]
    assert (there := database.describe("docs")) is not None
    assert there.quantization == "none"


def test_a_field_is_added_with_its_origin(database: QdrantDatabase) -> None:
    fields = {
        "text": DOT,
        "image": Field(dim=2, origin=_origin()),
        "late": Field(kind="multi", dim=3),
        "sparse": Field(kind="sparse", distance="dot", idf=True),
    }
    database.create(_docs({"text": DOT}))
    database.write("docs", _points([1], {"text": AXES[:1]}))

    assert not database.create(_docs(fields))

    there = database.describe("docs")
    assert there is not None
    assert dict(there.fields) == fields
    assert _vectors(database, 1, *fields) == {"text": [1.0, 0.0, 0.0]}


@pytest.mark.parametrize(
    ("fields", "naming"), [({"": DOT}, "''"), ({"half": Field(dim=3, storing="float16")}, "'half'.*float32")]
)
def test_a_field_that_cannot_be_added_is_named(
    database: QdrantDatabase, fields: Mapping[str, Field], naming: str
) -> None:
    database.create(_docs({"text": DOT}))

    with pytest.raises(Mismatch, match=naming):
        database.create(_docs(fields))


def test_nothing_is_added_where_one_field_cannot_be(database: QdrantDatabase) -> None:
    database.create(_docs({"text": DOT}))

    with pytest.raises(Mismatch):
        database.create(_docs({"more": DOT, "half": Field(dim=3, storing="float16")}))

    assert (there := database.describe("docs")) is not None
    assert [*there.fields] == ["text"]


def test_a_collection_cannot_have_what_qdrant_has_not(database: QdrantDatabase) -> None:
    with pytest.raises(BadRequest, match="without a name beside 'image'"):
        database.create(_docs({"": DOT, "image": DOT}))

    assert database.names() == []


def test_a_vector_with_a_name_is_added_beside_one_without(database: QdrantDatabase) -> None:
    database.create(_docs({"": DOT}))
    database.write("docs", _points([1], {"": AXES[:1]}))

    database.create(_docs({"image": DOT}))
    assert not database.create(_docs({"": DOT, "image": DOT}))
    database.write("docs", _points([1], {"image": AXES[1:2]}))

    assert _vectors(database, 1, "", "image") == {"": [1, 0, 0], "image": [0, 1, 0]}


# ------------------------------------------------------------------------------------------------ points


def test_vectors_that_are_not_given_stay_also_where_points_are_new_beside_them(database: QdrantDatabase) -> None:
    database.create(_docs({"text": DOT, "image": DOT}))
    database.write("docs", _points([1], {"text": AXES[:1], "image": AXES[:1]}, [{"a": 1}]))

    database.write("docs", _points([1, 2], {"image": AXES[1:]}, [{"b": 1}, {"b": 2}]))

    assert _vectors(database, 1, "text", "image") == {"text": [1, 0, 0], "image": [0, 1, 0]}
    assert _vectors(database, 2, "text", "image") == {"image": [0, 0, 1]}
    assert [point.payload for point in database.read("docs").points] == [{"b": 1}, {"b": 2}]


def test_payloads_alone_are_replaced(database: QdrantDatabase) -> None:
    database.create(_docs())
    database.write("docs", _points([1], {"": AXES[:1]}, [{"a": 1}]))

    database.write("docs", _points([1, 2], {}, [{"b": 1}, {}]))

    assert _vectors(database, 1, "") == {"": [1, 0, 0]}
    assert [point.payload for point in database.read("docs").points] == [{"b": 1}, {}]


def test_only_new_points_are_written_where_that_is_asked(database: QdrantDatabase) -> None:
    database.create(_docs())
    database.write("docs", _points([1], {"": AXES[:1]}, [{"a": 1}]))

    database.write("docs", _points([1, 2], {"": AXES[1:]}, [{"b": 1}, {"b": 2}]), only_new=True)

    assert [_vectors(database, given, "")[""] for given in (1, 2)] == [[1, 0, 0], [0, 0, 1]]
    assert [point.payload for point in database.read("docs").points] == [{"a": 1}, {"b": 2}]


def test_a_page_begins_behind_the_last_id(database: QdrantDatabase) -> None:
    ids: list[PointId] = [0, 9, 10, 2**63 - 1, *UUIDS]
    database.create(_docs())
    database.write("docs", _points(ids[::-1], {"": AXES[[0] * 6]}))

    pages = [database.read("docs", limit=2)]
    while (after := pages[-1].after) is not None:
        pages.append(database.read("docs", after=after, limit=2))

    assert [[point.id for point in page.points] for page in pages] == [ids[:2], ids[2:4], ids[4:]]
    assert database.read("docs", after="ffffffff-ffff-ffff-ffff-ffffffffffff").points == []


def test_a_page_is_of_those_that_are_meant(database: QdrantDatabase) -> None:
    database.create(_docs())
    payloads: list[dict[str, Json]] = [{"a": {"b c": number}} for number in range(5)]
    database.write("docs", _points([0, 1, 2, 3, 4], {"": AXES[[0] * 5]}, payloads))
    where = Where(all=(Condition(key="a.b c", least=1),), none=(Condition(key="a.b c", values=(3,)),))

    page = database.read("docs", limit=2, where=where)

    assert ([point.id for point in page.points], page.after) == ([1, 2], 2)
    assert [point.id for point in database.read("docs", after=2, where=where).points] == [4]


def test_equal_scores_are_in_the_order_of_ids_also_at_the_cut(database: QdrantDatabase) -> None:
    ids: list[PointId] = [UUIDS[1], 9, UUIDS[0], 3, 11]
    database.create(_docs())
    database.write("docs", _points(ids, {"": AXES[[0] * 5]}))

    hits = database.query("docs", Query(vector=AXES[0], limit=4, least=1.0))

    assert [hit.id for hit in hits] == [3, 9, 11, UUIDS[0]]


def test_no_term_is_no_hit(database: QdrantDatabase) -> None:
    database.create(_docs({"sparse": Field(kind="sparse")}))
    nothing = Sparse(np.array([], np.int32), np.array([], np.float32))
    database.write("docs", _points([1], {"sparse": [nothing]}))

    assert database.query("docs", Query(vector=nothing, field="sparse")) == []
    assert len(database.read("docs").points) == 1


@pytest.mark.parametrize("limit", [0, -1])
def test_an_empty_page_is_no_page(database: QdrantDatabase, limit: int) -> None:
    database.create(_docs())

    with pytest.raises(BadRequest, match="limit"):
        database.read("docs", limit=limit)


# ------------------------------------------------------------------------------------------------ what is not there


def test_a_collection_that_is_not_there_is_named_with_some_that_are(database: QdrantDatabase) -> None:
    for name in "fedcba":
        database.create(Collection(name=name, fields={"": DOT}))

    with pytest.raises(UnknownCollection, match="'docs' is not there; it has: a, b, c, d, e and 1 more"):
        database.read("docs")


@pytest.mark.parametrize("name", ["", "..", "a/b", "-a"])
def test_a_name_that_is_none_leads_nowhere(database: QdrantDatabase, name: str) -> None:
    for call in (database.describe, database.drop, database.read):
        with pytest.raises(BadRequest, match="1 to 60"):
            call(name)


def test_an_alias_and_a_collection_are_never_named_alike(database: QdrantDatabase) -> None:
    database.create(_docs())
    database.create(Collection(name="other", fields={"": Field(dim=2)}))
    database.switch("alias", "docs", old=None)

    with pytest.raises(BadRequest, match="'other' is the name of a collection"):
        database.switch("other", "docs", old=None)
    with pytest.raises(Mismatch, match="collection 'docs'"):
        database.create(Collection(name="alias", fields={"": Field(dim=2)}))
    assert database.names() == ["docs", "other"]


# ------------------------------------------------------------------------------------------------ one at a time


def test_a_folder_is_open_once_and_the_others_may_wait(url: str) -> None:
    with closing(QdrantDatabase(url)) as first, closing(QdrantDatabase(url)) as second:
        first.names()
        with pytest.raises(Upstream, match="open elsewhere") as caught:
            second.names()
        first.close()

        assert caught.value.retry
        assert second.names() == []


def test_nothing_is_opened_before_it_is_used(url: str, tmp_path: Path) -> None:
    with closing(QdrantDatabase(url)):
        assert [*tmp_path.iterdir()] == []


def test_nothing_stays_open(url: str, tmp_path: Path) -> None:
    def opened() -> list[str]:
        return [file.path for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]

    database = QdrantDatabase(url)
    database.create(_docs())
    database.create(Collection(name="other", fields={"": DOT}))
    assert len(opened()) == 3  # two collections and the lock

    database.drop("docs")
    assert len(opened()) == 2
    database.close()
    database.close()

    assert opened() == []


def test_what_was_closed_is_not_opened_again(url: str) -> None:
    database = QdrantDatabase(url)
    database.names()
    database.close()

    with pytest.raises(ConfigError, match="was closed"):
        database.names()


def test_a_folder_that_cannot_be_made_is_a_matter_of_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    database = QdrantDatabase(f"qdrant-local:{tmp_path}/file/q")

    with pytest.raises(ConfigError, match="cannot be opened"):
        database.names()


def test_a_folder_that_is_damaged_is_a_matter_of_settings(url: str, tmp_path: Path) -> None:
    (tmp_path / "qdrant").mkdir()
    (tmp_path / "qdrant" / "meta.json").write_text("{")

    with closing(QdrantDatabase(url)) as database, pytest.raises(ConfigError, match="cannot be opened"):
        database.names()
