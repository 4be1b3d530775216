"""A BEIR folder is read as BEIR reads it; what is blank or unknown is left out and said, or refused."""

import gzip
import json
from pathlib import Path

import pytest

from embedstack.errors import ConfigError
from embedstack.evals.sets.opening import open_labelled

CORPUS = [
    {"_id": "d1", "title": "A title", "text": "and a text."},
    {"_id": "d2", "title": "", "text": " no title "},
    {"_id": "d3", "text": "nothing but text", "metadata": {"year": 1}},
    {"_id": 4, "title": "only a title", "text": ""},
    {"_id": "d5", "title": None, "text": "null above"},
]
QUERIES = [{"_id": f"q{number}", "text": f"question {number}"} for number in range(1, 5)]
HEADER = "query-id\tcorpus-id\tscore\n"


def json_lines(rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def beir(tmp_path: Path, qrels, *, corpus=CORPUS, queries=QUERIES) -> Path:
    """A folder with that text as judgements of `test`, or with each of some splits."""
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(json_lines(corpus))
    (folder / "queries.jsonl").write_text(json_lines(queries))
    for split, text in ({"test": qrels} if isinstance(qrels, str) else qrels).items():
        (folder / f"qrels/{split}.tsv").write_text(text)
    return folder


def refusal(*given, **named) -> str:
    with pytest.raises(ConfigError) as refused:
        open_labelled(*given, **named)
    return refused.value.message


# ------------------------------------------------------------------------------------------------ what is read


def test_a_document_is_its_title_and_its_text(tmp_path):
    assert open_labelled(beir(tmp_path, "q1\td1\t1\n")).documents == {
        "d1": "A title and a text.",
        "d2": "no title",
        "d3": "nothing but text",
        "4": "only a title",
        "d5": "null above",
    }


def test_a_title_is_no_part_of_a_query(tmp_path):
    queries = [{"_id": "q1", "title": "A title", "text": "and a question"}]

    assert open_labelled(beir(tmp_path, "q1\td1\t1\n", queries=queries)).queries == {"q1": "and a question"}


def test_queries_that_have_the_id_of_a_document_are_told(tmp_path):
    queries = [*QUERIES, {"_id": "d3", "text": "nothing but text"}]
    labelled = open_labelled(beir(tmp_path, "q1\td1\t1\nd3\td1\t1\n", queries=queries))

    assert labelled.notes[0].startswith("1 of 2 queries have the id of a document, such as 'd3': beir leaves that")


def test_only_judged_queries_are_asked(tmp_path):
    labelled = open_labelled(beir(tmp_path, HEADER + "q3\td1\t1\nq1\td2\t0\nq1\td1\t2\n"))

    assert labelled.queries == {"q1": "question 1", "q3": "question 3"}
    assert labelled.qrels == {"q1": {"d1": 2, "d2": 0}, "q3": {"d1": 1}}
    assert labelled.notes == ("left out: 2 of 4 queries, not judged",)


@pytest.mark.parametrize("line", ["q1\td1\t1\n", "q1\t0\td1\t1\n", "q1 0 d1 1\n"])
def test_judgements_may_lack_the_header(tmp_path, line):
    assert open_labelled(beir(tmp_path, line)).qrels == {"q1": {"d1": 1}}


def test_each_file_may_be_packed(tmp_path):
    folder = beir(tmp_path, HEADER + "q1\td1\t1\n")
    plain = open_labelled(folder)
    for path in [*folder.glob("*.jsonl"), *folder.glob("qrels/*")]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()

    assert open_labelled(folder) == plain


def test_a_plain_file_goes_before_a_packed_one(tmp_path):
    folder = beir(tmp_path, "q1\td1\t1\n")
    (folder / "qrels/test.tsv.gz").write_bytes(gzip.compress(b"q1\td1\t2\n"))

    assert open_labelled(folder).qrels == {"q1": {"d1": 1}}


def test_byte_order_marks_and_line_ends_change_nothing(tmp_path):
    folder = beir(tmp_path, HEADER + "q1\td1\t1\n")
    plain = open_labelled(folder)
    for path in [*folder.glob("*.jsonl"), *folder.glob("qrels/*")]:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))

    assert open_labelled(folder) == plain


