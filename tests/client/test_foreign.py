"""Servers that are not ours: their replies, their failures, and what must not be told of them."""

import asyncio
import base64
import logging
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import openai
import pytest
from asking import PAIRS, ask, direct, rows, wish

from embedstack.client import Client
from embedstack.client.endpoint import Endpoint
from embedstack.errors import (
    BadRequest,
    ConfigError,
    EmbedstackError,
    NotReady,
    Overloaded,
    Upstream,
)
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Score

# ------------------------------------------------------------------------------------------------ other servers


def test_replies_out_of_order_are_put_in_order(tell):
    answer = ask(tell(rows([0.0, 1.0], [1.0, 1.0], [2.0, 1.0], order=[2, 0, 1])).url, wish())

    assert answer.dense.tolist() == [[0, 1], [1, 1], [2, 1]]


def test_base64_written_by_hand_is_read_as_openais_client_reads_it(tell):
    packed = base64.b64encode(struct.pack("<3f", 0.5, -1.25, 3e-8)).decode()
    told = tell({**rows(), "data": [{"object": "embedding", "embedding": packed, "index": 0}]})
    with openai.OpenAI(base_url=f"{told.url}/v1", api_key="none") as judge:
        expected = judge.embeddings.create(model="m", input="a").data[0].embedding

    assert ask(told.url, wish("a")).dense[0].tolist() == expected


def test_the_request_has_the_fields_of_openais_client(tell):
    told = tell(rows([1.0] * 8))
    with openai.OpenAI(base_url=f"{told.url}/v1", api_key="secret-key") as judge:
        judge.embeddings.create(model="hash", input=["a"], dimensions=8, encoding_format="base64")
    ask(f"{told.url}/v1", wish("a", dim=8), key="secret-key")

    judged, made = told.seen
    assert (made.method, made.path, made.body) == (judged.method, judged.path, judged.body)
    assert made.headers["authorization"] == judged.headers["authorization"]
    assert made.headers["user-agent"].startswith("embedstack/")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (rows([1.0], [2.0]), "for the items 0, 1, and 3 were sent"),
        ({"data": [{"embedding": [1.0], "index": 1}] * 3}, "for the items 1, 1, 1"),
        (rows([1.0], [2.0, 3.0], [4.0]), "1, 2 numbers wide"),
        (rows([], [], []), "0 numbers wide"),
        (rows([1.0], [2.0], [float("inf")]), "cannot be read"),
        (rows([1.0], [2.0], [1e39]), "not finite"),
        (rows([1.0], [2.0], [None]), "cannot be read"),
        (b'{"data": [', "cannot be read"),
        (b"<html>hello</html>", "check url and dialect"),
        ({"data": [{"embedding": "AAA", "index": place} for place in range(3)]}, "not base64"),
        ({"data": [{"embedding": "AAAA", "index": place} for place in range(3)]}, "not base64 of floats"),
        ({"data": [{"embedding": "AADAfw==", "index": place} for place in range(3)]}, "not finite"),  # NaN
    ],
)
def test_a_reply_that_is_no_answer_is_refused(tell, reply, said):
    with pytest.raises(Upstream, match=said) as caught:
        ask(tell(reply).url, wish())

    assert "http://127.0.0.1" in caught.value.message


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ([[1.0]], "1 vectors, and 3 texts"),
        ([[1.0], [2.0], [None]], "cannot be read"),
        ({"error": "x"}, "cannot be read"),
    ],
)
def test_a_tei_reply_that_is_no_answer_is_refused(tell, reply, said):
    with pytest.raises(Upstream, match=said):
        ask(tell(reply).url, wish(role="none"), dialect="tei", max_items=8)


@pytest.mark.parametrize("ranks", [[0, 1], [0, 1, 1], [1, 2, 3]])
def test_ranks_must_be_of_the_texts_that_were_sent(tell, ranks):
    told = tell([{"index": index, "score": 0.5} for index in ranks])
    with pytest.raises(Upstream, match="3 were sent"):
        ask(told.url, Score(model="m", items=PAIRS), dialect="tei", max_items=8)


