"""Infinity's words."""

import base64
import json

import numpy as np
import pytest

from embedstack.dialects.dialect import Limits, Memory, Status
from embedstack.dialects.infinity import Infinity
from embedstack.dialects.wire import BodyTooLong, EmptyList, Misfit, NoRoute, TooManyItems
from embedstack.errors import (
    NotReady,
    Overloaded,
    RuntimeFailed,
    TooLong,
    Unauthorized,
    UnknownModel,
    Unsupported,
)
from embedstack.testing.fake import hash_spec, labels_spec, overlap_spec
from embedstack.types import Classified, Classify, Image, Link, Pair, Score, Scored, Text, Usage
from embedstack.watching import Load

INFINITY = Infinity()
EMBED, RERANK, CLASSIFY = INFINITY.routes
MODELS_PAGE, HEALTH = INFINITY.pages
LIMITS = Limits(max_items=40, truncate="left")
MODELS = (hash_spec(inputs=("text", "image")), overlap_spec(), labels_spec())
PICTURE = base64.b64encode(b"picture").decode()


def ask(route, **body):
    return route.ask(route.read(json.dumps(body).encode()), LIMITS, MODELS)


def write(route, answer, **body) -> dict:
    return json.loads(route.write(route.read(json.dumps(body).encode()), answer).body)


def scored(*logits) -> Scored:
    scores = np.array(logits, np.float32)
    return Scored(spec=overlap_spec(), fingerprint="f", usage=Usage(len(logits), 9), scores=scores)


def test_the_fields_become_the_request():
    request = ask(EMBED, input=[" a cat\n"], model="m", dimensions=16, user="u", encoding_format="base64")

    assert (request.model, request.items, request.dim) == ("m", (Text("a cat", "none"),), 16)
    assert (request.caller, request.truncate) == ("u", "left")


@pytest.mark.parametrize("body", [{}, {"model": None}, {"model": "default/not-specified"}, {"dimensions": 0}])
def test_what_the_originals_clients_send_for_nothing_is_nothing(body):
    request = ask(EMBED, input="a", **body)

    assert (request.model, request.dim) == ("hash", None)


def test_a_text_gets_no_prompt_unless_its_role_is_said():
    given = ({}, {"input_type": "query"}, {"input_type": "passage"})

    assert [ask(EMBED, input="a", **more).items[0].role for more in given] == ["none", "query", "document"]


def test_images_are_data_urls_base64_or_links():
    sent = [f"data:image/png;base64,{PICTURE}", PICTURE, "https://example.org/a.png"]

    request = ask(EMBED, input=sent, modality="image")

    assert request.items == (Image(b"picture"), Image(b"picture"), Link("https://example.org/a.png"))
    assert request.model == "hash"


def test_a_wrong_image_is_refused_by_its_place():
    with pytest.raises(Misfit, match=r"^input 1: ") as caught:
        ask(EMBED, input=[PICTURE, "no picture"], modality="image")

    assert caught.value.param == "input"


@pytest.mark.parametrize("body", [{"input": "a"}, {"input": PICTURE, "modality": "image"}])
def test_vectors_are_brought_to_length_1_whatever_the_models_rule(body):
    assert ask(EMBED, **body).normalize is True


def test_as_many_images_as_in_the_original_are_taken():
    with pytest.raises(Misfit, match="33 images, the limit is 32"):
        ask(EMBED, input=[PICTURE] * 33, modality="image")


def test_audio_is_refused_by_name():
    with pytest.raises(Unsupported, match="audio"):
        ask(EMBED, input="data:audio/wav;base64,AAAA", modality="audio")


@pytest.mark.parametrize("field", [{"dimensions": -1}, {"modality": "video"}, {"encoding_format": "int8"}])
def test_a_value_that_cannot_be_is_refused_by_name(field):
    with pytest.raises(Misfit) as caught:
        ask(EMBED, input="a", **field)

    assert caught.value.param == next(iter(field))


def test_an_unknown_field_is_overlooked_as_in_the_original():
    assert ask(EMBED, input="a", nonsense=1) == ask(EMBED, input="a")


def test_documents_are_stripped_and_asked_for_as_logits():
    request = ask(RERANK, query=" q ", documents=["a ", " b"])

    assert request == Score(model="overlap", items=(Pair("q", "a"), Pair("q", "b")), raw_scores=True, truncate="left")


