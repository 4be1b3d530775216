"""Rows with texts and vectors go into each kind of source that `identify` reads."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embedstack.databases.database import Collection, Field, Points
from embedstack.databases.opening import open_database
from embedstack.identifying.identify import Identified, Wish, identify
from embedstack.identifying.opening import Place
from embedstack.origin import Origin
from embedstack.settings import Settings

Keep = Callable[[Path, Sequence[str], np.ndarray], Place]


def lines(root: Path, texts: Sequence[str], vectors: np.ndarray) -> Place:
    return rows(root, [{"text": text, "vector": row.tolist()} for text, row in zip(texts, vectors, strict=True)])


def rows(root: Path, given: Sequence[Mapping[str, object]]) -> Place:
    """JSON lines."""
    path = root / "rows.jsonl"
    path.write_text("".join(json.dumps({"id": number, **row}) + "\n" for number, row in enumerate(given)))
    return Place(named=str(path))


def parquet(root: Path, texts: Sequence[str], vectors: np.ndarray) -> Place:
    path = root / "rows.parquet"
    column = pa.array(list(vectors), pa.list_(pa.from_numpy_dtype(vectors.dtype)))
    pq.write_table(pa.table({"text": list(texts), "embedding": column}), path, row_group_size=16)
    return Place(named=str(path))


def embedded(root: Path, texts: Sequence[str], vectors: np.ndarray) -> Place:
    return collection(f"{root}/store", texts, vectors)


def qdrant(root: Path, texts: Sequence[str], vectors: np.ndarray) -> Place:
    return collection(f"qdrant-local:{root}/qdrant", texts, vectors)


KEEPS: Mapping[str, Keep] = {"lines": lines, "parquet": parquet, "embedded": embedded, "qdrant": qdrant}


def collection(
    url: str, texts: Sequence[str], vectors: np.ndarray, origin: Origin | None = None, field: Field | None = None,
    name: str = "docs", about: str = "a.md",
) -> Place:  # fmt: skip
    made = field or Field(dim=vectors.shape[1], origin=origin)
    with closing(open_database(url)) as database:
        database.create(Collection(name=name, fields={"": made}))
        payloads = [{"page_content": text, "metadata": {"source": about}} for text in texts]
        database.write(name, Points(ids=list(range(len(texts))), vectors={"": vectors}, payloads=payloads))
    return Place(named=f"{url}#{name}")


def quiet(line: str) -> None:
    """Nobody is told."""


def found(place: Place, settings: Settings, *models: Path | str, **wish: object) -> Identified:
    return identify(place, Wish(models=tuple(map(str, models)), **wish), settings, quiet)
