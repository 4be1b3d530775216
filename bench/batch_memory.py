"""A gigabyte of pages through a job without a model -> its anonymous memory over time, and how fast pages are read.

    python bench/batch_memory.py FOLDER --megabytes 1000

The encoder makes vectors from hashes, so all that is measured is the job: reading, cutting, writing, committing.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from batch_corpus import Corpus, write
from embedstack.chunks.chunk import Chunking, Skipped
from embedstack.chunks.chunking import chunk
from embedstack.documents.document import Document
from embedstack.documents.reading import Reader
from embedstack.documents.source import open_source
from embedstack.jobs.opened import opened
from embedstack.jobs.plan import Exact, Wish
from embedstack.jobs.planning import load_plan, plan
from embedstack.jobs.running import Runner
from embedstack.jobs.shards import shards_of
from embedstack.storage.opening import open_storage
from embedstack.testing.fake import HashEncoder, WordRuler, hash_spec
from started import held_mb

DIM, CHUNK_TOKENS, SHARD_DOCS = 384, 200, 1000
SPOOL_BYTES = 256 << 20
SAMPLE_S = 0.5
READ_MB = 50.0  # of which the readers' own rate is taken
LIMIT_MB, FLAT = 600.0, 1.15  # highest of all; highest of the last third, as a multiple of that of the second


def wish_for(folder: Path) -> Wish:
    """What is asked for."""
    return Wish(inputs=(str(folder),), model="hash", chunking=Chunking(tokens=CHUNK_TOKENS), shard_docs=SHARD_DOCS)


async def work(pages: Path, out: Path) -> None:
    """The job, in the process that is looked at; a line when it begins and one when it has ended."""
    wish, source, storage = wish_for(pages), open_source([str(pages)]), open_storage(out)
    encoder = HashEncoder([hash_spec(dim=DIM, max_tokens=512)])
    here = await opened(encoder, wish, WordRuler(), Exact(where="here", version="1", lanes=1, threads=1))
    began = time.perf_counter()
    made = plan(wish, source, here, storage)
    planned = time.perf_counter()
    print("begins", flush=True)
    spool = out.with_name("spool")
    spool.mkdir()
    ended = await Runner(
        made, source, storage, here, spool=spool, spool_bytes=SPOOL_BYTES, error_budget=0, say=lambda event: None
    ).run()
    assert not ended.exit_code, ended
    took = {"plan_s": planned - began, "run_s": time.perf_counter() - planned, "shards": made.shards, "docs": made.docs}
    print(json.dumps(took), flush=True)


def measured(folder: Path, megabytes: float) -> dict[str, object]:
    """Of a corpus that is written for it."""
    corpus = write(folder / "pages", megabytes)
    command = [sys.executable, __file__, str(corpus.folder), "--work", str(folder / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begins\n"
    began, samples = time.perf_counter(), []
    while process.poll() is None:
        samples.append((round(time.perf_counter() - began, 1), _anonymous_mb(process.pid)))
        time.sleep(SAMPLE_S)
    last = process.stdout.read().splitlines()
    assert process.returncode == 0, last
    took = json.loads(last[-1])
    rate = corpus.bytes / 1e6 / took["run_s"]
    return {"bytes": corpus.bytes, "pages": corpus.pages, **took, "mb_per_s": rate, **said(samples), **reading(corpus)}


def _anonymous_mb(pid: int) -> float:
    try:
        return held_mb(pid)["anonymous_mb"]
    except (OSError, KeyError, IndexError):  # it has just ended
        return 0.0


def said(samples: list[tuple[float, float]]) -> dict[str, object]:
    """The highest of the second and the last third: of the first, caches are filled."""
    seen = [(at, held) for at, held in samples if held]
    last = seen[-1][0] if seen else 0.0

    def highest(start: float, stop: float) -> float:
        return max((held for at, held in seen if start * last <= at <= stop * last), default=0.0)

    return {
        "highest_mb": highest(0, 1),
        "second_third_mb": highest(1 / 3, 2 / 3),
        "last_third_mb": highest(2 / 3, 1),
        "samples": seen[:: max(1, len(seen) // 200)],
    }


def reading(corpus: Corpus) -> dict[str, float]:
    """How fast one thread reads, and reads and cuts: medians over shards."""
    source, wish = open_source([str(corpus.folder)]), wish_for(corpus.folder)
    storage, ruler = open_storage(corpus.folder.with_name("out")), WordRuler()
    reader, reads, cuts, seen = Reader(source, wish.reading), [], [], 0
    for shard in shards_of(storage, load_plan(storage)):
        began = time.perf_counter()
        documents = [one for segment in shard.segments for one in reader.read(segment) if isinstance(one, Document)]
        read = time.perf_counter()
        for document in documents:
            _cut(document, wish, ruler)
        reads.append(shard.bytes / 1e6 / (read - began))
        cuts.append(shard.bytes / 1e6 / (time.perf_counter() - read))
        seen += shard.bytes
        if seen > READ_MB * 1e6:
            break
    return {"read_mb_per_s": median(reads), "cut_mb_per_s": median(cuts)}


def _cut(document: Document, wish: Wish, ruler: WordRuler) -> None:
    try:
        chunk(document.text, document.kind, wish.chunking, ruler)
    except Skipped:
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="an empty one; with --work the pages")
    parser.add_argument("--megabytes", type=float, default=1000.0)
    parser.add_argument("--work", type=Path, help="do the job, with this as its output")
    given = parser.parse_args()
    if given.work:
        asyncio.run(work(given.folder, given.work))
    else:
        print(json.dumps(measured(given.folder, given.megabytes), indent=1))


if __name__ == "__main__":
    main()
