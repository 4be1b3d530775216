"""What a collection is to have becomes the requests that make it, or that complete what is there."""

from collections.abc import Iterable, Sequence

from qdrant_client import models

from embedstack.databases.checks import check_same
from embedstack.databases.database import Collection, Field
from embedstack.databases.qdrant.connection import Connection
from embedstack.databases.qdrant.known import signed
from embedstack.databases.qdrant.paths import path_of
from embedstack.databases.qdrant.shapes import (
    NO_GRAPH,
    Described,
    added_of,
    quantized_of,
    schema_of,
    sparse_of,
    vectors_of,
)
from embedstack.errors import ConfigError, Mismatch
from embedstack.origin import Origin


def make(connection: Connection, wanted: Collection) -> None:
    """With its origins, in one request; indexes are not made yet.

    Raises:
        BadRequest: there is one of that name, or Qdrant does not take it.
    """
    vectors = vectors_of(wanted.fields)
    with connection.use() as client:
        client.create_collection(
            wanted.name,
            vectors_config=vectors,
            sparse_vectors_config=sparse_of(wanted.fields),
            quantization_config=quantized_of(wanted.quantization),
            metadata=signed(origins_of(wanted)) or None,
        )


def check_kept(connection: Connection, there: Collection, origins: Iterable[str]) -> None:
    """Origins were written for these fields, and stand there.

    Raises:
        ConfigError: the server is too old to keep them, and does not say so.
    """
    for field in origins:
        if field in there.fields and there.fields[field].origin is None:
            raise too_old(connection)


def too_old(connection: Connection) -> ConfigError:
    """It took what it does not keep."""
    return ConfigError(f"{connection.url} keeps no metadata of collections; update Qdrant to 1.16 or later")


def complete(connection: Connection, there: Described, wanted: Collection) -> None:
    """Make the fields and indexes that are missing; a new field also gets its origin.

    Args:
        there: under its own name.
    Raises:
        Mismatch: what is there is another than was wanted, or a field cannot be added.
    """
    name = there.collection.name
    fields, indexes = check_same(there.collection, wanted)
    for key in indexes:
        if key in there.others:
            raise Mismatch(
                f"index {key!r} of collection {name!r} is {there.others[key]}, and {wanted.indexes[key].kind} was "
                "wanted; use another key, or another collection"
            )
    _check_addable(connection, name, fields, wanted)
    for field in fields:
        _add(connection, name, field, wanted.fields[field])
    for key in indexes:
        with connection.use() as client:
            schema = schema_of(key, wanted.indexes[key])
            client.create_payload_index(name, field_name=path_of(key), field_schema=schema, wait=True)


def origins_of(wanted: Collection) -> dict[str, Origin]:
    """By field, of those that have one."""
    return {name: field.origin for name, field in wanted.fields.items() if field.origin is not None}


def _check_addable(connection: Connection, name: str, missing: Sequence[str], wanted: Collection) -> None:
    for field in missing:
        place = f"collection {name!r} has no vector {field!r}"
        if not field:
            raise Mismatch(f"{place}, and one without a name cannot be added; use another name, or another collection")
        if not connection.can_add_vectors():
            raise Mismatch(
                f"{place}, and Qdrant adds none before 1.18; update server and qdrant-client, or use another collection"
            )
        if connection.is_local and wanted.fields[field].storing != "float32":
            raise Mismatch(f"{place}, and local mode adds only those of float32; use that, or another collection")


def _add(connection: Connection, name: str, field: str, wanted: Field) -> None:
    """What cannot be said when a vector is added is changed afterwards."""
    no_graph = wanted.kind == "multi" and not connection.is_local
    changes = {field: models.VectorParamsDiff(hnsw_config=NO_GRAPH)} if no_graph else None
    metadata = signed({field: wanted.origin}) if wanted.origin is not None else None
    with connection.use() as client:
        client.create_vector_name(name, vector_name=field, vector_name_config=added_of(wanted), wait=True)
        if changes or metadata:
            client.update_collection(name, vectors_config=changes, metadata=metadata)
