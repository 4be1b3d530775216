"""BM25 against Lucene's formula in bm25s, and its products against Qdrant's engine."""

import json
import math
import random
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import bm25s
import msgspec
import numpy as np
import pytest
import qdrant_edge as edge
from numpy.typing import NDArray

from embedstack.databases.embedded.sparse import inverted, nearest_sparse
from embedstack.errors import BadRequest, Mismatch
from embedstack.origin import Identity
from embedstack.search.analysis import Language, terms
from embedstack.search.bm25 import AVERAGE, IDS, Bm25, known, term_id
from embedstack.types import Sparse

ROUNDED = 1e-6  # a product of float32, and sums of a few of them
EMPTY = ["", "?!", "\0", "\ud800"]

draw = random.Random(7)
VOCABULARY = [f"{first}{second}{number}" for first in "bdg" for second in ("in", "aml", "я") for number in range(8)]
COMMON = [1 / rank for rank in range(1, len(VOCABULARY) + 1)]
DOCUMENTS = [" ".join(draw.choices(VOCABULARY, COMMON, k=draw.randint(1, 40))) for _ in range(200)]
QUERIES = [" ".join(draw.choices(VOCABULARY, k=draw.randint(1, 6))) for _ in range(40)] + [f"{VOCABULARY[0]} " * 3]


def _weights(vector: Sparse) -> dict[int, float]:
    return dict(zip(vector.ids.tolist(), vector.weights.tolist(), strict=True))


def _by_the_book(model: Bm25, text: str) -> dict[int, float]:
    counts = Counter(terms(text, model.language))
    damping = model.k1 * (1 - model.b + model.b * sum(counts.values()) / model.average)
    return {term_id(term): tf * (model.k1 + 1) / (tf + damping) for term, tf in counts.items()}


@cache
def _of_corpus(language: Language, k1: float = 1.5, b: float = 0.75) -> Bm25:
    return Bm25.of(language, [len(terms(text, language)) for text in DOCUMENTS], k1=k1, b=b)


@cache
def _corpus_by_the_book(model: Bm25) -> list[dict[int, float]]:
    return [_by_the_book(model, text) for text in DOCUMENTS]


# ------------------------------------------------------------------------------------------------ weights


@pytest.mark.parametrize(
    "model", [Bm25("ru"), Bm25("en", average=3), Bm25("none", k1=0), Bm25("en", k1=9.5, b=1, average=1)]
)
def test_a_document_weighs_as_the_formula_says(model: Bm25) -> None:
    assert all(_weights(model.document(text)) == pytest.approx(_by_the_book(model, text)) for text in DOCUMENTS)


def test_a_term_of_a_query_weighs_as_often_as_it_is_there() -> None:
    assert _weights(Bm25("en").query("Wagons, a wagon: the WAGON of trains")) == {
        term_id("wagon"): 3,
        term_id("train"): 1,
    }


@pytest.mark.parametrize("text", [*EMPTY, "the и of"])
def test_a_text_without_terms_has_no_weights(text: str) -> None:
    model = Bm25("ru")

    assert [len(vector.ids) for vector in (model.document(text), model.query(text))] == [0, 0]
    assert (model.document(text).ids.dtype, model.document(text).weights.dtype) == (np.int32, np.float32)


def test_ids_rise_and_weights_are_above_zero() -> None:
    vectors = [made for text in DOCUMENTS for made in (Bm25("ru").document(text), Bm25("ru").query(text))]

    assert all((np.diff(vector.ids) > 0).all() and (vector.weights > 0).all() for vector in vectors)
    assert {(vector.ids.dtype, vector.weights.dtype) for vector in vectors} == {(np.dtype("i4"), np.dtype("f4"))}


@pytest.mark.parametrize("model", [Bm25("none", k1=100, average=1), Bm25("none", average=1e9), Bm25("none", k1=0, b=0)])
def test_weights_of_the_longest_text_are_above_zero(model: Bm25) -> None:
    (weight, *_) = model.document("a " + "b " * 100_000).weights.tolist()

    assert 0 < weight < math.inf


# ------------------------------------------------------------------------------------------------ ids


def test_ids_stay_as_they_were_recorded() -> None:
    # derived: int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "big") % 10**9
    assert [term_id(term) for term in ("wagon", "вагон", "x" * 100)] == [77827380, 79072914, 645371937]


