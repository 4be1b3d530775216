"""The parts of an index that are pure: names of inputs, digests, ids, the choice of BM25."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from embedstack.databases.database import Collection, Points
from embedstack.documents.document import Document
from embedstack.errors import BadRequest, Mismatch
from embedstack.indexing.held import Chunk, Held, held
from embedstack.indexing.lexical import Letters, bm25_field, bm25_for, bm25_in, lexical_of, unread
from embedstack.indexing.naming import source_of
from embedstack.indexing.points import doc_digest, id_of, rules_digest
from embedstack.indexing.wish import IndexWish, Tenant
from embedstack.loading.ids import uuid_of
from embedstack.search.analysis import terms
from embedstack.search.bm25 import Bm25
from embedstack.testing.fake import hash_spec
from support.indexed import CHUNKING, DOCUMENTS, Shelf, at_once, words

WISH = IndexWish(chunking=CHUNKING)
CHUNK = "0123456789abcdef" * 2
RUSSIAN = "Панда спит на земле между двумя обедами. "
ENGLISH = "The panda sleeps on the ground between two meals. "

# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("given", "database", "name"),
    [
        ("file:///home/me/docs", "file:///home/me/.embedstack", "docs"),
        ("file:///home/me/docs/a.md", "file:///home/me/.embedstack", "docs/a.md"),
        ("file:///home/me", "file:///home/me/.embedstack", "."),
        ("file:///data/docs", "file:///home/me/store", "../../data/docs"),
        ("file:///home/me/my%20docs", "file:///home/me/store/", "my docs"),
        ("file:///home/me/docs", "http://localhost:6333", "file:///home/me/docs"),
        ("s3://bucket/docs", "file:///home/me/store", "s3://bucket/docs"),
    ],
)
def test_an_input_is_called_as_it_is_seen_from_beside_the_database(given: str, database: str, name: str) -> None:
    assert source_of(given, database) == name


# ------------------------------------------------------------------------------------------------ ids and digests


def test_without_a_tenant_a_point_has_the_id_that_a_load_gives() -> None:
    assert id_of(CHUNK, None) == uuid_of(CHUNK)


def test_ids_of_tenants_differ_from_each_other_and_are_always_the_same() -> None:
    tenants = [None, Tenant("org", "a"), Tenant("org", "b"), Tenant("team", "a")]

    assert len({id_of(CHUNK, tenant) for tenant in tenants}) == len(tenants)
    assert id_of(CHUNK, Tenant("org", "a")) == "f798cc4f-7fcc-5a0e-83eb-8b0fef745f13"


@pytest.mark.parametrize(
    "other",
    [
        Document("a", "text.", "text", {"year": 1}),
        Document("a", "text", "markdown", {"year": 1}),
        Document("a", "text", "text", {"year": 2}),
        Document("a", "text", "text"),
    ],
)
def test_another_text_form_or_metadata_is_another_digest(other: Document) -> None:
    one = Document("a", "text", "text", {"year": 1})

    assert digest(one) == digest(Document("b", "text", "text", {"year": 1}))
    assert digest(one) != digest(other)


@pytest.mark.parametrize("said", [{"rules": "2"}, {"file": "b"}, {"source": "b"}])
def test_other_rules_or_another_place_is_another_digest(said: dict[str, str]) -> None:
    assert digest(Document("a", "text")) != digest(Document("a", "text"), **said)


def digest(document: Document, rules: str = "1", file: str = "a", source: str = "a") -> str:
    return doc_digest(document, rules, file=file, source=source)


def test_rules_are_told_apart_wherever_they_differ() -> None:
    assert rules_digest("ab", "c") != rules_digest("a", "bc")


# ------------------------------------------------------------------------------------------------ what there is


def test_a_document_is_there_only_with_all_of_its_chunks() -> None:
    chunks = [Chunk(id_of(f"{index:032x}", None), "new", index, 3) for index in range(3)]

    assert Held("docs", "a", chunks).is_whole("new")
    assert not Held("docs", "a", chunks[1:]).is_whole("new")
    assert not Held("docs", "a", [chunks[0], chunks[0], chunks[1]]).is_whole("new")
    assert not Held("docs", "a", chunks).is_whole("old")
    assert not Held("docs", "a").is_whole("new")


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"doc_id": "a.txt", "chunk_id": CHUNK, "chunk_index": 0, "text": "of a job"},
        {"doc_id": 5, "chunk_id": [], "doc_digest": None},
    ],
)
def test_points_that_no_index_wrote_say_nothing(tmp_path: Path, payload: dict[str, object]) -> None:
    shelf = Shelf(tmp_path, {"a.txt": "a"})
    shelf.index()
    with closing(shelf.database()) as database:
        database.write(DOCUMENTS, Points(ids=[1], vectors={"": np.ones((1, 32), np.float32)}, payloads=[payload]))
        found = held(database, DOCUMENTS, None, at_once, lambda: False)

    assert {doc_id: len(one.chunks) for doc_id, one in found.items()} == {"a.txt": 1}


# ------------------------------------------------------------------------------------------------ BM25


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        ([ENGLISH], "en"),
        ([RUSSIAN], "ru"),
        ([RUSSIAN, ENGLISH], "ru"),
        ([RUSSIAN, *[ENGLISH] * 9], "en"),
        (["12 345"], "en"),
        ([], "en"),
    ],
)
def test_the_letters_decide_by_whose_rules_words_are_counted(texts: list[str], language: str) -> None:
    bm25, note = bm25_for(texts, WISH)

    assert bm25.language == language
    assert note


def test_a_language_that_was_wished_is_taken_and_not_talked_about() -> None:
    bm25, note = bm25_for([RUSSIAN], IndexWish(chunking=CHUNKING, language="none"))

    assert (bm25.language, note) == ("none", "")


@pytest.mark.parametrize(
    ("there", "texts", "is_told"),
    [
        ("en", [RUSSIAN], True),
        ("en", [ENGLISH, RUSSIAN], True),
        ("en", [RUSSIAN, *[ENGLISH] * 9], False),
        ("en", ["12 345"], False),
        ("ru", [RUSSIAN], False),
        ("none", [RUSSIAN], False),
    ],
)
def test_words_that_the_rules_of_a_collection_do_not_read_are_told(there: str, texts: list[str], is_told: bool) -> None:
    note = unread(Letters().add(texts), Bm25(there), "docs")  # type: ignore[arg-type] # one of the languages

    assert bool(note) is is_told


def test_russian_documents_in_an_english_collection_are_told_with_the_way_out(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"a.txt": ENGLISH})
    shelf.index()
    shelf.put({"b.txt": RUSSIAN})

    shelf.index()
    (note,) = shelf.told.notes
    shelf.put({"c.txt": RUSSIAN})
    shelf.index(language="en")

    assert note.startswith(
        "100% of the letters that were written are Cyrillic, and collection 'documents' counts words by"
    )
    assert "a new --collection with --language ru" in note
    assert shelf.told.notes == []


def test_of_an_english_collection_it_is_said_how_to_have_a_russian_one() -> None:
    _, note = bm25_for([ENGLISH], WISH)

    assert "for Russian begin a new collection with --language ru, for any other language with --language none" in note


def test_the_mean_length_is_that_of_the_chunks_that_have_terms() -> None:
    bm25, _ = bm25_for([ENGLISH, ENGLISH * 3, "!"], WISH)

    assert bm25.average == 2 * len(terms(ENGLISH, "en"))


def test_a_collection_keeps_the_bm25_that_it_has() -> None:
    bm25 = Bm25("ru", average=77.5)
    found = Collection(name="docs", fields={"bm25": bm25_field(bm25)})

    assert bm25_in(found, WISH) == bm25
    assert bm25_in(Collection(name="docs", fields={}), WISH) is None
    with pytest.raises(Mismatch, match="holds BM25 of the language 'ru', and 'en' was wished"):
        bm25_in(found, IndexWish(chunking=CHUNKING, language="en"))


def test_a_collection_with_the_models_own_sparse_vectors_keeps_to_them() -> None:
    found = Collection(name="docs", fields={"": bm25_field(Bm25("en")), "sparse": bm25_field(Bm25("en"))})
    spec = hash_spec(outputs=("dense", "sparse"))

    assert lexical_of(found, WISH, spec) == "model"
    assert lexical_of(None, WISH, spec) == "bm25"
    assert lexical_of(found, IndexWish(chunking=CHUNKING, lexical="none"), spec) == "none"


def test_a_language_for_what_is_no_bm25_is_refused() -> None:
    with pytest.raises(BadRequest, match="--language is for BM25"):
        lexical_of(None, IndexWish(chunking=CHUNKING, lexical="none", language="ru"), hash_spec())


def test_a_text_without_terms_has_no_bm25_vector(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"a.txt": "the of and", "b.txt": words(3)})
    shelf.index()

    assert {payload["doc_id"]: bm25 is not None for payload, _, bm25 in shelf.points().values()} == {
        "a.txt": False,
        "b.txt": True,
    }


def test_a_text_that_lost_its_terms_loses_its_bm25_vector(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"a.txt": words(3), "b.txt": words(3)})
    shelf.index()
    shelf.put({"a.txt": "the of and"})
    shelf.index()

    assert {payload["doc_id"]: bm25 is not None for payload, _, bm25 in shelf.points().values()}["a.txt"] is False
