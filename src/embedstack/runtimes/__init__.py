"""Operations made real: a spec and its weights become something that runs batches."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from embedstack.errors import ConfigError
from embedstack.models.ops import Expression
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec, Output, Precision
from embedstack.runtimes.processor import usable_threads
from embedstack.types import Batch, Floats, Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a model is put on a device; what is left out, the runtime chooses and says why."""

    precision: str = "auto"  # or a Precision that the runtime and the device have
    device: str = "auto"  # or cpu, cuda, cuda:1, and what else the runtime knows
    threads: int = 0  # processor threads; 0 for all that this process may use
    lanes: int = 1  # runs at once

    @property
    def thread_count(self) -> int:
        """`threads`, or how many all are."""
        return self.threads or usable_threads()


AUTO = Options()


class Runtime(Protocol):
    """A model on a device."""

    lanes: int
    """How many `run` calls may be in flight at once."""
    precision: Precision
    """What the products are computed in."""
    device: str
    """Where: cpu, cuda:0."""
    calibration: str
    """See `ModelSpec.fingerprint`."""
    reason: str
    """Why this precision, these lanes and these threads."""

    def ready(self, outputs: frozenset[Output]) -> None:
        """Make what a run of these outputs needs and the start left out; from any thread, as often as one likes.

        It can take as long as a start, so it is not for a lane: a batch would wait for it, and be timed with it.

        Raises:
            RuntimeFailed: it cannot be made, or the model is closed.
        """
        ...

    def run(self, batch: Batch, outputs: frozenset[Output]) -> Vectors:
        """Compute the outputs asked for and no others.

        Raises:
            RuntimeFailed: out of memory, an id outside the vocabulary, the model is closed, or the device failed.
        """
        ...

    def close(self) -> None:
        """Give the memory back; every later run fails."""
        ...


class OpenRuntime(Protocol):
    """A row of RUNTIMES, once loaded: the class."""

    def __call__(self, spec: ModelSpec, weights: Weights, options: Options) -> Runtime:
        """Build.

        Raises:
            ConfigError: a precision or a device that is not here, or that has no room; weights that are not as the
                spec says.
        """
        ...

    def evaluate(self, expression: Expression, weights: Weights, batch: Batch) -> Floats:
        """One expression over one batch in float32 or better: how `check_ops` sees the operations one by one."""
        ...


RUNTIMES: Mapping[str, str] = {
    "numpy": "embedstack.runtimes.numpy:NumpyRuntime",
    "openvino": "embedstack.runtimes.openvino:OpenVinoRuntime",
    "onnx": "embedstack.runtimes.onnx:OnnxRuntime",
    "torch": "embedstack.runtimes.torch:TorchRuntime",
    "reference": "embedstack.runtimes.reference:ReferenceRuntime",
}


def open_runtime(name: str) -> OpenRuntime:
    """The row of the table.

    Raises:
        ConfigError: no such runtime, or its packages are missing.
    """
    if name not in RUNTIMES:
        raise ConfigError(f"runtime {name!r} is unknown; choose one of: {', '.join(RUNTIMES)}")
    module, _, attribute = RUNTIMES[name].partition(":")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # builds of PyTorch warn of drivers and of numpy while they are imported
            return cast("OpenRuntime", getattr(import_module(module), attribute))
    except ImportError as error:
        raise ConfigError(
            f"runtime {name!r} needs packages that are not installed ({error}); run: pip install 'embedstack[{name}]'"
        ) from error