def test_terms_of_one_id_share_it_with_both_weights() -> None:
    first, second = "term17508", "term49787"  # derived: the first two of term0, term1, ... with one id
    model = Bm25("none")

    assert _weights(model.query(f"{first} {second} {second}")) == {term_id(first): 3}
    assert _weights(model.document(f"{first} {second}")) == pytest.approx(
        {term_id(first): 2 * _weights(model.document(f"{first} other"))[term_id(first)]}
    )


def test_few_terms_share_an_id() -> None:
    count = 20_000
    shared = count - len({term_id(f"term{number}") for number in range(count)})

    assert shared <= 4  # 0.2 are expected
    assert all(0 <= term_id(f"term{number}") < IDS for number in range(1000))


# ------------------------------------------------------------------------------------------------ scores


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.EdgeShard]:
    """The documents in Qdrant's engine, by their number."""
    params = edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)
    shard = edge.EdgeShard.create(
        str(tmp_path_factory.mktemp("shard")), edge.EdgeConfig(vectors={}, sparse_vectors={"terms": params})
    )
    vectors = [_of_corpus("ru").document(text) for text in [*DOCUMENTS, *EMPTY]]
    points = [edge.Point(number, {"terms": _theirs(vector)}, {}) for number, vector in enumerate(vectors)]
    shard.update(edge.UpdateOperation.upsert_points(points))
    yield shard
    shard.close()


def _theirs(vector: Sparse) -> edge.SparseVector:
    return edge.SparseVector(vector.ids.tolist(), vector.weights.tolist())


def _scores_by_the_book(model: Bm25, query: str) -> dict[int, float]:
    """Document -> score, of those that share a term; documents without terms are in no count."""
    corpus = _corpus_by_the_book(model)
    scores: dict[int, float] = {}
    for term in map(term_id, terms(query, model.language)):
        having = [number for number, weights in enumerate(corpus) if term in weights]
        rarity = math.log(1 + (len(corpus) - len(having) + 0.5) / (len(having) + 0.5))
        for number in having:
            scores[number] = scores.get(number, 0.0) + rarity * corpus[number][term]
    return scores


def test_qdrant_scores_as_the_formula_says(shard: edge.EdgeShard) -> None:
    model = _of_corpus("ru")
    asked = [edge.Query.Nearest(_theirs(model.query(query)), "terms") for query in QUERIES]
    found = [{hit.id: hit.score for hit in shard.query(edge.QueryRequest(limit=1000, query=one))} for one in asked]

    for query, scores in zip(QUERIES, found, strict=True):
        assert scores == pytest.approx(_scores_by_the_book(model, query), rel=ROUNDED)


def test_the_database_in_memory_scores_as_the_formula_says() -> None:
    model = _of_corpus("ru")
    made = [model.document(text) for text in DOCUMENTS]
    index = inverted([vector.ids for vector in made], [vector.weights for vector in made])

    for query in QUERIES:
        places, scores = nearest_sparse(index, model.query(query), idf=True, limit=1000, least=None, places=None)
        found = dict(zip(places.tolist(), scores.tolist(), strict=True))
        assert found == pytest.approx(_scores_by_the_book(model, query), rel=ROUNDED)


@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.4), (1.2, 0.0)])
def test_scores_are_those_of_lucene_times_k1_and_one(k1: float, b: float) -> None:
    model = _of_corpus("en", k1, b)
    judge = bm25s.BM25(method="lucene", k1=k1, b=b)
    judge.index([terms(text, "en") for text in DOCUMENTS], show_progress=False)

    for query in QUERIES:
        ours = _scores_by_the_book(model, query)
        scores = [ours.get(number, 0.0) / (k1 + 1) for number in range(len(DOCUMENTS))]
        np.testing.assert_allclose(judge.get_scores(terms(query, "en")), scores, rtol=ROUNDED)


def test_documents_weigh_as_those_of_qdrants_own_bm25() -> None:
    config = edge.Bm25Config(k=1.2, b=0.5, avg_len=20.0, tokenizer=edge.TokenizerType.Word, language="english")
    judge, model = edge.Bm25(config), Bm25("en", k1=1.2, b=0.5, average=20)

    for text in DOCUMENTS:
        assert sorted(model.document(text).weights.tolist()) == pytest.approx(sorted(judge.embed_document(text).values))


