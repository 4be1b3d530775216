"""What clients hear: recorded replies, those of other servers, identity, and what the contract sees of it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.dialects import open_dialect
from embedstack.dialects.dialect import AnyRoute, Claim, Wire
from embedstack.dialects.failure import retry_after_s
from embedstack.dialects.openai import OpenAI
from embedstack.dialects.reply import body_bytes, claimed
from embedstack.dialects.tei import Tei
from embedstack.dialects.wire import identity
from embedstack.errors import BadRequest, EmbedstackError, Overloaded, TooLong, UnknownModel, Unsupported, Upstream
from embedstack.testing.check_dialect import check_dialect
from embedstack.testing.fake import hash_spec
from embedstack.types import Encode, Encoded, Pair, Score, Text, Tokens, Usage

PAIRS = sorted((Path(__file__).parent.parent / "wire").glob("*.json"))


def route_of(pair: dict) -> AnyRoute | None:
    """Of several at its path the one that takes the body, else the first."""
    at = [one for one in open_dialect(pair["dialect"]).routes if one.path == pair["path"]]
    return next((one for one in at if is_taken(one, pair["body"])), next(iter(at), None))


def is_taken(route: AnyRoute, body: object) -> bool:
    try:
        route.read(json.dumps(body).encode())
    except BadRequest:
        return False
    return True


def is_heard(path: Path) -> bool:
    """Failures, and the replies of routes that have a client half."""
    pair = json.loads(path.read_text())
    route = route_of(pair)
    return route is not None and (pair["status"] != 200 or route.hear is not None)


HEARD = [path for path in PAIRS if is_heard(path)]


def filled(shape: object) -> object:
    """A recorded reply with numbers in its places."""
    match shape:
        case "<string>":
            return "AACAPwAAAEA="  # base64 of 1.0 and 2.0 as little-endian float32
        case "<integer>":
            return 7
        case "<number>":
            return 0.5
        case str() if vector := re.fullmatch(r"<(\d+) numbers>", shape):
            return [0.25] * int(vector[1])
        case dict():
            return {name: filled(one) for name, one in shape.items()}
        case list():
            return [filled(one) for one in shape]
        case _:
            return shape


def request_of(body: dict) -> Encode | Score:
    if isinstance(body.get("input"), dict):  # a job
        return request_of(body["input"])
    if "query" in body:
        return Score(
            model="", items=tuple(Pair(body["query"], text) for text in body.get("texts") or body["documents"])
        )
    texts = next(body[name] for name in ("input", "inputs", "texts", "images", "content") if name in body)
    return Encode(model="", items=tuple(Text(text) for text in ([texts] if isinstance(texts, str) else texts)))


@pytest.mark.parametrize("path", HEARD, ids=lambda path: path.stem)
def test_recorded_replies_are_heard(path):
    pair = json.loads(path.read_text())
    wire = Wire(pair["status"], json.dumps(filled(pair["reply"])).encode())

    if pair["status"] == 200:
        request = request_of(pair["body"])
        assert len(route_of(pair).hear(wire, request).rows) == len(request.items)
    else:
        assert isinstance(open_dialect(pair["dialect"]).hear_failure(wire), BadRequest)


OTHERS = [
    # what other servers send of these dialects; where from stands beside each
    (
        "openai",
        404,
        {"object": "error", "message": "no `m`", "type": "NotFoundError", "code": 404},
        UnknownModel,
    ),  # vLLM
    (
        "openai",
        404,
        {"error": {"message": "no `m`", "type": "NotFoundError", "param": None, "code": 404}},
        UnknownModel,
    ),
    ("openai", 404, {"detail": "Not Found"}, Upstream),  # FastAPI: no such path
    ("openai", 422, {"detail": [{"loc": ["body", "input"], "msg": "Field required"}]}, BadRequest),  # FastAPI
    ("openai", 422, {"message": "batch size 33 > 32", "code": 422, "type": "Validation"}, BadRequest),  # TEI
    ("openai", 401, {"error": {"message": "bad key", "type": "x", "code": "invalid_api_key"}}, Upstream),  # OpenAI
    ("openai", 429, {"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}}, Overloaded),
    ("openai", 400, {"error": "input is empty"}, BadRequest),  # Ollama
    ("tei", 424, {"error": "not an embedding model", "error_type": "Backend"}, Upstream),  # TEI server.rs
    ("tei", 413, b"length limit exceeded", TooLong),  # axum
    ("tei", 422, b"Failed to deserialize the JSON body", BadRequest),  # axum
    ("tei", 401, b"", Upstream),  # TEI
    ("tei", 504, b"<html>gateway time-out</html>", Upstream),  # a proxy
    ("tei", 504, {"message": "Endpoint request timed out"}, Upstream),  # a cloud's gateway
]


@pytest.mark.parametrize(("dialect", "status", "body", "kind"), OTHERS, ids=str)
def test_failures_of_other_servers_are_heard(dialect, status, body, kind):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    heard = open_dialect(dialect).hear_failure(Wire(status, raw))

    assert type(heard) is kind
    assert str(status) in heard.message


def test_a_long_reply_is_quoted_in_part():
    for raw in (b"x" * 1_000_000, json.dumps({"error": {"message": "x" * 1_000_000}}).encode()):
        assert len(OpenAI().hear_failure(Wire(500, raw)).message) < 1200


def test_a_key_that_is_refused_is_named_as_the_cause():
    assert "check the key" in OpenAI().hear_failure(Wire(401, b"")).message


@pytest.mark.parametrize(("said", "seconds"), [("7", 7), ("0.5", 0.5), ("Fri, 31 Dec 1999 23:59:59 GMT", 0), ("-1", 0)])
def test_only_seconds_say_when_to_try_again(said, seconds):
    assert retry_after_s(Wire(429, b"", {"retry-after": said})) == seconds


def test_a_claim_is_the_inverse_of_the_identity():
    spec = hash_spec("kühl/model")
    usage = Usage(items=2, tokens=9, dropped=4, truncated=1)
    headers = identity(Encoded(spec=spec, fingerprint="f" * 32, usage=usage, dense=np.zeros((2, 2), np.float32)))

    assert claimed(headers) == Claim("kühl/model", spec.space, "f" * 32, truncated=1, dropped=4)


@pytest.mark.parametrize("space", ["", "abc", "g" * 32, "a" * 31 + "\n", "A" * 32])
def test_what_is_no_digest_is_no_claim(space):
    assert claimed({"x-embedstack-space": space, "x-embedstack-fingerprint": "f" * 32}) == Claim()


def test_a_body_says_no_more_than_it_must():
    request = Encode(model="m", items=(Text("a"),))

    assert json.loads(body_bytes(OpenAI().routes[0].say(request))) == {
        "input": ["a"],
        "model": "m",
        "encoding_format": "base64",
    }


def test_what_tei_is_asked_is_said_whatever_its_settings():
    said = [
        Tei().routes[0].say(Encode(model="", items=(Text("a", "none"),), truncate=way)) for way in ("left", "refuse")
    ]

    assert [(one.truncate, one.truncation_direction) for one in said] == [(True, "Left"), (False, None)]


@pytest.mark.parametrize("items", [(Text("a", "query"), Text("b")), (Tokens((1, 2)),)])
def test_a_body_holds_texts_of_one_role(items):
    with pytest.raises(Unsupported):
        Tei().routes[0].say(Encode(model="", items=items))


def test_a_body_holds_one_query():
    with pytest.raises(Unsupported, match="not for 2"):
        Tei().routes[1].say(Score(model="", items=(Pair("a", "x"), Pair("b", "x"))))


# ------------------------------------------------------------------------------------------------ the contract


def with_route(dialect, number=0, **changes):
    routes = list(dialect.routes)
    routes[number] = replace(routes[number], **changes)
    dialect.routes = tuple(routes)
    return dialect


def test_the_contract_sees_a_field_that_is_lost_on_the_way():
    say = Tei().routes[0].say
    dialect = with_route(Tei(), say=lambda request: say(replace(request, normalize=None)))

    assert [fault for fault in check_dialect(dialect) if "normalize: what a client hears" in fault]


def test_the_contract_sees_a_field_that_is_dropped_without_a_word():
    say = OpenAI().routes[0].say
    dialect = with_route(OpenAI(), say=lambda request: say(replace(request, truncate="right")))

    assert any("truncate is not carried, and is said" in fault for fault in check_dialect(dialect))


def test_the_contract_sees_rows_that_are_heard_out_of_order():
    hear = Tei().routes[1].hear

    def moved(wire, request):
        heard = hear(wire, request)
        return replace(heard, rows=heard.rows[::-1])

    assert any("is not what was asked for" in fault for fault in check_dialect(with_route(Tei(), 1, hear=moved)))


def test_the_contract_sees_a_reply_that_is_heard_whatever_it_is():
    hear = OpenAI().routes[0].hear
    dialect = with_route(OpenAI(), hear=lambda wire, request: hear(wire, replace(request, items=request.items[:3])))

    assert any("an item too few is heard" in fault for fault in check_dialect(dialect))


@pytest.mark.parametrize(
    ("kind", "said"),
    [(BadRequest, "Overloaded is heard as BadRequest"), (Upstream, "TooLong is the caller's fault")],
)
def test_the_contract_sees_an_error_that_is_heard_as_another(kind, said):
    dialect = OpenAI()
    dialect.hear_failure = lambda wire: kind(wire.body.decode())

    assert any(said in fault for fault in check_dialect(dialect))


def test_the_contract_sees_an_error_that_loses_its_advice():
    dialect, hear_failure = OpenAI(), OpenAI().hear_failure

    def hasty(wire: Wire) -> EmbedstackError:
        heard = hear_failure(wire)
        return Overloaded(heard.message, 0.1) if isinstance(heard, Overloaded) else heard

    dialect.hear_failure = hasty

    assert any("sooner than it does" in fault for fault in check_dialect(dialect))
