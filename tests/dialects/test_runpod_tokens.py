"""A job that shows every token: its state, its place, and the vector of the whole."""

import asyncio
import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from embedstack.dialects.dialect import Limits
from embedstack.dialects.jobs import output_of
from embedstack.dialects.runpod import chosen_route
from embedstack.dialects.runpod_input import JobRefused
from embedstack.errors import Unsupported
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import STATES, Encode, Text, answered

MODELS = (hash_spec("bge-m3", max_tokens=4),)
TEXT = "rain falls on roofs"


def job(**given):
    return chosen_route(json.dumps({"input": {"action": "embed_tokens", **given}}).encode())


def answers(**given):
    route, body = job(**given)
    requests = route.ask(body, Limits(max_items=4, truncate="right"), MODELS)
    return route, body, tuple(asyncio.run(answered(HashEncoder(MODELS), one)) for one in requests)


def output(**given):
    route, body, made = answers(**given)
    return json.loads(output_of(route.write(body, made)))


def test_states_and_the_vector_are_those_of_the_door():
    shown = output(text=TEXT)

    encoder, items = HashEncoder(MODELS), (Text(TEXT),)
    states = asyncio.run(encoder.encode(Encode(model="bge-m3", items=items, outputs=STATES))).states[0]
    whole = asyncio.run(encoder.encode(Encode(model="bge-m3", items=items, normalize=True)))
    assert np.array_equal(np.array(shown["token_embeddings"], np.float32), states)
    assert np.array_equal(np.array(shown["pooled_embedding"], np.float32), whole.dense[0])
    assert (shown["space"], shown["fingerprint"]) == (MODELS[0].space, whole.fingerprint)


def test_places_are_characters_of_the_text_and_nothing_for_special_tokens():
    places = output(text=TEXT)["offset_mapping"]

    assert places[0] == [0, 0]
    assert [TEXT[start:stop] for start, stop in places[1:]] == TEXT.split()


def test_of_a_text_that_is_cut_the_tokens_that_are_left_are_shown():
    shown = output(text=f"{TEXT} and streets")

    assert len(shown["token_embeddings"]) == len(shown["offset_mapping"]) == 5
    assert (shown["truncated"], shown["dropped_tokens"]) == (1, 2)


def test_vectors_are_written_as_the_job_wants_them():
    shown, plain = output(text=TEXT, encoding_format="float16"), output(text=TEXT)

    row = np.frombuffer(base64.b64decode(shown["token_embeddings"][1]), "<f2")
    assert np.array_equal(row, np.array(plain["token_embeddings"][1], np.float16))
    assert shown["encoding_format"] == "float16"


@pytest.mark.parametrize("given", [{}, {"text": ""}, {"text": None}])
def test_without_a_text_it_says_what_the_original_said(given):
    with pytest.raises(JobRefused, match="No text provided"):
        answers(**given)


def test_places_that_do_not_belong_to_the_states_are_never_given():
    route, body, (states, whole, _) = answers(text=TEXT)
    other = answers(text="rain")[2][2]

    with pytest.raises(Unsupported, match="their places are unknown"):
        route.write(body, (states, whole, other))


def test_the_states_and_the_vector_wait_for_each_other_since_at_once_one_would_be_refused_for_the_other():
    route, body, (states, whole, places) = answers(text=TEXT)
    took = replace(whole.usage, wait_s=0.25, run_s=0.5)
    wire = route.write(body, (replace(states, usage=took), replace(whole, usage=took), places))

    status = json.loads(wire.body)
    assert route.in_turn
    assert (status["delayTime"], status["executionTime"]) == (500, 1000)
