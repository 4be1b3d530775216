"""A plan's probes and what a model makes of them now -> whether it still gives the vectors that the table has. Pure."""

from collections.abc import Sequence
from typing import get_args

import numpy as np

from embedstack.errors import Mismatch
from embedstack.jobs.opened import Opened
from embedstack.jobs.plan import Plan
from embedstack.modelspec import Precision
from embedstack.origin import Probe, vector_of
from embedstack.proof.fidelity import JUDGED_AS, LIMITS
from embedstack.types import Floats


def probe_faults(plan: Plan, opened: Opened) -> list[str]:
    """A sentence for each probe whose vector is further from the plan's than the precision allows; none if all is well.

    Args:
        opened: the model as it is now; it was asked for the probes when it was opened.
    Raises:
        Mismatch: another model, or it was asked for other probes.
    """
    asked = {(probe.name, probe.text) for probe in plan.probes}
    if plan.identity.fingerprint != opened.identity.fingerprint or asked != shared(plan, opened.probes):
        raise Mismatch(
            f"the plan is for {plan.identity.model!r} and {opened.identity.model!r} is open, or was asked for other "
            "probes; open the plan's model"
        )
    return faults_between(plan, opened.probes)


def shared(plan: Plan, probes: Sequence[Probe]) -> set[tuple[str, str]]:
    """Names and texts of the probes that a plan has, too."""
    now = {(probe.name, probe.text) for probe in probes}
    return {(probe.name, probe.text) for probe in plan.probes} & now


def faults_between(plan: Plan, probes: Sequence[Probe]) -> list[str]:
    """As `probe_faults`, of those that both were asked for."""
    before = {(probe.name, probe.text): probe for probe in plan.probes}
    precision = _precision(plan)
    least = LIMITS[precision].least
    pairs = [(probe, before.get((probe.name, probe.text))) for probe in probes]
    cosines = {now.name: _cosine(vector_of(then), vector_of(now)) for now, then in pairs if then is not None}
    return [
        f"probe {name!r} has cosine {cosine:.7f} to its vector in the plan, {precision} allows {least}"
        for name, cosine in cosines.items()
        if not cosine >= least
    ]


def _precision(plan: Plan) -> Precision:
    """An endpoint may not say which it is."""
    return next((known for known in get_args(Precision) if known == plan.exact.precision), JUDGED_AS)


def _cosine(one: Floats, other: Floats) -> float:
    if one.shape != other.shape:
        return float("nan")
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float(np.dot(one.astype(np.float64), other.astype(np.float64))) / lengths if lengths else float("nan")
