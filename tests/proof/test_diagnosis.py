"""Faults are named by trying them; the right recipe is never accused; what precision hides is said to be hidden."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.proof.faults import candidates
from embedstack.types import Text
from support.confusion import (
    BAD,
    FAULTS,
    GOLDEN,
    RIGHT,
    TINY,
    Subject,
    answers,
    available,
    cell,
    matrix,
    minilm_subjects,
    tiny_subject,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    root = tmp_path_factory.mktemp("tiny")
    return {case: tiny_subject(case, root) for case in TINY}


SEEN = ("another model",)  # of a reranker: logits of another model look like wrong logits of this one


@pytest.mark.quality
@pytest.mark.parametrize("case", TINY)
def test_float32_names_every_fault_of_a_small_model(case: str, tiny: dict[str, Subject]) -> None:
    made = {fault: cells["float32"] for fault, cells in matrix(tiny[case], ("float32",)).items()}
    may_be_seen = SEEN if tiny[case].spec.task == "rerank" else ()

    assert made.pop("right") == "right"
    assert {fault: c for fault, c in made.items() if c != "named" and not (c == "seen" and fault in may_be_seen)} == {}


@pytest.mark.quality
@pytest.mark.parametrize("case", TINY)
def test_no_precision_raises_a_false_alarm_or_names_a_wrong_fault(case: str, tiny: dict[str, Subject]) -> None:
    made = matrix(tiny[case], available())

    assert {(f, p): c for f, cells in made.items() for p, c in cells.items() if c in BAD} == {}


@pytest.mark.quality
@pytest.mark.weights
@pytest.mark.timeout(600)
def test_faults_of_the_default_model_are_told_as_recorded(minilm_folder: Path, tmp_path: Path) -> None:
    recorded = json.loads(GOLDEN.read_text())
    precisions = tuple(p for p in available() if p in recorded["all-MiniLM-L6-v2"]["right"])
    whose = next(minilm_subjects(minilm_folder, tmp_path))

    made = matrix(whose, precisions)

    assert made == {f: {p: cells[p] for p in precisions} for f, cells in recorded[whose.name].items()}


def test_what_is_recorded_holds_no_false_alarm_and_no_wrong_name() -> None:
    recorded = json.loads(GOLDEN.read_text())

    cells = {(m, f, p): c for m, faults in recorded.items() for f, row in faults.items() for p, c in row.items()}
    assert {place: c for place, c in cells.items() if c in BAD} == {}
    assert {c for (_, fault, _), c in cells.items() if fault == "right"} == {"right"}


def test_two_faults_at_once_are_not_called_another_model(tiny: dict[str, Subject]) -> None:
    whose = tiny["bert-mean"]
    pooled = next(fault for fault in FAULTS if fault.name == "cls pooling")
    bare = next(fault for fault in FAULTS if fault.name == "no prompts")

    made = answers(replace(bare, spec=pooled.spec), whose, "float32")

    assert whose.trials.judge(made, "float32").verdict == "unknown"


def test_unnormalised_vectors_of_a_wrong_recipe_are_told_both(tiny: dict[str, Subject]) -> None:
    whose = tiny["bert-mean"]
    pooled = next(fault for fault in FAULTS if fault.name == "cls pooling")

    said = whose.trials.judge(answers(replace(pooled, is_normalised=False), whose, "float32"), "float32")

    assert said.names == ("cls pooling", "not normalised")
    assert "pools by 'cls', the model by 'mean'" in said.says
    assert "also, it does not bring vectors to length 1" in said.says


def test_a_single_row_that_is_not_a_number_is_never_right(tiny: dict[str, Subject]) -> None:
    whose = tiny["bert-mean"]
    made = answers(RIGHT, whose, "float32")
    last = list(made)[-1]

    said = whose.trials.judge({**made, last: made[last] * np.float32(np.nan)}, "int8")

    assert (said.verdict, said.says) == ("unknown", "it gives what is not a finite number")


def test_one_vector_for_all_texts_is_not_another_order(tiny: dict[str, Subject]) -> None:
    whose = tiny["bert-mean"]
    made = answers(RIGHT, whose, "float32")

    said = whose.trials.judge(dict.fromkeys(made, made["short"]), "float32")

    assert said.names == ()


def test_the_evidence_is_the_distance_to_each_recipe(tiny: dict[str, Subject]) -> None:
    whose = tiny["bert-mean"]

    said = whose.trials.judge(answers(RIGHT, whose, "float32"), "float32")

    assert said.evidence["right"] < 1e-10
    assert min(value for name, value in said.evidence.items() if name != "right") > 1e-9
    assert cell(RIGHT, said) == "right"


def test_every_candidate_has_a_name_of_its_own(tiny: dict[str, Subject]) -> None:
    for whose in tiny.values():
        names = [candidate.name for candidate in candidates(whose.spec, whose.folder)]

        assert len(set(names)) == len(names)


def test_a_candidate_that_changes_nothing_is_left_out(tiny: dict[str, Subject]) -> None:
    whose = tiny["xlm-roberta-classifier"]  # it has no segments

    said = whose.trials.judge(answers(RIGHT, whose, "float32"), "float32")

    assert "no segments" in [candidate.name for candidate in candidates(whose.spec, whose.folder)]
    assert "no segments" not in said.evidence


def test_a_missing_prompt_can_be_tried_with_a_model_that_needs_one(tiny: dict[str, Subject]) -> None:
    whose = next(iter(tiny.values()))
    spec = replace(whose.spec, prompts={"query": "what is ", "document": "paper "}, needs_prompt=True)
    made = {one.name: one for one in candidates(spec, whose.folder)}

    (bare,) = made["no prompts"].encode([Text("a panda", "query")])
    (right,) = made["max pooling"].encode([Text("a panda", "query")])

    assert right.cost == bare.cost + 2
