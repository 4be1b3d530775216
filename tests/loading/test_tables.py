"""A finished job's table becomes rows in its order, with whose they are and what is gone since the job before."""

import dataclasses
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from embedstack.errors import BadRequest, ConfigError, EmbedstackError, Mismatch
from embedstack.jobs import layout
from embedstack.jobs.commit import Manifest, Part
from embedstack.jobs.deletions import DELETED, write_deleted
from embedstack.jobs.finished import finished
from embedstack.jobs.planning import load_plan
from embedstack.jobs.table import write_part
from embedstack.loading.ids import uuid_of
from embedstack.loading.job_table import JobTable
from embedstack.loading.opening import open_table
from embedstack.loading.source import How, Source
from embedstack.settings import Settings
from embedstack.storage.local import LocalStorage
from support.loadable import dense_of, flat, ids_of, payloads_of
from support.small_job import small_job
from support.tables import DIM, IDENTITY, WISH, job, probe, rows_of, vectors_of

DOCS = [
    {"a.md": ["one", "two", "three"], "b.md": ["four"]},
    {"empty.md": []},
    {"c.md": ["five", "six words here"]},
]
TEXTS = ["one", "two", "three", "four", "five", "six words here"]
SPARSE = replace(WISH, sparse=True)


def open_job(url: object, how: How | None = None, *, model: str = "") -> Source:
    return open_table(str(url), how or How(), model=model, settings=Settings(), say=lambda line: None)


def chunk_ids() -> list[str]:
    return [chunk_id for docs in DOCS for chunk_id in rows_of(docs).chunk_ids]


def with_part(storage: LocalStorage, place: int, **changed: object) -> None:
    """Another first part, which the manifest names as if the job had written it."""
    plan, manifest = load_plan(storage), finished(storage).manifest
    rows = dataclasses.replace(rows_of(DOCS[0]), **changed)  # type: ignore[arg-type]
    path = storage.root / manifest.parts[place].key
    made = write_part(path, rows, plan, 0)
    parts = list(manifest.parts)
    parts[place] = Part(parts[place].key, len(rows), made.bytes, made.sha256)
    storage.put(layout.MANIFEST, msgspec.json.encode(replace(manifest, parts=tuple(parts))))


# ------------------------------------------------------------------------------------------------ rows


def test_all_rows_of_all_parts_come_in_order(tmp_path: Path) -> None:
    source = open_job(job(tmp_path, DOCS).url)

    assert ids_of(source) == [uuid_of(chunk_id) for chunk_id in chunk_ids()]
    np.testing.assert_array_equal(dense_of(source), vectors_of(TEXTS))
    assert [payload["text"] for payload in payloads_of(source)] == TEXTS  # type: ignore[index]
    assert source.total == len(TEXTS)


def test_a_payload_has_all_that_the_table_has(tmp_path: Path) -> None:
    first = payloads_of(open_job(job(tmp_path, DOCS).url))[0]

    rows = rows_of(DOCS[0])
    assert first == {
        "doc_id": "a.md",
        "chunk_id": rows.chunk_ids[0],
        "chunk_index": 0,
        "text": "one",
        "tokens": 1,
        "content_hash": rows.content_hashes[0],
        "metadata": {"title": "a.md", "headings": ["one"]},
    }


def test_a_payload_is_made_as_asked_for(tmp_path: Path) -> None:
    source = open_job(job(tmp_path, DOCS).url, How(text_key="page_content", is_flat=True))

    first = payloads_of(source)[0]
    assert isinstance(first, dict)
    assert (first["page_content"], first["title"]) == ("one", "a.md")
    assert not {"text", "metadata"} & set(first)
    assert any("the keys of the metadata" in note for note in source.notes)


@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_reading_may_begin_at_any_row_of_a_table(tmp_path: Path, size: int) -> None:
    source = open_job(job(tmp_path, DOCS).url)
    whole = flat(source.batches(0, 3))

    assert len(whole) == len(TEXTS)
    for start in range(len(TEXTS) + 2):
        assert flat(source.batches(start, size)) == whole[start:]


def test_only_the_last_batch_is_smaller(tmp_path: Path) -> None:
    source = open_job(job(tmp_path, DOCS).url)

    assert [len(points) for points in source.batches(0, 5)] == [5, 1]
    assert [len(points) for points in source.batches(1, 4)] == [4, 1]


def test_parts_that_are_passed_over_are_not_read(tmp_path: Path) -> None:
    storage = job(tmp_path, DOCS)
    source = open_job(storage.url)
    (storage.root / finished(storage).manifest.parts[0].key).unlink()

    assert [point for points in source.batches(4, 9) for point in points.ids] == [
        uuid_of(one) for one in chunk_ids()[4:]
    ]


def test_ids_alone_are_those_of_the_rows(tmp_path: Path) -> None:
    source = open_job(job(tmp_path, DOCS).url)

    assert [point for some in source.ids() for point in some] == ids_of(source)


def test_vectors_of_a_table_in_float16_are_those_that_it_has(tmp_path: Path) -> None:
    wish = replace(WISH, storing="float16")
    source = open_job(job(tmp_path, DOCS, wish).url)

    np.testing.assert_array_equal(dense_of(source), vectors_of(TEXTS, wish))
    assert source.fields[""].storing == "float32"


