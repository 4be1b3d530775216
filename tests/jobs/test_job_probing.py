"""A plan's probes beside what a model makes of them now."""

import base64

import numpy as np
import pytest
from msgspec.structs import replace

from embedstack.errors import Mismatch
from embedstack.jobs.opened import Opened
from embedstack.jobs.plan import Plan
from embedstack.jobs.probing import probe_faults
from embedstack.origin import Identity, Probe
from embedstack.testing.fake import HashEncoder, hash_spec
from support.tables import EXACT, IDENTITY, WISH, probe


class NoRuler:
    """Nothing is measured here."""

    max_tokens = added = 0


def plan_of(precision: str = "float32") -> Plan:
    return Plan(
        wish=WISH, identity=IDENTITY, exact=replace(EXACT, precision=precision), probes=(probe("a bird"),), shards=0,
        docs=0, files=0, bytes=0, table="", table_sha256="",
    )  # fmt: skip


def opened_with(found: Probe, identity: Identity = IDENTITY) -> Opened:
    return Opened(HashEncoder(), hash_spec(), NoRuler(), identity, EXACT, (found,))  # type: ignore[arg-type]


def turned(angle: float) -> Probe:
    """The probe's vector, turned by so much."""
    row = np.frombuffer(base64.b64decode(probe("a bird").vector), "<f4").astype(np.float64)
    other = np.roll(row, 1)
    other -= row * (row @ other)
    made = row * np.cos(angle) + other / np.linalg.norm(other) * np.sin(angle)
    return Probe("bird", "document", "a bird", base64.b64encode(made.astype("<f4").tobytes()).decode())


@pytest.mark.parametrize(("angle", "precision"), [(0.0, "float32"), (1e-3, "float32"), (0.01, "bfloat16")])
def test_what_the_precision_allows_is_no_fault(angle: float, precision: str) -> None:
    assert probe_faults(plan_of(precision), opened_with(turned(angle))) == []


@pytest.mark.parametrize(("angle", "precision"), [(0.01, "float32"), (0.1, "bfloat16"), (3.1, "int8")])
def test_a_vector_that_is_further_away_is_named(angle: float, precision: str) -> None:
    (said,) = probe_faults(plan_of(precision), opened_with(turned(angle)))

    assert said.startswith("probe 'bird' has cosine")


def test_an_endpoint_that_does_not_say_is_held_to_sixteen_bits() -> None:
    assert "bfloat16 allows" in probe_faults(plan_of(""), opened_with(turned(0.1)))[0]


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_vector_without_a_direction_is_a_fault(value: float) -> None:
    nothing = base64.b64encode(np.full(8, value, "<f4").tobytes()).decode()

    assert probe_faults(plan_of(), opened_with(Probe("bird", "document", "a bird", nothing)))


def test_a_vector_of_another_width_is_a_fault() -> None:
    assert probe_faults(plan_of(), opened_with(probe("a bird", 4)))


def test_another_model_is_refused() -> None:
    with pytest.raises(Mismatch, match="open the plan's model"):
        probe_faults(plan_of(), opened_with(probe("a bird"), replace(IDENTITY, fingerprint="0" * 32)))


def test_other_probes_are_refused() -> None:
    with pytest.raises(Mismatch, match="other probes"):
        probe_faults(plan_of(), opened_with(probe("a fish")))
