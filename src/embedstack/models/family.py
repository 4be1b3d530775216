"""What a family of models is: how its config.json is read, and its graph. One file each; see FAMILIES."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from embedstack.models.folder import Fields
from embedstack.models.ops import Ops, Tensor
from embedstack.models.weights import Weights
from embedstack.modelspec import Architecture, ModelSpec, Pooling

X = TypeVar("X", bound=Tensor)


class Encode(Protocol):
    """Token ids become hidden states."""

    def __call__(self, ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
        """(tokens, hidden) of the last layer; (items, hidden) of `only` the token that is pooled."""
        ...


class Project(Protocol):
    """Pooled rows become dense vectors."""

    def __call__(self, ops: Ops[X], spec: ModelSpec, rows: X) -> X:
        """(items, hidden) -> (items, dim)."""
        ...


class See(Protocol):
    """Pictures become dense vectors."""

    def __call__(self, ops: Ops[X], spec: ModelSpec) -> X:
        """(items, dim) of `ops.patches`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family.

    Args:
        architecture: config.json and the model's name for messages -> what the graph reads; it refuses every switch
            that would change the graph.
        graph: raised when a change of the code changes a vector.
        unread: `fnmatch` patterns of tensors that no graph of ours reads.
        pooling: where the family itself decides it, so that a repository need not state how vectors are made.
        dense: what comes after pooling, where that is anything.
        image: the second tower of a model of texts and pictures.
        adapt: a drafted spec, the model's folder, and its config.json -> the spec with what else this family needs.
        prompts: by role, where the model card says that each text must have one and no file of the repository has them.
        causal: a token sees itself and those before it.
        scale: the weights -> what the cosine of a text with a picture is multiplied by, and what is added to it then;
            the first is 0 where they do not hold both.
    """

    architecture: Callable[[Fields, str], Architecture]
    encoder: Encode
    graph: int = 1
    unread: tuple[str, ...] = ()
    pooling: Pooling | None = None
    dense: Project | None = None
    image: See | None = None
    adapt: Callable[[ModelSpec, Path, Fields], ModelSpec] | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    causal: bool = False
    scale: Callable[[Weights], tuple[float, float]] | None = None
