"""Hugging Face Inference: its bodies and replies at our server, and what its servers say to our client."""

import asyncio
import json

import numpy as np
import pytest

from embedstack.client import Client
from embedstack.dialects.dialect import Limits, Wire
from embedstack.dialects.huggingface import HuggingFace
from embedstack.dialects.reply import body_bytes
from embedstack.dialects.wire import Misfit
from embedstack.errors import BadRequest, NotReady, Overloaded, Unsupported, Upstream
from embedstack.modelspec import ModelSpec
from embedstack.testing.check_dialect import check_dialect
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Text

HF = HuggingFace()
(ROUTE,) = HF.routes
LIMITS = Limits(max_items=4, truncate="right")


def asked(body: object, limits: Limits = LIMITS, models: tuple[ModelSpec, ...] = (hash_spec(),)) -> Encode:
    return ROUTE.ask(ROUTE.read(json.dumps(body).encode()), limits, models)


def replied(body: object) -> object:
    parsed = ROUTE.read(json.dumps(body).encode())
    answer = asyncio.run(HashEncoder().encode(ROUTE.ask(parsed, LIMITS, (hash_spec(),))))
    return json.loads(ROUTE.write(parsed, answer).body)


def heard(rows: object, **terms) -> np.ndarray:
    count = len(rows) if isinstance(rows, list) else 1
    request = Encode(model="", items=(Text("a"),) * count, **terms)
    return ROUTE.hear(Wire(200, json.dumps(rows).encode()), request).rows


def failed(status: int, body: bytes, **headers: str):
    return HF.hear_failure(Wire(status, body, headers))


def test_the_dialect_keeps_the_contract():
    assert check_dialect(HF) == []


def test_a_list_of_texts_has_a_row_for_each_and_a_text_the_row_alone():
    assert np.shape(replied({"inputs": ["a cat", "rain"]})) == (2, 32)
    assert np.shape(replied({"inputs": "a cat"})) == (32,)


@pytest.mark.parametrize(
    ("fields", "role"),
    [
        ({}, "none"),
        ({"prompt_name": "query"}, "query"),
        ({"input_type": "document"}, "document"),
        ({"input_type": "passage"}, "document"),
        ({"prompt_name": "query", "input_type": "query"}, "query"),
    ],
)
def test_a_text_gets_the_prompt_that_is_named_and_else_none(fields, role):
    assert asked({"inputs": ["a"], **fields}).items == (Text("a", role),)


def test_two_names_that_differ_are_refused():
    with pytest.raises(Misfit, match="'query' and input_type 'document' differ"):
        asked({"inputs": ["a"], "prompt_name": "query", "input_type": "document"})


@pytest.mark.parametrize(
    ("fields", "default", "truncate"),
    [
        ({}, "right", "right"),
        ({}, "refuse", "refuse"),
        ({"truncate": False}, "right", "refuse"),
        ({"truncate": True}, "refuse", "right"),
        ({"truncate": True, "truncation_direction": "Left"}, "right", "left"),
        ({"truncation_direction": "right"}, "left", "right"),
    ],
)
def test_what_is_cut_is_what_the_body_says_and_else_the_servers_rule(fields, default, truncate):
    assert asked({"inputs": ["a"], **fields}, Limits(max_items=4, truncate=default)).truncate == truncate


def test_unknown_fields_are_ignored_as_there():
    assert asked({"inputs": ["a"], "options": {"wait_for_model": True}}).items == (Text("a", "none"),)


# ------------------------------------------------------------------------------------------------ the client's half


def test_a_client_never_says_a_prompts_name_which_models_without_it_refuse():
    said = ROUTE.say(Encode(model="", items=(Text("a", "query"),)))

    assert (said.prompt_name, said.input_type) == (None, "query")


@pytest.mark.parametrize(("normalize", "said"), [(None, True), (True, True), (False, False)])
def test_a_client_says_whether_vectors_are_of_length_1(normalize, said):
    body = ROUTE.say(Encode(model="", items=(Text("a"),), normalize=normalize))

    assert json.loads(body_bytes(body))["normalize"] is said


def test_vectors_of_tokens_are_refused_with_the_reason():
    with pytest.raises(Upstream, match="served there without its pooling"):
        heard([[[1.0, 0.0], [0.0, 1.0]]])


def test_vectors_of_another_length_than_was_asked_for_are_refused():
    with pytest.raises(Upstream, match="one of the reply has 5: the model is served there without its last step"):
        heard([[1.0, 0.0], [3.0, 4.0]], normalize=True)


@pytest.mark.parametrize("normalize", [None, False])
def test_without_that_wish_any_length_is_right(normalize):
    assert heard([[3.0, 4.0]], normalize=normalize).tolist() == [[3.0, 4.0]]


def test_a_model_that_is_loading_says_how_long_it_needs():
    body = b'{"error":"Model BAAI/bge-m3 is currently loading","estimated_time":20.5}'
    error = failed(503, body)

    assert isinstance(error, NotReady)
    assert error.retry_after_s == 20.5
    assert "currently loading" in error.message


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (
            401,
            b'{"error":"Invalid credentials in Authorization header"}',
            Upstream,
            "Invalid credentials .* check the key",
        ),
        (402, b'{"error":"You have exceeded your monthly included credits"}', Upstream, "monthly included credits"),
        (404, b"Not Found", Upstream, "404 Not Found: Not Found; check url and model"),
        (429, b'{"error":"rate limited"}', Overloaded, "rate limited"),
        (400, b'{"error":["Error in `inputs`"],"warnings":[]}', BadRequest, "Error in `inputs`"),
    ],
)
def test_its_errors_are_heard_in_its_words(status, body, kind, said):
    with pytest.raises(kind, match=said):
        raise failed(status, body)


def test_the_address_of_a_model_is_its_base():
    client = Client("https://router.huggingface.co/hf-inference/models/BAAI/bge-m3", dialect="huggingface")

    assert str(client._endpoint.at(ROUTE.path)) == (
        "https://router.huggingface.co/hf-inference/models/BAAI/bge-m3/pipeline/feature-extraction"
    )


def test_what_it_has_no_word_for_is_refused():
    with pytest.raises(Unsupported, match="max_tokens=3"):
        ROUTE.say(Encode(model="", items=(Text("a"),), max_tokens=3))
