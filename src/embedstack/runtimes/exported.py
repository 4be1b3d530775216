"""A file that `models export` wrote -> a runtime, so that it can be proven as any other."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import ConfigError, RuntimeFailed
from embedstack.modelspec import Output, Precision
from embedstack.runtimes import AUTO, Options
from embedstack.runtimes.export import read_identity
from embedstack.runtimes.failures import closed
from embedstack.runtimes.onnx import calibration, choose_provider, open_session, run_session, session_options
from embedstack.runtimes.padded import NAMES, SEQUENCE
from embedstack.types import Batch, Floats, Ints, Vectors


class OnnxFile:
    """An exported file in ONNX Runtime; its rows are of length 1 already.

    Args:
        path: what `export` wrote.
    Raises:
        ConfigError: as `read_identity`, a precision that the file does not have, or ONNX Runtime cannot open it.
    """

    precision: Precision = "float32"

    def __init__(self, path: Path, options: Options = AUTO) -> None:
        self.identity = read_identity(path)
        self.space = self.identity["space"]
        if options.precision not in ("auto", self.precision):
            raise ConfigError(
                f"precision={options.precision!r} is not for the exported file {path.name!r}, which computes in "
                "float32; ask for float32 or auto"
            )
        provider = choose_provider(options.device)
        self.lanes = options.lanes
        self.device = provider.device
        self.calibration = calibration(self.precision, provider)
        self.reason = "; ".join(filter(None, [f"float32, as the exported file {path.name!r} is", provider.remark]))
        threads = max(1, options.thread_count - self.lanes + 1)
        session = open_session(str(path), session_options(threads), provider)
        self._inputs = {given.name for given in session.get_inputs()}
        self._of_tokens = {made.name for made in session.get_outputs() if SEQUENCE in made.shape}
        self._sessions = [session]  # none once it is closed

    def ready(self, outputs: frozenset[Output]) -> None:
        """See Runtime; the start made everything."""

    def run(self, batch: Batch, wanted: frozenset[Output]) -> Vectors:
        """See Runtime; the file computes all its outputs, those asked for are given."""
        session = next(iter(self._sessions), None)
        if session is None:
            raise closed()
        if batch.ids.min() < 0:  # counted from the end by ONNX Runtime, which refuses what is past it
            raise RuntimeFailed(f"token id {batch.ids.min()} is below 0; its tokeniser is of another model")
        lengths = np.diff(batch.offsets)
        real = np.arange(lengths.max()) < lengths[:, None]  # (items, length)
        made = run_session(session, [NAMES[name] for name in sorted(wanted)], self._padded(batch, real))
        given = dict(zip(sorted(wanted), made, strict=True))
        return {name: _packed(rows, real) if NAMES[name] in self._of_tokens else rows for name, rows in given.items()}

    def close(self) -> None:
        """See Runtime."""
        self._sessions.clear()

    def _padded(self, batch: Batch, real: NDArray[np.bool_]) -> Mapping[str, NDArray[np.int64]]:
        def spread(values: Ints) -> NDArray[np.int64]:
            padded = np.zeros(real.shape, np.int64)
            padded[real] = values
            return padded

        inputs = {
            "input_ids": spread(batch.ids),
            "attention_mask": real.astype(np.int64),
            "token_type_ids": spread(batch.segments),
        }
        return {name: values for name, values in inputs.items() if name in self._inputs}


def _packed(rows: Floats, real: NDArray[np.bool_]) -> Floats:
    """(tokens, width) without the padding."""
    return np.reshape(rows[real], (int(real.sum()), -1))
