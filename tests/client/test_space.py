"""What an endpoint's probes show: of the space, near enough only for int8, or of another."""

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest

from embedstack.client.identity import unknown_spec
from embedstack.client.record import read_anchor, write_anchor
from embedstack.client.space import (
    DOCUMENTS,
    LONG,
    MOST_TERMS,
    PLAIN_TERMS,
    QUERIES,
    Anchor,
    Known,
    Sample,
    Verdict,
    anchor_of,
    anchor_of_truth,
    claim_of,
    is_int8,
    judged,
    needs,
    of_giver,
    sampled,
)
from embedstack.errors import ConfigError, Mismatch, Unsupported
from embedstack.modelspec import plain_fingerprint
from embedstack.proof.kept import Truth
from embedstack.runtimes.int8 import METHOD
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Encoded, Image, Text, Tokens, Usage

NAMES = (*DOCUMENTS, *QUERIES, *LONG)
KINDS = ("int8", "float32")
SPACE = "0123456789abcdef0123456789abcdef"


def drawn(dim: int = 64) -> dict[str, np.ndarray]:
    """A unit vector for each probe."""
    rows = np.random.default_rng(5).standard_normal((len(NAMES), dim))
    return dict(zip(NAMES, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), strict=True))


def turned(rows: dict[str, np.ndarray], apart: float) -> dict[str, np.ndarray]:
    """Unit vectors whose cosine to these is 1 - `apart`."""
    random, cosine = np.random.default_rng(6), 1 - apart
    made = {}
    for name, row in rows.items():
        side = random.standard_normal(len(row))
        side -= (side @ row) * row
        made[name] = (cosine * row + np.sqrt(1 - cosine**2) * side / np.linalg.norm(side)).astype(np.float32)
    return made


def sample(rows: dict[str, np.ndarray], claimed: str = "", fingerprint: str = "") -> Sample:
    spec = unknown_spec("there", "m", len(rows["word"]), space=claimed)
    return Sample(spec, fingerprint, claimed, rows)


def anchor(rows: dict[str, np.ndarray], space: str = "", **more: object) -> Anchor:
    return replace(anchor_of("first", sample(rows, space)), **more)


def verdict(apart: float, *, allow_int8: bool = False, **more: object) -> Verdict:
    rows = drawn()
    return judged(anchor(rows, **more), sample(turned(rows, apart)), allow_int8=allow_int8)


# ------------------------------------------------------------------------------------------------ judged


@pytest.mark.parametrize("apart", [0.0, 6e-5, 1.2e-4])
def test_what_two_replicas_in_16_bits_differ_by_is_one_space(apart):
    assert verdict(apart).is_proven


def test_what_is_as_near_as_int8_alone_is_refused_with_the_way_to_allow_it():
    reason = verdict(7e-4).reason

    assert reason.startswith("it is only as near to first as int8 is (the least cosine is 0.9993")
    assert reason.endswith("take it with allow_int8 = true")


def test_what_is_as_near_as_int8_is_taken_where_that_is_asked_for():
    assert verdict(7e-4, allow_int8=True).is_proven


@pytest.mark.parametrize("apart", [0.01, 0.224, 1.0])
def test_what_is_farther_is_of_another_space_whatever_is_allowed(apart):
    assert "it is of another space than first: the least cosine is" in verdict(apart, allow_int8=True).reason


def test_beside_the_truth_only_one_side_is_rounded():
    assert verdict(1.5e-4).is_proven
    assert not verdict(1.5e-4, is_truth=True).is_proven


def test_one_text_that_is_cut_elsewhere_is_enough_to_refuse():
    rows = drawn()
    cut = {**rows, "past-512": turned(rows, 0.1)["past-512"]}

    assert "(at 'past-512')" in judged(anchor(rows), sample(cut), allow_int8=True).reason


def test_another_width_is_refused_by_both_widths():
    reason = judged(anchor(drawn(64)), sample(drawn(32)), allow_int8=True).reason

    assert reason == "its vectors are 32 numbers wide, those of first 64"


def test_vectors_of_another_length_are_refused():
    rows = drawn()
    longer = {name: 3 * row for name, row in rows.items()}

    assert "a length is off by 2.00e+00" in judged(anchor(rows), sample(longer), allow_int8=True).reason


def test_a_claim_of_another_space_is_refused_however_near_the_vectors_are():
    rows = drawn()

    reason = judged(anchor(rows, SPACE), sample(rows, SPACE[::-1]), allow_int8=True).reason

    assert reason == f"it is of the space {SPACE[::-1]}, first of {SPACE}"


def test_the_same_claim_does_not_help_other_vectors():
    rows = drawn()

    assert not judged(anchor(rows, SPACE), sample(turned(rows, 0.3), SPACE), allow_int8=True).is_proven


