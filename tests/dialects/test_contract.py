"""What the contract sees of routes that give other things than vectors, and of pages."""

import json
from dataclasses import replace

import pytest
from tei_run import TEI

from embedstack.dialects.dialect import Wire
from embedstack.dialects.tei import Tei, TeiFailure
from embedstack.errors import Unsupported
from embedstack.testing.check_dialect import check_dialect
from embedstack.types import Classify, Encode, Image, Link


def checked(path, **changes):
    """The faults of a dialect that has one route, changed."""
    route = next(route for route in TEI.routes if route.path == path)
    dialect = Tei()
    dialect.routes, dialect.pages = (replace(route, **changes(route) if callable(changes) else changes),), ()
    return check_dialect(dialect)


def rewritten(path, change):
    """The faults of a route whose reply is changed as JSON."""
    route = next(route for route in TEI.routes if route.path == path)

    def write(body, answer):
        wire = route.write(body, answer)
        return replace(wire, body=json.dumps(change(json.loads(wire.body))).encode())

    return checked(path, write=write)


def has(faults, words):
    return any(words in fault for fault in faults)


@pytest.mark.parametrize("path", [route.path for route in TEI.routes])
def test_a_sound_route_has_no_faults(path):
    assert checked(path) == []


# ------------------------------------------------------------------------------------------------ replies


def test_a_lexical_weight_that_changed_is_seen():
    faults = rewritten(
        "/embed_sparse", lambda rows: [[{**one, "value": one["value"] + 1} for one in row] for row in rows]
    )

    assert has(faults, "lexical weights of the answer are lost or changed")


def test_a_token_id_that_is_lost_is_seen():
    faults = rewritten("/embed_sparse", lambda rows: [[{**one, "index": 1} for one in row] for row in rows])

    assert has(faults, "token ids of lexical weights are lost")


def test_labels_that_are_exchanged_are_seen():
    def exchanged(rows):
        return [[{**one, "label": row[0]["label"]} for one in row[::-1]] for row in rows]

    assert has(rewritten("/predict", exchanged), "a label of an item has no score")


def test_scores_that_are_exchanged_are_seen():
    def exchanged(rows):
        return [[{**one, "score": other["score"]} for one, other in zip(row, row[::-1], strict=True)] for row in rows]

    assert has(rewritten("/predict", exchanged), "a score does not stand beside its label")


def test_the_texts_of_decoding_are_all_there():
    assert has(rewritten("/decode", lambda texts: texts[:1]), "is lost in the reply")


@pytest.mark.parametrize("path", ["/similarity", "/tokenize"])
def test_a_reply_that_is_the_same_for_every_answer_is_seen(path):
    same = {"/similarity": b"[0.5,0.5]", "/tokenize": b"[[],[]]"}[path]

    assert has(checked(path, write=lambda body, answer: Wire(200, same)), "another answer has the same reply")


# ------------------------------------------------------------------------------------------------ routes


def test_a_request_of_another_kind_is_seen():
    faults = checked("/embed_sparse", ask=lambda body, limits, models: Classify(model="labels", items=()))

    assert has(faults, "the task is 'embed' and the request is Classify")


def test_a_client_without_ears_is_seen():
    assert has(checked("/embed", hear=None), "needs both say and hear")


def refuse(body, limits, models):
    raise Unsupported("nobody has that")


def test_a_route_answers_its_example():
    assert has(checked("/embed", ask=refuse, say=None, hear=None), "the example is refused: nobody has that")


def test_an_example_that_becomes_several_requests_is_answered_in_the_declared_shape():
    def ask(body, limits, models):
        return (Classify(model="labels", items=()),) * 2

    faults = checked("/embed", ask=ask, write=lambda body, answers: Wire(201, b"{}"), say=None, hear=None)

    assert has(faults, "the task is 'embed' and the first request is Classify")
    assert has(faults, "a good answer has status 201")
    assert has(faults, "the reply is not of the declared shape")


def test_added_keys_must_stand_in_the_own_reply():
    def adds(answer):
        return {"model": "another", "extra": 1}

    faults = checked("/v1/embeddings", adds=adds)
    assert [name for name in ("'model'", "'extra'") if has(faults, f"it adds {name}")] == ["'model'", "'extra'"]
    assert checked("/v1/embeddings", adds=lambda answer: {"model": answer.spec.name}) == []


def test_adding_keys_needs_a_shape():
    assert has(checked("/embed", adds=lambda answer: {}), "names no shape")


def test_an_envelope_of_a_route_is_checked_too():
    assert has(checked("/v1/embeddings", failure=TeiFailure), "is not of the declared shape")
    assert has(checked("/v1/embeddings", failure=None), "needs both fail and failure")


def test_pictures_belong_to_routes_that_take_them():
    assert has(checked("/embed_sparse", input="image"), "takes images, and its example holds 0 pictures")


@pytest.mark.parametrize(
    ("item", "words"), [(Image(b"GIF89a"), "is no PNG"), (Link("https://a/b.png"), "the example holds a link")]
)
def test_the_picture_of_an_example_can_be_tried(item, words):
    def ask(body, limits, models):
        return Encode(model="hash", items=(item, item))

    assert has(checked("/similarity", ask=ask, input="image"), words)


def test_too_many_items_are_refused_wherever_they_stand():
    route = next(route for route in TEI.routes if route.path == "/similarity")
    faults = checked(
        "/similarity", ask=lambda body, limits, models: route.ask(body, replace(limits, max_items=99), models)
    )

    assert has(faults, "is accepted")


# ------------------------------------------------------------------------------------------------ pages


def paged(**changes):
    dialect = Tei()
    dialect.routes, dialect.pages = (), (replace(dialect.pages[1], **changes),)
    return check_dialect(dialect)


def test_a_page_without_a_body_has_none():
    assert paged() == []
    assert has(paged(show=lambda status, _: Wire(200, b"ok")), "is declared to be empty and is not")


def test_a_page_answers_in_every_state_of_the_server():
    words = {"ready": 200}

    assert has(paged(show=lambda status, _: Wire(words[status.state], b"")), "a server that is loading raises KeyError")


def test_a_page_of_a_healthy_server_is_good():
    assert has(paged(show=lambda status, _: Wire(503, b"")), "a server that is ready has status 503")
