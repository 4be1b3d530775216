"""How a collection is made, in JSON, becomes what the engine is made with, and what is told of the collection."""

from __future__ import annotations  # the stub of the engine has names that its module has not

from collections.abc import Mapping

import msgspec
import qdrant_edge as edge

from support.qdrant_facade.bodies import (
    Create,
    DenseName,
    NewVector,
    Payload,
    SparseIndex,
    SparseName,
    SparseParams,
    VectorParams,
)
from support.qdrant_facade.refused import Refused

DATATYPES = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
    "uint8": edge.VectorStorageDatatype.Uint8,
}
MOST_NUMBERS = 65_536
HNSW: Payload = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000, "max_indexing_threads": 0}
OPTIMIZERS: Payload = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "indexing_threshold": 10_000,
    "flush_interval_sec": 5,
}
WAL: Payload = {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}
SHARDS: Payload = {"shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1}
INDEXES = {
    "keyword": edge.KeywordIndexParams,
    "integer": edge.IntegerIndexParams,
    "float": edge.FloatIndexParams,
    "bool": edge.BoolIndexParams,
    "datetime": edge.DatetimeIndexParams,
    "uuid": edge.UuidIndexParams,
}
REMEMBERED = "on_disk", "memory", "enable_hnsw"  # of an index: where it lies, and for a graph that is not built


# ------------------------------------------------------------------------------------------------ vectors


def dense_of(made: Create) -> dict[str, VectorParams]:
    """By name; "" is the one without."""
    given = made.vectors or {}
    by_name = {"": given} if isinstance(given.get("size"), int) else given
    return {name: _checked(msgspec.convert(params, VectorParams)) for name, params in by_name.items()}


def _checked(params: VectorParams) -> VectorParams:
    if not 1 <= params.size <= MOST_NUMBERS:
        text = f"value {params.size} invalid, must be from 1 to {MOST_NUMBERS}"
        raise Refused(422, f"Validation error in JSON body: [vectors.size: {text}]")
    return params


def engine_config(made: Create) -> edge.EdgeConfig:
    """The part that the engine gets: nothing that only an optimizer would look at."""
    return edge.EdgeConfig(
        vectors={name: _dense(params) for name, params in dense_of(made).items()},
        sparse_vectors={name: _sparse(params) for name, params in (made.sparse_vectors or {}).items()},
    )


def _dense(params: VectorParams) -> edge.EdgeVectorParams:
    return edge.EdgeVectorParams(
        params.size,
        getattr(edge.Distance, params.distance),
        multivector_config=_multi(params),
        datatype=DATATYPES.get(params.datatype or ""),
    )


def _multi(params: VectorParams | DenseName) -> edge.MultiVectorConfig | None:
    return edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim) if params.multivector_config else None


def _sparse(params: SparseParams) -> edge.EdgeSparseVectorParams:
    datatype = DATATYPES.get(params.index.datatype or "") if params.index else None
    return edge.EdgeSparseVectorParams(modifier=_modifier(params), datatype=datatype)


def _modifier(params: SparseParams | SparseName) -> edge.Modifier | None:
    return edge.Modifier.Idf if params.modifier == "idf" else None


# ------------------------------------------------------------------------------------------------ vectors added later


def with_vector(made: Create, name: str, new: NewVector) -> Create:
    """The collection with one more; one that is there already with these settings stays as it is.

    Raises:
        Refused: 400, there is another of that name.
    """
    dense, sparse = dense_of(made), dict(made.sparse_vectors or {})
    if new.dense is not None:
        _refuse(name in sparse, f"Vector `{name}` already exists as a sparse vector")
        wanted = _checked(msgspec.convert(msgspec.to_builtins(new.dense), VectorParams))
        different = _core(dense.get(name, wanted)) != _core(wanted)
        _refuse(different, f"Vector `{name}` already exists with a different configuration")
        vectors = made.vectors if name in dense else msgspec.to_builtins({**dense, name: wanted})
        return msgspec.structs.replace(made, vectors=vectors)
    params = _sparse_params(new.sparse or SparseName())
    _refuse(name in dense, f"Vector `{name}` already exists as a dense vector")
    different = _sparse_core(sparse.get(name, params)) != _sparse_core(params)
    _refuse(different, f"Sparse vector `{name}` already exists with a different configuration")
    return msgspec.structs.replace(made, sparse_vectors={name: params, **sparse})


