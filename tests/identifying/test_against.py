"""An encoder is proven by vectors that are stored: by the probes beside them, else by some rows."""

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from embedstack.errors import Mismatch, Unsupported
from embedstack.identifying.against import Against, prove_against
from embedstack.identifying.held import Held, held
from embedstack.modelspec import Precision
from embedstack.origin import Identity, Origin, Probe, packed
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Encoded, Floats, Text
from support.kept_vectors import collection, lines

SPEC = hash_spec()
TEXTS = [f"bird {number} of the river" for number in range(12)]


class Odd(HashEncoder):
    """The same with something wrong."""

    def __init__(self, *, noise: float = 0.0, prefix: str = "", refuses: str = "", longer: float = 1.0) -> None:
        super().__init__([SPEC])
        self.noise, self.prefix, self.refuses, self.longer = noise, prefix, refuses, np.float32(longer)
        self.asked: list[Encode] = []

    async def encode(self, request: Encode) -> Encoded:
        self.asked.append(request)
        if any(isinstance(item, Text) and item.role == self.refuses for item in request.items):
            raise Unsupported(f"role {self.refuses!r} is unknown here")
        items = tuple(Text(self.prefix + item.text, item.role) for item in request.items if isinstance(item, Text))
        made = await super().encode(replace(request, items=items))
        assert made.dense is not None
        shaken = made.dense + np.random.default_rng(0).normal(0, self.noise, made.dense.shape).astype(np.float32)
        return replace(made, dense=shaken * self.longer)


def vectors_of(texts: list[str], role: str = "document", dim: int | None = None) -> Floats:
    request = Encode(model=SPEC.name, items=tuple(Text(text, role) for text in texts), dim=dim)
    made = asyncio.run(HashEncoder([SPEC]).encode(request)).dense
    assert made is not None
    return made


def origin(*roles: str, space: str = SPEC.space) -> Origin:
    """Signed, with probes of these roles."""
    identity = Identity(
        model=SPEC.name, revision="1", space=space, fingerprint="f", dim=SPEC.dim, max_tokens=SPEC.max_tokens
    )  # fmt: skip
    probes = tuple(
        Probe(f"{role} {text}", role, text, packed(vectors_of([text], role)[0])) for role in roles for text in TEXTS[:3]
    )
    return Origin(identity=identity, probes=probes)


def proven(
    there: Held, encoder: HashEncoder | None = None, precision: Precision = "float32", prompt: str = ""
) -> Against:
    encoder = encoder or HashEncoder([SPEC])
    return asyncio.run(prove_against(encoder, there, model=SPEC.name, precision=precision, prompt=prompt))


@pytest.fixture
def by_rows(tmp_path: Path) -> Held:
    return held(lines(tmp_path, TEXTS, vectors_of(TEXTS)))


@pytest.fixture
def by_probes(tmp_path: Path) -> Held:
    """Of texts that were all changed since."""
    changed = [f"changed {text}" for text in TEXTS]
    return held(collection(f"{tmp_path}/store", changed, vectors_of(TEXTS), origin("document", "query")))


def test_who_gives_the_stored_vectors_is_proven(by_rows: Held) -> None:
    made = proven(by_rows)

    assert (made.is_proven, made.texts, made.fits, by_rows.basis) == (True, 12, 12, "rows")
    assert made.mean == pytest.approx(1.0, abs=1e-9)


def test_probes_beside_the_vectors_decide_alone(by_probes: Held) -> None:
    made = proven(by_probes)

    assert (made.is_proven, made.texts, by_probes.basis) == (True, 6, "probes")


def test_who_gives_vectors_of_another_length_than_the_probes_is_not_proven(by_probes: Held) -> None:
    made = proven(by_probes, Odd(longer=7.3))

    (failure,) = made.failures
    assert failure.startswith("lengths are off by 6.30e+00")


def test_another_model_is_not_proven(by_rows: Held) -> None:
    made = proven(by_rows, Odd(prefix="other words "))

    assert (made.is_proven, made.fits) == (False, 0)
    assert "the least cosine is" in made.failures[0]
    assert "float32 must reach 0.9999980" in made.failures[0]


@pytest.mark.parametrize(("precision", "is_proven"), [("float32", False), ("bfloat16", True)])
def test_what_rounding_allows_depends_on_the_precision(precision: Precision, is_proven: bool, by_rows: Held) -> None:
    assert proven(by_rows, Odd(noise=1e-3), precision).is_proven is is_proven


