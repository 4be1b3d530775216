"""The words of the service that followed the model worker."""

import json

import numpy as np
import pytest

from embedstack.dialects.dialect import Limits, Memory, Status, Wire
from embedstack.dialects.mlservice import MlService
from embedstack.dialects.pictures import DARK
from embedstack.dialects.wire import EmptyList, Misfit, NoRoute, TooManyItems
from embedstack.errors import (
    BadRequest,
    DeadlineExceeded,
    NotReady,
    RuntimeFailed,
    UnknownModel,
    Unsupported,
    Upstream,
)
from embedstack.testing.fake import hash_spec, overlap_spec
from embedstack.types import Encode, Encoded, Image, Text, Usage

SERVICE = MlService()
TEXTS, IMAGES, TEXT, IMAGE = SERVICE.routes
HEALTH, READY = SERVICE.pages
DENSE = hash_spec()
SPECS = [hash_spec("text"), hash_spec("image", inputs=("image",))]


def ask(route, raw: bytes) -> Encode:
    return route.ask(route.read(raw), Limits(max_items=4, truncate="right"), SPECS)


def answer(rows: int) -> Encoded:
    dense = np.ones((rows, 2), np.float32)
    return Encoded(spec=hash_spec(), fingerprint="", usage=Usage(items=rows, tokens=rows), dense=dense)


def shown(page, state, models=(DENSE,)) -> tuple[int, dict]:
    status = Status(
        state=state,
        reason="because",
        models=models,
        find={}.get,
        started=0,
        uptime_s=1.0,
        memory=Memory(resident=1, mapped=0),
    )
    wire = page.show(status, "")
    return wire.status, json.loads(wire.body)


def test_vectors_have_a_count_and_a_dimension():
    reply = json.loads(TEXTS.write(TEXTS.example, answer(2)).body)

    assert reply == {"embeddings": [[1.0, 1.0], [1.0, 1.0]], "count": 2, "dimension": 2}


def test_a_single_vector_is_no_list_of_vectors():
    assert json.loads(TEXT.write(TEXT.example, answer(1)).body) == {"embedding": [1.0, 1.0], "dimension": 2}


@pytest.mark.parametrize("raw", [b'{"text": "a \xc3\xa9 b"}', b"text=a+%C3%A9%20b"], ids=["body", "query"])
def test_a_single_text_stands_in_the_body_or_as_in_the_original_in_the_query(raw):
    assert ask(TEXT, raw) == Encode(model="text", items=(Text("a é b"),), normalize=True)


@pytest.mark.parametrize("raw", [b"", b"texts=a", b"text=%FF", b"text=\xc3\xa9", b'{"text": 1}', b'["a"]'])
def test_a_single_text_that_cannot_be_read_is_refused(raw):
    with pytest.raises(Misfit):
        ask(TEXT, raw)


def test_images_go_to_the_image_model():
    single, several = (
        ask(IMAGE, json.dumps({"image": DARK}).encode()),
        ask(IMAGES, json.dumps({"images": [DARK]}).encode()),
    )

    assert single == several
    assert single.model == "image"
    assert isinstance(single.items[0], Image)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EmptyList("none", "texts"), "too_short"),
        (TooManyItems("many", "texts"), "too_long"),
        (Misfit("wrong", "texts"), "value_error"),
    ],
)
def test_a_wrong_body_is_the_422_of_fastapi(error, kind):
    wire = SERVICE.fail(error)

    assert wire.status == 422
    assert json.loads(wire.body) == {"detail": [{"loc": ["body", "texts"], "msg": error.message, "type": kind}]}


@pytest.mark.parametrize("error", [BadRequest("wrong"), Unsupported("no image model")])
def test_a_422_is_always_a_list(error):
    wire = SERVICE.fail(error)

    assert wire.status == 422
    assert json.loads(wire.body)["detail"][0]["msg"] == error.message


@pytest.mark.parametrize(
    "error", [UnknownModel("which"), NoRoute("where"), RuntimeFailed("broken"), NotReady("loading")]
)
def test_other_errors_are_a_sentence_with_their_own_status(error):
    wire = SERVICE.fail(error)

    assert (wire.status, json.loads(wire.body)) == (error.status, {"detail": error.message})


@pytest.mark.parametrize(
    ("body", "kind"), [(b'{"detail": "late"}', DeadlineExceeded), (b"<html>gateway time-out</html>", Upstream)]
)
def test_a_deadline_is_told_from_a_gateways_time_out(body, kind):
    assert type(SERVICE.hear_failure(Wire(504, body))) is kind


@pytest.mark.parametrize(
    ("state", "status", "word"),
    [
        ("ready", 200, "healthy"),
        ("loading", 200, "initializing"),
        ("draining", 503, "unhealthy"),
        ("failed", 503, "unhealthy"),
        ("dead", 503, "unhealthy"),
    ],
)
def test_a_server_that_loads_is_alive_and_one_that_cannot_answer_is_not(state, status, word):
    loaded = state == "ready"

    assert shown(HEALTH, state) == (status, {"status": word, "models_loaded": loaded, "service": "ml-service"})


def test_a_server_is_ready_when_vectors_can_be_had():
    assert shown(READY, "ready") == (200, {"ready": True, "message": "Service ready"})
    assert shown(READY, "loading") == (503, {"ready": False, "message": "because"})


def test_a_reranker_alone_makes_no_vectors():
    assert shown(READY, "ready", models=(overlap_spec(),))[0] == 503
