"""An encoder that was just opened -> whether it is proven, by a short probe against truth that was made before."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from embedstack.errors import Mismatch
from embedstack.modelspec import ModelSpec, Precision
from embedstack.proof.asking import Asking
from embedstack.proof.fidelity import LIMITS, fidelity, precision_of
from embedstack.proof.kept import Truth, kept
from embedstack.proof.probes import probes
from embedstack.types import Encoder

Proof = Literal["proven", "unproven"]
PROBES = ("short-query", "p-word")  # some ten tokens: a few milliseconds
PICTURES = ("image-checkers",)  # small, and more than one colour
log = logging.getLogger(__name__)


def check_start(encoder: Encoder, cache_dir: Path, precision: str = "auto") -> Proof:
    """Embed a text with each model, and a picture with each that takes them.

    Proven if all are as their truth says; unproven if one has none.

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
    """One model by one probe of each kind that it takes, in every output that there is truth of."""
    main = truth.rows.get(spec.outputs[0], {})
    wanted = [PROBES, *([PICTURES] if "image" in spec.inputs else [])]
    known = [[probe for probe in probes(spec).named(*names) if probe.name in main] for names in wanted]
    if not all(known):
        return "unproven"
    asking = Asking(encoder, spec)
    made = await asking.alone([of_kind[0] for of_kind in known])
    held = cast("Precision", precision) if precision in LIMITS else precision_of(spec, asking.fingerprint)[0]
    said = []
    for output, rows in made.items():
        if (true := truth.rows.get(output, {})).keys() >= rows.keys():
            # of so few the mean says no more than the worst, and is held to what that may be
            said += replace(fidelity(output, true, rows, is_unit=spec.normalize), mean=None).fails(held)
    if said:
        raise Mismatch(
            f"{spec.name!r} gives another vector than its truth ({'; '.join(said)}); "
            f"see what is wrong with: embedstack models prove {spec.name}"
        )
    return "proven"
