"""A document and what the model made of its chunks -> points: ids, payloads, vectors. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

import orjson

from embedstack.databases.database import Json, PointId, point_id
from embedstack.documents.document import Document
from embedstack.indexing.wish import Tenant
from embedstack.jobs.digests import of_fields
from embedstack.jobs.shard_work import Work
from embedstack.types import Floats, Sparse

TENANTS = UUID("de69a88d-2c4a-5182-b76c-810e766d16fa")  # uuid5(NAMESPACE_DNS, "tenants.embedstack"); never another one
VERSION = 1  # raised where the same document becomes other points


@dataclass(frozen=True, slots=True)
class Cut:
    """A document in chunks."""

    work: Work
    digest: str  # see `doc_digest`
    source: str  # the input that it is from, see `naming`


@dataclass(frozen=True, slots=True)
class Made:
    """The points of a document: columns of equal length."""

    doc_id: str
    file: str
    ids: Sequence[PointId]
    payloads: Sequence[Mapping[str, Json]]
    dense: Floats  # (chunks, dim)
    lexical: Sequence[Sparse] | None  # None: there is no such field
    multi: Sequence[Floats] | None  # of each (vectors, dim); None: there is no such field
    tokens: int


def doc_digest(document: Document, rules: str, *, file: str, source: str) -> str:
    """Equal where a document would become the same points: 32 hexadecimal digits.

    Args:
        rules: see `rules_digest`.
        source: the input that the file is of.
    """
    metadata = json.dumps(dict(document.metadata), sort_keys=True, default=str)
    return of_fields([(rules, source, file, document.kind, document.text, metadata)])[:32]


def rules_digest(*decides: str) -> str:
    """Of all but the document that decides its points: how it is cut, and the spaces of its vectors."""
    return of_fields([(str(VERSION), *decides)])


def id_of(chunk_id: str, tenant: Tenant | None) -> PointId:
    """As a load of a job's table has it; of a tenant one that no other tenant's chunk has.

    Raises:
        BadRequest: that is no chunk's id.
    """
    if tenant is None:
        return point_id(chunk_id)
    return str(uuid5(TENANTS, f"{tenant.key}\0{tenant.value}\0{chunk_id}"))


def points_of(
    cut: Cut, dense: Floats, lexical: Sequence[Sparse] | None, multi: Sequence[Floats] | None, tenant: Tenant | None
) -> Made:
    """All points of one document."""
    work = cut.work
    return Made(
        doc_id=work.doc_id,
        file=work.source,
        ids=[id_of(chunk_id, tenant) for chunk_id in work.chunk_ids],
        payloads=_payloads(cut, tenant),
        dense=dense,
        lexical=lexical,
        multi=multi,
        tokens=sum(work.tokens),
    )


def _payloads(cut: Cut, tenant: Tenant | None) -> list[Mapping[str, Json]]:
    """The first seven as a job's row has them."""
    work = cut.work
    of_all: dict[str, Json] = {
        "doc_digest": cut.digest,
        "doc_chunks": len(work.texts),
        "file": work.source,
        "source": cut.source,
        **({tenant.key: tenant.value} if tenant else {}),
    }
    columns = zip(
        work.chunk_ids,
        work.indexes,
        work.texts,
        work.tokens,
        work.hashes,
        map(orjson.loads, work.metadata),
        strict=True,
    )
    return [
        {
            "doc_id": work.doc_id,
            "chunk_id": chunk_id,
            "chunk_index": index,
            "text": text,
            "tokens": tokens,
            "content_hash": content_hash,
            "metadata": metadata,
            **of_all,
        }
        for chunk_id, index, text, tokens, content_hash, metadata in columns
    ]
