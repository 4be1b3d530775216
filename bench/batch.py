"""A batch job end to end beside the engine alone and a sentence-transformers script; its memory; and the commands.

    python bench/batch.py --peer PEERS/st/bin/python --out bench/results/batch.json            50 MB: hours on two cores
    python bench/batch.py --megabytes 2 --rounds 2 --shard-docs 50 --walk-megabytes 1 --memory-megabytes 20

The megabytes are divided into rounds with a corpus each; see batch_rounds.py for what is compared, batch_memory.py for
the gigabyte without a model, batch_walk.py for the commands. With 0 a part is left out, and stays in the JSON as an
earlier call wrote it there. Beside the JSON a page (.md) of the same name is written. The exit code is 1 if a criterion
is missed by more than noise explains; see batch_page.py.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

import batch_corpus
import batch_memory
from batch_page import criteria, page
from batch_rounds import Peer, Rounds
from batch_walk import Walk
from embedstack.catalog import find
from embedstack.chunks.chunk import Chunking
from embedstack.jobs.opening import open_here
from embedstack.jobs.plan import Wish
from embedstack.runtimes.processor import usable_threads
from embedstack.settings import DEFAULT_MODEL, read_settings
from machine import machine

CHUNK_TOKENS = 256  # what the default model takes


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def rounds(given: argparse.Namespace, scratch: Path) -> list[dict[str, object]]:
    """Each is told when it is over."""
    settings = read_settings()
    chunking = Chunking(tokens=CHUNK_TOKENS)
    base = Wish(inputs=(), model=given.model, chunking=chunking, shard_docs=given.shard_docs)
    folder = find(given.model, cache_dir=settings.cache_dir).folder
    peer = Peer(given.peer, folder, usable_threads(), CHUNK_TOKENS, given.peer_megabytes) if given.peer else None
    made = []
    async with open_here(base, settings) as opened:
        measuring = Rounds(scratch, opened, base, peer)
        for number in range(given.rounds):
            made.append(await measuring.one(number, given.megabytes / given.rounds))
            say(f"round {number}: {made[-1]}")
    return made


def measured(given: argparse.Namespace, scratch: Path, before: dict[str, object]) -> dict[str, object]:
    """All parts that were asked for, with who made each; the others as they were before."""
    made: dict[str, object] = before | {"machine": machine(), "model": given.model}
    if given.megabytes:
        made["rounds"] = asyncio.run(rounds(given, _new(scratch, "rounds")))
    if given.walk_megabytes:
        say("the commands")
        folder = _new(scratch, "walk")
        batch_corpus.write(folder / "pages", given.walk_megabytes, seed=given.rounds)
        walk = Walk(folder, folder / "pages", given.model, shard_docs=given.shard_docs, chunk_tokens=CHUNK_TOKENS)
        made["walk"] = walk.run(given.sample)
    if given.memory_megabytes:
        say("memory")
        made["memory"] = batch_memory.measured(_new(scratch, "memory"), given.memory_megabytes)
    asked = {"rounds": given.megabytes, "walk": given.walk_megabytes, "memory": given.memory_megabytes}
    by = f"`{_shown(given)}` at {made['machine']['commit']}"
    return made | {"made_by": before.get("made_by", {}) | {part: by for part, size in asked.items() if size}}


def _shown(given: argparse.Namespace) -> str:
    sizes = f"--megabytes {given.megabytes:g} --rounds {given.rounds} --walk-megabytes {given.walk_megabytes:g}"
    return f"python bench/batch.py {sizes} --memory-megabytes {given.memory_megabytes:g} --out bench/results/batch.json"


def _new(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=50.0, help="of all rounds together")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shard-docs", type=int, default=200, help="a round of 10 MB has some 1,200 documents")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--peer", type=Path, help="a Python with sentence-transformers and pyarrow")
    parser.add_argument("--peer-megabytes", type=float, default=1.0, help="that it gets of each round")
    parser.add_argument("--walk-megabytes", type=float, default=50.0, help="of the corpus of the commands")
    parser.add_argument("--sample", type=int, default=100, help="documents of `job run --sample`")
    parser.add_argument("--memory-megabytes", type=float, default=1000.0, help="through the encoder without a model")
    parser.add_argument(
        "--scratch", type=Path, help="where corpora and tables lie; the system's folder for such if left out"
    )
    parser.add_argument("--out", type=Path, help="a .json; a .md comes beside it")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    before = json.loads(given.out.read_text()) if given.out and given.out.exists() else {}
    with tempfile.TemporaryDirectory(dir=given.scratch) as name:
        made = measured(given, Path(name), before)
    print(page(made))
    if given.out:
        given.out.write_text(json.dumps(made, indent=1) + "\n")
        given.out.with_suffix(".md").write_text(page(made))
    return int(any(one.has_failed for one in criteria(made)))


if __name__ == "__main__":
    sys.exit(main())
