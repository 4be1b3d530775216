"""Fields, indexes and quantization become Qdrant's parameters, and what it says of a collection becomes ours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from qdrant_client import models

from embedstack.databases.database import (
    Collection,
    Distance,
    Field,
    Index,
    IndexKind,
    Kind,
    Quantization,
    Status,
    Storing,
)
from embedstack.databases.qdrant.known import loaded_of, origin_of
from embedstack.databases.qdrant.paths import key_of
from embedstack.errors import BadRequest, Unsupported

Dense: TypeAlias = "models.VectorParams | dict[str, models.VectorParams]"
Schema: TypeAlias = "models.PayloadSchemaType | models.KeywordIndexParams | models.UuidIndexParams"

DISTANCES: Mapping[Distance, models.Distance] = {
    "cosine": models.Distance.COSINE,
    "dot": models.Distance.DOT,
    "l2": models.Distance.EUCLID,
}
KINDS: Mapping[IndexKind, models.PayloadSchemaType] = {
    "keyword": models.PayloadSchemaType.KEYWORD,
    "integer": models.PayloadSchemaType.INTEGER,
    "float": models.PayloadSchemaType.FLOAT,
    "bool": models.PayloadSchemaType.BOOL,
    "datetime": models.PayloadSchemaType.DATETIME,
    "uuid": models.PayloadSchemaType.UUID,
}
STATUSES: Mapping[models.CollectionStatus, Status] = {
    models.CollectionStatus.GREEN: "ready",
    models.CollectionStatus.YELLOW: "indexing",
    models.CollectionStatus.GREY: "indexing",  # it will begin with the next write
    models.CollectionStatus.RED: "failed",
}
QUANTILE = 0.99  # https://qdrant.tech/documentation/guides/quantization/#setting-up-scalar-quantization
NO_GRAPH = models.HnswConfigDiff(m=0)  # of MaxSim it costs far more than it saves; Qdrant's advice for such vectors


# ------------------------------------------------------------------------------------------------ to Qdrant


def settled(wanted: Collection, *, is_local: bool) -> Collection:
    """As Qdrant would describe it: lexical weights are always multiplied; a folder has no quantized copies.

    Raises:
        BadRequest: Qdrant has no such fields or indexes.
    """
    fields = {name: _settled(name, field) for name, field in wanted.fields.items()}
    for key, index in wanted.indexes.items():
        schema_of(key, index)
    return replace(wanted, fields=fields, quantization="none" if is_local else wanted.quantization)


def _settled(name: str, field: Field) -> Field:
    if field.kind == "sparse":
        if not name:
            raise BadRequest("Qdrant has no sparse vector without a name; give it one, as 'sparse'")
        return replace(field, dim=0, distance="dot")
    if field.idf:
        raise BadRequest(f"vector {name!r} is {field.kind}, and only sparse ones have idf; leave it away")
    if field.kind == "multi" and field.distance == "l2":
        raise BadRequest(f"vector {name!r} has several vectors for each point; take cosine or dot for those, not l2")
    if field.dim < 1:
        raise BadRequest(f"vector {name!r} is to have {field.dim} numbers; give at least 1")
    return field


def vectors_of(fields: Mapping[str, Field]) -> Dense:
    """Of the dense and multi fields; {} where there are none.

    Raises:
        BadRequest: one without a name is beside one with a name, which no collection can begin with.
    """
    made = {name: _params(field) for name, field in fields.items() if field.kind != "sparse"}
    alone = made.pop("", None)
    if alone is not None and made:
        raise BadRequest(f"Qdrant makes no vector without a name beside {next(iter(made))!r}; give both a name")
    return made if alone is None else alone


def _params(field: Field) -> models.VectorParams:
    is_multi = field.kind == "multi"
    return models.VectorParams(
        size=field.dim,
        distance=DISTANCES[field.distance],
        datatype=_datatype(field),
        multivector_config=_max_sim() if is_multi else None,
        hnsw_config=NO_GRAPH if is_multi else None,
    )


def _max_sim() -> models.MultiVectorConfig:
    return models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)


def _datatype(field: Field) -> models.Datatype | None:
    """Qdrant tells apart whether float32 was said or not, and users seldom say it."""
    return models.Datatype.FLOAT16 if field.storing == "float16" else None


def sparse_of(fields: Mapping[str, Field]) -> dict[str, models.SparseVectorParams] | None:
    """None where there are none."""
    made = {name: _sparse(field) for name, field in fields.items() if field.kind == "sparse"}
    return made or None


def _sparse(field: Field) -> models.SparseVectorParams:
    datatype = _datatype(field)
    return models.SparseVectorParams(
        index=models.SparseIndexParams(datatype=datatype) if datatype else None,
        modifier=models.Modifier.IDF if field.idf else None,
    )


def added_of(field: Field) -> "models.DenseVectorNameConfig | models.SparseVectorNameConfig":
    """Of a field for a collection that is there; clients before 1.18 do not know it."""
    half = models.VectorStorageDatatype.FLOAT16 if field.storing == "float16" else None
    if field.kind == "sparse":
        modifier = models.Modifier.IDF if field.idf else None
        return models.SparseVectorNameConfig(sparse=models.SparseVectorConfig(modifier=modifier, datatype=half))
    config = models.DenseVectorConfig(
        size=field.dim,
        distance=DISTANCES[field.distance],
        datatype=half,
        multivector_config=_max_sim() if field.kind == "multi" else None,
    )
    return models.DenseVectorNameConfig(dense=config)


def schema_of(key: str, index: Index) -> Schema:
    """Raises BadRequest: Qdrant tells tenants apart by texts only."""
    if not index.is_tenant:
        return KINDS[index.kind]
    if index.kind == "keyword":
        return models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    if index.kind == "uuid":
        return models.UuidIndexParams(type=models.UuidIndexType.UUID, is_tenant=True)
    raise BadRequest(f"index {key!r} is {index.kind}, and Qdrant tells tenants apart by keyword or uuid; take one")


def quantized_of(quantization: Quantization) -> "models.ScalarQuantization | models.BinaryQuantization | None":
    """The copies are kept in memory."""
    if quantization == "int8":
        config = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=QUANTILE, always_ram=True)
        return models.ScalarQuantization(scalar=config)
    if quantization == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    return None


# ------------------------------------------------------------------------------------------------ from Qdrant


@dataclass(frozen=True, slots=True)
class Described:
    """A collection, and which of its keys have an index that we have no word for."""

    collection: Collection
    others: Mapping[str, str]  # key -> Qdrant's kind: text or geo


def described_of(name: str, info: models.CollectionInfo, *, is_local: bool) -> Described:
    """`points` is 0: Qdrant's own number is only nearly right, and has to be asked for.

    Quantized copies of other kinds than ours are none: nobody but Qdrant sees them.

    Raises:
        Unsupported: a field whose distance or numbers we do not have. Mismatch: origin or mark cannot be read.
    """
    metadata = info.config.metadata or {}
    fields = {
        field: replace(made, origin=origin_of(metadata, field, name)) for field, made in _fields(name, info).items()
    }
    kinds = {key_of(path): schema for path, schema in info.payload_schema.items()}
    collection = Collection(
        name=name,
        fields=fields,
        indexes={key: index for key, schema in kinds.items() if (index := _index(schema)) is not None},
        quantization=_quantization(info),
        status=STATUSES[info.status],
        loaded=loaded_of(metadata, name),
        keeps_indexes=not is_local,
    )
    return Described(collection, {k: schema.data_type.value for k, schema in kinds.items() if _index(schema) is None})


def _fields(name: str, info: models.CollectionInfo) -> dict[str, Field]:
    sparse = info.config.params.sparse_vectors or {}
    return {field: _dense_field(name, field, params) for field, params in _dense(info).items()} | {
        field: _sparse_field(name, field, params) for field, params in sparse.items()
    }


def _dense(info: models.CollectionInfo) -> dict[str, models.VectorParams]:
    vectors = info.config.params.vectors
    return {"": vectors} if isinstance(vectors, models.VectorParams) else dict(vectors or {})


def _dense_field(name: str, field: str, params: models.VectorParams) -> Field:
    distance = next((ours for ours, theirs in DISTANCES.items() if theirs == params.distance), None)
    kind: Kind = "multi" if params.multivector_config else "dense"
    if distance is None or (kind == "multi" and distance == "l2"):
        raise _unsupported(name, field, f"compares by {params.distance.value}")
    return Field(kind=kind, dim=params.size, distance=distance, storing=_storing(name, field, params.datatype))


def _sparse_field(name: str, field: str, params: models.SparseVectorParams) -> Field:
    datatype = params.index.datatype if params.index else None
    idf = params.modifier == models.Modifier.IDF
    return Field(kind="sparse", distance="dot", storing=_storing(name, field, datatype), idf=idf)


def _storing(name: str, field: str, datatype: models.Datatype | None) -> Storing:
    if datatype is None or datatype == models.Datatype.FLOAT32:
        return "float32"
    if datatype == models.Datatype.FLOAT16:
        return "float16"
    raise _unsupported(name, field, f"keeps {datatype.value}")


def _unsupported(name: str, field: str, what: str) -> Unsupported:
    return Unsupported(
        f"vector {field!r} of collection {name!r} {what}, and only cosine, dot or l2 of float32 or float16 are known "
        "here; use another collection"
    )


def _index(schema: models.PayloadIndexInfo) -> Index | None:
    kind = next((ours for ours, theirs in KINDS.items() if theirs == schema.data_type), None)
    told = schema.params
    is_tenant = isinstance(told, models.KeywordIndexParams | models.UuidIndexParams) and bool(told.is_tenant)
    return None if kind is None else Index(kind=kind, is_tenant=is_tenant)


def _quantization(info: models.CollectionInfo) -> Quantization:
    """The collection's, or else what its first vector has for itself."""
    own = (params.quantization_config for params in _dense(info).values())
    for config in (info.config.quantization_config, *own):
        if isinstance(config, models.ScalarQuantization):
            return "int8"
        if isinstance(config, models.BinaryQuantization):
            return "binary"
    return "none"
