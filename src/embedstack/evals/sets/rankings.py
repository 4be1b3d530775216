"""TREC's run files <-> rankings: of each line query, Q0, document, rank, score and the system's name.

Rankings are in the order in which trec_eval judges them, see `metrics`: the column of ranks says nothing. A query for
which nothing was found has a line with a document that is none, `(nothing)`: without a line nobody could tell it from a
query that was never asked.
"""

import gzip
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from embedstack.errors import BadRequest, ConfigError
from embedstack.evals.sets.text_lines import filled
from embedstack.evals.systems.system import Ranked

COLUMNS = "query Q0 document rank score tag"
NOTHING = "(nothing)"  # in the place of a document; others take it for one that nobody judged, which counts the same
LARGEST = 1e38  # of what is written: below it there is room for a million lower ones
SMALLEST = np.finfo(np.float32).tiny  # what is nearer to 0 is 0 to processors that are told to flush it


def read_run(path: Path) -> dict[str, list[Ranked]]:
    """Query -> its documents: falling score as float32, among equals falling id.

    Raises:
        ConfigError: a line has other columns, a score is no finite number, or a query has a document twice.
    """
    run: dict[str, dict[str, float]] = {}
    ids: dict[str, str] = {}  # each document's id is kept once, not once for each query
    for number, line in filled(path):
        query, document, score = _hit(line, number, path)
        scores = run.setdefault(query, {})
        if document == NOTHING:
            continue
        if document in scores:
            raise ConfigError(
                f"line {number} of {str(path)!r} ranks document {document!r} for query {query!r} again; keep one"
            )
        scores[ids.setdefault(document, document)] = score
    if not run:
        raise ConfigError(f"{str(path)!r} has no line; those of a run are: {COLUMNS}")
    return {query: _ranked(scores) for query, scores in run.items()}


def write_run(path: Path, rankings: Mapping[str, Sequence[Ranked]], tag: str) -> None:
    """All of them or nothing, packed where the name ends in .gz. Read back, they are in the order that they have here.

    So a score that is not below the one before, as float32, is written as the next lower number of that.

    Args:
        rankings: query -> its documents, best first.
        tag: the system's name; its white space becomes "_".
    Raises:
        BadRequest: an id that a run file cannot hold, a document twice for a query, or a score that is not finite.
        ConfigError: it cannot be written there.
    """
    with _written(path) as file:
        for query, ranked in rankings.items():
            file.writelines(_lines(query, ranked, "_".join(tag.split()) or "run"))


# ------------------------------------------------------------------------------------------------ reading


def _hit(line: str, number: int, path: Path) -> tuple[str, str, float]:
    cells = line.split()
    if len(cells) != 6:
        raise ConfigError(f"line {number} of {str(path)!r} has {len(cells)} columns, a run has six: {COLUMNS}")
    query, _, document, _, written, _ = cells
    score = _number(written)
    if score is None:
        raise ConfigError(
            f"line {number} of {str(path)!r} has the score {written!r}, which is no finite number; the columns are: "
            f"{COLUMNS}"
        )
    return query, document, score


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def _ranked(scores: Mapping[str, float]) -> list[Ranked]:
    with np.errstate(over="ignore"):  # beyond float32 is infinity, there as here
        rounded = np.fromiter(scores.values(), np.float64, len(scores)).astype(np.float32)
    order = sorted(zip(rounded.tolist(), scores, strict=True), reverse=True)
    return [Ranked(document, scores[document]) for _, document in order]


# ------------------------------------------------------------------------------------------------ writing


def _lines(query: str, ranked: Sequence[Ranked], tag: str) -> Iterator[bytes]:
    _check_id(query, "query")
    if not ranked:
        yield f"{query} Q0 {NOTHING} 1 0 {tag}\n".encode()
    seen: set[str] = set()
    scores = _falling([hit.score for hit in ranked], query)
    for rank, (hit, score) in enumerate(zip(ranked, scores, strict=True), 1):
        _check_id(hit.document, "document")
        if hit.document in seen:
            raise BadRequest(f"document {hit.document!r} is ranked twice for query {query!r}; keep the better one")
        seen.add(hit.document)
        if hit.document == NOTHING:
            raise BadRequest(f"document id {NOTHING!r} means in a run that nothing was found; take another id")
        yield f"{query} Q0 {hit.document} {rank} {score!s} {tag}\n".encode()


def _falling(scores: Sequence[float], query: str) -> Iterator[np.float32]:
    """Each below the one before and none subnormal; those that are both already stay as they are."""
    before = np.float32(np.inf)
    for score in scores:
        if not math.isfinite(score):
            raise BadRequest(f"a score for query {query!r} is {score}, which cannot be ranked; leave that document out")
        rounded = np.float32(min(max(score, -LARGEST), LARGEST))
        if abs(rounded) < SMALLEST:
            rounded = np.float32(0)
        before = rounded if rounded < before else _below(before)
        yield before


def _below(score: np.float32) -> np.float32:
    lower: np.float32 = np.nextafter(score, np.float32(-np.inf))
    return lower if abs(lower) >= SMALLEST else -SMALLEST


def _check_id(name: str, what: str) -> None:
    if name.split() != [name]:
        raise BadRequest(
            f"the {what} id {name!r} is empty or has white space, which divides the columns of a run; take other ids"
        )


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once it is whole."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        try:
            with partial.open("wb") as raw, _packing(raw, path) as file:
                yield file
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError(f"{str(path)!r} cannot be written: {why}; name a file in a folder that is there") from error


def _packing(raw: BinaryIO, path: Path) -> AbstractContextManager[BinaryIO]:
    if path.suffix != ".gz":
        return nullcontext(raw)
    return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=raw, mtime=0))  # the same rankings are the same bytes
