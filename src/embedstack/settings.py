"""Flags, then environment, then `.env`: one frozen Settings and the table that it is made from.

This is the only file that reads the environment.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import msgspec
from dotenv import dotenv_values
from platformdirs import user_cache_path

from embedstack.catalog.catalog import entry_of
from embedstack.errors import ConfigError
from embedstack.modelspec import Truncate

PREFIX = "EMBEDSTACK_"
DEFAULT_MODEL = "all-MiniLM-L6-v2"
TESTS_OWN = frozenset({"EMBEDSTACK_TEST_DATA", "EMBEDSTACK_CLIENTS", "EMBEDSTACK_RECORD", "EMBEDSTACK_RUNPOD_OPENAPI"})
CLIENTS_OWN = frozenset({"EMBEDSTACK_CLIENT_KEY"})  # what this package sends to its own servers
NOT_OURS = TESTS_OWN | CLIENTS_OWN
KEY_SOURCES = ("api_keys", "api_keys_file")
WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def knob(
    default: Any, text: str, *, least: int = 0, env: str | None = None, secret: bool = False, private: bool = False
) -> Any:
    """One row of the table.

    Args:
        text: the line that users read.
        least: the smallest whole number that makes sense.
        env: another tool's variable, where that is the custom.
        secret: never shown, and no flag.
        private: a secret may stand in it, so that it is not in the repr.
    """
    return field(
        default=default,
        metadata={"help": text, "least": least, "env": env, "secret": secret},
        repr=not (secret or private),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Each field is a flag, an environment variable and a line in `.env.example`."""

    models: str = knob(
        DEFAULT_MODEL,
        "models to serve, separated by commas: catalog names, Hugging Face ids or folders; also MODEL@PRECISION, "
        "MODEL@RUNTIME:PRECISION, and ALIAS= in front",
    )
    host: str = knob("127.0.0.1", "address to listen on; 0.0.0.0 opens the server to the network")
    port: int = knob(8080, "port to listen on; 0 takes a free one and prints it")
    runtime: str = knob(
        "openvino", "what runs the graph: openvino, onnx, torch (GPUs), reference, or numpy (float64, slow, the truth)"
    )
    precision: Literal["auto", "float64", "float32", "tf32", "bfloat16", "float16", "int8"] = knob(
        "auto",
        "auto: what the runtime chooses, and it says why (openvino: bfloat16 where the processor has it natively, "
        "else float32); int8 only if asked for",
    )
    allow_unproven: bool = knob(
        False, "run int8 of a model also where it has not passed its proof on this machine; it counts as unproven"
    )
    device: str = knob("auto", "where the runtime runs: auto, cpu, cuda, cuda:1, mps")
    threads: int = knob(0, "processor threads for the model; 0 reads the affinity and the container's quota")
    lanes: int = knob(0, "batches that run at once; 0 measures at the first start and remembers")
    batch_tokens: int = knob(
        1024, "tokens that one run of the model takes; small batches stay in the processor's cache", least=1
    )
    truncate: Truncate = knob("right", "a text over the model's limit: cut it (left, right; reported) or refuse it")
    token_ids: Literal["cl100k", "model", "refuse"] = knob(
        "cl100k",
        "arrays of token ids: decoded as OpenAI's cl100k where embedstack[cl100k] is installed (else refused), "
        "read as the model's own vocabulary, or refused",
    )
    vector_cache_mb: int = knob(0, "memory for a cache of finished vectors; 0 switches it off")
    max_items: int = knob(2048, "most items in one request", least=1)
    max_body_mb: int = knob(32, "largest request body", least=1)
    max_request_tokens: int = knob(0, "most tokens in one request; 0 sets no limit beside max_body_mb")
    max_text_chars: int = knob(1_000_000, "longest text, before it is tokenised", least=1)
    max_wait_ms: int = knob(
        0, "an interactive request that would wait longer than this is refused (429); 0 chooses by the model's speed"
    )
    max_bulk_wait_s: int = knob(30, "a bulk request that would wait longer than this is refused (429)", least=1)
    bulk_batch_ms: int = knob(
        40, "bulk batches are made so small that interactive requests wait no longer than this for one", least=1
    )
    memory_mb: int = knob(
        0,
        "ceiling for the memory that only this process holds; what was not used for longest makes room, what cannot "
        "fit is refused; 0 sets none",
    )
    lazy: bool = knob(False, "load a model at its first request and not at the start")
    idle_unload_s: int = knob(0, "unload a model that nobody used for so long; 0 keeps it")
    jobs_at_once: int = knob(
        64,
        "jobs that a worker has in hand at a time; their texts run in common batches",
        least=1,
        env="RUNPOD_MAX_CONCURRENCY",
    )
    dialect: str = knob(
        "", "dialects whose paths win at the root, the first one first; the others follow as documented"
    )
    collections: str = knob(
        "",
        "collections that can be searched and asked for as models, separated by commas: NAME=DATABASE#COLLECTION, or "
        "DATABASE#COLLECTION; an alias of the database does as well",
        private=True,
    )
    qdrant_api_key: str = knob("", "key for Qdrant", env="QDRANT_API_KEY", secret=True)
    api_keys: str = knob(
        "", "keys that callers must send, as name:key or name:sha256:digest, separated by commas", secret=True
    )
    api_keys_file: str = knob("", "a file of such keys, one a line")
    admin_key: str = knob(
        "", "key for loading and unloading models and for usage totals; without it nobody may", secret=True
    )
    open_metrics: bool = knob(True, "show /metrics without a key")
    cors_origins: str = knob("", "web pages that may call from a browser, separated by commas; * for all")
    tls_cert: str = knob("", "certificate file (PEM); with tls_key the server speaks HTTPS")
    tls_key: str = knob("", "private key file (PEM)")
    image_links: bool = knob(False, "follow links to images, never to a private address")
    max_image_mb: int = knob(10, "largest image file", least=1)
    max_image_pixels: int = knob(50_000_000, "most pixels in one image", least=1)
    drain_s: int = knob(60, "seconds that requests get after SIGTERM; bulk may have waited max_bulk_wait_s already")
    log_level: Literal["debug", "info", "warning", "error"] = knob("info", "how much is written to stderr")
    log_format: Literal["line", "json"] = knob("line", "a log line as key=value or as a JSON object")
    traces: bool = knob(False, "send OpenTelemetry spans (embedstack[otel]); OTEL_* variables say where")
    cache_dir: Path = knob(user_cache_path("embedstack"), "where models are kept")
    offline: bool = knob(False, "never use the network; only models already here are served", env="HF_HUB_OFFLINE")
    hf_endpoint: str = knob("https://huggingface.co", "the Hub or a mirror of it", env="HF_ENDPOINT")
    hf_token: str = knob("", "token for gated models on the Hub", env="HF_TOKEN", secret=True)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A variable of a server that embedstack replaces, read under its profile only.

    Args:
        field: the setting that it is; empty where it is only checked.
        words: the values that it may have, and what they are here; None for any.
        read: what a value is here.
    """

    name: str
    default: str
    field: str = ""
    words: Mapping[str, str] | None = None
    is_count: bool = False
    read: Callable[[str], str] = str

    def value(self, given: str) -> str:
        """What it is here.

        Raises:
            ConfigError: it is not what the original takes.
        """
        if self.words is not None and given not in self.words:
            raise ConfigError(f"{self.name}={given!r} is not one of: {', '.join(self.words)}; example: {self.default}")
        if self.is_count and not (given.isdecimal() and int(given) > 0):
            raise ConfigError(f"{self.name}={given!r} is not a whole number above 0; example: {self.default}")
        return self.read(given if self.words is None else self.words[given])


@dataclass(frozen=True, slots=True)
class Profile:
    """Another server's settings: its variables and their defaults.

    Args:
        dialect: whose paths win at the root.
        note: what its users should know.
        is_guarded: whether the platform lets only callers with its own key through to the server.
    """

    variables: tuple[Foreign, ...]
    dialect: str
    note: str
    is_guarded: bool = False


def catalog_name(name: str) -> str:
    """The catalog's model that a repository of ONNX files was made from, or the name itself."""
    entry = entry_of(name.removeprefix("Xenova/")) if name.startswith("Xenova/") else None
    return entry.name if entry else name