@pytest.mark.parametrize(("raw", "expected"), [(False, [0.880797, 0.5, 0.119203]), (True, [2.0, 0.0, -2.0])])
def test_scores_are_sigmoids_or_logits_best_first(raw, expected):
    ranks = write(RERANK, scored(0, -2, 2), query="q", documents=["a", "b", "c"], raw_scores=raw)["results"]

    assert [rank["index"] for rank in ranks] == [2, 0, 1]
    assert [rank["relevance_score"] for rank in ranks] == pytest.approx(expected, abs=1e-6)


def test_the_best_few_come_with_their_documents_as_strings():
    body = {"query": "q", "documents": ["a", " b "], "top_n": 1, "return_documents": True}

    assert [rank["document"] for rank in write(RERANK, scored(0, 1), **body)["results"]] == ["b"]


def test_labels_stand_best_first():
    scores = np.array([[0.1, 0.7, 0.2]], np.float32)
    answer = Classified(spec=labels_spec(), fingerprint="f", usage=Usage(1, 3), scores=scores)

    rows = write(CLASSIFY, answer, input=["a"])["data"]

    assert [[row["label"] for row in labels] for labels in rows] == [["glad", "sad", "calm"]]


def test_raw_scores_of_a_classifier_are_asked_for():
    request = ask(CLASSIFY, input=["a"], raw_scores=True)

    assert request == Classify(model="labels", items=(Text("a", "none"),), raw_scores=True, truncate="left")


def test_no_two_replies_have_one_id():
    replies = [write(RERANK, scored(0), query="q", documents=["a"])["id"] for _ in range(2)]

    assert replies[0] != replies[1]
    assert replies[0].startswith("infinity-")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownModel("which"), 400),
        (TooLong("long"), 400),
        (Unsupported("images"), 400),
        (BodyTooLong("body"), 413),
        (Overloaded("busy"), 429),
        (RuntimeFailed("broken"), 500),
        (NotReady("loading"), 503),
    ],
)
def test_each_error_has_its_status_in_the_envelope_too(error, status):
    wire = INFINITY.fail(error)

    inner = {"message": error.message, "type": None, "param": None, "code": status}
    assert (wire.status, json.loads(wire.body)) == (status, {"error": inner})


@pytest.mark.parametrize("error", [Misfit("wrong", "input"), EmptyList("none", "input"), TooManyItems("many", "input")])
def test_a_body_that_does_not_fit_is_told_as_fastapi_does(error):
    wire = INFINITY.fail(error)

    detail = [{"type": "value_error", "loc": ["body", "input"], "msg": error.message}]
    assert (wire.status, json.loads(wire.body)) == (422, {"detail": detail})


@pytest.mark.parametrize(("error", "status"), [(Unauthorized("no key"), 401), (NoRoute("nowhere"), 404)])
def test_what_never_reaches_a_route_is_told_as_fastapi_does(error, status):
    wire = INFINITY.fail(error)

    assert (wire.status, json.loads(wire.body)) == (status, {"detail": error.message})


IDLE = Load()


def status(state="ready", load=IDLE) -> Status:
    find = {spec.name: spec for spec in MODELS}.get
    memory = Memory(0, 0)
    return Status(
        state=state, reason="wait", models=MODELS, find=find, started=1e9, uptime_s=2.5, memory=memory, load=load
    )


def test_health_is_the_time_and_honest():
    shown = [HEALTH.show(status(state), "") for state in ("ready", "dead")]

    assert [(wire.status, json.loads(wire.body)) for wire in shown] == [
        (200, {"unix": 1000000002.5}),
        (503, {"unix": 1000000002.5}),
    ]


def test_models_say_what_they_can_do_and_how_busy_the_server_is():
    load = Load(waiting_items=3, waiting_tokens=50, limit_tokens=200, running_items=2, batches=4, batch_items=10)

    rows = json.loads(MODELS_PAGE.show(status(load=load), "").body)["data"]

    stats = {"queue_fraction": 0.25, "queue_absolute": 3, "results_pending": 5, "batch_size": 2}
    assert [row["stats"] for row in rows] == [stats] * 3
    assert [row["capabilities"] for row in rows] == [["embed", "image_embed"], ["rerank"], ["classify"]]


def test_models_are_shown_only_when_they_can_be_used():
    with pytest.raises(NotReady, match="wait"):
        MODELS_PAGE.show(status("loading"), "")
