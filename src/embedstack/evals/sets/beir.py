"""A folder as BEIR has them -> a labelled set: corpus.jsonl, queries.jsonl, qrels/<split>.tsv, each also packed.

Source: https://github.com/beir-cellar/beir/wiki/Load-your-custom-dataset.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from embedstack.errors import ConfigError
from embedstack.evals.sets.joining import joined
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.sets.qrels import read_qrels
from embedstack.evals.sets.texts import Texts, read_documents, read_queries

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels"
DEFAULT = "test"
PACKED = ("", ".gz", ".zst")  # endings, in the order in which they are looked for


def is_beir(folder: Path) -> bool:
    """Whether it has a corpus."""
    return _found(folder, CORPUS) is not None


def read_beir(folder: Path, split: str = "") -> Labelled:
    """One split.

    Args:
        split: "" is "test", or the only one there is.
    Raises:
        ConfigError: a file or the split is missing, or cannot be read as what it should be.
    """
    qrels = _split(folder, split)
    name = folder.resolve().name
    documents, queries = read_documents(_file(folder, CORPUS)), read_queries(_file(folder, QUERIES))
    judgements = read_qrels(qrels)
    return joined(
        name if _split_of(qrels) == DEFAULT else f"{name} ({_split_of(qrels)})",
        judgements,
        documents,
        queries,
        notes=_notes([query for query in judgements.grades if query in queries.kept], documents),
    )


def _notes(asked: Sequence[str], documents: Texts) -> list[str]:
    """Where beir's own figures are of other rankings.

    Source:
        `ignore_identical_ids` of `EvaluateRetrieval.evaluate` in beir/retrieval/evaluation.py, which is on by default.
    """
    both = [query for query in asked if query in documents.kept]
    if not both:
        return []
    return [
        f"{len(both)} of {len(asked)} queries have the id of a document, such as {both[0]!r}: beir leaves that "
        "document out of its query's ranking, and here it stays; where it is found, beir's figures are others"
    ]


def _split(folder: Path, split: str) -> Path:
    there = _splits(folder)
    if not there:
        raise ConfigError(f"{str(folder / QRELS)!r} has no judgements; put them there as {DEFAULT}.tsv")
    chosen = split or (DEFAULT if len(there) > 1 else next(iter(there)))
    if chosen not in there:
        raise ConfigError(
            f"{str(folder)!r} has no split {chosen!r}; name one of those it has: {', '.join(map(repr, sorted(there)))}"
        )
    return there[chosen]


def _splits(folder: Path) -> Mapping[str, Path]:
    """Name -> file."""
    files = [path for ending in PACKED for path in (folder / QRELS).glob(f"*.tsv{ending}")]
    return {_split_of(path): path for path in reversed(files)}


def _split_of(path: Path) -> str:
    return path.name.partition(".tsv")[0]


def _file(folder: Path, name: str) -> Path:
    found = _found(folder, name)
    if found is None:
        raise ConfigError(
            f"{str(folder)!r} has no {name}; a BEIR folder has {CORPUS}, {QUERIES} and {QRELS}/{DEFAULT}.tsv"
        )
    return found


def _found(folder: Path, name: str) -> Path | None:
    return next((path for ending in PACKED if (path := folder / f"{name}{ending}").is_file()), None)
