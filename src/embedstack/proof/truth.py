"""A model and its probes -> truth vectors, made once by the numpy runtime in float64, and kept."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from embedstack.catalog.digests import write_whole
from embedstack.errors import BadRequest, ConfigError
from embedstack.inputs.text import NothingKnown, TextInput
from embedstack.models.weights import open_weights
from embedstack.modelspec import ModelSpec, Output
from embedstack.proof.fidelity import of_sparse
from embedstack.proof.kept import Truth, due, kept, packed, place
from embedstack.proof.probes import Probe, probes
from embedstack.runtimes.layout import given_for
from embedstack.runtimes.numpy import NumpyRuntime
from embedstack.types import Batch, Encoding, Floats, Image, Item, Sparse, Vectors

log = logging.getLogger(__name__)
OnWeight = Callable[[], object]


def _nothing() -> None:
    """Nobody watches."""


def ensure(
    spec: ModelSpec, folder: Path, cache_dir: Path, *, late: bool = False, on_weight: OnWeight = _nothing
) -> Truth:
    """The truth of a model: what is kept, and what was missing made and kept too.

    Args:
        folder: where the weights are.
        late: also of the text past the limit of a model that takes long ones; that can take minutes.
        on_weight: called before each weight is read; what it raises ends the work.
    Raises:
        ConfigError: the weights are not as the spec says, or hold a number that is not finite.
        Unsupported: the family is not ours, so that there is no truth.
    """
    wanted = [probe for probe in probes(spec).all if late or not probe.is_late]
    here = kept(spec, cache_dir)
    missing = [probe for probe in wanted if here is None or not here.has(probe, spec.outputs)]
    if not missing and here is not None:
        return here
    made = Truth(spec.space, _merged(here.rows if here else {}, make(spec, folder, missing, on_weight)))
    try:
        write_whole(place(spec, cache_dir), packed(made))
    except OSError as error:  # it costs the time to make it again, and changes nothing
        path, why = json.dumps(str(place(spec, cache_dir))), json.dumps(str(error))
        log.warning("event=truth_not_kept path=%s error=%s", path, why)
    return made


def make(
    spec: ModelSpec, folder: Path, wanted: Sequence[Probe], on_weight: OnWeight = _nothing
) -> dict[Output, dict[str, Floats]]:
    """Rows of these probes in float64, rounded to float32 at the end.

    All of a kind go through the graph together, layer by layer, so that each weight is read once.
    """
    weights = open_weights(folder)
    runtime = NumpyRuntime(spec, weights)
    rows: dict[Output, dict[str, Floats]] = {output: {} for output in spec.outputs}
    with tqdm(total=len(weights.names()), desc=f"{spec.name}: truth in float64", unit=" tensors", disable=None) as bar:

        def read() -> None:
            on_weight()
            bar.update()

        for some, encodings in _encoded(spec, folder, wanted):
            batch = pack(encodings)
            outputs = given_for(spec, batch)
            made = runtime.run(batch, outputs, on_weight=read)
            for output in outputs:
                rows[output] |= _rows(spec, output, made, some, encodings)
    return {output: {name: rows[output][name] for name in due(output, rows[output])} for output in rows}


def _encoded(
    spec: ModelSpec, folder: Path, wanted: Sequence[Probe]
) -> Iterator[tuple[Sequence[Probe], list[Encoding]]]:
    """Texts, then pictures; a kind that nobody wants is left out."""
    texts = [probe for probe in wanted if not isinstance(probe.item, Image)]
    seen = [(probe, probe.item) for probe in wanted if isinstance(probe.item, Image)]
    if texts:
        try:
            read = readable(spec, TextInput(folder, spec).encode, texts)
            if read:
                yield [probe for probe in texts if probe.name in read], list(read.values())
        except BadRequest as error:  # nothing is wrong with the probes
            raise ConfigError(
                f"the tokeniser of {spec.name!r} does not fit its weights ({error}); pull the model again"
            ) from error
    vision = spec.architecture.vision
    if seen and vision is not None:
        from embedstack.inputs.image import ImageInput  # imports Pillow, which most models do without

        yield [probe for probe, _ in seen], ImageInput(vision).encode([item for _, item in seen])


def readable(
    spec: ModelSpec, encode: Callable[[Sequence[Item]], list[Encoding]], wanted: Sequence[Probe]
) -> dict[str, Encoding]:
    """By probe what is read of it; a model that takes unknown tokens out of texts may be left with nothing of some."""
    if not spec.dropped_ids:
        return dict(zip([probe.name for probe in wanted], encode([probe.item for probe in wanted]), strict=True))
    read: dict[str, Encoding] = {}
    for probe in wanted:
        with suppress(NothingKnown):
            (read[probe.name],) = encode([probe.item])
    return read


def pack(encodings: Sequence[Encoding]) -> Batch:
    """Items end to end."""
    segments = [np.zeros(e.cost, np.int32) if e.segments is None else e.segments for e in encodings]
    offsets = np.concatenate([[0], np.cumsum([e.cost for e in encodings])]).astype(np.int32)
    patches = [e.patches for e in encodings if e.patches is not None]
    ids = np.concatenate([e.ids for e in encodings])
    return Batch(ids, np.concatenate(segments), offsets, np.concatenate(patches) if patches else None)


def _rows(
    spec: ModelSpec, output: Output, made: Vectors, wanted: Sequence[Probe], encodings: Sequence[Encoding]
) -> Iterator[tuple[str, Floats]]:
    spans = pairwise(pack(encodings).offsets.tolist())
    for number, (probe, encoding, (start, stop)) in enumerate(zip(wanted, encodings, spans, strict=True)):
        values = made[output]
        match output:
            case "dense" | "score":
                yield probe.name, values[number]
            case "multi":
                yield probe.name, values[start + 1 : stop]  # the first token's is not kept
            case "sparse" if spec.is_lexical:
                yield probe.name, of_sparse(_heavy(values[number]))
            case "sparse":
                yield probe.name, of_sparse(_largest(values[start:stop, 0], encoding, spec.sparse_ignore))


def _heavy(row: Floats) -> Sparse:
    """The weights above 0 of a row over the vocabulary: the plain twin of the engine's."""
    bag = {number: weight for number, weight in enumerate(row.tolist()) if weight > 0}
    return Sparse(np.array(list(bag), np.int32), np.array(list(bag.values()), np.float32))


def _largest(weights: Floats, encoding: Encoding, ignore: Sequence[int]) -> Sparse:
    """The largest weight of each id: the plain twin of the engine's."""
    bag: dict[int, float] = {}
    for token, weight in zip(encoding.ids.tolist(), weights.tolist(), strict=True):
        if weight > 0 and token not in ignore:
            bag[token] = max(weight, bag.get(token, 0.0))
    return Sparse(np.array(sorted(bag), np.int32), np.array([bag[token] for token in sorted(bag)], np.float32))


def _merged(
    before: Mapping[Output, Mapping[str, Floats]], more: Mapping[Output, Mapping[str, Floats]]
) -> dict[Output, dict[str, Floats]]:
    return {output: {**before.get(output, {}), **rows} for output, rows in more.items()}
