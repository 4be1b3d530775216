"""What bench/searching.py measures in a folder with few points, its functions on few rows, and what its page says."""

from dataclasses import asdict
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from embedstack.search.found import Found
from embedstack.testing.fake import HashEncoder, hash_spec
from searching_functions import Work, works
from searching_page import page
from searching_places import Place
from searching_points import FARTHEST, NEAREST, around, distinct_questions, passages
from searching_run import Sizes, searched
from searching_ways import WARM_ROUNDS, Way, ask_all

CLUSTERED = "near.clusters"  # blocks of it are 4,096 rows


def unit(rows: int, dim: int = 32) -> np.ndarray:
    some = np.random.default_rng(3).standard_normal((rows, dim)).astype(np.float32)
    return some / np.linalg.norm(some, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A whole result, but of the folder alone and without a real model."""
    folder = tmp_path_factory.mktemp("searching")
    sizes = Sizes(points=60, questions=7, samples=8, slow_samples=8)
    found = searched([Place("embedded", str(folder), "SQLite")], HashEncoder([hash_spec()]), sizes)
    machine = {"processor": "p", "threads": 2, "date": "d", "commit": "c", "python": "3"}
    work = Work("counting", "numbers", 1000, lambda rows: lambda: sum(range(rows)))
    return {
        "machine": machine,
        "load": {"start": 0.5, "questions": 1.5},
        "versions": {"psycopg": "3"},
        "command": "python bench/searching.py",
        "took_s": 1,
        **asdict(sizes),
        "dim": 32,
        **found,
        "functions": [work.measured()],
    }


def test_each_way_is_asked_as_often_as_it_should_be(made: dict) -> None:
    assert [(way["kind"], way["samples"]) for way in made["ways"]] == [("dense", 8), ("BM25", 8), ("hybrid", 8)]


def test_the_stages_are_less_than_the_whole(made: dict) -> None:
    for way in made["ways"]:
        whole, embed, search = (way[f"{stage}_ms"]["p50"]["value"] for stage in ("whole", "embed", "search"))

        assert 0 < search < whole
        assert 0 <= embed < whole


def test_with_few_samples_the_99th_percentile_has_no_upper_end(made: dict) -> None:
    assert all(way["whole_ms"]["p99"]["high"] is None for way in made["ways"])
    assert "no end]" in page(made)


def test_the_folder_is_what_it_is_compared_with(made: dict) -> None:
    assert {way["same_ten"] for way in made["ways"]} == {1.0}


def test_a_page_says_which_figures_were_reckoned(made: dict) -> None:
    work = {**made["functions"][0], "million_s": 2.5}

    assert "| ~ 2.5 s |" in page({**made, "functions": [work]})
    assert "| 2.5 s |" in page({**made, "functions": [{**work, "rows": 1_000_000}]})


def test_a_page_says_that_others_were_at_work(made: dict) -> None:
    assert "figures are too high" not in page(made)
    assert "figures are too high" in page({**made, "load": {"start": 0.5, "questions": 4.0}})


def test_a_page_says_that_no_qdrant_server_was_asked(made: dict) -> None:
    assert "It is no Qdrant server" in page(made)


@pytest.mark.parametrize(("grows", "million_s"), [("linear", 1e5), ("quadratic", 1e10)])
def test_a_million_rows_are_reckoned_as_the_function_grows(grows, million_s) -> None:
    seconds = count()

    found = Work("w", "rows", 10, lambda rows: lambda: None, grows=grows).measured(lambda: next(seconds))

    assert found["million_s"] == million_s


@pytest.mark.slow
def test_every_function_can_be_measured(tmp_path: Path) -> None:
    for work in works(tmp_path, 8, 0.0):
        if work.name != CLUSTERED:
            work.made(work.rows)()


def test_a_share_of_the_rows_is_of_whole_steps() -> None:
    work = Work("w", "rows", 1000, lambda rows: lambda: None, 100)

    assert (work.of_share(0.26).rows, work.of_share(0.0).rows) == (300, 200)


class Asking:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, question: str) -> Found:
        self.asked.append(question)
        return Found(points=(), fields=(), took_s={"embed": 0.0, "search": 0.0})


def test_all_ways_get_the_same_questions() -> None:
    some, other = Asking(), Asking()
    ways = [Way("a", "dense", some), Way("b", "dense", other)]

    ask_all(ways, ["one", "two", "three"], 5, 2)

    assert some.asked == other.asked
    assert [len(way.taken) for way in ways] == [5, 5]
    assert len(some.asked) == WARM_ROUNDS + 5


def test_the_samples_of_a_slow_way_are_spread_evenly() -> None:
    way = Way("a", "dense", Asking(), wanted=380)

    due = [round_ for round_ in range(1000) if way.is_due(round_, 1000)]

    assert len(due) == 380
    assert set(np.diff(due)) == {2, 3}


def test_vectors_lie_around_the_questions() -> None:
    centres = unit(1)

    points = around(centres, 200)

    cosines = points @ centres[0]
    assert np.linalg.norm(points, axis=1) == pytest.approx(1, abs=1e-5)
    assert FARTHEST - 1e-3 < cosines.min() < cosines.max() < NEAREST + 1e-3


def test_passages_and_questions_differ() -> None:
    assert len({*passages(100)}) == len({*distinct_questions(100)}) == 100


def test_passages_are_always_the_same() -> None:
    assert passages(5) == passages(5) != passages(5, seed=1)