def test_a_fingerprint_of_int8_is_refused_even_where_the_vectors_are_near():
    spec, rows = hash_spec(dim=64), drawn()
    first = anchor(rows, spec.space, fingerprint=spec.fingerprint("float32"))
    rounded = sample(rows, spec.space, spec.fingerprint("int8", calibration=METHOD))

    assert "as int8 is (its fingerprint says so)" in judged(first, rounded, allow_int8=False).reason
    assert judged(first, rounded, allow_int8=True).is_proven


def test_int8_stands_in_for_the_same_int8():
    spec, rows = hash_spec(dim=64), drawn()
    fingerprint = spec.fingerprint("int8")

    first = anchor(rows, spec.space, fingerprint=fingerprint)

    assert judged(first, sample(rows, spec.space, fingerprint), allow_int8=False).is_proven


@pytest.mark.parametrize(
    "asked", [{}, {"truncate": "left"}, {"max_tokens": 8}, {"max_tokens": 10**6}, {"late_chunking": True}, {"dim": 16}]
)
def test_int8_is_seen_whatever_a_request_asks_for(asked):
    spec, request = hash_spec(dim=64), wish(Text("a"), **asked)

    rounded, exact = (is_int8(spec.space, spec.fingerprint(of, **asked), request.dim or 64, request) for of in KINDS)

    assert (rounded, exact) == (True, False)


# ------------------------------------------------------------------------------------------------ whose it is


def given(fingerprint: str, claimed: str = SPACE, dim: int = 64) -> Encoded:
    """One vector with what an endpoint says of itself."""
    spec = unknown_spec("there", "m", dim, space=claimed)
    return Encoded(spec=spec, fingerprint=fingerprint, usage=Usage(1, 1), dense=np.ones((1, dim), np.float32))


def test_who_claims_another_space_leaves_no_fingerprint_behind():
    verdict, request = of_giver(sample(drawn(), SPACE, "f" * 32)), wish(Text("a"), max_tokens=8)

    assert not verdict.is_of(given("e" * 32, SPACE[::-1]), request)
    assert verdict.is_of(given("d" * 32), request)


def test_another_width_is_not_of_who_was_judged():
    verdict = of_giver(sample(drawn(), SPACE, "f" * 32))

    assert verdict.is_of(given("f" * 32), wish(Text("a")))
    assert not verdict.is_of(given("f" * 32, dim=32), wish(Text("a")))


def test_of_many_terms_the_latest_are_remembered_and_the_probes():
    verdict = of_giver(sample(drawn(), SPACE, "f" * 32))

    for most in range(1, MOST_TERMS + 50):
        verdict.is_of(given("e" * 32), wish(Text("a"), max_tokens=most))

    assert len(verdict.fingerprints) == MOST_TERMS
    assert verdict.fingerprints[PLAIN_TERMS] == "f" * 32
    assert not verdict.is_of(given("d" * 32), wish(Text("a"), max_tokens=MOST_TERMS))


# ------------------------------------------------------------------------------------------------ what for


def wish(*items, **terms) -> Encode:
    return Encode(model="", items=items, **terms)


def test_what_a_request_needs_is_read_from_it():
    assert needs(wish(Text("a"))) == set()
    assert needs(wish(Text("a", "query"), Text("b"))) == {"role 'query'"}
    assert needs(wish(Image(b"x"), Tokens((1,)))) == {"images", "token ids"}
    assert needs(wish(Text("a"), late_chunking=True, dim=8)) == {"late chunking", "dim=8"}


def test_a_foreign_endpoint_is_proven_for_the_roles_that_it_was_asked_in():
    rows = drawn()
    documents = {name: row for name, row in rows.items() if name not in QUERIES}

    both, one = (judged(anchor(rows), sample(some), allow_int8=False) for some in (rows, documents))

    assert both.lacks(wish(Text("a", "query"))) == ""
    assert one.lacks(wish(Text("a"))) == ""
    assert one.lacks(wish(Text("a", "query"))).startswith("it is not proven for role 'query'")


@pytest.mark.parametrize("terms", [{"late_chunking": True}, {"dim": 8}])
def test_a_foreign_endpoint_is_not_proven_for_what_no_probe_asks(terms):
    rows = drawn()

    foreign = judged(anchor(rows), sample(rows), allow_int8=False)
    own = judged(anchor(rows, SPACE), sample(rows, SPACE), allow_int8=False)

    assert "only an embedstack server says that of itself" in foreign.lacks(wish(Text("a"), **terms))
    assert own.lacks(wish(Text("a"), **terms)) == ""


# ------------------------------------------------------------------------------------------------ asked


