"""SQuAD's JSON -> a labelled set: each question is a query, and the paragraph that it was asked about is relevant.

XQuAD, MLQA and other sets have this form, too. Source: https://rajpurkar.github.io/SQuAD-explorer/.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from embedstack.errors import ConfigError
from embedstack.evals.sets.joining import joined
from embedstack.evals.sets.judgements import Judgements
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.sets.text_lines import lines
from embedstack.evals.sets.texts import Texts


class NotSquad(ConfigError):
    """JSON of another form, or none."""

    def __init__(self, error: Exception, path: Path) -> None:
        self.why = f"it is no SQuAD JSON ({error})"
        super().__init__(f"{str(path)!r} is not read: {self.why}; its form is data, paragraphs, qas")


class _Question(msgspec.Struct):
    id: str
    question: str
    is_impossible: bool = False  # SQuAD 2: the paragraph does not answer it


class _Paragraph(msgspec.Struct):
    context: str
    qas: list[_Question]


class _Article(msgspec.Struct):
    paragraphs: list[_Paragraph]


class _File(msgspec.Struct):
    data: list[_Article]


def read_squad(path: Path) -> Labelled:
    """A paragraph's id is its place among all of the file, from 0; equal paragraphs are the first of them.

    Questions that their paragraph does not answer are left out.

    Raises:
        NotSquad: it is something else. ConfigError: two questions have one id, or there is none.
    """
    paragraphs = _paragraphs(path)
    documents, queries = Texts(str(path), "paragraph"), Texts(str(path), "question")
    judgements = Judgements(str(path), "question")
    numbers: dict[str, str] = {}
    for number, paragraph in enumerate(paragraphs):
        document = numbers.setdefault(paragraph.context.strip(), str(number))
        documents.add(document, paragraph.context, number)
        for question in paragraph.qas:
            if not question.is_impossible:
                _check_new(question, judgements, path)
                queries.add(question.id, question.question, len(judgements.grades))
                judgements.add(question.id, document, 1, len(judgements.grades))
    return joined(path.name, judgements, documents, queries, notes=_notes(paragraphs))


def _paragraphs(path: Path) -> list[_Paragraph]:
    try:
        articles = msgspec.json.decode("\n".join(line for _, line in lines(path)), type=_File).data
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotSquad(error, path) from error
    return [paragraph for article in articles for paragraph in article.paragraphs]


def _check_new(question: _Question, judgements: Judgements, path: Path) -> None:
    if question.id in judgements.grades:
        raise ConfigError(f"{str(path)!r} has the question id {question.id!r} twice; give each an id of its own")


def _notes(paragraphs: Sequence[_Paragraph]) -> list[str]:
    questions = [question for paragraph in paragraphs for question in paragraph.qas]
    impossible = sum(question.is_impossible for question in questions)
    return [f"left out: {impossible} of {len(questions)} questions, which have no answer"] if impossible else []
