"""Ways in which a graph or its weights could be wrong: a spec and its weights -> both, changed."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from embedstack.models.weights import Weights
from embedstack.modelspec import Architecture, ModelSpec

Mutation = Callable[[ModelSpec, Weights], tuple[ModelSpec, Weights]]


def architecture(**change: object) -> Mutation:
    """Other numbers in config.json."""

    def mutation(spec: ModelSpec, weights: Weights) -> tuple[ModelSpec, Weights]:
        made: Architecture = dataclasses.replace(spec.architecture, **change)  # type: ignore[arg-type]
        return dataclasses.replace(spec, architecture=made), weights

    return mutation


def recipe(**change: object) -> Mutation:
    """Another recipe."""
    return lambda spec, weights: (dataclasses.replace(spec, **change), weights)  # type: ignore[arg-type]


class Changed(Weights):
    """The weights of a folder, some tensors changed on the way."""

    def __init__(self, weights: Weights, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
        self.__dict__ = dict(weights.__dict__)
        self.change = change

    def take(self, name: str, shape: tuple[int, ...], stored_as: tuple[int, ...] | None = None) -> np.ndarray:
        return np.ascontiguousarray(self.change(name, super().take(name, shape, stored_as)), np.float32)


def swapped(one: str, other: str) -> Mutation:
    """Two tensors of one shape, in all layers, take each other's place; the names are parts of tensors' names."""

    def mutation(spec: ModelSpec, weights: Weights) -> tuple[ModelSpec, Weights]:
        class Swapped(Weights):
            def __init__(self) -> None:
                self.__dict__ = dict(weights.__dict__)

            def take(self, name: str, shape: tuple[int, ...], stored_as: tuple[int, ...] | None = None) -> np.ndarray:
                swap = name.replace(one, "\0").replace(other, one).replace("\0", other)
                return super().take(swap, shape, stored_as)

        return spec, Swapped()

    return mutation


def halves_swapped(name: str) -> Mutation:
    """The two halves of the rows of tensors whose name has this part."""

    def change(at: str, values: np.ndarray) -> np.ndarray:
        return np.roll(values, len(values) // 2, axis=0) if name in at else values

    return lambda spec, weights: (spec, Changed(weights, change))


def interleaved(*names: str, size: int) -> Mutation:
    """Rows of each head in the order that rotation of neighbours would have needed."""

    def change(at: str, values: np.ndarray) -> np.ndarray:
        if not any(name in at for name in names):
            return values
        heads = values.reshape(-1, size, *values.shape[1:])
        order = np.concatenate([np.arange(0, size, 2), np.arange(1, size, 2)])
        return heads[:, order].reshape(values.shape)

    return lambda spec, weights: (spec, Changed(weights, change))


def zeroed(name: str) -> Mutation:
    """One tensor."""
    return lambda spec, weights: (
        spec,
        Changed(weights, lambda at, values: np.zeros_like(values) if at == name else values),
    )


def without(part: str) -> Mutation:
    """Zeros for tensors whose name has this part."""
    return lambda spec, weights: (
        spec,
        Changed(weights, lambda name, values: np.zeros_like(values) if part in name else values),
    )


def thirds_changed(part: str, heads: int, order: Sequence[int], *, pairs: bool = False) -> Mutation:
    """Queries, keys and values of a fused tensor in another order, or queries and keys as neighbours turn."""

    def change(name: str, values: np.ndarray) -> np.ndarray:
        if part not in name:
            return values
        split = values.reshape(3, heads, len(values) // (3 * heads), -1)[list(order)]
        size = split.shape[2]
        neighbours = np.concatenate([np.arange(0, size, 2), np.arange(1, size, 2)])
        turned = np.concatenate([split[:2][:, :, neighbours], split[2:]])
        return (turned if pairs else split).reshape(values.shape)

    return lambda spec, weights: (spec, Changed(weights, change))
