"""Rows that are ready, and a database -> seconds until its own client has them there: what a load is compared with.

Nothing is checked, marked or signed, nothing is tried again, and nothing could be gone on with. What a client takes as
it is (SQLite, Qdrant) is made before the clock starts; for `COPY` that is part of the work.
"""

import sqlite3
import struct
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import orjson
import psycopg
from qdrant_client import QdrantClient, models

from embedstack.databases.database import Json, Points
from embedstack.types import Floats

AT_ONCE = 1 << 20  # bytes that go to COPY by one call
TIMEOUT_S = 60
BUILDING = "512MB"  # for an index that is built at once: a graph that does not fit is built several times slower
Indexed = Literal["before", "after", "never"]


@dataclass(frozen=True, slots=True)
class Ready:
    """All rows of a table, in memory."""

    ids: Sequence[str]  # UUIDs
    vectors: Floats  # (rows, dim)
    payloads: Sequence[dict[str, Json]]

    def __len__(self) -> int:
        return len(self.ids)


def ready(batches: Iterator[Points], field: str = "") -> Ready:
    """What the plain ways write."""
    some = list(batches)
    return Ready(
        [str(one) for points in some for one in points.ids],
        np.concatenate([np.asarray(points.vectors[field], np.float32) for points in some]),
        [dict(payload) for points in some for payload in points.payloads],
    )


def sqlite(rows: Ready, path: Path) -> float:
    """One table, one transaction, `executemany`; as durable at its end as ours after each batch."""
    given = [
        (bytes.fromhex(one.replace("-", "")), orjson.dumps(payload), vector.tobytes())
        for one, payload, vector in zip(rows.ids, rows.payloads, rows.vectors.astype("<f4"), strict=True)
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("create table points (id blob primary key, payload text, vector blob) without rowid")
        began = time.perf_counter()
        connection.execute("begin")
        connection.executemany("insert into points values (?, ?, ?)", given)
        connection.execute("commit")
        return time.perf_counter() - began


def postgres(rows: Ready, url: str, table: str, index: Indexed) -> float:
    """One `COPY` in binary. Into an index rows go one by one, which is most of the time; it is built quicker later."""
    dim = rows.vectors.shape[1]
    indexing = f"create index on {table} using hnsw (embedding vector_cosine_ops)"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"set maintenance_work_mem = '{BUILDING}'")
        connection.execute(f"create table {table} (id uuid primary key, payload jsonb, embedding vector({dim}))")
        if index == "before":
            connection.execute(indexing)
        began = time.perf_counter()
        with connection.cursor() as cursor, cursor.copy(f"copy {table} from stdin (format binary)") as copy:
            for data in _copied(rows):
                copy.write(data)
        if index == "after":
            connection.execute(indexing)
        took_s = time.perf_counter() - began
        connection.execute(f"drop table {table}")
    return took_s


def _copied(rows: Ready) -> Iterator[bytes]:
    """https://www.postgresql.org/docs/18/sql-copy.html, "Binary Format"; a vector is its width, 0, and its numbers."""
    made, width = bytearray(b"PGCOPY\n\xff\r\n\0" + bytes(8)), rows.vectors.shape[1]
    head = struct.pack(">ihh", 4 + 4 * width, width, 0)
    for one, payload, vector in zip(rows.ids, rows.payloads, rows.vectors.astype(">f4"), strict=True):
        text = orjson.dumps(payload)
        made += struct.pack(">hi", 3, 16) + bytes.fromhex(one.replace("-", ""))
        made += struct.pack(">ib", 1 + len(text), 1) + text + head + vector.tobytes()
        if len(made) > AT_ONCE:
            yield bytes(made)
            made.clear()
    yield bytes(made) + b"\xff\xff"


def qdrant(rows: Ready, url: str, collection: str, *, batch: int, streams: int) -> float:
    """Batches of the client's own, as many at once as ours, each durable before the next."""
    with closing(QdrantClient(url=url, timeout=TIMEOUT_S, check_compatibility=False)) as client:
        wanted = models.VectorParams(size=rows.vectors.shape[1], distance=models.Distance.COSINE)
        client.create_collection(collection, vectors_config=wanted)
        batches = [
            models.Batch(
                ids=list(rows.ids[first : first + batch]),
                vectors=rows.vectors[first : first + batch].tolist(),
                payloads=list(rows.payloads[first : first + batch]),
            )
            for first in range(0, len(rows), batch)
        ]
        began = time.perf_counter()
        with ThreadPoolExecutor(streams) as threads:
            list(threads.map(partial(_upsert, client, collection), batches))
        took_s = time.perf_counter() - began
        client.delete_collection(collection)
    return took_s


def _upsert(client: QdrantClient, collection: str, batch: models.Batch) -> None:
    client.upsert(collection, batch, wait=True)
