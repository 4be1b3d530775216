"""Documents that were drawn become counts: tokens, chunks and bytes of each, and how long it took to read and cut."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedstack.chunks.chunk import Chunk, Ruler
from embedstack.documents.document import Document, Unreadable
from embedstack.jobs.plan import Wish
from embedstack.jobs.sampling import Drawn, Draws
from embedstack.jobs.shard_work import Fault, Pieces, Reads, pieces

KEPT_BYTES = 64 << 20  # of texts that are kept to be cut again while the device works
FEW = 8  # chunks of a document whose text is not kept; then there are hundreds of documents
FIELDS_BYTES = 64  # chunk id and content hash of a row, 32 each
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Looked:
    """One document that was looked at."""

    code: str = ""  # why it will be a dead letter
    text_bytes: int = 0
    tokens: int = 0  # that the model will read
    count: int = 0  # of chunks
    row_bytes: int = 0  # of all that its rows hold beside vectors
    cut_s: float = 0.0  # in one thread, with nothing else at work
    document: Document | None = None  # where there is room for it
    chunks: tuple[Chunk, ...] = ()  # all of them with the document, else a few from everywhere in it


@dataclass(frozen=True, slots=True)
class Cluster:
    """A segment that was drawn. Of a file of rows some were looked at, and all of it was read."""

    weight: float  # segments of the input that it stands for
    measure: int  # bytes, in proportion to which it was drawn
    docs: int  # in it
    text_bytes: int  # of all its documents
    looked: tuple[Looked, ...]
    read_s: float = 0.0  # for all of it


@dataclass(frozen=True, slots=True)
class Totals:
    """Of the whole input."""

    tokens: float
    chunks: float
    row_bytes: float
    cut_s: float
    dead: float  # documents
    read_s: float

    @property
    def host_s(self) -> float:
        """To read and to cut, which one thread does for a job."""
        return self.read_s + self.cut_s


@dataclass(frozen=True, slots=True)
class Survey:
    """What the drawn documents say."""

    files: tuple[Cluster, ...]
    rows: tuple[Cluster, ...]
    all_files: bool
    all_rows: bool
    too_large: int = 0  # files that are dead letters and were not drawn

    @property
    def looked(self) -> list[Looked]:
        """All documents that were looked at."""
        return [one for cluster in (*self.files, *self.rows) for one in cluster.looked]


def survey(draws: Draws, reader: Reads, wish: Wish, ruler: Ruler, *, seed: int = 0,
           clock: Clock = time.perf_counter) -> Survey:  # fmt: skip
    """Read and cut what was drawn. Blocks: run it in a thread."""
    looking = _Looking(reader, wish, ruler, random.Random(seed), clock)  # noqa: S311 - a sample is no secret
    files = tuple(looking.cluster(drawn) for drawn in draws.files)
    rows = tuple(looking.cluster(drawn) for drawn in draws.rows)
    return Survey(files, rows, draws.all_files, draws.all_rows, draws.too_large)


class _Looking:
    """Keeps the time, and a bounded part of the texts."""

    def __init__(self, reader: Reads, wish: Wish, ruler: Ruler, chance: random.Random, clock: Clock) -> None:
        self._reader, self._wish, self._ruler = reader, wish, ruler
        self._chance, self._clock = chance, clock
        self._kept = 0

    def cluster(self, drawn: Drawn) -> Cluster:
        """One segment: all of it is read, and what was drawn of it is cut."""
        chosen, total, read_s = self._read(drawn)
        looked = tuple(self._look(one) for one in chosen)
        return Cluster(drawn.weight, max(1, drawn.size), drawn.segment.docs, total, looked, read_s)

    def _read(self, drawn: Drawn) -> tuple[list[Document | Unreadable], int, float]:
        """The documents at places that are drawn by chance; the bytes of all texts, and the time that all took.

        Of several rows the first one is taken for one like the others: to come to it, here a part of the file is
        passed over that a job reads once.
        """
        docs = drawn.segment.docs
        places = set(self._chance.sample(range(docs), drawn.docs))
        began, chosen, total = self._clock(), [], 0
        for place, document in enumerate(self._reader.read(drawn.segment)):
            if place == 0 and docs > 1:
                began = self._clock()
            total += _bytes(document)
            if place in places:
                chosen.append(document)
        return chosen, total, (self._clock() - began) * (docs / (docs - 1) if docs > 1 else 1)

    def _look(self, document: Document | Unreadable) -> Looked:
        if isinstance(document, Unreadable):
            return Looked(document.code)
        began = self._clock()
        found = pieces(document, self._wish, self._ruler)
        cut_s = self._clock() - began
        if isinstance(found, Fault):
            return Looked(found.code, _bytes(document), cut_s=cut_s)
        return self._counted(document, found, cut_s)

    def _counted(self, document: Document, found: Pieces, cut_s: float) -> Looked:
        """With its texts while there is room, and later with a few, so that late ones have a part in what is tried."""
        size, chunks = _bytes(document), found.chunks
        self._kept += size
        is_kept = self._kept <= KEPT_BYTES
        step = 1 if is_kept else max(1, len(chunks) // FEW)
        fields = FIELDS_BYTES + len(document.doc_id.encode())
        return Looked(
            text_bytes=size,
            tokens=sum(one.tokens for one in chunks),
            count=len(chunks),
            row_bytes=sum(fields + len(one.text.encode()) for one in chunks)
            + sum(map(len, map(str.encode, found.metadata))),
            cut_s=cut_s,
            document=document if is_kept else None,
            chunks=tuple(chunks[::step]),
        )


def _bytes(document: Document | Unreadable) -> int:
    return len(document.text.encode("utf-8", "surrogatepass")) if isinstance(document, Document) else 0


# ------------------------------------------------------------------------------------------------ what they stand for

KINDS = 6  # tokens, chunks, bytes of rows, time to cut; dead documents, time to read
WITH_BYTES = 4  # of these grow with the text
Numbers = NDArray[np.float64]


def totals(survey: Survey) -> Totals:
    """Of the whole input, as likely as not."""
    tokens, chunks, row_bytes, cut_s, dead, read_s = (_likely(survey.files) + _likely(survey.rows)).tolist()
    return Totals(tokens, chunks, row_bytes, cut_s, dead + survey.too_large, read_s)


def resampled(survey: Survey, times: int, *, as_drawn: bool, seed: int = 0) -> Numbers:
    """(times, 6): the totals as other draws might have had them.

    Segments are drawn again with replacement where not all were drawn, and so are the documents of each.
    Source: the two-stage bootstrap, Davison and Hinkley 1997, section 3.8.

    Args:
        as_drawn: whether the input is all there is; if not, it is itself a sample of more like it.
    """
    chance = np.random.default_rng(seed)
    files = _again(survey.files, times, chance, all_drawn=survey.all_files, as_drawn=as_drawn)
    return files + _again(survey.rows, times, chance, all_drawn=survey.all_rows, as_drawn=as_drawn)


def _likely(clusters: Sequence[Cluster]) -> Numbers:
    """(6,)."""
    if not clusters:
        return np.zeros(KINDS)
    return _by_bytes(np.sum([_sums(cluster) * cluster.weight for cluster in clusters], axis=0))


def _again(
    clusters: Sequence[Cluster], times: int, chance: np.random.Generator, *, all_drawn: bool, as_drawn: bool
) -> Numbers:
    if not clusters:
        return np.zeros((times, KINDS))
    drawn = np.ones((times, len(clusters))) if all_drawn and as_drawn else _drawn_again(len(clusters), times, chance)
    is_whole = [len(cluster.looked) == cluster.docs and (as_drawn or cluster.docs == 1) for cluster in clusters]
    counted = [_sums(cluster) * cluster.weight * same for cluster, same in zip(clusters, is_whole, strict=True)]
    whole: Numbers = drawn @ np.array(counted)
    for place, cluster in enumerate(clusters):
        if not is_whole[place]:
            looked = _drawn_again(len(cluster.looked), times, chance)
            whole += drawn[:, place, None] * cluster.weight * _sums(cluster, looked)
    stands_for = np.array([cluster.weight * cluster.measure for cluster in clusters])
    level: Numbers = stands_for.sum() / (drawn @ stands_for)  # all draws stand for the same input
    return _by_bytes(whole * level[:, None])


def _drawn_again(count: int, times: int, chance: np.random.Generator) -> Numbers:
    """(times, count): how often each is drawn, so many in all."""
    return chance.multinomial(count, np.full(count, 1 / count), times).astype(np.float64)


def _sums(cluster: Cluster, drawn: Numbers | None = None) -> Numbers:
    """(6 + 2,) or (draws, 6 + 2) of a segment: what those that were looked at say of all, text bytes among it; and the
    text bytes that all have in truth.

    Args:
        drawn: (draws, documents): how often each counts; once if None.
    """
    read_s = cluster.read_s / cluster.docs
    values = np.array(
        [
            [one.tokens, one.count, one.row_bytes, one.cut_s, bool(one.code), read_s, one.text_bytes]
            for one in cluster.looked
        ],
        np.float64,
    )
    said: Numbers = values.sum(axis=0) if drawn is None else drawn @ values
    told = np.full((*said.shape[:-1], 1), cluster.text_bytes, np.float64)
    both: Numbers = np.concatenate([said * (cluster.docs / len(cluster.looked)), told], axis=-1)
    return both


def _by_bytes(sums: Numbers) -> Numbers:
    """(..., 6): what grows with the text is scaled to the text bytes that there are. One ratio for all segments: of
    one for each the mean would lie beside the truth, since few documents were looked at in each."""
    said, told = sums[..., KINDS], sums[..., KINDS + 1]
    made: Numbers = sums[..., :KINDS].copy()
    made[..., :WITH_BYTES] *= (told / np.maximum(said, 1.0))[..., None]
    return made