LEVELS = {"fatal": "error", "error": "error", "warn": "warning", "info": "info", "debug": "debug", "trace": "debug"}
PROFILES: Mapping[str, Profile] = {
    # https://github.com/subinsk/ai-file-cleanup/blob/87f3500a/services/model-worker/src/config/env.ts
    "model-worker": Profile(
        (
            Foreign("NODE_ENV", "development", words={word: word for word in ("development", "production", "test")}),
            Foreign("PORT", "3002", "port", is_count=True),
            Foreign("HOST", "0.0.0.0", "host"),  # noqa: S104  # as the original
            Foreign("MODEL_CACHE_DIR", "./cache/models", "cache_dir"),
            Foreign("MAX_BATCH_SIZE", "16", is_count=True),  # larger requests are split, so it decides nothing
            Foreign("TEXT_MODEL_NAME", "Xenova/all-MiniLM-L6-v2", "models", read=catalog_name),
            Foreign("IMAGE_MODEL_NAME", "Xenova/clip-vit-base-patch32", "models", read=catalog_name),
            Foreign("MAX_MEMORY_MB", "2048", "memory_mb", is_count=True),
            Foreign("LOG_LEVEL", "info", "log_level", words=LEVELS),
        ),
        "model-worker",
        "IMAGE_MODEL_NAME is served beside TEXT_MODEL_NAME; for texts alone name one model in EMBEDSTACK_MODELS",
    ),
    # https://docs.runpod.io/serverless/load-balancing/overview
    "runpod": Profile(
        (Foreign("PORT", "80", "port", is_count=True), Foreign("HOST", "0.0.0.0", "host")),  # noqa: S104
        "runpod",
        "for endpoints that balance load: /ping answers 204 while the model loads and 200 when it is ready; the "
        "endpoint must have PORT among its ports",
        is_guarded=True,
    ),
    # as the SDK serves over HTTP, but at addresses that a container can publish
    "runpod-local": Profile(
        (Foreign("PORT", "8000", "port", is_count=True), Foreign("HOST", "0.0.0.0", "host")),  # noqa: S104
        "runpod",
        "jobs are answered at once, by POST / and POST /runsync",
    ),
}


