"""Documents of a shard -> their vectors, packed by lengths alone; those that cannot be encoded are left out."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from embedstack.engine.reading import together
from embedstack.errors import Mismatch, RuntimeFailed, TooLong, Upstream
from embedstack.jobs.opened import Opened, asking
from embedstack.jobs.patience import Patience, code_of, may_be_of_documents, message_of
from embedstack.jobs.plan import Storing, Wish
from embedstack.jobs.shard_work import Made, Work
from embedstack.types import Encode, Encoded, Floats, Sparse, Text

if TYPE_CHECKING:
    from embedstack.jobs.since import Reused  # it reads tables, so it needs a package that vectors do not

LATE_AT_ONCE = 8  # documents: each is a request of its own, and short ones alone do not fill the device
BAD_VECTOR = "bad_vector"
UNIT_TOLERANCE = 1e-3  # of a length; float32 keeps it within 1e-6, and bfloat16 is brought to it in float32

Vectors = tuple[Floats, list[Sparse] | None]
"""(chunks, dim), and the sparse ones where they are wished for."""
Why = dict[int, tuple[str, str]]
"""Code and message by the number of a document."""
InThread = Callable[[Callable[[], "Reused"]], Awaitable["Reused"]]
log = logging.getLogger(__name__)


class Known(Protocol):
    """Vectors of texts that were encoded before; see `since.Index`."""

    def lookup(self, content_hashes: Sequence[str]) -> "Reused": ...


@dataclass(frozen=True, slots=True)
class Asking:
    """How a shard's texts are asked for.

    Args:
        items: of one request; None for the engine of this process, which packs a whole request by its lengths alone.
        at_once: requests, where there are several.
    """

    items: int | None = None
    at_once: int = 4

    @property
    def is_here(self) -> bool:
        """Whether the engine is in this process."""
        return self.items is None


@dataclass(slots=True)
class _Rows:
    """What is known of the chunks of all documents of a shard."""

    texts: Sequence[str]
    owners: NDArray[np.intp]  # the document of each
    is_known: NDArray[np.bool_]  # by the job before
    known: Floats  # vectors of these

    def fresh(self, is_alive: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Chunks that are to be encoded."""
        return np.flatnonzero(~self.is_known & is_alive[self.owners])


