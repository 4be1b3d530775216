"""Jobs of a RunPod endpoint: sent, followed to their end, split, given up, and what is said beside their input."""

import asyncio
import logging

import numpy as np
import pytest
from asking import PAIRS, direct, wish
from platform_stub import KEY, JobError, Platform, Time, ask_platform, client_of, embeds

from embedstack.client import Client
from embedstack.errors import (
    BadRequest,
    Mismatch,
    NotReady,
    Overloaded,
    TooLong,
    UnknownModel,
    Unsupported,
    Upstream,
)
from embedstack.testing.fake import hash_spec
from embedstack.types import Score

RAIN_AND_CAT = [[4.0, 1.0], [5.0, 1.0]]


def test_a_job_that_ends_at_once_is_one_call():
    platform = Platform()
    answer = ask_platform(platform)

    assert answer.dense.tolist() == RAIN_AND_CAT
    assert platform.routes() == ["runsync"]


def test_a_job_is_sent_with_its_input_a_wait_a_key_and_our_name():
    platform = Platform()
    ask_platform(platform)

    (seen,) = platform.seen
    assert (seen.path, seen.query) == ("/v2/abc/runsync", {"wait": ["5000"]})
    assert seen.body["input"]["texts"] == ["rain", "a cat"]
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["user-agent"].startswith("embedstack/")


def test_the_platform_is_told_how_long_anybody_waits():
    platform, time = Platform(), Time()
    ask_platform(platform, wish("rain", deadline=time.now + 20, priority="bulk"), time)

    assert platform.seen[0].body["policy"] == {"executionTimeout": 20_000, "ttl": 30_000, "lowPriority": True}


def test_a_policy_never_says_less_than_the_platform_takes():
    platform, time = Platform(), Time()
    ask_platform(platform, wish("rain", deadline=time.now + 0.5), time)

    assert platform.seen[0].body["policy"] == {"executionTimeout": 5_000, "ttl": 10_500}
    assert platform.seen[0].query == {"wait": ["1000"]}


def test_a_job_that_takes_its_time_is_looked_at_until_it_ends():
    platform, time = Platform(looks=5), Time()
    answer = ask_platform(platform, time=time)

    assert answer.dense.tolist() == RAIN_AND_CAT
    assert platform.routes() == ["runsync"] + ["status"] * 5
    assert len(platform.jobs) == 1


def test_pauses_between_looks_grow_up_to_seconds():
    time = Time()
    ask_platform(Platform(looks=15), time=time, timeout_s=600)

    assert time.pauses[0] <= 0.25
    assert time.pauses[4] > 2 * time.pauses[0]
    assert 3 <= time.pauses[-1] <= 4


def test_a_job_and_those_after_it_keep_one_connection():
    platform = Platform(looks=5)

    async def run() -> None:
        async with client_of(platform) as client:
            for _ in range(3):
                await client.encode(wish("rain"))

    asyncio.run(run())
    assert (len(platform.seen), platform.connections) == (18, 1)


@pytest.mark.parametrize("dialect", ["", "runpod"])
def test_an_address_that_ends_in_run_is_sent_to_so_and_looked_at(dialect):
    platform = Platform()
    answer = ask_platform(platform, step="/run", dialect=dialect)

    assert answer.dense.tolist() == RAIN_AND_CAT
    assert platform.routes() == ["run", "status"]


def test_a_base_address_of_the_dialect_is_enough():
    platform = Platform()
    ask_platform(platform, step="", dialect="runpod")

    assert platform.routes() == ["runsync"]


def test_scores_come_back_in_the_order_of_the_request():
    def rank(given):
        return {"results": [{"index": n, "relevance_score": n / 4} for n in (2, 0, 1)]}

    answer = ask_platform(Platform(work=rank), Score(model="", items=PAIRS))

    assert answer.scores.tolist() == [0.0, 0.25, 0.5]


