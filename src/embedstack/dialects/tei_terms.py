"""What the routes of Text Embeddings Inference share: the error map, models by kind, inputs, truncation, headers.

Source: https://github.com/huggingface/text-embeddings-inference, router/src/http at 0d124dc.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import msgspec

from embedstack.dialects.dialect import Limits, TokenIds
from embedstack.dialects.wire import (
    BodyTooLong,
    BodyTooSlow,
    EmptyList,
    Inputs,
    Name,
    NoRoute,
    PackedBody,
    WrongMethod,
    items_of,
    model_for,
)
from embedstack.errors import (
    BadRequest,
    DeadlineExceeded,
    EmbedstackError,
    Forbidden,
    NotReady,
    Overloaded,
    Unauthorized,
    UnknownModel,
    Unsupported,
)
from embedstack.modelspec import ModelSpec, Output, Task, Truncate
from embedstack.types import Text, Tokens, Usage

Side = Literal["left", "right", "Left", "Right"]
ErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"]
KINDS: dict[Task, str] = {
    "embed": "model is not an embedding model",
    "rerank": "model is not a re-ranker model",
    "classify": "model is not a classifier model",
}
"""How the original begins when the one model that it has is of another kind."""
OWN_IDS: TokenIds = "model"
SPLADE = "model is not an embedding model with SPLADE pooling"


class WrongKind(Unsupported):
    """No model of the kind that the route needs."""


class Truncated(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The fields that the bodies of all computing routes have."""

    truncate: bool | None = None  # the server's setting if null; false refuses texts over the limit
    truncation_direction: Side | None = None
    model: Name | None = None  # not of the original; needed where several are served


class Prompted(Truncated, kw_only=True, omit_defaults=True):
    """The fields that the bodies of embedding routes have."""

    inputs: Inputs
    prompt_name: Name | None = None


def in_their_words(error: EmbedstackError) -> tuple[int, ErrorType]:
    """Status and error type. The original has no 403, 404, 405 and 504; a route without its model is a 424 there."""
    match error:
        case BodyTooLong():
            return 413, "Validation"
        case EmptyList():
            return 400, "Empty"
        case UnknownModel() | WrongKind():
            return 424, "Backend"
        case NoRoute() | WrongMethod() | Unauthorized() | Forbidden() | BodyTooSlow() | PackedBody():
            return error.status, "Validation"
        case BadRequest():
            return 422, "Validation"
        case Overloaded():
            return 429, "Overloaded"
        case NotReady():
            return 503, "Unhealthy"
        case DeadlineExceeded():
            return 504, "Backend"
        case _:
            return 424, "Backend"


# ------------------------------------------------------------------------------------------------ models


def model_of(task: Task, named: str | None, limits: Limits, models: Sequence[ModelSpec]) -> str:
    """The model of the task that the body names, or the only one.

    Raises:
        WrongKind: there is none, or the one that is named has another task.
        Misfit: several are served and none is named.
    """
    if not any(spec.task == task for spec in models):
        raise WrongKind(f"{KINDS[task]}, and no other is served here; start the server with one: --models")
    spec = limits.spec_of(named, models) if named else None
    if spec is not None and spec.task != task:
        raise WrongKind(f"{KINDS[task]}: {spec.name!r} is for {spec.task!r}; name another")
    return model_for(task, named, models)


def model_giving(output: Output, lacking: str, named: str | None, limits: Limits, models: Sequence[ModelSpec]) -> str:
    """The embedding model with this output that the body names, or the only one.

    Args:
        lacking: how the message begins where there is none.
    Raises:
        WrongKind, Misfit: as `model_of`.
    """
    able = [spec for spec in models if spec.task == "embed" and output in spec.outputs]
    spec = limits.spec_of(named, models) if named else None
    if not able or (spec is not None and spec not in able):
        has = f"{spec.name!r} has {', '.join(spec.outputs)}" if spec else "no model here has such vectors"
        raise WrongKind(f"{lacking}: {has}; serve and name a model with {output} vectors")
    return model_for("embed", named, able)


# ------------------------------------------------------------------------------------------------ inputs


def items_from(body: Prompted, limits: Limits) -> tuple[Text | Tokens, ...]:
    """Texts with their prompt, and token ids as they are.

    The original turns ids into text and that into ids again, without adding special tokens, so they are the model's
    own here too, whatever the server's setting for other dialects is.
    """
    items = items_of(body.inputs, body.prompt_name, replace(limits, token_ids=OWN_IDS), "inputs", unsaid="none")
    for place, item in enumerate(items):
        check_item(item, f"inputs[{place}]")
    return items


def check_item(item: Text | Tokens, name: str) -> None:
    """Refuse a text without a character and a list without an id, which are of the type Empty in the original."""
    if not (item.text if isinstance(item, Text) else item.ids):
        raise EmptyList(f"{name} is empty; send something or leave it out", name)


def characters(inputs: Inputs) -> int:
    """Of all texts; the original counts ids as one each."""
    if isinstance(inputs, str):
        return len(inputs)
    return sum(1 if isinstance(one, int) else len(one) for one in inputs)


def truncation(body: Truncated, limits: Limits) -> Truncate:
    """What the body says, and the server's setting where it is silent."""
    if body.truncate is False or (body.truncate is None and limits.truncate == "refuse"):
        return "refuse"
    if body.truncation_direction is not None:
        return "left" if body.truncation_direction in ("left", "Left") else "right"
    return "left" if limits.truncate == "left" else "right"


def side(truncate: Truncate) -> Side | None:
    """The field that asks for it."""
    sides: dict[Truncate, Side] = {"left": "Left", "right": "Right"}
    return sides.get(truncate)


# ------------------------------------------------------------------------------------------------ headers


def spent(usage: Usage, count: int) -> dict[str, str]:
    """The headers of the original, times in milliseconds; without `x-compute-type`, which names a GPU there always.

    Args:
        count: characters of the texts.
    """
    total = _milliseconds(usage.tokenize_s + usage.wait_s + usage.run_s)
    return {
        "x-compute-time": total,
        "x-compute-characters": str(count),
        "x-compute-tokens": str(usage.tokens),
        "x-total-time": total,
        "x-tokenization-time": _milliseconds(usage.tokenize_s),
        "x-queue-time": _milliseconds(usage.wait_s),
        "x-inference-time": _milliseconds(usage.run_s),
    }


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
