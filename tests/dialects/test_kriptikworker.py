"""The words of KripTik's RunPod workers."""

import json
from dataclasses import replace

import numpy as np
import pytest

from embedstack.dialects.dialect import Limits
from embedstack.dialects.kriptikworker import KriptikWorker
from embedstack.dialects.pictures import DARK, LIGHT
from embedstack.dialects.wire import Misfit
from embedstack.errors import NotReady, Unsupported
from embedstack.testing.fake import hash_spec
from embedstack.types import Encode, Encoded, Image, Sparse, Text, Usage

WORKER = KriptikWorker()
BGE_ROUTE, SIGLIP_ROUTE, VISION_ROUTE = WORKER.routes
BGE = hash_spec("bge-m3", outputs=("dense", "sparse", "multi"), dim=4)
SMALL = hash_spec("small", dim=4)
VISUAL = replace(
    hash_spec("siglip", inputs=("text", "image"), dim=4), similarity="sigmoid", logit_scale=10.0, logit_bias=-5.0
)
CLIP = replace(VISUAL, name="clip", similarity="softmax")
ROWS = np.eye(4, dtype=np.float32)


def ask(route, *models, **given) -> Encode:
    limits = Limits(max_items=8, truncate="right")
    return route.ask(route.read(json.dumps({"input": given}).encode()), limits, models or (BGE, VISUAL))


def output(route, rows, spec=VISUAL, *, more=None, **given):
    usage = Usage(items=len(rows), tokens=7, wait_s=0.002, run_s=0.01)
    answer = Encoded(spec=spec, fingerprint="f", usage=usage, dense=np.asarray(rows, np.float32), **(more or {}))
    reply = json.loads(route.write(route.read(json.dumps({"input": given}).encode()), answer).body)
    assert reply["status"] == "COMPLETED"
    return reply["output"]


# ------------------------------------------------------------------------------------------------ bge-m3


@pytest.mark.parametrize("given", [{"texts": ["a"]}, {"texts": "a"}, {"text": "a"}, {"input": "a"}, {"input": ["a"]}])
def test_texts_are_found_under_every_name_that_clients_use(given):
    request = ask(BGE_ROUTE, **given)

    assert (request.model, request.items, request.outputs) == ("bge-m3", (Text("a"),), {"dense"})


def test_options_choose_the_vectors_and_the_length():
    options = {"return_dense": False, "return_sparse": True, "return_colbert": True, "max_length": 512}
    request = ask(BGE_ROUTE, texts=["a"], options=options)

    assert (request.outputs, request.max_tokens) == ({"sparse", "multi"}, 512)


def test_without_bge_m3_the_only_text_model_answers():
    assert ask(BGE_ROUTE, SMALL, texts=["a"]).model == "small"


@pytest.mark.parametrize("given", [{}, {"texts": []}, {"texts": ""}])
def test_a_job_without_texts_is_refused(given):
    with pytest.raises(Misfit, match=r"input\.texts is missing"):
        ask(BGE_ROUTE, **given)


def test_every_vector_that_was_asked_for_is_in_the_output():
    sparse = (Sparse(np.array([3, 9], np.int32), np.array([0.5, 0.25], np.float32)),)
    more = {"sparse": sparse, "multi": (ROWS[:2],)}

    made = output(BGE_ROUTE, ROWS[:1], BGE, more=more, texts=["a"])

    assert made["embeddings"] == [[1, 0, 0, 0]]
    assert made["sparse_embeddings"] == [{"3": 0.5, "9": 0.25}]
    assert made["colbert_embeddings"] == [[[1, 0, 0, 0], [0, 1, 0, 0]]]
    assert (made["dimensions"], made["tokens_used"], made["texts_processed"]) == (4, 7, 1)


def test_the_other_client_finds_its_rows_as_openai_has_them():
    made = output(BGE_ROUTE, ROWS[:2], BGE, input=["a", "b"])

    assert [row["embedding"] for row in made["data"]] == made["embeddings"]
    assert made["usage"]["total_tokens"] == 7


# ------------------------------------------------------------------------------------------------ siglip


