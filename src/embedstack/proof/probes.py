"""A model's spec -> the texts, pairs or pictures that it is judged by."""

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path

import msgspec

from embedstack.modelspec import ModelSpec
from embedstack.proof.drawn import drawn
from embedstack.types import Image, Pair, Text

LATE_TOKENS = 1024  # a model that takes more needs minutes for one text past its limit: made only when it is asked for
PAST_LIMIT = ("past-limit", "past-limit-query")
PAIRED_QUERIES, PAIRED_DOCUMENTS = 4, 6  # of the retrieval set, for rerankers


@dataclass(frozen=True, slots=True)
class Probe:
    """One text, pair or picture. `is_late`: so long for this model that it is left out until somebody waits for it."""

    name: str
    item: Text | Pair | Image
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Probes:
    """All probes of one model, and which of them are compared with each other."""

    all: tuple[Probe, ...]
    queries: tuple[str, ...]  # names; none for a model that scores
    documents: tuple[str, ...]
    digest: str  # of the set for all models: truth of another set is not read

    def named(self, *names: str) -> tuple[Probe, ...]:
        """Those that this model has, in the order asked for."""
        known = {probe.name: probe for probe in self.all}
        return tuple(known[name] for name in names if name in known)


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    text: str
    role: str = "document"


class _Long(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    words: int
    first: int
    role: str = "document"


class _Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    query: str
    document: str = ""
    words: int = 0
    first: int = 0


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sentences: tuple[str, ...]
    text: tuple[_Text, ...]
    long: tuple[_Long, ...]
    query: tuple[_Text, ...]
    document: tuple[_Text, ...]
    pair: tuple[_Pair, ...]


def probes(spec: ModelSpec) -> Probes:
    """The set for a model; a text just past its own limit is built for it."""
    past = [replace(probe, is_late=spec.max_tokens > LATE_TOKENS) for probe in _past_limit(spec)]
    if spec.task == "rerank":
        return Probes((*_pairs(), *past), (), (), digest())
    if spec.task == "classify":
        return Probes((*_texts(), *_pairs(), *past), (), (), digest())
    queries, documents = tuple(q.name for q in _file().query), tuple(d.name for d in _file().document)
    seen = [Probe(name, Image(data)) for name, data in drawn().items()] if "image" in spec.inputs else []
    return Probes((*_texts(), *past, *seen), queries, documents, digest())


@cache
def digest() -> str:
    """Of every text, as it is stated or built."""
    return hashlib.sha256(repr((_texts(), _pairs(), _file().sentences)).encode()).hexdigest()[:16]


def long_text(words: int, first: int) -> str:
    """Whole sentences of at least so many words, numbered, so that no two places read the same."""
    sentences = _file().sentences
    parts: list[str] = []
    for number in count(first):
        if words <= 0:
            return " ".join(parts)
        parts.append(f"{number}. {sentences[number % len(sentences)]}")
        words -= len(parts[-1].split())
    raise AssertionError


def _past_limit(spec: ModelSpec) -> list[Probe]:
    """Each word is a token or more, so a word more than the limit is past it for every tokeniser."""
    document, query = PAST_LIMIT
    if spec.task == "rerank":
        pair = Pair("which sentence tells of copper?", long_text(spec.max_tokens + 1, 3))
        return [Probe(document, pair)]
    made = [Probe(document, Text(long_text(spec.max_tokens + 1, 11)))]
    if spec.prompts and spec.max_tokens <= LATE_TOKENS:  # the prompt counts towards the limit
        made.append(Probe(query, Text(long_text(spec.max_tokens + 1, 4), "query")))
    return made


@cache
def _texts() -> tuple[Probe, ...]:
    file = _file()
    single = [Probe(t.name, Text(t.text, t.role)) for t in (*file.text, *file.document)]
    asked = [Probe(q.name, Text(q.text, "query")) for q in file.query]
    return (*single, *asked, *(Probe(t.name, Text(long_text(t.words, t.first), t.role)) for t in file.long))


@cache
def _pairs() -> tuple[Probe, ...]:
    """Some queries with some documents, related or not, and the pairs of other kinds."""
    file = _file()
    crossed = [
        Probe(f"{q.name} {d.name}", Pair(q.text, d.text))
        for n, q in enumerate(file.query[:PAIRED_QUERIES])
        for d in file.document[n * 2 : n * 2 + PAIRED_DOCUMENTS]
    ]
    others = [Probe(p.name, Pair(p.query, long_text(p.words, p.first) if p.words else p.document)) for p in file.pair]
    return (*crossed, *others)


@cache
def _file() -> _File:
    return msgspec.toml.decode(Path(__file__).with_name("probes.toml").read_bytes(), type=_File)
