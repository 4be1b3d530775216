"""What is found in files: equal ones whatever the model, near ones by it, and all that was not compared by name."""

import os
from pathlib import Path

import numpy as np
import pytest

from embedstack.deduping.thing import How
from embedstack.errors import BadRequest, ConfigError
from support.doubled import Noted, Remembering, files, groups, last, looked, png, reasons, texts_given
from support.loadable import lines_of

LONG = " ".join(f"w{number}" for number in range(200))


def test_equal_files_are_found_and_given_to_the_model_once(tmp_path: Path) -> None:
    model = Remembering()
    folder = files(tmp_path, a__png=png(), b__png=png(), c__png=png(31), d__txt="bird", e__txt="bird", f__txt="fish")

    report = looked(folder, model=model, rules=("name",))

    assert groups(report) == [("a.png", ["b.png"]), ("d.txt", ["e.txt"])]
    assert reasons(report)["b.png"] == f"same bytes as {tmp_path / 'a.png'}"
    assert len(model.given) == 4


def test_equal_texts_in_other_files_are_the_same_text(tmp_path: Path) -> None:
    model = Remembering()

    report = looked(files(tmp_path, a__txt="bird\n", b__txt="bird\r\n"), model=model, rules=("name",))

    assert reasons(report) == {"b.txt": f"same text as {tmp_path / 'a.txt'}"}
    assert texts_given(model) == ["bird"]


def test_pictures_and_texts_are_not_compared_with_each_other(tmp_path: Path) -> None:
    watching = Noted()

    report = looked(
        files(tmp_path, a__png=png(), b__png=png(31), c__txt="c", d__txt="d"), watching=watching, threshold=1e-9
    )

    assert {last(item.name)[-3:] for group in report.groups for item, _ in group.duplicates} <= {"png", "txt"}
    assert all(last(group.keep.name)[-3:] == last(item.name)[-3:] for group in report.groups for item in group.nearest)
    assert report.items == {"image": 2, "text": 2}
    assert (watching.total, watching.done, watching.read_things) == (2, 2, 4)


def test_long_texts_are_compared_whole(tmp_path: Path) -> None:
    folder = files(tmp_path, a__txt=f"{LONG} end", b__txt=f"{LONG} other", c__txt=f"{LONG[:100]} {LONG[100:][::-1]}")

    report = looked(folder, threshold=0.85, rules=("name",))

    assert groups(report) == [("a.txt", ["b.txt"])]
    assert 0.85 < report.groups[0].duplicates[0][1].similarity < 0.9999


def test_rows_of_files_are_compared_with_documents(tmp_path: Path) -> None:
    folder = files(tmp_path, a__txt="one bird", b__csv="text\none bird\ntwo fish\n", c__jsonl='{"text": "two fish"}\n')

    report = looked(folder, rules=("name",))

    assert groups(report) == [("a.txt", ["b.csv#0"]), ("b.csv#1", ["c.jsonl#0"])]


def test_lines_are_compared_where_that_is_wished(tmp_path: Path) -> None:
    report = looked(files(tmp_path, a__txt="one\ntwo\none\n"), how=How(is_by_line=True), rules=("first",))

    assert groups(report) == [("a.txt:1", ["a.txt:3"])]


def test_a_name_that_stands_twice_is_told_apart(tmp_path: Path) -> None:
    report = looked(files(tmp_path, a__csv="id,text\n1,one\n1~2,one\n1,one\n1,one\n1~2,one"), rules=("first",))

    (group,) = groups(report)
    assert group == ("a.csv#id=1~1", [f"a.csv#id=1{more}" for more in ("~2~1", "~3", "~4", "~2~2")])


def test_the_bytes_that_could_be_saved_are_those_of_the_duplicates(tmp_path: Path) -> None:
    folder = files(tmp_path, a__txt="bird", b__txt="bird", c__txt="bird\r\n", d__txt="bird\n", e__txt="fish")

    report = looked(folder, rules=("largest",))

    assert [group.saved_bytes for group in report.groups] == [4 + 4 + 5]
    assert report.saved_bytes == 13


def test_a_file_is_no_duplicate_of_itself(tmp_path: Path) -> None:
    folder = files(tmp_path / "a", a__txt="bird")
    os.link(folder / "a.txt", folder / "b.txt")
    (folder / "c.txt").symlink_to(folder / "a.txt")

    report = looked(folder, folder / "a.txt", folder / "c.txt", tmp_path)

    assert report.groups == []
    assert report.items == {"text": 1}


