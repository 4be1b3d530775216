"""What goes wrong between a client and an endpoint of jobs: each submission is answered once, or ends in an error."""

import asyncio
import random

import pytest
from asking import wish
from platform_stub import KEY, JobError, Platform, Time, ask_platform, client_of

from embedstack.client import Client
from embedstack.errors import EmbedstackError, Overloaded, Upstream
from embedstack.types import Encoded

FAULTS = ["lost", "lost late", "cut", "html", 408, 429, 500, 502, 503, 504, 524]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_sending_that_fails_on_the_way_is_made_again(fault):
    platform = Platform(faults={"runsync": [fault, fault]})

    assert ask_platform(platform).dense.tolist() == [[4.0, 1.0], [5.0, 1.0]]
    assert platform.routes() == ["runsync"] * 3


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_look_that_fails_on_the_way_is_taken_again_and_the_job_is_not_sent_again(fault):
    platform = Platform(looks=2, faults={"status": [fault] * 6})

    assert ask_platform(platform).dense.tolist() == [[4.0, 1.0], [5.0, 1.0]]
    assert len(platform.jobs) == 1
    assert platform.routes().count("status") >= 7


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_storm_on_sending_ends_in_an_error_that_may_pass(fault):
    platform = Platform(faults={"runsync": [fault]}, is_stuck=True)
    with pytest.raises((Upstream, Overloaded)) as caught:
        ask_platform(platform)

    assert caught.value.retry
    assert platform.routes() == ["runsync"] * 4


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_storm_on_looking_ends_with_the_time_that_a_job_has_and_names_the_last_trouble(fault):
    platform, time = Platform(looks=1, faults={"status": [fault]}, is_stuck=True), Time()
    with pytest.raises(Upstream, match=r"no result of the job within 60 s \(at last: (?!IN_)"):
        ask_platform(platform, time=time)

    assert time.now == pytest.approx(1060)
    assert platform.cancelled == ["sync-0-u1"]


def test_pauses_between_sendings_grow_and_differ():
    time, other = Time(), Time()
    for one in (time, other):
        with pytest.raises(Upstream):
            ask_platform(Platform(faults={"runsync": [500]}, is_stuck=True), time=one)

    first, second, third = time.pauses
    assert 0.3 < first <= 0.5 < second <= 1 < third <= 2
    assert time.pauses != other.pauses


@pytest.mark.parametrize("route", ["runsync", "status"])
def test_the_platform_says_how_long_to_wait(route):
    platform, time = Platform(looks=1, faults={route: [(429, {"retry-after": "7"})]}), Time()
    ask_platform(platform, time=time)

    assert 7 in time.pauses


def test_who_wants_more_than_a_minute_is_not_waited_for():
    platform = Platform(faults={"runsync": [(429, {"retry-after": "61"})]}, is_stuck=True)
    with pytest.raises(Overloaded):
        ask_platform(platform)

    assert platform.routes() == ["runsync"]


def test_a_job_that_is_gone_is_sent_again():
    platform = Platform(looks=5, gone_after=2)

    assert ask_platform(platform).dense.tolist() == [[4.0, 1.0], [5.0, 1.0]]
    assert len(platform.jobs) == 2


def test_a_job_that_is_always_gone_is_an_error():
    platform = Platform(looks=5, faults={"status": [404]}, is_stuck=True)
    with pytest.raises(Upstream, match="the job is gone there") as caught:
        ask_platform(platform)

    assert caught.value.retry
    assert len(platform.jobs) == 4


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("route", ["runsync", "status"])
def test_a_wrong_key_is_said_at_once_and_not_shown(route, status):
    reply = (status, {}, f'{{"error":"bad key {KEY}"}}'.encode())
    platform = Platform(looks=3, faults={route: [reply]}, is_stuck=True)
    with pytest.raises(Upstream, match=r"bad key \*\*\*; check the key"):
        ask_platform(platform)

    assert platform.routes().count(route) == 1


@pytest.mark.parametrize("before", range(90, 110, 5))
def test_a_key_where_a_reply_is_cut_is_not_shown_in_part(before):
    reply = (401, {}, ("y" * before + KEY + "z" * 300).encode())
    with pytest.raises(Upstream, match=r"yy.*zz") as caught:
        ask_platform(Platform(faults={"runsync": [reply]}))

    assert "rp-" not in caught.value.message
    assert "-key" not in caught.value.message


