"""`/tokenize` and `/decode` of Text Embeddings Inference: texts become tokens with their places, ids become texts.

Source: https://github.com/huggingface/text-embeddings-inference, router/src/http and core/src/tokenization.rs at
0d124dc. As there, nothing is cut, places are bytes of the prompt and the text in UTF-8, and a token's text is what
stands there. The tokeniser is that of the model which `/info` describes, unless another is named.
"""

from collections.abc import Sequence
from itertools import accumulate

import msgspec

from embedstack.dialects.dialect import AnyRoute, Limits, Route, Wire
from embedstack.dialects.roles import ALWAYS
from embedstack.dialects.tei_terms import check_item
from embedstack.dialects.wire import Misfit, Name, check_count, decode, dump, model_for, shortened
from embedstack.errors import UnknownModel
from embedstack.modelspec import ModelSpec, Task
from embedstack.types import Decode, Piece, Text, Tokenize, Tokenized, Tokens


class TokenizeBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is asked for."""

    inputs: str | list[str]
    add_special_tokens: bool = True
    prompt_name: Name | None = None
    model: Name | None = None


class SimpleToken(msgspec.Struct, forbid_unknown_fields=True):
    """One token; a special one stands nowhere."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class DecodeBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is asked for."""

    ids: list[int | list[int]]
    skip_special_tokens: bool = True
    model: Name | None = None


_TOKENIZE = msgspec.json.Decoder(TokenizeBody)
_DECODE = msgspec.json.Decoder(DecodeBody)


def tokenize_route() -> AnyRoute:
    """`/tokenize`."""
    return Route(
        path="/tokenize",
        task=None,
        summary="Tokens of texts, as Text Embeddings Inference gives them.",
        body=TokenizeBody,
        reply=list[list[SimpleToken]],
        example=TokenizeBody(inputs=["a cat", "rain falls"]),
        read=lambda raw: decode(_TOKENIZE, raw),
        ask=_ask_tokens,
        write=_write_tokens,
    )


def decode_route() -> AnyRoute:
    """`/decode`."""
    return Route(
        path="/decode",
        task=None,
        summary="Texts of token ids, as Text Embeddings Inference gives them.",
        body=DecodeBody,
        reply=list[str],
        example=DecodeBody(ids=[[7, 8], [9]]),
        read=_read_decode,
        ask=_ask_texts,
        write=lambda _, answer: Wire(200, dump(answer.texts)),
    )


def _model(named: str | None, models: Sequence[ModelSpec]) -> str:
    """The embedding model where there is one, since clients of the original cannot name any."""
    task: Task | None = "embed" if any(spec.task == "embed" for spec in models) else None
    return model_for(task, named, models)


# ------------------------------------------------------------------------------------------------ texts to tokens


def _ask_tokens(body: TokenizeBody, limits: Limits, models: Sequence[ModelSpec]) -> Tokenize:
    texts = _texts(body)
    check_count(len(texts), limits, "inputs")
    name = _model(body.model, models)
    spec = limits.spec_of(name, models)
    if spec is None and body.prompt_name is not None:
        served = ", ".join(spec.name for spec in models)
        raise UnknownModel(f"model {shortened(name)!r} is not served here; name one of: {served}")
    for place, text in enumerate(texts):
        check_item(Text(text), f"inputs[{place}]")
    prompt = _prompt(spec, body.prompt_name) if spec else ""
    return Tokenize(
        model=name,
        items=tuple(Text(prompt + text, "none") for text in texts),
        special_tokens=body.add_special_tokens,
    )


def _texts(body: TokenizeBody) -> list[str]:
    return [body.inputs] if isinstance(body.inputs, str) else body.inputs


def _prompt(spec: ModelSpec, name: str | None) -> str:
    """What stands in front of the texts; places count from its start."""
    if name is not None and name not in spec.prompts and name not in ALWAYS:
        known = ", ".join(sorted({*ALWAYS, *spec.prompts}))
        raise Misfit(f"prompt_name {name!r} is unknown to {spec.name!r}; send one of: {known}", "prompt_name")
    return spec.prompts.get(name, "") if name is not None else ""


def _write_tokens(body: TokenizeBody, answer: Tokenized) -> Wire:
    prompt = _prompt(answer.spec, body.prompt_name)
    rows = [_tokens(prompt + text, pieces) for text, pieces in zip(_texts(body), answer.items, strict=True)]
    return Wire(200, dump(rows))


def _tokens(text: str, pieces: Sequence[Piece]) -> list[dict[str, object]]:
    places = range(len(text) + 1) if text.isascii() else [0, *accumulate(len(char.encode()) for char in text)]
    return [_token(piece, text, places) for piece in pieces]


def _token(piece: Piece, text: str, places: Sequence[int]) -> dict[str, object]:
    """With places in bytes.

    Args:
        places: of each character, and the end.
    """
    if piece.start is None or piece.stop is None:
        shown, start, stop = piece.text, None, None
    else:
        shown, start, stop = text[piece.start : piece.stop], places[piece.start], places[piece.stop]
    return {"id": piece.id, "text": shown, "special": piece.special, "start": start, "stop": stop}


# ------------------------------------------------------------------------------------------------ ids to texts


def _read_decode(raw: bytes) -> DecodeBody:
    body = decode(_DECODE, raw)
    if len({type(one) for one in body.ids}) > 1:
        raise Misfit("ids mixes numbers with lists; send the ids of one text, or a list of such lists", "ids")
    return body


def _ask_texts(body: DecodeBody, limits: Limits, models: Sequence[ModelSpec]) -> Decode:
    batch = [one for one in body.ids if isinstance(one, list)]
    lists = batch or [[one for one in body.ids if isinstance(one, int)]]
    check_count(len(lists), limits, "ids")
    for place, ids in enumerate(lists):
        check_item(Tokens(tuple(ids)), f"ids[{place}]" if batch else "ids")
    return Decode(
        model=_model(body.model, models),
        items=tuple(Tokens(tuple(ids)) for ids in lists),
        skip_special_tokens=body.skip_special_tokens,
    )