def read_settings(
    flags: Mapping[str, object] | None = None,
    env_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    profile: str | None = None,
) -> Settings:
    """The settings in force: a flag beats the environment, which beats the file. What is set to nothing is not set.

    Args:
        flags: values by field name; None means that the flag was not given.
        env_file: a file of `NAME=value` lines; `.env` in the working folder is read where it exists.
        environ: the process environment; given by tests.
        profile: a key of PROFILES. A variable of its own counts after embedstack's, and its default before ours.
    Raises:
        ConfigError: a value of the wrong type, or an unknown `EMBEDSTACK_` name.
    """
    flags = flags or {}
    sources = (os.environ if environ is None else environ, _read_file(env_file))
    for source in sources:
        _refuse_unknown(source)
    types = get_type_hints(Settings)
    values: dict[str, object] = {}
    foreign = _foreign(PROFILES[profile], sources) if profile else {}
    for row in fields(Settings):
        name, value = f"--{row.name.replace('_', '-')}", flags.get(row.name)
        if value is None:
            name, value = next(_found(row, sources), foreign.get(row.name, ("", None)))
        if not value and row.name in KEY_SOURCES:
            _refuse_empty(row, value, sources[0])
        if value is not None:
            values[row.name] = _convert(name, value, types[row.name], row)
    return Settings(**values)  # type: ignore[arg-type]


def named_variable(name: str) -> str:
    """What a variable holds that a flag names: a key on the command line would stand in the list of processes.

    Raises:
        ConfigError: it is not set, or to nothing.
    """
    if not os.environ.get(name):
        raise ConfigError(f"the environment variable {name!r} is not set; set it, or name another one")
    return os.environ[name]