INFO = {"model_id": "thenlper/gte-base", "max_client_batch_size": 2, "model_type": {"embedding": {"pooling": "cls"}}}


def test_tei_says_how_many_items_it_takes(tell):
    told = tell(INFO, [[0.0], [1.0]], [[2.0]])
    answer = ask(told.url, wish(role="none"), dialect="tei")

    assert answer.dense.tolist() == [[0.0], [1.0], [2.0]]
    assert [(seen.method, seen.path) for seen in told.seen] == [
        ("GET", "/info"),
        ("POST", "/embed"),
        ("POST", "/embed"),
    ]


@pytest.mark.parametrize("info", [(404, {"error": "no such page"}), {"max_client_batch_size": 0}, b"<html>"])
def test_where_nothing_says_it_the_limit_is_the_originals(tell, info):
    told = tell(info, [[1.0]] * 32, [[1.0]])
    ask(told.url, wish(*["a"] * 33, role="none"), dialect="tei")

    assert [len(seen.body.get("inputs", ())) for seen in told.seen] == [0, 32, 1]


# ------------------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize("lost", [None, (502, b"<html>"), (503, {}), (504, b""), (429, {})], ids=str)
def test_what_passes_is_tried_again(tell, lost):
    told = tell(lost, lost, rows([1.0]))

    assert ask(told.url, wish("a")).dense.tolist() == [[1.0]]
    assert len(told.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422, 424, 500])
def test_what_does_not_pass_is_not_tried_again(tell, status):
    told = tell((status, {}))
    with pytest.raises(EmbedstackError, match=str(status)):
        ask(told.url, wish("a"))

    assert len(told.seen) == 1


def test_after_the_last_attempt_the_error_is_raised(tell):
    told = tell((503, {"error": {"message": "no workers"}}))
    with pytest.raises(NotReady, match="no workers"):
        ask(told.url, wish("a"), retries=2)

    assert len(told.seen) == 3


def test_nobody_listening_is_an_error_that_may_pass():
    with pytest.raises(Upstream, match="is it running") as caught:
        ask("http://127.0.0.1:9", wish())

    assert caught.value.retry


def waits(url, **options):
    """The pauses that a client made."""
    made = []

    async def pause(wait_s: float) -> None:
        made.append(wait_s)

    with pytest.raises((Overloaded, NotReady)):
        ask(url, wish("a", deadline=options.pop("deadline", None)), pause=pause, **options)
    return made


@pytest.mark.parametrize("status", [429, 503])
def test_the_server_says_how_long_to_wait(tell, status):
    assert waits(tell((status, {"retry-after": "7"}, b"")).url, retries=2) == [7, 7]


def test_pauses_grow(tell):
    first, second, third = waits(tell((503, {})).url)

    assert 0.3 < first <= 0.5 < second <= 1 < third <= 2


def test_a_server_that_wants_more_than_a_minute_is_not_waited_for(tell):
    assert waits(tell((429, {"retry-after": "61"}, b"")).url) == []


def test_a_pause_beyond_the_deadline_is_not_made(tell):
    assert waits(tell((429, {"retry-after": "7"}, b"")).url, deadline=time.monotonic() + 5) == []


@pytest.mark.slow
def test_an_answer_that_takes_too_long_is_not_asked_for_again(serve):
    calls = []

    class Slow(HashEncoder):
        async def encode(self, request):
            calls.append(1)
            await asyncio.Event().wait()

    with serve(Slow) as url, pytest.raises(Upstream, match=r"no answer within 0\.5 s; raise timeout_s"):
        ask(url, wish(), timeout_s=0.5)

    assert len(calls) == 1


# ------------------------------------------------------------------------------------------------ secrets and addresses


SECRET = "sk-pa$$word"


def test_no_secret_is_in_the_repr_the_errors_or_the_log(tell, caplog):
    caplog.set_level(logging.DEBUG)
    told = tell((401, {"error": {"message": f"bad key {SECRET}"}}))
    with_password = told.url.replace("http://", f"http://me:{SECRET}@") + "/v1"
    said = []
    for url, key in [(with_password, ""), (told.url, SECRET)]:
        with pytest.raises(Upstream, match=r"bad key \*\*\*; check the key") as caught:
            ask(url, wish("a private text"), key=key)
        said += [caught.value.message, repr(Client(url, key=key))]

    assert [seen.headers["authorization"].split()[0] for seen in told.seen] == ["Basic", "Bearer"]
    assert not re.search(f"{re.escape(SECRET)}|private text", " ".join([*said, caplog.text]))


