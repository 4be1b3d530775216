"""Source system E's monitoring reads a job's numbers, its health and what went wrong, from its records alone."""

import asyncio
from pathlib import Path

import pytest

from embedstack.jobs.monitoring import MonitoringInterface
from embedstack.storage.storage import Missing
from support.tables import job

SHARDS = [{"a": ["one bird", "two birds"], "b": ["a stone"]}, {"c": [], "bad": [], "d": ["a river"]}]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> MonitoringInterface:
    root = tmp_path_factory.mktemp("job")
    job(root, SHARDS)
    return MonitoringInterface(root)


def test_metrics_are_those_of_the_whole_job(watched: MonitoringInterface) -> None:
    found = asyncio.run(watched.get_metrics())

    assert (found["embeddings_vectors_generated"], found["embeddings_batch_progress"]) == (4, 1.0)


def test_too_many_failed_documents_are_no_health(tmp_path: Path) -> None:
    job(tmp_path, [*SHARDS, {"bad too": []}])

    assert asyncio.run(MonitoringInterface(tmp_path).get_health()) == {
        "status": "degraded", "checks": {"failed_documents": False, "is_complete": True},
    }  # fmt: skip


def test_where_no_document_is_left_there_is_no_health(tmp_path: Path) -> None:
    job(tmp_path, [{"bad": []}])

    assert asyncio.run(MonitoringInterface(tmp_path).get_health())["status"] == "degraded"


def test_as_many_as_a_run_allows_are_no_illness(watched: MonitoringInterface) -> None:
    assert asyncio.run(watched.get_health())["status"] == "healthy"


def test_a_job_without_failures_is_healthy(tmp_path: Path) -> None:
    job(tmp_path, SHARDS[:1], is_finished=False)

    assert asyncio.run(MonitoringInterface(tmp_path).get_health())["status"] == "healthy"


@pytest.mark.parametrize(
    ("level", "codes"), [("INFO", ["empty", "bad_json"]), ("WARNING", ["bad_json"]), ("ERROR", [])]
)
def test_logs_are_dead_letters_by_level(watched: MonitoringInterface, level: str, codes: list[str]) -> None:
    assert [one["code"] for one in asyncio.run(watched.get_logs(level))] == codes


def test_no_more_logs_come_than_were_asked_for(watched: MonitoringInterface) -> None:
    assert [one["code"] for one in asyncio.run(watched.get_logs(limit=1))] == ["bad_json"]


def test_a_place_without_a_job_is_said(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no job"):
        asyncio.run(MonitoringInterface(tmp_path).get_metrics())
