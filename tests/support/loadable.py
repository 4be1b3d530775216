"""Rows with vectors of hashes, as JSON lines and as Parquet, and an answer to whose they are."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embedstack.databases.database import Column, PointId, Points
from embedstack.loading.asserted import Asserted, Sample, asserted
from embedstack.loading.found import Files, find
from embedstack.loading.json_lines import JsonLines
from embedstack.loading.loose_parquet import LooseParquet
from embedstack.loading.source import How, Source
from embedstack.testing.fake import HashEncoder, WordRuler, hash_spec
from embedstack.types import Encode, Floats, Sparse, Text

DIM = 8
SPEC = hash_spec()
USUAL = How()
TEXTS = ["one bird", "two fish", "three cats", "four dogs", "five cows"]


def vectors_of(texts: Sequence[str], dim: int = DIM) -> Floats:
    """(texts, dim), of documents."""
    request = Encode(model=SPEC.name, items=tuple(map(Text, texts)), dim=dim)
    made = asyncio.run(HashEncoder([SPEC]).encode(request)).dense
    assert made is not None
    return made


def ask(samples: Sequence[Sample], dim: int) -> Asserted:
    """Whether the fake model made them."""
    return asyncio.run(asserted(HashEncoder([SPEC]), WordRuler(), SPEC, samples, dim))


def row(words: str, **others: object) -> dict[str, object]:
    """As a line has it; None takes a key away."""
    made = {"id": words.split()[0], "text": words, **others}
    if "embedding" not in made:
        made["embedding"] = vectors_of([words])[0].tolist()
    return {key: value for key, value in made.items() if value is not None}


def lines_of(rows: Sequence[object]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in rows)


def written_lines(path: Path, rows: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lines_of(rows))
    return path


def json_lines(path: Path | str, how: How = USUAL) -> JsonLines:
    found = find(str(path))
    assert isinstance(found, Files)
    return JsonLines(found, how, ask)


def columns_of(texts: Sequence[str] = TEXTS, **others: object) -> dict[str, object]:
    """id, text and vector; None takes a column away."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(vectors_of(texts).reshape(-1)), DIM)
    made = {"id": [text.split()[0] for text in texts], "text": list(texts), "vector": vectors, **others}
    return {name: column for name, column in made.items() if column is not None}


def written_parquet(path: Path, columns: dict[str, object], footer: bytes = b"", row_group_size: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if footer:
        table = table.replace_schema_metadata({b"embedstack": footer})
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def parquet(path: Path | str, how: How = USUAL, *, model: str = "") -> LooseParquet:
    found = find(str(path))
    assert isinstance(found, Files)
    return LooseParquet(found, how, ask, model=model)


def flat(batches: Iterator[Points]) -> list[tuple[object, ...]]:
    """Each point with what can be compared."""
    found: list[tuple[object, ...]] = []
    for points in batches:
        columns = {
            name: [_plain(column, place) for place in range(len(points))] for name, column in points.vectors.items()
        }
        for place, (point, payload) in enumerate(zip(points.ids, points.payloads, strict=True)):
            found.append((point, {name: column[place] for name, column in columns.items()}, payload))
    return found


def ids_of(source: Source) -> list[PointId]:
    return [point for points in source.batches(0, 2) for point in points.ids]


def payloads_of(source: Source) -> list[object]:
    return [payload for points in source.batches(0, 2) for payload in points.payloads]


def dense_of(source: Source, name: str = "") -> Floats:
    return np.concatenate([np.asarray(points.vectors[name]) for points in source.batches(0, 2)])


def _plain(column: Column, place: int) -> object:
    one = column[place]
    return (one.ids.tolist(), one.weights.tolist()) if isinstance(one, Sparse) else np.asarray(one).tolist()
