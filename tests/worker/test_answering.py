"""Jobs as the SDK has them, answered by the fake encoder."""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from embedstack.dialects.dialect import DEFAULT_LIMITS
from embedstack.engine.links import Links
from embedstack.errors import DeadlineExceeded
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import Classified, Classify, Encode, Encoded, Request, Score, Scored, Text
from embedstack.worker.answering import Answering, check_finite, terms
from embedstack.worker.output import RUN_BYTES, Output

pytestmark = pytest.mark.anyio
Json = dict[str, object]
NOW = 1000.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Noting(HashEncoder):
    """The fake encoder; keeps what it was asked, and may spoil a vector."""

    def __init__(self, *args: object, spoiled: float | None = None, error: Exception | None = None) -> None:
        super().__init__(*args)
        self.asked: list[Request] = []
        self._spoiled = spoiled
        self._error = error

    async def encode(self, request: Encode) -> Encoded:
        self.asked.append(request)
        if self._error is not None:
            raise self._error
        made = await super().encode(request)
        if self._spoiled is not None:
            made.dense[-1, 0] = self._spoiled
        return made


def answering(encoder: HashEncoder, **settings: object) -> Answering:
    specs = {spec.name: spec for spec in encoder.models()}
    links = Links(replace(Settings(), **settings))
    return Answering(encoder, DEFAULT_LIMITS, links, specs.get, clock=lambda: NOW)


async def body_of(job: Mapping[str, object], encoder: HashEncoder | None = None) -> Json:
    """What is sent for it."""
    output = await answering(encoder or HashEncoder()).answer({"id": "job", **job})
    return json.loads(output.body())


async def rows_of(*texts: str) -> np.ndarray:
    return (await HashEncoder().encode(Encode(model="hash", items=tuple(map(Text, texts))))).dense


# ------------------------------------------------------------------------------------------------ answers


async def test_texts_get_their_vectors() -> None:
    sent = await body_of({"input": {"texts": ["sun", "moon"]}})

    assert np.array_equal(np.float32(sent["output"]["embeddings"]), await rows_of("sun", "moon"))
    assert "error" not in sent


async def test_documents_get_their_scores() -> None:
    sent = await body_of({"input": {"query": "sun", "documents": ["moon", "the sun"]}})

    assert [row["index"] for row in sent["output"]["results"]] == [1, 0]


async def test_a_route_of_openai_gives_a_list() -> None:
    sent = await body_of({"input": {"openai_route": "/v1/embeddings", "openai_input": {"model": "hash", "input": "a"}}})

    assert [one["object"] for one in sent["output"]] == ["list"]


async def test_a_health_check_runs_the_model() -> None:
    encoder = Noting()
    sent = await body_of({"input": {"action": "health_check"}}, encoder)

    assert sent["output"]["status"] == "ok"
    assert len(encoder.asked) == 1


async def test_a_health_check_of_a_model_that_fails_fails() -> None:
    sent = await body_of({"input": {"action": "health_check"}}, Noting(error=DeadlineExceeded("too slow")))

    assert (sent["error"], sent["output"]) == ("too slow", {"code": "deadline"})


async def test_the_parts_of_a_job_are_asked_for_at_once() -> None:
    both, here = asyncio.Event(), []

    class Meeting(HashEncoder):
        async def encode(self, request: Encode) -> Encoded:
            here.append(request)
            if len(here) == 2:
                both.set()
            await both.wait()
            return await super().encode(request)

    paragraphs = [{"paragraph_text": text, "sentence_texts": [text]} for text in ("sun", "moon")]
    sent = await body_of({"input": {"action": "late_chunk_batch", "paragraphs": paragraphs}}, Meeting())

    assert [len(one["vectors"]) for one in sent["output"]["results"]] == [1, 1]


# ------------------------------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("given", "error", "output"),
    [
        ({"action": "embed_query"}, "No query provided", {}),
        ({"action": "embed_batch"}, "No texts provided", {"embeddings": []}),
        ({"action": "sing"}, "Unknown action: sing", {}),
    ],
)
async def test_a_wrong_job_fails_in_the_words_of_the_original(given: Json, error: str, output: Json) -> None:
    """Beside them stands our code, by which a client knows that the fault is the caller's."""
    sent = await body_of({"input": given})

    assert (sent["error"], sent["output"]) == (error, {**output, "code": "bad_request"})


@pytest.mark.parametrize("given", [{}, {"input": None}, {"input": []}, {"input": "sun"}, {"input": {"nothing": 1}}])
async def test_a_job_of_no_known_shape_fails(given: Json) -> None:
    sent = await body_of(given)

    assert sent["error"]
    assert sent["output"] == {"code": "bad_request"}


async def test_half_of_a_surrogate_pair_fails_its_job() -> None:
    sent = await body_of({"input": {"texts": ["\ud800"]}})

    assert "cannot be read as JSON" in sent["error"]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
async def test_a_number_that_is_none_is_a_failure_and_never_null(number: float) -> None:
    sent = await body_of({"input": {"texts": ["sun", "moon"]}}, Noting(spoiled=number))

    assert "model 'hash' gave a number that is not finite for item 1" in sent["error"]