def of_hash(refused: dict[str, Exception] | None = None, encoder: HashEncoder | None = None):
    """Asks the fake; some roles are refused."""
    asked = encoder or HashEncoder()

    async def ask(request: Encode):
        error = (refused or {}).get(request.items[0].role)
        if error is not None:
            raise error
        return await asked.encode(replace(request, model="hash"))

    return ask


def test_all_probes_are_asked_for_and_come_back_by_name():
    made = asyncio.run(sampled(of_hash()))

    assert made.rows.keys() == {*NAMES}
    assert (made.claimed, made.fingerprint) == (hash_spec().space, hash_spec().fingerprint("float32"))


def test_a_role_that_is_refused_is_left_out():
    made = asyncio.run(sampled(of_hash({"query": Unsupported("no")})))

    assert made.rows.keys() == {*DOCUMENTS, *LONG}


def test_without_documents_there_is_nothing():
    with pytest.raises(Unsupported):
        asyncio.run(sampled(of_hash({"document": Unsupported("no")})))


def test_replies_of_two_models_are_no_sample():
    class Mixed(HashEncoder):
        async def encode(self, request):
            answer = await super().encode(request)
            return replace(answer, spec=hash_spec("other")) if request.items[0].role == "query" else answer

    with pytest.raises(Mismatch, match="different models answer there"):
        asyncio.run(sampled(of_hash(encoder=Mixed())))


@pytest.mark.parametrize(
    ("spec", "fingerprint", "claimed"),
    [
        (unknown_spec("h", "m", 8), "", ""),
        (unknown_spec("h", "m", 8, space=SPACE), "f" * 32, SPACE),
        (hash_spec(), "f" * 32, hash_spec().space),
        (hash_spec(), "", ""),
    ],
)
def test_a_claim_is_what_the_endpoint_said_and_not_what_was_expected(spec, fingerprint, claimed):
    answer = replace(asyncio.run(of_hash()(wish(Text("a")))), spec=spec, fingerprint=fingerprint)

    assert claim_of(answer) == claimed


# ------------------------------------------------------------------------------------------------ known


def test_truth_that_was_made_is_what_the_space_is_known_by():
    spec, rows = hash_spec(dim=64), drawn()

    made = anchor_of_truth(Known(spec, Truth(spec.space, {"dense": rows})))

    assert (made.spec, made.space, made.is_truth, made.is_unit) == (spec, spec.space, True, True)


def test_truth_without_the_probes_is_none():
    spec, rows = hash_spec(dim=64), drawn()
    del rows["cyrillic"]

    assert anchor_of_truth(Known(spec, Truth(spec.space, {"dense": rows}))) is None
    assert anchor_of_truth(Known(spec)) is None


def test_what_was_kept_is_read_as_it_was(tmp_path):
    path, rows = tmp_path / "p.json", drawn()
    write_anchor(anchor(rows, SPACE), path)

    read = read_anchor(path)

    assert read.rows.keys() == rows.keys()
    assert all(np.array_equal(read.rows[name], rows[name]) for name in rows)
    assert (read.space, read.spec.space) == (SPACE, anchor(rows, SPACE).spec.space)
    assert read.source == "the probes in 'p.json', of first"


def test_the_model_on_this_machine_is_kept_as_a_claim(tmp_path):
    path, spec = tmp_path / "p.json", hash_spec(dim=64)
    write_anchor(Anchor("here", spec, spec.space, drawn()), path)

    assert read_anchor(path).space == spec.space


def test_a_file_that_is_not_there_yet_is_none(tmp_path):
    assert read_anchor(tmp_path / "p.json") is None


@pytest.mark.parametrize("change", [b"", b"{}", b"\xff", ("probes", "other"), ("rows", {}), ("rows", {"word": "%"})])
def test_a_broken_file_is_refused_and_not_overlooked(tmp_path, change):
    path = tmp_path / "p.json"
    write_anchor(anchor(drawn()), path)
    if isinstance(change, bytes):
        path.write_bytes(change)
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), change[0]: change[1]}))

    with pytest.raises(ConfigError, match=r"p.json' .*delete"):
        read_anchor(path)


def test_a_number_that_is_not_finite_is_refused(tmp_path):
    path, rows = tmp_path / "p.json", drawn()
    write_anchor(anchor({**rows, "word": np.full(64, np.nan, np.float32)}), path)

    with pytest.raises(ConfigError, match="delete the file"):
        read_anchor(path)


@pytest.mark.parametrize("is_unit", [True, False])
@pytest.mark.parametrize("calibration", ["", METHOD])
def test_a_fingerprint_follows_from_the_space_alone(is_unit, calibration):
    spec = hash_spec(dim=64)

    made = plain_fingerprint(spec.space, "int8", 64, is_unit=is_unit, calibration=calibration)

    assert made == spec.fingerprint("int8", normalize=is_unit, calibration=calibration)
