"""What is wrong fails in words; an endpoint is seen through the door."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedstack.catalog import find
from embedstack.engine.engine import Engine
from embedstack.errors import BadRequest, Mismatch, TooLong, Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.proof.asking import logits
from embedstack.proof.kept import Truth
from embedstack.proof.probes import PAST_LIMIT, probes
from embedstack.proof.truth import make
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Encoded, Score, Scored, Text
from support.confusion import tiny_folder
from support.proving import Known, known_of, opened, proven

GOLDEN = Path(__file__).parents[1] / "golden"
USED = ("bert-mean", "bert-classifier", "bge-m3")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Known]:
    root = tmp_path_factory.mktemp("tiny")
    folders = {name: GOLDEN / "bge_m3_tiny" if name == "bge-m3" else tiny_folder(name, root) for name in USED}
    return {name: known_of(folder, root) for name, folder in folders.items()}


@pytest.fixture
def bert(known: dict[str, Known]) -> Known:
    return known["bert-mean"]


@pytest.fixture
def engine(bert: Known, tmp_path: Path) -> Iterator[Engine]:
    made = opened(bert.located, tmp_path)
    yield made
    made.close()


class Seen:
    """An encoder in front of another that changes what passes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.asked: list[Encode | Score] = []

    async def encode(self, request: Encode) -> Encoded:
        self.asked.append(request)
        return await self.engine.encode(request)

    async def score(self, request: Score) -> Scored:
        self.asked.append(request)
        return await self.engine.score(request)

    def models(self) -> tuple[ModelSpec, ...]:
        return self.engine.models()


def test_requests_are_of_one_role_and_of_a_size_that_servers_take(engine: Engine, bert: Known) -> None:
    seen = Seen(engine)

    proven(seen, bert)

    assert all(len({item.role for item in request.items}) == 1 for request in seen.asked)  # type: ignore[union-attr]
    assert max(len(request.items) for request in seen.asked) == 32


def test_the_precision_is_what_the_fingerprint_says(engine: Engine, bert: Known) -> None:
    report = proven(engine, bert)

    assert (report.precision, report.judged_as) == ("float64", "by its own fingerprint")


def test_an_endpoint_that_does_not_say_is_held_to_sixteen_bits(engine: Engine, bert: Known) -> None:
    class Silent(Seen):
        async def encode(self, request: Encode) -> Encoded:
            return replace(await super().encode(request), fingerprint="")

    report = proven(Silent(engine), bert)

    assert report.precision == "bfloat16"
    assert report.is_proven
    assert "give --precision" in report.judged_as


def test_vectors_that_are_off_fail_in_words(engine: Engine, bert: Known) -> None:
    class Off(Seen):
        async def encode(self, request: Encode) -> Encoded:
            made = await super().encode(request)
            noise = np.random.default_rng(1).normal(0, 0.02, made.dense.shape)
            return replace(made, dense=(made.dense + noise).astype(np.float32))

    report = proven(Off(engine), bert, precision="float32")

    assert "the least cosine is 0.9" in report.failures[0]
    assert report.diagnosis.verdict == "unknown"


def test_one_vector_that_is_off_is_named_and_nobody_is_told_that_all_fits(engine: Engine, bert: Known) -> None:
    (wrong,) = probes(bert.located.spec).named("cyrillic")

    class Off(Seen):
        async def encode(self, request: Encode) -> Encoded:
            made = await super().encode(request)
            is_wrong = np.array([item == wrong.item for item in request.items])
            return replace(made, dense=np.where(is_wrong[:, None], np.roll(made.dense, 1, axis=1), made.dense))

    report = proven(Off(engine), bert)

    assert "at 'cyrillic', float64 must reach 0.999999" in report.failures[0]
    assert report.diagnosis.says == "it is near the model's own recipe, but beyond the limits, most at 'cyrillic'"


