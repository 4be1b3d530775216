"""Which of the many inputs of RunPod workers a job has, and what is refused as it could be two or be overlooked."""

import json

import pytest

from embedstack.dialects.pictures import DARK
from embedstack.dialects.runpod import RunPod, chosen_route
from embedstack.dialects.runpod_input import OPTIONS, kind_of
from embedstack.dialects.wire import Misfit, OtherShape

RUNPOD = RunPod()


def raw(**given) -> bytes:
    return json.dumps({"input": given}).encode()


KINDS = {
    "texts": {"texts": ["a"]},
    "infinity": {"input": "a"},
    "rank": {"query": "a", "documents": ["a"]},
    "docs": {"query": "a", "docs": ["a"]},
    "query": {"query": "a"},
    "batch": {"action": "embed_batch", "texts": ["a"]},
    "late": {"action": "late_chunk", "paragraph_text": "a"},
    "lates": {"action": "late_chunk_batch"},
    "tokens": {"action": "embed_tokens", "text": "a"},
    "health": {"action": "health_check"},
    "pictures": {"images": [DARK]},
    "items": {"items": []},
    "siglip": {"image": DARK},
    "vision": {"type": "intent", "text": "a"},
    "models": {"openai_route": "/v1/models"},
    "forward": {"openai_route": "/v1/embeddings", "openai_input": {"input": "a"}},
}
"""Each kind of input, in the order in which a client looks for a route that carries what it wants."""

COLLISIONS = [
    ({"texts": ["a"], "type": "text"}, "siglip"),
    ({"texts": ["a"], "action": "embed_batch"}, "batch"),
    ({"query": "a", "action": "embed_query"}, "query"),
    ({"queries": ["a"]}, "query"),
    ({"query": "a", "texts": None}, "query"),
    ({"text": "a"}, "texts"),
    ({"type": "auto", "texts": ["a"]}, "siglip"),
    ({"type": "visual_text", "image": DARK}, "vision"),
    ({"openai_route": "models", "action": "health_check"}, "models"),
    ({"openai_route": "", "texts": ["a"]}, "texts"),
    ({"type": "similarity", "image": DARK, "texts": ["a"]}, "siglip"),
    ({"query": "a", "documents": ["a"], "docs": None}, "rank"),
    ({"action": "embed_batch", "texts": ["a"], "query": "a"}, "batch"),
]
"""Inputs that two workers could claim, and which of them they are here."""

TWO = [
    ({"query": "a", "texts": ["a"]}, ("query", "texts")),
    ({"query": "a", "images": [DARK]}, ("query", "images")),
    ({"query": "a", "input": ["a"]}, ("query", "input")),
    ({"queries": ["a"], "items": []}, ("queries", "items")),
    ({"query": "a", "documents": ["a"], "text": "a"}, ("query", "text")),
    ({"query": "a", "documents": ["a"], "docs": ["a"]}, ("documents", "docs")),
    ({"texts": ["a"], "image": DARK}, ("image", "texts")),
    ({"texts": ["a"], "images": [DARK]}, ("images", "texts")),
    ({"texts": ["a"], "input": ["a"]}, ("texts", "input")),
    ({"type": "text", "text": "a", "input": "a"}, ("text", "input")),
    ({"type": "auto", "query": "a", "image": DARK}, ("query", "image")),
]
"""Inputs that could be either of two, and what makes them so."""


@pytest.mark.parametrize(("kind", "given"), KINDS.items())
def test_each_kind_of_input_is_read_by_one_route_alone(kind, given):
    assert kind_of(raw(**given)) == kind

    taking = [route for route in RUNPOD.routes if route.path == "/runsync" and takes(route, raw(**given))]
    assert taking == [chosen_route(raw(**given))[0]]


def takes(route, given: bytes) -> bool:
    try:
        route.read(given)
    except OtherShape:
        return False
    return True


@pytest.mark.parametrize(("given", "kind"), COLLISIONS)
def test_every_collision_has_one_winner(given, kind):
    assert kind_of(raw(**given)) == kind


def test_the_routes_stand_at_both_paths_in_the_order_of_the_kinds():
    paths = [route.path for route in RUNPOD.routes]

    assert len(RUNPOD.routes) == 2 * len(KINDS)
    assert paths == ["/runsync"] * len(KINDS) + ["/"] * len(KINDS)


@pytest.mark.parametrize(("given", "named"), TWO)
def test_what_could_be_either_of_two_is_not_guessed(given, named):
    with pytest.raises(Misfit, match="the input has {} and {}, which are of two kinds".format(*named)):
        kind_of(raw(**given))


@pytest.mark.parametrize("name", ["documents", "docs"])
def test_a_query_whose_documents_are_null_is_no_query_alone(name):
    with pytest.raises(Misfit, match=f"{name} is null"):
        kind_of(raw(**{"query": "a", name: None}))


@pytest.mark.parametrize("kind", KINDS)
def test_an_option_that_a_kind_would_overlook_is_refused_unless_it_is_null(kind):
    for name in set(OPTIONS) - heeded(kind):
        with pytest.raises(Misfit, match=f"input.{name} is nothing that a job of this kind takes"):
            chosen_route(raw(**KINDS[kind], **{name: 4}))
        chosen_route(raw(**KINDS[kind], **{name: None}))


def heeded(kind) -> set[str]:
    """The options that its body has a field for."""
    _, body = chosen_route(raw(**KINDS[kind]))
    return set(type(body.input).__struct_fields__)
