"""A model that is ready: its recipe, what reads its items, its device; and what tells its rows from others'."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from embedstack.inputs.text import TextInput
from embedstack.modelspec import Input, ModelSpec, Output, Precision, Truncate
from embedstack.runtimes import Runtime
from embedstack.types import Classify, Encode, Score

if TYPE_CHECKING:  # it imports Pillow, which a process without pictures does without
    from embedstack.inputs.image import ImageInput


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready: its recipe, what reads its texts and its pictures, its place on the device."""

    spec: ModelSpec
    text: TextInput
    runtime: Runtime
    aliases: tuple[str, ...] = ()
    image: ImageInput | None = None

    def fingerprint(
        self, request: Encode | Score | Classify | None = None, dim: int | None = None, *, normalize: bool | None = None
    ) -> str:
        """Of vectors made here, for a request or for any."""
        max_tokens, truncate = (request.max_tokens, request.truncate) if request else (None, "right")
        is_late = isinstance(request, Encode) and request.late_chunking
        # late chunking cuts nothing, so from which end makes no difference
        cuts = max_tokens, "right" if is_late and truncate == "left" else truncate, document_tokens(request), is_late
        return _fingerprint(self.spec, self.runtime.precision, self.runtime.calibration, dim, normalize, *cuts)

    def identity(self, outputs: frozenset[Output], kind: Input = "text") -> Hashable:
        """Of rows as they leave the runtime. Two runtimes of one precision make vectors of one fingerprint that are
        equal only within rounding, so their rows are kept apart: who serves both does so to see a difference.
        """
        return self.fingerprint(), type(self.runtime), self.runtime.device, outputs, kind


@lru_cache(maxsize=1024)
def _fingerprint(
    spec: ModelSpec,
    precision: Precision,
    calibration: str,
    dim: int | None,
    normalize: bool | None,
    max_tokens: int | None,
    truncate: Truncate,
    document_tokens: int | None,
    late_chunking: bool,
) -> str:
    """Remembered: a digest of JSON for every request would take as long as tokenising a query."""
    return spec.fingerprint(
        precision,
        dim,
        normalize=normalize,
        max_tokens=max_tokens,
        truncate=truncate,
        document_tokens=document_tokens,
        late_chunking=late_chunking,
        calibration=calibration,
    )


def document_tokens(request: Encode | Score | Classify | None) -> int | None:
    """What a document is cut to, where the request says so."""
    return request.document_tokens if isinstance(request, Score) else None
