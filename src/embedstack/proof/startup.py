"""An encoder that was just opened -> whether it is proven, by one short probe against truth that was made before."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np

from embedstack.errors import Mismatch
from embedstack.proof.fidelity import LIMITS, Array, precision_of
from embedstack.proof.kept import Truth, kept
from embedstack.proof.probes import Probe, probes
from embedstack.types import Encode, Encoder, ModelSpec, Pair, Precision, Score, Text

Proof = Literal["proven", "unproven"]
PROBES = ("short-query", "p-word")  # some ten tokens: a few milliseconds
log = logging.getLogger(__name__)


def check_start(encoder: Encoder, cache_dir: Path, precision: str = "auto") -> Proof:
    """Embed one probe with each model. Proven if all are as their truth says; unproven if one has none.

    Args:
        precision: as it was asked for; where it is auto, the fingerprint says what was chosen.
    Raises:
        Mismatch: a vector is not what the model gives: its weights, its recipe or the device is wrong.
        RuntimeFailed: it holds a number that is not finite.
    """
    found: list[Proof] = []
    for spec in encoder.models():
        truth = kept(spec, cache_dir)
        found.append("unproven" if truth is None else asyncio.run(check(encoder, spec, truth, precision)))
        log.info("event=proof model=%s state=%s space=%s", spec.name, found[-1], spec.space)
    return "proven" if set(found) == {"proven"} else "unproven"


async def check(encoder: Encoder, spec: ModelSpec, truth: Truth, precision: str = "auto") -> Proof:
    """One model by one probe."""
    rows = truth.rows.get("score" if spec.task == "rerank" else "dense", {})
    asked = [probe for probe in probes(spec).named(*PROBES) if probe.name in rows]
    if not asked:
        return "unproven"
    made, fingerprint = await _made(encoder, spec, asked)
    limits = LIMITS[cast("Precision", precision) if precision in LIMITS else precision_of(spec, fingerprint)[0]]
    true = rows[asked[0].name].astype(np.float64)
    if spec.task == "rerank":
        spread = float(np.ptp([row[0] for row in rows.values()]))
        near, least = 1 - abs(float(made[0] - true[0])) / max(spread, 1e-30), 1 - limits.score
    else:
        near = float(made @ true / max(float(np.linalg.norm(made) * np.linalg.norm(true)), 1e-30))
        least = limits.least
    if not near >= least:
        raise Mismatch(
            f"{spec.name!r} gives another vector than its truth (nearness {near:.6f}, at least {least} is needed); "
            f"see what is wrong with: embedstack models prove {spec.name}"
        )
    return "proven"


async def _made(encoder: Encoder, spec: ModelSpec, asked: Sequence[Probe]) -> tuple[Array, str]:
    item = asked[0].item
    if isinstance(item, Pair):
        scored = await encoder.score(Score(model=spec.name, items=(item,), raw_scores=True))
        return scored.scores.astype(np.float64), scored.fingerprint
    assert isinstance(item, Text)
    encoded = await encoder.encode(Encode(model=spec.name, items=(item,)))
    assert encoded.dense is not None
    return encoded.dense[0].astype(np.float64), encoded.fingerprint
