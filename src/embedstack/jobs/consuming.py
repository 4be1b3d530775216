"""The table of a job -> source system E's `EmbeddingsInterface`, through which its importer reads embeddings.

Source: https://github.com/percy-raskova/marxists.org-rag-db, src/mia_rag/interfaces/contracts.py, version 1.0.0.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Generic, TypeVar

import orjson

from embedstack.documents.document import Json
from embedstack.errors import BadRequest, ConfigError
from embedstack.jobs.arrow import pa
from embedstack.jobs.commit import Part
from embedstack.jobs.finished import opened_part, read_manifest
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.manifest import parts_of
from embedstack.jobs.planning import load_plan
from embedstack.jobs.rows import Rows
from embedstack.jobs.standing import standing
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Missing

VERSION = (1, 0, 0)
BATCH = 1000  # rows, as the importer writes them

Frame = TypeVar("Frame")
T = TypeVar("T")


class InterfaceVersion:
    """Of the contracts, with the names and the rule that they have there."""

    MAJOR, MINOR, PATCH = VERSION

    @classmethod
    def get_version(cls) -> str:
        """1.0.0."""
        return ".".join(map(str, VERSION))

    @classmethod
    def check_compatibility(cls, required: str) -> bool:
        """Whether who was written for that version can use this one: the same first number, a second one not above.

        Raises:
            BadRequest: that is no version.
        """
        parts = required.split(".")
        if len(parts) != 3 or not all(part.isdecimal() for part in parts):
            raise BadRequest(f"version {required!r} has not three numbers; example: 1.0.0")
        major, minor, _ = map(int, parts)
        return major == cls.MAJOR and minor <= cls.MINOR


@dataclass(frozen=True, slots=True)
class Embedding:
    """One row."""

    chunk_id: str
    vector: list[float]
    metadata: dict[str, Json]
    document_id: str
    chunk_index: int
    total_chunks: int  # of its document


def to_pandas(table: pa.Table) -> "object":
    """A DataFrame, as the contract has it.

    Raises:
        ConfigError: pandas is not installed.
    """
    try:
        import_module("pandas")
    except ModuleNotFoundError as error:
        raise ConfigError("a DataFrame needs pandas; run: pip install pandas, or give another `frame`") from error
    return table.to_pandas()


class EmbeddingsInterface(Generic[Frame]):
    """Reads what is committed, also of a job that still runs: no row of an unfinished shard is ever seen.

    Args:
        out: the job's folder or URL.
        frame: what `get_embedding_batch` makes of an Arrow table: `to_pandas`, `polars.from_arrow`, ...
    """

    def __init__(self, out: str | Path, frame: Callable[[pa.Table], Frame]) -> None:
        self._storage = open_storage(out)
        self._frame = frame

    async def list_embedding_files(self, prefix: str = "") -> list[str]:
        """Keys below the job's URL, in the table's order; of a job that runs, more later and none ever less."""
        parts = await asyncio.to_thread(self._parts)
        return [part.key for part in parts if part.key.startswith(prefix)]

    async def get_embedding_batch(self, file_path: str) -> Frame:
        """Columns chunk_id, embedding and metadata (JSON) of one file.

        Raises:
            Missing: no file of that name is committed.
        """
        return self._frame(await asyncio.to_thread(self._batch, file_path))

    async def stream_embeddings(self, batch_size: int = BATCH) -> AsyncIterator[list[Embedding]]:
        """All rows in the table's order, so many at a time; the last list may be shorter.

        Raises:
            BadRequest: batches of none.
        """
        if batch_size < 1:
            raise BadRequest(f"batch_size={batch_size} is below 1; example: {BATCH}")
        rows, held = self._rows(), list[Embedding]()
        while found := await asyncio.to_thread(next, rows, None):
            held += found
            while len(held) >= batch_size:
                yield held[:batch_size]
                held = held[batch_size:]
        if held:
            yield held

    async def get_embedding_stats(self) -> dict[str, Json]:
        """Counts, and whose vectors they are; `is_complete` is False while the job is not done."""
        return await asyncio.to_thread(self._stats)

    async def get_checkpoint(self) -> dict[str, Json] | None:
        """How far the job is; None if nothing is committed, or not even planned."""
        try:
            stats = await self.get_embedding_stats()
        except Missing:
            return None
        if not stats["files"] and not stats["documents"]:
            return None
        names = ("plan", "shards", "shards_done", "documents", "count", "is_complete")
        return {name: stats[name] for name in names}

    # ------------------------------------------------------------------ blocking

    def _parts(self) -> list[Part]:
        manifest = read_manifest(self._storage)
        if manifest is not None:
            return list(manifest.parts)
        commits = Ledger(self._storage, load_plan(self._storage)).records()
        return parts_of(commits)

    def _batch(self, file_path: str) -> pa.Table:
        part = next((part for part in self._parts() if part.key == file_path), None)
        if part is None:
            raise Missing(f"{file_path!r} is no file of the table in {self._storage.url!r}; see list_embedding_files")
        with opened_part(self._storage, part) as reader:
            rows = reader.read()
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.vectors.reshape(-1)), rows.vectors.shape[1])
        return pa.table({"chunk_id": rows.chunk_ids, "embedding": vectors, "metadata": rows.metadata})

    def _rows(self) -> Iterator[list[Embedding]]:
        for part in self._parts():
            with opened_part(self._storage, part) as reader:
                totals = Counter(doc_id for (doc_ids,) in reader.texts(["doc_id"]) for doc_id in doc_ids)
                yield from (_embeddings(rows, totals) for rows in reader.groups())

    def _stats(self) -> dict[str, Json]:
        plan = load_plan(self._storage)
        is_complete = read_manifest(self._storage) is not None
        now = standing(plan, Ledger(self._storage, plan).records(), is_finished=is_complete)
        return {
            "count": now.rows,
            "dimensions": plan.identity.dim,
            "model": plan.identity.model,
            "revision": plan.identity.revision,
            "space": plan.identity.space,
            "fingerprint": plan.identity.fingerprint,
            "plan": now.plan,
            "documents": now.docs_done,
            "documents_dead": now.docs_dead,
            "embedding_coverage": now.docs_out / max(1, now.docs_done - (now.docs_dead - now.docs_failed)),
            "null_embeddings": 0,  # the column takes none, and a vector that is not finite is a dead letter
            "tokens": now.tokens,
            "bytes": now.part_bytes,
            "files": len(self._parts()),
            "shards": now.shards,
            "shards_done": now.shards_done,
            "is_complete": is_complete,
            "interface_version": InterfaceVersion.get_version(),
        }


def _embeddings(rows: Rows, totals: Mapping[str, int]) -> list[Embedding]:
    """Args:
    totals: chunks of each document; none has rows in two parts.
    """
    columns = zip(rows.doc_ids, rows.chunk_ids, rows.indexes, rows.metadata, rows.vectors.tolist(), strict=True)
    return [
        Embedding(chunk_id, vector, orjson.loads(metadata), doc_id, index, totals[doc_id])
        for doc_id, chunk_id, index, metadata, vector in columns
    ]