def test_a_table_without_texts_has_payloads_without_texts(tmp_path: Path) -> None:
    source = open_job(job(tmp_path, DOCS, replace(WISH, with_text=False)).url, How(text_key="content"))

    assert all(not {"text", "content"} & set(payload) for payload in payloads_of(source))  # type: ignore[call-overload]


def test_a_table_of_no_rows_is_loaded_as_nothing(tmp_path: Path) -> None:
    source = open_job(job(tmp_path, [{"empty.md": []}]).url)

    assert (source.total, list(source.batches(0, 9)), list(source.ids())) == (0, [], [])
    assert source.fields[""].dim == DIM


@pytest.mark.slow
def test_what_a_runner_wrote_is_loaded(tmp_path: Path) -> None:
    made = small_job(tmp_path)
    made.planned()
    made.run()

    source = open_job(made.storage.url)

    ids = ids_of(source)
    assert len(ids) == len(set(ids)) == made.manifest().rows > 12
    assert source.fields[""].origin is not None
    assert len(source.fields[""].origin.probes) > 3


# ------------------------------------------------------------------------------------------------ whose


def test_whose_vectors_these_are_is_what_the_plan_says(tmp_path: Path) -> None:
    wish = replace(WISH, role="query")
    source = open_job(job(tmp_path, DOCS, wish).url, How(vector="text", distance="dot", storing="float16"))

    field = source.fields["text"]
    assert (field.kind, field.dim, field.distance, field.storing) == ("dense", DIM, "dot", "float16")
    assert field.origin is not None
    assert (field.origin.identity, field.origin.role, field.origin.basis) == (IDENTITY, "query", "made")
    assert field.origin.probes == (probe("a bird"),)


def test_a_model_that_is_named_is_not_opened(tmp_path: Path) -> None:
    source = open_job(job(tmp_path, DOCS).url, model="no-such-model")

    assert any("'no-such-model' is not opened" in note for note in source.notes)


def test_sparse_vectors_are_a_field_of_the_same_model(tmp_path: Path) -> None:
    source = open_job(job(tmp_path, DOCS, SPARSE).url, How(sparse="words"))

    field = source.fields["words"]
    assert (field.kind, field.dim, field.distance) == ("sparse", 0, "dot")
    assert field.origin is not None
    assert (field.origin.identity, field.origin.probes) == (IDENTITY, ())
    wanted = [row for docs in DOCS for row in rows_of(docs, SPARSE).sparse or ()]
    got = [vectors["words"] for _, vectors, _ in flat(source.batches(0, 4))]  # type: ignore[index]
    assert got == [(row.ids.tolist(), row.weights.tolist()) for row in wanted]


def test_sparse_vectors_of_a_table_may_be_left_out(tmp_path: Path) -> None:
    source = open_job(job(tmp_path, DOCS, SPARSE).url, How(sparse=None))

    assert list(source.fields) == [""]
    assert {name for points in source.batches(0, 4) for name in points.vectors} == {""}


def test_two_kinds_of_vectors_have_two_names(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="cannot both be called 'x'"):
        open_job(job(tmp_path, DOCS).url, How(vector="x", sparse="x"))


def test_a_text_is_not_called_like_another_column(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="'chunk_id' is another key"):
        open_job(job(tmp_path, DOCS).url, How(text_key="chunk_id"))


# ------------------------------------------------------------------------------------------------ digests


def test_the_same_table_has_the_same_digest_wherever_it_lies(tmp_path: Path) -> None:
    storage = job(tmp_path / "one", DOCS)
    shutil.copytree(tmp_path / "one", tmp_path / "two")

    assert open_job(tmp_path / "two").digest == open_job(storage.url).digest


def test_another_table_or_another_way_has_another_digest(tmp_path: Path) -> None:
    url = job(tmp_path / "one", DOCS).url
    others = [job(tmp_path / "two", DOCS[:1]).url, job(tmp_path / "three", DOCS, replace(WISH, storing="float16")).url]
    ways = [How(vector="x"), How(sparse=None), How(distance="l2"), How(storing="float16"), How(is_flat=True)]

    digests = {open_job(one).digest for one in (url, *others)} | {open_job(url, how).digest for how in ways}
    assert len(digests) == 8
    assert {len(digest) for digest in digests} == {64}


# ------------------------------------------------------------------------------------------------ what is gone


def with_deletions(tmp_path: Path) -> tuple[LocalStorage, LocalStorage]:
    """A job, and one that goes on from it without a.md."""
    before = job(tmp_path / "before", DOCS)
    now = job(tmp_path / "now", DOCS[1:], replace(WISH, since=before.url), is_finished=True)
    made = write_deleted(before, now, finished(now).manifest, tmp_path / "spool")
    manifest = replace(finished(now).manifest, deleted=DELETED, deleted_sha256=made.sha256)
    now.put(layout.MANIFEST, msgspec.json.encode(manifest))
    return before, now


