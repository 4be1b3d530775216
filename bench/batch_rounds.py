"""A corpus -> rounds of the whole job, of the engine alone over the same chunks, and of a peer's script, in turn."""

import asyncio
import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
import numpy as np

from batch_corpus import Corpus, write
from embedstack.chunks.chunk import Chunk, Skipped
from embedstack.chunks.chunking import chunk
from embedstack.documents.document import Document
from embedstack.documents.reading import Reader
from embedstack.documents.source import Source, open_source
from embedstack.jobs.commit import Commit
from embedstack.jobs.encoding import bad_rows
from embedstack.jobs.events import Did, Event
from embedstack.jobs.opened import Opened, asking
from embedstack.jobs.plan import Plan, Wish
from embedstack.jobs.planning import plan
from embedstack.jobs.running import Runner
from embedstack.jobs.shards import shards_of
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Entry, Storage
from embedstack.types import Text

IN_FLIGHT = 2  # whole requests, as a job has shards
SPOOL_BYTES = 1 << 30
PEER = Path(__file__).with_name("batch_peer.py")
PEER_PATIENCE_S = 3600
Got = TypeVar("Got")


class Clocked:
    """A storage that adds up how long its calls take, by what they are for."""

    def __init__(self, inner: Storage) -> None:
        self._inner, self.url = inner, inner.url
        self._spent: list[tuple[str, float]] = []

    def spent_s(self, kind: str) -> float:
        """In all calls of a kind, whichever thread made them."""
        return sum(seconds for name, seconds in self._spent if name == kind)

    @property
    def calls(self) -> dict[str, int]:
        """How many there were of each kind."""
        return dict(Counter(name for name, _ in self._spent))

    def get(self, key: str) -> bytes:
        return self._clocked(key, lambda: self._inner.get(key))

    def open(self, key: str) -> BinaryIO:
        return self._clocked(key, lambda: self._inner.open(key))

    def put(self, key: str, data: bytes) -> None:
        self._clocked(key, lambda: self._inner.put(key, data))

    def put_new(self, key: str, data: bytes) -> bool:
        return self._clocked(key, lambda: self._inner.put_new(key, data))

    def put_file(self, key: str, path: Path) -> None:
        self._clocked(key, lambda: self._inner.put_file(key, path))

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        return iter(self._clocked(prefix, lambda: [*self._inner.list(prefix, after)]))

    def entry(self, key: str) -> Entry | None:
        return self._clocked(key, lambda: self._inner.entry(key))

    def delete(self, key: str) -> None:
        self._clocked(key, lambda: self._inner.delete(key))

    def _clocked(self, key: str, call: Callable[[], Got]) -> Got:
        kind = "parts" if key.startswith(("data/", "dead/")) else "commits"
        began = time.perf_counter()
        try:
            return call()
        finally:
            self._spent.append((kind, time.perf_counter() - began))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A corpus that is planned, and its chunks."""

    corpus: Corpus
    plan: Plan
    source: Source
    shards: list[list[tuple[Document, list[Chunk]]]]
    plan_s: float
    prepare_s: float  # reading and cutting, in one thread

    @property
    def texts(self) -> list[list[str]]:
        """Of each shard."""
        return [[one.text for _, chunks in shard for one in chunks] for shard in self.shards]

    @property
    def tokens(self) -> int:
        """Of all chunks."""
        return sum(one.tokens for shard in self.shards for _, chunks in shard for one in chunks)


class Rounds:
    """Everything is measured in this process, but for the peer, in turn.

    Args:
        scratch: an empty folder.
        opened: the model, once for all rounds.
        base: what is asked for, over any corpus.
    """

    def __init__(self, scratch: Path, opened: Opened, base: Wish, peer: "Peer | None") -> None:
        self.scratch, self._opened, self._base, self._peer = scratch, opened, base, peer

    async def one(self, number: int, megabytes: float) -> dict[str, object]:
        """A round over a corpus of its own; the order changes from one to the next."""
        corpus = write(self.scratch / f"corpus-{number}", megabytes, seed=number)
        prepared = self._prepare(corpus, self.scratch / f"out-{number}")
        turns = [self._job, self._alone]
        found: dict[str, object] = {}
        for turn in turns if number % 2 == 0 else reversed(turns):
            found |= await turn(prepared, number)
        if self._peer:
            found |= await asyncio.to_thread(self._peer.run, prepared, self.scratch / f"peer-{number}")
        return {
            "round": number,
            "bytes": corpus.bytes,
            "pages": corpus.pages,
            "shards": len(prepared.shards),
            "chunks": sum(map(len, prepared.texts)),
            "tokens": prepared.tokens,
            "plan_s": prepared.plan_s,
            "prepare_s": prepared.prepare_s,
            **found,
        }

    def _prepare(self, corpus: Corpus, out: Path) -> Prepared:
        wish, source = (
            msgspec.structs.replace(self._base, inputs=(str(corpus.folder),)),
            open_source([str(corpus.folder)]),
        )
        began = time.perf_counter()
        made = plan(wish, source, self._opened, open_storage(out))
        planned = time.perf_counter()
        reader, shards = Reader(source, wish.reading), []
        for shard in shards_of(open_storage(out), made):
            documents = (one for segment in shard.segments for one in reader.read(segment))
            shards.append([(one, self._cut(one)) for one in documents if isinstance(one, Document)])
        return Prepared(corpus, made, source, shards, planned - began, time.perf_counter() - planned)

    def _cut(self, document: Document) -> list[Chunk]:
        try:
            return list(chunk(document.text, document.kind, self._base.chunking, self._opened.ruler))
        except Skipped:
            return []

    async def _job(self, prepared: Prepared, number: int) -> dict[str, object]:
        """From the first look at the storage to `_SUCCESS`."""
        commits: list[Commit] = []
        storage = Clocked(open_storage(self.scratch / f"out-{number}"))
        spool = self.scratch / f"spool-{number}"
        spool.mkdir()

        def say(event: Event) -> None:
            commits.extend([event.commit] if isinstance(event, Did) else [])

        runner = Runner(
            prepared.plan, prepared.source, storage, self._opened,
            spool=spool, spool_bytes=SPOOL_BYTES, error_budget=0, say=say,
        )  # fmt: skip
        began = time.perf_counter()
        ended = await runner.run()
        took_s = time.perf_counter() - began
        assert not ended.exit_code, ended
        assert sum(commit.tokens for commit in commits) == prepared.tokens
        return {
            "job_s": took_s,
            "commit_s": storage.spent_s("commits"),
            "parts_s": storage.spent_s("parts"),
            "calls": storage.calls,
            "check_s": check_s(sum(commit.rows for commit in commits), self._opened.identity.dim),
            "out_bytes": sum(commit.part_bytes for commit in commits),
        }

    async def _alone(self, prepared: Prepared, number: int) -> dict[str, object]:
        """The same chunks in the same requests, two at a time, so that the device is never idle; nothing else."""
        places = asyncio.Semaphore(IN_FLIGHT)

        async def one(texts: list[str]) -> None:
            async with places:
                items = [Text(text, self._base.role) for text in texts]
                await self._opened.encoder.encode(asking(self._opened.model, items, self._base))

        began = time.perf_counter()
        await asyncio.gather(*(one(texts) for texts in prepared.texts))
        return {"alone_s": time.perf_counter() - began}


@dataclass(frozen=True, slots=True)
class Peer:
    """A Python with sentence-transformers and pyarrow, and how much of each round it gets, since it needs longer."""

    python: Path
    model: Path
    threads: int
    max_tokens: int
    megabytes: float

    def run(self, prepared: Prepared, folder: Path) -> dict[str, dict[str, float]]:
        """The same documents and chunks, from the first on: many documents at a time, and one by one."""
        folder.mkdir()
        given = write_chunks(prepared, folder / "chunks.jsonl", self.megabytes * 1e6)
        return {
            "peer": self._run(folder, "many") | {"bytes": given},
            "peer_each": self._run(folder, "each", "--each") | {"bytes": given},
        }

    def _run(self, folder: Path, name: str, *more: str) -> dict[str, float]:
        command = [
            *(str(self.python), str(PEER), str(folder / "chunks.jsonl"), "--model", str(self.model)),
            *("--out", str(folder / name), "--threads", str(self.threads), "--max-tokens", str(self.max_tokens)),
        ]
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=PEER_PATIENCE_S, check=False)
        if done.returncode:
            raise RuntimeError(f"the peer ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])


def write_chunks(prepared: Prepared, path: Path, most_bytes: float) -> int:
    """Documents with their chunks, a line each, up to so many bytes of text; how many there were."""
    given = 0
    with path.open("w") as file:
        for document, chunks in (pair for shard in prepared.shards for pair in shard):
            if given >= most_bytes:
                break
            made = [
                {"id": one.id_in(document.doc_id, prepared.plan.wish.chunking), "text": one.text, "tokens": one.tokens,
                 "metadata": {**document.metadata, **one.metadata}}
                for one in chunks
            ]  # fmt: skip
            file.write(json.dumps({"doc_id": document.doc_id, "chunks": made}) + "\n")
            given += len(document.text.encode())
    return given


def check_s(rows: int, dim: int) -> float:
    """How long it takes to see that so many vectors are sound."""
    vectors = np.full((rows, dim), dim**-0.5, np.float32)
    began = time.perf_counter()
    assert not len(bad_rows(vectors, is_unit=True))
    return time.perf_counter() - began
