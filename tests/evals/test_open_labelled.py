"""A path is found to be what it is; judgements alone can be given texts; the unknown is refused with what would do."""

import gzip
import json
import tracemalloc

import pytest

from embedstack.errors import ConfigError
from embedstack.evals.sets.opening import open_labelled, open_pairs
from embedstack.evals.sets.texts import read_documents


def refusal(*given, **named) -> str:
    with pytest.raises(ConfigError) as refused:
        open_labelled(*given, **named)
    return refused.value.message


# ------------------------------------------------------------------------------------------------ judgements and texts


def test_judgements_alone_are_a_set_without_texts(tmp_path):
    (tmp_path / "a.qrels").write_text("2 0 d 1\n1 0 d 2\n")
    labelled = open_labelled(tmp_path / "a.qrels")

    assert (labelled.documents, labelled.queries) == ({}, {})
    assert labelled.qrels == {"1": {"d": 2}, "2": {"d": 1}}
    assert labelled.name == "a.qrels"


@pytest.mark.parametrize(
    "documents",
    [
        '{"_id": "d1", "text": "one"}\n{"_id": "d2", "title": "the", "text": "other"}\n',
        "d1\tone\nd2\tthe other\n",
        "\ufeffdocid\ttext\r\nd1\tone\r\n\r\nd2\tthe other\r\n",
    ],
)
@pytest.mark.parametrize("is_packed", [False, True])
def test_documents_are_added_to_judgements(tmp_path, documents, is_packed):
    (tmp_path / "a.qrels").write_text("1 0 d1 1\n")
    path = tmp_path / ("documents.gz" if is_packed else "documents")
    path.write_bytes(gzip.compress(documents.encode()) if is_packed else documents.encode())
    labelled = open_labelled(tmp_path / "a.qrels", documents=path)

    assert labelled.documents == {"d1": "one", "d2": "the other"}
    assert labelled.queries == {}


def test_queries_are_added_to_judgements(tmp_path):
    (tmp_path / "a.qrels").write_text("1 0 d1 1\n")
    (tmp_path / "queries.tsv").write_text('1\twhat "is" it\n2\tnot judged\n')
    labelled = open_labelled(tmp_path / "a.qrels", queries=tmp_path / "queries.tsv")

    assert labelled.documents == {}
    assert labelled.queries == {"1": 'what "is" it'}


def test_texts_of_another_set_are_refused(tmp_path):
    (tmp_path / "a.qrels").write_text("1 0 d1 1\n2 0 d2 1\n")
    (tmp_path / "documents").write_text("7187158\ttext\n")

    assert "2 of 2 judged documents" in refusal(tmp_path / "a.qrels", documents=tmp_path / "documents")


def test_an_id_called_as_a_column_is_no_header_where_the_text_is_not(tmp_path):
    (tmp_path / "texts").write_text("id\tsomething to find\n")

    assert read_documents(tmp_path / "texts").kept == {"id": "something to find"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("d1\tone\nd2 two\n", "line 2 of '{}' has 1 columns; an id, a tab and a text are two"),
        ("d1\turl\ttitle\tbody\n", "line 1 of '{}' has 4 columns"),
        ("d1\tone\nd1\ttwo\n", "line 2 of '{}' has another text for id 'd1'"),
        ("\ttext\n", "line 1 of '{}' has an empty id"),
        ("", "'{}' has no text"),
    ],
)
def test_texts_that_cannot_be_right_are_refused_with_file_and_line(tmp_path, text, said):
    (tmp_path / "a.qrels").write_text("1 0 d1 1\n")
    (tmp_path / "texts").write_text(text)

    assert said.format(tmp_path / "texts") in refusal(tmp_path / "a.qrels", documents=tmp_path / "texts")


def test_a_corpus_needs_little_more_memory_than_its_texts(tmp_path):
    with (tmp_path / "corpus.jsonl").open("w") as file:
        file.writelines(json.dumps({"_id": str(n), "title": "", "text": f"{n} " * 300}) + "\n" for n in range(2000))
    tracemalloc.start()
    try:
        texts = read_documents(tmp_path / "corpus.jsonl")
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held > 2_000_000
    assert peak - held < 0.1 * held
    assert len(texts.kept) == 2000


# ------------------------------------------------------------------------------------------------ unknown


WOULD_DO = (
    "give a BEIR folder (corpus.jsonl, queries.jsonl, qrels/test.tsv), a SQuAD JSON, a CSV with the columns query"
)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x89PNG\r\n\x1a\n", "it is not UTF-8"),
        (b"PK\x03\x04\xff", "it is not UTF-8"),
        (b"Once upon a time there was a set.\n", "its line 1 has 8 columns"),
        (b"id,body\n1,text\n", "its line 1 has 2 columns"),
        (b"id,question,answer\n1,a,b\n", "its line 1 ends in 'answer', and does not name query-id, corpus-id, score"),
        (b"1 Q0 d 1 0.5 bm25\n", "its line 1 has 6 columns, as a run has, which is what is judged"),
    ],
)
def test_an_unknown_file_is_refused_with_what_would_do(tmp_path, data, why):
    (tmp_path / "x").write_bytes(data)

    assert f"{str(tmp_path / 'x')!r} is nothing to judge by: {why}; {WOULD_DO}" in refusal(tmp_path / "x")


def test_a_folder_of_something_else_is_refused_with_what_would_do(tmp_path):
    assert f"is nothing to judge by: it is a folder without corpus.jsonl; {WOULD_DO}" in refusal(tmp_path)


@pytest.mark.parametrize("open_it", [open_labelled, open_pairs])
def test_a_file_that_is_not_there_is_named(tmp_path, open_it):
    with pytest.raises(ConfigError, match="nothing-here' cannot be read: No such file or directory"):
        open_it(tmp_path / "nothing-here")


def test_only_a_folder_has_splits(tmp_path):
    (tmp_path / "a.qrels").write_text("1 0 d1 1\n")

    assert "is no folder, so it has no split 'dev'" in refusal(tmp_path / "a.qrels", split="dev")


def test_a_folder_has_its_own_texts(tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d1", "text": "one"}\n')

    assert "is a folder with texts of its own" in refusal(tmp_path, documents=tmp_path / "corpus.jsonl")
