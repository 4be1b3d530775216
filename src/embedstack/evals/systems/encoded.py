"""A model and texts -> their vectors, request by request; what several systems need of one model is asked for once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import numpy as np

from embedstack.databases.bound import origin_of
from embedstack.databases.database import Column, Kind
from embedstack.engine.background import wait
from embedstack.errors import BadRequest, Mismatch, Upstream
from embedstack.evals.systems.again import Again
from embedstack.evals.systems.system import Progress
from embedstack.modelspec import ModelSpec
from embedstack.origin import Identity, Origin
from embedstack.types import Encode, Encoded, Encoder, Floats, Priority, Sparse, Text

REQUEST = 256  # texts: full batches for any engine, and signs of life also from a slow one


@dataclass(frozen=True, slots=True)
class Read:
    """What a model gave for some texts."""

    columns: Mapping[Kind, Column]  # in the order of the texts
    identity: Identity
    texts: int
    truncated: int  # texts of which the model did not read all
    notes: tuple[str, ...] = ()  # what a reader of the figures must know, such as that the model was away

    def origin(self, kind: Kind, there: Identity) -> Origin:
        """Of these vectors as questions, for a comparison with others; those that are not dense have no width."""
        width = self.identity.dim if kind == "dense" else there.dim
        return Origin(identity=msgspec.structs.replace(self.identity, dim=width), role="query")


class Shared:
    """One model, as all systems of an evaluation have it; used by one thread at a time.

    Args:
        spec: which of the encoder's models it is.
        place: the model for people, as the user wrote it.
        kinds: of vectors that systems need of the documents; all are asked for together.
        dim: of documents' dense vectors; the model's own if None.
        roles: as which queries and documents are read.
        again: calls it.
    """

    def __init__(
        self, encoder: Encoder, spec: ModelSpec, place: str, *, kinds: frozenset[Kind], dim: int | None,
        roles: tuple[str, str], again: Again | None = None,
    ) -> None:  # fmt: skip
        self.spec = spec
        self.place = place
        self.dim = dim
        self.encoder = encoder
        self._kinds = kinds
        self._query_role, self._document_role = roles
        self._again = again or Again()
        self._documents: Mapping[str, str] = {}
        self._kept: Read | None = None  # what was made of them, and nobody has taken yet

    def documents(self, documents: Mapping[str, str], kind: Kind, progress: Progress) -> Read:
        """Their vectors of one kind. Whoever asks keeps them; those of the other kinds are kept here until then.

        Raises:
            BadRequest: there are no documents. Mismatch: another model answered meanwhile. What the encoder raises.
        """
        if self._kept is None or kind not in self._kept.columns or self._documents != documents:
            texts, kinds = tuple(documents.values()), self._kinds | {kind}
            self._kept = self._read(texts, self._document_role, kinds, self.dim, priority="bulk", progress=progress)
            self._documents = documents
        made = self._kept
        self.let_go(kind)
        return replace(made, columns={kind: made.columns[kind]})

    def let_go(self, kind: Kind) -> None:
        """Nobody needs the documents' vectors of this kind any more."""
        if (kept := self._kept) is not None:
            left = {one: column for one, column in kept.columns.items() if one != kind}
            self._kept = replace(kept, columns=left) if left else None
        self._documents = self._documents if self._kept else {}

    def queries(self, texts: Sequence[str], kinds: frozenset[Kind], dim: int | None) -> Read:
        """Their vectors; of one query alone as a user would ask for it, of several as work that can wait.

        Raises:
            As `documents`.
        """
        return self._read(texts, self._query_role, kinds, dim, priority="interactive" if len(texts) == 1 else "bulk")

    def _read(
        self, texts: Sequence[str], role: str, kinds: frozenset[Kind], dim: int | None, *, priority: Priority,
        progress: Progress = lambda what, done, total: None,
    ) -> Read:  # fmt: skip
        if not texts:
            raise BadRequest(f"there is no text for {self.place!r} to read; give documents and queries with texts")
        gathered, identity, truncated = _Gathered(kinds, len(texts)), None, 0
        for at in range(0, len(texts), REQUEST):
            items = tuple(Text(text, role) for text in texts[at : at + REQUEST])
            request = Encode(
                model=self.spec.name, items=items, outputs=frozenset(kinds), dim=dim if "dense" in kinds else None,
                priority=priority,
            )  # fmt: skip
            made = self._again(partial(self._answered, request))
            identity = self._identity(made, identity)
            gathered.add(made, at, len(items), self.place)
            truncated += made.usage.truncated
            progress(f"documents by {self.place}", at + len(items), len(texts))
        assert identity is not None  # there was a text
        return Read(gathered.columns(), identity, len(texts), truncated, tuple(self._again.noted(self.place)))

    def _answered(self, request: Encode) -> Encoded:
        return wait(self.encoder.encode(request))

    def _identity(self, made: Encoded, before: Identity | None) -> Identity:
        """Who answered, which is who answered before."""
        identity = origin_of(made).identity
        if before not in (None, identity):
            raise Mismatch(
                f"{self.place!r} answered as {before.model!r} (fingerprint {before.fingerprint[:12]!r}) and then as "
                f"{identity.model!r} ({identity.fingerprint[:12]!r}); ask one replica, and evaluate again"
            )
        return identity


class _Gathered:
    """Vectors, request by request. Dense ones are put where they stay: to join parts takes their memory twice."""

    def __init__(self, kinds: frozenset[Kind], texts: int) -> None:
        self._kinds = kinds
        self._texts = texts
        self._dense = np.empty((0, 0), np.float32)
        self._sparse: list[Sparse] = []
        self._multi: list[Floats] = []

    def add(self, made: Encoded, at: int, count: int, place: str) -> None:
        """Those of `count` texts, of which the first is number `at`.

        Raises:
            Upstream: they are not so many.
        """
        given: dict[Kind, Column | None] = {"dense": made.dense, "sparse": made.sparse, "multi": made.multi}
        for kind in self._kinds:
            found = 0 if (column := given[kind]) is None else len(column)
            if found != count:
                raise Upstream(f"{place!r} gave {found} {kind} vectors for {count} texts; look at what answers there")
        if "dense" in self._kinds and made.dense is not None:
            if not at:
                self._dense = np.empty((self._texts, made.dense.shape[1]), np.float32)
            self._dense[at : at + count] = made.dense
        self._sparse.extend(made.sparse or ())
        self._multi.extend(made.multi or ())

    def columns(self) -> dict[Kind, Column]:
        """All of them."""
        every: dict[Kind, Column] = {"dense": self._dense, "sparse": self._sparse, "multi": self._multi}
        return {kind: every[kind] for kind in self._kinds}