def test_who_made_the_vectors_is_read_from_the_output_where_no_header_says_it():
    told = {"model": "m", "space": "a" * 32, "fingerprint": "b" * 32, "truncated": 1, "dropped_tokens": 7}
    answer = ask_platform(Platform(work=lambda given: {**embeds(given), **told, "tokens_used": 9}))

    usage = answer.usage
    assert answer.fingerprint == "b" * 32
    assert answer.spec.weights == f"embedstack:{'a' * 32}"
    assert (usage.tokens, usage.truncated, usage.dropped) == (9, 1, 7)


def test_nothing_to_do_is_no_job():
    platform = Platform()
    answer = ask_platform(platform, Score(model="", items=()))

    assert answer.scores.shape == (0,)
    assert platform.seen == []


# ------------------------------------------------------------------------------------------------ other dialects


def test_another_dialect_travels_as_the_input_of_an_openai_route():
    def openai(given):
        assert given["openai_route"] == "/v1/embeddings"
        texts = given["openai_input"]["input"]
        rows = [
            {"object": "embedding", "index": n, "embedding": [float(len(text)), 1.0]} for n, text in enumerate(texts)
        ]
        return [{"object": "list", "data": rows, "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}}]

    answer = ask_platform(Platform(work=openai), dialect="openai")

    assert answer.dense.tolist() == RAIN_AND_CAT
    assert answer.usage.tokens == 3


def test_a_dialect_of_ours_travels_under_its_prefix():
    platform = Platform(work=lambda given: [[1.0, 0.0]])
    ask_platform(platform, wish("rain", role="none"), dialect="tei")

    assert platform.jobs["sync-0-u1"].given["openai_route"] == "/tei/embed"


def as_openai(**more: object) -> Platform:
    row = {"object": "embedding", "index": 0, "embedding": [1.0] + [0.0] * 31}
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return Platform(work=lambda given: [{"object": "list", "data": [row], "model": "m", "usage": usage, **more}])


def test_another_model_is_refused_in_another_dialect_too():
    other = {"space": "a" * 32, "fingerprint": "b" * 32}
    with pytest.raises(Mismatch, match=f"it serves 'm' of space {'a' * 32}"):
        ask_platform(as_openai(**other), wish("rain"), dialect="openai", spec=hash_spec())


def test_our_worker_heeds_roles_and_says_who_it_is_in_another_dialect_too():
    said = {"space": "a" * 32, "fingerprint": "b" * 32, "truncated": 1, "dropped_tokens": 7}
    answer = ask_platform(as_openai(**said), wish("rain", role="query"), dialect="openai")

    assert (answer.fingerprint, answer.spec.weights) == ("b" * 32, f"embedstack:{'a' * 32}")
    assert (answer.usage.truncated, answer.usage.dropped) == (1, 7)


@pytest.mark.parametrize("said", [{}, {"space": "m"}, {"space": 7}, {"space": ["a" * 32]}, {"model": {"name": "m"}}])
def test_a_role_is_not_relied_on_where_nobody_says_who_it_is(said):
    with pytest.raises(Unsupported, match="it does not say that it is embedstack, and may overlook the role 'query'"):
        ask_platform(as_openai(**said), wish("rain", role="query"), dialect="openai")


def test_an_error_that_a_worker_gives_as_its_output_is_an_error():
    def infinity(given):
        return {"object": "error", "message": "Invalid OpenAI Route: /x", "type": "BadRequestError", "code": 400}

    with pytest.raises(Upstream, match="the job's output is an error: Invalid OpenAI Route: /x"):
        ask_platform(Platform(work=infinity), dialect="openai")


# ------------------------------------------------------------------------------------------------ jobs that fail


def failing(error: object, **beside: object) -> Platform:
    def fail(given):
        raise JobError(error, beside)

    return Platform(work=fail)


SDK_ERROR = (
    '{"error_type": "<class \'ValueError\'>", "error_message": "no such pooling", '
    '"error_traceback": "a private text", "hostname": "pod", "worker_id": "w", "runpod_version": "1.12.0"}'
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SDK_ERROR, "the job failed: ValueError: no such pooling"),
        ("No texts provided", "the job failed: No texts provided"),
        ({"message": "too warm"}, "the job failed: too warm"),
        ({"error": {"message": "inside"}}, "the job failed: inside"),
        ({"why": 1}, r'the job failed: \{"why": 1\}'),
        (["a", "b"], r'the job failed: \["a", "b"\]'),
        ({"error_message": "too warm", "error_traceback": "private", "code": 1.5}, "the job failed: too warm"),
        ({"detail": "no", "traceback": "private"}, r'the job failed: \{"detail":"no"\}'),
        ('{"detail": "no", "traceback": "private"}', r'the job failed: \{"detail":"no"\}'),
        ("handler: bad \ntraceback: Traceback private", "the job failed: handler: bad$"),
        ("bad\nTraceback (most recent call last):\n  private", "the job failed: bad$"),
    ],
)
def test_a_job_that_fails_is_an_error_in_its_words_and_is_not_sent_again(error, said):
    platform = failing(error)
    with pytest.raises(Upstream, match=said) as caught:
        ask_platform(platform)

    assert not caught.value.retry
    assert len(platform.jobs) == 1
    assert "private" not in caught.value.message


