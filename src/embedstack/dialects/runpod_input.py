"""The bytes of a job -> which of the many inputs of RunPod workers it is, or why it is none; each is of one kind alone.

Sources, whose words the errors have: `handler.py` of mariorinawan12/runpod-query at d8c8b7f and of
mariorinawan12/runpod-ingest at c7bc047; the worker planned in maslennikov-ig/MC-2,
docs/tasks/RERANKING-OPTIMIZATION-TASKS.md at b9fd2c1b.
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

import msgspec

from embedstack.dialects.wire import Misfit, OtherShape, decode
from embedstack.errors import Unsupported

Kind = Literal[
    "texts", "pictures", "items", "siglip", "vision", "infinity", "docs", "rank", "query", "batch", "late", "lates",
    "health", "models", "forward",
]  # fmt: skip
Body = TypeVar("Body", bound=msgspec.Struct)
PATH = "/runsync"
ACTIONS: Mapping[str, Kind] = {
    "embed_query": "query",
    "embed_batch": "batch",
    "late_chunk": "late",
    "late_chunk_batch": "lates",
    "health_check": "health",
}
SEEING = ("auto", "image", "text", "similarity")  # types of KripTik's SigLIP worker; its VL-JEPA worker has others
MODELS = ("v1/models", "models")
WORD = re.compile(r"[\w.-]{1,64}", re.ASCII)
ELSE = "(no word)"  # in the place of what may be a text; no text is quoted
NOTHING = (
    "Invalid request. Provide 'texts' for embeddings or 'query'+'documents' for reranking. "
    "(also: 'images', 'items', 'input', 'query' or 'queries' alone, 'query'+'docs', 'type', "
    "'openai_route'+'openai_input', or one of the actions {actions})"
).format(actions=", ".join(ACTIONS))
TOKENS = (
    "action 'embed_tokens' is not served: the states of tokens are no output of any model here; "
    "send late_chunk with the sentences, which are pooled from these states"
)
TWO = "the input has a query and texts; send texts alone for vectors, or query and documents for scores"


class JobRefused(Misfit):
    """An input that a worker refuses in its own words, and what it gives beside them."""

    def __init__(self, message: str, param: str | None = None, **beside: object) -> None:
        super().__init__(message, param)
        self.beside = beside


class _Job(msgspec.Struct):
    input: dict[str, msgspec.Raw]


_JOB = msgspec.json.Decoder(_Job)


def kind_of(raw: bytes) -> Kind:
    """Which input it is, by the names of its fields; one that is null is not there.

    Raises:
        Misfit: no JSON, no input, or none of these.
        Unsupported: known, and nobody here can answer it.
    """
    given = {name: value for name, value in decode(_JOB, raw).input.items() if bytes(memoryview(value)[:5]) != b"null"}
    if path := _word(given, "openai_route"):
        return "models" if path.strip("/") in MODELS else "forward"
    if action := _word(given, "action"):
        return _of_action(action)
    if "query" in given or "queries" in given:
        return _of_query(given)
    if "items" in given:
        return "items"
    if "images" in given:
        return "pictures"
    if seen := _word(given, "type"):
        return "siglip" if seen in SEEING else "vision"
    if "image" in given:
        return "siglip"
    if "texts" in given or "text" in given:
        return "texts"
    if "input" in given:
        return "infinity"
    raise JobRefused(NOTHING)


def reader(kind: Kind, body: type[Body]) -> Callable[[bytes], Body]:
    """Bytes to the body of one kind of job.

    It raises `OtherShape` where the job is of another kind, and `Misfit` where it is of none, or wrong in itself.
    """
    decoder = msgspec.json.Decoder(body)

    def read(raw: bytes) -> Body:
        if kind_of(raw) != kind:
            raise OtherShape(f"the job is not of the kind {kind!r}")
        try:
            return decode(decoder, raw)
        except Misfit as error:
            raise Misfit(error.message, error.param) from None  # without a cause it goes before other dialects' reasons

    return read


def _of_action(action: str) -> Kind:
    if action == "embed_tokens":
        raise Unsupported(TOKENS)
    if action not in ACTIONS:
        raise JobRefused(f"Unknown action: {action if WORD.fullmatch(action) else ELSE}", "action")
    return ACTIONS[action]


def _of_query(given: Mapping[str, msgspec.Raw]) -> Kind:
    if "documents" in given:
        return "rank"
    if "docs" in given:
        return "docs"
    if "texts" in given:
        raise JobRefused(TWO, "query")
    return "query"


def _word(given: Mapping[str, msgspec.Raw], name: str) -> str:
    """Empty where it is not there, as to the originals."""
    if name not in given:
        return ""
    try:
        return msgspec.json.decode(given[name], type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise JobRefused(f"input.{name} is no string; send one", name) from None
