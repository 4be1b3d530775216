"""What a model computes: one file per family, a function over the operations of `ops`."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TypeVar, cast

from embedstack.errors import Unsupported
from embedstack.models.family import Family
from embedstack.models.heads import finish, only_rows
from embedstack.models.ops import Ops, Tensor
from embedstack.modelspec import ModelSpec, Output, Pooling

X = TypeVar("X", bound=Tensor)

FAMILIES: Mapping[str, str] = {
    "bert": "embedstack.models.bert:FAMILY",
    "roberta": "embedstack.models.bert:FAMILY",
    "xlm-roberta": "embedstack.models.bert:FAMILY",
    "camembert": "embedstack.models.bert:FAMILY",
    "static": "embedstack.models.static:FAMILY",
    "model2vec": "embedstack.models.static:FAMILY",
    "mpnet": "embedstack.models.mpnet:FAMILY",
    "distilbert": "embedstack.models.distilbert:FAMILY",
    "modernbert": "embedstack.models.modernbert:FAMILY",
    "nomic_bert": "embedstack.models.nomic_bert:FAMILY",
    "new": "embedstack.models.gte:FAMILY",
    "gte": "embedstack.models.gte:FAMILY",
    "clip": "embedstack.models.clip:FAMILY",
    "siglip": "embedstack.models.siglip:FAMILY",
    "qwen3": "embedstack.models.qwen3:FAMILY",
    "eurobert": "embedstack.models.eurobert:FAMILY",
}
"""By the model_type of config.json."""
REFUSED: Mapping[str, str] = {
    "siglip2": "is a SigLIP 2 whose images keep their shape (NaFlex, model_type 'siglip2'); embedstack has those of a "
    "fixed size, such as google/siglip2-base-patch16-224",
}
"""Families that are taken for others: why not, and what instead."""
REFERENCE_HINT = "; --runtime reference may run it, through sentence-transformers"


def family_of(model_type: str, name: str) -> Family:
    """The row of the table.

    Args:
        name: the model's, for the message.
    Raises:
        Unsupported: no such family here.
    """
    if model_type in REFUSED:
        raise Unsupported(f"{name!r} {REFUSED[model_type]}")
    if model_type not in FAMILIES:
        raise Unsupported(
            f"{name!r} is of the family {model_type!r}; embedstack has: {', '.join(FAMILIES)}{REFERENCE_HINT}"
        )
    return _loaded(FAMILIES[model_type])


@cache
def _loaded(row: str) -> Family:
    module, _, attribute = row.partition(":")
    return cast("Family", getattr(import_module(module), attribute))


def proofs_folder() -> Path:
    """Where test runs write what was proven of each family."""
    return Path(__file__).parent / "proofs"


def family(spec: ModelSpec) -> Family:
    """The family of a model; see `family_of`."""
    return family_of(spec.architecture.family, spec.name)


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """The hidden states of the last layer: (tokens, hidden), or (items, hidden) of `only` the token that is pooled."""
    return family(spec).encoder(ops, spec, only)


def outputs(
    ops: Ops[X], spec: ModelSpec, wanted: frozenset[Output], *, prune: bool = True, image: bool = False
) -> dict[Output, X]:
    """The whole graph: every wanted output, and nothing that only another one would need.

    Args:
        prune: let the last layer compute only the rows that pooling takes; the vectors stay the same.
        image: of pictures, by the second tower.
    Raises:
        Unsupported: the model has no such output, or takes no pictures.
    """
    made = family(spec)
    if image:
        if made.image is None or wanted != {"dense"}:
            raise Unsupported(f"{spec.name!r} gives no {', '.join(sorted(wanted))} output of images")
        return {"dense": made.image(ops, spec)}
    only = only_rows(spec, wanted) if prune else None
    return finish(ops, spec, made.encoder(ops, spec, only), wanted, only, made.dense)