@pytest.mark.parametrize(
    ("error", "beside", "kind"),
    [
        ({"message": "text 3 is too long", "code": "too_long"}, {}, TooLong),
        ("text 3 is too long", {"output": {"code": "too_long"}}, TooLong),
        ("text 3 is too long", {"code": "too_long"}, TooLong),
        ("nothing", {"output": {"code": "bad_request", "embeddings": []}}, BadRequest),
        ("nobody", {"code": "unknown_model"}, UnknownModel),
    ],
)
def test_a_code_of_ours_beside_the_error_says_of_which_kind_it_is(error, beside, kind):
    with pytest.raises(kind, match="the job failed") as caught:
        ask_platform(failing(error, **beside))

    assert type(caught.value) is kind


@pytest.mark.parametrize("code", ["overloaded", "not_ready"])
def test_a_worker_that_is_busy_is_asked_again(code):
    tries = []

    def busy(given):
        tries.append(1)
        if len(tries) < 3:
            raise JobError("wait", {"code": code})
        return {"embeddings": [[1.0]]}

    assert ask_platform(Platform(work=busy), wish("rain")).dense.tolist() == [[1.0]]


def test_a_job_whose_worker_was_lost_is_sent_again():
    tries = []

    def lost(given):
        tries.append(1)
        if len(tries) == 1:
            raise JobError("job timed out after 1 retries")
        return {"embeddings": [[1.0]]}

    assert ask_platform(Platform(work=lost), wish("rain")).dense.tolist() == [[1.0]]
    assert len(tries) == 2


@pytest.mark.parametrize(
    ("status", "said"), [("CANCELLED", "cancelled there, and not by this client"), ("TIMED_OUT", "ran out of the time")]
)
def test_a_job_that_others_ended_is_an_error_and_is_not_sent_again(status, said):
    platform = Platform(looks=10_000)

    async def run() -> None:
        async with client_of(platform) as client:
            call = asyncio.ensure_future(client.encode(wish("rain")))
            await platform.came.wait()
            while not platform.jobs:
                await asyncio.sleep(0)
            platform.jobs["sync-0-u1"].status = status
            platform.jobs["sync-0-u1"].looks = 0
            await call

    with pytest.raises(Upstream, match=said):
        asyncio.run(run())
    assert len(platform.jobs) == 1


@pytest.mark.parametrize("output", [None, ...], ids=["null", "missing"])
def test_a_job_that_is_done_without_an_output_says_why_that_may_be(output):
    raw = b'{"id":"a","status":"COMPLETED"' + (b"" if output is ... else b',"output":null') + b"}"
    with pytest.raises(Upstream, match="the job is done and has no output: it was too large"):
        ask_platform(Platform(raw=raw))


@pytest.mark.parametrize("beside", [{"error": False}, {"error": None}, {"error": ""}, {"truncated": False}], ids=str)
def test_no_error_beside_vectors_is_none(beside):
    answer = ask_platform(Platform(work=lambda given: {**embeds(given), **beside}))

    assert answer.dense.tolist() == RAIN_AND_CAT


