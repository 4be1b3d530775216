"""Every form that files of judgements have in the wild is read alike, and what cannot be right is refused."""

import gzip
from pathlib import Path

import ir_measures
import pytest

from embedstack.errors import ConfigError
from embedstack.evals.sets.opening import open_labelled
from embedstack.evals.sets.qrels import NotQrels, read_qrels

JUDGED = [("007", "d-1", 1), ("7", "d-1", 0), ("q_ü", "d/2", 2), ("007", "d3", -1)]
GRADES = {"007": {"d-1": 1, "d3": -1}, "7": {"d-1": 0}, "q_ü": {"d/2": 2}}

ROWS = {
    "three": lambda query, document, grade: [query, document, grade],
    "trec": lambda query, document, grade: [query, "0", document, grade],
    "document twice": lambda query, document, grade: [query, document, document, grade],
}
HEADERS = {
    "three": ["query-id", "corpus-id", "score"],
    "trec": ["query_id", "iteration", "doc_id", "relevance"],
    "document twice": ["qid", "title", "docno", "label"],
}
AROUND = [("", "\n"), ("", "\r\n"), ("\ufeff", "\r\n"), ("\n  \n", "\n\n")]  # the file; between its lines
SEPARATORS = ("\t", " ", ",", ";", " \t ", ", ", "quoted")


def joined(row, separator):
    return ",".join(f'"{cell}"' for cell in row) if separator == "quoted" else separator.join(row)


def written(tmp_path: Path, text: str | bytes, name: str = "judged") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("form", ROWS)
def test_every_form_is_read_alike(tmp_path, form, separator):
    rows = [ROWS[form](query, document, str(grade)) for query, document, grade in JUDGED]
    whole = [
        before + end.join(joined(row, separator) for row in [*head, *rows])
        for head in ([], [HEADERS[form]])
        for before, end in AROUND
    ]

    assert [read_qrels(written(tmp_path, text)).grades for text in whole] == [GRADES] * 8


def test_packed_judgements_are_read(tmp_path):
    assert read_qrels(written(tmp_path, gzip.compress(b"q 0 d 1\n"), "judged.gz")).grades == {"q": {"d": 1}}


def test_trec_files_are_read_as_ir_measures_reads_them(tmp_path):
    path = written(tmp_path, "1 0 d1 2\n1\t0\td2  0 \n\n02 Q0 d,1 -1\r\n02 x d|2 3\n")
    theirs: dict[str, dict[str, int]] = {}
    for judged in ir_measures.read_trec_qrels(str(path)):
        theirs.setdefault(judged.query_id, {})[judged.doc_id] = judged.relevance

    assert read_qrels(path).grades == theirs


def test_columns_are_found_by_all_lines_and_not_only_the_first(tmp_path):
    path = written(tmp_path, "1,a 0 d,2 1\n2 0 d 1\n")  # the first line alone has three columns by commas

    assert read_qrels(path).grades == {"1,a": {"d,2": 1}, "2": {"d": 1}}


def test_ids_may_hold_blanks_where_tabs_divide(tmp_path):
    assert read_qrels(written(tmp_path, "q 1\td 1\t1\nq2\td\t1\n")).grades == {"q 1": {"d 1": 1}, "q2": {"d": 1}}


def test_a_quote_that_opens_and_never_ends_is_part_of_an_id(tmp_path):
    assert open_labelled(written(tmp_path, '1\t0\t"d\t1\n2\t0\te\t1\n')).qrels == {"1": {'"d': 1}, "2": {"e": 1}}


def test_a_header_decides_the_order_of_columns(tmp_path):
    assert read_qrels(written(tmp_path, "score,corpus-id,query-id\n2,d,q\n")).grades == {"q": {"d": 2}}


@pytest.mark.parametrize(("grade", "read"), [("1.0", 1), ("2.", 2), ("+1", 1), ("-1.00", -1), ("0", 0)])
def test_a_whole_number_may_be_written_with_a_point(tmp_path, grade, read):
    assert read_qrels(written(tmp_path, f"q 0 d {grade}\n")).grades == {"q": {"d": read}}


@pytest.mark.parametrize("text", ["1 0 d 1\n2 0 d 1\n", "1 d 1\n2 d 1\n", "qid,title,docid,grade\n1,a,d,1\n2,b,d,1\n"])
def test_one_document_may_answer_all_queries(tmp_path, text):
    assert read_qrels(written(tmp_path, text)).grades == {"1": {"d": 1}, "2": {"d": 1}}


def test_the_same_judgement_twice_is_one(tmp_path):
    assert read_qrels(written(tmp_path, "q d 1\nq d 1.0\n")).grades == {"q": {"d": 1}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("q 0 d 1\nq 0 e 0.5\n", "line 2 of '{}' has the grade '0.5'"),
        ("q 0 d nan\n", "line 1 of '{}' has the grade 'nan'"),
        ("q 0 d 1e3\n", "line 1 of '{}' has the grade '1e3'"),
        ("q 0 d ١\n", "line 1 of '{}' ends in '١'"),
        ("q,d,d,0.87\n", "line 1 of '{}' has the grade '0.87'"),
        ("q d 99999999999999999999\n", "line 1 of '{}' has the grade '99999999999999999999'"),
        ("q 0 d 1\n\nq d 1\n", "line 3 of '{}' has 3 columns and the first 4"),
        ("q\td\t1\nq\te\n", "line 2 of '{}' has 2 columns and the first 3"),
        ("query-id\tcorpus-id\tscore\nq\t0\td\t1\n", "line 2 of '{}' has 4 columns and the first 3"),
        ("q d 1\nq d 2\n", "line 2 of '{}' gives document 'd' the grade 2 for query 'q', which an earlier one gave 1"),
        ("q\td\t1\n\td\t1\n", "line 2 of '{}' has an empty id"),
        ("query-id\tcorpus-id\tscore\n", "'{}' has no judgement"),
        ("\n \n", "'{}' has no judgement"),
        ("q Q0 d 1 0.5 bm25\n", "line 1 of '{}' has 6 columns, as a run has"),
        ("query-id\tcorpus-id\nq\td\n", "line 1 of '{}' has 2 columns"),
        ("one two three\nq d 1\n", "line 1 of '{}' ends in 'three', and does not name query-id, corpus-id, score"),
        ("q-id\tqid\tdocid\tscore\tgrade\n", "columns 'score' and 'grade' of '{}' both hold the grade"),
        ("q1 d1 0 1\nq2 d2 0 1\n", "'{}' has '0' as the document of every line, and its second column varies"),
        (b"q d 1\nq \xe9 1\n", "line 2 of '{}' is not UTF-8 at its byte 2 (0xe9)"),
    ],
)
def test_what_cannot_be_right_is_refused_with_file_and_line(tmp_path, text, said):
    path = written(tmp_path, text)

    with pytest.raises(ConfigError) as refused:
        read_qrels(path)
    assert said.format(path) in refused.value.message


@pytest.mark.parametrize("text", ["a\n", "<html>\n", "one two three\n", "1 2 3 4 5 6\n"])
def test_only_what_does_not_begin_as_a_judgement_is_something_else(tmp_path, text):
    with pytest.raises(NotQrels):
        read_qrels(written(tmp_path, text))


def test_a_torn_archive_is_refused(tmp_path):
    path = written(tmp_path, gzip.compress(b"q 0 d 1\n" * 1000)[:-9], "judged.gz")

    with pytest.raises(ConfigError, match="damaged or ends too early"):
        read_qrels(path)
