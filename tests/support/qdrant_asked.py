"""A server that looks like Qdrant, or is it, becomes a client of it; and what the tests of it write and ask."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from support.kinds import URL, URL_KEY
from support.qdrant_server import qdrant_server

PATIENCE_S = 10
START = f"docs-{token_hex(4)}"  # of the names of what is made where others may be, too
UUIDS = [f"{first:08x}-0000-4000-8000-000000000000" for first in (1, 2, 0xFFFFFFFF)]
DOT = models.VectorParams(size=2, distance=models.Distance.DOT)
FIELDS = {
    "text": models.VectorParams(size=4, distance=models.Distance.COSINE, datatype=models.Datatype.FLOAT16),
    "late": models.VectorParams(
        size=4,
        distance=models.Distance.DOT,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
        hnsw_config=models.HnswConfigDiff(m=0),
    ),
}
TERMS = {"terms": models.SparseVectorParams(modifier=models.Modifier.IDF)}
LATER = models.DenseVectorNameConfig(dense=models.DenseVectorConfig(size=2, distance=models.Distance.DOT))


@contextmanager
def asking(url: str, key: str = "", *, timeout_s: int = PATIENCE_S) -> Iterator[QdrantClient]:
    """A client that is closed at the end."""
    headers = {"api-key": key} if key else {}  # as `api_key` it would warn of http
    client = QdrantClient(url=url, headers=headers, check_compatibility=False, timeout=timeout_s)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def asking_kind(kind: str, folder: Path) -> Iterator[QdrantClient]:
    """Of a facade of its own, or of the server that somebody gave, on which nothing stays whose name begins so."""
    if kind == "qdrant-facade":
        with qdrant_server(folder) as server, asking(server.url) as client:
            yield client
        return
    with asking(URL, URL_KEY) as client:
        try:
            yield client
        finally:
            for one in client.get_collections().collections:
                if one.name.startswith(START):
                    client.delete_collection(one.name)


def create_alias(alias: str, collection: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=collection, alias_name=alias))


def points(ids: list[int | str], **payload: object) -> list[models.PointStruct]:
    """With vectors of two numbers, without a name."""
    return [models.PointStruct(id=one, vector=[1.0, float(row)], payload=payload) for row, one in enumerate(ids)]


def ids_of(found: list[models.Record]) -> list[int | str]:
    return [point.id for point in found]


def all_ids(client: QdrantClient, name: str, where: models.Filter | None = None) -> list[int | str]:
    return ids_of(client.scroll(name, where, limit=1000)[0])


def refusal(call: Callable[[], object]) -> UnexpectedResponse:
    with pytest.raises(UnexpectedResponse) as refused:
        call()
    return refused.value


def status_and_text(call: Callable[[], object]) -> tuple[int | None, str]:
    answer = refusal(call)
    return answer.status_code, answer.structured()["status"]["error"]