def test_what_is_gone_since_the_job_before_is_told(tmp_path: Path) -> None:
    before, now = with_deletions(tmp_path)
    source = open_job(now.url)

    assert source.previous == load_plan(before).digest
    assert source.plan == load_plan(now).digest
    assert [list(some) for some in source.gone()] == [[uuid_of(chunk_id) for chunk_id in chunk_ids()[:4]]]


def test_of_a_job_before_that_is_gone_nothing_is_known(tmp_path: Path) -> None:
    before, now = with_deletions(tmp_path)
    shutil.rmtree(before.root)

    assert open_job(now.url).previous == ""


def test_a_job_of_its_own_has_nothing_before_it(tmp_path: Path) -> None:
    source = open_job(job(tmp_path, DOCS).url)

    assert source.previous is None
    assert list(source.gone()) == []


def test_a_list_that_is_not_the_jobs_deletes_nothing(tmp_path: Path) -> None:
    _, now = with_deletions(tmp_path)
    other = job(tmp_path / "other", [{"x.md": ["x"]}])
    write_deleted(job(tmp_path / "all", DOCS), other, finished(other).manifest, tmp_path / "spool")
    source = open_job(now.url)
    shutil.copy(other.root / DELETED, now.root / DELETED)

    with pytest.raises(Mismatch, match="is not what the manifest says"):
        next(source.gone())


# ------------------------------------------------------------------------------------------------ what is refused


def test_a_job_that_is_not_finished_is_refused_with_what_to_do(tmp_path: Path) -> None:
    storage = job(tmp_path, DOCS, is_finished=False)

    with pytest.raises(Mismatch, match="is not finished; run: embedstack job run"):
        open_job(storage.url)


def test_a_part_that_is_another_now_is_refused(tmp_path: Path) -> None:
    storage = job(tmp_path, DOCS)
    source = open_job(storage.url)
    path = storage.root / finished(storage).manifest.parts[0].key
    path.write_bytes(path.read_bytes() + b"x")

    with pytest.raises(Mismatch, match="its commit says"):
        next(source.batches(0, 2))


def test_a_part_of_another_job_is_refused_though_it_is_as_large(tmp_path: Path) -> None:
    storage = job(tmp_path / "a", DOCS)
    other = job(tmp_path / "b", DOCS, identity=replace(IDENTITY, space="6" * 32))
    source = open_job(storage.url)
    part = finished(storage).manifest.parts[0]
    shutil.copyfile(other.root / part.key, storage.root / part.key)

    assert (storage.root / part.key).stat().st_size == part.bytes
    with pytest.raises(Mismatch, match="is no part of this job; run: embedstack job verify"):
        next(source.batches(0, 2))


@pytest.mark.parametrize(
    ("number", "problem"), [(np.nan, "is not finite"), (np.inf, "is not finite"), (0.0, "is all zeros")]
)
def test_a_vector_that_no_job_writes_is_damage(tmp_path: Path, number: float, problem: str) -> None:
    storage = job(tmp_path, DOCS)
    vectors = vectors_of(TEXTS[:4])
    vectors[2] = number
    with_part(storage, 0, vectors=vectors)
    batches = open_job(storage.url).batches(0, 4)

    with pytest.raises(Mismatch, match=rf"row 2 of 'data/.*{problem}.*job verify"):
        next(batches)


def test_metadata_that_are_no_json_are_damage(tmp_path: Path) -> None:
    storage = job(tmp_path, DOCS)
    with_part(storage, 0, metadata=["{}", "{", "{}", "{}"])

    with pytest.raises(Mismatch, match="is not JSON"):
        next(open_job(storage.url).batches(0, 4))


def test_a_chunk_id_that_is_none_is_damage(tmp_path: Path) -> None:
    storage = job(tmp_path, DOCS)
    with_part(storage, 0, chunk_ids=["a", "b", "c", "d"])

    with pytest.raises(Mismatch, match="is no id of 32"):
        next(open_job(storage.url).batches(0, 4))


def test_a_manifest_of_another_plan_is_refused(tmp_path: Path) -> None:
    storage = job(tmp_path, DOCS)
    manifest = msgspec.json.decode(storage.get(layout.MANIFEST), type=Manifest)
    storage.put(layout.MANIFEST, msgspec.json.encode(replace(manifest, plan="0" * 64)))

    with pytest.raises(Mismatch, match="is of another plan"):
        open_job(storage.url)


def test_a_manifest_without_a_plan_is_no_job(tmp_path: Path) -> None:
    storage = job(tmp_path, DOCS)
    storage.delete(layout.PLAN)

    with pytest.raises(EmbedstackError, match="there is no job"):
        open_job(storage.url)


def test_nothing_is_not_a_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there; name a finished job"):
        open_job(tmp_path / "nowhere")


def test_closing_twice_is_once(tmp_path: Path) -> None:
    source = JobTable(job(tmp_path, DOCS), How())

    source.close()
    source.close()


def test_files_are_closed_where_reading_stops_in_the_middle(tmp_path: Path) -> None:
    """Warnings are errors, of files that were left open too."""
    batches = open_job(job(tmp_path, DOCS).url).batches(0, 1)

    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert list(batches) == []
