"""The words of the model worker."""

import base64
import json

import numpy as np
import pytest

from embedstack.dialects.dialect import Limits, Memory, Status
from embedstack.dialects.modelworker import ModelWorker
from embedstack.dialects.modelworker_batch import BatchBody, BatchItem
from embedstack.dialects.wire import Misfit
from embedstack.errors import NotReady, RuntimeFailed, UnknownModel, Unsupported
from embedstack.inputs.picture import check_picture
from embedstack.testing.fake import hash_spec, overlap_spec
from embedstack.types import Encode, Encoded, Image, Text, Usage

WORKER = ModelWorker()
TEXTS, IMAGES, BATCH = WORKER.routes
MEBIBYTE = 1024 * 1024
TEXT_MODEL, IMAGE_MODEL = hash_spec("text"), hash_spec("image", inputs=("image",))
BOTH_MODEL = hash_spec("both", inputs=("text", "image"))
PICTURE = base64.b64encode(b"picture").decode()


def ask(route, models, **body) -> Encode:
    return route.ask(route.read(json.dumps(body).encode()), Limits(max_items=4, truncate="right"), models)


def batch(*kinds):
    contents = {"text": "a cat", "image": PICTURE}
    return [{"id": f"{place}", "type": kind, "content": contents[kind]} for place, kind in enumerate(kinds)]


def health(state="ready", models=(), reason="") -> tuple[int, dict]:
    memory = Memory(resident=300 * MEBIBYTE, mapped=50 * MEBIBYTE)
    find = {spec.name: spec for spec in models}.get
    status = Status(state=state, reason=reason, models=models, find=find, started=0, uptime_s=119.6, memory=memory)
    wire = WORKER.pages[0].show(status, "")
    return wire.status, json.loads(wire.body)


def test_a_healthy_server_gives_the_body_of_the_original():
    assert health(models=(hash_spec(),)) == (
        200,
        {
            "status": "ok",
            "models": {"text": True, "image": False},
            "memory": {"heapUsed": 250, "heapTotal": 300, "external": 50},
            "uptime": 120,
        },
    )


@pytest.mark.parametrize(
    ("state", "word"),
    [("loading", "initializing"), ("draining", "unhealthy"), ("failed", "unhealthy"), ("dead", "unhealthy")],
)
def test_a_server_that_cannot_answer_is_a_503_with_the_reason(state, word):
    status, body = health(state, reason="because")

    assert (status, body["status"], body["reason"], body["models"]["text"]) == (503, word, "because", False)


def test_a_reranker_alone_is_no_text_model():
    assert health(models=(overlap_spec(),))[1]["models"]["text"] is False


def test_health_says_which_kinds_of_model_can_be_used():
    assert health(models=(TEXT_MODEL, IMAGE_MODEL))[1]["models"] == {"text": True, "image": True}
    assert health(models=(IMAGE_MODEL,))[1]["models"] == {"text": False, "image": True}


@pytest.mark.parametrize("sent", [PICTURE, f"data:image/png;base64,{PICTURE}"])
def test_images_go_to_the_image_model(sent):
    assert ask(IMAGES, [TEXT_MODEL, IMAGE_MODEL], images=[sent]) == Encode(
        model="image", items=(Image(b"picture"),), normalize=True
    )


def test_texts_and_batches_are_brought_to_length_1_whatever_the_models_rule():
    requests = [ask(TEXTS, [TEXT_MODEL], texts=["a"]), ask(BATCH, [TEXT_MODEL], items=batch("text"))]

    assert [request.normalize for request in requests] == [True, True]


def test_a_wrong_picture_of_a_batch_is_refused_by_its_place():
    items = [*batch("image"), {"id": "b", "type": "image", "content": "no picture"}]

    with pytest.raises(Misfit, match=r"^items 1: "):
        ask(BATCH, [IMAGE_MODEL], items=items)


def test_images_without_an_image_model_say_what_is_missing():
    with pytest.raises(Unsupported, match="no model for images"):
        ask(IMAGES, [TEXT_MODEL], images=[PICTURE])


def test_a_wrong_image_is_named_by_its_place():
    with pytest.raises(Misfit, match="images 1: ") as caught:
        ask(IMAGES, [IMAGE_MODEL], images=[PICTURE, "!"])

    assert caught.value.param == "images"


def test_what_is_missing_here_is_no_wrong_body():
    wire = WORKER.fail(Unsupported("no image model"))

    assert (wire.status, json.loads(wire.body)) == (
        422,
        {"error": "Unprocessable Entity", "message": "no image model"},
    )


@pytest.mark.parametrize(
    ("kinds", "models", "model"),
    [
        (("text", "text"), [TEXT_MODEL, IMAGE_MODEL], "text"),
        (("text",), [BOTH_MODEL, TEXT_MODEL], "text"),
        (("image",), [TEXT_MODEL, IMAGE_MODEL], "image"),
        (("text", "image"), [BOTH_MODEL], "both"),
    ],
)
def test_a_batch_of_one_kind_or_for_one_model_is_one_request(kinds, models, model):
    assert ask(BATCH, models, items=batch(*kinds)).model == model


