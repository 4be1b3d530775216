"""JSON lines of any origin become rows; what cannot be loaded is named by its file and line."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from embedstack.documents.compressed import Torn
from embedstack.errors import BadRequest, ConfigError, Mismatch
from embedstack.loading.asserted import MOST
from embedstack.loading.ids import id_at, id_of
from embedstack.loading.source import BadRow, How
from support.loadable import (
    DIM,
    TEXTS,
    dense_of,
    flat,
    ids_of,
    json_lines,
    lines_of,
    payloads_of,
    row,
    vectors_of,
    written_lines,
)

ROWS = [row(text) for text in TEXTS]
WIDE = [1.0] * DIM


def loaded(tmp_path: Path, *rows: object, how: How | None = None) -> list[tuple[object, ...]]:
    """All of a file of some sound rows and these."""
    path = written_lines(tmp_path / "a.jsonl", [*ROWS, *rows])
    return flat(json_lines(path, how or How()).batches(0, 2))


# ------------------------------------------------------------------------------------------------ rows


def test_lines_become_rows_in_order(tmp_path: Path) -> None:
    source = json_lines(written_lines(tmp_path / "a.jsonl", ROWS))

    np.testing.assert_array_equal(dense_of(source), vectors_of(TEXTS))
    assert ids_of(source) == [id_of(text.split()[0])[0] for text in TEXTS]
    assert payloads_of(source) == [{"id": text.split()[0], "text": text} for text in TEXTS]


@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_reading_may_begin_at_any_row(tmp_path: Path, size: int) -> None:
    for name in ("a", "b"):
        written_lines(tmp_path / f"{name}.jsonl", [{**one, "id": f"{name}{one['id']}"} for one in ROWS])
    source = json_lines(tmp_path)
    whole = flat(source.batches(0, 3))

    assert len(whole) == 2 * len(ROWS)
    for start in range(len(whole) + 2):
        assert flat(source.batches(start, size)) == whole[start:]


def test_batches_go_on_over_the_end_of_a_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written_lines(tmp_path / f"{name}.jsonl", [{**one, "id": f"{name}{one['id']}"} for one in ROWS])

    assert [len(points) for points in json_lines(tmp_path).batches(0, 4)] == [4, 4, 2]


@pytest.mark.parametrize("key", ["vector", "embedding", "embedding_vector"])
def test_a_vector_has_one_of_three_names(tmp_path: Path, key: str) -> None:
    rows = [{"id": 1, "text": TEXTS[0], key: vectors_of(TEXTS[:1])[0].tolist()}]

    assert payloads_of(json_lines(written_lines(tmp_path / "a.jsonl", rows))) == [{"text": TEXTS[0]}]


def test_whole_numbers_are_numbers_too(tmp_path: Path) -> None:
    source = json_lines(written_lines(tmp_path / "a.jsonl", [{"vector": [1] + [0] * (DIM - 1)}]))

    assert dense_of(source).tolist() == [[1.0] + [0.0] * (DIM - 1)]


def test_all_other_keys_are_payload(tmp_path: Path) -> None:
    others = {"tags": ["a", "b"], "at": {"page": 3}, "metadata": {"k": 1}, "none": "x", "big": 2**70, "n": 1.5}
    source = json_lines(written_lines(tmp_path / "a.jsonl", [row(TEXTS[0], id=5, fingerprint="f" * 64, **others)]))

    assert payloads_of(source) == [{"text": TEXTS[0], **others, "big": str(2**70)}]


def test_the_payload_is_made_as_asked_for(tmp_path: Path) -> None:
    path = written_lines(tmp_path / "a.jsonl", [row(TEXTS[0], id=5, metadata={"k": 1})])

    assert payloads_of(json_lines(path, How(text_key="content", is_flat=True))) == [{"content": TEXTS[0], "k": 1}]


def test_what_a_job_exports_has_the_same_ids(tmp_path: Path) -> None:
    rows = [row(text, id=None, chunk_id=f"{place:032x}") for place, text in enumerate(TEXTS)]
    source = json_lines(written_lines(tmp_path / "a.jsonl", rows))

    assert ids_of(source)[1] == "00000000-0000-0000-0000-000000000001"
    assert payloads_of(source)[1] == {"chunk_id": f"{1:032x}", "text": TEXTS[1]}


def test_blank_lines_are_no_rows_and_count_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n" + lines_of([row(TEXTS[0], id=None)]) + b"  \r\n" + lines_of([row(TEXTS[1], id=None)]))

    assert ids_of(json_lines(path)) == [id_at("a.jsonl", 2), id_at("a.jsonl", 4)]


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + lines_of(ROWS))

    assert len(ids_of(json_lines(path))) == len(ROWS)


def test_a_last_line_needs_no_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines_of(ROWS).rstrip())

    assert len(ids_of(json_lines(path))) == len(ROWS)


def test_packed_files_give_the_same_rows(tmp_path: Path) -> None:
    plain = tmp_path / "a.jsonl"
    plain.write_bytes(lines_of(ROWS))
    for name, data in (("b.jsonl.gz", gzip.compress(lines_of(ROWS))), ("c.ndjson.zst", _zstd(lines_of(ROWS)))):
        (tmp_path / name).write_bytes(data)

    packed = [flat(json_lines(tmp_path / name).batches(1, 2)) for name in ("b.jsonl.gz", "c.ndjson.zst")]

    assert packed == [flat(json_lines(plain).batches(1, 2))] * 2


def test_an_empty_file_beside_others_has_no_rows(tmp_path: Path) -> None:
    written_lines(tmp_path / "a.jsonl", [])
    written_lines(tmp_path / "b.jsonl", ROWS)

    assert len(ids_of(json_lines(tmp_path))) == len(ROWS)


def test_rows_behind_many_empty_files_are_found(tmp_path: Path) -> None:
    for number in range(MOST):
        written_lines(tmp_path / f"{number:02}.jsonl", [])
    source = json_lines(written_lines(tmp_path / "last.jsonl", ROWS).parent)

    assert source.fields[""].origin is not None
    assert source.fields[""].origin.basis == "proven"
    assert len(ids_of(source)) == len(ROWS)


def test_lines_of_windows_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines_of(ROWS).replace(b"\n", b"\r\n") + b"\r\n")

    assert len(ids_of(json_lines(path))) == len(ROWS)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="it has no file that fails to be read")
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_disk_that_fails_is_told_with_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/proc/self/mem")  # its first byte is no memory

    with pytest.raises(ConfigError, match=rf"'{name}' cannot be read: Input/output error; run again"):
        json_lines(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_rows_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)

    with pytest.raises(BadRequest, match=r"there is no row in .*a.jsonl"):
        json_lines(tmp_path / "a.jsonl")


# ------------------------------------------------------------------------------------------------ ids


def test_ids_are_those_of_the_rows(tmp_path: Path) -> None:
    ids = [7, "x", None, "0" * 32, 8]
    rows = [row(text, id=given) for text, given in zip(TEXTS, ids, strict=True)]
    source = json_lines(written_lines(tmp_path / "a.jsonl", rows))

    assert [point for some in source.ids() for point in some] == ids_of(source)
    assert ids_of(source) == [7, id_of("x")[0], id_at("a.jsonl", 3), "00000000-0000-0000-0000-000000000000", 8]


def test_how_many_ids_of_each_kind_the_first_rows_have_is_told(tmp_path: Path) -> None:
    rows = [row(text, id=given) for text, given in zip(TEXTS, [7, "x", None, "0" * 32, 8], strict=True)]
    source = json_lines(written_lines(tmp_path / "a.jsonl", rows))

    assert source.notes[0].startswith("ids: 2 whole numbers, 1 UUIDs, 1 made of texts")


def test_an_id_twice_in_a_batch_is_refused_with_both_places(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match=r"line 6 of 'a.jsonl' has the same id as line 5 of 'a.jsonl': .*-.*; give"):
        loaded(tmp_path, row("six", id="five"))


@pytest.mark.parametrize(("given", "problem"), [(-1, "id -1 is outside"), (1.5, "id 1.5 is neither"), ("", "neither")])
def test_an_id_that_is_none_is_refused(tmp_path: Path, given: object, problem: str) -> None:
    with pytest.raises(BadRow, match=f"line 6 of 'a.jsonl': .*{problem}"):
        loaded(tmp_path, row("six", id=given))


# ------------------------------------------------------------------------------------------------ bad lines


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"not json", "is no JSON object"),
        (b'{"id": 1', "is no JSON object"),
        (b"[1, 2]", "is no JSON object"),
        (b'{"vector": [NaN, 1]}', "is no JSON object with finite numbers"),
        (b'{"vector": [1e999, 1]}', "is no JSON object with finite numbers"),
        (b'{"id": "\xff"}', "is not UTF-8 at its byte 8"),
        (b'{"id": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
    ],
)
def test_a_line_that_is_no_json_is_named(tmp_path: Path, line: bytes, problem: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines_of([{"id": n, "vector": WIDE} for n in range(70)]) + line + b"\n")
    source = json_lines(path)

    with pytest.raises(BadRow, match=f"line 71 of 'a.jsonl' .*{problem}"):
        list(source.batches(0, 7))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"embedding": None}, "the row has no vector"),
        ({"vector": WIDE}, "the row has vector and embedding"),
        ({"embedding": None, "vector": WIDE}, "called 'vector', and 'embedding' in line 1 of 'a.jsonl'"),
        ({"embedding": WIDE[1:]}, f"the vector has {DIM - 1} numbers, and {DIM} in line 1"),
        ({"embedding": []}, "the vector is an empty list"),
        ({"embedding": "AAAA"}, "the vector is str"),
        ({"embedding": ["1", *WIDE[1:]]}, "a list of other things than numbers"),
        ({"embedding": [True, *WIDE[1:]]}, "a list of other things than numbers"),
        ({"embedding": [[1.0], *WIDE[1:]]}, "a list of other things than numbers"),
        ({"embedding": [0.0] * DIM}, "the vector is all zeros"),
        ({"embedding": [1e39, *WIDE[1:]]}, "the vector has a number that is not finite as float32"),
        ({"embedding": [10**400, *WIDE[1:]]}, "the vector has a number that is not finite"),
        ({"sparse": {"1": 0.5}}, "the row has a sparse vector, and line 1 of 'a.jsonl' has none"),
    ],
)
def test_a_row_that_cannot_be_loaded_is_named(tmp_path: Path, changed: dict[str, object], problem: str) -> None:
    with pytest.raises(BadRow, match=f"line 6 of 'a.jsonl': .*{problem}"):
        loaded(tmp_path, row("six", **changed))


def test_a_null_vector_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match=r"line 6 of 'a.jsonl': the vector is NoneType"):
        loaded(tmp_path, {**row("six"), "embedding": None})


def test_what_float16_cannot_hold_is_refused_only_for_float16(tmp_path: Path) -> None:
    large = row("six", embedding=[1e5, *WIDE[1:]], text=None)

    assert len(loaded(tmp_path, large)) == 6
    with pytest.raises(BadRow, match=r"line 6 .* is not finite as float16"):
        loaded(tmp_path, large, how=How(storing="float16"))


def test_no_message_holds_what_a_line_says(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "secret words", "vector": [1, "hidden"]}\n')

    with pytest.raises(BadRow) as caught:
        json_lines(tmp_path / "a.jsonl")

    assert "secret" not in caught.value.message
    assert "hidden" not in caught.value.message


def test_rows_before_a_bad_batch_are_given(tmp_path: Path) -> None:
    path = written_lines(tmp_path / "a.jsonl", [*({"id": n, "vector": WIDE} for n in range(70)), {"id": 1}])
    batches = json_lines(path).batches(0, 10)

    assert [len(next(batches)) for _ in range(7)] == [10] * 7
    with pytest.raises(BadRow):
        next(batches)


def test_a_bad_row_among_the_first_is_found_when_the_source_is_opened(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match="line 2"):
        json_lines(written_lines(tmp_path / "a.jsonl", [ROWS[0], {"id": 1}]))


def test_a_line_that_is_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedstack.loading.json_lines.MOST_BYTES", 1000)

    with pytest.raises(BadRow, match=r"line 6 of 'a.jsonl' is longer than 1000 bytes"):
        loaded(tmp_path, row("six " * 1000))


def test_an_archive_that_is_cut_short_is_told(tmp_path: Path) -> None:
    rows = [{"id": n, "vector": WIDE, "note": os.urandom(1000).hex()} for n in range(500)]
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines_of(rows), 1)[:-1000])
    batches = json_lines(path).batches(0, 10)
    assert len(next(batches)) == 10

    with pytest.raises(Torn, match=r"'a.jsonl.gz' is damaged or ends too early"):
        for _ in batches:
            pass


# ------------------------------------------------------------------------------------------------ whose


def test_vectors_of_the_model_are_found_to_be_its_own(tmp_path: Path) -> None:
    origin = json_lines(written_lines(tmp_path / "a.jsonl", ROWS)).fields[""].origin

    assert origin is not None
    assert (origin.basis, origin.role, origin.identity.model, origin.identity.dim) == (
        "proven",
        "document",
        "hash",
        DIM,
    )


def test_a_row_that_the_model_would_not_have_made_is_named(tmp_path: Path) -> None:
    others = [*ROWS[:3], row("six", embedding=vectors_of(["seven"])[0].tolist())]

    with pytest.raises(Mismatch, match=r"the vector of line 4 of 'a.jsonl' has cosine .*0.999 is the least"):
        json_lines(written_lines(tmp_path / "a.jsonl", others))


def test_lines_of_one_fingerprint_are_loaded(tmp_path: Path) -> None:
    rows = [row(text, fingerprint="a" * 64) for text in TEXTS]
    source = json_lines(written_lines(tmp_path / "a.jsonl", rows))

    assert "fingerprint" not in payloads_of(source)[0]  # type: ignore[operator]
    assert any("another precision" in note for note in source.notes)


@pytest.mark.parametrize(("first", "second"), [("a" * 64, "b" * 64), ("a" * 64, None), (None, "b" * 64)])
def test_lines_of_two_fingerprints_are_refused_with_both(tmp_path: Path, first: str | None, second: str | None) -> None:
    rows = [row(TEXTS[0], fingerprint=first), row(TEXTS[1], fingerprint=second)]
    words = [f"fingerprint '{one}'" if one else "no fingerprint" for one in (second, first)]

    with pytest.raises(Mismatch, match=f"line 2 of 'a.jsonl' has {words[0]}, and line 1 of 'a.jsonl' has {words[1]}"):
        json_lines(written_lines(tmp_path / "a.jsonl", rows))


def test_a_second_fingerprint_is_found_however_far_behind(tmp_path: Path) -> None:
    rows = [row(f"text {n}", id=n, fingerprint="a") for n in range(70)] + [row("x", fingerprint="b")]
    source = json_lines(written_lines(tmp_path / "a.jsonl", rows))

    with pytest.raises(Mismatch, match=r"line 71 of 'a.jsonl' has fingerprint 'b'"):
        list(source.batches(0, 10))


# ------------------------------------------------------------------------------------------------ sparse


@pytest.mark.parametrize(
    "cell",
    [{"7": 0.5, "3": 1}, {"indices": [7, 3], "values": [0.5, 1]}, [{"id": 7, "weight": 0.5}, {"id": 3, "weight": 1}]],
)
def test_sparse_vectors_are_read_in_all_shapes(tmp_path: Path, cell: object) -> None:
    source = json_lines(written_lines(tmp_path / "a.jsonl", [row(TEXTS[0], sparse=cell)]))

    (point,) = flat(source.batches(0, 9))
    assert point[1]["sparse"] == ([3, 7], [1.0, 0.5])  # type: ignore[index]
    assert "sparse" not in point[2]  # type: ignore[operator]


def test_a_sparse_field_is_of_the_same_model(tmp_path: Path) -> None:
    path = written_lines(tmp_path / "a.jsonl", [row(TEXTS[0], sparse={})])
    fields = json_lines(path, How(vector="dense", sparse="words", distance="dot", storing="float16")).fields

    assert list(fields) == ["dense", "words"]
    assert (fields["dense"].kind, fields["dense"].dim, fields["dense"].distance) == ("dense", DIM, "dot")
    assert fields["dense"].storing == "float16"
    assert (fields["words"].kind, fields["words"].dim, fields["words"].distance) == ("sparse", 0, "dot")
    assert fields["words"].origin is not None
    assert fields["dense"].origin is not None
    assert fields["words"].origin.identity == fields["dense"].origin.identity


def test_sparse_vectors_may_be_left_out(tmp_path: Path) -> None:
    path = written_lines(tmp_path / "a.jsonl", [row(TEXTS[0], sparse={"1": 1}), row(TEXTS[1])])
    source = json_lines(path, How(sparse=None))

    assert list(source.fields) == [""]
    assert [set(points.vectors) for points in source.batches(0, 9)] == [{""}]
    assert "sparse" not in payloads_of(source)[0]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (None, "is NoneType"),
        ("x", "is str"),
        ({"a": 1}, "a term that is not a whole number"),
        ({"-1": 1}, "a term that is not a whole number"),
        ({str(2**31): 1}, "a term that is not a whole number"),
        ({"9" * 5000: 1}, "a term that is not a whole number"),
        ({"1": "x"}, "a weight that is no number"),
        ({"1": None}, "a weight that is no number"),
        ({"1": 1e39}, "a weight that is not finite"),
        ({"1": 10**400}, "a weight that is not finite"),
        ({"indices": [1], "values": []}, "has 1 terms and 0 weights"),
        ({"indices": [1, 1], "values": [1, 2]}, "has a term twice"),
        ({"1": 1, "01": 1}, "has a term twice"),
        ({"indices": [1.5], "values": [1]}, "a term that is not a whole number"),
        ({"indices": [True], "values": [1]}, "a term that is not a whole number"),
        ([1, 2], "an element that is no term"),
    ],
)
def test_a_sparse_vector_that_is_none_is_refused(tmp_path: Path, cell: object, problem: str) -> None:
    rows = [row(TEXTS[0], sparse={}), {**row(TEXTS[1]), "sparse": cell}]

    with pytest.raises(BadRow, match=f"line 2 of 'a.jsonl': .*{problem}"):
        json_lines(written_lines(tmp_path / "a.jsonl", rows))


def test_each_row_has_a_sparse_vector_or_none_has(tmp_path: Path) -> None:
    rows = [row(TEXTS[0], sparse={"1": 1}), row(TEXTS[1])]

    with pytest.raises(BadRow, match=r"line 2 of 'a.jsonl': the row has no sparse vector, and line 1"):
        json_lines(written_lines(tmp_path / "a.jsonl", rows))


# ------------------------------------------------------------------------------------------------ what stays the same


def test_a_file_that_was_written_to_is_not_read_on(tmp_path: Path) -> None:
    path = written_lines(tmp_path / "a.jsonl", ROWS)
    source = json_lines(path)
    written_lines(path, [*ROWS, row("six")])

    with pytest.raises(Mismatch, match=r"'a.jsonl' in file:.* was written to while it was loaded"):
        next(source.batches(0, 2))


def test_a_file_that_is_written_to_while_it_is_read_never_ends_well(tmp_path: Path) -> None:
    path = written_lines(tmp_path / "a.jsonl", ROWS)
    batches = json_lines(path).batches(0, 2)
    next(batches)
    os.utime(path, ns=(1, 1))

    with pytest.raises(Mismatch, match="was written to"):
        for _ in batches:
            pass


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    path = written_lines(tmp_path / "a.jsonl", ROWS)
    source = json_lines(path)
    path.unlink()

    with pytest.raises(Mismatch, match=r"'a.jsonl' in file:.* is gone"):
        next(source.batches(0, 2))


def test_the_digest_is_of_the_files_and_of_what_is_made_of_them(tmp_path: Path) -> None:
    path = written_lines(tmp_path / "a.jsonl", ROWS)
    first = json_lines(path).digest

    assert json_lines(path).digest == first
    assert len(first) == 64
    ways = [How(vector="x"), How(sparse=None), How(distance="l2"), How(storing="float16"), How(is_flat=True)]
    assert len({first, *(json_lines(path, how).digest for how in (*ways, How(text_key="content")))}) == 7
    written_lines(path, ROWS[:4])
    assert json_lines(path).digest != first


def test_rows_of_json_are_not_counted_before_they_are_read(tmp_path: Path) -> None:
    source = json_lines(written_lines(tmp_path / "a.jsonl", ROWS))

    assert (source.total, source.plan, source.previous) == (None, "", None)
    assert list(source.gone()) == []
    source.close()
    source.close()


def test_other_peoples_json_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row(TEXTS[0], id=1, text=None, note="ä\u2028é"), indent=None) + "\r\n", encoding="utf-8")

    assert payloads_of(json_lines(path)) == [{"note": "ä\u2028é"}]


def _zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)
