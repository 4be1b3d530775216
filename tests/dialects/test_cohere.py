"""Cohere's words."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from embedstack.dialects.cohere import Cohere
from embedstack.dialects.dialect import Limits, Memory, Status, Wire
from embedstack.dialects.wire import BodyTooLong, Misfit
from embedstack.errors import (
    DeadlineExceeded,
    NotReady,
    Overloaded,
    TooLong,
    Unauthorized,
    UnknownModel,
    Unsupported,
    Upstream,
)
from embedstack.testing.fake import hash_spec, overlap_spec
from embedstack.types import (
    Encode,
    Encoded,
    Image,
    Pair,
    Piece,
    Scored,
    Text,
    Tokenize,
    Tokenized,
    Tokens,
    Usage,
)

COHERE = Cohere()
V2_EMBED, V2_RERANK, V1_EMBED, V1_RERANK, TOKENIZE, DETOKENIZE = COHERE.routes
LIMITS = Limits(max_items=200, truncate="right")
MODELS = (hash_spec(inputs=("text", "image")), overlap_spec())
PICTURE = f"data:image/png;base64,{base64.b64encode(b'picture').decode()}"
DENSE = np.array([[0.6, -0.8, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]], np.float32)


def ask(route, limits=LIMITS, models=MODELS, **body):
    return route.ask(route.read(json.dumps(body).encode()), limits, models)


def write(route, answer, **body) -> dict:
    return json.loads(route.write(route.read(json.dumps(body).encode()), answer).body)


USAGE = Usage(2, 7)


def encoded(usage=USAGE, *, dense=DENSE) -> Encoded:
    return Encoded(spec=hash_spec(dim=8), fingerprint="f", usage=usage, dense=dense)


def scored(*logits, usage=None) -> Scored:
    scores = np.array(logits, np.float32)
    return Scored(spec=overlap_spec(), fingerprint="f", usage=usage or Usage(len(logits), 9), scores=scores)


# ------------------------------------------------------------------------------------------------ embed


def test_the_fields_become_the_request():
    request = ask(V2_EMBED, texts=["a"], model="m", output_dimension=8, max_tokens=5, truncate="START", priority=3)

    expected = Encode(
        model="m", items=(Text("a"),), dim=8, max_tokens=5, truncate="left", priority="bulk", outputs={"dense"}
    )
    assert request == expected


def test_more_texts_than_in_the_original_are_taken():
    assert len(ask(V1_EMBED, texts=["a"] * 150).items) == 150


@pytest.mark.parametrize(("word", "end"), [("NONE", "refuse"), ("START", "left"), ("END", "right"), (None, "right")])
def test_truncate_names_what_is_dropped(word, end):
    assert ask(V1_EMBED, texts=["a"], truncate=word).truncate == end


def test_the_servers_setting_counts_where_the_body_does_not_say():
    assert ask(V2_EMBED, Limits(max_items=4, truncate="refuse"), texts=["a"]).truncate == "refuse"


@pytest.mark.parametrize(
    ("word", "role"),
    [
        ("search_query", "query"),
        ("search_document", "document"),
        ("classification", "document"),
        ("clustering", "document"),
        ("image", "document"),
        ("none", "none"),
        (None, "document"),
    ],
)
def test_the_input_type_is_a_role(word, role):
    assert ask(V2_EMBED, texts=["a"], model="hash", input_type=word).items[0].role == role


PROMPTED = replace(hash_spec(), prompts={"query": "q: ", "document": "d: ", "clustering": "c: "})
NEEDY = replace(PROMPTED, needs_prompt=True)


@pytest.mark.parametrize("route", [V1_EMBED, V2_EMBED])
@pytest.mark.parametrize("spec", [hash_spec(), PROMPTED, NEEDY])
@pytest.mark.parametrize("word", ["search_qurey", "retrieval.query", "Search_Query", ""])
def test_a_word_that_nobody_knows_is_no_document(route, spec, word):
    with pytest.raises(Misfit, match=f"^input_type '{word}' is unknown to 'hash'; send one of: search_doc") as caught:
        ask(route, models=[spec], texts=["a"], input_type=word)

    assert (caught.value.param, COHERE.fail(caught.value).status) == ("input_type", 400)


def test_an_unknown_word_beside_images_is_refused_too():
    with pytest.raises(Misfit, match="'images' is unknown"):
        ask(V2_EMBED, images=[PICTURE], input_type="images")


@pytest.mark.parametrize("word", ["classification", "image"])
def test_a_word_without_a_prompt_in_a_model_that_needs_one_is_refused(word):
    able = "search_document, search_query, clustering, query, document, none"

    with pytest.raises(Misfit, match=f"'{word}' has no prompt in 'hash', which needs one; send one of: {able}$"):
        ask(V2_EMBED, models=[NEEDY], texts=["a"], input_type=word)


@pytest.mark.parametrize(
    ("word", "role"),
    [("search_query", "query"), ("search_document", "document"), ("clustering", "clustering"), (None, "document")],
)
def test_a_model_that_needs_a_prompt_has_it_by_the_dialects_word(word, role):
    assert ask(V2_EMBED, models=[NEEDY], texts=["a"], input_type=word).items[0].role == role


def test_a_prompt_of_the_models_own_is_used_by_its_name():
    spec = hash_spec()
    tasked = replace(spec, prompts={"clustering": "cluster: ", "search_query": "q: "})

    asked = [ask(V2_EMBED, models=[tasked], texts=["a"], input_type=word) for word in ("clustering", "search_query")]

    assert [request.items[0].role for request in asked] == ["clustering", "search_query"]


@pytest.mark.parametrize("word", ["clustering", "search_query", "classification"])
def test_the_role_does_not_depend_on_how_the_models_name_is_spelled(word):
    spec = replace(hash_spec(), prompts={"clustering": "cluster: "})
    limits = replace(LIMITS, find={"alias": spec}.get)

    own, alias = [
        ask(V2_EMBED, limits, [spec], texts=["a"], model=name, input_type=word).items for name in ("hash", "alias")
    ]

    assert own == alias


@pytest.mark.parametrize(
    "body", [{"images": [PICTURE]}, {"inputs": [{"content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}]}]
)
def test_images_go_to_the_model_that_takes_them(body):
    models = (hash_spec("text"), hash_spec("sees", inputs=("text", "image")))

    request = ask(V2_EMBED, models=models, input_type="image", **body)

    assert (request.model, request.items) == ("sees", (Image(b"picture"),))


def test_images_without_a_model_for_them_are_refused_by_name():
    with pytest.raises(Unsupported, match="images"):
        ask(V1_EMBED, models=[hash_spec()], images=[PICTURE])


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("images", [PICTURE, "no picture"]),
        (
            "inputs",
            [{"content": [{"type": "image_url", "image_url": {"url": url}}]} for url in (PICTURE, "no picture")],
        ),
    ],
)
def test_a_wrong_image_is_refused_by_its_place(field, values):
    with pytest.raises(Misfit, match=f"^{field} 1: ") as caught:
        ask(V2_EMBED, **{field: values})

    assert caught.value.param == field


def test_an_input_of_several_parts_is_refused_with_its_place():
    part = {"type": "text", "text": "a"}

    with pytest.raises(Unsupported, match=r"inputs\[1\] has 2 parts"):
        ask(V2_EMBED, inputs=[{"content": [part]}, {"content": [part, part]}])


@pytest.mark.parametrize("body", [{}, {"texts": ["a"], "images": [PICTURE]}, {"texts": None}])
def test_exactly_one_field_holds_the_items(body):
    with pytest.raises(Misfit, match="send one of"):
        ask(V2_EMBED, **body)


@pytest.mark.parametrize(
    "field", [{"embedding_types": []}, {"embedding_types": ["half"]}, {"truncate": "end"}, {"nonsense": 1}]
)
def test_a_value_that_cannot_be_is_refused_by_name(field):
    with pytest.raises(Misfit) as caught:
        ask(V2_EMBED, texts=["a"], **field)

    assert caught.value.param == next(iter(field))


def test_v1_has_no_inputs():
    with pytest.raises(Misfit):
        ask(V1_EMBED, inputs=[])


def test_every_type_holds_all_vectors_in_order():
    types = ["float", "int8", "uint8", "binary", "ubinary", "base64", "float16"]

    by_type = write(V2_EMBED, encoded(), texts=["a", "b"], embedding_types=types)["embeddings"]

    floats = base64.b64encode(DENSE[1].astype("<f4").tobytes()).decode()
    assert list(by_type) == types
    assert by_type["float"][0][:2] == [0.6, -0.8]
    assert by_type["int8"] == [[76, -102, 0, 0, 0, 0, 0, 0], [0] * 7 + [127]]
    assert by_type["uint8"] == [[204, 26, 128, 128, 128, 128, 128, 128], [128] * 7 + [255]]
    assert by_type["ubinary"] == [[128], [1]]
    assert by_type["binary"] == [[0], [-127]]
    assert by_type["base64"][1] == floats
    assert np.array_equal(np.array(by_type["float16"], np.float16), DENSE.astype(np.float16))


def test_float16_is_told_in_digits_that_numpy_reads_back_to_the_same():
    drawn = np.random.default_rng(0).standard_normal((2, 8)).astype(np.float32)

    reply = write(V1_EMBED, encoded(dense=drawn), texts=["a", "b"], embedding_types=["float16"])

    assert np.array(reply["embeddings"]["float16"], np.float16).tobytes() == drawn.astype(np.float16).tobytes()


def test_a_number_that_float16_cannot_hold_is_refused():
    with pytest.raises(Unsupported, match="over 65504"):
        write(V1_EMBED, encoded(dense=DENSE * np.float32(1e5)), texts=["a", "b"], embedding_types=["float16"])


def test_v1_without_types_is_a_plain_list():
    reply = write(V1_EMBED, encoded(), texts=["a", "b"])

    assert reply["response_type"] == "embeddings_floats"
    assert np.array(reply["embeddings"], np.float32).tolist() == DENSE.tolist()
    assert reply["texts"] == ["a", "b"]


def test_tokens_are_billed_and_cuts_are_told():
    usage = Usage(2, 7, dropped=5, truncated=1)

    about = write(V2_EMBED, encoded(usage), texts=["a", "b"])["meta"]

    assert about["billed_units"] == {"input_tokens": 7}
    assert about["warnings"] == ["1 of 2 items were over the limit and lost 5 tokens in all"]


def test_images_are_billed():
    answer = encoded(Usage(2, 0))

    assert write(V1_EMBED, answer, images=[PICTURE, PICTURE])["meta"]["billed_units"]["images"] == 2


# ------------------------------------------------------------------------------------------------ rerank


def test_documents_are_strings_or_objects_with_a_text():
    request = ask(V1_RERANK, query="q", documents=["a", {"text": "b", "title": "t"}])

    assert request.items == (Pair("q", "a"), Pair("q", "b"))
    assert request.raw_scores


def test_rank_fields_are_read_one_below_the_other():
    request = ask(
        V1_RERANK, query="q", documents=[{"title": "t", "body": "b", "x": "y"}], rank_fields=["title", "body"]
    )

    assert request.items == (Pair("q", "t\nb"),)


def test_a_document_without_the_field_is_refused_with_its_place():
    with pytest.raises(Misfit, match=r"documents\[1\] has no field 'text'"):
        ask(V1_RERANK, query="q", documents=["a", {"title": "t"}])


@pytest.mark.parametrize(("chunks", "end"), [(None, "right"), (1, "right"), (10, "refuse")])
def test_a_document_that_would_need_several_chunks_is_refused_and_not_cut(chunks, end):
    assert ask(V1_RERANK, query="q", documents=["a"], max_chunks_per_doc=chunks).truncate == end


def test_a_limit_of_a_documents_tokens_is_not_one_of_the_pair():
    asked, silent = [ask(V2_RERANK, query="q", documents=["a"], **more) for more in ({"max_tokens_per_doc": 9}, {})]

    assert (asked.document_tokens, asked.max_tokens) == (9, None)
    assert silent.document_tokens is None


def test_a_relevance_is_between_0_and_1_whatever_the_model_says():
    ranks = write(V2_RERANK, scored(-30, 30, 0), query="q", documents=["a", "b", "c"])["results"]

    assert [rank["index"] for rank in ranks] == [1, 2, 0]
    assert [rank["relevance_score"] for rank in ranks] == pytest.approx([1, 0.5, 0], abs=1e-9)


def test_the_best_few_come_with_whole_documents():
    body = {"query": "q", "documents": ["a", {"text": "b", "title": "t"}], "return_documents": True}

    both = write(V1_RERANK, scored(0, 1), **body)["results"]
    best = write(V1_RERANK, scored(0, 1), **body, top_n=1)["results"]

    assert [rank["document"] for rank in both] == [{"text": "b", "title": "t"}, {"text": "a"}]
    assert best == both[:1]


@pytest.mark.parametrize(("items", "units"), [(1, 1), (100, 1), (101, 2)])
def test_a_hundred_documents_are_a_search_unit(items, units):
    answer = scored(*([0.0] * items))

    assert write(V2_RERANK, answer, query="q", documents=["a"] * items)["meta"]["billed_units"] == {
        "search_units": units
    }


@pytest.mark.parametrize("field", [{"top_n": 0}, {"truncation": True}, {"max_tokens_per_doc": 0}])
def test_a_field_that_cannot_be_is_refused_by_name(field):
    with pytest.raises(Misfit) as caught:
        ask(V1_RERANK, query="q", documents=["a"], **field)

    assert caught.value.param == next(iter(field))


# ------------------------------------------------------------------------------------------------ tokens


def test_a_text_is_cut_into_tokens_without_special_ones():
    request = ask(TOKENIZE, models=[hash_spec()], text="a cat")

    assert request == Tokenize(model="hash", items=(Text("a cat", "none"),), special_tokens=False)


def test_tokens_are_ids_and_strings():
    pieces = (Piece(5, "a", special=False), Piece(6, "cat", special=False))
    answer = Tokenized(spec=hash_spec(), usage=Usage(1, 2), items=(pieces,))

    reply = write(TOKENIZE, answer, text="a cat")

    assert (reply["tokens"], reply["token_strings"]) == ([5, 6], ["a", "cat"])


def test_ids_become_one_text():
    assert ask(DETOKENIZE, models=[hash_spec()], tokens=[5, 6]).items == (Tokens((5, 6)),)


# ------------------------------------------------------------------------------------------------ errors, pages


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Misfit("wrong", "texts"), 400),
        (TooLong("long"), 400),
        (Unauthorized("no key"), 401),
        (UnknownModel("which"), 404),
        (BodyTooLong("body"), 413),
        (Unsupported("width"), 422),
        (Overloaded("busy"), 429),
        (NotReady("loading"), 503),
    ],
)
def test_each_error_has_the_status_and_the_body_of_the_original(error, status):
    wire = COHERE.fail(error)
    body = json.loads(wire.body)

    assert (wire.status, body["message"], set(body)) == (status, error.message, {"message", "id"})


def test_a_gateways_timeout_is_not_taken_for_a_deadline():
    ours, gateways = COHERE.fail(DeadlineExceeded("late")), Wire(504, b"<html>")

    assert type(COHERE.hear_failure(ours)) is DeadlineExceeded
    assert type(COHERE.hear_failure(gateways)) is Upstream


def test_a_model_says_what_it_is_for():
    find = {spec.name: spec for spec in MODELS}.get
    status = Status(state="ready", reason="", models=MODELS, find=find, started=0, uptime_s=3, memory=Memory(0, 0))

    shown = json.loads(COHERE.pages[1].show(status, "overlap").body)

    assert (shown["name"], shown["endpoints"], shown["context_length"]) == ("overlap", ["rerank"], 256)
