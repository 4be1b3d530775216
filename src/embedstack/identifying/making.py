"""Encodings -> a pooled vector of each in every pooling, by a runtime in float32, each text once."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np

from embedstack.models import family
from embedstack.models.weights import open_weights
from embedstack.modelspec import ModelSpec, Pooling
from embedstack.proof.fidelity import Array
from embedstack.proof.truth import pack
from embedstack.runtimes import Options, open_runtime
from embedstack.runtimes.numpy import NumpyOps
from embedstack.settings import Settings
from embedstack.types import STATES, Encoding, Floats

POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


class Making:
    """A model that is open; close it.

    States of tokens come from the runtime, in float32, or float64 of the numpy runtime; pooling is done here.

    Raises:
        ConfigError: as the runtime's.
    """

    def __init__(self, spec: ModelSpec, folder: Path, settings: Settings) -> None:
        precision = "float64" if settings.runtime == "numpy" else "float32"
        options = Options(precision=precision, device=settings.device, threads=settings.threads)
        self._spec, self._weights = spec, open_weights(folder)
        self._runtime = open_runtime(settings.runtime)(spec, open_weights(folder), options)
        self._most = settings.batch_tokens
        self._made: dict[bytes, Mapping[Pooling, Array]] = {}

    def close(self) -> None:
        """Give its memory back."""
        self._runtime.close()

    def pooled(self, encodings: Sequence[Encoding | None]) -> Mapping[Pooling, Array]:
        """(encodings, spec.dim) by pooling, before anything is cut or brought to length 1; not a number for None."""
        missing = {e.ids.tobytes(): e for e in encodings if e is not None and e.ids.tobytes() not in self._made}
        for batch in self._batches(list(missing.values())):
            for encoding, rows in zip(batch, self._run(batch), strict=True):
                self._made[encoding.ids.tobytes()] = rows
        nothing = np.full(self._spec.dim, np.nan)
        return {
            how: np.stack([nothing if e is None else self._made[e.ids.tobytes()][how] for e in encodings])
            for how in POOLINGS
        }

    def _batches(self, encodings: Sequence[Encoding]) -> Iterator[list[Encoding]]:
        """Of about equal length, so that little is filled up."""
        batch: list[Encoding] = []
        for encoding in sorted(encodings, key=lambda one: one.cost):
            if batch and sum(one.cost for one in batch) + encoding.cost > self._most:
                yield batch
                batch = []
            batch.append(encoding)
        if batch:
            yield batch

    def _run(self, encodings: Sequence[Encoding]) -> Iterator[Mapping[Pooling, Array]]:
        batch = pack(encodings)
        states = self._runtime.run(batch, STATES)["states"]
        for start, stop in pairwise(batch.offsets.tolist()):
            rows = _pools(states[start:stop])
            if project := family(self._spec).dense:
                rows = project(NumpyOps(self._weights, batch), self._spec, rows)
            yield dict(zip(POOLINGS, rows, strict=True))


def _pools(states: Floats) -> Array:
    """(tokens, hidden) -> (poolings, hidden)."""
    wide = states.astype(np.float64)
    by = {"cls": wide[0], "mean": wide.mean(axis=0), "max": wide.max(axis=0), "last": wide[-1]}
    return np.stack([by[how] for how in POOLINGS])
