"""Late chunking over a job: exact sentences, in their order, with what stands around them read and left out."""

import json

import numpy as np
import pytest

from embedstack.dialects.dialect import Limits
from embedstack.dialects.jobs import output_of
from embedstack.dialects.runpod import chosen_route
from embedstack.dialects.wire import Misfit, TooManyItems
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Text, answered

pytestmark = pytest.mark.anyio
MODELS = (hash_spec("bge-m3"),)
LIMITS = Limits(max_items=4, truncate="right")
TEXT = "Rain falls. It falls on the roof."


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def job(action, **given):
    return chosen_route(json.dumps({"input": {"action": action, **given}}).encode())


def ask(action, **given):
    route, body = job(action, **given)
    return route.ask(body, LIMITS, MODELS)


async def done(action, **given):
    route, body = job(action, **given)
    request = route.ask(body, LIMITS, MODELS)
    many = request if isinstance(request, tuple) else () if request is None else (request,)
    answers = tuple([await answered(HashEncoder(MODELS), one) for one in many])
    answer = answers if isinstance(request, tuple) else next(iter(answers), None)
    return json.loads(output_of(route.write(body, answer)))


async def vectors_of(*parts: str) -> np.ndarray:
    """What the door gives for these parts of one text."""
    items = tuple(Text(part) for part in parts)
    request = Encode(model="bge-m3", items=items, normalize=True, late_chunking=True)
    return (await HashEncoder(MODELS).encode(request)).dense


def test_the_parts_of_the_request_make_the_whole_text():
    request = ask("late_chunk", paragraph_text=TEXT, sentence_texts=["Rain falls.", "the roof."])

    assert [item.text for item in request.items] == ["Rain falls.", " It falls on ", "the roof."]
    assert (request.late_chunking, request.normalize, {item.role for item in request.items}) == (
        True,
        True,
        {"document"},
    )


async def test_vectors_stand_in_the_order_of_the_sentences():
    output = await done("late_chunk", paragraph_text=TEXT, sentence_texts=["It falls on the roof.", "Rain falls."])

    wanted = await vectors_of("Rain falls. ", "It falls on the roof.")
    assert np.array_equal(np.array(output["vectors"], np.float32), wanted[::-1])
    assert (output["model"], output["space"]) == ("bge-m3", MODELS[0].space)


async def test_a_prefix_is_read_and_has_no_vector():
    given = {"paragraph_text": "Rain: Rain falls.", "sentence_texts": ["Rain falls."], "prefix_len": 6}
    output = await done("late_chunk", **given)

    wanted = await vectors_of("Rain: ", "Rain falls.")
    assert np.array_equal(np.array(output["vectors"], np.float32), wanted[1:])


async def test_the_context_of_a_section_stands_before_its_paragraph_with_a_colon():
    paragraphs = [{"paragraph_text": "Rain falls.", "sentence_texts": ["Rain falls."], "section_context": "Weather"}]
    output = await done("late_chunk_batch", paragraphs=paragraphs)

    wanted = await vectors_of("Weather: ", "Rain falls.")
    assert np.array_equal(np.array(output["results"][0]["vectors"], np.float32), wanted[1:])


@pytest.mark.parametrize("context", ["", "  ", None])
def test_a_context_of_white_space_is_none(context):
    paragraphs = [{"paragraph_text": "a b", "sentence_texts": ["a", "b"], "section_context": context}]

    assert [item.text for item in ask("late_chunk_batch", paragraphs=paragraphs).items] == ["a ", "b"]


async def test_each_paragraph_is_a_request_and_one_without_sentences_has_no_vectors():
    paragraphs = [
        {"paragraph_text": "a b", "sentence_texts": ["b", "a"]},
        {"paragraph_text": "c", "sentence_texts": []},
        {"paragraph_text": "d", "sentence_texts": ["d"]},
    ]
    requests = ask("late_chunk_batch", paragraphs=paragraphs)
    output = await done("late_chunk_batch", paragraphs=paragraphs)

    assert [len(request.items) for request in requests] == [2, 1]
    assert [len(row["vectors"]) for row in output["results"]] == [2, 0, 1]
    made = np.array(output["results"][0]["vectors"], np.float32)
    assert np.array_equal(made, (await vectors_of("a ", "b"))[::-1])
    assert output["tokens_used"] == 3


@pytest.mark.parametrize(
    "given", [{}, {"paragraph_text": TEXT}, {"sentence_texts": ["a"]}, {"paragraph_text": "", "sentence_texts": ["a"]}]
)
async def test_without_a_text_or_sentences_there_are_no_vectors(given):
    assert await done("late_chunk", **given) == {"vectors": []}


async def test_without_paragraphs_there_are_no_results():
    assert await done("late_chunk_batch", paragraphs=[]) == {"results": []}


def test_a_sentence_that_is_not_there_is_named_and_gets_no_neighbours_vector():
    with pytest.raises(Misfit, match="sentence_texts 1 is not in the text"):
        ask("late_chunk", paragraph_text=TEXT, sentence_texts=["Rain falls.", "Snow falls."])


def test_all_sentences_of_a_job_count_towards_its_limit():
    paragraphs = [{"paragraph_text": "a b c", "sentence_texts": ["a", "b", "c"]}] * 2

    with pytest.raises(TooManyItems, match="holds 6 items, the limit is 4"):
        ask("late_chunk_batch", paragraphs=paragraphs)