def test_rows_in_another_order_are_called_that(engine: Engine, bert: Known) -> None:
    class Sorting(Seen):
        async def encode(self, request: Encode) -> Encoded:
            made = await super().encode(request)
            return replace(made, dense=made.dense[np.argsort([len(item.text) for item in request.items])])  # type: ignore[union-attr]

    report = proven(Sorting(engine), bert)

    assert report.diagnosis.names == ("rows in another order",)
    assert not report.is_proven


def test_replies_of_two_fingerprints_are_refused_with_both(engine: Engine, bert: Known) -> None:
    class Balanced(Seen):
        async def encode(self, request: Encode) -> Encoded:
            made = await super().encode(request)
            return replace(made, fingerprint="a1" if len(self.asked) % 2 else "b2")

    with pytest.raises(Mismatch, match="two fingerprints, a1 and b2"):
        proven(Balanced(engine), bert)


def test_a_precision_that_is_asked_for_beats_the_one_that_is_claimed(engine: Engine, bert: Known) -> None:
    class Claiming(Seen):
        async def encode(self, request: Encode) -> Encoded:
            return replace(await super().encode(request), fingerprint=bert.located.spec.fingerprint("int8"))

    claimed, asked = proven(Claiming(engine), bert), proven(Claiming(engine), bert, precision="float32")

    assert (claimed.precision, claimed.judged_as) == ("int8", "by its own fingerprint")
    assert (asked.precision, asked.judged_as) == ("float32", "as asked")


@pytest.mark.parametrize("name", ["short", "korean"])
def test_a_truth_that_is_not_true_is_refused_before_anybody_is_asked(
    name: str, engine: Engine, bert: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedstack.proof.diagnosis.SAMPLED", 100)  # which few are taken depends on the space
    wrong = {name: np.roll(bert.truth.rows["dense"][name], 1)}
    seen = Seen(engine)

    with pytest.raises(Mismatch, match="is not what its weights give"):
        proven(seen, Known(bert.located, Truth(bert.truth.space, {"dense": {**bert.truth.rows["dense"], **wrong}})))
    assert seen.asked == []


def test_a_vector_that_depends_on_its_neighbours_fails(engine: Engine, bert: Known) -> None:
    class Mixing(Seen):
        async def encode(self, request: Encode) -> Encoded:
            made = await super().encode(request)
            return replace(made, dense=made.dense + np.float32(0.2) * made.dense.mean(axis=0) * (len(made.dense) > 1))

    report = proven(Mixing(engine), bert, precision="bfloat16")

    assert any("alone against in a batch" in text for text in report.failures)


def test_not_a_number_fails(engine: Engine, bert: Known) -> None:
    class Broken(Seen):
        async def encode(self, request: Encode) -> Encoded:
            made = await super().encode(request)
            return replace(made, dense=made.dense * np.float32(np.nan))

    assert not proven(Broken(engine), bert).is_proven


def test_not_a_number_in_the_last_row_alone_fails_and_is_not_right(engine: Engine, bert: Known) -> None:
    class Broken(Seen):
        async def encode(self, request: Encode) -> Encoded:
            made = await super().encode(request)
            dense = made.dense.copy()
            dense[-1] = np.nan
            return replace(made, dense=dense) if len(dense) > 1 else made

    report = proven(Broken(engine), bert)

    assert not report.is_proven
    assert report.diagnosis.says == "it gives what is not a finite number"


def test_another_width_is_told_with_both_widths(bert: Known) -> None:
    class Wide(HashEncoder):
        async def encode(self, request: Encode) -> Encoded:
            return replace(await super().encode(request), spec=bert.located.spec)

    with pytest.raises(Mismatch, match=r"gives vectors of 48 numbers, 'bert-mean' has 32"):
        proven(Wide([hash_spec("bert-mean", dim=48)]), bert)


def test_another_space_is_refused_before_anything_is_compared(bert: Known) -> None:
    with pytest.raises(Mismatch, match="answers in the space"):
        proven(HashEncoder([hash_spec("bert-mean")]), bert)


def test_lost_rows_are_a_mismatch(engine: Engine, bert: Known) -> None:
    class Losing(Seen):
        async def encode(self, request: Encode) -> Encoded:
            made = await super().encode(request)
            return replace(made, dense=made.dense[:-1]) if len(made.dense) > 1 else made

    with pytest.raises(Mismatch, match=r"gave \d+ dense rows for \d+ texts"):
        proven(Losing(engine), bert)


class Short(Seen):
    """Refuses what is long."""

    async def encode(self, request: Encode) -> Encoded:
        answer = await super().encode(request)
        if max(len(item.text) for item in request.items) > 600:  # type: ignore[union-attr]
            raise TooLong("too long")
        return answer


def test_an_endpoint_that_refuses_texts_past_the_limit_is_proven_by_the_others(engine: Engine, bert: Known) -> None:
    seen = Short(engine)

    report = proven(seen, bert)

    assert report.is_proven
    assert any("past-128 is left out" in note for note in report.notes)
    assert len([request for request in seen.asked if request.items == (past_128(bert),)]) == 1  # not once more, alone


def past_128(model: Known) -> Text:
    (probe,) = probes(model.located.spec).named("past-128")
    assert isinstance(probe.item, Text)
    return probe.item


@pytest.fixture
def roomy(tmp_path: Path) -> Known:
    """A model that takes past-128, which its tokeniser reads letter by letter."""
    folder = tiny_folder("bert-mean", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("position_embeddings.weight"))
    tensors[name] = np.resize(tensors[name], (600, tensors[name].shape[1]))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    for file, key in (("config.json", "max_position_embeddings"), ("sentence_bert_config.json", "max_seq_length")):
        (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), key: 600}))
    located = find(str(folder), cache_dir=tmp_path)
    return Known(located, Truth(located.spec.space, make(located.spec, folder, probes(located.spec).all)))


