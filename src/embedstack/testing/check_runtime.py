"""A runtime and a model folder become a list of broken promises: what every runtime must do."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from embedstack.errors import RuntimeFailed
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec, Output, Precision
from embedstack.runtimes import Options, Runtime, open_runtime
from embedstack.runtimes.layout import given_for
from embedstack.types import STATES, Batch, Floats, Ints, Vectors

TOLERANCE: Mapping[Precision, float] = {
    "float64": 1e-6, "float32": 1e-6, "tf32": 2e-3, "float16": 2e-3, "bfloat16": 1.5e-2, "int8": 1.5e-2
}  # fmt: skip
"""Between rows as `_comparable` has them, alone and in a batch."""
PICTURES = 3  # in a batch
NOTHING = 1e-30  # the length of a row of zeros, as a text without a lexical weight has
CANCELLING = 4  # a logit is one sum, of terms that may be larger than it is; a vector's length does not cancel


def check_runtime(name: str, spec: ModelSpec, weights: Weights, *, precision: str = "auto") -> list[str]:
    """Build it, run it, close it, with one lane and with two; an empty list is a pass.

    Args:
        weights: freshly opened, so that leftovers are seen.
    """
    batches = _batches(spec)
    runtime = open_runtime(name)(spec, weights, Options(precision=precision, threads=1))
    try:
        made = [runtime.run(batch, given_for(spec, batch)) for batch in batches]
        broken = [*_unexplained(runtime), *_broken(runtime, spec, batches, made)]
    finally:
        runtime.close()
    if any("closed" not in _refusal(runtime, spec, batch) for batch in batches):
        broken.append("a run after close does not fail with what says so")
    runtime = open_runtime(name)(spec, weights, Options(precision=precision, threads=2, lanes=2))
    try:
        return [*broken, *_disturbed(runtime, spec, batches, made)]
    finally:
        runtime.close()


def _unexplained(runtime: Runtime) -> Iterator[str]:
    if runtime.lanes < 1:
        yield f"lanes is {runtime.lanes}, at least 1 is needed"
    if not runtime.reason:
        yield "it does not say why it chose its precision"


def _broken(runtime: Runtime, spec: ModelSpec, batches: Sequence[Batch], made: Sequence[Vectors]) -> Iterator[str]:
    for batch, first in zip(batches, made, strict=True):
        yield from _wrong_shapes(first, spec, batch)
        for output in given_for(spec, batch):
            if set(runtime.run(batch, frozenset({output}))) != {output}:
                yield f"it gives more than the {output} output when only that is asked for"
        if any(not np.array_equal(first[n], again) for n, again in runtime.run(batch, frozenset(first)).items()):
            yield "the same batch gives other numbers the second time"
        yield from _depends_on_neighbours(runtime, spec, batch, first)
        yield from _runs_nonsense(runtime, spec, batch)
        if batch.patches is None and spec.task == "embed":
            states = runtime.run(batch, STATES)
            yield from _wrong_shapes(states, spec, batch)
            yield from _depends_on_neighbours(runtime, spec, batch, states)


def _runs_nonsense(runtime: Runtime, spec: ModelSpec, batch: Batch) -> Iterator[str]:
    if batch.patches is not None:
        if not _refusal(runtime, spec, replace(batch, patches=batch.patches[:, 1:].copy())):
            yield "it runs patches that are narrower than the model's"
        return
    for token in (-1, spec.architecture.vocab):
        ids = np.where(np.arange(len(batch.ids)) == 3, token, batch.ids).astype(np.int32)
        if not _refusal(runtime, spec, replace(batch, ids=ids)):
            yield f"it runs the id {token}, which is outside the vocabulary"


def _refusal(runtime: Runtime, spec: ModelSpec, batch: Batch) -> str:
    """What a run that fails says, empty for one that does not; another error than RuntimeFailed shows by itself."""
    try:
        runtime.run(batch, given_for(spec, batch))
    except RuntimeFailed as error:
        return error.message
    return ""


def _disturbed(runtime: Runtime, spec: ModelSpec, batches: Sequence[Batch], made: Sequence[Vectors]) -> Iterator[str]:
    """Runs at once, against one at a time, and against the same with one lane."""
    alone = [runtime.run(batch, frozenset(first)) for batch, first in zip(batches, made, strict=True)]
    places = range(len(batches))
    with ThreadPoolExecutor(4) as threads:
        several = list(threads.map(lambda n: (n, runtime.run(batches[n], frozenset(made[n]))), [*places] * 8))
    if any(not np.array_equal(alone[n][name], rows) for n, one in several for name, rows in one.items()):
        yield "threads that run it together disturb each other"
    for n in places:
        for name, rows in alone[n].items():
            off = np.abs(_comparable(name, rows) - _comparable(name, made[n][name])).max()
            if not off <= TOLERANCE[runtime.precision]:
                yield f"{name} with two lanes differs by {off:.1e} from itself with one"


def _wrong_shapes(made: Vectors, spec: ModelSpec, batch: Batch) -> Iterator[str]:
    shapes = {
        "dense": (len(batch), spec.dim),
        "score": (len(batch), spec.labels),
        "sparse": (len(batch), spec.architecture.vocab) if spec.is_lexical else (len(batch.ids), 1),
        "multi": (len(batch.ids), spec.architecture.hidden),
        "states": (len(batch.ids), spec.architecture.hidden),
    }
    for name, values in made.items():
        if values.shape != shapes[name] or values.dtype != np.float32:
            yield f"{name} is {values.shape} {values.dtype}, it must be {shapes[name]} float32"


def _depends_on_neighbours(runtime: Runtime, spec: ModelSpec, batch: Batch, made: Vectors) -> Iterator[str]:
    for name in made:
        allowed = TOLERANCE[runtime.precision] * (CANCELLING if name == "score" else 1)
        alone = np.concatenate([runtime.run(_item(batch, n), frozenset({name}))[name] for n in range(len(batch))])
        off = np.abs(_comparable(name, alone) - _comparable(name, made[name])).max()
        if not off <= allowed:  # not a number fails too
            yield f"{name} of an item alone differs by {off:.1e} from itself in a batch, {allowed:.0e} is allowed"


def _comparable(name: Output, rows: Floats) -> Floats:
    """Vectors at length 1; single numbers and the logits of labels as a share of the largest."""
    is_vector = name != "score" and rows.shape[1] > 1
    lengths = np.linalg.norm(rows, axis=1, keepdims=True) if is_vector else np.abs(rows).max()
    return np.asarray(rows / np.maximum(lengths, NOTHING), np.float32)


def _batches(spec: ModelSpec) -> list[Batch]:
    """Of texts, and of pictures where the model takes them."""
    draw, lengths = np.random.default_rng(4), [1, 5, spec.max_tokens, 2]
    ids = draw.integers(0, spec.architecture.vocab, sum(lengths), np.int32)
    made = [Batch(ids, np.zeros_like(ids), _offsets(lengths))]
    if (vision := spec.architecture.vision) is not None:
        none = np.zeros(PICTURES * vision.tokens, np.int32)
        pixels = draw.standard_normal((len(none), vision.patch_width), np.float32)
        made.append(Batch(none, none, _offsets([vision.tokens] * PICTURES), pixels))
    return made


def _offsets(lengths: Sequence[int]) -> Ints:
    return np.cumsum([0, *lengths]).astype(np.int32)


def _item(batch: Batch, number: int) -> Batch:
    start, stop = batch.offsets[number : number + 2]
    patches = None if batch.patches is None else batch.patches[start:stop]
    return Batch(batch.ids[start:stop], batch.segments[start:stop], _offsets([stop - start]), patches)