def test_what_is_sent_decides_where_the_type_is_left_out():
    assert isinstance(ask(SIGLIP_ROUTE, image=DARK).items[0], Image)
    assert ask(SIGLIP_ROUTE, texts=["a", "b"]).items == (Text("a"), Text("b"))


def test_the_picture_comes_before_the_texts_that_it_is_compared_with():
    request = ask(SIGLIP_ROUTE, type="similarity", image=DARK, texts=["a", "b"])

    assert [type(item) for item in request.items] == [Image, Text, Text]


def test_likeness_is_the_probability_that_the_model_was_trained_to_give():
    made = output(SIGLIP_ROUTE, ROWS[[0, 0, 1]], type="similarity", image=DARK, texts=["a", "b"])

    assert made["similarity_scores"] == pytest.approx([1 / (1 + np.exp(-5)), 1 / (1 + np.exp(5))], abs=1e-6)
    assert (made["image_embedding"], made["text_embeddings"][1]) == ([1, 0, 0, 0], [0, 1, 0, 0])


@pytest.mark.parametrize(
    ("given", "field"),
    [({"type": "image"}, "image"), ({"type": "similarity", "image": DARK}, "texts"), ({}, "texts")],
)
def test_what_is_missing_is_named(given, field):
    with pytest.raises(Misfit, match=f"input.{field} is missing"):
        ask(SIGLIP_ROUTE, **given)


@pytest.mark.parametrize(
    ("route", "given", "field"),
    [
        (SIGLIP_ROUTE, {"image": ""}, "image"),
        (SIGLIP_ROUTE, {"image": "", "texts": [""], "text": ""}, "image"),
        (SIGLIP_ROUTE, {"image": "data:image/png;base64,", "text": "a"}, "image"),
        (SIGLIP_ROUTE, {"type": "image", "image": "", "texts": ["a"]}, "image"),
        (SIGLIP_ROUTE, {"type": "similarity", "image": "base64,", "texts": ["a"]}, "image"),
        (VISION_ROUTE, {"type": "visual_text", "image": "", "text": "a"}, "image"),
        (VISION_ROUTE, {"type": "video", "frames": [""], "text": "a"}, "frames"),
    ],
)
def test_an_empty_picture_is_refused_and_the_text_beside_it_does_not_stand_for_it(route, given, field):
    with pytest.raises(Misfit, match=f"^{field} 0: an image is empty") as caught:
        ask(route, **given)

    assert WORKER.fail(caught.value).status == 400


@pytest.mark.parametrize("given", [{"text": "a cat"}, {"texts": ["a cat"]}])
def test_an_empty_picture_beside_a_text_is_not_set_where_no_picture_is_asked_for(given):
    request = ask(SIGLIP_ROUTE, type="auto", image="", **given)

    assert request.items == (Text("a cat"),)
    assert output(SIGLIP_ROUTE, ROWS[:1], type="auto", image="", **given)["type"] == "text"


# ------------------------------------------------------------------------------------------------ vl-jepa


def test_an_intent_is_read_by_the_text_model_with_its_context_before_it():
    request = ask(VISION_ROUTE, type="intent", text="sell bread", context="a shop")

    assert (request.model, request.items) == ("bge-m3", (Text("a shop\nsell bread"),))


def test_a_picture_with_a_text_is_their_mean_and_both():
    made = output(VISION_ROUTE, ROWS[:2], type="visual_text", image=DARK, text="a")

    assert made["embedding"] == pytest.approx([0.5**0.5, 0.5**0.5, 0, 0])
    assert (made["image_embedding"], made["text_embedding"]) == ([1, 0, 0, 0], [0, 1, 0, 0])
    assert made["similarity_scores"] == pytest.approx([1 / (1 + np.exp(5))], abs=1e-6)


def test_a_model_that_only_ranks_texts_gives_no_probability_of_one():
    assert "similarity_scores" not in output(VISION_ROUTE, ROWS[:2], CLIP, type="visual_text", image=DARK, text="a")


def test_a_video_is_its_frames_their_mean_and_its_parts():
    made = output(VISION_ROUTE, ROWS[[0, 0, 1, 2]], type="video", frames=[DARK, DARK, LIGHT], text="a")

    assert len(made["frame_embeddings"]) == 3
    assert made["segments"] == [{"start": 0, "stop": 2}, {"start": 2, "stop": 3}]
    assert (made["aggregation"], made["cosines"]) == ("mean", [0, 0, 0])