def environment(env_file: Path | None = None) -> Mapping[str, str]:
    """All variables, also those of other applications; the process's beat the file's.

    Args:
        env_file: as for `read_settings`.
    """
    return {**_read_file(env_file), **os.environ}


def environment_names(row: "Field[Any]") -> tuple[str, ...]:
    """The variables that set a field, the first one that is set wins."""
    own = PREFIX + row.name.upper()
    return (own, row.metadata["env"]) if row.metadata["env"] else (own,)


def default_text(row: "Field[Any]") -> str:
    """A setting's default as a user would write it; the cache's place depends on the machine and is left out."""
    if row.name == "cache_dir":
        return ""
    return str(row.default).lower() if isinstance(row.default, bool) else str(row.default)


def example() -> str:
    """The text of `.env.example`."""
    lines = ["# every setting with its default; copy to .env and uncomment what you change"]
    for row in fields(Settings):
        own, *others = environment_names(row)
        lines += ["", f"# {'; also '.join([row.metadata['help'], *others])}", f"# {own}={default_text(row)}"]
    return "\n".join(lines) + "\n"


def _read_file(path: Path | None) -> Mapping[str, str]:
    if path is not None and not path.is_file():
        raise ConfigError(f"env file {str(path)!r} is not there; check --env-file")
    path = path or Path(".env")
    try:
        # not interpolated: what is written is what is set, also in a token that holds a `$`
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"env file {str(path)!r} cannot be read ({error}); it must be UTF-8 text") from error


def _found(row: "Field[Any]", sources: tuple[Mapping[str, str], ...]) -> Iterator[tuple[str, str]]:
    """Name and value, the strongest first."""
    return ((name, source[name]) for source in sources for name in environment_names(row) if source.get(name))


def _foreign(profile: Profile, sources: tuple[Mapping[str, str], ...]) -> dict[str, tuple[str, str]]:
    """Each setting of a profile, with the variable that it is from; all variables are checked."""
    found = {"dialect": ("the profile's dialect", profile.dialect)}
    for one in profile.variables:
        given = next((source[one.name] for source in sources if source.get(one.name)), one.default)
        value = one.value(given)
        if one.field:  # two of one field are a list
            before = f"{found[one.field][1]}," if one.field in found else ""
            found[one.field] = one.name, before + value
    return found


def _convert(name: str, value: object, wanted: Any, row: "Field[Any]") -> object:
    if wanted is Path:
        return Path(str(value)).expanduser()
    if wanted is bool and isinstance(value, str):
        value = WORDS.get(value.strip().lower(), value)
    try:
        converted = msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(name, value, row, f"is not {_kind(wanted)}") from error
    if wanted is int and isinstance(converted, int) and converted < row.metadata["least"]:
        raise _wrong(name, value, row, f"is below {row.metadata['least']}")
    return converted


def _kind(wanted: Any) -> str:
    plain = {bool: "true or false", int: "a whole number", str: "text"}
    return plain.get(wanted) or f"one of: {', '.join(get_args(wanted))}"


def _wrong(name: str, value: object, row: "Field[Any]", why: str) -> ConfigError:
    shown = "***" if row.metadata["secret"] else repr(value)
    return ConfigError(f"{name}={shown} {why}; {row.metadata['help']}; example: {default_text(row)}")


def _refuse_empty(row: "Field[Any]", given: object, environ: Mapping[str, str]) -> None:
    """A flag or a variable that a template left empty would open the server; an empty line of `.env` is a default."""
    name = next((name for name in environment_names(row) if name in environ), "")
    if name or given is not None:
        raise ConfigError(
            f"{name or '--' + row.name.replace('_', '-')} is set to nothing, which would let everybody call; "
            "give it a value, or leave it out if everybody may"
        )


def _refuse_unknown(named: Mapping[str, str]) -> None:
    known = [name for row in fields(Settings) for name in environment_names(row)]
    for name in named:
        if name.startswith(PREFIX) and name not in known and name not in NOT_OURS:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"{name} is no setting; {hint}all of them: embedstack serve --help")
