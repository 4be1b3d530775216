"""A file of judgements -> query, document, grade: TREC's four columns, BEIR's three under a header, or three without.

How its columns are divided is found by reading all of it: the first way counts in which every line fits. Ids are text.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedstack.documents.quotes import cells
from embedstack.errors import ConfigError
from embedstack.evals.sets.judgements import Judgements, grade_of
from embedstack.evals.sets.tables import placed
from embedstack.evals.sets.text_lines import filled

FORMS = "query, document, grade (a header is optional), or TREC's: query, iteration, document, grade"
RUN_COLUMNS = 6
HEADER = ("query-id", "corpus-id", "score")  # as BEIR has it
NUMBER = re.compile(r"[+-]?\.?[0-9]|[+-]?(nan|inf)", re.IGNORECASE)  # how one begins, of any kind
KNOWN = {
    "query": ("query_id", "queryid", "qid", "query", "topic"),
    "document": ("corpus_id", "document_id", "documentid", "doc_id", "docid", "docno", "pid", "document", "doc"),
    "grade": ("score", "grade", "label", "relevance", "rel"),
}


class NotQrels(ConfigError):
    """Its first line is no judgement and no header."""

    def __init__(self, line: int, why: str, path: Path) -> None:
        super().__init__(f"line {line} of {str(path)!r} {why}; needed are {FORMS}")
        self.why = f"its line {line} {why}"


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column holds what."""

    query: int
    document: int
    grade: int
    width: int
    has_header: bool


class _Misfit(Exception):
    """A line does not fit."""

    def __init__(self, line: int, row: Sequence[str], why: str, *, is_alien: bool = False) -> None:
        super().__init__(why)
        self.line = line
        self.width = len(row)
        self.is_alien = is_alien  # nothing says that it should be a judgement


def read_qrels(path: Path) -> Judgements:
    """All of the file.

    Raises:
        NotQrels: it is something else. ConfigError: a line does not fit the others, or two grades of one pair differ.
    """
    misfits = []
    for split in (_by("\t"), _by(","), _by(";"), str.split):
        try:
            return _read(path, split)
        except _Misfit as misfit:
            misfits.append(misfit)
    best = max(misfits, key=lambda misfit: (misfit.line, misfit.width))  # what went furthest was meant
    if best.is_alien:
        raise NotQrels(best.line, str(best), path) from best
    raise ConfigError(f"line {best.line} of {str(path)!r} {best}") from best


def _read(path: Path, split: Callable[[str], list[str]]) -> Judgements:
    judgements, layout = Judgements(str(path)), None
    seconds: set[str] = set()  # one or two of what is in the second column
    for number, line in filled(path):
        row = split(line)
        if layout is None:
            layout = _layout(row, number, path)
            if layout.has_header:
                continue
        judgements.add(*_judgement(row, layout, number), number)
        if not layout.has_header and len(seconds) < 2:
            seconds.add(row[1])
    if not judgements.grades:
        raise ConfigError(f"{str(path)!r} has no judgement; give lines with {FORMS}")
    if len(seconds) > 1:
        _check_documents(judgements)
    return judgements


def _judgement(row: Sequence[str], layout: _Layout, line: int) -> tuple[str, str, int]:
    if len(row) != layout.width:
        raise _Misfit(line, row, f"has {len(row)} columns and the first {layout.width}; give all the same")
    query, document, grade = row[layout.query], row[layout.document], grade_of(row[layout.grade])
    if grade is None:
        raise _Misfit(line, row, f"has the grade {row[layout.grade]!r}; write a whole number, such as 0 or 1")
    if not query or not document:
        raise _Misfit(line, row, f"has an empty id; its columns are {FORMS}")
    return query, document, grade


def _layout(row: Sequence[str], line: int, path: Path) -> _Layout:
    columns = placed(row, KNOWN, str(path))
    if len(columns) == len(KNOWN):
        return _Layout(columns["query"], columns["document"], columns["grade"], len(row), has_header=True)
    if len(row) not in (3, 4):
        hint = ", as a run has, which is what is judged" if len(row) == RUN_COLUMNS else ""
        raise _Misfit(line, row, f"has {len(row)} columns{hint}", is_alien=True)
    if not NUMBER.match(row[-1]):
        raise _Misfit(line, row, f"ends in {row[-1]!r}, and does not name {', '.join(HEADER)}", is_alien=True)
    return _Layout(0, len(row) - 2, len(row) - 1, len(row), has_header=False)


def _check_documents(judgements: Judgements) -> None:
    """Where the second column varies and the document does not, the second is the document."""
    documents = {document for grades in judgements.grades.values() for document in grades}
    if len(documents) == 1:
        raise ConfigError(
            f"{judgements.place!r} has {documents.pop()!r} as the document of every line, and its second column "
            f"varies; the order of the columns is {FORMS}"
        )


def _by(delimiter: str) -> Callable[[str], list[str]]:
    def split(line: str) -> list[str]:
        return [cell.strip() for cell in cells(line, delimiter)]

    return split