class ShardEncoder:
    """Vectors for one shard after the other, or for several at once.

    Args:
        known: vectors of the job before.
        in_thread: where those are looked up.
    """

    def __init__(
        self,
        opened: Opened,
        wish: Wish,
        patience: Patience,
        how: Asking,
        known: Known | None = None,
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        self._opened, self._wish, self._patience, self._how = opened, wish, patience, how
        self._known, self._in_thread = known, in_thread
        self._is_unit = opened.spec.is_unit(None, wish.dim)
        self.is_in_turn = how.is_here and not wish.late_chunking  # a shard is encoded when the one before it is done

    async def of(self, works: Sequence[Work]) -> Made:
        """Vectors of all that live, and who does not.

        Raises:
            Mismatch: the encoder is not the plan's any more.
            Whatever else is not the fault of documents, and does not pass.
        """
        began = time.monotonic()
        rows = await self._looked_up(works)
        is_alive = np.ones(len(works), np.bool_)
        (dense, sparse), why = await (self._late if self._wish.late_chunking else self._whole)(rows, is_alive)
        why |= await self._bad(rows, is_alive, dense)
        left = np.flatnonzero(is_alive[rows.owners])
        is_kept_whole = len(left) == len(rows.texts)
        return Made(
            works=[work for work, lives in zip(works, is_alive, strict=True) if lives],
            dense=dense if is_kept_whole else dense[left],
            sparse=[sparse[row] for row in left.tolist()] if sparse is not None else None,
            dead=[(works[place], *why[place]) for place in sorted(why)],
            reused=int(rows.is_known[left].sum()),
            tokens=int(np.array([t for work in works for t in work.tokens], np.int64)[rows.fresh(is_alive)].sum()),
            encode_s=time.monotonic() - began,
        )

    async def try_alone(self, work: Work) -> None:
        """Encode one document for nothing, to see whether this process lives through it."""
        error = await self._failure(work.texts)
        if error is not None:
            log.warning("event=document_failed place=%d error=%s", work.place, code_of(error))

    # ------------------------------------------------------------------ one way and the other

    async def _whole(self, rows: _Rows, is_alive: NDArray[np.bool_]) -> tuple[Vectors, Why]:
        """All chunks in one request; again without the documents that it fails over, so packing stays what it is."""
        why: Why = {}
        tries = 0
        while True:
            fresh = rows.fresh(is_alive)
            try:
                dense, sparse = await self._encoded([rows.texts[row] for row in fresh.tolist()])
                spread = None if sparse is None else _spread(sparse, fresh, len(rows.texts))
                return (self._filled(rows, fresh, dense), spread), why
            except BaseException as error:
                if not may_be_of_documents(error):
                    raise
                places = np.unique(rows.owners[fresh]).tolist()
                found = await self._culprits(rows, places, error)
                tries += not found
                # each document alone is well, and all together are not, twice; or nothing is well
                if tries > 1 or (len(found) == len(places) and await self._is_ill()):
                    raise
            is_alive[list(found)] = False
            why |= _reasons(found)

    async def _late(self, rows: _Rows, is_alive: NDArray[np.bool_]) -> tuple[Vectors, Why]:
        """Each document by itself, some at once; what fails is its own fault, unless all do and a probe, too."""
        failed: dict[int, BaseException] = {}
        dense = np.zeros((len(rows.texts), self._opened.identity.dim), np.float32)
        gate = asyncio.Semaphore(LATE_AT_ONCE)

        async def one(place: int) -> None:
            mine = np.flatnonzero(rows.owners == place)
            async with gate:
                found = await self._tried_alone([rows.texts[row] for row in mine.tolist()])
            if isinstance(found, BaseException):
                failed[place] = found
            else:
                dense[mine] = found[0]

        places = np.unique(rows.owners).tolist()
        await together([one(place) for place in places])
        if failed and len(failed) == len(places) and await self._is_ill():
            raise next(iter(failed.values()))
        is_alive[list(failed)] = False
        return (dense, None), _reasons(failed)

    # ------------------------------------------------------------------ who it was

    async def _culprits(self, rows: _Rows, places: Sequence[int], error: BaseException) -> dict[int, BaseException]:
        """Of documents that fail together, those that fail alone: halved until each is found. All of them are tried.

        One over which the device failed is tried once more: that may have passed.
        """
        if len(places) == 1:
            alone = await self._failure_of(rows, places) if isinstance(error, RuntimeFailed) else error
            return {} if alone is None else {places[0]: alone}
        middle = len(places) // 2
        left, right = places[:middle], places[middle:]
        first = await self._failure_of(rows, left)
        # where the first half is well, the second is not; it need not be tried before it is halved
        is_told = first is None and len(right) > 1
        second = error if is_told else await self._failure_of(rows, right)
        found = {} if first is None else await self._culprits(rows, left, first)
        return found if second is None else found | await self._culprits(rows, right, second)

    async def _failure_of(self, rows: _Rows, places: Sequence[int]) -> BaseException | None:
        is_meant = np.zeros(int(rows.owners.max()) + 1, np.bool_)
        is_meant[list(places)] = True
        return await self._failure([rows.texts[row] for row in rows.fresh(is_meant).tolist()])

    async def _failure(self, texts: Sequence[str]) -> BaseException | None:
        """What they end with; None if they are well."""
        found = await self._tried(texts)
        return found if isinstance(found, BaseException) else None

    async def _tried(self, texts: Sequence[str]) -> Vectors | BaseException:
        """Their vectors, or what they end with."""
        try:
            return await self._encoded(texts)
        except BaseException as error:
            if not may_be_of_documents(error):
                raise
            return error

    async def _tried_alone(self, texts: Sequence[str]) -> Vectors | BaseException:
        """Of one document: a device may fail for a moment, and no document shall be buried for that."""
        found = await self._tried(texts)
        return await self._tried(texts) if isinstance(found, RuntimeFailed) else found

    async def _is_ill(self) -> bool:
        """Whether even a text fails that was well when the model was opened: then no document is to blame."""
        return await self._failure([self._opened.probes[0].text]) is not None

    async def _bad(self, rows: _Rows, is_alive: NDArray[np.bool_], dense: Floats) -> Why:
        """Documents with a vector that nobody could use."""
        bad = bad_rows(dense, is_unit=self._is_unit, storing=self._wish.storing)
        found = [place for place in np.unique(rows.owners[bad]).tolist() if is_alive[place]]
        if found and len(found) == is_alive.sum():
            await self._check_device()
        is_alive[found] = False
        rule = "finite and of length 1" if self._is_unit else "finite"
        return dict.fromkeys(found, (BAD_VECTOR, f"the model gave it a vector that is not {rule}"))

    async def _check_device(self) -> None:
        """Raises: RuntimeFailed: it gives nothing that could be used of a probe either; no document is to blame."""
        found = await self._tried([self._opened.probes[0].text])
        is_ill = isinstance(found, BaseException) or bool(len(bad_rows(found[0], is_unit=self._is_unit)))
        if is_ill:
            raise RuntimeFailed(
                "vectors of no document of a shard can be used, nor that of a text that was well before; look at the "
                "device, and run the job again: what is committed stays"
            )

    # ------------------------------------------------------------------ requests

    async def _encoded(self, texts: Sequence[str]) -> Vectors:
        """In one request, or in several."""
        size = len(texts) if self._how.items is None or self._wish.late_chunking else self._how.items
        groups = [texts[first : first + size] for first in range(0, len(texts), max(1, size))]
        answers: list[Encoded | None] = [None] * len(groups)
        gate = asyncio.Semaphore(self._how.at_once)

        async def one(number: int) -> None:
            async with gate:
                answers[number] = await self._patience.of(partial(self._answer, groups[number]))

        await together([one(number) for number in range(len(groups))])
        made = [answer for answer in answers if answer is not None]
        dense = [answer.dense for answer in made if answer.dense is not None]
        sparse = [row for answer in made for row in answer.sparse or ()] if self._wish.sparse else None
        return _stacked(dense, self._opened.identity.dim), sparse

    async def _answer(self, texts: Sequence[str]) -> Encoded:
        answer = await self._opened.encoder.encode(self._request(texts))
        identity, made = self._opened.identity, answer.dense
        if answer.fingerprint != identity.fingerprint:
            raise Mismatch(
                f"vectors of fingerprint {answer.fingerprint[:12]!r} came and the plan is for "
                f"{identity.fingerprint[:12]!r}: another model answers now; bring {identity.model!r} back"
            )
        is_sparse_missing = self._wish.sparse and len(answer.sparse or ()) != len(texts)
        if made is None or made.shape != (len(texts), identity.dim) or is_sparse_missing:
            shape = None if made is None else made.shape
            raise Upstream(f"vectors of shape {shape} came for {len(texts)} texts of width {identity.dim}; look there")
        if answer.usage.truncated:
            raise TooLong(
                f"{answer.usage.truncated} of {len(texts)} chunks were cut by the encoder; its limit is lower than "
                "planned: make smaller chunks"
            )
        return answer

    def _request(self, texts: Sequence[str]) -> Encode:
        wish, opened = self._wish, self._opened
        items = [Text(text, wish.role) for text in texts]
        return asking(opened.model, items, wish, is_here=self._how.is_here, late_chunking=wish.late_chunking)

    # ------------------------------------------------------------------ what was there before

    async def _looked_up(self, works: Sequence[Work]) -> _Rows:
        texts = [text for work in works for text in work.texts]
        owners = np.repeat(np.arange(len(works)), [len(work.texts) for work in works]).astype(np.intp)
        if self._known is None:
            nothing = np.empty((0, self._opened.identity.dim), np.float32)
            return _Rows(texts, owners, np.zeros(len(texts), np.bool_), nothing)
        hashes = [one for work in works for one in work.hashes]
        found = await self._in_thread(partial(self._known.lookup, hashes))
        return _Rows(texts, owners, found.found, found.vectors)

    def _filled(self, rows: _Rows, fresh: NDArray[np.intp], dense: Floats) -> Floats:
        """(all chunks, dim): those that were known, those that were encoded now, and zeros of the dead."""
        if len(fresh) == len(rows.texts):
            return dense
        made = np.zeros((len(rows.texts), self._opened.identity.dim), np.float32)
        made[rows.is_known] = rows.known
        made[fresh] = dense
        return made


def _reasons(failed: Mapping[int, BaseException]) -> Why:
    return {place: (code_of(error), message_of(error)) for place, error in failed.items()}


def _spread(sparse: Sequence[Sparse], fresh: NDArray[np.intp], rows: int) -> list[Sparse]:
    """By the numbers of all chunks; those of the dead have none."""
    nothing = Sparse(np.empty(0, np.int32), np.empty(0, np.float32))
    made = [nothing] * rows
    for row, one in zip(fresh.tolist(), sparse, strict=True):
        made[row] = one
    return made


def _stacked(dense: Sequence[Floats], dim: int) -> Floats:
    if len(dense) == 1:
        return dense[0]
    return np.concatenate(dense) if dense else np.empty((0, dim), np.float32)


def bad_rows(dense: Floats, *, is_unit: bool, storing: Storing = "float32") -> NDArray[np.intp]:
    """Numbers of the rows that hold something that is not finite, or will not be once it is stored, or have not the
    length 1 that they should have.
    """
    most = float(np.finfo(storing).max)
    is_bad = ~(np.abs(dense) <= most).all(axis=1)  # what is no number is not below anything
    if is_unit:
        lengths = np.sqrt(np.einsum("ij,ij->i", dense, dense, dtype=np.float64))
        is_bad |= ~(np.abs(lengths - 1) <= UNIT_TOLERANCE)
    return np.flatnonzero(is_bad)
