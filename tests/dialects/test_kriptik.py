"""The words of KripTik's embedding service."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from embedstack.dialects.dialect import CallerTotals, Limits, Memory, Status
from embedstack.dialects.kriptik import Kriptik
from embedstack.dialects.pictures import DARK
from embedstack.dialects.wire import Misfit, TooManyItems
from embedstack.errors import BadRequest, NotReady, Overloaded, RuntimeFailed, Unsupported
from embedstack.testing.fake import hash_spec
from embedstack.types import Encode, Encoded, Image, Text, Tokenize, Tokenized, Usage
from embedstack.watching import Load

KRIPTIK = Kriptik(clock=lambda: 1_700_000_000.25)
NOW = "2023-11-14T22:13:20.250Z"
GENERATE, SIMILARITY, BATCH, ESTIMATE = KRIPTIK.routes
STATS, HEALTH = KRIPTIK.pages
BGE = hash_spec("BAAI/bge-m3")
CODE = hash_spec("code")
VISUAL = hash_spec("google/siglip-base-patch16-224", inputs=("text", "image"))


def ask(route, models=(BGE,), *, max_items=8, **body) -> Encode | Tokenize | None:
    limits = Limits(max_items=max_items, truncate="right")
    return route.ask(route.read(json.dumps(body).encode()), limits, models)


def encoded(rows, tokens=100, spec=BGE) -> Encoded:
    dense = np.array(rows, np.float32)
    usage = Usage(items=len(rows), tokens=tokens, wait_s=0.002, run_s=0.0101)
    return Encoded(spec=spec, fingerprint="", usage=usage, dense=dense)


def written(route, answer, **body) -> dict:
    return json.loads(route.write(route.read(json.dumps(body).encode()), answer).body)


def code_of(route, error) -> tuple[int, str]:
    wire = route.fail(error)
    return wire.status, json.loads(wire.body)["code"]


def refused(route, **body) -> str:
    """The code of the refusal."""
    with pytest.raises(BadRequest) as caught:
        ask(route, **body)
    status, code = code_of(route, caught.value)
    assert status == 400
    return code


# ------------------------------------------------------------------------------------------------ generate


@pytest.mark.parametrize("content", ["a", ["a"]])
def test_content_becomes_texts_and_the_project_the_caller(content):
    request = ask(GENERATE, content=content, type="intent", projectId="p1", options={"dimensions": 8})

    assert request == Encode(model=BGE.name, items=(Text("a"),), dim=8, caller="p1")


def test_a_model_that_is_served_under_the_types_name_wins():
    assert ask(GENERATE, (BGE, CODE), content="a", type="code").model == "code"


def test_a_name_that_a_request_gives_is_asked_for_as_it_is():
    limits = Limits(max_items=8, truncate="right", find={"bge": BGE, "code": BGE}.get)
    rows = [{"content": "a", "type": "intent", "model": "bge"}, {"content": "a", "type": "code"}]
    raw = json.dumps({"requests": rows}).encode()

    assert [one.model for one in BATCH.ask(BATCH.read(raw), limits, (BGE,))] == ["bge", "code"]


def test_several_models_without_one_for_the_type_must_be_told_apart():
    with pytest.raises(Misfit, match="name one of"):
        ask(GENERATE, (BGE, CODE), content="a", type="intent")


def test_the_reply_is_that_of_the_original():
    answer = encoded([[1, 0], [0, 1]], tokens=2000)

    assert written(GENERATE, answer, content=["a", "b"], type="intent") == {
        "success": True,
        "data": {
            "embeddings": [[1.0, 0.0], [0.0, 1.0]],
            "model": "BAAI/bge-m3",
            "provider": "embedstack",
            "dimensions": 2,
            "tokensUsed": 2000,
            "cached": False,
            "latencyMs": 12,
            "creditsCost": 0.02,
        },
        "timestamp": NOW,
    }


@pytest.mark.parametrize(
    ("kind", "row"), [("float32", [0.5, -0.5] * 4), ("int8", [64, -64] * 4), ("binary", [0b10101010])]
)
def test_quantised_vectors_keep_the_width_of_the_model(kind, row):
    data = written(GENERATE, encoded([[0.5, -0.5] * 4]), content="a", type="code", options={"quantization": kind})[
        "data"
    ]

    assert (data["embeddings"], data["dimensions"]) == ([row], 8)


def test_options_that_only_concern_the_cache_change_nothing():
    plain = ask(GENERATE, content="a", type="error")

    assert ask(GENERATE, content="a", type="error", options={"cacheKey": "k", "skipCache": True}) == plain


@pytest.mark.parametrize("name", ["textForVisual", "prompt"])
def test_options_that_nothing_is_made_of_are_refused_by_name(name):
    with pytest.raises(BadRequest, match=name):
        ask(GENERATE, content="a", type="intent", options={name: "b"})


@pytest.mark.parametrize("name", ["imageBase64", "imageUrl"])
def test_a_visual_with_a_picture_is_the_vector_of_the_picture(name):
    request = ask(GENERATE, (BGE, VISUAL), content="a screenshot", type="visual", options={name: DARK})

    assert request.model == VISUAL.name
    assert [type(item) for item in request.items] == [Image]


@pytest.mark.parametrize("name", ["imageBase64", "imageUrl"])
def test_an_empty_picture_is_refused_and_its_caption_does_not_stand_for_it(name):
    with pytest.raises(Misfit, match="options 0: an image is empty") as caught:
        ask(GENERATE, (BGE, VISUAL), content="UI", type="visual", options={name: ""})

    assert code_of(GENERATE, caught.value)[0] == 400


@pytest.mark.parametrize("options", [{"imageUrl": "", "imageBase64": DARK}, {"imageUrl": DARK, "imageBase64": ""}])
def test_an_empty_picture_beside_another_is_not_set(options):
    request = ask(GENERATE, (BGE, VISUAL), content="UI", type="visual", options=options)

    assert [type(item) for item in request.items] == [Image]


def test_two_empty_pictures_are_refused():
    with pytest.raises(Misfit, match="options 0: an image is empty"):
        ask(GENERATE, (BGE, VISUAL), content="UI", type="visual", options={"imageUrl": "", "imageBase64": ""})


def test_an_empty_picture_beside_a_text_that_is_no_caption_is_not_set():
    request = ask(GENERATE, content="a", type="intent", options={"imageUrl": ""})

    assert request.items == (Text("a"),)


def test_a_visual_without_a_picture_is_a_text_for_the_image_model():
    request = ask(GENERATE, (BGE, VISUAL), content="a red button", type="visual")

    assert (request.model, request.items) == (VISUAL.name, (Text("a red button"),))


def test_a_visual_without_an_image_model_says_what_is_missing():
    with pytest.raises(Unsupported, match="no model for images") as caught:
        ask(GENERATE, content="a", type="visual")

    assert code_of(GENERATE, caught.value) == (422, "UNSUPPORTED")


@pytest.mark.parametrize(
    "body",
    [
        {"content": "a", "type": "intent", "options": {"imageBase64": DARK}},
        {"content": ["a", "b"], "type": "visual", "options": {"imageBase64": DARK}},
        {"content": "a", "type": "visual", "options": {"imageBase64": DARK, "imageUrl": "https://a.example/b.png"}},
    ],
)
def test_a_picture_that_would_be_overlooked_is_refused(body):
    with pytest.raises(Misfit, match="picture"):
        ask(GENERATE, (VISUAL,), **body)


def test_a_picture_costs_its_price():
    options = {"imageBase64": DARK}
    data = written(GENERATE, encoded([[1, 0]], spec=VISUAL), content="a", type="visual", options=options)["data"]

    assert data["creditsCost"] == 0.05


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"type": "intent"}, "MISSING_CONTENT"),
        ({"content": "", "type": "intent"}, "MISSING_CONTENT"),
        ({"content": [], "type": "intent"}, "MISSING_CONTENT"),
        ({"content": "a"}, "INVALID_TYPE"),
        ({"content": "a", "type": "smell"}, "INVALID_TYPE"),
    ],
)
def test_a_wrong_body_has_the_code_of_the_original(body, code):
    assert refused(GENERATE, **body) == code


# ------------------------------------------------------------------------------------------------ batch


def test_a_batch_of_one_kind_is_one_request_with_all_texts_in_order():
    requests = [{"content": ["a", "b"], "type": "intent"}, {"content": "c", "type": "intent"}]

    assert ask(BATCH, requests=requests) == Encode(model=BGE.name, items=(Text("a"), Text("b"), Text("c")))


def test_results_of_a_batch_are_in_the_order_of_its_requests_and_add_up():
    requests = [{"content": ["aa", "bb"], "type": "error"}, {"content": "cccc", "type": "error"}]
    data = written(BATCH, encoded([[1, 0], [0, 1], [1, 1]], tokens=1001), requests=requests)["data"]

    assert [result["embeddings"] for result in data["results"]] == [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]]
    assert [result["tokensUsed"] for result in data["results"]] == [500, 501]
    assert data["totals"] == {
        "tokensUsed": 1001,
        "latencyMs": 12,
        "creditsCost": pytest.approx(0.01001),
        "requestsProcessed": 2,
    }


@pytest.mark.parametrize(
    ("one", "other", "told_apart_by"),
    [
        ({"type": "visual"}, {"type": "intent", "model": BGE.name}, "model"),
        ({"type": "intent", "options": {"dimensions": 8}}, {"type": "intent"}, "dim"),
        ({"type": "intent", "projectId": "p1"}, {"type": "intent", "projectId": "p2"}, "caller"),
    ],
)
def test_a_batch_over_two_models_widths_or_projects_is_a_request_for_each(one, other, told_apart_by):
    models = (BGE, VISUAL) if told_apart_by == "model" else (BGE,)
    entries = [{"content": "a", **one}, {"content": "b", **other}, {"content": "c", **one}]
    alone = [ask(GENERATE, models, **entry) for entry in entries]

    assert ask(BATCH, models, requests=entries) == (replace(alone[0], items=(Text("a"), Text("c"))), alone[1])
    assert getattr(alone[0], told_apart_by) != getattr(alone[1], told_apart_by)


def test_a_picture_and_a_text_for_one_model_are_apart_since_their_costs_are():
    picture = {"content": "a screenshot", "type": "visual", "options": {"imageBase64": DARK}}
    text = {"content": "a red button", "type": "visual"}
    requests = [picture, text]
    answers = encoded([[1, 0]], tokens=196, spec=VISUAL), encoded([[0, 1]], tokens=4000, spec=VISUAL)

    assert [len(one.items) for one in ask(BATCH, (BGE, VISUAL), requests=requests)] == [1, 1]
    costs = [one["creditsCost"] for one in written(BATCH, answers, requests=requests)["data"]["results"]]
    assert costs == pytest.approx([0.05, 0.04])


def test_results_of_two_models_stand_in_the_order_of_their_requests():
    code = {"content": ["b", "d"], "type": "code"}
    requests = [{"content": "a", "type": "intent"}, code, {"content": "c", "type": "intent"}]
    answers = encoded([[1, 0], [2, 0]], tokens=10), encoded([[0, 1], [0, 2]], tokens=7, spec=CODE)
    data = written(BATCH, answers, requests=requests)["data"]

    assert [one["embeddings"] for one in data["results"]] == [[[1.0, 0.0]], [[0.0, 1.0], [0.0, 2.0]], [[2.0, 0.0]]]
    assert [one["model"] for one in data["results"]] == [BGE.name, "code", BGE.name]
    assert [one["tokensUsed"] for one in data["results"]] == [5, 7, 5]
    assert data["totals"]["tokensUsed"] == 17


def test_requests_of_a_batch_take_their_time_one_after_another():
    requests = [{"content": "a", "type": kind} for kind in ("intent", "error", "code")]
    answers = encoded([[1, 0]]), encoded([[1, 0]]), encoded([[1, 0]], spec=CODE)

    assert BATCH.in_turn
    assert written(BATCH, answers, requests=requests)["data"]["totals"]["latencyMs"] == 36


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_each_request_of_a_batch_gets_the_vectors_of_its_own_texts(length):
    for entries in product(product(["intent", "code"], ["p", "q"]), repeat=length):
        requests = [
            {"content": [f"{place} {number}" for number in range(place % 3 + 1)], "type": kind, "projectId": project}
            for place, (kind, project) in enumerate(entries)
        ]
        said = [text for one in requests for text in one["content"]]
        body = BATCH.read(json.dumps({"requests": requests}).encode())
        request = BATCH.ask(body, Limits(max_items=1000, truncate="right"), (BGE,))
        asked = request if isinstance(request, tuple) else (request,)
        answers = tuple(encoded([[said.index(item.text)] for item in one.items]) for one in asked)
        results = json.loads(BATCH.write(body, answers if len(asked) > 1 else answers[0]).body)["data"]["results"]

        assert len(asked) == len(set(entries))
        assert [row[0] for one in results for row in one["embeddings"]] == list(range(len(said)))
        for number, one in enumerate(asked):
            assert [said[place] for place in BATCH.places(body, number)] == [item.text for item in one.items]


@pytest.mark.parametrize("requests", [None, [], "a", [{"content": "a"}], [{"content": "a", "type": "smell"}]])
def test_a_wrong_batch_has_the_code_of_the_original(requests):
    assert refused(BATCH, requests=requests) == "INVALID_REQUESTS"


def test_a_batch_of_more_than_a_hundred_is_too_large():
    assert refused(BATCH, max_items=1000, requests=[{"content": "a", "type": "intent"}] * 101) == "BATCH_TOO_LARGE"


def test_a_batch_over_the_servers_own_limit_is_too_large():
    assert refused(BATCH, max_items=3, requests=[{"content": ["a", "b"], "type": "intent"}] * 2) == "BATCH_TOO_LARGE"


# ------------------------------------------------------------------------------------------------ similarity, estimate


@pytest.mark.parametrize(
    ("method", "one", "other", "similarity", "match"),
    [
        ("cosine", [3, 0], [3, 4], 0.6, "low"),
        ("cosine", [1, 0], [0, 0], 0.0, "low"),
        ("dot", [3, 0], [3, 4], 9.0, "high"),
        ("euclidean", [3, 0], [3, 4], 0.2, "low"),
        ("cosine", [1, 0], [0.8, 0.6], 0.8, "medium"),
    ],
)
def test_similarities_and_what_they_mean_are_those_of_the_original(method, one, other, similarity, match):
    body = {"embedding1": one, "embedding2": other, "method": method}

    assert ask(SIMILARITY, (), **body) is None
    data = written(SIMILARITY, None, **body)["data"]
    assert data["similarity"] == pytest.approx(similarity, abs=1e-7)
    assert (data["method"], data["interpretation"]["match"]) == (method, match)


def test_the_method_is_cosine_unless_asked_otherwise():
    assert written(SIMILARITY, None, embedding1=[2, 0], embedding2=[3, 0])["data"]["method"] == "cosine"


@pytest.mark.parametrize(
    ("one", "other", "code"),
    [
        ("a", [1], "INVALID_EMBEDDING"),
        ([1], None, "INVALID_EMBEDDING"),
        ([], [], "INVALID_EMBEDDING"),
        ([1, 2], [1], "SIMILARITY_FAILED"),
        ([1e300, 0], [1e300, 0], "SIMILARITY_FAILED"),
    ],
)
def test_vectors_that_cannot_be_compared_have_a_code(one, other, code):
    assert refused(SIMILARITY, embedding1=one, embedding2=other, method="dot") == code


def test_an_estimate_counts_the_models_own_tokens():
    request = ask(ESTIMATE, content=["a", "b"], type="reasoning")
    answer = Tokenized(spec=BGE, usage=Usage(items=2, tokens=3000), items=())

    assert request == Tokenize(model=BGE.name, items=(Text("a"), Text("b")))
    assert written(ESTIMATE, answer, content=["a", "b"], type="reasoning")["data"] == {
        "estimatedTokens": 3000,
        "estimatedCreditsCost": 0.03,
        "type": "reasoning",
        "inputCount": 2,
    }


@pytest.mark.parametrize("body", [{"content": "a"}, {"type": "intent"}, {"content": "", "type": "intent"}])
def test_an_estimate_of_half_a_body_has_the_code_of_the_original(body):
    assert refused(ESTIMATE, **body) == "MISSING_FIELDS"


# ------------------------------------------------------------------------------------------------ failures, pages


@pytest.mark.parametrize(
    ("route", "code"),
    [(GENERATE, "GENERATION_FAILED"), (BATCH, "BATCH_FAILED"), (ESTIMATE, "ESTIMATE_FAILED")],
)
def test_each_route_has_its_own_word_for_what_fails(route, code):
    assert code_of(route, RuntimeFailed("broken")) == (500, code)
    assert code_of(route, NotReady("loading")) == (503, code)


def test_too_many_requests_are_rate_limited():
    wire = GENERATE.fail(Overloaded("busy", retry_after_s=2.0))

    assert (wire.status, wire.headers["retry-after"]) == (429, "2")
    assert json.loads(wire.body) == {"error": "busy", "code": "RATE_LIMITED", "timestamp": NOW}


def test_what_is_wrong_with_a_body_has_no_time_as_in_the_original():
    assert json.loads(GENERATE.fail(TooManyItems("many")).body) == {"error": "many", "code": "BATCH_TOO_LARGE"}


def shown(page, state="ready", models=(BGE,), load=Load(), callers=None) -> tuple[int, dict]:  # noqa: B008  # frozen
    memory = Memory(resident=1, mapped=0)
    status = Status(
        state=state,
        reason="because",
        models=models,
        find={}.get,
        started=0,
        uptime_s=1.0,
        memory=memory,
        load=load,
        callers=callers or {},
    )
    wire = page.show(status, "")
    return wire.status, json.loads(wire.body)


def test_stats_show_the_cache_the_models_and_each_callers_totals():
    load = Load(cache_hits=1, cache_misses=2, cache_entries=3, cache_bytes=4)
    totals = {"p1": CallerTotals(requests=5, items=6, tokens=7, seconds=0.5, credits_cost=0.25)}

    assert shown(STATS, load=load, callers=totals)[1]["data"] == {
        "cache": {
            "hits": 1,
            "misses": 2,
            "hitRate": "33.3%",
            "entries": 3,
            "bytesWritten": 0,
            "bytesRead": 0,
            "bytes": 4,
        },
        "providers": {"available": ["BAAI/bge-m3"]},
        "callers": {
            "p1": {
                "requests": 5,
                "failures": 0,
                "items": 6,
                "tokens": 7,
                "images": 0,
                "seconds": 0.5,
                "creditsCost": 0.25,
            }
        },
    }


def test_a_healthy_server_names_each_model():
    assert shown(HEALTH, load=Load(cache_hits=1, cache_misses=1, cache_entries=2)) == (
        200,
        {
            "success": True,
            "data": {
                "status": "healthy",
                "providers": [{"name": "BAAI/bge-m3", "healthy": True, "lastChecked": NOW}],
                "cache": {"healthy": True, "entries": 2, "hitRate": "50.0%"},
            },
            "timestamp": NOW,
        },
    )


@pytest.mark.parametrize(("models", "name"), [((BGE,), "BAAI/bge-m3"), ((), "embedstack")])
def test_a_server_that_cannot_answer_is_a_503_with_the_reason(models, name):
    status, body = shown(HEALTH, "loading", models)

    assert (status, body["success"], body["data"]["status"]) == (503, False, "degraded")
    assert body["data"]["providers"] == [{"name": name, "healthy": False, "lastChecked": NOW, "error": "because"}]
