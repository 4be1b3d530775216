"""What a client says in a job and hears of it: from our worker, and from the workers of others."""

import asyncio
import base64
import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from embedstack.dialects.dialect import Claim, Limits, Wire
from embedstack.dialects.reply import body_bytes
from embedstack.dialects.runpod import RunPod
from embedstack.errors import Unsupported, Upstream
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import Encode, Image, Pair, Score, Text, Tokens

ROUTES = RunPod().routes
TEXTS = next(route for route in ROUTES if route.task == "embed" and route.input == "text" and route.say)
IMAGES = next(route for route in ROUTES if route.input == "image" and route.say)
RANKS = next(route for route in ROUTES if route.task == "rerank" and route.say)
ENCODE = Encode(model="", items=(Text("a"), Text("b")))
SCORE = Score(model="", items=(Pair("q", "a"), Pair("q", "b"), Pair("q", "c")))
ROWS = [[0.25, 0.5], [0.5, 0.25]]


def status(output, **more) -> Wire:
    body = {"id": "a-u1", "status": "COMPLETED", "delayTime": 1, "executionTime": 2, "output": output, **more}
    return Wire(200, json.dumps(body).encode())


def packed(kind):
    return [base64.b64encode(np.array(row, kind).tobytes()).decode() for row in ROWS]


def test_the_first_routes_with_a_client_half_are_of_texts_ranks_and_images():
    assert [route.path for route in (TEXTS, IMAGES, RANKS)] == ["/runsync"] * 3
    assert {type(TEXTS.example).__name__, type(RANKS.example).__name__} == {"TextsJob", "RankJob"}


def test_a_client_says_all_that_a_worker_may_do_otherwise():
    request = replace(ENCODE, items=(Text("a", "query"),), model="bge-m3", dim=8, max_tokens=4, normalize=True)
    said = json.loads(body_bytes(TEXTS.say(request)))["input"]

    assert (said["texts"], said["model"], said["role"], said["encoding_format"]) == (["a"], "bge-m3", "query", "base64")
    assert (said["dim"], said["max_tokens"], said["truncate"], said["normalize"]) == (8, 4, "right", True)


def test_token_ids_cannot_be_said():
    with pytest.raises(Unsupported, match="tokens"):
        TEXTS.say(replace(ENCODE, items=(Tokens((1, 2)),)))


@pytest.mark.parametrize(
    "output",
    [
        {"embeddings": ROWS},
        {"embeddings": ROWS, "dimensions": 2, "tokens_used": 50, "model": "BAAI/bge-m3", "model_type": "x"},
        {"embeddings": packed("<f4")},
        {"embeddings": packed("<f4"), "encoding_format": "base64"},
        {"embeddings": packed("<f2"), "encoding_format": "float16"},
    ],
)
def test_vectors_are_heard_in_whichever_form_they_come(output):
    heard = TEXTS.hear(status(output), ENCODE)

    assert heard.rows.tolist() == ROWS
    assert (heard.claim, heard.tokens) == (None, 0)


def test_images_are_heard_as_texts_are():
    request = Encode(model="", items=(Image(b"a"), Image(b"b")))

    assert IMAGES.hear(status({"embeddings": ROWS}), request).rows.tolist() == ROWS


def test_the_identity_is_heard_from_the_body():
    spec = hash_spec()
    answer = asyncio.run(HashEncoder((hash_spec(max_tokens=2),)).encode(replace(ENCODE, model="hash")))
    body = TEXTS.read(body_bytes(TEXTS.say(ENCODE)))
    heard = TEXTS.hear(TEXTS.write(body, replace(answer, spec=spec)), ENCODE)

    assert heard.claim == Claim("hash", spec.space, answer.fingerprint, truncated=0, dropped=0)
    assert heard.tokens == 2


@pytest.mark.parametrize("space", ["", "x" * 32, "A" * 32])
def test_what_is_no_digest_claims_nothing(space):
    assert TEXTS.hear(status({"embeddings": ROWS, "space": space}), ENCODE).claim is None


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
@pytest.mark.parametrize("name", ["relevance_score", "score"])
def test_results_are_heard_sorted_or_not_under_either_name(order, name):
    rows = [{"index": index, name: index / 4} for index in order]

    assert RANKS.hear(status({"results": rows}), SCORE).rows.tolist() == [0.0, 0.25, 0.5]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"embeddings": ROWS[:1]}, "1 vectors, and 2 texts"),
        ({"embeddings": [[1.0, 2.0], [1.0]]}, "numbers wide"),
        ({"embeddings": [[], []]}, "numbers wide"),
        ({"embeddings": ["a b", "c"]}, "base64"),
        ({"object": "error", "message": "no model", "code": 400}, "the worker there says: no model"),
        ([1, 2], "cannot be read"),
        ("done", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_answer_is_refused_in_the_workers_words_where_it_has_some(output, said):
    with pytest.raises(Upstream, match=said):
        TEXTS.hear(status(output), ENCODE)


def test_a_number_that_is_not_finite_is_refused():
    rows = [base64.b64encode(np.array([np.nan, 1], "<f4").tobytes()).decode()] * 2

    with pytest.raises(Upstream, match="not finite"):
        TEXTS.hear(status({"embeddings": rows}), ENCODE)


def test_a_job_without_an_output_has_no_answer():
    with pytest.raises(Upstream, match="cannot be read"):
        TEXTS.hear(Wire(200, b'{"id": "a", "status": "COMPLETED"}'), ENCODE)


@pytest.mark.parametrize(
    "rows",
    [
        [{"index": 0, "score": 0.5}],
        [{"index": 0, "score": 0.5}] * 3,
        [{"index": 0, "score": 0.5}, {"index": 1, "score": 0.5}, {"index": 3, "score": 0.5}],
        [{"index": 0}, {"index": 1}, {"index": 2}],
    ],
)
def test_every_document_needs_its_score_once(rows):
    with pytest.raises(Upstream):
        RANKS.hear(status({"results": rows}), SCORE)


@pytest.mark.parametrize("change", [{"max_tokens": 4}, {"truncate": "refuse"}, {"normalize": False}])
def test_another_worker_must_not_overlook_what_was_asked(change):
    with pytest.raises(Upstream, match=f"overlooks {next(iter(change))}"):
        TEXTS.hear(status({"embeddings": ROWS}), replace(ENCODE, **change))


def test_another_worker_must_give_the_length_that_was_asked_for():
    with pytest.raises(Upstream, match=r"vectors of length 1 were asked for, and one of the reply has 0\.559"):
        TEXTS.hear(status({"embeddings": ROWS}), replace(ENCODE, normalize=True))


def test_another_worker_has_no_raw_scores():
    rows = [{"index": index, "relevance_score": 0.5} for index in range(3)]

    with pytest.raises(Upstream, match="raw_scores"):
        RANKS.hear(status({"results": rows}), replace(SCORE, raw_scores=True))


def test_our_worker_gives_raw_scores():
    request = replace(SCORE, model="overlap", raw_scores=True)
    answer = asyncio.run(HashEncoder((overlap_spec(),)).score(request))
    body = RANKS.read(msgspec.json.encode(RANKS.say(request)))

    assert np.array_equal(RANKS.hear(RANKS.write(body, answer), request).rows, answer.scores)
    assert RANKS.ask(body, Limits(max_items=4, truncate="right"), (overlap_spec(),)).raw_scores
