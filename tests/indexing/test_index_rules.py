"""What is embedded, replaced, left alone and deleted when a folder is indexed once more."""

import gzip
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from embedstack.chunks.chunk import Chunking
from embedstack.databases.bound import Bound
from embedstack.databases.database import Collection, Field, Loaded, Points
from embedstack.errors import BadRequest, Mismatch, NotReady, Unsupported
from embedstack.indexing.wish import Tenant
from embedstack.loading.ids import uuid_of
from embedstack.testing.fake import hash_spec
from support.indexed import DOCUMENTS, Shelf, reading, sources_of, words

THREE = {"a.md": f"# One\n\n{words(20)}", "deep/b.txt": words(5, 100), "c.txt": words(9, 200)}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Three documents that are indexed."""
    made = Shelf(tmp_path, THREE)
    made.index()
    return made


# ------------------------------------------------------------------------------------------------ the first time


def test_every_document_is_there_in_chunks(shelf: Shelf) -> None:
    assert shelf.texts()["deep/b.txt"] == [words(5, 100)]
    assert " ".join(" ".join(shelf.texts()["c.txt"]).split()) == words(9, 200)
    assert sorted(shelf.texts()) == ["a.md", "c.txt", "deep/b.txt"]


def test_every_point_has_a_dense_and_a_bm25_vector_that_are_signed(shelf: Shelf) -> None:
    with closing(shelf.database()) as database:
        there = database.describe(DOCUMENTS)

    assert there is not None
    assert {name: field.origin.identity.model for name, field in there.fields.items() if field.origin} == {
        "": "hash",
        "bm25": "bm25-en",
    }
    assert there.fields["bm25"].idf
    assert all(dense and bm25 for _, dense, bm25 in shelf.points().values())


def test_payloads_begin_as_a_jobs_rows_do(shelf: Shelf) -> None:
    payload, *_ = next(one for one in shelf.points().values() if one[0]["doc_id"] == "a.md")

    assert list(payload)[:7] == [
        "doc_id", "chunk_id", "chunk_index", "text", "tokens", "content_hash", "metadata"
    ]  # fmt: skip
    assert payload["metadata"]["headings"] == ["One"]
    assert (payload["file"], payload["source"]) == ("a.md", "docs")


def test_points_have_the_ids_that_a_load_of_a_job_gives_them(shelf: Shelf) -> None:
    assert all(id_ == uuid_of(payload["chunk_id"]) for id_, (payload, *_) in shelf.points().items())


def test_metadata_is_in_the_payload(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"a.md": "---\nauthor: Lind\n---\nsome text", "rows.jsonl": '{"text": "a row", "year": 7}'})
    shelf.index()

    metadata = {payload["doc_id"]: payload["metadata"] for payload, *_ in shelf.points().values()}
    assert metadata["a.md"]["author"] == "Lind"
    assert metadata["rows.jsonl#0"]["year"] == 7


def test_every_form_is_read(tmp_path: Path) -> None:
    forms: dict[str, str | bytes] = {
        "a.md": "# Title\n\nmarkdown",
        "b.txt": "text",
        "c.html": "<h1>Title</h1><p>page</p>",
        "d.jsonl": '{"text": "line", "id": 7}',
        "e.csv": "text,year\ncell,1\n",
        "f.tsv": "text\tyear\ntab\t1\n",
        "g.txt.gz": gzip.compress(b"packed"),
    }
    shelf = Shelf(tmp_path, forms)
    shelf.index()

    assert {doc_id: chunks[-1].split()[-1] for doc_id, chunks in shelf.texts().items()} == {
        "a.md": "markdown",
        "b.txt": "text",
        "c.html": "page",
        "d.jsonl#id=7": "line",
        "e.csv#0": "cell",
        "f.tsv#0": "tab",
        "g.txt.gz": "packed",
    }


# ------------------------------------------------------------------------------------------------ once more


def test_what_did_not_change_is_not_embedded_and_the_model_not_even_opened(shelf: Shelf) -> None:
    before, opened = shelf.points(), shelf.opened

    done = shelf.index()

    assert (done.unchanged, done.new, done.changed, done.gone, done.chunks) == (3, 0, 0, 0, 0)
    assert shelf.opened == opened
    assert shelf.points() == before


def test_only_what_changed_is_embedded(shelf: Shelf) -> None:
    shelf.put({"c.txt": words(9, 300)})

    done = shelf.index()

    assert (done.unchanged, done.changed) == (2, 1)
    assert " ".join(shelf.encoder.texts).split() == words(9, 300).split()


def test_a_document_that_became_shorter_loses_the_chunks_that_are_too_many(shelf: Shelf) -> None:
    shelf.put({"a.md": "# One\n\nshort"})

    done = shelf.index()

    assert shelf.texts()["a.md"] == ["# One\n\nshort"]
    assert done.deleted > 0


def test_a_document_that_is_gone_is_deleted(shelf: Shelf) -> None:
    shelf.put({"c.txt": None})

    done = shelf.index()

    assert sorted(shelf.texts()) == ["a.md", "deep/b.txt"]
    assert (done.gone, done.unchanged) == (1, 2)


def test_what_is_gone_stays_if_that_is_wished(shelf: Shelf) -> None:
    shelf.put({"c.txt": None})

    done = shelf.index(keep_gone=True)

    assert "c.txt" in shelf.texts()
    assert done.gone == 0


def test_a_document_that_was_emptied_is_gone(shelf: Shelf) -> None:
    shelf.put({"c.txt": ""})

    done = shelf.index()

    assert "c.txt" not in shelf.texts()
    assert (done.gone, dict(done.left_out)) == (1, {"empty": 1})


def test_a_renamed_document_is_a_new_one_and_the_old_one_is_gone(shelf: Shelf) -> None:
    shelf.put({"c.txt": None, "d.txt": THREE["c.txt"]})

    done = shelf.index()

    assert (done.new, done.gone) == (1, 1)
    assert sorted(shelf.texts()) == ["a.md", "d.txt", "deep/b.txt"]


def test_metadata_that_changed_changes_the_document(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"rows.jsonl": '{"text": "one", "year": 1}\n{"text": "two", "year": 2}'})
    shelf.index()
    shelf.put({"rows.jsonl": '{"text": "one", "year": 1}\n{"text": "two", "year": 3}'})

    done = shelf.index()

    assert (done.changed, done.unchanged) == (1, 1)
    assert shelf.encoder.texts == ["two"]


def test_other_chunks_are_made_of_all_documents_and_the_old_ones_are_deleted(shelf: Shelf) -> None:
    done = shelf.index(chunking=Chunking(strategy="window", tokens=5))

    assert (done.changed, done.unchanged) == (3, 0)
    assert all(payload["tokens"] <= 5 for payload, *_ in shelf.points().values())
    assert " ".join(" ".join(shelf.texts()["c.txt"]).split()) == words(9, 200)


def test_without_sparse_vectors_and_then_with_them_all_is_written_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, THREE)
    shelf.index(lexical="none")

    done = shelf.index(lexical="bm25")

    assert done.changed == 3
    assert all(bm25 for _, _, bm25 in shelf.points().values())


@pytest.mark.parametrize("is_loaded", [False, True])
def test_no_vector_stays_that_says_what_a_document_was_before(is_loaded: bool, shelf: Shelf) -> None:
    if is_loaded:  # which took the point for its own, and left alone the vector that it does not know
        with closing(shelf.database()) as database:
            page = database.read(DOCUMENTS, vectors=("",))
            dense = np.stack([point.vectors[""] for point in page.points])
            ids = [point.id for point in page.points]
            database.write(DOCUMENTS, Points(ids=ids, vectors={"": dense}, payloads=[{}] * len(ids)))
    shelf.put({"c.txt": words(9, 300)})
    shelf.index(lexical="none")

    assert shelf.texts()["c.txt"]
    assert [bm25 for _, _, bm25 in shelf.points().values()] == [None] * len(shelf.points())


def test_what_was_not_wished_is_as_the_collection_has_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, THREE, spec=hash_spec(outputs=("dense", "sparse")))
    shelf.index(lexical="model", dim=8)

    done = shelf.index()

    assert done.unchanged == 3
    assert all(len(dense) == 8 and sparse for _, dense, sparse in shelf.points().values())


# ------------------------------------------------------------------------------------------------ several inputs


def test_two_inputs_of_two_commands_stand_beside_each_other(shelf: Shelf) -> None:
    more = shelf.root / "more"
    more.mkdir()
    (more / "e.txt").write_text("something else")

    shelf.index(more)

    assert sorted(shelf.texts()) == ["a.md", "c.txt", "deep/b.txt", "e.txt"]
    assert sources_of(shelf.points()) == {"docs", "more"}


def test_a_document_whose_id_another_input_has_is_refused_and_nothing_is_written(shelf: Shelf) -> None:
    more = shelf.root / "more"
    more.mkdir()
    (more / "c.txt").write_text("another one")
    before = shelf.points()

    with pytest.raises(BadRequest, match=r"document 'c\.txt' of collection 'documents' is from 'docs', and 'more' has"):
        shelf.index(more)
    assert shelf.points() == before


def test_inputs_of_one_command_are_told_apart(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"a/same.txt": "the first", "b/same.txt": "the second"})
    shelf.index(shelf.docs / "a", shelf.docs / "b")

    assert shelf.texts() == {"a/same.txt": ["the first"], "b/same.txt": ["the second"]}


def test_a_document_may_move_between_the_inputs_of_one_command(tmp_path: Path) -> None:
    rows = '{"url": "x", "text": "a text"}'
    shelf = Shelf(tmp_path, {"a/rows.jsonl": rows, "b/other.txt": "other"})
    inputs = shelf.docs / "a", shelf.docs / "b"
    shelf.index(*inputs, reading=reading(id_field="url"))
    shelf.put({"a/rows.jsonl": '{"url": "y", "text": "another"}', "b/rows.jsonl": rows})

    done = shelf.index(*inputs, reading=reading(id_field="url"))

    files = {payload["doc_id"]: (payload["source"], payload["file"]) for payload, *_ in shelf.points().values()}
    assert (done.new, done.changed, done.gone) == (1, 1, 0)
    assert files["x"] == ("docs/b", "b/rows.jsonl")


def test_folder_and_database_may_move_together(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "before", THREE)
    shelf.index()
    shelf.move(tmp_path / "after")

    assert shelf.index().unchanged == 3


def test_of_two_documents_with_one_id_the_first_is_there_and_the_other_is_named_each_time(tmp_path: Path) -> None:
    rows = [{"url": "x", "text": "the first"}, {"url": "y", "text": "alone"}, {"url": "x", "text": "the second"}]
    shelf = Shelf(tmp_path, {"rows.jsonl": "\n".join(map(json.dumps, rows))})
    shelf.index(reading=reading(id_field="url"))

    done = shelf.index(reading=reading(id_field="url"))

    assert shelf.texts() == {"x": ["the first"], "y": ["alone"]}
    assert (done.unchanged, shelf.told.codes) == (2, {"x": "twice"})


# ------------------------------------------------------------------------------------------------ tenants


def test_tenants_have_documents_of_equal_names(shelf: Shelf) -> None:
    for value in ("acme", "bolt"):
        shelf.index(tenant=Tenant("org", value))
    shelf.put({"c.txt": None})

    done = shelf.index(tenant=Tenant("org", "bolt"))

    owners = {(payload.get("org"), payload["doc_id"]) for payload, *_ in shelf.points().values()}
    assert done.gone == 1
    assert {owner for owner, doc_id in owners if doc_id == "c.txt"} == {None, "acme"}
    assert {owner for owner, doc_id in owners if doc_id == "a.md"} == {None, "acme", "bolt"}


def test_a_tenant_cannot_be_told_by_a_key_of_every_point() -> None:
    with pytest.raises(BadRequest, match="'doc_id' is a key of every point"):
        Tenant("doc_id", "acme")


# ------------------------------------------------------------------------------------------------ other models


def test_a_model_of_another_space_is_refused_naming_both_and_nothing_is_written(shelf: Shelf) -> None:
    before = shelf.points()
    shelf.spec = hash_spec("other")

    with pytest.raises(Mismatch, match=r"holds vectors of 'hash' .* these are of 'other'"):
        shelf.index()
    assert (shelf.points(), shelf.opened) == (before, 1)


def test_a_collection_that_nobody_has_signed_is_refused_unless_it_is_claimed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, THREE)
    with closing(shelf.database()) as database:
        database.create(Collection(name=DOCUMENTS, fields={"": Field(dim=32)}))
        database.write(DOCUMENTS, Points(ids=[1], vectors={"": _row()}, payloads=[{"mine": True}]))

    with pytest.raises(Mismatch, match="nobody has signed"):
        shelf.index()
    assert shelf.index(claim=True).new == 3
    assert shelf.points()[1][0] == {"mine": True}


def test_a_model_without_dense_vectors_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, THREE, spec=hash_spec(outputs=("sparse",)))

    with pytest.raises(Unsupported, match=r"'hash' gives sparse vectors and no dense ones, .* with --model"):
        shelf.index()


def test_a_model_without_sparse_vectors_is_refused_where_they_are_wished(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="has no sparse vectors; leave --sparse out"):
        Shelf(tmp_path, THREE).index(lexical="model")


# ------------------------------------------------------------------------------------------------ loads


def test_points_that_others_wrote_are_left_alone(shelf: Shelf) -> None:
    with closing(shelf.database()) as database:
        payload = {"doc_id": "c.txt", "chunk_id": "0" * 32, "chunk_index": 0, "text": "of a job"}
        bound = Bound(database, DOCUMENTS, {"": database.describe(DOCUMENTS).fields[""].origin})
        bound.write(Points(ids=[uuid_of("0" * 32)], vectors={"": _row()}, payloads=[payload]))
    shelf.put({"c.txt": None})
    shelf.index()

    assert shelf.texts()["c.txt"] == ["of a job"]


def test_a_points_payload_that_a_load_replaced_is_written_again(shelf: Shelf) -> None:
    before = shelf.points()
    with closing(shelf.database()) as database:
        id_, (payload, *_) = next(one for one in before.items() if one[1][0]["doc_id"] == "c.txt")
        as_loaded = {key: payload[key] for key in ("doc_id", "chunk_id", "chunk_index", "text")}
        database.write(DOCUMENTS, Points(ids=[id_], vectors={}, payloads=[as_loaded]))

    assert shelf.index().new + shelf.told.chunks > 0
    assert shelf.points() == before


def test_the_mark_of_a_load_is_taken_away_since_its_rows_may_be_replaced(shelf: Shelf) -> None:
    with closing(shelf.database()) as database:
        database.mark(DOCUMENTS, Loaded(source="1" * 64, rows=3, is_whole=True))
    shelf.index()
    with closing(shelf.database()) as database:
        untouched = database.describe(DOCUMENTS).loaded
    shelf.put({"c.txt": "new"})

    shelf.index()

    with closing(shelf.database()) as database:
        assert database.describe(DOCUMENTS).loaded is None
    assert untouched is not None  # where nothing is written
    assert any("load it again" in note for note in shelf.told.notes)


# ------------------------------------------------------------------------------------------------ dry, stopped


def test_a_dry_run_counts_and_writes_nothing(shelf: Shelf) -> None:
    before = shelf.points()
    shelf.put({"a.md": "changed", "c.txt": None, "new.txt": "new"})

    done = shelf.index(dry_run=True)

    assert (done.new, done.changed, done.unchanged, done.gone) == (1, 1, 1, 1)
    assert (shelf.points(), shelf.opened) == (before, 1)


def test_a_dry_run_makes_no_folder(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, THREE)
    done = shelf.index(dry_run=True)

    assert done.new == 3
    assert not (tmp_path / "store").exists()


def test_who_wants_the_end_gets_it_and_the_next_one_goes_on(shelf: Shelf) -> None:
    shelf.put({"a.md": "changed"})

    with pytest.raises(NotReady, match="run the same command again"):
        shelf.index(is_stopped=lambda: True)
    assert shelf.index().changed == 1


def _row() -> object:
    return np.ones((1, 32), np.float32)
