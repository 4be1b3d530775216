"""A runtime and a model folder become a list of broken promises: what every runtime must do."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from embedstack.models.weights import Weights
from embedstack.runtimes import Options, Runtime, open_runtime
from embedstack.types import Batch, Floats, ModelSpec, Precision, Vectors

TOLERANCE: Mapping[Precision, float] = {
    "float64": 1e-6, "float32": 1e-6, "tf32": 2e-3, "float16": 2e-3, "bfloat16": 1.5e-2, "int8": 1.5e-2
}  # fmt: skip
"""Between unit rows, alone and in a batch."""


def check_runtime(name: str, spec: ModelSpec, weights: Weights, *, precision: str = "auto") -> list[str]:
    """Build it, run it, close it; an empty list is a pass.

    Args:
        weights: freshly opened, so that leftovers are seen.
    """
    runtime = open_runtime(name)(spec, weights, Options(precision=precision, threads=1))
    try:
        return list(_broken(runtime, spec))
    finally:
        runtime.close()


def _broken(runtime: Runtime, spec: ModelSpec) -> Iterator[str]:
    lengths = [1, 5, spec.max_tokens, 2]
    batch = _batch(spec, lengths)
    if runtime.lanes < 1:
        yield f"lanes is {runtime.lanes}, at least 1 is needed"
    if not runtime.reason:
        yield "it does not say why it chose its precision"
    made = runtime.run(batch, frozenset(spec.outputs))
    yield from _wrong_shapes(made, spec, batch)
    for output in spec.outputs:
        if set(runtime.run(batch, frozenset({output}))) != {output}:
            yield f"it gives more than the {output} output when only that is asked for"
    if any(
        not np.array_equal(made[name], again) for name, again in runtime.run(batch, frozenset(spec.outputs)).items()
    ):
        yield "the same batch gives other numbers the second time"
    with ThreadPoolExecutor(4) as threads:
        several = list(threads.map(lambda _: runtime.run(batch, frozenset(spec.outputs)), range(8)))
    if any(not np.array_equal(made[name], one[name]) for one in several for name in made):
        yield "threads that run it together disturb each other"
    yield from _depends_on_neighbours(runtime, spec, batch, made)


def _wrong_shapes(made: Vectors, spec: ModelSpec, batch: Batch) -> Iterator[str]:
    hidden = spec.architecture.hidden
    shapes = {
        "dense": (len(batch), hidden),
        "score": (len(batch), spec.labels),
        "sparse": (len(batch.ids), 1),
        "multi": (len(batch.ids), hidden),
    }
    for name, values in made.items():
        if values.shape != shapes[name] or values.dtype != np.float32:
            yield f"{name} is {values.shape} {values.dtype}, it must be {shapes[name]} float32"


def _depends_on_neighbours(runtime: Runtime, spec: ModelSpec, batch: Batch, made: Vectors) -> Iterator[str]:
    allowed = TOLERANCE[runtime.precision]
    for name in spec.outputs:
        alone = np.concatenate([runtime.run(_item(batch, n), frozenset({name}))[name] for n in range(len(batch))])
        off = np.abs(_unit(alone) - _unit(made[name])).max()
        if not off <= allowed:  # not a number fails too
            yield f"{name} of an item alone differs by {off:.1e} from itself in a batch, {allowed:.0e} is allowed"


def _unit(rows: Floats) -> Floats:
    """Rows of length 1; single numbers as a share of the largest."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True) if rows.shape[1] > 1 else np.abs(rows).max()
    return np.asarray(rows / lengths, np.float32)


def _batch(spec: ModelSpec, lengths: list[int]) -> Batch:
    draw = np.random.default_rng(4)
    ids = draw.integers(0, spec.architecture.vocab, sum(lengths), np.int32)
    return Batch(ids, np.zeros_like(ids), np.cumsum([0, *lengths]).astype(np.int32))


def _item(batch: Batch, number: int) -> Batch:
    start, stop = batch.offsets[number : number + 2]
    return Batch(batch.ids[start:stop], batch.segments[start:stop], np.array([0, stop - start], np.int32))
