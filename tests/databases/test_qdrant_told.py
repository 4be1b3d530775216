"""What a Qdrant server, ours or a real one, says of collections, vectors, indexes and aliases to its own client."""

from collections.abc import Callable

import pytest
from qdrant_client import QdrantClient, models

from support.qdrant_asked import DOT, FIELDS, LATER, START, TERMS, create_alias, points, refusal, status_and_text

# ------------------------------------------------------------------------------------------------ collections

INT8 = models.ScalarQuantization(
    scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
)
BINARY = models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))


@pytest.fixture(scope="module")
def fields(client: QdrantClient) -> str:
    """The name of a collection of FIELDS and TERMS, without points."""
    name = f"{START}-fields"
    client.create_collection(name, FIELDS, TERMS)
    return name


@pytest.mark.parametrize("quantization", [None, INT8, BINARY], ids=["none", "int8", "binary"])
def test_a_collection_is_told_as_it_was_made(
    client: QdrantClient, name: str, quantization: models.QuantizationConfig | None
) -> None:
    made = client.create_collection(
        name, FIELDS, TERMS, quantization_config=quantization, metadata={"a.b": {"deep": [1]}}
    )

    told = client.get_collection(name)
    assert made
    assert (told.config.params.vectors, told.config.params.sparse_vectors) == (FIELDS, TERMS)
    assert (told.config.quantization_config, told.config.metadata) == (quantization, {"a.b": {"deep": [1]}})
    assert (told.status, told.points_count, told.payload_schema) == (models.CollectionStatus.GREEN, 0, {})


def test_a_vector_without_a_name_is_told_as_it_was_made(client: QdrantClient, name: str) -> None:
    client.create_collection(name, DOT)

    assert client.get_collection(name).config.params.vectors == DOT


def test_collections_are_listed_found_and_deleted(client: QdrantClient, name: str) -> None:
    client.create_collection(f"{name}-b", DOT)
    client.create_collection(f"{name}-a", DOT)
    both = listed(client, name)

    deleted = [client.delete_collection(f"{name}-a") for _ in range(2)]

    assert (both, listed(client, name)) == ([f"{name}-a", f"{name}-b"], [f"{name}-b"])
    assert deleted == [True, False]
    assert [client.collection_exists(f"{name}-{letter}") for letter in "ab"] == [False, True]


def listed(client: QdrantClient, start: str) -> list[str]:
    names = [one.name for one in client.get_collections().collections]
    return [name for name in names if name.startswith(f"{start}-")]


def test_the_second_who_creates_a_collection_is_told_so(client: QdrantClient, name: str) -> None:
    client.create_collection(name, DOT)

    again = status_and_text(lambda: client.create_collection(name, DOT))
    assert again == (409, f"Wrong input: Collection `{name}` already exists!")


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get_collection("nowhere"),
        lambda client: client.count("nowhere"),
        lambda client: client.scroll("nowhere"),
        lambda client: client.retrieve("nowhere", [1]),
        lambda client: client.query_points("nowhere", [1.0]),
        lambda client: client.upsert("nowhere", points([1])),
        lambda client: client.delete("nowhere", [1]),
        lambda client: client.update_collection("nowhere", metadata={}),
        lambda client: client.create_payload_index("nowhere", "key", "keyword"),
    ],
    ids=["get", "count", "scroll", "retrieve", "query", "upsert", "delete", "patch", "index"],
)
def test_a_collection_that_is_not_there_is_told_in_the_servers_form(
    client: QdrantClient, ask: Callable[[QdrantClient], object]
) -> None:
    answer = refusal(lambda: ask(client))

    said = answer.structured()
    assert (answer.status_code, sorted(said)) == (404, ["status", "time"])
    assert said["status"] == {"error": "Not found: Collection `nowhere` doesn't exist!"}


def test_metadata_is_merged_by_its_first_keys(client: QdrantClient, name: str) -> None:
    client.create_collection(name, DOT, metadata={"kept": 1, "gone": 2, "dotted.key": {"a": 1, "b": 2}})

    client.update_collection(name, metadata={"gone": None, "dotted.key": {"c": 3}, "new": 4})

    assert client.get_collection(name).config.metadata == {"kept": 1, "dotted.key": {"c": 3}, "new": 4}


def test_settings_that_are_patched_are_told(client: QdrantClient, name: str) -> None:
    client.create_collection(name, DOT, metadata={"kept": 1})

    client.update_collection(name, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0))

    config = client.get_collection(name).config
    assert (config.optimizer_config.indexing_threshold, config.metadata) == (0, {"kept": 1})


# ------------------------------------------------------------------------------------------------ more vectors

WIDER = models.DenseVectorNameConfig(dense=models.DenseVectorConfig(size=3, distance=models.Distance.DOT))
RARE = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig(modifier=models.Modifier.IDF))


def test_vectors_are_added_later_and_taken_away(client: QdrantClient, name: str) -> None:
    client.create_collection(name, {"text": DOT})
    client.upsert(name, [models.PointStruct(id=1, vector={"text": [1.0, 2.0]})])

    client.create_vector_name(name, "late", LATER)
    client.create_vector_name(name, "terms", RARE)
    client.create_vector_name(name, "late", LATER)
    client.update_vectors(name, [models.PointVectors(id=1, vector={"late": [3.0, 4.0]})])
    with_it = client.retrieve(name, [1], with_vectors=True)[0].vector
    params = client.get_collection(name).config.params
    client.delete_vector_name(name, "text")

    assert with_it == {"text": [1.0, 2.0], "late": [3.0, 4.0]}
    assert (params.vectors, params.sparse_vectors) == ({"text": DOT, "late": DOT}, TERMS)
    assert client.retrieve(name, [1], with_vectors=True)[0].vector == {"late": [3.0, 4.0]}
    assert client.get_collection(name).config.params.vectors == {"late": DOT}


