"""OpenAI's words."""

import json
from dataclasses import replace

import pytest

from embedstack.dialects.dialect import Limits, Memory, Status
from embedstack.dialects.openai import OpenAI
from embedstack.dialects.wire import BodyTooLong, Misfit, TooManyItems
from embedstack.errors import (
    Forbidden,
    LoadFailed,
    NotReady,
    Overloaded,
    RuntimeFailed,
    TooLong,
    Unauthorized,
    UnknownModel,
    Unsupported,
)
from embedstack.testing.fake import hash_spec
from embedstack.types import Encode, Text

LIMITS = Limits(max_items=8, truncate="left", token_ids="refuse")
OPENAI = OpenAI()
ROUTE = OPENAI.routes[0]


def ask(**body) -> Encode:
    return ROUTE.ask(ROUTE.read(json.dumps(body).encode()), LIMITS, [hash_spec()])


def test_the_fields_become_the_request():
    request = ask(input=["a"], model="m", dimensions=16, user="u", encoding_format="base64")

    assert request == Encode(model="m", items=(Text("a"),), dim=16, caller="u", truncate="left")


def test_a_text_is_a_document_unless_input_type_says_otherwise():
    given = ({}, {"input_type": "query"}, {"input_type": "passage"}, {"input_type": "none"})
    roles = [ask(input="a", **more).items[0].role for more in given]

    assert roles == ["document", "query", "document", "none"]


def test_null_is_as_good_as_left_out():
    assert ask(input="a", dimensions=None, encoding_format=None, user=None, model=None) == ask(input="a")


def test_an_unknown_field_is_refused_by_name_as_the_original_does():
    with pytest.raises(Misfit, match="truncate_prompt_tokens") as caught:
        ask(input="a", truncate_prompt_tokens=3)

    assert caught.value.param == "truncate_prompt_tokens"


@pytest.mark.parametrize("field", [{"dimensions": 0}, {"dimensions": 2**40}, {"encoding_format": "int8"}, {"model": 3}])
def test_a_value_that_cannot_be_is_refused(field):
    with pytest.raises(Misfit) as caught:
        ask(input="a", **field)

    assert caught.value.param == next(iter(field))


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (Misfit("wrong", "input"), 400, "invalid_request_error", "bad_request"),
        (TooManyItems("many", "input"), 400, "invalid_request_error", "bad_request"),
        (TooLong("long"), 400, "invalid_request_error", "too_long"),
        (Unsupported("width"), 400, "invalid_request_error", "unsupported"),
        (BodyTooLong("body"), 413, "invalid_request_error", "too_long"),
        (Forbidden("not allowed"), 403, "invalid_request_error", "forbidden"),
        (UnknownModel("which"), 404, "invalid_request_error", "model_not_found"),
        (Overloaded("busy"), 429, "requests", "rate_limit_exceeded"),
        (NotReady("loading"), 503, "server_error", "not_ready"),
        (RuntimeFailed("broken"), 500, "server_error", "runtime_failed"),
        (LoadFailed("too large"), 502, "server_error", "load_failed"),
    ],
)
def test_each_error_has_the_status_and_the_words_of_the_original(error, status, kind, code):
    wire = OPENAI.fail(error)

    param = getattr(error, "param", None)
    assert wire.status == status
    assert json.loads(wire.body) == {"error": {"message": error.message, "type": kind, "param": param, "code": code}}


def test_a_wrong_key_is_told_in_the_words_that_clients_look_for():
    wire = OPENAI.fail(Unauthorized("no such key"))

    words = "Incorrect API key provided: no such key"
    inner = {"message": words, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
    assert (wire.status, json.loads(wire.body)) == (401, {"error": inner})


def test_models_are_listed_only_when_they_can_be_used():
    with pytest.raises(NotReady, match="loading since 3 s"):
        OPENAI.pages[0].show(status(state="loading", reason="loading since 3 s"), "")


def status(state="ready", reason="", find={}.get) -> Status:
    return Status(state=state, reason=reason, models=(), find=find, started=0, uptime_s=3, memory=Memory(0, 0))


def test_a_model_is_found_by_every_name_that_requests_may_use():
    wire = OPENAI.pages[1].show(status(find={"alias": hash_spec("proper")}.get), "alias")

    assert json.loads(wire.body)["id"] == "proper"


def test_a_long_name_of_a_model_is_not_echoed_whole():
    with pytest.raises(UnknownModel) as caught:
        OPENAI.pages[1].show(status(), "m" * 1_000_000)

    assert len(caught.value.message) < 1000


def test_a_base_url_with_and_without_its_version_is_the_same_route():
    first, second = OPENAI.routes

    assert (first.path, second.path) == ("/v1/embeddings", "/embeddings")
    assert first == replace(second, path=first.path)


def test_a_model_says_how_many_tokens_it_takes():
    wire = OPENAI.pages[1].show(status(find={"m": hash_spec("m", max_tokens=77)}.get), "m")

    assert json.loads(wire.body)["max_model_len"] == 77
