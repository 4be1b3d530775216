"""Hugging Face Inference: `/pipeline/feature-extraction` of a model's address, vectors as a bare array.

Source: https://huggingface.co/docs/inference-providers/tasks/feature-extraction, and the addresses of
https://github.com/huggingface/huggingface_hub, src/huggingface_hub/inference/_providers/hf_inference.py. The base is
`https://router.huggingface.co/hf-inference/models/ORG/NAME`, so the model is in the address. `model` and `input_type`,
the role of the texts, are more; as there, an unknown field is ignored, and a text without a prompt's name gets none.

The fields are those of Text Embeddings Inference, which serves most models there. Behind the same address others are
served by code that overlooks all but `inputs`, so a role is no promise, and whether vectors are of length 1 is checked.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from embedstack.dialects.dialect import Field, Heard, Info, Limits, Page, Route, Wire
from embedstack.dialects.failure import CODES, failure
from embedstack.dialects.openai_shape import ROLES
from embedstack.dialects.reply import must_be_unit, must_carry, one_role, texts_of, understood, vectors, whole_number
from embedstack.dialects.wire import Count, Misfit, Name, as_floats, check_count, decode, dump, model_for, retry_after
from embedstack.errors import EmbedstackError, NotReady, UnknownModel, Upstream
from embedstack.modelspec import ModelSpec, Truncate
from embedstack.types import Encode, Encoded, Text

CARRIES: frozenset[Field] = frozenset({"role", "dim", "normalize", "truncate"})
OF_TOKENS = (
    "the reply holds the vectors of each text's tokens: the model is served there without its pooling; "
    "choose a model that is tagged sentence-transformers"
)


class FeaturesBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is asked for."""

    inputs: str | list[str]
    normalize: bool | msgspec.UnsetType = msgspec.UNSET  # true if nothing is said
    prompt_name: Name | None = None
    truncate: bool | None = None  # the server's setting if null; false refuses texts over the limit
    truncation_direction: Literal["Left", "Right", "left", "right"] | None = None
    dimensions: Count | None = None
    model: Name | None = None
    input_type: Name | None = None  # query, document, none, or another role that the model has a prompt for


class FeaturesFailure(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What went wrong, and our code for it; the seconds that a model still needs, where it is loading."""

    error: str
    code: str
    estimated_time: float | msgspec.UnsetType = msgspec.UNSET


class _Loading(msgspec.Struct):
    estimated_time: float | None = None


_BODY = msgspec.json.Decoder(FeaturesBody)
_ROWS: msgspec.json.Decoder[list[list[float]]] = msgspec.json.Decoder(list[list[float]])
_TOKENS: msgspec.json.Decoder[list[list[list[float]]]] = msgspec.json.Decoder(list[list[list[float]]])
_LOADING = msgspec.json.Decoder(_Loading)


class HuggingFace:
    """The dialect."""

    name = "huggingface"
    prefix = "/huggingface"
    failure = FeaturesFailure
    max_items = 32  # router/src/main.rs of Text Embeddings Inference, the default of --max-client-batch-size
    info: Info | None = None
    pages: tuple[Page, ...] = ()

    def __init__(self) -> None:
        self.routes = (
            Route(
                path="/pipeline/feature-extraction",
                task="embed",
                summary="Vectors of texts, as Hugging Face Inference gives them.",
                body=FeaturesBody,
                reply=list[list[float] | float],
                example=FeaturesBody(inputs=["what is a cat?", "a cat is a small animal"]),
                read=lambda raw: decode(_BODY, raw),
                ask=_ask,
                write=_write,
                carries=CARRIES,
                say=_say,
                hear=_hear,
                unsaid_role="none",
                overlooks_role=True,
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """The sentence under the original's key, and our code."""
        body: dict[str, object] = {"error": error.message, "code": error.code}
        if isinstance(error, NotReady):
            body["estimated_time"] = error.retry_after_s
        return Wire(error.status, dump(body), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the code, else by the status; a model that is loading says how long it needs."""
        heard = failure(wire, {**CODES, UnknownModel.code: UnknownModel})
        if isinstance(heard, NotReady):
            return NotReady(heard.message, max(heard.retry_after_s, _estimated_s(wire)))
        return heard


def _estimated_s(wire: Wire) -> float:
    try:
        return _LOADING.decode(wire.body).estimated_time or 0.0
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0.0


def _ask(body: FeaturesBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    check_count(len(texts), limits, "inputs")
    role = _role(body)
    return Encode(
        model=model_for("embed", body.model, models),
        items=tuple(Text(text, role) for text in texts),
        dim=body.dimensions,
        normalize=body.normalize is not False,
        truncate=_truncation(body, limits),
    )


def _role(body: FeaturesBody) -> str:
    said = dict.fromkeys(one for one in (body.prompt_name, body.input_type) if one is not None)
    if len(said) > 1:
        raise Misfit(
            f"prompt_name {body.prompt_name!r} and input_type {body.input_type!r} differ; send one of them",
            "input_type",
        )
    role = next(iter(said), "none")
    return ROLES.get(role, role)


def _truncation(body: FeaturesBody, limits: Limits) -> Truncate:
    if body.truncate is False or (body.truncate is None and limits.truncate == "refuse"):
        return "refuse"
    if body.truncation_direction is not None:
        return "left" if body.truncation_direction.lower() == "left" else "right"
    return "left" if limits.truncate == "left" else "right"


def _write(body: FeaturesBody, answer: Encoded) -> Wire:
    """A row for each text; for one that is no list, the row alone."""
    assert answer.dense is not None
    rows = [as_floats(row) for row in answer.dense]
    return Wire(200, dump(rows[0] if isinstance(body.inputs, str) else rows), _spent(answer))


def _spent(answer: Encoded) -> dict[str, str]:
    return {"x-compute-tokens": str(answer.usage.tokens)}


def _say(request: Encode) -> FeaturesBody:
    must_carry(request, CARRIES, "huggingface")
    role = one_role(request)
    return FeaturesBody(
        inputs=texts_of(request),
        normalize=request.normalize is not False,
        truncate=request.truncate != "refuse",
        truncation_direction="Left" if request.truncate == "left" else None,
        dimensions=request.dim,
        model=request.model or None,
        input_type=None if role == "none" else role,  # no `prompt_name`: models without it are refused there
    )


def _hear(wire: Wire, request: Encode) -> Heard:
    try:
        reply = understood(_ROWS, wire)
    except Upstream as error:
        if _is_of_tokens(wire):
            raise Upstream(OF_TOKENS) from error
        raise
    rows = vectors(reply, len(request.items))
    must_be_unit(rows, request)
    return Heard(rows, whole_number(wire.headers.get("x-compute-tokens")))


def _is_of_tokens(wire: Wire) -> bool:
    try:
        return bool(_TOKENS.decode(wire.body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