@pytest.mark.parametrize(
    ("userinfo", "echo"),
    [
        ("sk-token", "sk-token"),
        ("sk-token", base64.b64encode(b"sk-token:").decode()),
        ("some%40body:p%40ss%2Fword", "some@body"),
        ("some%40body:p%40ss%2Fword", "some%40body"),
        ("some%40body:p%40ss%2Fword", "p@ss/word"),
        ("some%40body:p%40ss%2Fword", "p%40ss%2Fword"),
        ("some%40body:p%40ss%2Fword", base64.b64encode(b"some@body:p@ss/word").decode()),
        ("some%40body:p%40ss%2Fword", base64.b64encode(b"some@body:p@ss/word").decode().rstrip("=")),
        ("token:token-and-more", "token-and-more"),
    ],
)
def test_user_and_password_are_masked_however_they_are_echoed(userinfo, echo):
    assert Endpoint(f"http://{userinfo}@host").masked(f"bad <{echo}>") == "bad <***>"


def test_a_password_and_a_key_are_one_too_many():
    with pytest.raises(ConfigError, match=r"http://\*\*\*@host"):
        Client(f"http://me:{SECRET}@host", key=SECRET)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:80",
        "ftp://host",
        "http://",
        "http://me:hush@[::1",
        "http:///hush?x",
        "http://host?hush=hush",
        "http://host#hush",
    ],
)
def test_what_is_no_url_is_refused_without_its_secrets(url):
    with pytest.raises(ConfigError, match="not of the form") as caught:
        Client(url)

    assert "hush" not in caught.value.message


@pytest.mark.parametrize("key", ["two words", "né", "line\n"])
def test_what_is_no_key_is_refused_without_it(key):
    with pytest.raises(ConfigError, match="the key holds") as caught:
        Client("http://host", key=key)

    assert key not in caught.value.message


def test_an_unknown_dialect_is_refused():
    with pytest.raises(ConfigError, match="'abacus' is unknown"):
        Client("http://host", dialect="abacus")


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/", "/v1/embeddings"])
def test_a_base_may_already_hold_the_start_of_the_path(tell, base):
    told = tell(rows([1.0]))
    ask(told.url + base, wish("a"))

    assert told.seen[0].path == "/v1/embeddings"


def test_a_base_may_hold_a_prefix(ours):
    assert np.array_equal(ask(f"{ours}/openai/v1", wish()).dense, direct(wish()).dense)


def test_a_lone_surrogate_is_refused(ours):
    with pytest.raises(BadRequest, match="lone surrogate"):
        ask(ours, wish("\ud800"))


def test_each_answer_is_one_line_in_the_log(ours, caplog):
    caplog.set_level(logging.INFO, "embedstack.client")
    ask(ours, wish())
    ask(ours, Score(model="overlap", items=PAIRS), dialect="tei")

    lines = [record.getMessage() for record in caplog.records if record.name == "embedstack.client"]
    assert lines[0].startswith(
        f"event=answered provider=openai host={ours[7:]} dialect=openai items=3 dimensions=32 ms="
    )
    assert "dialect=tei items=3 top_score=0.9" in lines[1]


@pytest.mark.slow
def test_the_example_in_the_docs_runs(ours):
    page = (Path(__file__).parents[2] / "docs/serving.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    code = code.replace("http://127.0.0.1:8080", ours)

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == f"(2, 32) {hash_spec().fingerprint('float32', normalize=True)}\n", done.stderr


@pytest.mark.slow
def test_a_client_loads_no_runtime_and_no_tokeniser():
    code = "import sys, embedstack.client as c; c.Client('http://host', dialect='tei'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "httpx" in loaded
    assert {"openvino", "tokenizers", "torch", "onnx", "onnxruntime", "starlette"} & set(loaded) == set()
