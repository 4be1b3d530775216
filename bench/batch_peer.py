"""Chunks in JSON lines -> Parquet with their vectors, as a script with sentence-transformers writes it. No embedstack.

    python bench/batch_peer.py CHUNKS FOLDER --model MODEL --out TABLE

Run by the environment of the peer. Reading and chunking are done for it and the model is open before the clock runs,
which is in its favour. It encodes a thousand documents in one call, so that the library can sort all by length; or, as
scripts that walk through files do, each document by itself (--each).
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sentence_transformers import SentenceTransformer

DOCS = 1000  # in one file, as our shards
BATCH = 32  # the default of the library
WARM = ["a sentence to warm up with"] * BATCH


def schema(dim: int) -> pa.Schema:
    """As ours, without a footer."""
    return pa.schema([
        ("doc_id", pa.string()),
        ("chunk_id", pa.string()),
        ("chunk_index", pa.int32()),
        ("text", pa.string()),
        ("embedding_vector", pa.list_(pa.float32(), dim)),
        ("metadata", pa.string()),
        ("tokens", pa.int32()),
        ("content_hash", pa.string()),
    ])  # fmt: skip


def documents(path: Path) -> Iterator[dict]:
    with path.open() as lines:
        yield from map(json.loads, lines)


def rows(docs: list[dict]) -> list[tuple]:
    """One for each chunk."""
    return [
        (doc["doc_id"], chunk["id"], index, chunk["text"], json.dumps(chunk["metadata"], sort_keys=True),
         chunk["tokens"], hashlib.sha256(chunk["text"].encode()).hexdigest()[:32])
        for doc in docs
        for index, chunk in enumerate(doc["chunks"])
    ]  # fmt: skip


def encoded(model: SentenceTransformer, texts: list[str]) -> np.ndarray:
    return model.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)


def write(model: SentenceTransformer, docs: list[dict], path: Path, *, each: bool) -> int:
    """One file; its tokens."""
    made = rows(docs)
    runs = [[chunk["text"] for chunk in doc["chunks"]] for doc in docs] if each else [[row[3] for row in made]]
    vectors = np.concatenate([encoded(model, texts) for texts in runs if texts])
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    columns = [pa.array(column) for column in zip(*made, strict=True)]
    kind = schema(vectors.shape[1])
    arrays = [*columns[:4], pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]), *columns[4:]]
    arrays = [array.cast(field.type) for array, field in zip(arrays, kind, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=kind), path, compression="snappy")
    return sum(row[5] for row in made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chunks", type=Path)
    parser.add_argument("--model", required=True, help="a folder or a name")
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--max-tokens", type=int, required=True)
    parser.add_argument("--each", action="store_true", help="document by document")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = SentenceTransformer(given.model, device="cpu")
    model.max_seq_length = given.max_tokens
    model.encode(WARM)
    given.out.mkdir(parents=True, exist_ok=True)
    began, tokens, left = time.perf_counter(), 0, documents(given.chunks)
    for number in range(sys.maxsize):
        docs = list(islice(left, DOCS))
        if not docs:
            break
        tokens += write(model, docs, given.out / f"part-{number:06d}.parquet", each=given.each)
    took_s = time.perf_counter() - began
    print(json.dumps({"seconds": took_s, "tokens": tokens, "max_tokens": model.max_seq_length}))


if __name__ == "__main__":
    main()