def test_frames_may_be_called_video():
    assert len(ask(VISION_ROUTE, type="video", video=[DARK, LIGHT]).items) == 2
    assert len(ask(VISION_ROUTE, type="video", frames=[], video=[DARK, LIGHT]).items) == 2


def test_nothing_is_called_vl_jepa_and_no_number_is_cut_off():
    for given in ({"type": "intent", "text": "a"}, {"type": "visual_text", "image": DARK}):
        made = output(VISION_ROUTE, ROWS[:1], **given)

        assert (made["model"], made["dimensions"]) == ("siglip", 4)
        assert "jepa" not in json.dumps(made).lower()
        assert made["engine"] in ("text-encoder", "dual-encoder")


def test_a_prediction_is_refused_with_what_is_missing():
    with pytest.raises(Unsupported, match="outcomes of earlier attempts"):
        ask(VISION_ROUTE, type="predictive", intent="a shop", patterns=[[0.1], [0.2]], context={})


def test_the_context_of_an_intent_is_a_text():
    with pytest.raises(Misfit, match="is an object"):
        ask(VISION_ROUTE, type="intent", text="a", context={})


def test_a_request_says_how_unlike_the_frames_of_a_part_may_be():
    whole = output(VISION_ROUTE, ROWS[[0, 1]], type="video", frames=[DARK, LIGHT], segment_growth=1.0)

    assert whole["segments"] == [{"start": 0, "stop": 2}]


def test_frames_that_cancel_each_other_out_have_no_mean():
    with pytest.raises(Unsupported, match="cancel each other out"):
        output(VISION_ROUTE, [ROWS[0], -ROWS[0]], type="video", frames=[DARK, LIGHT])


@pytest.mark.parametrize("before", ["", "base64,", "data:;base64,", "data:application/octet-stream;base64,"])
def test_a_picture_is_what_stands_behind_base64_whatever_stands_before(before):
    assert ask(SIGLIP_ROUTE, image=before + DARK).items == ask(SIGLIP_ROUTE, image=DARK).items


def test_softmax_gives_one_text_alone_no_probability():
    made = output(SIGLIP_ROUTE, ROWS[[0, 0]], CLIP, type="similarity", image=DARK, texts=["a"])

    assert "similarity_scores" not in made
    assert made["cosines"] == [1.0]


def test_a_model_without_a_rule_is_refused_before_anything_is_computed():
    with pytest.raises(Unsupported, match="does not say how likely"):
        ask(SIGLIP_ROUTE, replace(VISUAL, similarity=""), type="similarity", image=DARK, texts=["a"])


def test_texts_go_to_a_model_that_reads_them_too():
    only = hash_spec("only", inputs=("image",))

    assert ask(SIGLIP_ROUTE, VISUAL, only, texts=["a"]).model == "siglip"


def test_a_reranker_of_the_same_name_is_no_text_model():
    assert ask(BGE_ROUTE, replace(BGE, task="rerank"), SMALL, texts=["a"]).model == "small"


def test_a_job_that_asks_for_no_vectors_is_refused():
    with pytest.raises(Misfit, match="asks for no vectors"):
        ask(BGE_ROUTE, texts=["a"], options={"return_dense": False})


def test_lexical_weights_alone_have_no_width_and_no_length():
    sparse = (Sparse(np.array([3], np.int32), np.array([0.5], np.float32)),)
    usage = Usage(items=1, tokens=7)
    answer = Encoded(spec=BGE, fingerprint="f", usage=usage, sparse=sparse)
    body = BGE_ROUTE.read(b'{"input": {"texts": ["a"], "options": {"return_dense": false, "return_sparse": true}}}')

    made = json.loads(BGE_ROUTE.write(body, answer).body)["output"]

    assert made["embeddings"] == []
    assert "dimensions" not in made
    assert "normalized" not in made


def test_a_failure_is_a_failed_job_with_a_status_of_its_own():
    wire = WORKER.fail(NotReady("the model is loading", retry_after_s=3))

    assert wire.status == 503
    assert json.loads(wire.body)["status"] == "FAILED"
    assert wire.headers["retry-after"] == "3"
