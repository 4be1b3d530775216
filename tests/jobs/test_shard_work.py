"""A shard is read and cut; what was made of it becomes rows and letters."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from embedstack.documents.document import Document, Segment, Unreadable
from embedstack.errors import Mismatch, NotReady, Unauthorized
from embedstack.jobs.dead import Letter
from embedstack.jobs.plan import Plan, Shard
from embedstack.jobs.shard_work import Made, Prepared, Preparing, Work, lengths_of, letters_of, rows_of
from embedstack.testing.fake import WordRuler
from embedstack.types import Ints
from support.small_job import small_job

Read = Document | Unreadable


class Listed:
    """Reads what a test gives it, and notes which files it was asked for."""

    def __init__(self, files: dict[str, list[Read]]) -> None:
        self.files, self.asked = files, list[str]()

    def read(self, segment: Segment) -> Iterator[Read]:
        self.asked.append(segment.key)
        yield from self.files[segment.key][segment.first : segment.first + segment.docs]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return small_job(tmp_path).planned()


def shard(**files: int) -> Shard:
    segments = tuple(Segment(key, 1, "v", docs) for key, docs in files.items())
    return Shard(3, sum(files.values()), 1, segments)


def preparing(plan: Plan, files: dict[str, list[Read]], tried: list[tuple[int, int, str]] | None = None) -> Preparing:
    said = [] if tried is None else tried
    return Preparing(plan, Listed(files), WordRuler(), threading.Event(), lambda *what: said.append(what))


def prepared(plan: Plan, *read: Read) -> Prepared:
    return preparing(plan, {"f": list(read)}).prepare(shard(f=len(read)))


def letter(plan: Plan, read: Read) -> Letter:
    ((_, found),) = prepared(plan, read).letters
    return found


TEXT = " ".join(f"w{number}" for number in range(40))


def test_chunks_know_their_document(plan: Plan) -> None:
    (work,) = prepared(plan, Document("a", TEXT)).works

    assert work.doc_id == "a"
    assert list(work.indexes) == [0, 1, 2]
    assert work.tokens == [16, 16, 8]


def test_ids_of_chunks_are_the_same_in_every_run(plan: Plan) -> None:
    first, second = (prepared(plan, Document("a", TEXT)).works[0].chunk_ids for _ in range(2))

    assert first == second
    assert len(set(first)) == 3


def test_metadata_of_document_and_chunk_are_one_object(plan: Plan) -> None:
    (work,) = prepared(plan, Document("a", "text", metadata={"title": "T", "a": 1})).works

    assert work.metadata == ['{"a":1,"strategy":"window","title":"T"}']


def test_what_could_not_be_read_is_a_letter(plan: Plan) -> None:
    found = letter(plan, Unreadable("a", "bad_json", "the line is no JSON"))

    assert (found.doc_id, found.code, found.message, found.shard) == ("a", "bad_json", "the line is no JSON", 3)


def test_an_empty_text_is_left_out_on_purpose(plan: Plan) -> None:
    found = letter(plan, Document("a", " \n "))

    assert (found.code, found.skipped) == ("empty", True)


@pytest.mark.parametrize("read", [Document("a", "lone \ud800"), Document("lone \udcff", "text")])
def test_what_is_no_unicode_is_a_letter_that_can_be_written(plan: Plan, read: Document) -> None:
    found = letter(plan, read)

    assert found.code == "bad_unicode"
    assert found.doc_id.encode()


def test_metadata_that_is_no_json_is_a_letter(plan: Plan) -> None:
    assert letter(plan, Document("a", "text", metadata={"x": 1 << 99})).code == "bad_metadata"


def test_of_equal_ids_the_first_stays_and_the_letter_names_both_places(plan: Plan) -> None:
    files: dict[str, list[Read]] = {"f": [Document("a", TEXT)], "g": [Document("b", TEXT), Document("a", "other")]}
    made = preparing(plan, files).prepare(shard(f=1, g=2))

    assert [(work.doc_id, work.source) for work in made.works] == [("a", "f"), ("b", "g")]
    ((place, found),) = made.letters
    assert (place, found.code, found.source, found.place, found.skipped) == (2, "duplicate_id", "g", 1, False)
    assert "document 0 of 'f'" in found.message


def test_an_id_is_free_while_no_document_has_rows_of_it(plan: Plan) -> None:
    made = prepared(plan, Unreadable("a", "bad_json", "no"), Document("a", " "), Document("a", TEXT))

    assert [work.number for work in made.works] == [2]
    assert [found.code for _, found in made.letters] == ["bad_json", "empty"]


def test_a_shard_that_is_feared_has_the_same_duplicates(plan: Plan) -> None:
    files: dict[str, list[Read]] = {"f": [Document("a", TEXT), Document("a", "two"), Document("b", "three")]}
    made = preparing(plan, files)

    assert list(made.each(shard(f=3), frozenset())) == list(made.each(shard(f=3)))


def test_a_place_in_the_file_is_told(plan: Plan) -> None:
    made = preparing(plan, {"f": [Document("a", "text"), Unreadable("b", "bad_json", "no")]})
    found = made.prepare(Shard(0, 1, 1, (Segment("f", 1, "v", 1, first=1),)))

    assert found.letters[0][1].place == 1


class PanicException(BaseException):
    """What a panic in Rust looks like."""


PanicException.__module__ = "pyo3_runtime"


class Failing(WordRuler):
    """Cannot read one word."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def offsets(self, texts: "list[str]") -> list[Ints]:  # type: ignore[override]
        if any("poison" in text for text in texts):
            raise self.error
        return super().offsets(texts)


