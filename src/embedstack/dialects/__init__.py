"""Other people's wire formats: bytes become requests, results become bytes; nothing here reads or writes a socket."""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from embedstack.dialects.dialect import Dialect
from embedstack.errors import ConfigError

DIALECTS: Mapping[str, str] = {
    "openai": "embedstack.dialects.openai:OpenAI",
    "tei": "embedstack.dialects.tei:Tei",
    "infinity": "embedstack.dialects.infinity:Infinity",
    "cohere": "embedstack.dialects.cohere:Cohere",
    "jina": "embedstack.dialects.jina:Jina",
    "huggingface": "embedstack.dialects.huggingface:HuggingFace",
    "model-worker": "embedstack.dialects.modelworker:ModelWorker",
    "ml-service": "embedstack.dialects.mlservice:MlService",
    "rag-stack": "embedstack.dialects.ragstack:RagStack",
    "kriptik": "embedstack.dialects.kriptik:Kriptik",
    "kriptik-worker": "embedstack.dialects.kriptikworker:KriptikWorker",
    "runpod": "embedstack.dialects.runpod:RunPod",
}
"""In order of precedence: where two dialects have one path, the root serves the first one's."""


def open_dialect(name: str) -> Dialect:
    """The row of the table, made.

    Raises:
        ConfigError: no such dialect.
    """
    if name not in DIALECTS:
        raise ConfigError(f"dialect {name!r} is unknown; choose one of: {', '.join(DIALECTS)}")
    module, _, attribute = DIALECTS[name].partition(":")
    return cast("Dialect", getattr(import_module(module), attribute)())


def open_dialects(first: str = "") -> tuple[Dialect, ...]:
    """All of them, in order of precedence.

    Args:
        first: names that come before the others, separated by commas.
    Raises:
        ConfigError: one of them is no dialect.
    """
    names = [name.strip() for name in first.split(",") if name.strip()]
    return tuple(open_dialect(name) for name in dict.fromkeys((*names, *DIALECTS)))
