"""What is compared before, while and after a job runs."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from embedstack.chunks.chunk import Chunking
from embedstack.documents.document import Reading, Segment
from embedstack.errors import Mismatch
from embedstack.jobs.checking import (
    Files,
    check_identity,
    check_input,
    check_versions,
    differences,
    exact_note,
    input_changes,
)
from embedstack.jobs.plan import Exact, Wish
from embedstack.storage.storage import Entry
from support.small_job import small_job

URL = "file:///made/vectors"


def planned(*names: str) -> list[Segment]:
    return [Segment(name, 5, "1", 1) for name in names]


def there(*names: str, version: str = "1") -> list[Entry]:
    return [Entry(name, 5, version, 0.0) for name in names]


def test_an_equal_input_has_no_changes() -> None:
    found = input_changes(planned("a", "b"), there("a", "b"))

    assert (found.changed.count, found.missing.count, found.new.count) == (0, 0, 0)


def test_segments_of_one_file_are_one_file() -> None:
    twice = [Segment("a", 5, "1", 1), Segment("a", 5, "1", 1, first=1)]

    assert input_changes(twice, there("a")) == input_changes(planned("a"), there("a"))


@pytest.mark.parametrize(
    ("now", "changed", "missing", "new"),
    [
        (there("a", "c"), (), ("b",), ()),
        (there("b", "c"), (), ("a",), ()),
        (there("a", "aa", "b", "c"), (), (), ("aa",)),
        (there("a", "bb", "c"), (), ("b",), ("bb",)),
        (there("0", "a", "c"), (), ("b",), ("0",)),
        ([*there("a"), *there("b", version="2"), *there("c")], ("b",), (), ()),
        ([], (), ("a", "b", "c"), ()),
    ],
)
def test_each_kind_of_change_is_found(
    now: list[Entry], changed: Sequence[str], missing: Sequence[str], new: Sequence[str]
) -> None:
    found = input_changes(planned("a", "b", "c"), now)

    assert (found.changed.first, found.missing.first, found.new.first) == (changed, missing, new)


def test_another_size_is_a_change() -> None:
    assert input_changes(planned("a"), [Entry("a", 6, "1", 0.0)]).changed == Files(1, ("a",))


def test_three_files_are_named_and_the_others_counted() -> None:
    with pytest.raises(Mismatch, match=r"5 missing \('a', 'b', 'c' and 2 more\)"):
        check_input(planned(*"abcde"), [], URL)


def test_new_files_are_only_noted() -> None:
    assert check_input(planned("a"), there("a", "b"), URL).new == Files(1, ("b",))


def test_a_new_file_that_is_empty_is_not_noted() -> None:
    assert check_input(planned("a"), [*there("a"), Entry("b", 0, "1", 0.0)], URL).new.count == 0


def test_what_to_do_about_another_input_is_said() -> None:
    with pytest.raises(Mismatch, match=f"--since {URL}$"):
        check_input(planned("a"), there("a", version="2"), URL)


def test_vectors_that_cannot_be_taken_over_are_not_promised_for_another_input() -> None:
    with pytest.raises(Mismatch, match=r"plan again into an empty folder$"):
        check_input(planned("a"), there("a", version="2"), "")


@pytest.mark.parametrize(
    ("flags", "can_lend"), [({}, True), ({"sparse": True}, False), ({"late_chunking": True}, False)]
)
def test_sparse_vectors_and_late_chunking_are_not_lent(flags: dict[str, bool], can_lend: bool) -> None:
    assert Wish(inputs=("in",), model="m", **flags).can_lend is can_lend


# ------------------------------------------------------------------------------------------ the model, the package


def test_another_model_is_refused_with_what_differs(tmp_path: Path) -> None:
    plan = small_job(tmp_path).planned()
    other = msgspec.structs.replace(plan.identity, fingerprint="f" * 32, revision="2")

    with pytest.raises(Mismatch, match="revision '1' -> '2'"):
        check_identity(plan, other)


def test_of_an_endpoint_without_fingerprint_all_that_it_says_must_be_equal(tmp_path: Path) -> None:
    plan = small_job(tmp_path).planned()
    nameless = msgspec.structs.replace(plan, identity=msgspec.structs.replace(plan.identity, fingerprint=""))
    check_identity(nameless, nameless.identity)

    with pytest.raises(Mismatch, match=r"space .* -> 'another'"):
        check_identity(nameless, msgspec.structs.replace(nameless.identity, space="another"))


def test_a_reader_of_another_version_is_refused(tmp_path: Path) -> None:
    plan = small_job(tmp_path).planned()
    wish = msgspec.structs.replace(plan.wish, reading=Reading(version=0), chunking=Chunking(version=0))

    with pytest.raises(Mismatch, match=r"reading 0 \(here: 1\), chunking 0 \(here: 1\)"):
        check_versions(msgspec.structs.replace(plan, wish=wish))


def test_a_library_of_another_version_that_cuts_texts_is_refused(tmp_path: Path) -> None:
    plan = small_job(tmp_path).planned()
    check_versions(plan)

    with pytest.raises(Mismatch, match=r"made with Unicode 1, and here are markdown-it-py .*; install those versions"):
        check_versions(msgspec.structs.replace(plan, cutters="Unicode 1"))


def test_an_equal_machine_gets_no_note() -> None:
    assert exact_note(Exact(where="here", version="1"), Exact(where="here", version="1")) == ""


def test_another_machine_is_told_with_what_differs() -> None:
    note = exact_note(Exact(where="here", version="1", threads=2), Exact(where="here", version="1", threads=4))

    assert "threads 2 -> 4" in note


def test_fields_of_parts_are_named_with_the_part() -> None:
    found = differences(Reading(), Reading(text_field="body"))

    assert found == ["text_field 'text' -> 'body'"]