def test_a_batch_keeps_the_order_of_its_items():
    request = ask(BATCH, [BOTH_MODEL], items=batch("image", "text", "image"))

    assert request.items == (Image(b"picture"), Text("a cat"), Image(b"picture"))


@pytest.mark.parametrize("model", [IMAGE_MODEL, BOTH_MODEL])
def test_a_mixed_batch_over_two_models_is_a_request_for_each(model):
    texts, images = ask(BATCH, [model, TEXT_MODEL], items=batch("image", "text", "image"))

    assert (texts.model, texts.items) == ("text", (Text("a cat"),))
    assert (images.model, images.items) == (model.name, (Image(b"picture"),) * 2)


def test_a_batch_that_names_its_model_is_one_request_for_it():
    request = ask(BATCH, [TEXT_MODEL, BOTH_MODEL], items=batch("text", "image"), model="both")

    assert (request.model, len(request.items)) == ("both", 2)


def test_a_mixed_batch_with_two_models_for_texts_must_name_one():
    with pytest.raises(Misfit, match="name one of: text, other"):
        ask(BATCH, [TEXT_MODEL, hash_spec("other"), IMAGE_MODEL], items=batch("text", "image"))


def test_vectors_of_two_models_stand_at_their_items():
    usage = Usage(items=1, tokens=2, run_s=0.01)
    texts = Encoded(spec=TEXT_MODEL, fingerprint="", usage=usage, dense=np.array([[1, 0], [2, 0]], np.float32))
    images = Encoded(spec=IMAGE_MODEL, fingerprint="", usage=usage, dense=np.array([[3, 4, 5]], np.float32))
    body = BatchBody(items=[BatchItem("a", "text", ""), BatchItem("b", "image", ""), BatchItem("c", "text", "")])

    reply = json.loads(BATCH.write(body, (texts, images)).body)
    assert [row["embedding"] for row in reply["results"]] == [[1.0, 0.0], [3.0, 4.0, 5.0], [2.0, 0.0]]
    assert reply["metadata"] == {"total": 3, "text": 2, "image": 1, "duration": 10}


def test_a_mixed_batch_without_an_image_model_says_that_it_is_missing():
    with pytest.raises(Unsupported, match="no model for images"):
        ask(BATCH, [TEXT_MODEL], items=batch("text", "image"))


def test_a_batch_without_items_needs_no_model_and_has_the_reply_of_the_original():
    body = BATCH.read(b'{"items": []}')

    assert BATCH.ask(body, Limits(max_items=4, truncate="right"), ()) is None
    assert json.loads(BATCH.write(body, None).body) == {
        "results": [],
        "metadata": {"total": 0, "text": 0, "image": 0, "duration": 0},
    }


@pytest.mark.parametrize("data", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"a text that was named cat.jpg"])
def test_a_picture_of_another_format_is_a_wrong_body(data):
    with pytest.raises(Unsupported) as caught:
        check_picture(data, max_bytes=100, max_pixels=100)

    wire = WORKER.fail(caught.value)
    assert (wire.status, json.loads(wire.body)["error"]) == (400, "Validation Error")


def test_results_of_a_batch_have_the_ids_of_their_items():
    dense = np.array([[1, 0], [0, 1]], np.float32)
    answer = Encoded(spec=BOTH_MODEL, fingerprint="", usage=Usage(items=2, tokens=2), dense=dense)
    body = BatchBody(items=[BatchItem("b", "image", ""), BatchItem("a", "text", "")])

    reply = json.loads(BATCH.write(body, answer).body)
    assert reply["results"] == [{"id": "b", "embedding": [1.0, 0.0]}, {"id": "a", "embedding": [0.0, 1.0]}]
    assert reply["metadata"] == {"total": 2, "text": 1, "image": 1, "duration": 0}


def test_metadata_counts_vectors_width_and_milliseconds():
    dense = np.zeros((2, 8), np.float32)
    usage = Usage(items=2, tokens=2, wait_s=0.010, run_s=0.0851)
    answer = Encoded(spec=hash_spec(), fingerprint="", usage=usage, dense=dense)

    wire = WORKER.routes[0].write(WORKER.routes[0].example, answer)
    assert json.loads(wire.body)["metadata"] == {"count": 2, "dimension": 8, "duration": 95}


def test_a_wrong_body_is_a_validation_error_with_details():
    wire = WORKER.fail(Misfit("texts is wrong", "texts"))

    assert wire.status == 400
    assert json.loads(wire.body) == {
        "error": "Validation Error",
        "message": "Invalid request body",
        "details": [{"path": ["texts"], "message": "texts is wrong"}],
    }


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (RuntimeFailed("broken"), 500, "Internal Server Error"),
        (NotReady("loading"), 503, "Service Unavailable"),
    ],
)
def test_other_errors_have_a_word_and_the_message(error, status, word):
    wire = WORKER.fail(error)

    assert (wire.status, json.loads(wire.body)) == (status, {"error": word, "message": error.message})


def test_an_unknown_model_is_a_wrong_body():
    assert WORKER.fail(UnknownModel("which")).status == 400
