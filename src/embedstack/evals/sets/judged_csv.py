"""CSV with a query and a text in each row -> a labelled set: the row's text is relevant to its query, by its grade.

Columns are `query`, `text`, and where they are there `grade`, `query_id`, `document_id`. All texts are the documents.
With `document_id` and without `text` there are none: then only what has documents of its own can be judged.
"""

from pathlib import Path

from embedstack.errors import ConfigError
from embedstack.evals.sets.digests import text_id
from embedstack.evals.sets.joining import joined
from embedstack.evals.sets.judgements import Judgements, grade_of
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.sets.tables import Table, table_of
from embedstack.evals.sets.texts import Texts

KNOWN = {
    "query": ("query", "question"),
    "text": ("text", "document", "passage"),
    "grade": ("grade", "score", "label", "relevance"),
    "query_id": ("query_id", "qid"),
    "document_id": ("document_id", "doc_id", "docid", "corpus_id", "text_id", "passage_id", "pid"),
}


def judged_table(path: Path) -> Table | None:
    """The table, if its header names a query and a text, or a question and the id of a document.

    Raises:
        ConfigError: two columns hold the same.
    """
    if table := table_of(path, KNOWN, ("query", "text")):
        return table
    table = table_of(path, KNOWN, ("query", "document_id"))
    return table if table and _has_questions(table) else None


def read_judged(table: Table) -> Labelled:
    """Without a column of ids the id of a text is its digest, so equal texts are one. Without one of grades all are 1.

    Raises:
        ConfigError: a grade is no whole number, an id is empty or stands for two texts, or two grades of a pair differ.
    """
    place, has_texts = str(table.path), "text" in table.columns
    documents, queries, judgements = Texts(place) if has_texts else None, Texts(place), Judgements(place)
    for line, row in table.rows():
        query = _id(row, table, "query", "query_id")
        document = _id(row, table, "text", "document_id")
        queries.add(query, row[table.columns["query"]], line)
        if documents is not None:
            documents.add(document, row[table.columns["text"]], line)
        elif not document:
            raise ConfigError(f"line {line} of {place!r} names no document; write its id, such as the path of a file")
        judgements.add(query, document, _grade(row, table, line), line)
    notes = () if "grade" in table.columns else ("there is no column of grades: every row counts as relevant",)
    return joined(table.path.name, judgements, documents, queries, notes=notes)


def _has_questions(table: Table) -> bool:
    """And no ids in their place, as qrels with a header have: those have grades, and no white space."""
    if "grade" not in table.columns or "query_id" in table.columns:
        return True
    return any(len(row[table.columns["query"]].split()) > 1 for _, row in table.rows())


def _id(row: list[str], table: Table, text: str, name: str) -> str:
    return row[table.columns[name]].strip() if name in table.columns else text_id(row[table.columns[text]].strip())


def _grade(row: list[str], table: Table, line: int) -> int:
    if "grade" not in table.columns:
        return 1
    written = row[table.columns["grade"]].strip()
    grade = grade_of(written)
    if grade is None:
        raise ConfigError(
            f"line {line} of {str(table.path)!r} has the grade {written!r}; write a whole number, such as 0 or 1"
        )
    return grade
