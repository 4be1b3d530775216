"""A job of a few small files in a folder, with vectors of hashes: planned, opened and run in this process."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from embedstack.chunks.chunk import Chunking
from embedstack.documents.source import Source, open_source
from embedstack.jobs.commit import Commit, Manifest
from embedstack.jobs.events import Did, Ended, Event
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.opened import Opened, opened
from embedstack.jobs.patience import Patience, liveness_of
from embedstack.jobs.plan import Exact, Plan, Wish
from embedstack.jobs.planning import load_plan, plan
from embedstack.jobs.running import Runner
from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Entry, Storage
from embedstack.testing.fake import HashEncoder, WordRuler, hash_spec
from embedstack.types import Encoder

EXACT = Exact(where="here", version="1", threads=1, lanes=1)


def quick_patience(encoder: object = None) -> Patience:
    """As patient as others, on a clock that only its pauses move."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    return Patience(is_alive=liveness_of(encoder), clock=lambda: sum(pauses), sleep=sleep)


@dataclass(slots=True)
class SmallJob:
    """What a test needs of one job."""

    folder: Path
    wish: Wish
    storage: Storage
    encoder: Encoder = field(default_factory=lambda: HashEncoder([hash_spec()]))
    events: list[Event] = field(default_factory=list)

    @property
    def source(self) -> Source:
        return open_source(self.wish.inputs, self.wish.reading)

    async def opened(self, exact: Exact = EXACT) -> Opened:
        return await opened(self.encoder, self.wish, WordRuler(), exact)

    def planned(self) -> Plan:
        return plan(self.wish, self.source, asyncio.run(self.opened()), self.storage)

    def runner(self, here: Opened, **given: object) -> Runner:
        made = load_plan(self.storage)
        usual = {"spool": self.folder / "spool", "say": self.events.append, "patience": quick_patience(self.encoder)}
        return Runner(made, self.source, self.storage, here, **{**usual, **given})  # type: ignore[arg-type]

    def run(self, **given: object) -> Ended:
        async def ran() -> Ended:
            return await self.runner(await self.opened(), **given).run()

        return asyncio.run(ran())

    def ledger(self) -> Ledger:
        return Ledger(self.storage, load_plan(self.storage))

    def commits(self) -> list[Commit]:
        return list(self.ledger().records())

    def did(self) -> list[int]:
        """Shards in the order in which they were committed here."""
        return [event.commit.shard for event in self.events if isinstance(event, Did)]

    def manifest(self) -> Manifest:
        return msgspec.json.decode(self.storage.get("_manifest.json"), type=Manifest)

    def keys(self, prefix: str = "") -> list[str]:
        return [entry.key for entry in self.storage.list(prefix)]


def write_files(folder: Path, texts: Sequence[str]) -> Path:
    """One text file each: 00.txt, 01.txt, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts):
        (folder / f"{number:02d}.txt").write_text(text)
    return folder


def texts_of(count: int, words: int = 40) -> list[str]:
    """Texts that differ; each has some chunks."""
    return [" ".join(f"word{(number * 7 + place) % 97}" for place in range(words)) for number in range(count)]


def small_job(
    folder: Path, texts: Sequence[str] | int = 12, *, encoder: Encoder | None = None, **wished: object
) -> SmallJob:
    """12 documents in 6 shards of 2, and a checkpoint for 2 shards."""
    made = write_files(folder / "in", texts_of(texts) if isinstance(texts, int) else texts)
    usual: dict[str, object] = {
        "inputs": (str(made),),
        "model": "hash",
        "chunking": Chunking(strategy="window", tokens=16),
        "shard_docs": 2,
        "checkpoint_docs": 4,
    }
    wish = msgspec.convert({**usual, **wished}, Wish)
    job = SmallJob(folder, wish, LocalStorage(folder / "out"))
    if encoder is not None:
        job.encoder = encoder
    return job


class Passing:
    """A storage that hands every call on; tests change one."""

    def __init__(self, inner: Storage) -> None:
        self.inner, self.url = inner, inner.url

    def get(self, key: str) -> bytes:
        return self.inner.get(key)

    def open(self, key: str) -> BinaryIO:
        return self.inner.open(key)

    def put(self, key: str, data: bytes) -> None:
        self.inner.put(key, data)

    def put_new(self, key: str, data: bytes) -> bool:
        return self.inner.put_new(key, data)

    def put_file(self, key: str, path: Path) -> None:
        self.inner.put_file(key, path)

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        return self.inner.list(prefix, after)

    def entry(self, key: str) -> Entry | None:
        return self.inner.entry(key)

    def delete(self, key: str) -> None:
        self.inner.delete(key)
