"""CSV of judged texts, as people write it: read as Python's csv writes it, one row one judgement."""

import csv
import random

import pytest

from embedstack.errors import ConfigError
from embedstack.evals.sets.opening import open_labelled


def opened(tmp_path, text: str):
    (tmp_path / "judged.csv").write_bytes(text.encode())
    return open_labelled(tmp_path / "judged.csv")


def named(labelled) -> dict[str, dict[str, int]]:
    """Judgements by texts."""
    return {
        labelled.queries[query]: {labelled.documents[document]: grade for document, grade in grades.items()}
        for query, grades in labelled.qrels.items()
    }


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("seed", range(2))
def test_what_pythons_csv_writes_is_read(tmp_path, delimiter, end, seed):
    draw = random.Random(seed)
    texts = ["".join(draw.choices('ab ,;\t|"\nü', k=draw.randint(1, 12))).strip() + "." for _ in range(20)]
    rows = {(draw.choice(texts), draw.choice(texts)): draw.randint(-1, 3) for _ in range(40)}
    with (tmp_path / "judged.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
        writer.writerows([["grade", "text", "other", "query"], *([g, d, "", q] for (q, d), g in rows.items())])

    expected: dict[str, dict[str, int]] = {}
    for (query, document), grade in rows.items():
        expected.setdefault(query, {})[document] = grade
    assert named(open_labelled(tmp_path / "judged.csv")) == expected


@pytest.mark.parametrize("text", ["text", "document", "Passage", "TEXT"])
@pytest.mark.parametrize("grade", ["grade", "score", "label", "Relevance"])
def test_columns_have_the_names_that_people_give_them(tmp_path, text, grade):
    assert named(opened(tmp_path, f"Query,{text},{grade}\nwhat,this,2\n")) == {"what": {"this": 2}}


def test_without_grades_every_row_is_relevant(tmp_path):
    labelled = opened(tmp_path, "query,text\nwhat,this\nwhat,that\n")

    assert named(labelled) == {"what": {"this": 1, "that": 1}}
    assert labelled.notes == ("there is no column of grades: every row counts as relevant",)


def test_equal_texts_are_one_document_whose_id_no_other_row_changes(tmp_path):
    one = opened(tmp_path, "query,text,grade\na,same,1\nb,same,1\n")
    more = opened(tmp_path, "query,text,grade\nz,before,1\na,same,1\nb,same,1\n")

    assert list(one.documents.values()) == ["same"]
    assert one.documents.items() < more.documents.items()


def test_ids_that_are_given_are_kept(tmp_path):
    labelled = opened(tmp_path, "query_id,query,document-id,text,grade\n01,what,7,this,1\n01 ,what, 8,this,0\n")

    assert labelled.documents == {"7": "this", "8": "this"}
    assert labelled.queries == {"01": "what"}
    assert labelled.qrels == {"01": {"7": 1, "8": 0}}


def test_texts_may_be_longer_than_pythons_csv_allows(tmp_path):
    text = "word" * 100_000

    assert list(opened(tmp_path, f'query,text\nwhat,"{text}"\n').documents.values()) == [text]


def test_white_space_around_a_text_is_no_part_of_it(tmp_path):
    assert (
        opened(tmp_path, "query,text\na, same\na,same \n").documents == opened(tmp_path, "query,text\na,same").documents
    )


def test_rows_without_text_are_left_out(tmp_path):
    labelled = opened(tmp_path, "query,text,grade\nwhat,this,1\nwhat,,1\n,this,1\n")

    assert named(labelled) == {"what": {"this": 1}}
    assert [note.partition(", such")[0] for note in labelled.notes] == [
        "left out: 1 of 2 judged queries, without text",
        "left out: 1 of 2 documents, without text",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("query,text,grade\na,b,high\n", "line 2 of '{}' has the grade 'high'"),
        ("query,text,grade\na,b,\n", "line 2 of '{}' has the grade ''"),
        ("query,text,score\na,b,1\n\na,b,0.5\n", "line 4 of '{}' has the grade '0.5'"),
        ('query,text,grade\na,"b\nc",1\na,"b\nc",0\n', "line 4 of '{}' gives document"),
        ("query,text\na,b, c\n", "line 2 of '{}' has 3 cells, the first row has 2"),
        ('query,text\na,"b\n', "line 2 of '{}' opens a quote that is never closed"),
        ("query,text,document\na,b,c\n", "the columns 'text' and 'document' of '{}' both hold the text"),
        ("query,text,query_id\na,b,1\nc,b,1\n", "line 3 of '{}' has another text for id '1'"),
        ("query,text,query_id\na,b,\n", "line 2 of '{}' has an empty id"),
        ("query,text\n", "'{}' has no judgement"),
    ],
)
def test_what_cannot_be_right_is_refused_with_file_and_line(tmp_path, text, said):
    with pytest.raises(ConfigError) as refused:
        opened(tmp_path, text)
    assert said.format(tmp_path / "judged.csv") in refused.value.message


@pytest.mark.parametrize("grades", [("", "", ""), (",grade", ",2", ",0")], ids=["plain", "graded"])
def test_questions_with_the_documents_that_answer_them_need_no_texts(tmp_path, grades):
    head, first, second = grades
    labelled = opened(tmp_path, f"query,document_id{head}\nwhere is it?,a.md{first}\nwhere is it?,b/c.md{second}\n")

    ((query, judged),) = labelled.qrels.items()
    assert (labelled.documents, labelled.queries) == ({}, {query: "where is it?"})
    assert judged == ({"a.md": 2, "b/c.md": 0} if head else {"a.md": 1, "b/c.md": 1})


def test_ids_with_grades_are_judgements_alone(tmp_path):
    labelled = opened(tmp_path, "query,doc_id,grade\nq1,a,1\nq2,b,1\n")

    assert (labelled.queries, labelled.qrels) == ({}, {"q1": {"a": 1}, "q2": {"b": 1}})


def test_a_question_without_its_document_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"line 3 of '.*' names no document"):
        opened(tmp_path, "query,document_id\nwhere?,a.md\nwhat?,\n")
