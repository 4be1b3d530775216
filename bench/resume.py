"""How soon a job of ten thousand committed shards knows what is left: on a disk, and in a bucket by its calls.

    python bench/resume.py --out bench/results/resume.json

From the opening of the storage to the event that says what is left, in a process that has its imports done and its
model open. The bucket is moto's, behind a door that counts calls; the input lies in it, too. Commits are written as a
job writes them, but by hand; each is of one document. Beside the JSON a page (.md) of the same name is written. The
exit code is 1 if a criterion is missed.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from embedstack.chunks.chunk import Chunking
from embedstack.documents.source import Source, open_source
from embedstack.jobs import layout
from embedstack.jobs.commit import Checkpoint, Commit
from embedstack.jobs.events import Event, Started
from embedstack.jobs.opened import Opened, opened
from embedstack.jobs.plan import Exact, Plan, Wish
from embedstack.jobs.planning import load_plan, plan
from embedstack.jobs.running import Runner
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Storage
from embedstack.testing.fake import HashEncoder, WordRuler, hash_spec
from load_verdict import Criterion
from machine import machine, spread
from support.buckets import Door, moto
from support.runs import variables

ROUNDS = 5
LOCAL_S, LISTS = 2.0, 12  # what is aimed at
WRITERS = 16
GROUP = 10  # shards of one checkpoint, as by default
PART = b"PAR1" + bytes(96)  # nobody reads it; its size is compared
SPOOL_BYTES = 1 << 20
Put = Callable[[str, bytes], object]
ROW = b'{"id": "%d", "text": "the lamp number %d was lit twice"}\n'


def rows(shards: int) -> bytes:
    """One document for each shard, and one that is not done yet."""
    return b"".join(ROW % (number, number) for number in range(shards + 1))


async def planned(given: str, storage: Storage) -> tuple[Plan, Opened, Source]:
    """Each shard has one document, each checkpoint ten shards."""
    wish = Wish(inputs=(given,), model="hash", chunking=Chunking(tokens=64), shard_docs=1, checkpoint_docs=GROUP)
    here = await opened(
        HashEncoder([hash_spec()]), wish, WordRuler(), Exact(where="here", version="1", lanes=1, threads=1)
    )
    source = open_source([given])
    return plan(wish, source, here, storage), here, source


def commit_of(made: Plan, number: int) -> Commit:
    """As a runner would have written it."""
    return Commit(
        plan=made.digest, shard=number, attempt=f"{number:08x}", part=layout.part_key(number, f"{number:08x}"),
        part_bytes=len(PART), part_sha256="0" * 64, dead="", dead_bytes=0, docs=1, docs_out=1, docs_dead=0,
        docs_failed=0, chunks=1, rows=1, chunks_dead=0, reused=0, tokens=9, input_bytes=60, rows_digest="0" * 64,
        vectors_digest="0" * 64, first_id=str(number), last_id=str(number), lengths={"<=16": 1}, reasons={},
        exact="0" * 64, began_at=0.0, took_s=0.1, encode_s=0.05, store_s=0.01,
    )  # fmt: skip


def fill(put: Put, storage: Storage, made: Plan, *, with_parts: bool) -> None:
    """Everything is done but the last."""
    commits = [commit_of(made, number) for number in range(made.shards - 1)]

    def one(commit: Commit) -> None:
        if with_parts:
            put(commit.part, PART)
        put(layout.commit_key(commit.shard), msgspec.json.encode(commit))

    def fold(first: int) -> None:
        some = tuple(commits[first : first + GROUP])
        seen = tuple(versions[commit.shard] for commit in some)
        put(
            layout.checkpoint_key(first // GROUP),
            msgspec.json.encode(Checkpoint(plan=made.digest, first=first, commits=some, versions=seen)),
        )

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(one, commits))
        versions = {layout.number_of(entry.key): entry.version for entry in storage.list(layout.COMMITS)}
        list(pool.map(fold, range(0, len(commits) // GROUP * GROUP, GROUP)))


def putter(folder: Path) -> Put:
    """Into a folder without waiting for the disk, which is not what is measured."""
    for name in (layout.PARTS, layout.COMMITS, layout.CHECKPOINTS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return lambda key, data: (folder / key).write_bytes(data)


async def resumed_s(url: str, here: Opened, source: Source, spool: Path) -> float:
    """Until it says what is left."""
    began, said, seen = time.perf_counter(), asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def say(event: Event) -> None:
        if isinstance(event, Started):
            seen.append((time.perf_counter() - began, event))
            loop.call_soon_threadsafe(said.set)

    storage = open_storage(url)
    runner = Runner(
        load_plan(storage), source, storage, here, spool=spool, spool_bytes=SPOOL_BYTES, error_budget=0, say=say
    )
    running = asyncio.create_task(runner.run())
    await asyncio.wait([running, asyncio.create_task(said.wait())], return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    took_s, started = seen[0]
    assert (started.shards, started.done) == (started.shards, started.shards - 1), started
    return took_s


async def local(folder: Path, shards: int) -> dict[str, object]:
    """On a disk; the sizes of all parts are compared."""
    (folder / "in").mkdir()
    (folder / "in/rows.jsonl").write_bytes(rows(shards))
    url = (folder / "out").as_uri()
    storage = open_storage(url)
    made, here, source = await planned(str(folder / "in"), storage)
    fill(putter(folder / "out"), storage, made, with_parts=True)
    took = [await resumed_s(url, here, source, _new(folder, f"spool-{turn}")) for turn in range(ROUNDS)]
    return {"shards": shards, "seconds": spread(took)}


async def remote(folder: Path, shards: int) -> dict[str, object]:
    """In a bucket; calls are counted."""
    with moto() as bucket, variables(**bucket.variables()):
        open_storage(bucket.url("in")).put("rows.jsonl", rows(shards))
        straight = open_storage(bucket.url("out"))
        made, _, _ = await planned(bucket.url("in"), straight)
        fill(straight.put, straight, made, with_parts=False)
        with behind(bucket) as door:
            here = (await planned_again(bucket.url("in")))[0]
            door.calls.clear()
            took_s = await resumed_s(bucket.url("out"), here, open_source([bucket.url("in")]), _new(folder, "spool"))
            per_shard = [call.key for call in door.calls if call.kind in ("GET", "HEAD") and "_commits/" in call.key]
            return {
                "shards": shards,
                "seconds": round(took_s, 3),
                "calls": door.kinds,
                "reads_of_commits": len(per_shard),
                "listed": [
                    f"{call.key}{call.query.get('prefix', [''])[0]}" for call in door.calls if call.kind == "LIST"
                ],
            }


async def planned_again(given: str) -> tuple[Opened]:
    """The model alone."""
    wish = Wish(inputs=(given,), model="hash", chunking=Chunking(tokens=64), shard_docs=1, checkpoint_docs=GROUP)
    exact = Exact(where="here", version="1", lanes=1, threads=1)
    return (await opened(HashEncoder([hash_spec()]), wish, WordRuler(), exact),)


@contextmanager
def behind(bucket: "object") -> Iterator[Door]:
    """Whatever is opened within comes through the door."""
    door = Door(bucket.target)
    with variables(**bucket.variables(door)):
        yield door
    door.close()


def _new(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def criteria(made: dict) -> list[Criterion]:
    """What is aimed at."""
    here, there = made["local"], made["bucket"]
    seconds, lists, reads = here["seconds"]["median"], there["calls"].get("LIST", 0), there["reads_of_commits"]
    return [
        Criterion(f"{here['shards']} committed shards on a disk", f"{seconds} s", f"<= {LOCAL_S:g} s",
                  seconds <= LOCAL_S, seconds > 2 * LOCAL_S, "twice the limit"),
        Criterion(f"LIST calls for {there['shards']} in a bucket", str(lists), f"<= {LISTS}",
                  lists <= LISTS, lists > LISTS, "the limit"),
        Criterion("commits that were read one by one", str(reads), "none for each shard: <= 2",
                  reads <= 2, reads > 2, "the limit"),
    ]  # fmt: skip


def page(made: dict) -> str:
    """Markdown."""
    head, there = made["machine"], made["bucket"]
    rows = ["| criterion | value | limit | reached |", "|---|---|---|---|"]
    rows += [f"| {one.what} | {one.value} | {one.limit} | {one.verdict} |" for one in criteria(made)]
    calls = ", ".join(f"{kind}: {count}" for kind, count in sorted(there["calls"].items()))
    return "\n".join([
        "# Going on with a job",
        "",
        f"{head['processor']}, {head['threads']} threads, {head['date']}, commit {head['commit']}. Made by "
        f"`{made['command']}`. From the opening of the storage to the event that says what is left; imports are done "
        f"and the model is open. On the disk: median of {ROUNDS}, with the size of every part compared.",
        "",
        *rows,
        "",
        f"- on the disk: {made['local']['seconds']['median']} s ({made['local']['seconds']['min']} to "
        f"{made['local']['seconds']['max']})",
        f"- in the bucket (moto on this machine, so its seconds say nothing of a real one): {there['seconds']} s; all "
        f"calls: {calls}",
    ]) + "\n"  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        here = asyncio.run(local(_new(Path(name), "local"), given.shards))
        there = asyncio.run(remote(_new(Path(name), "remote"), given.shards))
    command = f"python bench/resume.py --shards {given.shards} --out bench/results/resume.json"
    made = {"machine": machine(), "command": command, "local": here, "bucket": there}
    print(page(made))
    if given.out:
        given.out.write_text(json.dumps(made, indent=1) + "\n")
        given.out.with_suffix(".md").write_text(page(made))
    return int(any(one.has_failed for one in criteria(made)))


if __name__ == "__main__":
    sys.exit(main())