def cut_by(plan: Plan, ruler: WordRuler) -> Prepared:
    files: dict[str, list[Read]] = {"f": [Document("a", "poison"), Document("b", "text")]}
    return Preparing(plan, Listed(files), ruler, threading.Event(), lambda *_: None).prepare(shard(f=2))


def test_a_text_that_ends_in_a_panic_is_a_letter(plan: Plan) -> None:
    found = cut_by(plan, Failing(PanicException("boom")))

    assert [one.code for _, one in found.letters] == ["panic"]
    assert [work.doc_id for work in found.works] == ["b"]


@pytest.mark.parametrize("error", [Unauthorized("no key"), KeyboardInterrupt(), ValueError("a bug")])
def test_what_is_no_texts_fault_is_raised(plan: Plan, error: BaseException) -> None:
    with pytest.raises(type(error)):
        cut_by(plan, Failing(error))


def test_a_file_with_fewer_documents_than_planned_is_refused(plan: Plan) -> None:
    with pytest.raises(Mismatch, match="no document 1 any more"):
        preparing(plan, {"f": [Document("a", "text")]}).prepare(shard(f=2))


def test_reading_ends_when_it_is_stopped(plan: Plan) -> None:
    stop = threading.Event()
    stop.set()
    made = Preparing(plan, Listed({"f": [Document("a", "text")]}), WordRuler(), stop, lambda *_: None)

    with pytest.raises(NotReady, match="stopping"):
        made.prepare(shard(f=1))


# ------------------------------------------------------------------------------------------------ with care


def test_a_feared_document_is_said_before_it_is_touched(plan: Plan) -> None:
    tried: list[tuple[int, int, str]] = []
    each = preparing(plan, {"f": [Document("a", "text"), Document("b", "text")]}, tried).each(shard(f=2), frozenset())
    next(each)

    assert tried == [(3, 0, ""), (3, 0, "a")]


def test_in_peace_nothing_is_said(plan: Plan) -> None:
    tried: list[tuple[int, int, str]] = []
    list(preparing(plan, {"f": [Document("a", "text")]}, tried).each(shard(f=1)))

    assert tried == []


def test_a_document_that_is_left_out_is_a_letter(plan: Plan) -> None:
    files: dict[str, list[Read]] = {"f": [Document("a", "text"), Document("b", "text"), Document("c", "text")]}
    first, second, third = preparing(plan, files).each(shard(f=3), frozenset({1}))

    assert isinstance(second, Letter)
    assert (second.doc_id, second.code, second.skipped) == ("b", "crashed", False)
    assert isinstance(first, Work)
    assert isinstance(third, Work)


def test_a_file_that_is_left_out_is_not_read(plan: Plan) -> None:
    listed = Listed({"f": [Document("f", "text")], "g": [Document("g", "text")]})
    made = Preparing(plan, listed, WordRuler(), threading.Event(), lambda *_: None)
    (letter, work) = made.each(shard(f=1, g=1), frozenset({0}))

    assert isinstance(letter, Letter)
    assert isinstance(work, Work)
    assert letter.doc_id == "f"


# ------------------------------------------------------------------------------------------------ what was made of it


def test_rows_are_in_order_of_document_and_chunk(plan: Plan) -> None:
    works = prepared(plan, Document("a", TEXT), Document("b", "text")).works
    rows = rows_of(Made(works, np.zeros((4, 32), np.float32), None, (), 0, 0, 0.0))

    assert list(zip(rows.doc_ids, rows.indexes, strict=True)) == [("a", 0), ("a", 1), ("a", 2), ("b", 0)]


def test_letters_are_in_order_of_the_input_whenever_they_were_written(plan: Plan) -> None:
    found = prepared(plan, Unreadable("a", "bad_json", "no"), Document("b", "text"), Unreadable("c", "bad_json", "no"))
    made = Made((), np.empty((0, 32), np.float32), None, [(found.works[0], "bad_vector", "no")], 0, 0, 0.0)

    assert [one.doc_id for one in letters_of(found, made)] == ["a", "b", "c"]


def test_lengths_are_counted_by_powers_of_two() -> None:
    assert lengths_of([1, 16, 17, 32, 33, 512]) == {"<=16": 2, "<=32": 2, "<=64": 1, "<=512": 1}
