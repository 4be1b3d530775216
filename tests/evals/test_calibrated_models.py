"""Pairs through an encoder: each text once, in the role that was asked for, and the threshold of labelled pairs."""

import json
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from embedstack.api import open_engine
from embedstack.errors import BadRequest, RuntimeFailed, Unsupported
from embedstack.evals.calibrating import calibrate_model
from embedstack.evals.sets.labelled import Pairs
from embedstack.evals.sets.opening import open_pairs
from embedstack.settings import DEFAULT_MODEL, read_settings
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import Encode, Encoded

ROOT = Path(__file__).parents[2]
RECORDED = json.loads((ROOT / "bench/results/quality.json").read_text())["scores"]["embedstack float32"]


class Watched(HashEncoder):
    """Remembers what it was asked."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.asked: list[Encode] = []

    async def encode(self, request: Encode) -> Encoded:
        self.asked.append(request)
        return await super().encode(request)


def pairs(count: int = 12) -> Pairs:
    """Every other one is of a text with itself."""
    firsts = tuple(f"text number {n}" for n in range(count))
    seconds = tuple(text if n % 2 else f"quite another {n}" for n, text in enumerate(firsts))
    grades = tuple(float(n % 2) for n in range(count))
    return Pairs(name="twins", digest="d", firsts=firsts, seconds=seconds, grades=grades, notes=("two rows left out",))


def test_each_different_text_is_embedded_once() -> None:
    encoder = Watched()

    calibrate_model(pairs(), encoder, same_from=1)

    texts = [item.text for request in encoder.asked for item in request.items]
    assert sorted(texts) == sorted({*pairs().firsts, *pairs().seconds})


def test_text_with_itself_has_cosine_one() -> None:
    made = calibrate_model(pairs(), HashEncoder(), same_from=1)

    assert made.best.threshold == pytest.approx(1, abs=1e-7)
    assert (made.auc, made.best.held_out.f1, made.bins[-1].same) == (1, 1, 6)


def test_calibration_says_of_what_and_whose_it_is() -> None:
    made = calibrate_model(pairs(), HashEncoder([hash_spec("other", dim=16)]), same_from=1, role="query")

    assert (made.data, made.digest, made.role, made.notes) == ("twins", "d", "query", ("two rows left out",))
    assert (made.identity.model, made.identity.dim) == ("other", 16)


@pytest.mark.parametrize("role", ["document", "query", "none"])
def test_both_texts_are_read_in_the_role_that_was_asked_for(role: str) -> None:
    encoder = Watched()

    calibrate_model(pairs(), encoder, same_from=1, role=role)

    assert {item.role for request in encoder.asked for item in request.items} == {role}


def test_documents_are_compared_unless_something_else_is_said() -> None:
    assert calibrate_model(pairs(), HashEncoder(), same_from=1).role == "document"


def test_first_model_for_embedding_is_taken_unless_one_is_named() -> None:
    encoder = HashEncoder([overlap_spec(), hash_spec("small", dim=8), hash_spec("large", dim=64)])

    assert calibrate_model(pairs(), encoder, same_from=1).identity.model == "small"
    assert calibrate_model(pairs(), encoder, same_from=1, model="large").identity.model == "large"


def test_width_is_the_one_that_was_asked_for() -> None:
    encoder = HashEncoder([hash_spec(dim=32, cuts=(8,))])

    assert calibrate_model(pairs(), encoder, same_from=1, dim=8).identity.dim == 8


def test_long_lists_are_asked_in_parts_and_told() -> None:
    encoder, told = Watched(), []

    calibrate_model(pairs(400), encoder, same_from=1, progress=lambda *said: told.append(said), resamples=400)

    counts = [len(request.items) for request in encoder.asked]
    assert len(counts) > 1
    assert told == [("documents by hash", done, 600) for done in accumulate(counts)]
    assert told[-1][1] == 600


def test_texts_that_were_cut_are_counted_and_noted() -> None:
    made = calibrate_model(pairs(), HashEncoder([hash_spec(max_tokens=2)]), same_from=1)

    assert made.truncated == 18
    assert made.notes[-1] == "18 of 18 texts were cut at the limit of 'hash'"


def test_no_pairs_are_refused() -> None:
    with pytest.raises(BadRequest, match="'twins' holds no pairs"):
        calibrate_model(pairs(0), HashEncoder(), same_from=1)


def test_wish_that_no_pairs_fulfil_is_refused_before_anything_is_embedded() -> None:
    encoder = Watched()

    with pytest.raises(BadRequest, match="5 resamples are too few"):
        calibrate_model(pairs(), encoder, same_from=1, resamples=5)
    assert not encoder.asked


def test_encoder_without_a_model_for_embedding_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"there is no model for vectors here, .*: none"):
        calibrate_model(pairs(), HashEncoder([overlap_spec()]), same_from=1)


def test_model_that_the_encoder_lacks_is_refused_naming_those_it_has() -> None:
    with pytest.raises(Unsupported, match=r"no model 'overlap' for vectors here, .*: hash"):
        calibrate_model(pairs(), HashEncoder(), same_from=1, model="overlap")


class Broken(HashEncoder):
    """A device that computes NaN."""

    async def encode(self, request: Encode) -> Encoded:
        made = await super().encode(request)
        assert made.dense is not None
        made.dense[0] = np.nan
        return made


def test_vectors_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(RuntimeFailed, match="'hash' gave a vector with NaN"):
        calibrate_model(pairs(), Broken(), same_from=1)


@pytest.mark.quality
@pytest.mark.weights
def test_cosines_of_the_default_model_follow_what_people_say_of_sts(labelled_sets: Path, minilm_folder: Path) -> None:
    engine = open_engine(read_settings(env_file=None), [DEFAULT_MODEL], say=lambda line: None)
    try:
        made = calibrate_model(open_pairs(labelled_sets / "stsb/stsb-en-test.csv"), engine, same_from=4)
    finally:
        engine.close()

    assert made.spearman == pytest.approx(RECORDED["stsb_en_spearman"], abs=0.001)
    assert (made.pairs, made.same) == (1379, 338)
    assert made.auc == pytest.approx(0.8768, abs=0.001)  # scipy 1.17's mannwhitneyu of these cosines
    assert made.best.held_out.f1 == pytest.approx(made.best.chosen_on.f1, abs=0.05)
