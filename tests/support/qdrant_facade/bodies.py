"""The JSON of a request becomes one of these; what is not named here is refused."""

from typing import Literal, TypeAlias

import msgspec

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Id = int | str
Payload = dict[str, object]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all of them are."""


class Sparse(Body):
    indices: list[int]
    values: list[float]


Rows = list[float | list[float]]
"""Dense, or one list a vector of a multi-vector."""
Given = Rows | dict[str, Rows | Sparse]
"""All vectors of a point: the one without a name, or those with names."""


# ------------------------------------------------------------------------------------------------ filters


class Match(Body):
    value: str | int | bool | None = None
    any: list[str | int] | None = None
    except_: list[str | int] | None = msgspec.field(default=None, name="except")


class Range(Body):
    gte: float | str | None = None  # a text is a time
    gt: float | str | None = None
    lte: float | str | None = None
    lt: float | str | None = None


class ValuesCount(Body):
    gte: int | None = None
    gt: int | None = None
    lte: int | None = None
    lt: int | None = None


class Key(Body):
    key: str


class Nested(Body):
    key: str
    filter: "Condition"


class MinShould(Body):
    conditions: "list[Condition]"
    min_count: int


class Condition(Body):
    """Any of them, a filter too: JSON has no word for which one it is."""

    key: str | None = None
    match: Match | None = None
    range: Range | None = None
    values_count: ValuesCount | None = None
    is_empty: bool | Key | None = None
    is_null: bool | Key | None = None
    has_id: list[Id] | None = None
    has_vector: str | None = None
    nested: Nested | None = None
    must: "list[Condition] | Condition | None" = None
    should: "list[Condition] | Condition | None" = None
    must_not: "list[Condition] | Condition | None" = None
    min_should: MinShould | None = None


# ------------------------------------------------------------------------------------------------ collections


class VectorParams(Body):
    size: int
    distance: Literal["Cosine", "Dot", "Euclid", "Manhattan"]
    datatype: Literal["float32", "float16", "uint8"] | None = None
    multivector_config: dict[Literal["comparator"], Literal["max_sim"]] | None = None
    hnsw_config: Payload | None = None  # from here on: remembered
    quantization_config: Payload | None = None
    on_disk: bool | None = None
    memory: str | None = None


class SparseIndex(Body):
    datatype: Literal["float32", "float16", "uint8"] | None = None
    full_scan_threshold: int | None = None
    on_disk: bool | None = None
    memory: str | None = None


class SparseParams(Body):
    modifier: Literal["none", "idf"] | None = None
    index: SparseIndex | None = None


class Create(Body):
    vectors: Payload | None = None  # params, or params by name: see `schema.dense_of`
    sparse_vectors: dict[str, SparseParams] | None = None
    hnsw_config: Payload | None = None
    optimizers_config: Payload | None = None
    wal_config: Payload | None = None
    quantization_config: Payload | None = None
    on_disk_payload: bool | None = None
    metadata: Payload | None = None


class Patch(Body):
    metadata: Payload | None = None
    hnsw_config: Payload | None = None
    optimizers_config: Payload | None = None
    quantization_config: Payload | None = None


class CreateIndex(Body):
    field_name: str
    field_schema: str | Payload | None = None


class DenseName(Body):
    size: int
    distance: Literal["Cosine", "Dot", "Euclid", "Manhattan"]
    datatype: Literal["float32", "float16", "uint8"] | None = None
    multivector_config: dict[Literal["comparator"], Literal["max_sim"]] | None = None


class SparseName(Body):
    modifier: Literal["none", "idf"] | None = None
    datatype: Literal["float32", "float16", "uint8"] | None = None


class NewVector(Body):
    """One of them."""

    dense: DenseName | None = None
    sparse: SparseName | None = None


class CreateAlias(Body):
    alias_name: str
    collection_name: str


class DeleteAlias(Body):
    alias_name: str


class RenameAlias(Body):
    old_alias_name: str
    new_alias_name: str


class Action(Body):
    """One of them."""

    create_alias: CreateAlias | None = None
    delete_alias: DeleteAlias | None = None
    rename_alias: RenameAlias | None = None


class ChangeAliases(Body):
    actions: list[Action]


# ------------------------------------------------------------------------------------------------ points


class Point(Body):
    id: Id
    vector: Given
    payload: Payload | None = None


class Batch(Body):
    ids: list[Id]
    vectors: list[Rows] | dict[str, list[Rows | Sparse]]
    payloads: list[Payload | None] | None = None


class Upsert(Body):
    points: list[Point] | None = None
    batch: Batch | None = None
    update_mode: Literal["upsert", "insert_only", "update_only"] = "upsert"
    update_filter: Condition | None = None


class Select(Body):
    """By one of them."""

    points: list[Id] | None = None
    filter: Condition | None = None


class PointVectors(Body):
    id: Id
    vector: Given


class UpdateVectors(Body):
    points: list[PointVectors]
    update_filter: Condition | None = None


class DeleteVectors(Body):
    vector: list[str]
    points: list[Id] | None = None
    filter: Condition | None = None


class SetPayload(Body):
    payload: Payload
    points: list[Id] | None = None
    filter: Condition | None = None
    key: str | None = None


class DeletePayload(Body):
    keys: list[str]
    points: list[Id] | None = None
    filter: Condition | None = None


class Operation(Body):
    """One of them."""

    upsert: Upsert | None = None
    delete: Select | None = None
    update_vectors: UpdateVectors | None = None
    delete_vectors: DeleteVectors | None = None
    set_payload: SetPayload | None = None
    overwrite_payload: SetPayload | None = None
    delete_payload: DeletePayload | None = None
    clear_payload: Select | None = None


class Operations(Body):
    operations: list[Operation]


# ------------------------------------------------------------------------------------------------ questions


class Chosen(Body):
    include: list[str] | None = None
    exclude: list[str] | None = None


WithPayload = bool | list[str] | Chosen
WithVector = bool | list[str]


class Retrieve(Body):
    ids: list[Id]
    with_payload: WithPayload = True
    with_vector: WithVector = False


class Scroll(Body):
    limit: int = 10
    offset: Id | None = None
    filter: Condition | None = None
    with_payload: WithPayload = True
    with_vector: WithVector = False


class Count(Body):
    filter: Condition | None = None
    exact: bool = True  # it always is


class Quantization(Body):
    ignore: bool = False
    rescore: bool | None = None
    oversampling: float | None = None


class Params(Body):
    exact: bool = False
    hnsw_ef: int | None = None
    indexed_only: bool = False
    quantization: Quantization | None = None


class Rrf(Body):
    k: int | None = None
    weights: list[float] | None = None


class Scoring(Body):
    """A sparse vector, `nearest` with any kind of vector, or how rankings that were fetched before become one."""

    indices: list[int] | None = None
    values: list[float] | None = None
    nearest: Rows | Sparse | None = None
    fusion: Literal["rrf", "dbsf"] | None = None
    rrf: Rrf | None = None


class Prefetch(Body):
    query: Rows | Scoring
    using: str | None = None
    limit: int = 10
    filter: Condition | None = None
    params: Params | None = None
    score_threshold: float | None = None


class Query(Body):
    query: Rows | Scoring
    using: str | None = None
    limit: int = 10
    offset: int = 0
    filter: Condition | None = None
    params: Params | None = None
    score_threshold: float | None = None
    prefetch: list[Prefetch] | Prefetch | None = None
    with_payload: WithPayload = False
    with_vector: WithVector = False


class Queries(Body):
    searches: list[Query]
