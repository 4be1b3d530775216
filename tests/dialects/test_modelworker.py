"""The words of the model worker."""

import json

import numpy as np
import pytest

from embedstack.dialects.dialect import Memory, Status
from embedstack.dialects.modelworker import ModelWorker
from embedstack.dialects.wire import Misfit
from embedstack.errors import NotReady, RuntimeFailed, UnknownModel
from embedstack.testing.fake import hash_spec, overlap_spec
from embedstack.types import Encoded, Usage

WORKER = ModelWorker()
MEBIBYTE = 1024 * 1024


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
    ("state", "word"), [("loading", "initializing"), ("failed", "unhealthy"), ("dead", "unhealthy")]
)
def test_a_server_that_cannot_answer_is_a_503_with_the_reason(state, word):
    status, body = health(state, reason="because")

    assert (status, body["status"], body["reason"], body["models"]["text"]) == (503, word, "because", False)


def test_a_reranker_alone_is_no_text_model():
    assert health(models=(overlap_spec(),))[1]["models"]["text"] is False


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