def test_one_text_that_differs_is_enough_to_fail(tmp_path: Path) -> None:
    texts = [*TEXTS[:-1], "another text"]

    made = proven(held(lines(tmp_path, texts, vectors_of(TEXTS))))

    assert (made.is_proven, made.fits, made.worst) == (False, 11, "line 12 of 'rows.jsonl'")


def test_rounded_vectors_widen_the_limit(tmp_path: Path) -> None:
    kept = np.rint(vectors_of(TEXTS) * 127).astype(np.int8)

    made = proven(held(lines(tmp_path, TEXTS, kept)))

    assert (made.is_proven, made.least < 0.999998) == (True, True)


def test_a_prompt_that_is_missing_is_named_and_with_it_the_proof_is_made(tmp_path: Path) -> None:
    there = held(lines(tmp_path, TEXTS, vectors_of([f"passage: {text}" for text in TEXTS])))

    without, with_it = proven(there), proven(there, prompt="passage: ")

    assert (without.is_proven, with_it.is_proven) == (False, True)
    assert without.notes == (
        "with 'passage: ' in front of texts it would fit: its clients must put it there; see --prompt",
    )


def test_a_role_that_the_endpoint_has_no_word_for_is_left_out_and_told(by_probes: Held) -> None:
    made = proven(by_probes, Odd(refuses="query"))

    assert (made.is_proven, made.texts) == (True, 3)
    assert made.notes == ("3 texts of role 'query' are left out: role 'query' is unknown here",)


def test_documents_that_are_refused_are_an_error(by_probes: Held) -> None:
    with pytest.raises(Unsupported, match="role 'document' is unknown"):
        proven(by_probes, Odd(refuses="document"))


def test_an_endpoint_of_wider_vectors_is_asked_to_cut_them(tmp_path: Path) -> None:
    encoder = Odd()

    made = proven(held(lines(tmp_path, TEXTS, vectors_of(TEXTS, dim=8))), encoder)

    assert (made.is_proven, [request.dim for request in encoder.asked]) == (True, [None, 8])


def test_an_endpoint_of_shorter_vectors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="vectors: 12 of 32 numbers; those that are stored have 64"):
        proven(held(lines(tmp_path, TEXTS, np.ones((12, 64), np.float32))))


def test_a_server_that_says_another_space_than_the_signed_one_is_not_proven(tmp_path: Path) -> None:
    signed = "5" * 32
    there = held(collection(f"{tmp_path}/store", TEXTS, vectors_of(TEXTS), origin("document", space=signed)))

    (failure,) = proven(there).failures

    assert failure == f"it says that it is of the space {SPEC.space}, and {there.label} is signed as of {signed}"


def test_the_role_that_is_signed_is_asked_for(tmp_path: Path) -> None:
    signed = msgspec.structs.replace(origin(), role="query")
    place = collection(f"{tmp_path}/store", TEXTS, vectors_of(TEXTS, "query"), signed)

    assert proven(held(place)).is_proven


@pytest.mark.parametrize("signed", [None, msgspec.structs.replace(origin("document"), basis="stated")])
def test_rows_without_texts_and_without_probes_prove_nothing(signed: Origin | None, tmp_path: Path) -> None:
    place = collection(f"{tmp_path}/store", [" "] * 12, vectors_of(TEXTS), signed, about="")

    with pytest.raises(Mismatch, match="nothing can be proven against collection 'docs'") as caught:
        held(place)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("is_right", [True, False])
def test_probes_of_a_signature_that_is_only_stated_are_no_evidence(is_right: bool, tmp_path: Path) -> None:
    """Whoever said it had them made by the model that they named, whatever made the vectors."""
    signed = msgspec.structs.replace(origin("document"), basis="stated")
    vectors = vectors_of(TEXTS) if is_right else np.random.default_rng(0).normal(size=(12, SPEC.dim)).astype(np.float32)

    there = held(collection(f"{tmp_path}/store", TEXTS, vectors, signed))

    assert (there.basis, proven(there).is_proven) == ("rows", is_right)


def test_probes_of_a_signature_that_was_proven_are_evidence(tmp_path: Path) -> None:
    signed = msgspec.structs.replace(origin("document"), basis="proven")

    assert held(collection(f"{tmp_path}/store", TEXTS, vectors_of(TEXTS), signed)).basis == "probes"