def _sparse_params(new: SparseName) -> SparseParams:
    return SparseParams(new.modifier, None if new.datatype is None else SparseIndex(new.datatype))


def _refuse(wrong: bool, text: str) -> None:
    if wrong:
        raise Refused(400, f"Wrong input: {text}")


def _core(params: VectorParams) -> tuple[object, ...]:
    return params.size, params.distance, params.datatype or "float32", bool(params.multivector_config)


def _sparse_core(params: SparseParams) -> tuple[object, ...]:
    return params.modifier == "idf", (params.index.datatype if params.index else None) or "float32"


def without_vector(made: Create, name: str) -> Create:
    """The collection without it."""
    dense = {other: params for other, params in dense_of(made).items() if other != name}
    sparse = {other: params for other, params in (made.sparse_vectors or {}).items() if other != name}
    vectors = msgspec.to_builtins(dense) if name in dense_of(made) else made.vectors
    return msgspec.structs.replace(made, vectors=vectors, sparse_vectors=sparse or None)


def add_operation(name: str, new: NewVector) -> edge.UpdateOperation:
    """What tells the engine of it."""
    if new.dense is not None:
        return edge.UpdateOperation.create_dense_vector(
            name,
            new.dense.size,
            getattr(edge.Distance, new.dense.distance),
            _multi(new.dense),
            DATATYPES.get(new.dense.datatype or ""),
        )
    sparse = new.sparse or SparseName()
    return edge.UpdateOperation.create_sparse_vector(name, _modifier(sparse), DATATYPES.get(sparse.datatype or ""))


# ------------------------------------------------------------------------------------------------ payload indexes


def index_params(schema: str | Payload | None) -> edge.PayloadSchemaType | edge.PayloadSchemaParams:
    """What the engine makes the index with.

    Raises:
        Refused: 400, no schema, or one that is not known here.
    """
    if schema is None:
        text = "Can't auto-detect field type, please specify `field_schema` in the request"
        raise Refused(400, f"Bad request: {text}")
    given = {"type": schema} if isinstance(schema, str) else schema
    made = INDEXES.get(str(given.get("type")))
    if made is None:
        raise Refused(400, f"Format error in JSON body: field_schema {schema!r} is not known; one of {[*INDEXES]}")
    return made(**{key: value for key, value in given.items() if key not in ("type", *REMEMBERED)})


# ------------------------------------------------------------------------------------------------ what is told


def told(made: Create, metadata: Payload | None) -> Payload:
    """The `config` of a collection."""
    given = msgspec.to_builtins(made)
    params = {**SHARDS, "vectors": made.vectors or {}, "on_disk_payload": made.on_disk_payload is not False}
    if made.sparse_vectors:
        params["sparse_vectors"] = given["sparse_vectors"]
    return {
        "params": params,
        "hnsw_config": {**HNSW, **(made.hnsw_config or {})},
        "optimizer_config": {**OPTIMIZERS, **(made.optimizers_config or {})},
        "wal_config": {**WAL, **(made.wal_config or {})},
        "quantization_config": made.quantization_config,
        **({} if metadata is None else {"metadata": metadata}),
    }


def told_index(schema: str | Payload, points: int) -> Payload:
    """One of the `payload_schema`."""
    if isinstance(schema, str):
        return {"data_type": schema, "points": points}
    return {"data_type": schema["type"], "params": schema, "points": points}


def merged(there: Payload | None, new: Mapping[str, object]) -> Payload:
    """Metadata: key by key, the deeper ones as a whole; null takes a key away. The first is taken as it is."""
    if there is None:
        return dict(new)
    return {key: value for key, value in {**there, **new}.items() if key not in new or value is not None}