def test_what_nobody_can_read_is_named_and_equal_only_to_the_same_bytes(tmp_path: Path) -> None:
    bad = b"\xff" * 9
    folder = files(tmp_path, a__txt=bad, b__txt=bad, c__txt=b"\xff" * 8, d__txt="bird", e__jpg=b"<x>", f__jpg=b"<x>")

    report = looked(folder, rules=("name",))

    assert groups(report) == [("e.jpg", ["f.jpg"]), ("a.txt", ["b.txt"])]
    assert sorted(last(one.name) for one in report.left_out) == ["a.txt", "b.txt", "c.txt", "e.jpg", "f.jpg"]
    assert all(one.reason for one in report.left_out)


def test_what_the_model_refuses_is_named(tmp_path: Path) -> None:
    folder = files(tmp_path, a__txt="bird", b__txt="b" * 50)

    report = looked(folder, model=Remembering(max_text_chars=20))

    assert [last(one.name) for one in report.left_out] == ["b.txt"]
    assert report.items == {"text": 2}


def test_a_row_that_cannot_be_read_is_named_and_counts_as_nothing(tmp_path: Path) -> None:
    report = looked(files(tmp_path, a__jsonl='{"text": "x"}\n{}\n{}\n'))

    assert [last(one.name) for one in report.left_out] == ["a.jsonl#1", "a.jsonl#2"]
    assert report.items == {"text": 1}


def test_a_table_of_vectors_in_a_folder_is_named(tmp_path: Path) -> None:
    rows = lines_of([{"text": "x", "vector": [1, 2]}])

    report = looked(files(tmp_path, a__txt="bird", b__jsonl=rows, c__parquet="no table"))

    assert {last(one.name): one.reason.partition(":")[0].partition(",")[0] for one in report.left_out} == {
        "b.jsonl": "it holds vectors",
        "c.parquet": "it cannot be read",
    }


def test_a_name_that_is_no_utf8_is_kept(tmp_path: Path) -> None:
    for name in (b"\xff.txt", b"\xfe.png"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"bird" if name.endswith(b"txt") else png())
    files(tmp_path, a__txt="bird", a__png=png())

    report = looked(tmp_path, rules=("name",))

    assert [os.fsencode(last(item.name)) for group in report.groups for item, _ in group.duplicates] == [
        b"\xfe.png",
        b"\xff.txt",
    ]


def test_the_order_of_the_sources_changes_nothing_but_the_order(tmp_path: Path) -> None:
    texts = {f"n{number}__txt": f"word{number % 5}" for number in range(20)}
    folder = files(tmp_path, **texts)
    paths = np.random.default_rng(0).permutation([str(path) for path in folder.iterdir()])

    one, other = looked(folder, rules=("name",)), looked(*paths, rules=("name",))

    assert {(kept, frozenset(gone)) for kept, gone in groups(one)} == {
        (kept, frozenset(gone)) for kept, gone in groups(other)
    }


def test_long_work_is_told_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedstack.deduping.finding.MANY", 2)
    watching = Noted()

    looked(files(tmp_path, a__txt="a", b__txt="b", c__txt="c"), watching=watching)

    assert watching.notes == ["3 comparisons will take some 0 minutes on two cores"]


def test_the_model_is_told_of_each_type(tmp_path: Path) -> None:
    report = looked(files(tmp_path, a__txt="bird", b__png=b"\x89PNG\r\n\x1a\n"))

    assert list(report.models) == ["text"]
    assert report.models["text"].model == "hash"


# ------------------------------------------------------------------------------------------------ refusals


def test_a_folder_without_anything_to_compare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no picture and no text in .*passed over: \.pdf 2 times"):
        looked(files(tmp_path, a__pdf="a", b__pdf="b"))


def test_rows_of_which_none_can_be_read_are_refused_with_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"nothing can be compared: .*a\.jsonl#0': .*no field 'text'"):
        looked(files(tmp_path, a__jsonl="{}\n{}\n"))


def test_files_and_vectors_together_are_refused(tmp_path: Path) -> None:
    folder = files(tmp_path, a__jsonl=lines_of([{"vector": [1, 2]}]), b__txt="b")

    with pytest.raises(BadRequest, match="some of the sources hold vectors and others do not"):
        looked(folder / "a.jsonl", folder / "b.txt")


def test_a_threshold_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="threshold 2"):
        looked(tmp_path / "gone", threshold=2)
