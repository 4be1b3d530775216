"""A collection's name, a wish and a model -> what is there, and what of the wish that decides; or a refusal."""

from dataclasses import dataclass, replace

from msgspec.structs import replace as changed

from embedstack.databases.bound import Bound
from embedstack.databases.database import Collection, Database, Field, Index
from embedstack.errors import BadRequest, Unsupported
from embedstack.indexing.held import Retry
from embedstack.indexing.lexical import bm25_field, bm25_in, lexical_of
from embedstack.indexing.points import rules_digest
from embedstack.indexing.wish import BM25, DENSE, SPARSE, IndexWish, Lexical
from embedstack.jobs.plan import Wish
from embedstack.modelspec import ModelSpec
from embedstack.origin import Identity, Origin, check_space
from embedstack.search.bm25 import Bm25


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where documents go, and as what."""

    name: str  # the collection's own, or that of the one to be made
    found: Collection | None
    lexical: Lexical
    bm25: Bm25 | None  # that is there; of a new one nobody knows its mean length yet
    encoding: Wish  # as a model is asked

    @property
    def field(self) -> str:
        """Of the sparse vectors; "" where there are none."""
        return {"bm25": BM25, "model": SPARSE, "none": ""}[self.lexical]

    @property
    def is_replacing(self) -> bool:
        """Whether points may have sparse vectors of another kind, which say what documents were before."""
        fields = self.found.fields if self.found else {}
        return any(name in fields for name in {BM25, SPARSE} - {self.field})

    def rules(self, spec: ModelSpec) -> str:
        """All but a document that decides its points."""
        wish = self.encoding
        lexical = self.bm25.identity.space if self.bm25 else self.lexical
        how = wish.chunking.digest, wish.role, str(wish.late_chunking)
        return rules_digest(*how, spec.space, str(wish.dim or spec.dim), lexical)


def target(database: Database, name: str, wish: IndexWish, spec: ModelSpec, retry: Retry) -> Target:
    """What a look at the collection gives.

    Raises:
        Mismatch: it holds vectors of another space. BadRequest: it keeps no payload. Unsupported: the
            model gives no dense vectors, or no sparse ones that were wished.
    """
    found = retry(lambda: database.describe(name))
    if "dense" not in spec.outputs:
        raise Unsupported(f"model {spec.name!r} gives no dense vectors; name another one with --model")
    if found is not None and not found.keeps_payload:
        raise BadRequest(f"collection {found.name!r} is a table of yours, which keeps no payload; take another name")
    dim = wish.dim or _dim(found, spec)
    if found is not None:
        _check_space(found, spec, dim)
    lexical = lexical_of(found, wish, spec)
    encoding = Wish(
        inputs=(),
        model=spec.name,
        dim=None if dim == spec.dim else dim,
        sparse=lexical == "model",
        late_chunking=wish.late_chunking,
        reading=wish.reading,
        chunking=wish.chunking,
    )
    bm25 = bm25_in(found, wish) if lexical == "bm25" else None
    return Target(name=found.name if found else name, found=found, lexical=lexical, bm25=bm25, encoding=encoding)


def prepared(database: Database, target: Target, origin: Origin, wish: IndexWish) -> Bound:
    """The collection with all that it needs, and a guard in front of it.

    Args:
        target: with its BM25.
        origin: of the dense vectors.
    Raises:
        As `Bound.prepare`.
    """
    fields = {DENSE: Field(dim=origin.identity.dim, origin=origin)}
    if target.lexical == "model":
        fields[SPARSE] = Field(kind="sparse", distance="dot", origin=changed(origin, probes=()))
    if target.bm25 is not None:
        fields[BM25] = bm25_field(target.bm25)
    origins = {name: field.origin for name, field in fields.items() if field.origin is not None}
    there = target.found.fields if target.found else {}
    kept = {name: replace(there.get(name, field), origin=None) for name, field in fields.items()}
    indexes = {wish.tenant.key: Index(is_tenant=True)} if wish.tenant else {}
    bound = Bound(database, target.name, origins)
    bound.prepare(Collection(name=target.name, fields=kept, indexes=indexes), claim=wish.claim)
    return bound


def _dim(found: Collection | None, spec: ModelSpec) -> int:
    """What was not wished is as the collection has it, where the model has it, too."""
    there = found.fields[DENSE].dim if found and DENSE in found.fields else 0
    return there if there in spec.cuts else spec.dim


def _check_space(found: Collection, spec: ModelSpec, dim: int) -> None:
    """Now, and not after all was read; `Bound` looks at it, too."""
    signed = found.fields[DENSE].origin if DENSE in found.fields else None
    if signed is None:
        return
    identity = Identity(
        model=spec.name, revision=spec.revision, space=spec.space, fingerprint="", dim=dim, max_tokens=spec.max_tokens
    )
    check_space(signed, Origin(identity=identity), f"collection {found.name!r}")