def test_the_order_of_judgements_changes_nothing(tmp_path):
    lines = ["q2\td1\t1\n", "q1\td2\t0\n", "q2\td3\t2\n", "q1\td1\t1\n"]
    one = open_labelled(beir(tmp_path / "one", HEADER + "".join(lines)))
    other = open_labelled(beir(tmp_path / "other", HEADER + "".join(reversed(lines))))

    assert one == other
    assert [list(grades) for grades in one.qrels.values()] == [list(grades) for grades in other.qrels.values()]


@pytest.mark.parametrize("changed", ["corpus", "queries", "qrels"])
def test_whatever_is_judged_by_changes_the_digest(tmp_path, changed):
    other = {
        "corpus": {"corpus": [*CORPUS, {"_id": "d9", "text": "one more"}]},
        "queries": {"queries": [{"_id": "q1", "text": "another question"}]},
        "qrels": {"qrels": "q1\td1\t2\n"},
    }[changed]
    before = open_labelled(beir(tmp_path / "before", "q1\td1\t1\n"))
    after = open_labelled(beir(tmp_path / "after", **{"qrels": "q1\td1\t1\n", **other}))

    assert before.digest != after.digest


# ------------------------------------------------------------------------------------------------ splits


@pytest.mark.parametrize(
    ("there", "asked", "name"),
    [
        (["dev", "test", "train"], "", "set"),
        (["dev", "test"], "dev", "set (dev)"),
        (["dev"], "", "set (dev)"),
        (["test"], "test", "set"),
    ],
)
def test_the_split_is_the_one_that_was_asked_for_or_test_or_the_only_one(tmp_path, there, asked, name):
    folder = beir(tmp_path, {split: f"q1\td1\t{len(split)}\n" for split in there})
    labelled = open_labelled(folder, split=asked)

    assert labelled.name == name
    assert labelled.qrels == {"q1": {"d1": len(asked or ("test" if "test" in there else there[0]))}}


@pytest.mark.parametrize(("asked", "missing"), [("", "test"), ("tset", "tset"), ("../dev", "../dev")])
def test_a_split_that_is_not_there_is_refused_with_those_that_are(tmp_path, asked, missing):
    folder = beir(tmp_path, {"train": "q1\td1\t1\n", "dev": "q1\td1\t1\n"})

    assert f"has no split {missing!r}; name one of those it has: 'dev', 'train'" in refusal(folder, split=asked)


# ------------------------------------------------------------------------------------------------ left out


def test_judgements_of_a_few_unknown_ids_are_left_out(tmp_path):
    labelled = open_labelled(beir(tmp_path, "q1\td1\t1\nq1\tgone\t1\nq2\td2\t1\nq2\tlost\t0\nqx\td3\t1\n"))

    assert labelled.qrels == {"q1": {"d1": 1}, "q2": {"d2": 1}}
    assert "left out: 1 of 3 judged queries, not in 'queries.jsonl', such as 'qx'" in labelled.notes
    assert (
        "left out: 2 of 5 judged documents, not in 'corpus.jsonl', such as 'gone'; "
        "with them went 1 judged as relevant, so recall is of fewer"
    ) in labelled.notes


@pytest.mark.parametrize(("known", "unknown", "is_refused"), [(1, 1, False), (2, 3, True), (0, 2, True), (5, 4, False)])
@pytest.mark.parametrize("side", ["queries", "documents"])
def test_more_than_half_unknown_is_an_error(tmp_path, side, known, unknown, is_refused):
    names = [f"k{number}" for number in range(known)] + [f"u{number}" for number in range(unknown)]
    rows = [{"_id": name, "text": "text"} for name in [*names[:known], "other"]]
    lines = [f"{name}\tother\t1\n" if side == "queries" else f"other\t{name}\t1\n" for name in names]
    others = [{"_id": "other", "text": "text"}]
    folder = beir(
        tmp_path,
        "".join(lines),
        queries=rows if side == "queries" else others,
        corpus=rows if side == "documents" else others,
    )

    if is_refused:
        assert f"{unknown} of {len(names)} judged {side} of" in refusal(folder)
        assert "the first is 'u0'; give judgements of these texts" in refusal(folder)
    else:
        assert any(f"left out: {unknown} of {len(names)} judged {side}" in note for note in open_labelled(folder).notes)


def test_swapped_columns_are_called_so(tmp_path):
    folder = beir(tmp_path, HEADER + "d1\tq1\t1\nd2\tq2\t1\n")

    assert "the first is 'd1'; swap its query and document columns" in refusal(folder)