def test_an_endpoint_that_refuses_what_the_model_takes_is_not_proven(roomy: Known, tmp_path: Path) -> None:
    engine = opened(roomy.located, tmp_path)

    report = proven(Short(engine), roomy)
    engine.close()

    (failure,) = [text for text in report.failures if "'past-128'" in text]
    assert "'bert-mean' takes 600, and the endpoint refuses it: too long" in failure
    assert report.diagnosis.says == "it is near the model's own recipe, but refuses texts that the model takes"
    assert any(f"{PAST_LIMIT[0]} is left out" in note for note in report.notes)


def test_an_endpoint_that_refuses_a_usual_text_is_an_error(engine: Engine, bert: Known) -> None:
    class Refusing(Seen):
        async def encode(self, request: Encode) -> Encoded:
            raise BadRequest("no")

    with pytest.raises(BadRequest):
        proven(Refusing(engine), bert)


def test_outputs_that_an_endpoint_lacks_are_said_to_be_unproven(known: dict[str, Known], tmp_path: Path) -> None:
    model = known["bge-m3"]

    class Dense(Seen):
        async def encode(self, request: Encode) -> Encoded:
            if request.outputs != {"dense"}:
                raise Unsupported("dense only")
            return await super().encode(request)

    engine = opened(model.located, tmp_path)
    report = proven(Dense(engine), model)
    engine.close()

    assert [row.output for row in report.rows] == ["dense"]
    assert report.notes == ("it gives dense vectors only; its other outputs are not proven",)


def test_a_reranker_that_gives_no_logits_is_proven_by_its_scores(known: dict[str, Known], tmp_path: Path) -> None:
    model = known["bert-classifier"]

    class Cooked(Seen):
        async def score(self, request: Score) -> Scored:
            if request.raw_scores:
                raise Unsupported("no logits")
            return await super().score(request)

    engine = opened(model.located, tmp_path)
    report = proven(Cooked(engine), model)
    engine.close()

    assert report.is_proven


def test_logits_come_back_from_scores(known: dict[str, Known]) -> None:
    spec = known["bert-classifier"].located.spec
    raw = np.array([-3, 0, 0.5, 4], np.float32)

    assert logits(1 / (1 + np.exp(-raw)), spec) == pytest.approx(raw, abs=1e-5)
    assert np.isfinite(logits(np.array([0, 1], np.float32), spec)).all()
