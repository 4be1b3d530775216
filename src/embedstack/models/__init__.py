"""What a model computes: one file per family, a function over the operations of `ops`."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TypeVar, cast

from embedstack.catalog.recipe import REFERENCE_HINT
from embedstack.errors import Unsupported
from embedstack.models.heads import finish, only_rows
from embedstack.models.ops import Ops, Tensor
from embedstack.types import ModelSpec, Output, Pooling

X = TypeVar("X", bound=Tensor)


@dataclass(frozen=True, slots=True)
class Family:
    """Where a family's code is, and which tensors of its files no graph of ours reads."""

    module: str
    unread: tuple[str, ...] = ()


_BERT = Family(
    "embedstack.models.bert",
    # buffers, the pre-training heads, and the pooler that only a cross-encoder reads
    unread=("*position_ids", "*token_type_ids", "*pooler.dense.*", "cls.*", "lm_head.*"),
)
FAMILIES: Mapping[str, Family] = {"bert": _BERT, "roberta": _BERT, "xlm-roberta": _BERT, "camembert": _BERT}


def family(spec: ModelSpec) -> Family:
    """The row of the table.

    Raises:
        Unsupported: no such family here.
    """
    name = spec.architecture.family
    if name not in FAMILIES:
        raise Unsupported(
            f"{spec.name!r} is of the family {name!r}; embedstack has: {', '.join(FAMILIES)}{REFERENCE_HINT}"
        )
    return FAMILIES[name]


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """The hidden states of the last layer: (tokens, hidden), or (items, hidden) of `only` the token that is pooled."""
    return cast("X", import_module(family(spec).module).encoder(ops, spec, only))


def outputs(ops: Ops[X], spec: ModelSpec, wanted: frozenset[Output], *, prune: bool = True) -> dict[Output, X]:
    """The whole graph: every wanted output, and nothing that only another one would need.

    Args:
        prune: let the last layer compute only the rows that pooling takes; the vectors stay the same.
    """
    only = only_rows(spec, wanted) if prune else None
    return finish(ops, spec, encoder(ops, spec, only), wanted, only)
