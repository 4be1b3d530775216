"""A runtime and a model folder become a list of broken promises: what every runtime must do."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from embedstack.errors import RuntimeFailed
from embedstack.models.weights import Weights
from embedstack.runtimes import Options, Runtime, open_runtime
from embedstack.types import Batch, Floats, ModelSpec, Output, Precision, Vectors

TOLERANCE: Mapping[Precision, float] = {
    "float64": 1e-6, "float32": 1e-6, "tf32": 2e-3, "float16": 2e-3, "bfloat16": 1.5e-2, "int8": 1.5e-2
}  # fmt: skip
"""Between rows as `_comparable` has them, alone and in a batch."""
CANCELLING = 4  # a logit is one sum, of terms that may be larger than it is; a vector's length does not cancel


def check_runtime(name: str, spec: ModelSpec, weights: Weights, *, precision: str = "auto") -> list[str]:
    """Build it, run it, close it, with one lane and with two; an empty list is a pass.

    Args:
        weights: freshly opened, so that leftovers are seen.
    """
    batch = _batch(spec, [1, 5, spec.max_tokens, 2])
    runtime = open_runtime(name)(spec, weights, Options(precision=precision, threads=1))
    try:
        made = runtime.run(batch, frozenset(spec.outputs))
        broken = list(_broken(runtime, spec, batch, made))
    finally:
        runtime.close()
    if "closed" not in _refusal(runtime, spec, batch):
        broken.append("a run after close does not fail with what says so")
    runtime = open_runtime(name)(spec, weights, Options(precision=precision, threads=2, lanes=2))
    try:
        return [*broken, *_disturbed(runtime, spec, batch, made)]
    finally:
        runtime.close()


def _broken(runtime: Runtime, spec: ModelSpec, batch: Batch, made: Vectors) -> Iterator[str]:
    if runtime.lanes < 1:
        yield f"lanes is {runtime.lanes}, at least 1 is needed"
    if not runtime.reason:
        yield "it does not say why it chose its precision"
    yield from _wrong_shapes(made, spec, batch)
    for output in spec.outputs:
        if set(runtime.run(batch, frozenset({output}))) != {output}:
            yield f"it gives more than the {output} output when only that is asked for"
    if any(
        not np.array_equal(made[name], again) for name, again in runtime.run(batch, frozenset(spec.outputs)).items()
    ):
        yield "the same batch gives other numbers the second time"
    yield from _depends_on_neighbours(runtime, spec, batch, made)
    for token in (-1, spec.architecture.vocab):
        ids = np.where(np.arange(len(batch.ids)) == 3, token, batch.ids).astype(np.int32)
        if not _refusal(runtime, spec, replace(batch, ids=ids)):
            yield f"it runs the id {token}, which is outside the vocabulary"


def _refusal(runtime: Runtime, spec: ModelSpec, batch: Batch) -> str:
    """What a run that fails says, empty for one that does not; another error than RuntimeFailed shows by itself."""
    try:
        runtime.run(batch, frozenset(spec.outputs))
    except RuntimeFailed as error:
        return error.message
    return ""


def _disturbed(runtime: Runtime, spec: ModelSpec, batch: Batch, made: Vectors) -> Iterator[str]:
    """Runs at once, against one at a time, and against the same with one lane."""
    alone = runtime.run(batch, frozenset(spec.outputs))
    with ThreadPoolExecutor(4) as threads:
        several = list(threads.map(lambda _: runtime.run(batch, frozenset(spec.outputs)), range(8)))
    if any(not np.array_equal(alone[name], one[name]) for one in several for name in alone):
        yield "threads that run it together disturb each other"
    for name in spec.outputs:
        off = np.abs(_comparable(name, alone[name]) - _comparable(name, made[name])).max()
        if not off <= TOLERANCE[runtime.precision]:
            yield f"{name} with two lanes differs by {off:.1e} from itself with one"


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
    for name in spec.outputs:
        allowed = TOLERANCE[runtime.precision] * (CANCELLING if name == "score" and spec.labels > 1 else 1)
        alone = np.concatenate([runtime.run(_item(batch, n), frozenset({name}))[name] for n in range(len(batch))])
        off = np.abs(_comparable(name, alone) - _comparable(name, made[name])).max()
        if not off <= allowed:  # not a number fails too
            yield f"{name} of an item alone differs by {off:.1e} from itself in a batch, {allowed:.0e} is allowed"


def _comparable(name: Output, rows: Floats) -> Floats:
    """Vectors at length 1; single numbers and the logits of labels as a share of the largest."""
    is_vector = name != "score" and rows.shape[1] > 1
    lengths = np.linalg.norm(rows, axis=1, keepdims=True) if is_vector else np.abs(rows).max()
    return np.asarray(rows / lengths, np.float32)


def _batch(spec: ModelSpec, lengths: list[int]) -> Batch:
    draw = np.random.default_rng(4)
    ids = draw.integers(0, spec.architecture.vocab, sum(lengths), np.int32)
    return Batch(ids, np.zeros_like(ids), np.cumsum([0, *lengths]).astype(np.int32))


def _item(batch: Batch, number: int) -> Batch:
    start, stop = batch.offsets[number : number + 2]
    return Batch(batch.ids[start:stop], batch.segments[start:stop], np.array([0, stop - start], np.int32))
