"""Settings: which source wins, what is refused, and what is never shown."""

from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from platformdirs import user_cache_path

from embedstack.errors import ConfigError
from embedstack.modelspec import Precision, Truncate
from embedstack.settings import Settings, environment_names, example, read_settings

SECRET = "hf_thisMustNeverBeSeen"
ROWS = [row.name for row in fields(Settings)]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: no `.env` of the developer's is read."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(environ: dict[str, str] | None = None, **flags: object) -> Settings:
    return read_settings(flags, environ=environ or {})


def refusal(environ: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        read(environ, **flags)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ which source wins


def test_nothing_set_means_the_defaults() -> None:
    assert read() == Settings()


def test_the_default_model_is_small_and_the_server_is_not_open_to_the_network() -> None:
    settings = read()

    assert (settings.models, settings.host, settings.port) == ("all-MiniLM-L6-v2", "127.0.0.1", 8080)
    assert settings.cache_dir == user_cache_path("embedstack")


def test_the_environment_beats_the_file(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("EMBEDSTACK_PORT=1\nEMBEDSTACK_HOST=filehost\n")

    settings = read({"EMBEDSTACK_PORT": "2"})

    assert (settings.port, settings.host) == (2, "filehost")


def test_a_flag_beats_the_environment_and_the_file(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("EMBEDSTACK_PORT=1\n")

    assert read({"EMBEDSTACK_PORT": "2"}, port="3").port == 3


@pytest.mark.parametrize(("flag", "settled"), [(None, 2), (0, 0)])
def test_only_none_means_that_a_flag_was_not_given(flag: int | None, settled: int) -> None:
    assert read({"EMBEDSTACK_PORT": "2"}, port=flag).port == settled


def test_a_flag_switches_off_what_the_environment_switched_on() -> None:
    assert read({"EMBEDSTACK_OFFLINE": "1"}, offline=False).offline is False


def test_a_variable_set_to_nothing_is_not_set(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("EMBEDSTACK_PORT=1\nEMBEDSTACK_HOST=\n")

    settings = read({"EMBEDSTACK_PORT": "", "EMBEDSTACK_THREADS": ""})

    assert (settings.port, settings.host, settings.threads) == (1, "127.0.0.1", 0)


def test_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_PORT", "4")

    assert read_settings().port == 4


@pytest.mark.parametrize("name", ["api_keys", "api_keys_file"])
def test_keys_that_a_template_left_empty_do_not_open_the_server(empty_folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"EMBEDSTACK_{name.upper()} is set to nothing"):
        read({f"EMBEDSTACK_{name.upper()}": ""})
    assert f"--{name.replace('_', '-')} is set to nothing" in refusal(**{name: ""})


def test_a_named_env_file_is_read_instead_of_dot_env(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("EMBEDSTACK_PORT=1\n")
    (empty_folder / "other").write_text("EMBEDSTACK_HOST=other\n")

    settings = read_settings(env_file=Path("other"), environ={})

    assert (settings.port, settings.host) == (8080, "other")


def test_an_env_file_that_is_missing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"env file 'absent\.env' is not there; check --env-file"):
        read_settings(env_file=Path("absent.env"), environ={})


def test_an_env_file_that_is_no_text_is_refused(empty_folder: Path) -> None:
    (empty_folder / ".env").write_bytes(b"EMBEDSTACK_HOST=\xff\xfe\n")

    assert refusal().startswith("env file '.env' cannot be read")


def test_a_folder_called_dot_env_is_no_env_file(empty_folder: Path) -> None:
    (empty_folder / ".env").mkdir()

    assert read() == Settings()


def test_a_value_in_a_file_is_not_interpolated(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("OTHER=x\nHF_TOKEN=a${OTHER}b\n")

    assert read().hf_token == "a${OTHER}b"


def test_a_file_may_hold_variables_of_other_programs(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("DATABASE_URL=x\nlone_word\nEMBEDSTACK_PORT=5\n")

    assert read().port == 5


# ------------------------------------------------------------------------------------------------ names of others


def test_the_hubs_own_variables_are_honoured() -> None:
    settings = read({"HF_TOKEN": SECRET, "HF_ENDPOINT": "https://mirror.example", "HF_HUB_OFFLINE": "1"})

    assert (settings.hf_token, settings.hf_endpoint, settings.offline) == (SECRET, "https://mirror.example", True)


def test_our_own_name_beats_the_hubs() -> None:
    assert read({"HF_HUB_OFFLINE": "1", "EMBEDSTACK_OFFLINE": "0"}).offline is False


def test_the_hubs_name_in_the_environment_beats_our_own_in_the_file(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("EMBEDSTACK_HF_TOKEN=from-file\n")

    assert read({"HF_TOKEN": "from-environment"}).hf_token == "from-environment"


# ------------------------------------------------------------------------------------------------ types


@pytest.mark.parametrize("name", ROWS)
def test_every_setting_has_a_variable(name: str) -> None:
    wanted = get_type_hints(Settings)[name]
    text = {int: "7", bool: "true", str: "x", Path: "x"}.get(wanted) or get_args(wanted)[-1]
    (row,) = (row for row in fields(Settings) if row.name == name)

    values = {str(getattr(read({variable: text}), name)).lower() for variable in environment_names(row)}

    assert values == {text}


@pytest.mark.parametrize("word", ["1", "true", "TRUE", " yes ", "on"])
def test_words_that_switch_on(word: str) -> None:
    assert read({"EMBEDSTACK_LAZY": word}).lazy is True


@pytest.mark.parametrize("word", ["0", "false", "No", "off"])
def test_words_that_switch_off(word: str) -> None:
    assert read({"EMBEDSTACK_LAZY": word}).lazy is False


@pytest.mark.parametrize(
    ("name", "value", "what", "right"),
    [
        ("EMBEDSTACK_PORT", "64k", "is not a whole number", "8080"),
        ("EMBEDSTACK_PORT", "-1", "is below 0", "8080"),
        ("EMBEDSTACK_MAX_ITEMS", "0", "is below 1", "2048"),
        ("EMBEDSTACK_BATCH_TOKENS", "0", "is below 1", "1024"),
        ("EMBEDSTACK_LAZY", "maybe", "is not true or false", "false"),
        ("HF_HUB_OFFLINE", "perhaps", "is not true or false", "false"),
        ("EMBEDSTACK_PRECISION", "int9", "is not one of: auto, float64, float32, tf32, bfloat16", "auto"),
        ("EMBEDSTACK_TRUNCATE", "middle", "is not one of: refuse, left, right", "right"),
        ("EMBEDSTACK_LOG_LEVEL", "loud", "is not one of: debug, info, warning, error", "info"),
    ],
)
def test_a_wrong_value_names_its_variable_and_gives_an_example(name: str, value: str, what: str, right: str) -> None:
    message = refusal({name: value})

    assert message.startswith(f"{name}={value!r} {what}")
    assert message.endswith(f"example: {right}")


def test_a_wrong_flag_is_called_as_it_was_typed() -> None:
    assert refusal(max_items="many").startswith("--max-items='many' is not a whole number; most items in one request")


def test_the_choices_are_those_of_the_nouns() -> None:
    types = get_type_hints(Settings)

    assert get_args(types["precision"]) == ("auto", *get_args(Precision))
    assert types["truncate"] == Truncate


def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/panda")

    assert read({"EMBEDSTACK_CACHE_DIR": "~/models"}).cache_dir == Path("/home/panda/models")


# ------------------------------------------------------------------------------------------------ unknown names


def test_an_unknown_name_of_ours_is_refused_with_the_nearest() -> None:
    assert refusal({"EMBEDSTACK_PROT": "1"}) == (
        "EMBEDSTACK_PROT is no setting; did you mean EMBEDSTACK_PORT? all of them: embedstack serve --help"
    )


def test_an_unknown_name_of_ours_in_the_file_is_refused(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("EMBEDSTACK_WHATEVER=1\n")

    assert refusal().startswith("EMBEDSTACK_WHATEVER is no setting")


def test_the_value_of_an_unknown_name_is_not_shown() -> None:
    assert SECRET not in refusal({"EMBEDSTACK_TOKEN": SECRET})


# ------------------------------------------------------------------------------------------------ secrets


def test_a_secret_is_not_in_the_repr() -> None:
    assert SECRET not in repr(read({"HF_TOKEN": SECRET}))


def test_a_secret_is_masked_in_errors() -> None:
    message = refusal(hf_token=SECRET.encode())

    assert SECRET not in message
    assert message.startswith("--hf-token=*** is not text")


# ------------------------------------------------------------------------------------------------ the example


def test_the_example_file_is_what_the_table_says() -> None:
    committed = Path(__file__).parents[1] / ".env.example"

    assert committed.read_text() == example(), (
        "write it anew: python -c 'from embedstack.settings import example; print(example(), end=\"\")' > .env.example"
    )


def test_the_example_uncommented_is_the_defaults(empty_folder: Path) -> None:
    lines = [line.removeprefix("# ") for line in example().splitlines() if line.startswith("# EMBEDSTACK_")]
    (empty_folder / ".env").write_text("\n".join(lines))

    assert len(lines) == len(ROWS)
    assert read() == Settings()


def test_the_example_holds_nothing_of_this_machine() -> None:
    assert str(Path.home()) not in example()
