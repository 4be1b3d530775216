"""500 submissions in a storm of faults, with real workers and the default model: each ends once, well or by name."""

import asyncio
from pathlib import Path

import pytest

from chaos_count import LEAST_COSINE, criteria
from chaos_plan import asks
from chaos_run import Storm, known_of, run

pytest.importorskip("runpod", reason="RunPod's SDK is not installed")
pytestmark = [pytest.mark.sdk, pytest.mark.weights, pytest.mark.timeout(240)]
COUNT = 500
SHARE = 0.05


@pytest.fixture(scope="module")
def made(minilm_folder: Path) -> dict:
    wanted = asks(COUNT)
    return asyncio.run(run(wanted, known_of(wanted), Storm(share=SHARE, kill_every=200, at_once=64)))


def test_every_submission_ends_exactly_once(made: dict) -> None:
    assert (made["submissions"], made["ended"], made["doubled"]) == (COUNT, COUNT, [])


def test_what_the_platform_took_is_neither_lost_nor_hung(made: dict) -> None:
    assert made["accepted"] > COUNT / 2
    assert (made["lost"], made["hung"]) == ([], [])


def test_every_end_is_vectors_that_are_proven_an_error_with_a_name_or_a_cancellation(made: dict) -> None:
    assert set(made["endings"]) <= {"proven", "error", "cancelled"}
    assert made["least_cosine"] >= LEAST_COSINE


def test_no_submission_outlives_its_deadline(made: dict) -> None:
    assert made["late"] == []


def test_every_job_that_the_platform_took_ends_there_once(made: dict) -> None:
    assert (made["open_jobs"], made["doubled_jobs"]) == ([], [])


def test_the_storm_was_one(made: dict) -> None:
    """Faults fired at about their share, workers died with jobs in hand, and jobs ran more than once."""
    assert made["faults"]["fired"] / made["faults"]["calls"] > SHARE / 2
    assert sum(made["kills"]) >= len(made["kills"]) >= 1
    assert any(int(times) > 1 for times in made["executions"])


def test_nearly_all_who_had_time_got_their_vectors(made: dict) -> None:
    assert [one.what for one in criteria(made) if one.has_failed] == []