def test_queries_without_text_are_left_out_with_their_judgements(tmp_path):
    queries = [*QUERIES, {"_id": "q5", "text": " \t"}, {"_id": "q6", "text": None}]
    labelled = open_labelled(beir(tmp_path, "q1\td1\t1\nq5\td1\t1\nq6\td2\t1\n", queries=queries))

    assert labelled.qrels == {"q1": {"d1": 1}}
    assert list(labelled.queries) == ["q1"]
    assert "left out: 2 of 3 judged queries, without text, such as 'q5'" in labelled.notes


def test_documents_without_text_are_left_out_with_their_judgements(tmp_path):
    corpus = [*CORPUS, {"_id": "d6", "title": " ", "text": ""}, {"_id": "d7", "text": "\u2003"}]
    labelled = open_labelled(beir(tmp_path, "q1\td1\t1\nq1\td6\t2\nq2\td7\t1\n", corpus=corpus))

    assert labelled.qrels == {"q1": {"d1": 1}}
    assert {"d6", "d7"}.isdisjoint(labelled.documents)
    assert (
        "left out: 2 of 7 documents, without text, such as 'd6'; with them went 2 judged as relevant, "
        "so recall is of fewer"
    ) in labelled.notes
    assert "left out: 1 of 2 judged queries, without a judgement that is left, such as 'q2'" in labelled.notes


def test_queries_without_a_relevant_document_stay(tmp_path):
    labelled = open_labelled(beir(tmp_path, "q1\td1\t1\nq2\td1\t0\nq2\td2\t-1\n"))

    assert labelled.qrels["q2"] == {"d1": 0, "d2": -1}
    assert "counted as 0: 1 of 2 queries, without a relevant document, such as 'q2'" in labelled.notes


def test_a_set_of_which_nothing_is_left_is_refused(tmp_path):
    folder = beir(tmp_path, "q1\td1\t1\n", corpus=[{"_id": "d1", "text": ""}, {"_id": "d2", "text": "x"}])

    assert "has no judgement of a query and a document with text" in refusal(folder)


# ------------------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"_id": "d8"}', "line 6 of '{}' is no JSON object with _id and text: Object missing required field `text`"),
        (b'{"text": "a"}', "Object missing required field `_id`"),
        (b'{"_id": 1.5, "text": "a"}', "Expected `int | str`, got `float`"),
        (b'{"_id": "d8", "text": "a"', "line 6 of '{}' is no JSON object"),
        (b'{"_id": "d8", "text": "\\ud800"}', "line 6 of '{}' is no JSON object"),
        (b'{"_id": "d8", "text": "\xff"}', "line 6 of '{}' is not UTF-8 at its byte 23 (0xff)"),
        (b'["d8", "a"]', "Expected `object`, got `array`"),
        (b'{"_id": "", "text": "a"}', "line 6 of '{}' has an empty id"),
        (b'{"_id": "d1", "text": "a"}', "line 6 of '{}' has another text for id 'd1' than an earlier one"),
        (b'{"_id": "d1", "text": ""}', "line 6 of '{}' has another text for id 'd1' than an earlier one"),
        (b'{"_id": "b", "text": ""}\n{"_id": "b", "text": "a"}', "line 7 of '{}' has another text for id 'b'"),
        (b'{"_id": "4", "text": "a"}', "line 6 of '{}' has another text for id '4' than an earlier one"),
        (b"[" * 100_000, "line 6 of '{}' is no JSON object"),
    ],
)
def test_a_line_that_is_no_document_is_named(tmp_path, line, said):
    folder = beir(tmp_path, "q1\td1\t1\n")
    with (folder / "corpus.jsonl").open("ab") as file:
        file.write(line)

    assert said.format(folder / "corpus.jsonl") in refusal(folder)


@pytest.mark.parametrize("missing", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_file_that_is_missing_is_named(tmp_path, missing):
    folder = beir(tmp_path, "q1\td1\t1\n")
    (folder / missing).unlink()

    assert missing.rpartition("/")[2] in refusal(folder)


def test_an_empty_corpus_is_refused(tmp_path):
    folder = beir(tmp_path, "q1\td1\t1\n", corpus=[])

    assert f"'{folder / 'corpus.jsonl'}' has no text" in refusal(folder)
