"""Whose vectors rows without an identity are: found by embedding some of them again."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.api import load
from embedstack.errors import BadRequest, Mismatch, UnknownModel
from embedstack.loading.asserted import CANDIDATES, LEAST, MOST, Asserted, Sample, asking, asserted
from embedstack.loading.opening import open_table
from embedstack.loading.source import How, Source
from embedstack.origin import vector_of
from embedstack.settings import Settings, read_settings
from embedstack.testing.fake import HashEncoder, WordRuler, hash_spec
from embedstack.types import Encode, Encoded, Text
from support.loadable import DIM, SPEC, TEXTS, vectors_of, written_lines

THREADS = {"threads": 1, "lanes": 1}


class Counting(HashEncoder):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__([SPEC])
        self.asked: list[list[str]] = []

    async def encode(self, request: Encode) -> Encoded:
        self.asked.append([item.text for item in request.items if isinstance(item, Text)])
        return await super().encode(request)


def samples_of(texts: list[str], dim: int = DIM) -> list[Sample]:
    vectors = vectors_of(texts, dim)
    return [Sample(f"line {n} of 'a'", text, row) for n, (text, row) in enumerate(zip(texts, vectors, strict=True))]


def told(samples: list[Sample], dim: int = DIM, encoder: HashEncoder | None = None, most: int = 256) -> Asserted:
    return asyncio.run(asserted(encoder or HashEncoder([SPEC]), WordRuler(most), SPEC, samples, dim))


# ------------------------------------------------------------------------------------------------ the judgement


@pytest.mark.parametrize("dim", [8, 16, 32])
def test_rows_of_the_model_are_proven_at_each_width_that_it_has(dim: int) -> None:
    made = told(samples_of(TEXTS, dim), dim)

    assert (made.origin.basis, made.origin.role, made.origin.identity.dim) == ("proven", "document", dim)
    assert made.origin.identity.space == SPEC.space
    assert "5 rows were embedded again by 'hash'" in made.notes[0]


def test_probes_are_those_of_a_job(tmp_path: Path) -> None:
    probes = told(samples_of(TEXTS)).origin.probes

    assert len(probes) > 3
    for one in probes:
        np.testing.assert_array_equal(vector_of(one), vectors_of([one.text])[0])


def test_the_length_of_a_vector_does_not_matter() -> None:
    longer = [replace(one, vector=one.vector * np.float32(7)) for one in samples_of(TEXTS)]

    assert told(longer).origin.basis == "proven"


def test_vectors_that_were_rounded_to_float16_are_the_models() -> None:
    rounded = [replace(one, vector=one.vector.astype(np.float16).astype(np.float32)) for one in samples_of(TEXTS)]

    assert told(rounded).origin.basis == "proven"


def test_the_worst_row_is_named_without_its_text() -> None:
    samples = samples_of(TEXTS)
    samples[2] = replace(samples[2], vector=vectors_of(["something else"])[0])
    cosine = float(samples[2].vector @ vectors_of(TEXTS)[2])

    with pytest.raises(Mismatch, match=rf"line 2 of 'a' has cosine {cosine:.4f} .*and {LEAST} is the least") as caught:
        told(samples)
    assert TEXTS[2] not in caught.value.message


@pytest.mark.parametrize(("noise", "is_near"), [(0.06, True), (1.0, False)])
def test_what_the_model_may_have_made_in_int8_is_told_so(noise: float, is_near: bool) -> None:
    samples = [replace(one, vector=one.vector + noise * np.eye(DIM, dtype=np.float32)[0]) for one in samples_of(TEXTS)]

    with pytest.raises(Mismatch, match="name the model that made the rows") as caught:
        told(samples)
    assert ("set EMBEDSTACK_PRECISION=int8" in caught.value.message) == is_near


@pytest.mark.parametrize("number", [0.0, np.nan])
def test_a_vector_without_a_direction_is_nobodys(number: float) -> None:
    samples = samples_of(TEXTS)
    samples[1] = replace(samples[1], vector=np.full(DIM, number, np.float32))

    with pytest.raises(Mismatch, match=r"line 1 of 'a' has cosine -1.0000"):
        told(samples)


def test_a_width_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(Mismatch, match="vectors of 7 numbers, and 'hash' makes 32 or 8 or 16"):
        told([], 7)


def test_without_texts_it_is_only_stated() -> None:
    made = told([])

    assert made.origin.basis == "stated"
    assert "no row has a text to compare by (--text-key names its key)" in made.notes[0]


def test_what_is_only_stated_has_no_probes() -> None:
    """They would be of the model that is named, whoever made the vectors."""
    assert told([]).origin.probes == ()


# ------------------------------------------------------------------------------------------------ which rows


def test_so_many_rows_are_embedded_again_and_no_more() -> None:
    encoder = Counting()

    told(samples_of([f"text {number}" for number in range(CANDIDATES)]), encoder=encoder)

    assert len(encoder.asked[-1]) == MOST
    assert encoder.asked[-1][:3] == ["text 0", "text 4", "text 8"]


def test_rows_that_the_model_would_cut_are_not_chosen_where_others_are() -> None:
    encoder, long = Counting(), "word " * 300

    told(samples_of([long, *TEXTS]), encoder=encoder)

    assert encoder.asked[-1] == TEXTS


def test_rows_that_are_all_too_long_are_cut_at_their_ends() -> None:
    assert told(samples_of(["word " * 300, "other " * 300])).origin.basis == "proven"


# ------------------------------------------------------------------------------------------------ real models


def opened(path: Path, model: str, **settings: object) -> Source:
    made = replace(read_settings(env_file=None), **{**THREADS, **settings})  # type: ignore[arg-type]
    return open_table(str(path), How(), model=model, settings=made, say=lambda line: None)


def lines_of(texts: list[str], vectors: np.ndarray) -> list[dict[str, object]]:
    rows = zip(texts, vectors.tolist(), strict=True)
    return [{"id": n, "text": text, "embedding": row} for n, (text, row) in enumerate(rows)]


@pytest.mark.weights
@pytest.mark.slow
def test_the_default_model_knows_its_own_vectors_and_no_others(minilm_folder: Path, tmp_path: Path) -> None:
    texts = ["Yeast makes bread rise.", "Refunds take five days.", "long " * 400]
    model = load(str(minilm_folder))
    try:
        vectors = model.encode(texts).dense
    finally:
        model.close()
    assert vectors is not None

    source = opened(written_lines(tmp_path / "a.jsonl", lines_of(texts, vectors)), str(minilm_folder))

    origin = source.fields[""].origin
    assert origin is not None
    assert (origin.basis, origin.identity.dim, origin.role) == ("proven", 384, "document")
    assert len(origin.probes) == 5

    others = np.random.default_rng(1).standard_normal(vectors.shape).astype(np.float32)
    with pytest.raises(Mismatch, match=r"the vector of line \d of 'b.jsonl' has cosine"):
        opened(written_lines(tmp_path / "b.jsonl", lines_of(texts, others)), str(minilm_folder))


@pytest.mark.weights
@pytest.mark.slow
def test_without_texts_the_default_model_is_believed_to_be_theirs(minilm_folder: Path, tmp_path: Path) -> None:
    rows = [{"id": 1, "vector": [1.0] * 384}]
    source = opened(written_lines(tmp_path / "a.jsonl", rows), str(minilm_folder))

    assert source.fields[""].origin is not None
    assert source.fields[""].origin.basis == "stated"
    assert any("only what you say" in note for note in source.notes)


def test_rows_that_nobody_signed_need_a_model(tmp_path: Path) -> None:
    path = written_lines(tmp_path / "a.jsonl", lines_of(TEXTS, vectors_of(TEXTS)))

    with pytest.raises(BadRequest, match=r"a.jsonl does not say whose vectors it holds; name the model .* --model"):
        opened(path, "")


def test_a_model_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    ask = asking("no/such/model", "label", replace(Settings(), cache_dir=tmp_path, offline=True), lambda line: None)

    with pytest.raises(UnknownModel):
        ask(samples_of(TEXTS), DIM)


def test_the_model_is_only_opened_where_it_is_asked(tmp_path: Path) -> None:
    said: list[str] = []

    asking("no/such/model", "label", Settings(), said.append)

    assert said == []


def test_a_spec_without_cuts_has_one_width() -> None:
    spec = hash_spec(cuts=())

    with pytest.raises(Mismatch, match="and 'hash' makes 32; name"):
        asyncio.run(asserted(HashEncoder([spec]), WordRuler(), spec, [], 8))
