"""Models, endpoints and databases for systems that are evaluated, from a table; what is asked of models is kept."""

from collections.abc import Mapping, Sequence

from embedstack.databases.bound import Bound, origin_of
from embedstack.databases.database import Collection, Column, Database, Field, Points
from embedstack.engine.background import wait
from embedstack.errors import UnknownModel
from embedstack.evals.systems.system import Asked, System
from embedstack.modelspec import ModelSpec, Task
from embedstack.origin import Origin
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import DENSE, Encode, Encoded, Encoder, Score, Scored, Text

ALL = hash_spec(outputs=("dense", "sparse", "multi"), max_tokens=12)
RERANKER = overlap_spec(max_tokens=12)
WORDS = "amber brook cedar delta ember fjord grove heath inlet juniper kelp lagoon moss nettle orchard pine".split()
DOCUMENTS = {
    f"d{number}": " ".join(WORDS[(number * step) % len(WORDS)] for step in range(1, 3 + number % 7))
    for number in range(1, 41)
}
QUERIES = [Asked(f"q{number}", f"{WORDS[number]} {WORDS[-number]} {WORDS[number // 2]}") for number in range(1, 13)]


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


class Heard(HashEncoder):
    """Keeps the requests."""

    def __init__(self, specs: Sequence[ModelSpec] = (ALL, RERANKER)) -> None:
        super().__init__(specs)
        self.encodes: list[Encode] = []
        self.scores: list[Score] = []

    async def encode(self, request: Encode) -> Encoded:
        self.encodes.append(request)
        return await super().encode(request)

    async def score(self, request: Score) -> Scored:
        self.scores.append(request)
        return await super().score(request)


class Opened:
    """Satisfies `Openers`.

    Args:
        models: by the names that users write; endpoints by `NAME@WHERE`.
        databases: by URL.
    """

    def __init__(
        self, models: Mapping[str, Encoder] | None = None, databases: Mapping[str, Database] | None = None
    ) -> None:
        self.models = {"hash": Heard(), "overlap": Heard()} if models is None else models
        self.databases = databases or {}
        self.asked: list[str] = []

    def model(self, name: str) -> Encoder:
        self.asked.append(name)
        if name not in self.models:
            raise UnknownModel(f"model {name!r} is not in the catalog")
        return self.models[name]

    def endpoint(self, name: str, where: str, task: Task) -> Encoder:
        self.asked.append(f"{name}@{where} for {task}")
        return self.models[f"{name}@{where}"]

    def database(self, url: str) -> Database:
        return self.databases[url]


def ranking(system: System, limit: int = 10, queries: Sequence[Asked] = QUERIES) -> list[list[tuple[str, float]]]:
    """What a prepared system answers."""
    return [[tuple(hit) for hit in hits] for hits in system.search(queries, limit).hits]


def one_by_one(system: System, limit: int = 10, queries: Sequence[Asked] = QUERIES) -> list[list[tuple[str, float]]]:
    """The same, each query alone."""
    return [ranking(system, limit, [query])[0] for query in queries]


def encoded(
    texts: Sequence[str], role: str, outputs: frozenset[str] = DENSE, dim: int | None = None, spec: ModelSpec = ALL
) -> Encoded:
    """By the model that the systems have."""
    items = tuple(Text(text, role) for text in texts)
    return wait(HashEncoder([spec]).encode(Encode(model=spec.name, items=items, outputs=outputs, dim=dim)))


def filled(
    database: Database, chunks: Sequence[tuple[str, str]], name: str = "docs", *, field: str = "",
    kind: str = "dense", spec: ModelSpec = ALL, key: str = "doc_id", idf: bool = False,
    origin: Origin | None = None, column: Column | None = None,
) -> None:  # fmt: skip
    """A collection of pieces: document and text."""
    made = encoded([text for _, text in chunks], "document", frozenset({kind}), spec=spec)
    signed = origin or origin_of(made, "document")
    bound = Bound(database, name, {field: signed})
    distance = "dot" if kind == "sparse" else "cosine"
    wide = 0 if kind == "sparse" else signed.identity.dim
    bound.prepare(Collection(name=name, fields={field: Field(kind=kind, dim=wide, distance=distance, idf=idf)}))
    rows = column if column is not None else getattr(made, kind)
    payloads = [{key: document, "text": text} if key else {"text": text} for document, text in chunks]
    bound.write(Points(ids=range(1, len(chunks) + 1), vectors={field: rows}, payloads=payloads))
