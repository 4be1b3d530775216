"""Pairs of texts and how alike they are, with a header and without."""

import csv
import random

import pytest

from embedstack.errors import ConfigError
from embedstack.evals.sets.opening import open_pairs


def opened(tmp_path, text: str):
    (tmp_path / "pairs.csv").write_bytes(text.encode())
    return open_pairs(tmp_path / "pairs.csv")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("", '"a, b",c,2.5'),
        ("", "a, b\tc\t2.5"),
        ("sentence1,sentence2,score", '"a, b",c,2.5'),
        ("text1;text2;label", "a, b;c;2.5"),
        ("\ufeffScore,Text 2,extra,Text 1", '2.5,c,,"a, b"'),
        ("sentence_1\tsentence_2\tsimilarity", "a, b\tc\t2.5"),
    ],
)
def test_every_form_is_read_alike(tmp_path, header, row):
    pairs = opened(tmp_path, f"{header}\r\n{row}\r\n")

    assert (pairs.firsts, pairs.seconds, pairs.grades) == (("a, b",), ("c",), (2.5,))


@pytest.mark.parametrize("has_header", [True, False])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_what_pythons_csv_writes_is_read(tmp_path, delimiter, has_header):
    draw = random.Random(3)
    texts = ["".join(draw.choices('ab ,\t"\n', k=10)) + "." for _ in range(40)]
    rows = list(zip(texts, reversed(texts), (draw.uniform(0, 5) for _ in texts), strict=True))
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["text1", "text2", "score"]] * has_header + rows)
    pairs = open_pairs(tmp_path / "pairs.csv")

    assert list(zip(pairs.firsts, pairs.seconds, pairs.grades, strict=True)) == rows


def test_the_digest_is_of_the_pairs_and_not_of_their_order_or_file(tmp_path):
    one = opened(tmp_path, "a,b,1\nc,d,2\n").digest

    assert one == opened(tmp_path, "text1\ttext2\tscore\nc\td\t2.0\na\tb\t1\n").digest
    assert one != opened(tmp_path, "a,b,1\nc,d,3\n").digest


def test_pairs_that_lack_a_text_are_left_out(tmp_path):
    pairs = opened(tmp_path, "a,b,1\n,b,2\na, ,3\n")

    assert pairs.grades == (1.0,)
    assert pairs.notes == ("left out: 2 of 3 pairs, which lack a text",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,1\nc,d,alike\n", "line 2 of '{}' has the grade 'alike'"),
        ("text1,text2,score\na,b,nan\n", "line 2 of '{}' has the grade 'nan'"),
        ("a,b,1\nc,d, e,1\n", "line 2 of '{}' has 4 cells, the first row has 3"),
        ("text1,text2,score\n", "'{}' has no pair of texts"),
        ("", "'{}' is nothing to judge by: its first row has no such columns; give a CSV with the columns sentence1"),
        ("a,b\n", "'{}' is nothing to judge by"),
        ("text1,text2,score,label\na,b,1,2\n", "the columns 'score' and 'label' of '{}' both hold the grade"),
    ],
)
def test_what_cannot_be_right_is_refused_with_file_and_line(tmp_path, text, said):
    with pytest.raises(ConfigError) as refused:
        opened(tmp_path, text)
    assert said.format(tmp_path / "pairs.csv") in refused.value.message


@pytest.mark.quality
@pytest.mark.parametrize("language", ["en", "ru"])
def test_sts_b_is_read_whole(labelled_sets, language):
    with (labelled_sets / f"stsb/stsb-{language}-test.csv").open(newline="", encoding="utf-8") as file:
        rows = [(first, second, float(grade)) for first, second, grade in csv.reader(file)]
    pairs = open_pairs(labelled_sets / f"stsb/stsb-{language}-test.csv")

    assert list(zip(pairs.firsts, pairs.seconds, pairs.grades, strict=True)) == rows
    assert len(rows) == 1379
