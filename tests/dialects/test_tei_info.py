"""Text Embeddings Inference: what a server says of itself."""

import json
from dataclasses import replace

import pytest
from tei_run import TEI

from embedstack.dialects.dialect import Limits, Memory, Status
from embedstack.errors import NotReady
from embedstack.testing.fake import hash_spec, labels_spec, overlap_spec
from embedstack.watching import Load

PAGES = {page.path: page for page in TEI.pages}
MODELS = (overlap_spec(), replace(hash_spec(), pooling="last"), labels_spec())


def status(state="ready", models=MODELS, **more):
    return Status(
        state=state,
        reason="" if state == "ready" else "the server is loading",
        models=models,
        find={spec.name: spec for spec in models}.get,
        started=1.7e9,
        uptime_s=1.0,
        memory=Memory(1, 0),
        limits=Limits(max_items=64, truncate="refuse"),
        **{"load": Load(batch_tokens=1024, limit_tokens=1741, precisions={"hash": "bfloat16"}), **more},
        version="1.2.3",
        threads=3,
    )


def info(**more):
    return json.loads(PAGES["/info"].show(status(**more), "").body)


def test_the_first_model_that_embeds_is_described():
    assert info() == {
        "model_id": "hash",
        "model_sha": "1",
        "model_dtype": "bfloat16",
        "served_model_name": "hash",
        "model_type": {"embedding": {"pooling": "last_token"}},
        "max_concurrent_requests": 1741,
        "max_input_length": 256,
        "max_batch_tokens": 1024,
        "max_batch_requests": None,
        "max_client_batch_size": 64,
        "auto_truncate": False,
        "tokenization_workers": 3,
        "version": "1.2.3",
        "sha": None,
        "docker_label": None,
    }


def test_a_client_that_sends_as_many_requests_as_it_is_told_sends_some_where_there_is_no_limit():
    assert info(load=Load())["max_concurrent_requests"] == 2**31 - 1


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (hash_spec(), {"embedding": {"pooling": "mean"}}),
        (hash_spec(outputs=("sparse",)), {"embedding": {"pooling": "splade"}}),
        (overlap_spec(), {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}),
        (
            labels_spec(labels=("calm", "sad")),
            {"classifier": {"id2label": {"0": "calm", "1": "sad"}, "label2id": {"calm": 0, "sad": 1}}},
        ),
    ],
)
def test_each_kind_of_model_is_described_as_in_the_original(spec, kind):
    assert info(models=(spec,))["model_type"] == kind


def test_the_numbers_of_a_model_that_is_not_in_memory_are_not_guessed():
    assert info(models=(hash_spec("other"),))["model_dtype"] == "unknown"


@pytest.mark.parametrize("path", ["/health", "/ping", "/"])
def test_a_healthy_server_says_so_without_a_body_and_without_a_key(path):
    wire = PAGES[path].show(status(), "")

    assert (wire.status, wire.body) == (200, b"")
    assert not PAGES[path].needs_key


@pytest.mark.parametrize("path", ["/health", "/ping", "/", "/info"])
def test_a_server_that_loads_says_why_it_is_unhealthy(path):
    with pytest.raises(NotReady, match="the server is loading") as caught:
        PAGES[path].show(status("loading", ()), "")

    wire = TEI.fail(caught.value)
    assert (wire.status, json.loads(wire.body)["error_type"]) == (503, "Unhealthy")


def test_only_the_description_needs_a_key_as_in_the_original():
    assert [path for path, page in PAGES.items() if page.needs_key] == ["/info"]


def test_a_client_hears_how_many_items_a_request_may_hold():
    assert TEI.info.path == "/info"
    assert TEI.info.hear_max_items(PAGES["/info"].show(status(), "")) == 64
