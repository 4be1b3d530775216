"""The bytes of a job -> which of the many inputs of RunPod workers it is, or why it is none; each is of one kind alone.

Sources, whose words the errors have: `handler.py` of mariorinawan12/runpod-query at d8c8b7f and of
mariorinawan12/runpod-ingest at c7bc047; the worker planned in maslennikov-ig/MC-2,
docs/tasks/RERANKING-OPTIMIZATION-TASKS.md at b9fd2c1b.
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, TypeVar, get_type_hints

import msgspec

from embedstack.dialects.wire import Misfit, OtherShape, decode

Kind = Literal[
    "texts", "pictures", "items", "siglip", "vision", "infinity", "docs", "rank", "query", "batch", "late", "lates",
    "tokens", "health", "models", "forward",
]  # fmt: skip
Body = TypeVar("Body", bound=msgspec.Struct)
Fields: TypeAlias = Mapping[str, msgspec.Raw]
PATH = "/runsync"
ACTIONS: Mapping[str, Kind] = {
    "embed_query": "query",
    "embed_batch": "batch",
    "late_chunk": "late",
    "late_chunk_batch": "lates",
    "embed_tokens": "tokens",
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
TWO = (
    "the input has {} and {}, which are of two kinds of job; send one of them, or with action or type say which it is "
    "(texts alone for vectors, query and documents for scores)"
)
NULL = "the input has a query, and {} is null; send a list for scores, or leave it out for the vector of the query"
SUBJECTS = (("query", "queries"), ("items",), ("images",), ("image",), ("texts", "text"), ("input",))
"""What a job may be about; one that is about two of these could be read as either."""
RANKED = ("documents", "docs")
OPTIONS = ("role", "encoding_format", "dim", "max_tokens", "truncate", "normalize", "raw_scores")
"""What is ours beside the originals' fields; where it would be overlooked it is refused."""


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
    """
    return _kind_of(_said(raw))


def _said(raw: bytes) -> Fields:
    return decode(_JOB, raw).input


def _is_null(value: msgspec.Raw) -> bool:
    return bytes(memoryview(value)[:5]) == b"null"


def _kind_of(said: Fields) -> Kind:
    given = {name: value for name, value in said.items() if not _is_null(value)}
    if path := _word(given, "openai_route"):
        return "models" if path.strip("/") in MODELS else "forward"
    if action := _word(given, "action"):
        return _of_action(action)
    seen = _word(given, "type")
    _check_one_subject(given, is_seen=bool(seen))
    if "query" in given or "queries" in given:
        return _of_query(said, given)
    if "items" in given:
        return "items"
    if "images" in given:
        return "pictures"
    if seen:
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
    decoder, overlooked = msgspec.json.Decoder(body), missing_options(get_type_hints(body)["input"])

    def read(raw: bytes) -> Body:
        said = _said(raw)
        if _kind_of(said) != kind:
            raise OtherShape(f"the job is not of the kind {kind!r}")
        for name in overlooked:
            if name in said and not _is_null(said[name]):
                raise JobRefused(f"input.{name} is nothing that a job of this kind takes; leave it out", name)
        try:
            return decode(decoder, raw)
        except Misfit as error:
            raise Misfit(error.message, error.param) from None  # without a cause it goes before other dialects' reasons

    return read


def missing_options(given: type[msgspec.Struct]) -> tuple[str, ...]:
    """Those of our options that an input has no field for."""
    return tuple(name for name in OPTIONS if name not in given.__struct_fields__)


def _of_action(action: str) -> Kind:
    if action not in ACTIONS:
        raise JobRefused(f"Unknown action: {action if WORD.fullmatch(action) else ELSE}", "action")
    return ACTIONS[action]


def _check_one_subject(given: Fields, *, is_seen: bool) -> None:
    """Refuse what could be read as either of two; a picture may have texts beside it where a type is given."""
    named = [there[0] for names in SUBJECTS if (there := [name for name in names if name in given])]
    if len(named) > 1 and not (is_seen and named[0] == "image" and named[1:] in (["texts"], ["text"])):
        raise JobRefused(TWO.format(*named), named[0])


def _of_query(said: Fields, given: Fields) -> Kind:
    if all(name in given for name in RANKED):
        raise JobRefused(TWO.format(*RANKED), RANKED[0])
    if "documents" in given:
        return "rank"
    if "docs" in given:
        return "docs"
    for name in RANKED:
        if name in said:
            raise JobRefused(NULL.format(name), name)
    return "query"


def _word(given: Fields, name: str) -> str:
    """Empty where it is not there, as to the originals."""
    if name not in given:
        return ""
    try:
        return msgspec.json.decode(given[name], type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise JobRefused(f"input.{name} is no string; send one", name) from None
