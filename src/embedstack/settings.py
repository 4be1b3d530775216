"""Flags, then environment, then `.env`: one frozen Settings and the table that it is made from.

This is the only file that reads the environment.
"""

import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec
from dotenv import dotenv_values
from platformdirs import user_cache_path

from embedstack.errors import ConfigError
from embedstack.types import Truncate

PREFIX = "EMBEDSTACK_"
DEFAULT_MODEL = "all-MiniLM-L6-v2"


def knob(default: Any, help: str, *, env: str | None = None, secret: bool = False) -> Any:  # noqa: A002
    """One row of the table: its default, the line users read, and another tool's variable where that is the custom."""
    return field(default=default, metadata={"help": help, "env": env, "secret": secret}, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Each field is a flag, an environment variable and a line in `.env.example`."""

    models: str = knob(
        DEFAULT_MODEL, "models to serve, separated by commas: catalog names, Hugging Face ids or folders"
    )
    host: str = knob("127.0.0.1", "address to listen on; 0.0.0.0 opens the server to the network")
    port: int = knob(8080, "port to listen on; 0 takes a free one and prints it")
    runtime: str = knob("openvino", "what runs the graph: openvino, or numpy (float64, slow, the truth)")
    precision: Literal["auto", "float64", "float32", "bfloat16"] = knob(
        "auto", "auto is bfloat16 where the processor has it natively, else float32"
    )
    threads: int = knob(0, "processor threads for the model; 0 reads the affinity and the container's quota")
    batch_tokens: int = knob(1024, "tokens that one run of the model takes; small batches stay in the cache")
    truncate: Truncate = knob("right", "a text over the model's limit: cut it (left, right; reported) or refuse it")
    token_ids: bool = knob(False, "accept arrays of token ids and read them as the model's own vocabulary")
    vector_cache_mb: int = knob(0, "memory for a cache of finished vectors; 0 switches it off")
    max_items: int = knob(2048, "most items in one request")
    max_body_mb: int = knob(32, "largest request body")
    max_text_chars: int = knob(1_000_000, "longest text, before it is tokenised")
    drain_s: int = knob(30, "seconds that running requests get after SIGTERM")
    log_level: Literal["debug", "info", "warning", "error"] = knob("info", "how much is written to stderr")
    cache_dir: Path = knob(user_cache_path("embedstack"), "where models are kept")
    offline: bool = knob(False, "never use the network; only models already here are served", env="HF_HUB_OFFLINE")
    hf_endpoint: str = knob("https://huggingface.co", "the Hub or a mirror of it", env="HF_ENDPOINT")
    hf_token: str = knob("", "token for gated models on the Hub", env="HF_TOKEN", secret=True)


def read_settings(
    flags: Mapping[str, object] | None = None,
    env_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force: a flag beats the environment, which beats the file.

    Args:
        flags: values by field name; None means that the flag was not given.
        env_file: a file of `NAME=value` lines; `.env` in the working folder is read where it exists.
        environ: the process environment; given by tests.
    Raises:
        ConfigError: a value of the wrong type, or an unknown `EMBEDSTACK_` name.
    """
    environ = os.environ if environ is None else environ
    if env_file is not None and not env_file.is_file():
        raise ConfigError(f"env file {str(env_file)!r} is not there; check --env-file")
    in_file = {k: v for k, v in dotenv_values(env_file or Path(".env")).items() if v is not None}
    named = {**in_file, **environ}
    _refuse_unknown(named)
    types = get_type_hints(Settings)
    values: dict[str, object] = {}
    for row in fields(Settings):
        if flags and flags.get(row.name) is not None:
            values[row.name] = _convert(f"--{row.name.replace('_', '-')}", flags[row.name], types[row.name], row)
        else:
            name = next((n for n in environment_names(row) if named.get(n)), None)
            if name is not None:
                values[row.name] = _convert(name, named[name], types[row.name], row)
    return Settings(**values)  # type: ignore[arg-type]


def environment_names(row: "Field[Any]") -> tuple[str, ...]:
    """The variables that set a field, the first one that is set wins."""
    own = PREFIX + row.name.upper()
    return (own, row.metadata["env"]) if row.metadata["env"] else (own,)


def example() -> str:
    """The text of `.env.example`."""
    lines = ["# every setting with its default; copy to .env and uncomment what you change"]
    for row in fields(Settings):
        default = "" if row.name == "cache_dir" else _as_text(row.default)
        lines += ["", f"# {row.metadata['help']}", f"# {environment_names(row)[0]}={default}"]
    return "\n".join(lines) + "\n"


def _convert(name: str, value: object, wanted: Any, row: "Field[Any]") -> object:
    if wanted is bool and isinstance(value, str):
        value = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }.get(value.strip().lower(), value)
    if wanted is Path:
        return Path(str(value)).expanduser()
    try:
        converted = msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError as error:
        shown = "***" if row.metadata["secret"] else repr(value)
        raise ConfigError(
            f"{name}={shown} does not fit ({error}); {row.metadata['help']}; example: {_as_text(row.default)}"
        ) from error
    if wanted is int and isinstance(converted, int) and converted < 0:
        raise ConfigError(f"{name}={value!r} is below 0; {row.metadata['help']}; example: {_as_text(row.default)}")
    return converted


def _as_text(default: object) -> str:
    return "" if default is MISSING else str(default).lower() if isinstance(default, bool) else str(default)


def _refuse_unknown(named: Mapping[str, str]) -> None:
    known = {n for row in fields(Settings) for n in environment_names(row)} | {PREFIX + "TEST_DATA"}
    for name in named:
        if name.startswith(PREFIX) and name not in known:
            raise ConfigError(f"{name} is no setting; the settings are listed by: embedstack doctor --settings")