@pytest.mark.parametrize("terms", [{"normalize": True}, {"spec": hash_spec(dim=2)}], ids=str)
def test_another_worker_must_give_the_length_that_is_asked_for_or_the_models(terms):
    spec, wished = terms.get("spec"), {name: terms[name] for name in terms if name != "spec"}
    with pytest.raises(Upstream, match="vectors of length 1 were asked for, and one of the reply has 5"):
        ask_platform(Platform(), wish("a cat", **wished), spec=spec)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1.0, 2.0]], "1 vectors, and 2 texts"),
        ([[1.0, 2.0], [None, 1.0]], "cannot be read"),
        ([[1.0, 2.0], [1e39, 1.0]], "not finite"),
    ],
)
def test_vectors_that_are_no_answer_are_refused(rows, said):
    with pytest.raises(Upstream, match=said):
        ask_platform(Platform(work=lambda given: {"embeddings": rows}))


# ------------------------------------------------------------------------------------------------ ours, and the log


def test_vectors_and_scores_from_our_own_server_are_those_from_here_with_their_identity(serve):
    with serve(dialect="runpod") as url:

        async def run():
            async with Client(f"{url}/runsync") as client:
                pairs = Score(model="overlap", items=PAIRS)
                return await client.encode(wish(normalize=True)), await client.score(pairs)

        there, scored = asyncio.run(run())

    here = direct(wish(normalize=True))
    assert np.array_equal(there.dense, here.dense)
    assert there.fingerprint == here.fingerprint
    assert scored.scores == pytest.approx(direct(Score(model="overlap", items=PAIRS)).scores, rel=1e-6)


@pytest.mark.parametrize(
    ("request_", "kind"), [(wish("a", dim=5), BadRequest), (wish(""), BadRequest), (wish("a" * 1_000_001), TooLong)]
)
def test_an_error_of_our_own_server_is_of_its_kind(serve, request_, kind):
    with serve(dialect="runpod") as url:

        async def run() -> None:
            async with Client(f"{url}/runsync") as client:
                await client.encode(request_)

        with pytest.raises(kind):
            asyncio.run(run())


def test_the_log_names_the_provider_and_holds_no_text_and_no_key(caplog):
    caplog.set_level(logging.DEBUG)
    platform = Platform(looks=2, faults={"runsync": [500]})
    ask_platform(platform, wish("a private text"), name="gpu")

    lines = [record.getMessage() for record in caplog.records if record.name == "embedstack.client"]
    assert lines[0].startswith("event=retry provider=gpu host=127.0.0.1:")
    assert lines[1].startswith("event=answered provider=gpu host=127.0.0.1:")
    assert "dialect=runpod items=1 dimensions=2 ms=" in lines[1]
    assert "private" not in caplog.text
    assert KEY not in caplog.text


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "embedstack.client"]


def test_a_failed_call_is_one_line_in_the_log_with_its_cause(caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(Upstream):
        ask_platform(failing("a private text"), name="gpu")

    (line,) = lines_of(caplog)
    assert line.startswith("event=failed provider=gpu host=127.0.0.1:")
    assert "dialect=runpod items=2 cause=Upstream ms=" in line
    assert "private" not in line


def test_a_job_that_was_left_is_told_only_where_there_was_one(caplog):
    caplog.set_level(logging.INFO)
    ask_platform(Platform(faults={"runsync": ["html"]}))
    with pytest.raises(Upstream):
        ask_platform(Platform(looks=10_000))

    left = [line for line in lines_of(caplog) if line.startswith("event=job_left")]
    assert [line.rpartition(" ")[2] for line in left] == ["is_cancelled=True"]


def test_an_error_begins_with_the_providers_name_and_address():
    with pytest.raises(Upstream, match=r"^gpu \(http://127\.0\.0\.1:\d+/v2/abc/runsync\): the job failed"):
        ask_platform(failing("broken"), name="gpu")


def test_a_closed_client_of_jobs_says_so():
    async def run() -> None:
        client = Client("http://127.0.0.1:9/runsync")
        await client.aclose()
        await client.encode(wish())

    with pytest.raises(NotReady, match="this client is closed; make another"):
        asyncio.run(run())


def test_calls_beyond_the_rate_are_overloaded_at_last():
    with pytest.raises(Overloaded, match="429"):
        ask_platform(Platform(faults={"runsync": [429]}, is_stuck=True))
