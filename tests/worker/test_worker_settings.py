"""The settings of workers, and the environment of RunPod's endpoints."""

from pathlib import Path

import pytest

from embedstack.errors import ConfigError
from embedstack.settings import Settings, read_settings


def settings(tmp_path: Path, profile: str | None, **environ: str) -> Settings:
    (tmp_path / "env").touch()
    return read_settings(None, tmp_path / "env", environ, profile=profile)


def test_a_worker_has_64_jobs_in_hand_or_as_many_as_infinitys_variable_says(tmp_path: Path) -> None:
    made = settings(tmp_path, None), settings(tmp_path, None, RUNPOD_MAX_CONCURRENCY="300")

    assert [one.jobs_at_once for one in made] == [64, 300]


@pytest.mark.parametrize("value", ["0", "many"])
def test_a_wrong_number_of_jobs_is_refused_by_its_name(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=f"RUNPOD_MAX_CONCURRENCY='{value}'"):
        settings(tmp_path, None, RUNPOD_MAX_CONCURRENCY=value)


@pytest.mark.parametrize(("profile", "port"), [("runpod", 80), ("runpod-local", 8000)])
def test_its_profiles_open_the_server_to_the_network_with_its_dialect_first(
    tmp_path: Path, profile: str, port: int
) -> None:
    made = settings(tmp_path, profile)

    assert (made.host, made.port, made.dialect) == ("0.0.0.0", port, "runpod")


def test_the_port_is_the_one_that_the_platform_names(tmp_path: Path) -> None:
    assert settings(tmp_path, "runpod", PORT="5000").port == 5000
