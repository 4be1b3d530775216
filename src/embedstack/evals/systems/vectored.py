"""Systems whose queries a model reads, and queries -> what each of them finds; those of one model read together."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from embedstack.databases.database import Kind
from embedstack.evals.systems.encoded import Read
from embedstack.evals.systems.system import Asked, Progress, Ranked, Rankings, System

Clock = Callable[[], float]
Hits = Sequence[Sequence[Ranked]]


class Reader(Protocol):
    """What makes vectors of texts: a model, or BM25."""

    def documents(self, documents: Mapping[str, str], kind: Kind, progress: Progress) -> Read:
        """Their vectors, which whoever asks for them keeps."""
        ...

    def let_go(self, kind: Kind) -> None:
        """Nobody needs the documents' vectors of this kind any more."""
        ...

    def queries(self, texts: Sequence[str], kinds: frozenset[Kind], dim: int | None) -> Read:
        """Their vectors, which nobody keeps."""
        ...


@runtime_checkable
class Vectored(Protocol):
    """A system that finds by vectors of queries, whoever had them made."""

    reader: Reader
    kind: Kind
    dim: int | None  # of dense vectors; the model's own if None

    def found(self, queries: Sequence[Asked], read: Read, limit: int) -> Hits:
        """The best of each query."""
        ...


@dataclass(frozen=True, slots=True)
class Answers:
    """What several systems answer to the same queries."""

    hits: Sequence[Hits]  # of each system
    took_s: Mapping[str, float]  # stage -> seconds, of all systems one after the other
    truncated: int  # queries that a model did not read all of; where there are several models, of the one with most


def ask_all(systems: Sequence[System], queries: Sequence[Asked], limit: int, clock: Clock) -> Answers:
    """As a server would that has all of them: of the vectors of one model it asks for all kinds together."""
    began = clock()
    read = _read(systems, [query.text for query in queries])
    took_s = {"embed": clock() - began} if read else {}
    truncated = [one.truncated for one in read.values()]
    hits = []
    for system in systems:
        began = clock()
        if isinstance(system, Vectored):
            hits.append(system.found(queries, read[_key(system)], limit))
            _add(took_s, {"search": clock() - began})
        else:
            rankings = system.search(queries, limit)
            hits.append(rankings.hits)
            truncated.append(rankings.truncated)
            _add(took_s, rankings.took_s)
    return Answers(hits, took_s, max(truncated, default=0))


def ask(system: System, queries: Sequence[Asked], limit: int, clock: Clock = time.perf_counter) -> Rankings:
    """One alone."""
    answers = ask_all([system], queries, limit, clock)
    return Rankings(answers.hits[0], answers.took_s, answers.truncated)


def _read(systems: Sequence[System], texts: Sequence[str]) -> dict[tuple[int, int | None], Read]:
    wanted: dict[tuple[int, int | None], tuple[Reader, set[Kind]]] = {}
    for system in systems:
        if isinstance(system, Vectored):
            wanted.setdefault(_key(system), (system.reader, set()))[1].add(system.kind)
    return {key: reader.queries(texts, frozenset(kinds), key[1]) for key, (reader, kinds) in wanted.items()}


def _key(system: Vectored) -> tuple[int, int | None]:
    return id(system.reader), system.dim


def _add(took_s: dict[str, float], more: Mapping[str, float]) -> None:
    for stage, seconds in more.items():
        took_s[stage] = took_s.get(stage, 0.0) + seconds
