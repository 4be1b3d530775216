"""`embedstack serve` started as another server is, by its variables; and with several models."""

import base64
import subprocess
from pathlib import Path

import httpx
import pytest

from support.commands import COMMAND, PATIENCE_S, process, settings_only
from support.tiny import CASES, write
from support.tiny_clip import DIM, png, write_clip

PICTURE = base64.b64encode(png(31)).decode()
pytestmark = pytest.mark.slow


def served(folder: Path, *arguments: str, **environment: str):
    """The process, and where it listens."""
    started = subprocess.Popen(
        [*COMMAND, "serve", *arguments], stderr=subprocess.PIPE, text=True, cwd=folder, env=settings_only(**environment)
    )
    said: list[str] = []
    for line in started.stderr:
        said.append(line)
        if line.startswith("listening on "):
            return started, line.split()[-1], said
    stop(started)
    raise AssertionError("".join(said))


def stop(started: subprocess.Popen[str]) -> None:
    started.terminate()
    started.wait(PATIENCE_S)
    started.stderr.close()


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("MAX_MEMORY_MB", "much"), ("NODE_ENV", "staging")])
def test_a_bad_variable_of_a_profile_ends_the_start_by_its_name(tmp_path: Path, name: str, value: str) -> None:
    done = process("serve", "--profile", "model-worker", cwd=tmp_path, env=settings_only(**{name: value}))

    assert done.returncode == 2
    assert f"{name}='{value}'".encode() in done.stderr


def test_the_model_workers_environment_serves_its_dialect_at_the_root(tmp_path: Path) -> None:
    folder, clip = write(CASES["bert-mean"], tmp_path / "tiny"), write_clip(tmp_path / "clip")
    variables = {
        "HOST": "127.0.0.1", "TEXT_MODEL_NAME": str(folder), "IMAGE_MODEL_NAME": str(clip), "MODEL_CACHE_DIR": "models",
        "EMBEDSTACK_PORT": "0", "NODE_ENV": "production", "LOG_LEVEL": "warn", "MAX_BATCH_SIZE": "16",
        "MAX_MEMORY_MB": "2048",
    }  # fmt: skip
    started, url, said = served(tmp_path, "--profile", "model-worker", **variables)
    try:
        health = httpx.get(f"{url}/health").json()
        texts = httpx.post(f"{url}/embed/text", json={"texts": ["sun"] * 40}).json()
        items = [{"id": "a", "type": "image", "content": PICTURE}, {"id": "b", "type": "text", "content": "sun"}]
        mixed = httpx.post(f"{url}/embed/batch", json={"items": items})
    finally:
        stop(started)

    assert health["models"] == {"text": True, "image": True}
    assert [len(row["embedding"]) for row in mixed.json()["results"]] == [DIM, 32]
    assert texts["metadata"]["count"] == 40
    assert any("IMAGE_MODEL_NAME is served beside" in line for line in said)
    assert (tmp_path / "models").is_dir()


def test_one_command_serves_two_precisions_of_a_model_side_by_side(tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "tiny")
    models = str(folder), f"small={folder}@onnx:int8"
    started, url, _ = served(tmp_path, *models, "--port", "0", "--allow-unproven")
    try:
        ids = [model["id"] for model in httpx.get(f"{url}/v1/models").json()["data"]]
        made = [httpx.post(f"{url}/v1/embeddings", json={"input": "sun", "model": name}).headers for name in ids]
    finally:
        stop(started)

    assert ids == ["tiny", "small"]
    assert made[0]["x-embedstack-space"] == made[1]["x-embedstack-space"]
    assert made[0]["x-embedstack-fingerprint"] != made[1]["x-embedstack-fingerprint"]
