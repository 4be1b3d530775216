"""A folder of any family, run by sentence-transformers itself: for families that have no graph here yet.

Tokenising, prompts, limits and batches are ours; only the modules between token ids and vector, or logit, are theirs.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer

from embedstack.catalog.reference import REFERENCE
from embedstack.errors import ConfigError, Unsupported
from embedstack.models.ops import Expression
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec, Output
from embedstack.runtimes import Options
from embedstack.runtimes.accelerator import (
    DTYPES,
    FAILED,
    choose_device,
    choose_precision,
    device_name,
    failed,
    give_back,
    prepare,
    unproven,
)
from embedstack.runtimes.failures import closed, require_known
from embedstack.runtimes.layout import lay_out
from embedstack.types import Batch, Floats, Vectors

Features = Mapping[str, torch.Tensor]
QUIET = ("sentence_transformers", "transformers")


class Model(Protocol):
    """What is called with token ids and a mask, and gives rows."""

    def __call__(self, features: Features) -> torch.Tensor: ...


class ReferenceRuntime:
    """A model as sentence-transformers loads it; its fidelity is theirs, so auto is float32 on every device."""

    calibration = ""

    def __init__(self, spec: ModelSpec, weights: Weights, options: Options) -> None:
        if weights.folder is None or not spec.architecture.family.startswith(REFERENCE):
            raise Unsupported(f"{spec.name!r} was not read for the reference runtime; find it with reference=True")
        self._device = choose_device(options.device)
        wish = "float32" if options.precision == "auto" else options.precision
        self.precision, why = choose_precision(wish, self._device)
        if options.precision == "auto":
            why = "float32, because nobody has measured what less would do to this family"
        self.device = device_name(self._device)
        self.lanes = options.lanes
        said = [f"sentence-transformers in {why}", prepare(self._device, self.precision, options)]
        said += [f"lanes: {self.lanes}", unproven(self._device)]
        self.reason = "; ".join(clause for clause in said if clause)
        self._spec, self._has_segments = spec, spec.architecture.segments > 1
        self._output = spec.outputs[0]
        load = _embedder if spec.task == "embed" else _scorer
        self._model: Model | None  # None once it is closed
        self._model, self._pad = load(weights.folder, self._device, DTYPES[self.precision])

    def ready(self, outputs: frozenset[Output]) -> None:
        """See Runtime; the start made everything."""

    def run(self, batch: Batch, wanted: frozenset[Output]) -> Vectors:
        """See Runtime."""
        model = self._model
        if model is None:
            raise closed()
        if wanted - {self._output}:
            raise Unsupported(f"the reference runtime gives {self._output} here, not {sorted(wanted)[0]}")
        require_known(batch, self._spec)
        try:
            with torch.inference_mode():
                made = model(self._features(batch))
                return {self._output: np.asarray(made.float().cpu().numpy(), np.float32)}
        except (*FAILED, ValueError) as error:
            raise failed(error, batch, self._device) from error

    def _features(self, batch: Batch) -> Features:
        """(items, length) each, absent places filled with the padding token and masked."""
        laid = lay_out(batch)
        real = laid["mask"][:, 0, 0] == 0
        made = {"input_ids": np.where(real, batch.ids[laid["grid"]], self._pad), "attention_mask": real}
        if self._has_segments:
            made["token_type_ids"] = np.where(real, batch.segments[laid["grid"]], 0)
        return {name: torch.from_numpy(values.astype(np.int64)).to(self._device) for name, values in made.items()}

    def close(self) -> None:
        """See Runtime."""
        self._model = None
        give_back(self._device)

    @staticmethod
    def evaluate(expression: Expression, weights: Weights, batch: Batch) -> Floats:
        """It has no operations of its own."""
        raise Unsupported("the reference runtime runs whole models, not single operations; check another runtime")


def _embedder(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[Model, int]:
    with _loading(folder):
        # a dtype of its own for each model: some repositories hold half precision, which would be taken as it is
        model = SentenceTransformer(
            str(folder), device=str(device), local_files_only=True, model_kwargs={"torch_dtype": dtype}
        )
        model.eval()

    def run(features: Features) -> torch.Tensor:
        return model(dict(features))["sentence_embedding"]

    return run, _padding(model[0].auto_model)


def _scorer(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[Model, int]:
    with _loading(folder):
        encoder = CrossEncoder(
            str(folder), device=str(device), local_files_only=True, model_kwargs={"torch_dtype": dtype}
        )
        model = encoder.model.eval()

    def run(features: Features) -> torch.Tensor:
        return model(**features).logits

    return run, _padding(model)


def _padding(model: transformers.PreTrainedModel) -> int:
    """The id whose place some families do not count."""
    return cast("int", model.config.pad_token_id or 0)


@contextmanager
def _loading(folder: Path) -> Iterator[None]:
    """Nothing on the terminal, and whatever these packages raise becomes one error that names the folder."""
    levels = {name: logging.getLogger(name).level for name in QUIET}
    has_bar = transformers.utils.logging.is_progress_bar_enabled()
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"sentence-transformers cannot load {str(folder)!r}: {first[:300]}") from error
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if has_bar:
            transformers.utils.logging.enable_progress_bar()
