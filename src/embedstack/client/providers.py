"""The providers by name: how each is spoken to, where it is if nobody says, and which variable holds its key."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from embedstack.client.client import JOB_TIMEOUT_S, TIMEOUT_S
from embedstack.client.endpoint import JOB_STEPS
from embedstack.errors import ConfigError
from embedstack.modelspec import Task

RUNPOD_URL = "https://api.runpod.ai/v2"  # RunPod's own client has it, and the variable, in runpod/__init__.py
RUNPOD_URL_VARIABLE = "RUNPOD_ENDPOINT_BASE_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One row of the table.

    Args:
        dialect: what its endpoints speak; empty for a model in this process.
        url: where it is; `{model}` stands for the model's name; empty where there is no usual place.
        key_names: the variables that may hold its key, the first that is set.
        models: what it is asked for where nobody says.
        needs_key: whether it refuses everybody without one.
        sleeps: whether a call may have to wait until a worker was started, so that a call in advance is worth it.
        overlooks_roles: whether it puts no prompts in front, so that they must go in front here.
        prefix: where on the server its dialect is at home.
    """

    dialect: str
    url: str = ""
    key_names: tuple[str, ...] = ()
    models: Mapping[Task, str] | None = None
    needs_key: bool = False
    timeout_s: float = TIMEOUT_S
    sleeps: bool = False
    overlooks_roles: bool = False
    prefix: str = ""


PROVIDERS: Mapping[str, Provider] = {
    # of our own server under the prefix of TEI, whose dialect can ask for most
    "embedstack": Provider(
        dialect="tei", url="http://127.0.0.1:8080", key_names=("EMBEDSTACK_CLIENT_KEY",), prefix="/tei"
    ),
    "local": Provider(dialect=""),
    "runpod": Provider(
        dialect="runpod", key_names=("RUNPOD_API_KEY",), timeout_s=JOB_TIMEOUT_S, sleeps=True, needs_key=True
    ),
    "tei": Provider(dialect="tei", url="http://127.0.0.1:8080", key_names=("TEI_API_KEY",)),
    "infinity": Provider(
        dialect="infinity", url="http://127.0.0.1:7997", key_names=("INFINITY_API_KEY",), overlooks_roles=True
    ),
    "openai": Provider(
        dialect="openai",
        url="https://api.openai.com/v1",
        key_names=("OPENAI_API_KEY",),
        models={"embed": "text-embedding-3-small"},
        needs_key=True,
        overlooks_roles=True,
    ),
    "huggingface": Provider(
        dialect="huggingface",
        url="https://router.huggingface.co/hf-inference/models/{model}",
        key_names=("HF_TOKEN", "HUGGINGFACE_API_KEY"),
        needs_key=True,
        sleeps=True,
        overlooks_roles=True,
    ),
    "jina": Provider(
        dialect="jina",
        url="https://api.jina.ai",
        key_names=("JINA_API_KEY",),
        models={"embed": "jina-embeddings-v3", "rerank": "jina-reranker-v2-base-multilingual"},
        needs_key=True,
    ),
    "cohere": Provider(
        dialect="cohere",
        url="https://api.cohere.com",
        key_names=("COHERE_API_KEY", "CO_API_KEY"),
        models={"embed": "embed-v4.0", "rerank": "rerank-v3.5"},
        needs_key=True,
    ),
    "model-worker": Provider(dialect="model-worker", url="http://127.0.0.1:3002", overlooks_roles=True),
    "rag-stack": Provider(dialect="rag-stack", url="http://localhost:8080", overlooks_roles=True),
}
"""In the order in which they are listed to users."""


def provider(name: str) -> Provider:
    """The row.

    Raises:
        ConfigError: no such provider.
    """
    if name not in PROVIDERS:
        raise ConfigError(f"provider {name!r} is unknown; choose one of: {', '.join(PROVIDERS)}")
    return PROVIDERS[name]


def provider_of_url(url: str) -> str:
    """Whose a URL is, where nobody says: one that ends as a call to RunPod does is RunPod's, others are ours."""
    return "runpod" if is_of_jobs(url) else "embedstack"


def is_of_jobs(url: str) -> bool:
    """Whether it is the URL of a RunPod call."""
    return url.rstrip("/").rpartition("/")[2] in JOB_STEPS


def base_url(name: str, url: str, model: str) -> str:
    """The base URL of an endpoint.

    Args:
        url: as it was given; empty for where the provider usually is.
    Raises:
        ConfigError: it has no usual place, or the place depends on a model that nobody named.
    """
    row = provider(name)
    if url:
        plain = url.rstrip("/")
        if row.dialect == "runpod":
            return plain.rpartition("/")[0] if is_of_jobs(plain) else plain
        return plain.removesuffix("/v1").removesuffix(row.prefix) + row.prefix if row.prefix else plain
    if not row.url:
        raise ConfigError(f"provider {name!r} needs a url; for RunPod https://api.runpod.ai/v2/ENDPOINT_ID")
    if "{model}" in row.url and not model:
        raise ConfigError(f"provider {name!r} needs a model, such as BAAI/bge-m3: its url depends on it")
    return row.url.replace("{model}", quote(model, safe="/")) + row.prefix


def key_from(name: str, environ: Mapping[str, str], *, names: tuple[str, ...] = ()) -> str:
    """The provider's key; empty where none is set.

    Args:
        names: variables that are looked at instead of the provider's own.
    """
    return next((environ[one] for one in names or provider(name).key_names if environ.get(one)), "")


def must_have_key(name: str, key: str, url: str) -> None:
    """Refuse a hosted provider without a key, since it would refuse every call; a stand-in for it may need none.

    Raises:
        ConfigError: names the variable.
    """
    row = provider(name)
    if row.needs_key and not key and url.startswith("https://"):
        raise ConfigError(f"provider {name!r} needs a key, and {row.key_names[0]} is not set; set it")