def test_a_key_where_the_words_of_a_job_are_cut_is_not_shown_in_part():
    def fail(given):
        raise JobError("x" * 995 + KEY)

    with pytest.raises(Upstream, match=r"x\*\*\*$"):
        ask_platform(Platform(work=fail))


@pytest.mark.parametrize("before", [990, 995, 1500, 1995])
def test_a_key_where_the_words_of_a_worker_are_cut_is_not_shown_in_part(before):
    words = "x" * before + KEY + "z" * 5000

    with pytest.raises(Upstream, match="the worker there says: xx") as caught:
        ask_platform(Platform(work=lambda given: {"message": words}))

    assert "rp-" not in caught.value.message
    assert "-key" not in caught.value.message
    assert len(caught.value.message) < 2200


def test_a_key_that_the_endpoint_does_not_know_is_a_401():
    with pytest.raises(Upstream, match="401 Unauthorized: unauthorized; check the key"):
        ask_platform(Platform(), key="another")


def test_an_endpoint_of_another_kind_is_named_as_that():
    platform = Platform(faults={"runsync": [(400, {}, b'{"error":"not allowed for QB API"}')]})
    with pytest.raises(Upstream, match=r"takes no jobs, it balances load: give the url https://ID\.api\.runpod\.ai"):
        ask_platform(platform)

    assert platform.routes() == ["runsync"]


def test_an_endpoint_that_is_not_there_is_asked_once():
    platform = Platform(faults={"runsync": [404]}, is_stuck=True)
    with pytest.raises(Upstream, match="is the id of the endpoint in the url right"):
        ask_platform(platform)

    assert platform.routes() == ["runsync"]


def test_nobody_listening_is_an_error_that_may_pass():
    async def run() -> None:
        time = Time()
        async with Client("http://127.0.0.1:9/v2/abc/runsync", pause=time.pause, clock=time) as client:
            await client.encode(wish("rain"))

    with pytest.raises(Upstream, match="is it running") as caught:
        asyncio.run(run())

    assert caught.value.retry


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id":"a","status":"COMPLETED","output":{"embeddings":[[NaN,1.0]]}}',
        b'{"id":"a","status":"COMPLETED","output":{"embeddings":[[1.0',
        b'{"id":"a","status":"WHO KNOWS"}',
        b'{"status":"IN_QUEUE"}',
        b'{"id":"../../other","status":"IN_QUEUE"}',
        b"[]",
        b"\xff",
        b" ",
    ],
)
def test_what_is_no_status_of_a_job_is_an_error_after_the_last_attempt(raw):
    platform = Platform(raw=raw)
    with pytest.raises(Upstream, match="check url and dialect"):
        ask_platform(platform)

    assert len(platform.jobs) == 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_of_many_submissions_ends_once_with_its_own_vectors_or_an_error(seed):
    chance = random.Random(seed)
    texts = ["a" * (number + 1) for number in range(150)]
    runs: dict[str, int] = {}

    def work(given):
        runs[given["texts"][0]] = runs.get(given["texts"][0], 0) + 1
        if chance.random() < 0.05:
            raise JobError(chance.choice(["broken", "job timed out after 1 retries"]))
        return {"embeddings": [[float(len(text)), 1.0] for text in given["texts"]]}

    class Chance(Platform):
        def _fault(self, route):
            return chance.choice([*FAULTS, 404]) if chance.random() < 0.15 else None

        async def _submitted(self, seen):
            self.looks = chance.choice([0, 0, 1, 3])
            return await super()._submitted(seen)

    async def run() -> list[object]:
        time = Time()
        async with client_of(Chance(work=work), time, timeout_s=1e6) as client:
            calls = (client.encode(wish(text, deadline=time.now + 1e5)) for text in texts)
            return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 60)

    answers = asyncio.run(run())
    good = [(text, answer) for text, answer in zip(texts, answers, strict=True) if isinstance(answer, Encoded)]
    bad = [answer for answer in answers if not isinstance(answer, Encoded)]
    assert all(answer.dense.tolist() == [[float(len(text)), 1.0]] for text, answer in good)
    assert all(isinstance(answer, EmbedstackError) for answer in bad)
    assert len(good) > 100
    assert max(runs.values()) > 1
