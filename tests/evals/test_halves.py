"""The two halves of a labelled set."""

from dataclasses import replace

import pytest

from embedstack.errors import BadRequest
from embedstack.evals.sets.halves import half_of, where
from embedstack.evals.sets.labelled import Labelled

QUERIES = [f"q{number}" for number in range(400)]
GOLDEN = "jjjjjjjjjjtjjtjjttjttjtj"  # t where the second digit is odd of: printf '0 q0' | sha256sum, and so on


def made(queries: list[str]) -> Labelled:
    return Labelled(
        name="a set",
        digest="5e7",
        documents={"d1": "one", "d2": "two"},
        queries={query: f"what is {query}?" for query in queries},
        qrels={query: {"d1": 1} for query in queries},
        notes=("a note",),
    )


def test_every_query_is_in_one_half_and_all_documents_are_in_both() -> None:
    whole = made(QUERIES)
    tune, judge = (half_of(whole, half, 0) for half in ("tune", "judge"))

    assert {**tune.qrels, **judge.qrels} == whole.qrels
    assert {**tune.queries, **judge.queries} == whole.queries
    assert len(tune.qrels) + len(judge.qrels) == len(whole.qrels)
    assert tune.documents == judge.documents == whole.documents
    assert len({tune.digest, judge.digest, whole.digest}) == 3


def test_the_halves_are_about_as_large() -> None:
    sizes = [len(half_of(made(QUERIES), "tune", seed).qrels) for seed in range(20)]

    assert all(160 < size < 240 for size in sizes)  # four deviations
    assert 192 < sum(sizes) / len(sizes) < 208


def test_a_query_stays_in_its_half_when_others_are_added() -> None:
    few, many = (half_of(made(queries), "tune", 7).qrels for queries in (QUERIES[:50], QUERIES))

    assert few.items() <= many.items()


def test_another_seed_draws_other_halves() -> None:
    assert [where(query, 0) for query in QUERIES] != [where(query, 1) for query in QUERIES]


def test_the_halves_are_those_of_every_day() -> None:
    assert "".join(where(query, 0)[0] for query in QUERIES[: len(GOLDEN)]) == GOLDEN


def test_a_set_without_texts_is_divided_too() -> None:
    assert half_of(replace(made(QUERIES), queries={}, documents={}), "judge", 0).queries == {}


def test_which_half_it_is_is_noted() -> None:
    tune = half_of(made(QUERIES), "tune", 3)

    assert tune.notes == ("a note", f"the half 'tune' of the queries: {len(tune.qrels)} of 400, by seed 3")


def test_an_empty_half_is_refused() -> None:
    (other,) = {"tune", "judge"} - {where("q1", 0)}

    with pytest.raises(BadRequest, match="none of the 1 judged queries of 'a set' is in the half"):
        half_of(made(["q1"]), other, 0)
