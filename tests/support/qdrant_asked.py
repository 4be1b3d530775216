"""A server that looks like Qdrant becomes a client of it; and what the tests of it write and ask."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from support.qdrant_server import QdrantServer

PATIENCE_S = 10
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


@contextmanager
def asking(server: QdrantServer, key: str = "", *, timeout_s: int = PATIENCE_S) -> Iterator[QdrantClient]:
    """A client that is closed at the end."""
    headers = {"api-key": key} if key else {}  # as `api_key` it would warn of http
    client = QdrantClient(url=server.url, headers=headers, check_compatibility=False, timeout=timeout_s)
    try:
        yield client
    finally:
        client.close()


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
