"""Jina's words."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from embedstack.dialects.dialect import Limits
from embedstack.dialects.jina import Jina
from embedstack.dialects.wire import Misfit, NoRoute
from embedstack.errors import NotReady, Overloaded, RuntimeFailed, TooLong, Unauthorized, UnknownModel, Unsupported
from embedstack.testing.fake import hash_spec, overlap_spec
from embedstack.types import Encode, Encoded, Image, Link, Pair, Score, Scored, Text, Usage

JINA = Jina()
EMBED, RERANK = JINA.routes
LIMITS = Limits(max_items=4, truncate="left")
MODELS = (hash_spec(inputs=("text", "image")), overlap_spec())
PICTURE = base64.b64encode(b"picture").decode()
DENSE = np.array([[0.6, -0.8, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]], np.float32)


def ask(route, models=MODELS, **body):
    return route.ask(route.read(json.dumps(body).encode()), LIMITS, models)


def write(route, answer, **body) -> dict:
    return json.loads(route.write(route.read(json.dumps(body).encode()), answer).body)


def encoded(**vectors) -> Encoded:
    return Encoded(spec=hash_spec(dim=8), fingerprint="f", usage=Usage(2, 7), **(vectors or {"dense": DENSE}))


def scored(*logits) -> Scored:
    scores = np.array(logits, np.float32)
    return Scored(spec=overlap_spec(), fingerprint="f", usage=Usage(len(logits), 9), scores=scores)


def test_the_fields_become_the_request():
    request = ask(
        EMBED, input=["a", {"text": "b"}], model="m", task="retrieval.query", dimensions=8, normalized=False,
        late_chunking=True, truncate=False,
    )  # fmt: skip

    assert request == Encode(
        model="m",
        items=(Text("a", "query"), Text("b", "query")),
        dim=8,
        normalize=False,
        late_chunking=True,
        truncate="refuse",
    )


@pytest.mark.parametrize("given", ["a", {"text": "a"}, ["a"]])
def test_one_input_may_stand_alone(given):
    assert ask(EMBED, input=given).items == (Text("a"),)


@pytest.mark.parametrize(
    ("task", "role"),
    [
        (None, "document"),
        ("retrieval.query", "query"),
        ("retrieval.passage", "document"),
        ("nl2code.query", "query"),
        ("code.passage", "document"),
        ("text-matching", "document"),
        ("classification", "document"),
        ("clustering", "document"),
        ("separation", "document"),
        ("query", "query"),
        ("none", "none"),
    ],
)
def test_a_task_is_a_role(task, role):
    assert ask(EMBED, input="a", model="hash", task=task).items[0].role == role


PROMPTED = replace(hash_spec(), prompts={"query": "q: ", "document": "d: ", "clustering": "c: ", "code": "x: "})
NEEDY = replace(PROMPTED, needs_prompt=True)


@pytest.mark.parametrize("spec", [hash_spec(), PROMPTED, NEEDY])
@pytest.mark.parametrize("field", ["task", "input_type"])
@pytest.mark.parametrize("word", ["retrieval.qurey", "retrieval", "foo.query", "search_query", ""])
def test_a_word_that_nobody_knows_is_no_document(spec, field, word):
    with pytest.raises(
        Misfit, match=f"^{field} '{word}' is unknown to 'hash'; send one of: retrieval.query, "
    ) as caught:
        ask(EMBED, [spec], input="a", **{field: word})

    wire = JINA.fail(caught.value)
    assert (wire.status, json.loads(wire.body)["errors"][0]["field"]) == (422, field)


def test_a_refused_task_names_the_models_own():
    with pytest.raises(Misfit, match=r", clustering, separation, query, document, none, code$"):
        ask(EMBED, [PROMPTED], input="a", task="cdoe")


@pytest.mark.parametrize("task", ["text-matching", "classification"])
def test_a_task_without_a_prompt_in_a_model_that_needs_one_is_refused(task):
    with pytest.raises(
        Misfit, match=f"task '{task}' has no prompt in 'hash', which needs one; send one of: "
    ) as caught:
        ask(EMBED, [NEEDY], input="a", task=task)

    able = caught.value.message.partition("one of: ")[2].split(", ")
    assert {"retrieval.query", "retrieval.passage", "clustering", "separation", "code", "none"} <= set(able)
    assert not {"text-matching", "classification"} & set(able)


@pytest.mark.parametrize("spec", [PROMPTED, NEEDY])
@pytest.mark.parametrize(
    ("task", "role"),
    [
        ("retrieval.query", "query"),
        ("retrieval.passage", "document"),
        ("clustering", "clustering"),
        ("separation", "clustering"),
        ("code", "code"),
        (None, "document"),
    ],
)
def test_a_task_is_the_prompt_that_is_for_it(spec, task, role):
    assert ask(EMBED, [spec], input="a", task=task).items[0].role == role


def test_a_model_that_is_not_served_is_asked_for_all_the_same_so_that_its_name_is_what_is_refused():
    assert ask(EMBED, input="a", model="other", task="retrieval.qurey").items == (Text("a", "retrieval.qurey"),)


def test_two_fields_that_contradict_each_other_are_refused():
    assert ask(EMBED, input="a", task="retrieval.query", input_type="query").items[0].role == "query"
    with pytest.raises(Misfit, match=r"'retrieval\.query' and input_type 'document' differ"):
        ask(EMBED, input="a", task="retrieval.query", input_type="document")


def test_multi_vector_models_have_another_word_for_it():
    assert ask(EMBED, input="a", input_type="query").items[0].role == "query"


@pytest.mark.parametrize("field", ["image", "url", "bytes"])
def test_images_are_taken_under_old_and_new_names(field):
    request = ask(EMBED, input=["a", {field: PICTURE}, {"image": "https://example.org/a.png"}])

    assert request.items == (Text("a"), Image(b"picture"), Link("https://example.org/a.png"))


def test_images_without_a_model_for_them_are_refused_by_name():
    with pytest.raises(Unsupported, match="images"):
        ask(EMBED, models=[hash_spec()], input=[{"image": PICTURE}])


def test_pdf_is_refused_by_name():
    with pytest.raises(Unsupported, match="PDF"):
        ask(EMBED, input={"pdf": "AAAA"})


@pytest.mark.parametrize("one", [{}, {"text": "a", "image": PICTURE}])
def test_an_input_is_one_thing(one):
    with pytest.raises(Misfit, match=r"input\[0\]"):
        ask(EMBED, input=[one])


@pytest.mark.parametrize(("said", "end"), [(None, "left"), (True, "left"), (False, "refuse")])
def test_truncate_refuses_or_leaves_the_end_to_the_server(said, end):
    assert ask(EMBED, input="a", truncate=said).truncate == end
    assert ask(RERANK, query="q", documents=["a"], truncation=said).truncate == end


@pytest.mark.parametrize("name", ["embedding_type", "encoding_format", "encoding_type"])
@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("ubinary", [128]),
        ("binary", [0]),
        ("base64", base64.b64encode(DENSE[0].astype("<f4").tobytes()).decode()),
        ("float", [0.6, -0.8, 0, 0, 0, 0, 0, 0]),
        ("float16", [0.60009766, -0.7998047, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_each_type_has_its_json_under_every_name_for_it(name, kind, first):
    rows = write(EMBED, encoded(), input=["a", "b"], **{name: kind})["data"]

    assert rows[0] == {"object": "embedding", "index": 0, "embedding": first}


def test_several_types_stand_under_their_names():
    rows = write(EMBED, encoded(), input=["a", "b"], embedding_type=["ubinary", "float16"])["data"]

    assert rows[1]["embedding"] == {"ubinary": [1], "float16": [0, 0, 0, 0, 0, 0, 0, 1]}


def test_multi_vectors_are_asked_for_and_stand_under_another_key():
    rows = (DENSE, DENSE[:1])
    body = {"input": ["a", "b"], "return_multivector": True}

    shown = write(EMBED, encoded(multi=rows), **body)["data"]

    assert ask(EMBED, **body).outputs == {"multi"}
    assert [row["object"] for row in shown] == ["embeddings"] * 2
    assert [len(row["embeddings"]) for row in shown] == [2, 1]


@pytest.mark.parametrize(
    "more", [{"return_multivector": True, "embedding_type": "binary"}, {"return_tokenized_input": True}]
)
def test_what_cannot_be_given_of_multi_vectors_is_refused_before_it_is_reckoned(more):
    with pytest.raises(Unsupported, match="multi-vectors"):
        ask(EMBED, input="a", **more)


def test_the_width_of_multi_vectors_is_refused_by_name():
    with pytest.raises(Unsupported, match="leave dimensions out"):
        ask(EMBED, input="a", return_multivector=True, dimensions=8)


@pytest.mark.parametrize(("said", "unit"), [(None, True), (True, True), (False, False)])
def test_vectors_are_brought_to_length_1_unless_they_are_not_to_be(said, unit):
    assert ask(EMBED, input="a", normalized=said).normalize is unit


def test_a_wrong_image_is_refused_by_its_place():
    with pytest.raises(Misfit, match=r"^input 1: ") as caught:
        ask(EMBED, input=["a", {"image": "no picture"}])

    assert caught.value.param == "input"


def test_a_task_does_not_depend_on_how_the_models_name_is_spelled():
    spec = replace(hash_spec(), prompts={"text-matching": "match: "})
    limits = replace(LIMITS, find={"alias": spec}.get)
    body = EMBED.read(b'{"input": "a", "model": "alias", "task": "text-matching"}')

    assert EMBED.ask(body, limits, [spec]).items[0].role == "text-matching"


def test_an_unknown_field_is_refused_by_name():
    with pytest.raises(Misfit) as caught:
        ask(EMBED, input="a", tasks="x")

    assert caught.value.param == "tasks"


def test_documents_are_strings_or_objects():
    request = ask(RERANK, query="q", documents=["a", {"text": "b"}])

    expected = Score(model="overlap", items=(Pair("q", "a"), Pair("q", "b")), raw_scores=True, truncate="left")
    assert request == expected


@pytest.mark.parametrize(
    ("document", "error"), [({"image": PICTURE}, Unsupported), ({}, Misfit), ({"title": "t"}, Misfit)]
)
def test_a_document_without_a_text_is_refused(document, error):
    with pytest.raises(error):
        ask(RERANK, query="q", documents=[document])


def test_documents_come_back_unless_they_are_not_wanted():
    body = {"query": "q", "documents": ["a", {"text": "b"}]}
    shown, bare = [write(RERANK, scored(0, 1), **body, **more) for more in ({}, {"return_documents": False})]

    assert [rank["document"] for rank in shown["results"]] == [{"text": "b"}, {"text": "a"}]
    assert [rank.keys() for rank in bare["results"]] == [{"index", "relevance_score"}] * 2


def test_the_best_few_and_the_tokens_of_all():
    reply = write(RERANK, scored(0, 2, 1), query="q", documents=["a", "b", "c"], top_n=2)

    assert [rank["index"] for rank in reply["results"]] == [1, 2]
    assert reply["usage"]["total_tokens"] == 9


def test_a_documents_limit_is_not_one_of_the_pair():
    request = ask(RERANK, query="q", documents=["a"], max_doc_length=50)

    assert (request.document_tokens, request.max_tokens) == (50, None)


def test_vectors_of_documents_are_refused():
    with pytest.raises(Unsupported, match="return_embeddings"):
        ask(RERANK, query="q", documents=["a"], return_embeddings=True)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownModel("which"), 400, "INPUT_MODEL_NOT_FOUND"),
        (TooLong("long"), 400, "INPUT_TOO_LONG"),
        (Unauthorized("no key"), 401, "AUTH_INVALID_API_KEY"),
        (NoRoute("nowhere"), 404, "RESOURCE_NOT_FOUND"),
        (Unsupported("chunks"), 422, "INPUT_UNSUPPORTED"),
        (Overloaded("busy"), 429, "RATE_CONCURRENCY_LIMIT_EXCEEDED"),
        (RuntimeFailed("broken"), 500, "INTERNAL_ERROR"),
        (NotReady("loading"), 503, "SERVICE_UNAVAILABLE"),
    ],
)
def test_each_error_has_the_status_and_the_code_of_the_original(error, status, code):
    wire = JINA.fail(error)

    assert (wire.status, json.loads(wire.body)) == (status, {"detail": error.message, "code": code})


def test_a_body_that_does_not_fit_names_its_fields():
    wire = JINA.fail(Misfit("wrong", "input"))

    errors = [{"field": "input", "message": "wrong", "type": "value_error"}]
    assert (wire.status, json.loads(wire.body)) == (422, {"detail": "wrong", "errors": errors})
