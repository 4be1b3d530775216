"""Text Embeddings Inference: embeddings, the paths that answer by the kind of the model, and the error map."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from tei_run import BOTH, EMBEDS, LABELS, RANKS, SPARSE, TEI, asked, limited, refused, replied, told

from embedstack.dialects.wire import BodyTooLong, EmptyList, Misfit
from embedstack.errors import (
    DeadlineExceeded,
    Forbidden,
    LoadFailed,
    NotReady,
    Overloaded,
    RuntimeFailed,
    TooLong,
    Unauthorized,
    UnknownModel,
    Unsupported,
)
from embedstack.testing.fake import hash_spec, labels_spec
from embedstack.types import STATES, Encode, Text, Tokens


def test_the_fields_of_embed_become_the_request():
    request = asked("/embed", BOTH, inputs=["a"], prompt_name="query", normalize=False, dimensions=8)

    assert request == Encode(model="hash", items=(Text("a", "query"),), normalize=False, dim=8)


def test_a_text_without_a_prompts_name_gets_no_prompt_as_in_the_original():
    items = [asked("/embed", inputs="a", **more).items[0] for more in ({}, {"prompt_name": None})]

    assert [item.role for item in items] == ["none", "none"]


def test_vectors_are_of_length_1_unless_asked_otherwise():
    assert asked("/embed", inputs="a").normalize is True


@pytest.mark.parametrize(
    ("setting", "body", "truncate"),
    [
        ("right", {}, "right"),
        ("left", {}, "left"),
        ("refuse", {}, "refuse"),
        ("refuse", {"truncate": True}, "right"),
        ("right", {"truncate": False}, "refuse"),
        ("right", {"truncate": False, "truncation_direction": "left"}, "refuse"),
        ("right", {"truncation_direction": "Left"}, "left"),
        ("left", {"truncation_direction": "right"}, "right"),
    ],
)
@pytest.mark.parametrize("path", ["/embed", "/embed_all", "/embed_sparse", "/predict", "/rerank", "/similarity"])
def test_the_body_decides_on_truncation_and_where_it_is_silent_the_setting(path, setting, body, truncate):
    models = {"/predict": LABELS, "/rerank": RANKS}.get(path, SPARSE)
    bodies = {
        "/rerank": {"query": "q", "texts": ["a"], **body},
        "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}, "parameters": body},
    }

    assert asked(path, models, limited(setting), **bodies.get(path, {"inputs": "a", **body})).truncate == truncate


def test_an_unknown_field_is_ignored_as_the_original_does():
    assert asked("/embed", inputs="a", nonsense=1) == asked("/embed", inputs="a")


@pytest.mark.parametrize("path", ["/embed", "/embed_sparse", "/embed_all"])
@pytest.mark.parametrize("inputs", [[], "", ["a", ""], [[]], [[7], []]])
def test_nothing_is_of_the_type_empty_as_in_the_original(path, inputs):
    assert refused(path, SPARSE, inputs=inputs) == (400, "Empty")


# ------------------------------------------------------------------------------------------------ token ids


@pytest.mark.parametrize("inputs", [[5, 6], [[5, 6]]])
def test_token_ids_are_the_models_own_whatever_the_setting_for_other_dialects(inputs):
    assert asked("/embed", inputs=inputs).items == (Tokens((5, 6)),)


def test_texts_and_token_ids_may_be_mixed():
    assert asked("/embed", inputs=["a", [5]]).items == (Text("a", "none"), Tokens((5,)))


def test_no_prompt_goes_in_front_of_token_ids_in_silence():
    assert refused("/embed", inputs=[[5]], prompt_name="query") == (422, "Validation")


# ------------------------------------------------------------------------------------------------ other vectors


def test_lexical_weights_have_rising_indices():
    rows = told("/embed_sparse", SPARSE, inputs=["rain falls", "a cat"])

    indices = [[value["index"] for value in row] for row in rows]
    assert len(rows) == 2
    assert all(row == sorted(row) and len(row) == 2 for row in indices)


def test_of_several_embedding_models_the_one_with_lexical_weights_gives_them():
    models = (hash_spec("plain"), hash_spec("both", outputs=("dense", "sparse")))

    assert asked("/embed_sparse", models, inputs="a").model == "both"


@pytest.mark.parametrize("named", [{}, {"model": "hash"}])
def test_a_model_without_lexical_weights_is_of_the_wrong_kind(named):
    assert refused("/embed_sparse", EMBEDS, inputs="a", **named) == (424, "Backend")
    assert "SPLADE" in told("/embed_sparse", EMBEDS, inputs="a", **named)["error"]


def test_states_of_tokens_are_lists_of_vectors_special_tokens_too():
    rows = told("/embed_all", inputs=["one two three", "four"])

    assert [np.shape(states) for states in rows] == [(4, 32), (2, 32)]
    assert rows[0][0] == rows[1][0] != rows[0][1]


def test_states_are_asked_for_alone_with_the_prompt_and_the_cut_of_the_body():
    request = asked("/embed_all", inputs="a", prompt_name="query", truncation_direction="left")

    assert request == Encode(model="hash", items=(Text("a", "query"),), outputs=STATES, truncate="left")


@pytest.mark.parametrize("more", [{"normalize": True}, {"dimensions": 8}])
def test_what_the_original_has_no_field_for_changes_no_states(more):
    assert asked("/embed_all", inputs="a", **more) == asked("/embed_all", inputs="a")


def test_where_the_runtime_shows_no_states_the_route_says_so():
    spec = replace(EMBEDS[0], architecture=replace(EMBEDS[0].architecture, family="reference:bert"))

    assert refused("/embed_all", (spec,), inputs="a") == (424, "Backend")
    assert "reference (sentence-transformers)" in told("/embed_all", (spec,), inputs="a")["error"]


def test_similarities_are_the_cosines_with_the_source():
    texts = ["a cat", "a cat", "rain falls", "a dog"]
    vectors = np.array(told("/embed", inputs=texts), np.float64)

    cosines = told("/similarity", inputs={"source_sentence": texts[0], "sentences": texts[1:]})
    assert cosines == pytest.approx(list(vectors[1:] @ vectors[0]), abs=1e-6)
    assert cosines[0] == pytest.approx(1.0, abs=1e-6)


def test_the_source_counts_towards_the_limit():
    body = {"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}}

    assert replied("/similarity", EMBEDS, limited(max_items=3), **body).status == 200
    assert refused("/similarity", EMBEDS, limited(max_items=2), **body) == (422, "Validation")


def test_no_sentences_are_of_the_type_empty():
    assert refused("/similarity", inputs={"source_sentence": "a", "sentences": []}) == (400, "Empty")


def test_the_prompt_of_a_similarity_stands_in_front_of_all_texts():
    body = {"inputs": {"source_sentence": "a", "sentences": ["b"]}, "parameters": {"prompt_name": "query"}}

    assert asked("/similarity", **body).items == (Text("a", "query"), Text("b", "query"))


# ------------------------------------------------------------------------------------------------ by kind


@pytest.mark.parametrize("path", ["/", "/invocations"])
@pytest.mark.parametrize(
    ("models", "body", "like"),
    [
        (EMBEDS, {"inputs": ["a", "b"]}, "/embed"),
        (EMBEDS, {"inputs": {"source_sentence": "a", "sentences": ["b"]}}, "/similarity"),
        (RANKS, {"query": "a", "texts": ["a", "b"]}, "/rerank"),
        (LABELS, {"inputs": "a glad text"}, "/predict"),
        ((hash_spec(outputs=("sparse",)),), {"inputs": "a"}, "/embed_sparse"),
        ((*EMBEDS, *RANKS, *LABELS), {"query": "a", "texts": ["a", "b"]}, "/rerank"),
        ((*EMBEDS, *RANKS, *LABELS), {"inputs": "a"}, "/embed"),
        ((*EMBEDS, *RANKS, *LABELS), {"inputs": [["a"], ["a", "b"]]}, "/predict"),
    ],
)
def test_a_path_without_a_name_answers_by_the_kind_of_model_and_body(path, models, body, like):
    assert told(path, models, **body) == told(like, models, **body)


@pytest.mark.parametrize(
    ("path", "models", "body"),
    [
        ("/embed", RANKS, {"inputs": "a"}),
        ("/similarity", RANKS, {"inputs": {"source_sentence": "a", "sentences": ["b"]}}),
        ("/rerank", EMBEDS, {"query": "a", "texts": ["b"]}),
        ("/predict", EMBEDS, {"inputs": "a"}),
        ("/embed", BOTH, {"inputs": "a", "model": "overlap"}),
        ("/v1/embeddings", RANKS, {"input": "a"}),
    ],
)
def test_a_route_without_its_kind_of_model_is_a_failed_dependency(path, models, body):
    wire = replied(path, models, **body)

    assert wire.status == 424
    assert "model is not a" in wire.body.decode()


def test_where_several_could_answer_one_must_be_named():
    models = (hash_spec("one"), hash_spec("two"))

    assert refused("/embed", models, inputs="a") == (422, "Validation")
    assert asked("/embed", models, inputs="a", model="two").model == "two"


# ------------------------------------------------------------------------------------------------ headers


def test_what_was_spent_stands_in_headers():
    headers = replied("/embed", inputs=["one two", "é", [5]]).headers

    assert headers == {
        "x-compute-time": "0",
        "x-compute-characters": "9",
        "x-compute-tokens": "4",
        "x-total-time": "0",
        "x-tokenization-time": "0",
        "x-queue-time": "0",
        "x-inference-time": "0",
    }


# ------------------------------------------------------------------------------------------------ OpenAI's shape


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_openais_clients_get_openais_reply(path):
    floats = told(path, input=["a", "b"])
    packed = told(path, input=["a", "b"], encoding_format="base64")

    assert floats["model"] == "hash"
    assert floats["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    rows = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in packed["data"]]
    assert np.array_equal(np.array([row["embedding"] for row in floats["data"]], np.float32), np.stack(rows))


def test_the_name_of_the_model_is_not_looked_at_where_only_one_could_answer():
    request = asked("/v1/embeddings", BOTH, input="a", model="text-embeddings-inference")

    assert request == Encode(model="hash", items=(Text("a", "none"),), normalize=True)


def test_the_name_of_the_model_counts_where_two_could_answer():
    models = (hash_spec("one"), hash_spec("two"))

    assert asked("/v1/embeddings", models, input="a", model="two").model == "two"


def test_openais_clients_token_ids_follow_the_setting():
    assert replied("/v1/embeddings", input=[5, 6]).status == 422


def test_openais_clients_get_errors_without_an_object_around():
    wire = replied("/v1/embeddings", input=[])

    assert wire.status == 400
    body = json.loads(wire.body)
    assert {**body, "message": ""} == {"message": "", "code": 400, "type": "Empty"}


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (EmptyList("none"), 400, "Empty"),
        (Unauthorized("no key"), 401, "Validation"),
        (Forbidden("not this"), 403, "Validation"),
        (Misfit("wrong"), 422, "Validation"),
        (TooLong("long"), 422, "Validation"),
        (Unsupported("width"), 422, "Validation"),
        (BodyTooLong("body"), 413, "Validation"),
        (UnknownModel("none of this task"), 424, "Backend"),
        (RuntimeFailed("broken"), 424, "Backend"),
        (LoadFailed("too large"), 424, "Backend"),
        (Overloaded("busy"), 429, "Overloaded"),
        (NotReady("loading"), 503, "Unhealthy"),
        (DeadlineExceeded("late"), 504, "Backend"),
    ],
)
def test_each_error_has_the_status_and_the_type_of_the_original(error, status, kind):
    wire = TEI.fail(error)

    assert wire.status == status
    assert json.loads(wire.body) == {"error": error.message, "error_type": kind}


@pytest.mark.parametrize(("task", "path"), [("embed", "/embed"), ("rerank", "/rerank")])
def test_the_first_route_that_a_client_can_use_is_the_one_by_name(task, path):
    assert next(route.path for route in TEI.routes if route.task == task and route.say is not None) == path


def test_a_classifier_is_not_asked_for_vectors():
    assert refused("/embed", (hash_spec(), labels_spec()), inputs="a", model="labels") == (424, "Backend")


def test_a_model_of_another_kind_is_refused_by_any_of_its_names():
    limits = replace(limited(), find={"alias": RANKS[0]}.get)

    assert refused("/embed", BOTH, limits, inputs="a", model="alias") == (424, "Backend")


def test_sparse_vectors_at_the_root_are_given_by_any_name_of_their_model():
    sparse = hash_spec("sparse", outputs=("sparse",))
    limits = replace(limited(), find={"alias": sparse}.get)

    assert asked("/", (*EMBEDS, sparse), limits, inputs="a", model="alias").outputs == {"sparse"}
