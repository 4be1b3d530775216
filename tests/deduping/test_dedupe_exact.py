"""Only what is equal is a duplicate: no model is asked, and nothing is near."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from embedstack.deduping.finding import Wish, find_duplicates
from embedstack.deduping.thing import How, Report
from embedstack.modelspec import Input
from support.doubled import Noted, files, groups, png, reasons
from support.loadable import columns_of, vectors_of, written_lines, written_parquet
from support.tables import job


def nobody(kind: Input) -> None:
    raise AssertionError(f"a model was asked for {kind}")


def exactly(*sources: Path | str, watching: Noted | None = None, how: How | None = None) -> Report:
    wish = Wish(threshold=0.01, is_exact=True, rules=("first",), how=how or How())
    return find_duplicates([str(source) for source in sources], wish, nobody, watching or Noted())


def test_equal_pictures_and_texts_are_found(tmp_path: Path) -> None:
    folder = files(tmp_path, a__png=png(), b__png=png(), c__png=png(31), d__txt="bird", e__txt="bird", f__txt="birds")

    assert groups(exactly(folder)) == [("a.png", ["b.png"]), ("d.txt", ["e.txt"])]


def test_the_same_text_in_other_bytes_is_equal(tmp_path: Path) -> None:
    report = exactly(files(tmp_path, a__txt="bird\n", b__txt="bird\r\n"))

    assert reasons(report) == {"b.txt": f"same text as {tmp_path / 'a.txt'}"}


def test_rows_with_the_same_text_are_equal(tmp_path: Path) -> None:
    folder = files(tmp_path, a__csv="text\none bird\ntwo fish\none bird\n")

    assert groups(exactly(folder)) == [("a.csv#0", ["a.csv#2"])]


def test_a_broken_file_is_compared_by_its_bytes_and_named(tmp_path: Path) -> None:
    report = exactly(files(tmp_path, a__txt=b"\xff", b__txt=b"\xff", c__txt="c"))

    assert groups(report) == [("a.txt", ["b.txt"])]
    assert len(report.left_out) == 2


def test_of_stored_rows_text_and_vector_must_be_equal(tmp_path: Path) -> None:
    rows = [
        {"id": name, "vector": vector, **({"text": text} if text else {})}
        for name, vector, text in [
            ("a", [1, 0], "bird"),
            ("b", [1, 0], "bird"),
            ("c", [1, 0], "fish"),
            ("d", [1, 1e-6], "bird"),
            ("e", [1, 0], ""),
            ("f", [1, 0], ""),
        ]
    ]

    report = exactly(written_lines(tmp_path / "a.jsonl", rows))

    assert groups(report) == [("a", ["b"]), ("e", ["f"])]
    assert reasons(report) == {"b": "same text as a", "f": "same bytes as e"}


def test_of_a_table_equal_rows_are_found(tmp_path: Path) -> None:
    texts = ["one", "two", "three", "two"]

    columns = columns_of(texts, id=["a", "b", "c", "d"])

    assert groups(exactly(written_parquet(tmp_path / "a.parquet", columns))) == [("b", ["d"])]


def test_of_a_job_equal_rows_are_found(tmp_path: Path) -> None:
    made = job(tmp_path / "job", [{"a.md": ["one", "two"], "b.md": ["one"]}])

    (group,) = exactly(str(made.root)).groups

    assert len(group.duplicates) == 1


def test_a_vector_without_a_direction_is_left_out(tmp_path: Path) -> None:
    rows = [{"id": name, "vector": [0, 0]} for name in "ab"] + [{"id": "c", "vector": [1, 0]}]

    report = exactly(written_lines(tmp_path / "a.jsonl", rows))

    assert (groups(report), [one.name for one in report.left_out]) == ([], ["a", "b"])


def test_nothing_is_compared_pair_by_pair(tmp_path: Path) -> None:
    watching = Noted()
    rows = [{"vector": row.tolist()} for row in vectors_of([f"text {number}" for number in range(20)])]

    exactly(written_lines(tmp_path / "a.jsonl", rows), watching=watching)

    assert (watching.total, watching.done) == (0, 0)


def test_the_duplicates_are_those_of_a_dictionary(tmp_path: Path) -> None:
    texts = np.random.default_rng(3).choice(list("abcdefgh"), 12).tolist()
    places = defaultdict(list)
    for number, text in enumerate(texts):
        places[text].append(f"a.jsonl#{number}")

    report = exactly(written_lines(tmp_path / "a.jsonl", [{"text": text} for text in texts]))

    found = {(keep, *others) for keep, others in groups(report)}
    assert found == {tuple(rows) for rows in places.values() if len(rows) > 1}
