"""Another server's variables and defaults, read under its profile only."""

from pathlib import Path

import pytest

from embedstack.catalog.catalog import Wanted, parse
from embedstack.errors import ConfigError
from embedstack.settings import DEFAULT_MODEL, Settings, read_settings


def worker(tmp_path: Path, flags: dict[str, object] | None = None, **environ: str) -> Settings:
    (tmp_path / "env").touch()
    return read_settings(flags, tmp_path / "env", environ, profile="model-worker")


def test_the_model_workers_defaults_hold(tmp_path: Path) -> None:
    made = worker(tmp_path)

    assert (made.host, made.port, made.memory_mb) == ("0.0.0.0", 3002, 2048)
    assert made.models == f"{DEFAULT_MODEL},clip-vit-base-patch32"
    assert (made.dialect, made.log_level, made.cache_dir) == ("model-worker", "info", Path("cache/models"))


@pytest.mark.parametrize(
    ("name", "value", "field", "wanted"),
    [
        ("PORT", "3100", "port", 3100),
        ("HOST", "127.0.0.1", "host", "127.0.0.1"),
        ("MODEL_CACHE_DIR", "/app/cache/models", "cache_dir", Path("/app/cache/models")),
        ("MAX_MEMORY_MB", "512", "memory_mb", 512),
        ("LOG_LEVEL", "warn", "log_level", "warning"),
        ("LOG_LEVEL", "trace", "log_level", "debug"),
        ("LOG_LEVEL", "fatal", "log_level", "error"),
        ("TEXT_MODEL_NAME", "Xenova/bge-m3", "models", "bge-m3,clip-vit-base-patch32"),
        ("TEXT_MODEL_NAME", "Xenova/unheard-of", "models", "Xenova/unheard-of,clip-vit-base-patch32"),
        ("TEXT_MODEL_NAME", "org/name", "models", "org/name,clip-vit-base-patch32"),
        ("IMAGE_MODEL_NAME", "org/name", "models", "all-MiniLM-L6-v2,org/name"),
        ("IMAGE_MODEL_NAME", "Xenova/clip-vit-base-patch16", "models", "all-MiniLM-L6-v2,clip-vit-base-patch16"),
    ],
)
def test_its_variables_are_settings(tmp_path: Path, name: str, value: str, field: str, wanted: object) -> None:
    assert getattr(worker(tmp_path, **{name: value}), field) == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "http"),
        ("MAX_BATCH_SIZE", "none"),
        ("MAX_BATCH_SIZE", "-1"),
        ("MAX_MEMORY_MB", "2GB"),
        ("NODE_ENV", "staging"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_refused_by_the_variables_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}='{value}'") as told:
        worker(tmp_path, **{name: value})

    assert told.value.exit_code == 2


def test_the_text_model_that_its_manual_names_beside_the_default_is_the_original(tmp_path: Path) -> None:
    made = worker(tmp_path, TEXT_MODEL_NAME="Xenova/distilbert-base-nli-stsb-mean-tokens")

    wanted = parse(made.models.split(",")[0])

    assert isinstance(wanted, Wanted)
    assert wanted.repo == "sentence-transformers/distilbert-base-nli-stsb-mean-tokens"


def test_a_flag_and_our_own_variable_beat_those_of_a_profile(tmp_path: Path) -> None:
    made = worker(tmp_path, {"host": "::1"}, HOST="0.0.0.0", PORT="3100", EMBEDSTACK_PORT="9000")

    assert (made.host, made.port) == ("::1", 9000)


def test_its_variables_may_stand_in_the_env_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("PORT=3100\n")

    assert read_settings(None, tmp_path / "file", {}, profile="model-worker").port == 3100


def test_without_the_profile_nobody_reads_them(tmp_path: Path) -> None:
    (tmp_path / "env").touch()

    assert read_settings(None, tmp_path / "env", {"PORT": "nonsense", "HOST": "0.0.0.0"}) == Settings()
