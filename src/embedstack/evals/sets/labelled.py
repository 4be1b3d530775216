"""The nouns of what is judged by: questions, documents, and which of them belong together."""

from collections.abc import Mapping
from dataclasses import dataclass

from embedstack.evals.metrics import Qrels


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Queries, documents, and which documents are relevant to which query."""

    name: str  # for people: a folder's or file's name
    digest: str  # of everything below; two reports with the same one can be compared
    documents: Mapping[str, str]  # id -> text, in the order of the file; empty where only rankings can be judged
    queries: Mapping[str, str]  # id -> text, only those that are judged; empty as `documents`
    qrels: Qrels
    notes: tuple[str, ...] = ()  # what was left out, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Texts of which people said how alike they are."""

    name: str
    digest: str
    firsts: tuple[str, ...]
    seconds: tuple[str, ...]
    grades: tuple[float, ...]  # higher is more alike
    notes: tuple[str, ...] = ()
