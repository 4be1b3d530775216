"""The probes reach where models go wrong: past every usual limit, both roles, many scripts, case, punctuation."""

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.catalog import find
from embedstack.inputs.text import TextInput
from embedstack.modelspec import ModelSpec
from embedstack.proof import probes as module
from embedstack.proof.probes import PAST_LIMIT, long_text, probes
from embedstack.types import Pair, Text
from support.tiny import CASES, write


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    root = tmp_path_factory.mktemp("tiny")
    return find(str(write(CASES["bert-mean"], root / "m")), cache_dir=root).spec


@pytest.fixture(scope="module")
def reranker(tiny: ModelSpec) -> ModelSpec:
    return replace(tiny, task="rerank", outputs=("score",))


def test_names_and_items_are_all_different(tiny: ModelSpec, reranker: ModelSpec) -> None:
    for spec in (tiny, reranker):
        made = probes(spec).all

        assert len({probe.name for probe in made}) == len(made) == len({probe.item for probe in made})


def test_both_roles_and_eight_scripts_are_there(tiny: ModelSpec) -> None:
    items = [probe.item for probe in probes(tiny).all if isinstance(probe.item, Text)]
    letters = {char for item in items for char in item.text if char.isalpha()}
    scripts = {unicodedata.name(char).split()[0] for char in letters}

    assert {item.role for item in items} == {"query", "document"}
    assert scripts >= {"LATIN", "CYRILLIC", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "ARABIC", "DEVANAGARI"}
    assert any(unicodedata.category(char) == "So" for item in items for char in item.text)


def test_one_sentence_is_there_in_three_cases(tiny: ModelSpec) -> None:
    lower, mixed, upper = (p.item.text for p in probes(tiny).named("lower", "mixed-case", "upper"))  # type: ignore[union-attr]

    assert lower == mixed.lower() == upper.lower()
    assert len({lower, mixed, upper}) == 3


@pytest.mark.weights
@pytest.mark.parametrize("limit", [128, 256, 512])
def test_a_text_reaches_past_each_usual_limit(limit: int, minilm_folder: Path, tmp_path: Path) -> None:
    spec = replace(find(str(minilm_folder), cache_dir=tmp_path).spec, max_tokens=1000)
    names = (f"past-{limit}",)

    (encoding,) = TextInput(minilm_folder, spec).encode([p.item for p in probes(spec).named(*names)])

    assert limit < encoding.cost < 2 * limit


@pytest.mark.weights
@pytest.mark.parametrize("limit", [256, 512, 8192])
def test_one_text_is_past_the_models_own_limit(limit: int, minilm_folder: Path, tmp_path: Path) -> None:
    spec = replace(find(str(minilm_folder), cache_dir=tmp_path).spec, max_tokens=limit)
    past = [probe for probe in probes(spec).all if probe.name in PAST_LIMIT]

    assert all(encoding.dropped for encoding in TextInput(minilm_folder, spec).encode([p.item for p in past]))
    assert [probe.is_late for probe in past] == [limit > 1024]


def test_no_two_parts_of_a_long_text_are_the_same() -> None:
    sentences = [part for part in long_text(2000, 3).split(". ") if part]

    numbered = [f"{number}. {text}" for number, text in zip(sentences[::2], sentences[1::2], strict=False)]
    assert len(set(numbered)) == len(numbered) > 80


def test_a_reranker_gets_related_and_unrelated_pairs_and_long_ones(reranker: ModelSpec) -> None:
    made = [probe.item for probe in probes(reranker).all]

    assert all(isinstance(item, Pair) for item in made)
    assert len({item.query for item in made if isinstance(item, Pair)}) >= 10
    assert max(len(item.document.split()) for item in made if isinstance(item, Pair)) > 500


def test_the_retrieval_set_is_among_the_probes(tiny: ModelSpec) -> None:
    made = probes(tiny)

    assert (len(made.queries), len(made.documents)) == (8, 24)
    assert len(made.named(*made.queries, *made.documents)) == 32


@pytest.mark.parametrize("part", ["_texts", "_pairs"])
def test_another_text_is_another_digest(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, (first, *others) = module.digest(), getattr(module, part)()
    monkeypatch.setattr(module, part, lambda: (replace(first, name="other"), *others))

    assert module.digest.__wrapped__() != before