async def test_a_bug_is_told_by_the_jobs_id_and_its_cause_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    sent = await body_of({"input": {"texts": ["sun"]}}, Noting(error=KeyError("private")))

    assert sent["error"] == "internal error; see the worker's log of job job"
    assert [(record.getMessage(), record.exc_info is not None) for record in caplog.records] == [
        ("event=bug job=job", True)
    ]


async def test_an_output_that_is_too_large_fails_with_the_way_out() -> None:
    encoder = HashEncoder([hash_spec(dim=4096)])
    texts = [f"text {number}" for number in range(RUN_BYTES // (8 * 4096))]
    sent = await body_of({"input": {"texts": texts}}, encoder)

    assert f"may give back {RUN_BYTES}" in sent["error"]


async def test_a_cancelled_job_is_no_answer() -> None:
    asked = asyncio.Event()

    class Endless(HashEncoder):
        async def encode(self, request: Encode) -> Encoded:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    task = asyncio.ensure_future(body_of({"input": {"texts": ["sun"]}}, Endless()))
    await asked.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_links_are_refused_unless_they_are_allowed() -> None:
    encoder = HashEncoder([hash_spec(inputs=("text", "image"))])
    sent = await body_of({"input": {"type": "image", "image": "http://a.example/cat.png"}}, encoder)

    assert "EMBEDSTACK_IMAGE_LINKS=true" in sent["error"]


# ------------------------------------------------------------------------------------------------ terms and doubles


def test_a_policy_says_until_when_and_whether_it_may_wait() -> None:
    assert terms({"policy": {"executionTimeout": 5000, "lowPriority": True}}, NOW) == (NOW + 5, True)


@pytest.mark.parametrize(
    "job",
    [{}, {"policy": None}, {"policy": {}}, {"policy": {"executionTimeout": 0}}, {"policy": {"executionTimeout": "1"}},
     {"policy": {"executionTimeout": True, "lowPriority": "yes"}}],
)  # fmt: skip
def test_without_a_sound_policy_there_is_no_end(job: Json) -> None:
    assert terms(job, NOW) == (None, False)


async def test_the_policy_and_the_job_stand_in_the_request() -> None:
    encoder = Noting()
    await body_of({"input": {"texts": ["a"]}, "policy": {"executionTimeout": 1000, "lowPriority": True}}, encoder)

    (asked,) = encoder.asked
    assert (asked.deadline, asked.priority, asked.caller) == (NOW + 1, "bulk", "job")


async def test_a_job_that_is_handed_out_twice_is_computed_once() -> None:
    encoder = Noting()
    worker = answering(encoder)
    job = {"id": "job", "input": {"texts": ["sun"]}}

    first, second = [await worker.answer(dict(job)) for _ in range(2)]

    assert first == second
    assert len(encoder.asked) == 1


async def test_a_failure_is_not_kept() -> None:
    encoder = Noting(error=DeadlineExceeded("too slow"))
    worker = answering(encoder)
    for _ in range(2):
        await worker.answer({"id": "job", "input": {"texts": ["sun"]}})

    assert len(encoder.asked) == 2


# ------------------------------------------------------------------------------------------------ numbers


async def made(request: Request) -> Encoded | Scored | Classified:
    encoder = HashEncoder([hash_spec(outputs=("dense", "sparse", "multi")), overlap_spec()])
    match request:
        case Encode():
            return await encoder.encode(request)
        case Score():
            return await encoder.score(request)
        case Classify():
            return await encoder.classify(request)
        case _:
            raise AssertionError


class Watched(HashEncoder):
    """Notes how many requests for vectors it has in hand at once."""

    in_hand = most = 0

    async def encode(self, request: Encode) -> Encoded:
        self.in_hand += 1
        self.most = max(self.most, self.in_hand)
        await asyncio.sleep(0)
        self.in_hand -= 1
        return await super().encode(request)


async def test_what_is_asked_of_one_text_is_computed_in_turn_and_is_one_item() -> None:
    encoder = Watched()
    output = await answering(encoder).answer({"id": "job", "input": {"action": "embed_tokens", "text": "a b"}})

    assert (output.error, encoder.most, output.items) == (b"", 1, 1)


@pytest.mark.parametrize("output", ["dense", "sparse", "multi", "states"])
async def test_every_kind_of_vector_is_looked_at(output: str) -> None:
    answer = await made(Encode(model="hash", items=(Text("a b"), Text("c d")), outputs=frozenset({output})))
    check_finite([answer])
    rows = {"dense": answer.dense, "multi": answer.multi, "states": answer.states}
    rows["sparse"] = [one.weights for one in answer.sparse or ()]
    rows[output][1][...] = np.nan

    with pytest.raises(Exception, match="not finite for item 1"):
        check_finite([answer])


def test_an_empty_answer_is_finite() -> None:
    check_finite([])

    assert Output(b"[]").body() == b'{"output":[]}'


async def test_the_log_of_a_failure_of_the_model_names_the_job(caplog: pytest.LogCaptureFixture) -> None:
    await body_of({"input": {"texts": ["sun"]}}, Noting(spoiled=np.nan))

    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert caplog.records[0].getMessage().startswith("event=failed job=job reason=")