@pytest.mark.parametrize(("vector", "config"), [("text", WIDER), ("text", RARE), ("terms", LATER)])
def test_another_vector_of_a_name_that_is_there_is_refused(
    client: QdrantClient, name: str, vector: str, config: models.VectorNameConfig
) -> None:
    client.create_collection(name, {"text": DOT}, TERMS)

    status, text = status_and_text(lambda: client.create_vector_name(name, vector, config))

    assert (status, f"`{vector}` already exists" in text) == (400, True)
    assert client.get_collection(name).config.params.vectors == {"text": DOT}


# ------------------------------------------------------------------------------------------------ payload indexes


@pytest.mark.parametrize("kind", ["keyword", "integer", "float", "bool", "datetime", "uuid"])
def test_an_index_of_each_kind_is_told_until_it_is_dropped(client: QdrantClient, fields: str, kind: str) -> None:
    client.create_payload_index(fields, "meta.key", models.PayloadSchemaType(kind))
    told = client.get_collection(fields).payload_schema
    client.delete_payload_index(fields, "meta.key")

    assert told == {"meta.key": models.PayloadIndexInfo(data_type=models.PayloadSchemaType(kind), points=0)}
    assert client.get_collection(fields).payload_schema == {}


def test_an_index_over_tenants_is_told_with_its_points(client: QdrantClient, name: str) -> None:
    params = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True, on_disk=True)
    client.create_collection(name, DOT)
    client.upsert(name, points([1, 2, 3], owner="a"))

    client.create_payload_index(name, "owner", params)

    told = client.get_collection(name).payload_schema["owner"]
    assert (told.data_type, told.params, told.points) == (models.PayloadSchemaType.KEYWORD, params, 3)


# ------------------------------------------------------------------------------------------------ aliases


def delete_alias(alias: str) -> models.DeleteAliasOperation:
    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))


def pairs(client: QdrantClient, collection: str) -> dict[str, str]:
    """Aliases whose collection's name begins so."""
    all_of_them = {one.alias_name: one.collection_name for one in client.get_aliases().aliases}
    return {alias: owner for alias, owner in all_of_them.items() if owner.startswith(collection)}


@pytest.fixture
def live(client: QdrantClient, name: str) -> str:
    """An alias of `name`; beside that there is `{name}-new`."""
    client.create_collection(name, DOT)
    client.create_collection(f"{name}-new", DOT)
    client.update_collection_aliases([create_alias(f"live-{name}", name)])
    return f"live-{name}"


def test_an_alias_is_switched_in_one_request(client: QdrantClient, name: str, live: str) -> None:
    new = f"{name}-new"
    client.upsert(live, points([1]))

    client.update_collection_aliases([delete_alias(live), create_alias(live, new)])

    assert pairs(client, name) == {live: new}
    assert (client.count(name).count, client.count(live).count) == (1, 0)
    assert [one.alias_name for one in client.get_collection_aliases(new).aliases] == [live]
    assert client.get_collection_aliases(name).aliases == []


def test_alias_actions_before_one_that_fails_stay_done(client: QdrantClient, name: str, live: str) -> None:
    status, _ = status_and_text(
        lambda: client.update_collection_aliases([delete_alias(live), create_alias(live, "nowhere")])
    )

    assert (status, pairs(client, name)) == (404, {})


def test_an_alias_that_is_there_is_replaced_by_one_action(client: QdrantClient, name: str, live: str) -> None:
    client.update_collection_aliases([create_alias(live, f"{name}-new")])

    assert pairs(client, name) == {live: f"{name}-new"}


def test_an_alias_is_renamed(client: QdrantClient, name: str, live: str) -> None:
    rename = models.RenameAlias(old_alias_name=live, new_alias_name=f"{live}-2")

    client.update_collection_aliases([models.RenameAliasOperation(rename_alias=rename)])

    assert pairs(client, name) == {f"{live}-2": name}


def test_an_alias_works_wherever_a_name_does(client: QdrantClient, name: str) -> None:
    alias = f"{name}-live"
    client.create_collection(name, {"text": DOT})
    client.update_collection_aliases([create_alias(alias, name)])

    client.upsert(alias, [models.PointStruct(id=1, vector={"text": [1.0, 2.0]})])
    client.update_collection(alias, metadata={"a": 1})
    client.create_payload_index(alias, "key", models.PayloadSchemaType.KEYWORD)
    client.create_vector_name(alias, "late", LATER)

    told = client.get_collection(alias)
    assert client.collection_exists(alias)
    assert (told.points_count, told.config.metadata, [*told.payload_schema]) == (1, {"a": 1}, ["key"])
    assert client.get_collection(name) == told
    assert not client.delete_collection(alias)


def test_aliases_and_collections_cannot_share_a_name(client: QdrantClient, name: str, live: str) -> None:
    as_collection, _ = status_and_text(lambda: client.create_collection(live, DOT))
    as_alias, _ = status_and_text(lambda: client.update_collection_aliases([create_alias(f"{name}-new", name)]))

    assert (as_collection, as_alias) == (400, 409)


def test_aliases_go_with_their_collection(client: QdrantClient, name: str, live: str) -> None:
    client.delete_collection(name)

    assert pairs(client, name) == {}
    assert not client.collection_exists(live)
