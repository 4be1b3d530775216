"""Cohere's tokenize and detokenize bodies become requests, and tokens and texts become their replies.

Source: https://docs.cohere.com/reference/tokenize, https://docs.cohere.com/reference/detokenize.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from embedstack.dialects.cohere_shape import ApiVersion
from embedstack.dialects.dialect import Limits, Wire
from embedstack.dialects.wire import Name, decode, dump, model_for
from embedstack.modelspec import ModelSpec
from embedstack.types import Decode, Decoded, Text, Tokenize, Tokenized, Tokens

VERSION = {"api_version": {"version": "1"}}
TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class TokenizeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A text to cut into tokens, without special ones."""

    text: str
    model: Name | None = None


class DetokenizeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Token ids of one text."""

    tokens: Annotated[list[TokenId], msgspec.Meta(min_length=1, max_length=65536)]  # the original's limit
    model: Name | None = None


class PlainMeta(msgspec.Struct, forbid_unknown_fields=True):
    """About the reply."""

    api_version: ApiVersion


class TokenizeReply(msgspec.Struct, forbid_unknown_fields=True):
    """Ids, and what each stands for."""

    tokens: list[int]
    token_strings: list[str]
    meta: PlainMeta


class DetokenizeReply(msgspec.Struct, forbid_unknown_fields=True):
    """The text."""

    text: str
    meta: PlainMeta


_TOKENIZE = msgspec.json.Decoder(TokenizeBody)
_DETOKENIZE = msgspec.json.Decoder(DetokenizeBody)


def read_tokenize(raw: bytes) -> TokenizeBody:
    """Bytes to a body."""
    return decode(_TOKENIZE, raw)


def read_detokenize(raw: bytes) -> DetokenizeBody:
    """Bytes to a body."""
    return decode(_DETOKENIZE, raw)


def ask_tokenize(body: TokenizeBody, _: Limits, models: Sequence[ModelSpec]) -> Tokenize:
    """The tokens of one text."""
    model = model_for(None, body.model, models)
    return Tokenize(model=model, items=(Text(body.text, "none"),), special_tokens=False)


def ask_detokenize(body: DetokenizeBody, _: Limits, models: Sequence[ModelSpec]) -> Decode:
    """The text of one list of ids."""
    return Decode(model=model_for(None, body.model, models), items=(Tokens(tuple(body.tokens)),))


def write_tokenize(_: TokenizeBody, answer: Tokenized) -> Wire:
    """Ids and strings in order."""
    pieces = answer.items[0]
    ids, strings = [piece.id for piece in pieces], [piece.text for piece in pieces]
    return Wire(200, dump({"tokens": ids, "token_strings": strings, "meta": VERSION}))


def write_detokenize(_: DetokenizeBody, answer: Decoded) -> Wire:
    """The text."""
    return Wire(200, dump({"text": answer.texts[0], "meta": VERSION}))
