"""A collection's name, a wish and a model -> what is there, and what of the wish that decides; or a refusal."""

from dataclasses import dataclass, replace

from msgspec.structs import replace as changed

from embedstack.databases.bound import Bound
from embedstack.databases.database import Collection, Database, Field, Index
from embedstack.errors import BadRequest, Mismatch, Unsupported
from embedstack.indexing.held import Retry
from embedstack.indexing.lexical import bm25_field, bm25_in, lexical_of
from embedstack.indexing.points import rules_digest
from embedstack.indexing.wish import BM25, DENSE, DENSE_BESIDE, MULTI, SPARSE, IndexWish, Lexical
from embedstack.jobs.plan import Wish
from embedstack.modelspec import ModelSpec
from embedstack.origin import Identity, Origin, check_space
from embedstack.search.bm25 import Bm25

BYTES = 2  # of a float16


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where documents go, and as what."""

    name: str  # the collection's own, or that of the one to be made
    found: Collection | None
    dense: str  # the name of the field
    multi_dim: int  # numbers of each vector of tokens; 0 where there are none
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
        beside = (MULTI,) if self.multi_dim else ()
        return rules_digest(*how, spec.space, str(wish.dim or spec.dim), lexical, *beside)

    def size_note(self) -> str:
        """What vectors of tokens take, for people."""
        tokens = self.encoding.chunking.tokens
        size = BYTES * self.multi_dim * tokens
        each = f"{self.multi_dim:,} numbers of float16 for each"
        return f"vectors of tokens are {each}: {size:,} bytes of a chunk of {tokens} tokens"


def target(database: Database, name: str, wish: IndexWish, spec: ModelSpec, retry: Retry) -> Target:
    """What a look at the collection gives.

    Raises:
        Mismatch: it holds vectors of another space, or none of tokens where these were wished. BadRequest: it keeps no
            payload. Unsupported: the model gives no dense vectors, or no sparse ones or none of tokens as wished.
    """
    found = retry(lambda: database.describe(name))
    if "dense" not in spec.outputs:
        raise Unsupported(
            f"model {spec.name!r} gives {' and '.join(spec.outputs)} vectors and no dense ones, which every document "
            "has here; name a model that has them with --model"
        )
    if found is not None and not found.keeps_payload:
        raise BadRequest(f"collection {found.name!r} is a table of yours, which keeps no payload; take another name")
    has_multi = _has_multi(found, wish, spec)
    dense = DENSE_BESIDE if has_multi and (found is None or DENSE_BESIDE in found.fields) else DENSE
    there = found.fields.get(dense) if found else None
    dim = wish.dim or _dim(there, spec)
    if found is not None and there is not None:
        _check_space(found, there, spec, dim)
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
    return Target(
        name=found.name if found else name,
        found=found,
        dense=dense,
        multi_dim=spec.architecture.hidden if has_multi else 0,
        lexical=lexical,
        bm25=bm25,
        encoding=encoding,
    )


def dense_in(found: Collection | None) -> str:
    """The name of the dense field that an index writes to."""
    return DENSE_BESIDE if found and has_multi_in(found) and DENSE_BESIDE in found.fields else DENSE


def has_multi_in(found: Collection) -> bool:
    """Whether vectors of tokens stand where an index puts them."""
    return MULTI in found.fields and found.fields[MULTI].kind == "multi"


def prepared(database: Database, target: Target, origin: Origin, wish: IndexWish) -> Bound:
    """The collection with all that it needs, and a guard in front of it.

    Args:
        target: with its BM25.
        origin: of the dense vectors.
    Raises:
        As `Bound.prepare`.
    """
    fields = {target.dense: Field(dim=origin.identity.dim, origin=origin)}
    if target.lexical == "model":
        fields[SPARSE] = Field(kind="sparse", distance="dot", origin=changed(origin, probes=()))
    if target.multi_dim:
        fields[MULTI] = _multi_field(target.multi_dim, origin)
    if target.bm25 is not None:
        fields[BM25] = bm25_field(target.bm25)
    origins = {name: field.origin for name, field in fields.items() if field.origin is not None}
    there = target.found.fields if target.found else {}
    kept = {name: replace(there.get(name, field), origin=None) for name, field in fields.items()}
    indexes = {wish.tenant.key: Index(is_tenant=True)} if wish.tenant else {}
    bound = Bound(database, target.name, origins)
    bound.prepare(Collection(name=target.name, fields=kept, indexes=indexes), claim=wish.claim)
    return bound


def _has_multi(found: Collection | None, wish: IndexWish, spec: ModelSpec) -> bool:
    """Whether vectors of tokens are written: in a new collection as is wished, in another one as it began.

    Raises:
        Mismatch: it began without. Unsupported: the model has none. BadRequest: with late chunking nobody has them.
    """
    is_there = found is not None and has_multi_in(found)
    if not wish.multi and not is_there:
        return False
    if found is not None and not is_there:
        raise Mismatch(
            f"collection {found.name!r} began without vectors of tokens, which it has from the beginning or never; "
            "leave --multi out, or name a new --collection"
        )
    if "multi" not in spec.outputs:
        so = f"collection {found.name!r} has vectors of tokens" if found else "--multi is for vectors of tokens"
        raise Unsupported(f"{so}, and model {spec.name!r} gives none; take another --collection or --model bge-m3")
    if wish.late_chunking:
        raise BadRequest("late chunking gives no vectors of tokens; leave --late-chunking or --multi out")
    return True


def _multi_field(dim: int, origin: Origin) -> Field:
    """Of halves, as there are so many."""
    identity = changed(origin.identity, dim=dim)
    return Field(kind="multi", dim=dim, storing="float16", origin=changed(origin, probes=(), identity=identity))


def _dim(there: Field | None, spec: ModelSpec) -> int:
    """What was not wished is as the collection has it, where the model has it, too."""
    return there.dim if there and there.dim in spec.cuts else spec.dim


def _check_space(found: Collection, there: Field, spec: ModelSpec, dim: int) -> None:
    """Now, and not after all was read; `Bound` looks at it, too."""
    signed = there.origin
    if signed is None:
        return
    identity = Identity(
        model=spec.name, revision=spec.revision, space=spec.space, fingerprint="", dim=dim, max_tokens=spec.max_tokens
    )
    check_space(signed, Origin(identity=identity), f"collection {found.name!r}")