# ------------------------------------------------------------------------------------------------ the mean


def test_the_mean_is_of_documents_that_have_terms() -> None:
    assert Bm25.of("en", [0, 3, 0, 4, 8]) == Bm25("en", average=5)


@pytest.mark.parametrize("lengths", [[], [0, 0]])
def test_documents_without_terms_have_no_mean(lengths: list[int]) -> None:
    with pytest.raises(BadRequest, match="no document has a term"):
        Bm25.of("en", lengths)


@pytest.mark.parametrize(
    "wrong",
    [
        {"k1": -0.1},
        {"k1": math.nan},
        {"k1": 101},
        {"b": 1.01},
        {"b": math.nan},
        {"average": 0.5},
        {"average": math.inf},
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    (name, value), *_ = wrong.items()
    with pytest.raises(BadRequest, match=f"{name}={value!r} of BM25 is not from"):
        Bm25("en", **wrong)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(BadRequest, match="'english' is not known"):
        Bm25("english")


# ------------------------------------------------------------------------------------------------ identity


def test_whatever_decides_a_weight_is_another_space() -> None:
    models = [Bm25("en"), Bm25("ru"), Bm25("none"), Bm25("en", k1=1.2), Bm25("en", b=0.7), Bm25("en", average=255.9)]

    assert len({model.identity.space for model in models}) == len(models)


def test_a_whole_number_is_the_same_space_as_its_float() -> None:
    assert Bm25("en", k1=2, b=1, average=256).identity == Bm25("en", k1=2.0, b=1.0, average=np.float64(256)).identity


def test_the_identity_says_whose_vectors_they_are() -> None:
    made = Bm25("ru").identity

    assert (made.model, made.dim, made.max_tokens, made.fingerprint) == ("bm25-ru", 0, 0, made.space)
    assert made.revision == f"1 k1=1.5 b=0.75 average={AVERAGE}"


def test_spaces_stay_as_they_were_recorded() -> None:
    # recorded: analysis 1; another space makes every collection that is there another's
    assert Bm25("none").identity.space == "b3eecfff3879538cd5e06e91cdcec337"


@pytest.mark.parametrize("model", [Bm25("en"), Bm25("ru", k1=1.2, b=0), Bm25.of("none", [7, 7, 8])])
def test_an_identity_is_enough_to_make_the_same(model: Bm25) -> None:
    assert known(model.identity) == model


@pytest.mark.parametrize(
    "wrong",
    [
        {"space": "0" * 32},
        {"model": "bm25-de"},
        {"model": "BAAI/bge-m3"},
        {"revision": "2 k1=1.5 b=0.75"},
        {"revision": "1 k1=1.5 b=0.75 average=nan"},
        {"revision": "1 k1=1.5 b=0.75 average=many"},
        {"revision": "1 k1=1.5 b=0.75 average=255.0"},
    ],
)
def test_an_identity_of_somebody_else_is_refused(wrong: dict[str, str]) -> None:
    other: Identity = msgspec.structs.replace(Bm25("en").identity, **wrong)
    with pytest.raises(Mismatch, match="is no BM25 of this version"):
        known(other)


# ------------------------------------------------------------------------------------------------ quality


@pytest.mark.quality
@pytest.mark.parametrize(("language", "least"), [("en", 0.955), ("ru", 0.935)])
def test_questions_find_their_paragraphs(labelled_sets: Path, language: Language, least: float) -> None:
    """Mean reciprocal rank of the first ten; without stems and stop words 0.950 and 0.852."""
    articles = json.loads((labelled_sets / f"xquad/xquad.{language}.json").read_bytes())["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    model = Bm25(language)
    made = [model.document(paragraph["context"]) for paragraph in paragraphs]
    index = inverted([vector.ids for vector in made], [vector.weights for vector in made])
    ranks = [
        _rank(
            nearest_sparse(index, model.query(asked["question"]), idf=True, limit=10, least=None, places=None)[0], place
        )
        for place, paragraph in enumerate(paragraphs)
        for asked in paragraph["qas"]
    ]

    assert sum(ranks) / len(ranks) > least


def _rank(found: NDArray[np.int64], place: int) -> float:
    return next((1 / rank for rank, one in enumerate(found.tolist(), 1) if one == place), 0.0)
