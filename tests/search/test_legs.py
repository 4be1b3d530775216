"""Which fields of a collection are asked, of whom, and what is said of those that are not. Nothing is asked here."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest

from embedstack.databases.database import Collection, Field
from embedstack.errors import BadRequest, Mismatch
from embedstack.origin import Identity, Origin
from embedstack.search.found import How
from embedstack.search.legs import Plan, depth_of, models_of, plan_of, wanted_of
from embedstack.testing.fake import hash_spec
from support.searched import BM25, KINDS, SPEC

MINE = Origin(
    identity=Identity(
        model=SPEC.name, revision="1", space=SPEC.space, fingerprint="f", dim=SPEC.dim, max_tokens=SPEC.max_tokens
    )
)
COUNTED = Origin(identity=BM25.identity)
SIGNED = {name: replace(field, origin=COUNTED if name == "bm25" else MINE) for name, field in KINDS.items()}
SPECS = (hash_spec("other"), SPEC)


def collection(*names: str, **more: Field) -> Collection:
    return Collection(name="docs", fields={**{name: SIGNED[name] for name in names}, **more})


def of_others(**identity: object) -> Origin:
    return msgspec.structs.replace(COUNTED, identity=msgspec.structs.replace(COUNTED.identity, **identity))


NOBODYS = Field(dim=8)
LATER = replace(SIGNED["bm25"], origin=of_others(revision="99 k1=1.5"))
GONE, GONE_WORDS = (replace(SIGNED[name], origin=of_others(model="gone", dim=8)) for name in ("dense", "sparse"))
EVERY = How(fields=(*KINDS,))
ALL, TWO = collection(*KINDS), collection("dense", "bm25")
OLD = collection("dense", "bm25", old=NOBODYS)


def asked(plan: Plan) -> Mapping[str, str]:
    """Field -> model; "" where words are counted."""
    return {one.shown: one.model for one in plan.fields}


# ------------------------------------------------------------------------------------------------ what is asked


def test_all_that_can_be_asked_is_in_the_collections_order() -> None:
    plan = plan_of(ALL, EVERY, SPECS)

    assert asked(plan) == {"dense": "hash", "bm25": "", "sparse": "hash", "late": "hash"}
    assert plan.notes == ()


def test_several_vectors_of_a_point_are_not_asked_by_themselves_if_there_are_others() -> None:
    assert [*asked(plan_of(ALL, How(), SPECS))] == ["dense", "bm25", "sparse"]
    assert [*asked(plan_of(collection("late"), How(), SPECS))] == ["late"]


def test_a_field_that_reranks_is_no_leg() -> None:
    plan = plan_of(ALL, How(fields=("bm25",), reranker="late"), SPECS)

    assert [*asked(plan)] == ["bm25"]
    assert plan.reranking is not None
    assert (plan.reranking.name, plan.reranking.model) == ("late", "hash")


def test_where_no_field_reranks_only_a_model_is_advised() -> None:
    with pytest.raises(BadRequest, match=r"only multi vectors rerank; name a model$"):
        plan_of(TWO, How(reranker="dense"), SPECS)


def test_who_names_fields_gets_these_alone() -> None:
    assert [*asked(plan_of(ALL, How(fields=("late", "bm25")), SPECS))] == ["bm25", "late"]


def test_bm25_is_made_again_as_it_was_signed() -> None:
    (one,) = plan_of(collection("bm25"), How(), ()).fields

    assert one.bm25 == BM25


def test_of_two_models_of_one_space_the_one_that_was_signed_is_asked() -> None:
    twin = replace(SPEC, name="hash@onnx")

    assert asked(plan_of(TWO, How(), (twin, SPEC))) == {"dense": "hash", "bm25": ""}
    assert asked(plan_of(TWO, How(), (twin,))) == {"dense": "hash@onnx", "bm25": ""}


def test_an_encoder_that_knows_no_model_yet_is_asked_by_the_name_that_is_signed() -> None:
    assert asked(plan_of(ALL, EVERY, ())) == {"dense": "hash", "bm25": "", "sparse": "hash", "late": "hash"}


def test_only_dense_vectors_that_were_cut_have_a_width() -> None:
    narrow = msgspec.structs.replace(MINE, identity=msgspec.structs.replace(MINE.identity, dim=4))
    there = collection(
        cut=Field(dim=4, origin=narrow), whole=SIGNED["dense"], words=replace(SIGNED["sparse"], origin=narrow)
    )

    assert {one.name: one.dim for one in plan_of(there, How(), SPECS).fields} == {
        "cut": 4,
        "whole": None,
        "words": None,
    }


def test_the_field_without_a_name_is_called_dense() -> None:
    there = Collection(name="docs", fields={"": SIGNED["dense"], "bm25": SIGNED["bm25"]})
    (one,) = plan_of(there, How(fields=("dense",), weights={"dense": 2.0}, least={"": 0.5}), SPECS).fields

    assert (one.name, one.shown, one.weight, one.least) == ("", "dense", 2.0, 0.5)


def test_weights_and_least_scores_go_to_their_fields() -> None:
    fields = plan_of(TWO, How(weights={"bm25": 3.0}, least={"dense": 0.2}), SPECS).fields

    assert [(one.weight, one.least) for one in fields] == [(1.0, 0.2), (3.0, None)]


@pytest.mark.parametrize(
    ("how", "wanted", "depth"),
    [
        (How(), 10, 30),
        (How(limit=20), 20, 60),
        (How(reranker="overlap"), 25, 30),
        (How(reranker="overlap", rerank_top=100), 100, 100),
        (How(limit=10, depth=10), 10, 10),
        (How(rerank_top=100), 10, 30),
    ],
)
def test_three_times_as_many_candidates_as_are_wanted_are_asked_for(how: How, wanted: int, depth: int) -> None:
    assert (wanted_of(how), depth_of(how)) == (wanted, depth)


def test_models_are_told_before_they_are_open() -> None:
    assert models_of(ALL, How()) == ("hash",)
    assert models_of(ALL, How(reranker="overlap")) == ("hash", "overlap")
    assert models_of(ALL, How(fields=("bm25",))) == ()
    assert models_of(ALL, How(fields=("bm25",), reranker="late")) == ("hash",)
    assert models_of(OLD, How(fields=("bm25",), reranker="overlap")) == ("overlap",)


# ------------------------------------------------------------------------------------------------ what cannot be asked


@pytest.mark.parametrize(
    ("there", "left", "note"),
    [
        (OLD, ["dense", "bm25"], "vectors 'dense' and 'bm25' alone, since nobody has signed vector 'old' ("),
        (collection("dense", x=NOBODYS), ["dense"], "vector 'dense' alone, since nobody has signed vector 'x'"),
        (
            collection("dense", x=LATER),
            ["dense"],
            "dense vectors alone, since 'bm25-en' of revision '99 k1=1.5' is no BM25 of this version",
        ),
        (
            collection("bm25", x=GONE),
            ["bm25"],
            "sparse vectors alone, since no model is open that reads questions for vector 'x', which is of 'gone'",
        ),
        (
            collection("bm25", "sparse", x=GONE_WORDS),
            ["bm25", "sparse"],
            "vectors 'bm25' and 'sparse' alone, since no model is open that reads questions for vector 'x'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_left_out_and_that_is_said(there: Collection, left: list[str], note: str) -> None:
    plan = plan_of(there, How(), SPECS)

    assert [*asked(plan)] == left
    (said,) = plan.notes
    assert said.startswith(note)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (replace(SPEC, outputs=("dense",)), "gives no sparse vectors as it is open"),
        (replace(SPEC, inputs=("image",)), "reads no texts"),
    ],
)
def test_a_model_that_cannot_answer_leaves_its_field_out(changed: object, words: str) -> None:
    plan = plan_of(collection("bm25", "sparse"), How(), (changed,))  # type: ignore[arg-type]

    assert [*asked(plan)] == ["bm25"]
    assert words in plan.notes[0]


def test_where_no_field_is_left_all_reasons_are_told() -> None:
    there = collection("dense", old=NOBODYS)

    with pytest.raises(Mismatch, match=r"'docs' cannot be asked so: no model .*'dense'.*; and nobody .*'old'"):
        plan_of(there, How(), (hash_spec("other"),))


def test_a_collection_without_vectors_cannot_be_asked() -> None:
    with pytest.raises(Mismatch, match="it has no vectors"):
        plan_of(collection(), How(), SPECS)


def test_a_field_that_was_named_is_not_left_out() -> None:
    with pytest.raises(Mismatch, match="nobody has signed vector 'old'"):
        plan_of(OLD, How(fields=("dense", "old")), SPECS)


# ------------------------------------------------------------------------------------------------ what is out of range


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (How(fields=("dense",), weights={"bm25": 2.0}), "a weight is given for vector 'bm25', which is not asked"),
        (How(fields=("dense",), least={"bm25": 2.0}), "a least score is given for vector 'bm25', which is not asked"),
        (How(weights={"old": 2.0}), r"vector 'old', which is not asked \(nobody has signed"),
        (How(weights={"dense": -1.0}), "weight -1.0"),
        (How(weights={"dense": float("nan")}), "weight nan"),
        (How(fusion="dbsf", weights={"dense": 2.0}), "weights have no meaning for the fusion 'dbsf'"),
        (How(rrf_k=-1), "k=-1"),
        (How(limit=0), "limit 0"),
        (How(limit=10, depth=9), "depth=9 candidates of each vector are fewer than the 10"),
        (How(depth=0), "depth=0"),
        (How(rerank_top=0, reranker="overlap"), "rerank_top=0"),
        (How(fields=()), "no vector is named"),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_refused(how: How, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        plan_of(OLD, how, SPECS)


@pytest.mark.parametrize("how", [How(fields=("none",)), How(weights={"none": 1.0}), How(least={"none": 1.0})])
def test_a_field_that_is_not_there_is_named_with_those_that_are(how: How) -> None:
    with pytest.raises(Mismatch, match="collection 'docs' has no vector 'none'; it has: 'dense', 'bm25'"):
        plan_of(TWO, how, SPECS)
