"""Pairs of texts with grades, and a model -> from which of its cosines on two texts mean the same."""

from collections.abc import Sequence

import msgspec
import numpy as np

from embedstack.errors import BadRequest, RuntimeFailed, Unsupported
from embedstack.evals.calibration import Calibration
from embedstack.evals.curve import Numbers
from embedstack.evals.sets.labelled import Pairs
from embedstack.evals.systems.encoded import Shared
from embedstack.evals.systems.system import Progress
from embedstack.evals.thresholds import FIXED, PRECISIONS, RESAMPLES, calibrate, check_wishes
from embedstack.modelspec import ModelSpec
from embedstack.types import Encoder, Floats


def calibrate_model(
    pairs: Pairs,
    encoder: Encoder,
    *,
    same_from: float,
    model: str = "",
    role: str = "document",
    dim: int | None = None,
    fixed: Sequence[float] = FIXED,
    precisions: Sequence[float] = PRECISIONS,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> Calibration:
    """What the cosines of the model mean. Each different text is embedded once.

    Args:
        model: by name; the encoder's first one for vectors if empty.
        role: of both texts of a pair. A threshold holds for vectors as they are compared later: stored texts with each
            other are documents; questions with earlier ones, as in a cache of answers, are queries; `none` leaves
            prompts out, as most published figures of such sets do. Other roles, other cosines.
        dim: a width that the model was trained for (Matryoshka).
        same_from, fixed, precisions, confidence, resamples, seed: as `calibrate` takes them.
        progress: told after each request.
    Raises:
        BadRequest: no pairs; and as `calibrate` and the model say.
        Unsupported: the encoder has no such model for vectors, or it has no dense ones.
        RuntimeFailed: a vector with NaN or infinity. What the encoder raises.
    """
    if not pairs.firsts:
        raise BadRequest(f"{pairs.name!r} holds no pairs; give a file with two texts and a grade in each row")
    check_wishes(precisions=precisions, fixed=fixed, confidence=confidence, resamples=resamples, seed=seed)
    spec = _spec(encoder, model)
    places = {text: place for place, text in enumerate(dict.fromkeys((*pairs.firsts, *pairs.seconds)))}
    shared = Shared(encoder, spec, spec.name, kinds=frozenset({"dense"}), dim=dim, roles=(role, role))
    read = shared.documents({str(place): text for text, place in places.items()}, "dense", progress)
    rows = read.columns["dense"]
    assert isinstance(rows, np.ndarray)  # as dense vectors are
    unit = _unit(rows, spec)
    firsts, seconds = ([places[text] for text in texts] for texts in (pairs.firsts, pairs.seconds))
    cosines = np.clip(np.einsum("ij,ij->i", unit[firsts], unit[seconds]), -1, 1)
    made = calibrate(
        cosines, pairs.grades, same_from=same_from, fixed=fixed, precisions=precisions,
        confidence=confidence, resamples=resamples, seed=seed,
    )  # fmt: skip
    cut = f"{read.truncated} of {read.texts} texts were cut at the limit of {spec.name!r}"
    return msgspec.structs.replace(
        made,
        data=pairs.name,
        digest=pairs.digest,
        identity=read.identity,
        role=role,
        notes=(*pairs.notes, *([cut] if read.truncated else [])),
        truncated=read.truncated,
    )


def _spec(encoder: Encoder, model: str) -> ModelSpec:
    specs = [spec for spec in encoder.models() if spec.task == "embed"]
    found = next((spec for spec in specs if model in ("", spec.name)), None)
    if found is None:
        names, wanted = ", ".join(spec.name for spec in specs), f"model {model!r}" if model else "model"
        raise Unsupported(f"there is no {wanted} for vectors here, and so no cosines; there is: {names or 'none'}")
    return found


def _unit(rows: Floats, spec: ModelSpec) -> Numbers:
    """A row of zeros has cosine 0 with everything."""
    if not np.isfinite(rows).all():
        raise RuntimeFailed(f"{spec.name!r} gave a vector with NaN or infinity; run: embedstack doctor")
    unit: Numbers = rows.astype(np.float64)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return unit
