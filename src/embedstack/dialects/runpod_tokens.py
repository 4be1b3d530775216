"""Jobs for the vectors of all tokens become an Encode of their states, one of the whole text, and a look at its tokens.

Source: `handler.py` of mariorinawan12/runpod-ingest at c7bc047; the keys are its own. Special tokens have a state and
the place [0, 0], as there.
"""

from collections.abc import Mapping, Sequence

from embedstack.dialects.dialect import AnyRoute, Limits, Route, Wire
from embedstack.dialects.jobs import completed
from embedstack.dialects.kriptikworker_text import text_model
from embedstack.dialects.runpod_identity import made
from embedstack.dialects.runpod_input import PATH, JobRefused, Kind, reader
from embedstack.dialects.runpod_outputs import TokensReply
from embedstack.dialects.runpod_shapes import TokensInput, TokensJob
from embedstack.dialects.runpod_vectors import WRITERS, form_of, rows_as
from embedstack.errors import Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.types import STATES, Encode, Encoded, Text, Tokenize, Tokenized


def token_routes() -> Mapping[Kind, AnyRoute]:
    """The action that shows every token."""
    return {
        "tokens": Route(
            path=PATH,
            task="embed",
            summary="A job with the action embed_tokens: the states of a text's tokens, their places, and its vector.",
            body=TokensJob,
            reply=TokensReply,
            example=TokensJob(TokensInput(action="embed_tokens", text="A cat is a small animal.")),
            read=reader("tokens", TokensJob),
            ask=ask_tokens,
            write=write_tokens,
            in_turn=True,
        ),
    }


def ask_tokens(body: TokensJob, limits: Limits, models: Sequence[ModelSpec]) -> tuple[Encode, Encode, Tokenize]:
    """The states, the vector, and the places."""
    if not body.input.text:
        raise JobRefused("No text provided", "text")
    model, items, cut = text_model(body.input.model, limits, models), (Text(body.input.text),), limits.truncate
    return (
        Encode(model=model, items=items, outputs=STATES, truncate=cut),
        Encode(model=model, items=items, normalize=True, truncate=cut),
        Tokenize(model=model, items=items, truncate=cut),
    )


def write_tokens(body: TokensJob, answers: tuple[Encoded, Encoded, Tokenized]) -> Wire:
    """All of them, token by token.

    Raises:
        Unsupported: the model reads other tokens than its tokeniser makes, so that nobody knows their places.
    """
    shown, whole, read = answers
    assert shown.states is not None
    (states,), form = shown.states, body.input.encoding_format
    places = [[piece.start or 0, piece.stop or 0] for piece in read.items[0] if not piece.is_cut]
    if len(places) != len(states):
        raise Unsupported(
            f"{whole.spec.name!r} reads {len(states)} tokens where its tokeniser makes {len(places)}, so their places "
            "are unknown; use another model"
        )
    output = {
        "token_embeddings": [WRITERS[form or "float"](row) for row in states],
        "offset_mapping": places,
        "pooled_embedding": rows_as(whole, form)[0],
    }
    return completed({**output, **form_of(form), **made(whole)}, answers, in_turn=True)
