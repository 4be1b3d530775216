"""A share of the usual sizes -> seconds of each pure function of search and evaluation, and what a million rows take.

Where a million rows would take too long fewer are measured, and half of those beside them, so that whoever reads a
figure that was reckoned sees whether time grew as it was reckoned.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from statistics import median
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from embedstack.evals import metrics
from embedstack.evals.sets.opening import open_labelled, open_pairs
from embedstack.evals.sets.qrels import read_qrels
from embedstack.evals.sets.rankings import read_run
from embedstack.evals.statistics import interval, needed_queries, paired, quantile
from embedstack.evals.thresholds import calibrate
from embedstack.identifying.fitting import Tried, noise_of
from embedstack.identifying.judging import judged
from embedstack.identifying.numbers import Stored
from embedstack.identifying.recipe import Reading, Recipe
from embedstack.identifying.wording import Wording
from embedstack.search import fuse, near
from embedstack.search.analysis import terms
from embedstack.search.bm25 import Bm25
from embedstack.search.keeping import USUAL, Cluster, Item, settle
from embedstack.search.rerank import merged
from embedstack.testing.fake import hash_spec
from embedstack.types import Floats
from machine import spread
from searching_points import around, passages

MILLION = 1_000_000
TIMES, ENOUGH_S = 3, 1.5  # so often, or until so much time went by
BEST, DEPTH = 10, 100  # documents of a ranking
JUDGED = 10  # documents of each query
QUESTIONS = 100  # of `retrieve`
LISTED, LISTS = 1000, 2  # documents of a ranking that is fused, and rankings
THRESHOLD = 0.9
ALIKE = 10  # items of a cluster
RECIPES = 8  # that vectors are compared with
TEXTS = 2000  # different ones; they come again behind a number

Run: TypeAlias = Callable[[], object]
Made: TypeAlias = Callable[[int], Run]
"""So many rows -> the call that is timed."""


@dataclass(frozen=True, slots=True)
class Work:
    """A function, and what it is given."""

    name: str
    of: str  # what a row is
    rows: int
    made: Made
    step: int = 1  # so many rows go together
    grows: Literal["linear", "quadratic"] = "linear"

    def of_share(self, share: float) -> "Work":
        """With fewer rows."""
        return replace(self, rows=max(2, round(self.rows * share / self.step)) * self.step)

    def measured(self, clock: Callable[[], float] = time.perf_counter) -> dict[str, object]:
        """For the JSON.

        Args:
            clock: seconds, rising.
        """
        sizes = (self.rows // 2 // self.step * self.step, self.rows)
        half, whole = (_seconds(self.made(rows), clock) for rows in sizes)
        times = MILLION / self.rows
        return {
            "name": self.name,
            "of": self.of,
            "rows": self.rows,
            "grows": self.grows,
            "took_s": spread(whole, 5),
            "twice_took": round(median(whole) / median(half), 2),
            "million_s": float(f"{median(whole) * (times if self.grows == 'linear' else times**2):.3g}"),
        }


def _seconds(run: Run, clock: Callable[[], float]) -> list[float]:
    took: list[float] = []
    while len(took) < TIMES and sum(took) < ENOUGH_S:
        began = clock()
        run()
        took.append(clock() - began)
    return took


def works(scratch: Path, dim: int, share: float = 1.0) -> list[Work]:
    """All of them.

    Args:
        scratch: for files that are read.
        share: of the usual sizes.
    """
    some = (*_of_rankings(), *_of_values(), *_of_vectors(dim), *_of_texts(), *_of_lists(), *_of_files(scratch))
    return [one.of_share(share) for one in some]


# ------------------------------------------------------------------------------------------------ rankings


def _of_rankings() -> Iterator[Work]:
    ranked = f"documents in rankings of {DEPTH}"
    cut: Mapping[str, Callable[[metrics.Qrels, metrics.Orders, int], metrics.Measured]] = {
        "ndcg": metrics.ndcg,
        "mrr": metrics.mrr,
        "recall": metrics.recall,
        "precision": metrics.precision,
        "hit": metrics.hit,
        "average_precision": metrics.average_precision,
        "judged": metrics.judged,
    }
    for name, measure in cut.items():
        yield Work(f"metrics.{name}", ranked, MILLION, partial(_judging, measure), DEPTH)
    yield Work("metrics.ndcg, sorting", f"documents with scores, {DEPTH} of each query", MILLION, _sorting, DEPTH)


def _judging(measure: Callable[[metrics.Qrels, metrics.Orders, int], metrics.Measured], rows: int) -> Run:
    qrels, orders = rankings(rows)
    return lambda: measure(qrels, orders, DEPTH)


def _sorting(rows: int) -> Run:
    qrels, orders = rankings(rows)
    scores = _values(DEPTH).tolist()
    run = {query: dict(zip(documents, scores, strict=True)) for query, documents in orders.items()}
    return lambda: metrics.ndcg(qrels, run, DEPTH)


@lru_cache(2)
def rankings(rows: int) -> tuple[metrics.Qrels, dict[str, list[str]]]:
    """Of each query DEPTH documents, and judgements of JUDGED of them."""
    orders = {f"q{query}": [f"d{query * 37 + rank * 101}" for rank in range(DEPTH)] for query in range(rows // DEPTH)}
    every = DEPTH // JUDGED
    qrels = {
        query: {document: rank % 3 for rank, document in enumerate(some[::every])} for query, some in orders.items()
    }
    return qrels, orders


# ------------------------------------------------------------------------------------------------ values


def _of_values() -> Iterator[Work]:
    yield Work("statistics.interval", "queries", MILLION, lambda rows: partial(interval, _values(rows)))
    yield Work("statistics.paired", "queries of two systems", 10_000, _pairing)
    yield Work("statistics.needed_queries", "queries", MILLION, lambda rows: partial(needed_queries, _values(rows)))
    yield Work("statistics.quantile", "samples", MILLION, lambda rows: partial(quantile, _values(rows), 0.99))
    yield Work("metrics.spearman", "pairs of values", MILLION, _correlating)
    yield Work("thresholds.calibrate", "pairs with grades", 10_000, _calibrating, 50)


def _values(rows: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random(rows)


def _pairing(rows: int) -> Run:
    baseline, candidate = ({str(row): value for row, value in enumerate(_values(rows, seed))} for seed in (0, 1))
    return lambda: paired(baseline, candidate, measure="ndcg@10", names=("one", "other"))


def _correlating(rows: int) -> Run:
    some, others = _values(rows).tolist(), _values(rows, 1).tolist()
    return lambda: metrics.spearman(some, others)


def _calibrating(rows: int) -> Run:
    cosines = _values(rows)
    grades = np.where(cosines + 0.3 * _values(rows, 1) > 0.8, 1.0, 0.0).tolist()
    return lambda: calibrate(cosines, grades, same_from=1.0)


# ------------------------------------------------------------------------------------------------ vectors


def _of_vectors(dim: int) -> Iterator[Work]:
    asked = f"documents of {dim}, {QUESTIONS} queries, the best {BEST}"
    yield Work("metrics.retrieve", asked, 100_000, partial(_retrieving, dim))
    alike = f"vectors of {dim}, of which each tenth is near to another"
    yield Work("near.clusters", alike, 16_384, partial(_clustering, dim), near.BLOCK, "quadratic")
    yield Work("near.pairs", alike, 16_384, partial(_pairing_near, dim), near.BLOCK, "quadratic")
    clustered = f"items with vectors of {dim}, in clusters of {ALIKE}"
    yield Work("keeping.settle", clustered, 20_000, partial(_settling, dim), ALIKE)
    yield Work("judging.judged", f"vectors, each tried by {RECIPES} recipes", MILLION, _judging_recipes)


def _retrieving(dim: int, rows: int) -> Run:
    questions = _units(QUESTIONS, dim)
    documents = around(questions, rows)
    return lambda: metrics.retrieve(questions, documents, BEST)


def _clustering(dim: int, rows: int) -> Run:
    vectors = _alike(dim, rows)
    return lambda: near.clusters(vectors, THRESHOLD)


def _pairing_near(dim: int, rows: int) -> Run:
    vectors = _alike(dim, rows)
    return lambda: sum(len(some.rows) for some in near.pairs(vectors, THRESHOLD))


def _alike(dim: int, rows: int) -> Floats:
    vectors = around(_units(QUESTIONS, dim), rows)
    vectors[::10] = around(vectors[1::10][: len(vectors[::10])], len(vectors[::10]), least=0.95, most=0.99)
    return vectors


def _settling(dim: int, rows: int) -> Run:
    """Clusters around their first ones, of which the usual rules keep some."""
    near_one = np.repeat(_units(rows // ALIKE, dim), ALIKE, axis=0) + 0.3 * _units(rows, dim)
    vectors = np.asarray(near_one / np.linalg.norm(near_one, axis=1, keepdims=True), np.float32)
    items = [Item(name=f"{row}.png", pixels=row % 7, modified_s=row % 11) for row in range(rows)]
    places = [range(first, first + ALIKE) for first in range(0, rows, ALIKE)]
    clusters = [
        Cluster(members=some, contents=some, nearest=some, nearest_similarity=[1.0] * ALIKE, vectors=vectors)
        for some in places
    ]
    return lambda: [settle(cluster, items, USUAL, THRESHOLD) for cluster in clusters]


def _judging_recipes(rows: int) -> Run:
    """One fits, and the others are as far as a wrong prompt is."""
    spec = hash_spec()
    reading = Reading(wording=Wording("text"), prompt="", max_tokens=spec.max_tokens)
    recipe, noise = Recipe(spec=spec, reading=reading, pooling=spec.pooling, dim=spec.dim), Stored("float32", 1e-16)
    lengths = np.ones(rows)
    off = [_values(rows, place) * (1e-2 if place else 1e-13) for place in range(RECIPES)]
    tried = [Tried(recipe, one, one, lengths, lengths) for one in off]
    return lambda: judged(tried, lengths, noise_of(noise, "float32"), keeps_length=True)


def _units(rows: int, dim: int) -> Floats:
    some = np.random.default_rng(7).standard_normal((rows, dim)).astype(np.float32)
    return np.asarray(some / np.linalg.norm(some, axis=1, keepdims=True), np.float32)


# ------------------------------------------------------------------------------------------------ texts and lists


def _of_texts() -> Iterator[Work]:
    bm25 = Bm25("en", average=60)
    reads: Mapping[str, Callable[[str], object]] = {
        "analysis.terms": lambda text: terms(text, "en"),
        "Bm25.document": bm25.document,
    }
    for name, read in reads.items():
        yield Work(name, "passages of some 65 words", 10_000, partial(_reading, read))


def _reading(read: Callable[[str], object], rows: int) -> Run:
    texts = _texts(rows)
    return lambda: [read(text) for text in texts]


def _texts(rows: int) -> list[str]:
    some = passages(min(rows, TEXTS))
    return [f"{row} {some[row % len(some)]}" for row in range(rows)]


def _of_lists() -> Iterator[Work]:
    fusions: Mapping[str, Callable[[list[fuse.Ranking[int]]], object]] = {
        "fuse.rrf": lambda lists: fuse.rrf(lists, limit=BEST),
        "fuse.dbsf": lambda lists: fuse.dbsf(lists, BEST),
        "fuse.weighted": lambda lists: fuse.weighted(lists, [1.0] * LISTS, BEST),
    }
    for name, fused in fusions.items():
        what = f"documents, {LISTS} lists of {LISTED:,} for each query"
        yield Work(name, what, 50 * LISTS * LISTED, partial(_fusing, fused), LISTS * LISTED)
    what = f"documents in rankings of {LISTED:,}, of which {DEPTH} were scored"
    yield Work("rerank.merged", what, 100 * LISTED, _merging, LISTED)


def _merging(rows: int) -> Run:
    """The same ranking again and again."""
    first = list(enumerate(np.sort(_values(LISTED))[::-1].tolist()))
    scored = list(enumerate(_values(DEPTH, 1).tolist()))
    return lambda: [merged(first, scored, BEST) for _ in range(rows // LISTED)]


def _fusing(fused: Callable[[list[fuse.Ranking[int]]], object], rows: int) -> Run:
    """The same two rankings again and again: half of the documents of one are in the other, too."""
    scores = np.sort(_values(LISTED))[::-1].tolist()
    places = np.random.default_rng(0).permutation(LISTED)
    lists = [list(zip((places + LISTED // 2 * number).tolist(), scores, strict=True)) for number in range(LISTS)]
    return lambda: [fused(lists) for _ in range(rows // LISTS // LISTED)]


# ------------------------------------------------------------------------------------------------ files


def _of_files(scratch: Path) -> Iterator[Work]:
    yield Work("sets.qrels.read_qrels", "judgements", 200_000, partial(_qrels, scratch), JUDGED)
    yield Work("sets.rankings.read_run", f"lines, {DEPTH} of each query", 200_000, partial(_run, scratch), DEPTH)
    yield Work("sets.opening.open_pairs", "rows of a CSV", 50_000, partial(_pairs, scratch))
    corpus = f"passages in a BEIR folder, each judged, {JUDGED} for each query"
    yield Work("sets.opening.open_labelled", corpus, 50_000, partial(_beir, scratch), JUDGED)
    asked = f"questions in a SQuAD JSON, {JUDGED} of each paragraph"
    yield Work("sets.opening.open_labelled", asked, 50_000, partial(_squad, scratch), JUDGED)


def _qrels(scratch: Path, rows: int) -> Run:
    path = scratch / f"{rows}.qrels"
    path.write_text("".join(f"q{row // JUDGED} 0 d{row} 1\n" for row in range(rows)))
    return lambda: read_qrels(path)


def _run(scratch: Path, rows: int) -> Run:
    path = scratch / f"{rows}.run"
    path.write_text("".join(f"q{row // DEPTH} Q0 d{row} 1 {1 / (1 + row % DEPTH)} tag\n" for row in range(rows)))
    return lambda: read_run(path)


def _pairs(scratch: Path, rows: int) -> Run:
    path, texts = scratch / f"{rows}.csv", _texts(rows)
    lines = (f'"{text[:80]}","{text[20:100]}",{row % 5}\n' for row, text in enumerate(texts))
    path.write_text("sentence1,sentence2,score\n" + "".join(lines))
    return lambda: open_pairs(path)


def _beir(scratch: Path, rows: int) -> Run:
    folder, texts = scratch / f"beir-{rows}", _texts(rows)
    (folder / "qrels").mkdir(parents=True)
    _write_json_lines(folder / "corpus.jsonl", "d", texts)
    _write_json_lines(folder / "queries.jsonl", "q", texts[: rows // JUDGED])
    judged = "".join(f"q{row // JUDGED}\td{row}\t1\n" for row in range(rows))
    (folder / "qrels/test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    return lambda: open_labelled(folder)


def _write_json_lines(path: Path, kind: str, texts: list[str]) -> None:
    path.write_text("".join(json.dumps({"_id": f"{kind}{row}", "text": text}) + "\n" for row, text in enumerate(texts)))


def _squad(scratch: Path, rows: int) -> Run:
    path, texts = scratch / f"{rows}.json", _texts(rows)
    paragraphs = [
        {
            "context": texts[first],
            "qas": [{"id": str(row), "question": texts[row][:80]} for row in range(first, first + JUDGED)],
        }
        for first in range(0, rows, JUDGED)
    ]
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return lambda: open_labelled(path)
