"""A collection, how it is asked and the models that are there -> which of its fields are asked, and of whom. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from embedstack.databases.database import Collection, Field, Kind
from embedstack.databases.fields import own_name, shown_name, shown_names
from embedstack.errors import BadRequest, Mismatch
from embedstack.modelspec import ModelSpec
from embedstack.origin import Identity, Origin
from embedstack.search import fuse
from embedstack.search.bm25 import Bm25, known
from embedstack.search.found import How

LEAST_DEPTH, TIMES = 30, 3  # candidates of each field; times as many as are wanted
COUNTED = "bm25-"  # so begin the names of `search.bm25`
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A field of a collection that is asked, and who turns a question into a vector for it."""

    name: str
    shown: str  # as a user calls it
    field: Field
    signed: Origin
    model: str = ""  # as the encoder calls it
    dim: int | None = None  # of dense vectors that were cut; None: the model's own
    bm25: Bm25 | None = None  # in the place of a model
    weight: float = 1.0
    least: float | None = None

    @property
    def kind(self) -> Kind:
        """Of its vectors."""
        return self.field.kind


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked; what is not, and why."""

    fields: tuple[Asked, ...]
    notes: tuple[str, ...]
    reranking: Asked | None = None  # the one whose vectors put the first points in order


def plan_of(there: Collection, how: How, specs: Sequence[ModelSpec]) -> Plan:
    """Every field that can be asked but those of several vectors a point, or those that `how` names, in order.

    Args:
        specs: of the encoder's models; an encoder that knows none yet is asked by the names that are signed.
    Raises:
        Mismatch: none can be asked, or one that `how` names cannot, also for reranking. BadRequest: a weight or a least
            score for a field that is not asked, or `how` is out of range, or reranks by a field of another kind.
    """
    weights, least = _by_own_name(there, how.weights), _by_own_name(there, how.least)
    fields: list[Asked] = []
    reasons: dict[str, str] = {}
    for name in meant(there, how):
        try:
            fields.append(_asked(there, name, specs, weight=weights.get(name, 1.0), least=least.get(name)))
        except Mismatch as error:
            reasons[name] = error.message
    if not fields or (reasons and how.fields is not None):
        why = _listed(reasons.values()) or "it has no vectors; load some first"
        raise Mismatch(f"collection {there.name!r} cannot be asked so: {why}")
    _check(how, fields)
    for what, given in (("weight", weights), ("least score", least)):
        _check_asked(what, given, fields, reasons)
    return Plan(tuple(fields), tuple(_noted(there, fields, reasons)), _reranking(there, how, specs))


def models_of(collection: Collection, how: How) -> tuple[str, ...]:
    """Names of the models that an Encoder must have for all that is asked, each once, the reranker last.

    Raises:
        Mismatch: `how` names a field that is not there. BadRequest: as `reranking_field`.
    """
    own = reranking_field(collection, how)
    asked = [*meant(collection, how), *([] if own is None else [own])]
    origins = (collection.fields[name].origin for name in asked)
    names = [one.identity.model for one in origins if one is not None and not _is_counted(one.identity)]
    return tuple(dict.fromkeys([*names, *([how.reranker] if how.reranker and own is None else [])]))


def wanted_of(how: How) -> int:
    """Points that the first ranking must have: those of the answer, and those that are reranked."""
    return max(how.limit, how.rerank_top if how.reranker else 0)


def depth_of(how: How) -> int:
    """Candidates of each field."""
    return how.depth or max(LEAST_DEPTH, TIMES * how.limit, wanted_of(how))


# ------------------------------------------------------------------------------------------------ names


def meant(there: Collection, how: How) -> list[str]:
    """The fields that `how` is about, whether they can be asked or not; by themselves the usual ones.

    Those of several vectors a point are not asked by themselves, unless there are no others: that compares all tokens
    of all points, and their place is behind the others, see `reranking_field`.

    Raises:
        Mismatch: one is not there. BadRequest: none is named.
    """
    if how.fields is None:
        return [name for name, field in there.fields.items() if field.kind != "multi"] or [*there.fields]
    if not how.fields:
        raise BadRequest("no vector is named that is to be asked; name one, or leave `fields` out for all")
    wanted = {_own_name(there, name) for name in how.fields}
    return [name for name in there.fields if name in wanted]


def reranking_field(there: Collection, how: How) -> str | None:
    """The field whose vectors rerank; None where a model does, or nothing.

    What is a field's name means the field, also where a model is called so: a model has other names, too.

    Raises:
        BadRequest: it has not several vectors for each point.
    """
    own = own_name(there, how.reranker) if how.reranker else None
    if own is not None and there.fields[own].kind != "multi":
        several = [name for name, field in there.fields.items() if field.kind == "multi"]
        others = f", or one of these: {shown_names(there, several)}" if several else ""
        raise BadRequest(
            f"vector {how.reranker!r} of collection {there.name!r} is {there.fields[own].kind}, and only multi vectors "
            f"rerank; name a model{others}"
        )
    return own


def _own_name(there: Collection, name: str) -> str:
    own = own_name(there, name)
    if own is None:
        raise Mismatch(f"collection {there.name!r} has no vector {name!r}; it has: {shown_names(there, there.fields)}")
    return own


def _by_own_name(there: Collection, given: Mapping[str, Given]) -> dict[str, Given]:
    return {_own_name(there, name): value for name, value in given.items()}


# ------------------------------------------------------------------------------------------------ one field


def _asked(there: Collection, name: str, specs: Sequence[ModelSpec], *, weight: float, least: float | None) -> Asked:
    """Raises Mismatch: it cannot be asked."""
    field, shown = there.fields[name], shown_name(there, name)
    if field.origin is None:
        raise Mismatch(f"nobody has signed vector {shown!r} (`embedstack load --claim` does)")
    signed = field.origin
    if field.kind == "sparse" and _is_counted(signed.identity):
        bm25 = known(signed.identity)
        return Asked(name=name, shown=shown, field=field, signed=signed, bm25=bm25, weight=weight, least=least)
    spec = _spec_of(signed.identity, specs)
    if specs:
        _check_model(spec, signed, field.kind, f"vector {shown!r}")
    is_cut = spec is not None and field.kind == "dense" and spec.dim not in (0, signed.identity.dim)
    return Asked(
        name=name,
        shown=shown,
        field=field,
        signed=signed,
        model=spec.name if spec is not None else signed.identity.model,
        dim=signed.identity.dim if is_cut else None,
        weight=weight,
        least=least,
    )


def _reranking(there: Collection, how: How, specs: Sequence[ModelSpec]) -> Asked | None:
    own = reranking_field(there, how)
    if own is None:
        return None
    try:
        return _asked(there, own, specs, weight=1.0, least=None)
    except Mismatch as error:
        raise Mismatch(f"collection {there.name!r} cannot be reranked so: {error.message}") from error


def _is_counted(identity: Identity) -> bool:
    """Whether words were counted, by this version or another."""
    return identity.model.startswith(COUNTED) and identity.dim == 0


def _spec_of(identity: Identity, specs: Sequence[ModelSpec]) -> ModelSpec | None:
    """The model of that space, first by that name; or else of that name, which may only learn its space when asked."""
    of_space = [spec for spec in specs if spec.space == identity.space]
    of_name = [spec for spec in specs if spec.name == identity.model]
    both = [spec for spec in of_space if spec in of_name]
    return next(iter([*both, *of_space, *of_name]), None)


def _check_model(spec: ModelSpec | None, signed: Origin, kind: Kind, place: str) -> None:
    if spec is None:
        raise Mismatch(f"no model is open that reads questions for {place}, which is of {signed.name}")
    if "text" not in spec.inputs:
        raise Mismatch(f"model {spec.name!r}, of which {place} is, reads no texts")
    if kind not in spec.outputs:
        raise Mismatch(f"model {spec.name!r}, of which {place} is, gives no {kind} vectors as it is open")


# ------------------------------------------------------------------------------------------------ checks and words


def _check(how: How, fields: Sequence[Asked]) -> None:
    if how.depth is not None and how.depth < how.limit:
        raise BadRequest(
            f"depth={how.depth!r} candidates of each vector are fewer than the {how.limit} that are wanted; raise it, "
            "or leave it out"
        )
    if how.rerank_top < 1:
        raise BadRequest(f"rerank_top={how.rerank_top!r} is below 1; leave the reranker out to rerank nothing")
    if how.fusion == "dbsf" and how.weights:
        raise BadRequest("weights have no meaning for the fusion 'dbsf'; take 'rrf' or 'weighted', or leave them out")
    nothing: list[fuse.Ranking[int]] = [()] * len(fields)
    fuse.rrf(nothing, k=how.rrf_k, weights=[one.weight for one in fields], limit=how.limit)  # its checks of these


def _check_asked(what: str, given: Iterable[str], fields: Sequence[Asked], reasons: Mapping[str, str]) -> None:
    for name in given:
        if name not in {one.name for one in fields}:
            why = f" ({reasons[name]})" if name in reasons else ""
            raise BadRequest(f"a {what} is given for vector {name!r}, which is not asked{why}; leave it out")


def _noted(there: Collection, fields: Sequence[Asked], reasons: Mapping[str, str]) -> Iterator[str]:
    """That the others are asked alone."""
    if not reasons:
        return
    kinds = {one.kind for one in fields}
    if kinds & {there.fields[name].kind for name in reasons}:
        alone = f"vector{'s' * (len(fields) > 1)} {' and '.join(repr(one.shown) for one in fields)}"
    else:
        alone = f"{' and '.join(sorted(kinds))} vectors"
    yield f"{alone} alone, since {_listed(reasons.values())}"


def _listed(reasons: Iterable[str]) -> str:
    return "; and ".join(reasons)
