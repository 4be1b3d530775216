"""Collections of a few texts with vectors of hashes, as a load leaves them, for servers that search."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from embedstack.databases.bound import Bound
from embedstack.databases.database import Collection, Column, Database, Field, Points
from embedstack.modelspec import ModelSpec
from embedstack.origin import Identity, Origin
from embedstack.search.bm25 import Bm25
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Floats, Text

TEXTS = ("a cat sleeps", "two dogs bark", "three birds sing", "four fish swim", "five cows graze")
BM25 = Bm25("en")


def origin(spec: ModelSpec, dim: int | None = None) -> Origin:
    """As whoever made the vectors signs them."""
    return Origin(
        identity=Identity(
            model=spec.name,
            revision=spec.revision,
            space=spec.space,
            fingerprint=spec.fingerprint("float32", dim),
            dim=dim or spec.dim,
            max_tokens=spec.max_tokens,
        )
    )


def vectors_of(spec: ModelSpec, texts: Sequence[str], dim: int | None = None) -> Floats:
    """(texts, dim), with the role of queries: so a query finds the very text that it is."""
    request = Encode(model=spec.name, items=tuple(Text(text, "query") for text in texts), dim=dim)
    with ThreadPoolExecutor(1) as thread:  # where no event loop runs, as one may here
        made = thread.submit(asyncio.run, HashEncoder([spec]).encode(request)).result()
    assert made.dense is not None
    return made.dense


def fill(
    database: Database,
    name: str,
    spec: ModelSpec,
    *,
    texts: Sequence[str] = TEXTS,
    dim: int | None = None,
    bm25: bool = False,
) -> None:
    """A collection of that name; each payload has the text, its first word as `kind`, and its number as `year`."""
    origins, fields = {"": origin(spec, dim)}, {"": Field(dim=dim or spec.dim)}
    vectors: dict[str, Column] = {"": vectors_of(spec, texts, dim)}
    if bm25:
        origins["bm25"] = Origin(identity=BM25.identity)
        fields["bm25"] = Field(kind="sparse", distance="dot", idf=True)
        vectors["bm25"] = [BM25.document(text) for text in texts]
    bound = Bound(database, name, origins)
    bound.prepare(Collection(name=name, fields=fields))
    payloads = [{"text": text, "kind": text.split()[0], "year": 2000 + number} for number, text in enumerate(texts)]
    bound.write(Points(ids=range(1, len(texts) + 1), vectors=vectors, payloads=payloads))
