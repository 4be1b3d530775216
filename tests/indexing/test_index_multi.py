"""Vectors of tokens beside dense ones: which points have them, what keeps to them, and who refuses."""

import asyncio
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from embedstack.databases.database import Database
from embedstack.errors import BadRequest, Mismatch, Unsupported
from embedstack.search.found import How
from embedstack.search.hybrid import Searcher
from embedstack.testing.fake import hash_spec
from embedstack.types import Encode, Text
from support.indexed import DOCUMENTS, Shelf, words
from support.kinds import PGVECTOR, opening

SPEC = hash_spec(outputs=("dense", "sparse", "multi"))
FILES = {"a.txt": words(20), "b.txt": words(5, 100), "again.txt": words(5, 100), "none.txt": "of the and"}
HALF = 2**-11  # of a number of float16


def shelf_of(root: Path, **wished: object) -> Shelf:
    """Documents that are indexed with vectors of tokens."""
    made = Shelf(root, FILES, spec=SPEC)
    made.index(multi=True, **wished)
    return made


def vectors_in(database: Database) -> dict[str, np.ndarray]:
    """Of each chunk's text those of its tokens."""
    page = database.read(DOCUMENTS, limit=1000, vectors=["multi"])
    return {str(point.payload["text"]): np.asarray(point.vectors["multi"]) for point in page.points}


def encoded(shelf: Shelf, text: str) -> np.ndarray:
    request = Encode(model=SPEC.name, items=(Text(text),), outputs=frozenset({"multi"}))
    answer = asyncio.run(shelf.encoder.encode(request))
    assert answer.multi is not None
    return answer.multi[0]


# ------------------------------------------------------------------------------------------------ what is written


def test_every_chunk_has_a_vector_for_each_of_its_tokens(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path)
    with closing(shelf.database()) as database:
        found = vectors_in(database)
        there = database.describe(DOCUMENTS)

    assert len(found) == 5
    for text, vectors in found.items():
        assert np.abs(vectors - encoded(shelf, text)).max() <= HALF
    assert there is not None
    assert list(there.fields) == ["dense", "multi", "bm25"]
    assert (there.fields["multi"].storing, there.fields["multi"].dim) == ("float16", SPEC.dim)


def test_the_model_reads_a_chunk_once(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path)

    assert sorted(shelf.encoder.texts) == sorted(text for texts in shelf.texts().values() for text in texts)


def test_what_they_take_is_said(tmp_path: Path) -> None:
    assert "vectors of tokens are 32 numbers of float16 for each: 512 bytes of a chunk of 8 tokens" in (
        shelf_of(tmp_path).told.notes
    )


def test_a_collection_that_began_with_them_keeps_to_them(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path)
    shelf.put({"a.txt": words(6, 200)})

    done = shelf.index()

    with closing(shelf.database()) as database:
        found = vectors_in(database)
    assert (done.changed, done.unchanged) == (1, 3)
    assert np.abs(found[words(6, 200)] - encoded(shelf, words(6, 200))).max() <= HALF


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["embedded", "qdrant-local"])
def test_a_search_reranks_by_them(kind: str, tmp_path: Path) -> None:
    with opening(kind, tmp_path) as opener, closing(opener()) as database:
        shelf = Shelf(tmp_path / "shelf", FILES, spec=SPEC)
        shelf.index(database=database, multi=True)
        searcher = Searcher(database, DOCUMENTS, shelf.encoder)
        found = asyncio.run(searcher.search("word103 word104", How(reranker="multi")))

    assert {one.payload["doc_id"] for one in found.points[:2]} == {"b.txt", "again.txt"}
    assert all("rerank" in one.scores for one in found.points)
    assert found.fields == ("dense", "bm25")


# ------------------------------------------------------------------------------------------------ who refuses


def test_a_collection_that_began_without_them_gets_none(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, FILES, spec=SPEC)
    shelf.index()

    with pytest.raises(Mismatch, match=r"began without vectors of tokens, .* leave --multi out, or name a new --coll"):
        shelf.index(multi=True)


def test_a_model_that_has_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="--multi is for vectors of tokens, and model 'hash' gives none"):
        Shelf(tmp_path, FILES).index(multi=True)


def test_with_late_chunking_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="late chunking gives no vectors of tokens"):
        shelf_of(tmp_path, late_chunking=True)


@pytest.mark.parametrize("kind", [PGVECTOR])
def test_pgvector_refuses_them_and_names_a_database_that_takes_them(kind: str, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", FILES, spec=SPEC)
    with opening(kind, tmp_path) as opener, closing(opener()) as database:
        with pytest.raises(Unsupported, match="several vectors for each point, which pgvector has not; use Qdrant"):
            shelf.index(database=database, multi=True)

        assert database.names() == []


def test_without_them_documents_are_known_as_before(tmp_path: Path) -> None:
    """The digest was recorded before there were vectors of tokens (embedstack 0.1.0, `Shelf.index` of this file)."""
    shelf = Shelf(tmp_path, {"a.txt": "a"}, spec=hash_spec())
    shelf.index()

    ((payload, *_),) = shelf.points().values()
    assert payload["doc_digest"] == "850eae2c94ef71c83bf4b3cde9c6beea"
