"""What bounds jobs: the size of a body and of a result, the time that anybody waits, and who leaves before."""

import asyncio

import pytest
from asking import wish
from platform_stub import JobError, Platform, Time, ask_platform, client_of, skip, texts_of

from embedstack.client.jobs import MAX_BYTES
from embedstack.errors import DeadlineExceeded, EmbedstackError, NotReady, TooLong, Upstream
from embedstack.types import Pair, Score


def fail(given):
    raise JobError("broken")


# ------------------------------------------------------------------------------------------------ sizes


@pytest.mark.slow
def test_texts_over_a_bodys_limit_are_several_jobs_in_order():
    texts = [letter * 4_000_000 for letter in "abcdefg"]
    platform = Platform(work=lambda given: {"embeddings": [[float(ord(text[0]))] for text in given["texts"]]})
    answer = ask_platform(platform, wish(*texts))

    assert [len(few) for few in texts_of(platform)] == [4, 3]
    assert answer.dense[:, 0].tolist() == [float(ord(letter)) for letter in "abcdefg"]


def test_what_json_makes_longer_counts_as_long_as_it_is_sent():
    platform = Platform()
    ask_platform(platform, wish("\x01" * 1_800_000, "\x02" * 1_800_000))

    assert [len(few) for few in texts_of(platform)] == [1, 1]


def test_jobs_for_later_hold_half_as_much():
    platform = Platform()
    ask_platform(platform, wish(*["a" * 4_000_000] * 4), step="/run")

    assert [len(few) for few in texts_of(platform)] == [2, 2]


def test_a_text_that_no_body_holds_is_refused_by_its_number_and_not_sent():
    platform = Platform()
    with pytest.raises(TooLong, match="item 1 takes 20000003 bytes as JSON, and one body holds 19995904"):
        ask_platform(platform, wish("rain", "a" * MAX_BYTES["runsync"]))

    assert platform.seen == []


def test_a_query_that_fills_the_body_is_refused_before_it_is_sent():
    platform = Platform()
    with pytest.raises(TooLong, match="item 0 takes"):
        ask_platform(platform, Score(model="", items=(Pair("q" * 20_000_000, "a"),)))

    assert platform.seen == []


def test_a_body_that_the_platform_finds_too_large_is_too_long():
    refusal = (400, {}, b'{"error":"exceeded max body size of 10MiB"}')
    platform = Platform(faults={"runsync": [refusal]})
    with pytest.raises(TooLong, match="exceeded max body size of 10MiB; send fewer or shorter items"):
        ask_platform(platform)

    assert platform.routes() == ["runsync"]


@pytest.mark.slow
def test_vectors_that_would_not_fit_into_one_result_are_asked_for_in_several_jobs():
    wide = 300_000
    platform = Platform(work=lambda given: {"embeddings": [[0.5] * wide for _ in given["texts"]]})
    answer = ask_platform(platform, wish("a", "b", "c", dim=wide))

    assert [len(few) for few in texts_of(platform)] == [2, 1]
    assert answer.dense.shape == (3, wide)


# ------------------------------------------------------------------------------------------------ time


def test_a_deadline_ends_the_wait_and_the_job():
    platform, time = Platform(looks=10_000), Time()
    with pytest.raises(DeadlineExceeded, match=r"no result of the job within 20 s \(at last: IN_PROGRESS\)"):
        ask_platform(platform, wish("rain", deadline=time.now + 20), time)

    assert time.now == pytest.approx(1020)
    assert platform.cancelled == ["sync-0-u1"]


def test_a_deadline_that_has_passed_sends_nothing():
    platform, time = Platform(), Time()
    with pytest.raises(DeadlineExceeded, match="before the request was sent"):
        ask_platform(platform, wish("rain", deadline=time.now - 1), time)

    assert platform.seen == []


def test_without_a_deadline_a_job_has_its_timeout_and_is_not_sent_again():
    platform, time = Platform(looks=10_000), Time()
    with pytest.raises(Upstream, match=r"no result of the job within 60 s .* raise timeout_s") as caught:
        ask_platform(platform, time=time)

    assert caught.value.retry
    assert platform.cancelled == ["sync-0-u1"]
    assert len(platform.jobs) == 1


def test_a_deadline_ends_the_wait_for_an_endpoint_that_says_nothing():
    platform = Platform(silent="runsync", looks=10_000)

    async def run() -> None:
        async with client_of(platform) as client:
            call = asyncio.ensure_future(client.encode(wish("rain", deadline=1020)))
            await platform.came.wait()
            await skip(20)
            with pytest.raises(DeadlineExceeded, match=r"\(at last: sent\), so it is being cancelled there"):
                await call
            platform.speaks.set()

    asyncio.run(run())
    assert platform.cancelled == ["sync-0-u1"]


def test_a_sending_has_the_time_of_its_job_whatever_wait_was_asked_for():
    platform = Platform(silent="runsync")

    async def run() -> object:
        async with client_of(platform, timeout_s=600) as client:
            call = asyncio.ensure_future(client.encode(wish("rain")))
            await platform.came.wait()
            await skip(590)
            platform.speaks.set()
            return await call

    assert asyncio.run(run()).dense.tolist() == [[4.0, 1.0]]
    assert platform.routes() == ["runsync"]


def test_a_sending_that_is_not_answered_in_time_is_not_made_again():
    platform = Platform(silent="runsync")

    async def run() -> None:
        async with client_of(platform) as client:
            call = asyncio.ensure_future(client.encode(wish("rain")))
            await platform.came.wait()
            await skip(60)
            platform.speaks.set()
            await call

    with pytest.raises(Upstream, match=r"within 60 s \(at last: sent\).* raise timeout_s"):
        asyncio.run(run())
    assert platform.routes() == ["runsync"]


def test_a_look_has_half_of_the_time_that_is_left_as_a_large_result_may_need():
    platform = Platform(silent="status", looks=1)

    async def run() -> object:
        async with client_of(platform, timeout_s=100) as client:
            call = asyncio.ensure_future(client.encode(wish("rain")))
            await platform.came.wait()
            await skip(45)
            platform.speaks.set()
            return await call

    assert asyncio.run(run()).dense.tolist() == [[4.0, 1.0]]
    assert platform.routes() == ["runsync", "status"]


def test_a_look_has_a_minute_at_most_as_its_connection_may_be_lost_silently():
    platform = Platform(silent="status", looks=1)

    async def run() -> object:
        async with client_of(platform, timeout_s=600) as client:
            call = asyncio.ensure_future(client.encode(wish("rain")))
            await platform.came.wait()
            await skip(61)
            platform.speaks.set()
            return await asyncio.wait_for(call, 200)

    assert asyncio.run(run()).dense.tolist() == [[4.0, 1.0]]
    assert platform.routes() == ["runsync", "status", "status"]


def test_a_caller_that_leaves_takes_its_job_along():
    platform = Platform(looks=10_000)

    async def run() -> None:
        async with client_of(platform, timeout_s=1e9) as client:
            call = asyncio.ensure_future(client.encode(wish("rain")))
            while "status" not in platform.routes():
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.wait_for(platform.wait_for_cancel.wait(), 20)

    asyncio.run(run())
    assert platform.cancelled == ["sync-0-u1"]


def test_a_caller_that_leaves_while_its_job_is_sent_takes_it_along_when_its_id_is_known():
    platform = Platform(silent="runsync", looks=10_000)

    async def run() -> None:
        async with client_of(platform) as client:
            call = asyncio.ensure_future(client.encode(wish("rain")))
            await platform.came.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert platform.cancelled == []
            platform.speaks.set()
            await asyncio.wait_for(platform.wait_for_cancel.wait(), 20)

    asyncio.run(run())
    assert platform.cancelled == ["sync-0-u1"]


@pytest.mark.parametrize("status", [400, 403, 302])
def test_a_look_that_is_refused_leaves_no_job_running(status):
    platform = Platform(looks=10_000, faults={"status": [status]})
    with pytest.raises(EmbedstackError, match=str(status)):
        ask_platform(platform)

    assert platform.cancelled == ["sync-0-u1"]


@pytest.mark.parametrize("route", ["runsync", "status"])
def test_closing_ends_what_runs_with_its_job_and_says_so_to_who_waits(route):
    platform = Platform(silent=route, looks=10_000)

    async def run() -> None:
        async with client_of(platform, timeout_s=1e9) as client:
            call = asyncio.ensure_future(client.encode(wish("rain")))
            await platform.came.wait()
            closing = asyncio.ensure_future(client.aclose())
            with pytest.raises(NotReady, match="this client is closed"):
                await call
            platform.speaks.set()
            await closing

    asyncio.run(run())
    assert platform.cancelled == ["sync-0-u1"]


def test_closing_waits_until_jobs_are_cancelled():
    platform = Platform(looks=10_000)

    async def run() -> None:
        async with client_of(platform, timeout_s=1e9) as client:
            call = asyncio.ensure_future(client.encode(wish("rain")))
            while "status" not in platform.routes():
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    asyncio.run(run())
    assert platform.cancelled == ["sync-0-u1"]


@pytest.mark.parametrize("fault", [429, 500, "lost", "lost late"])
def test_a_cancellation_that_is_lost_is_said_again(fault):
    platform, time = Platform(looks=10_000, faults={"cancel": [fault]}), Time()
    with pytest.raises(DeadlineExceeded):
        ask_platform(platform, wish("rain", deadline=time.now + 5), time)

    assert platform.cancelled[-1] == "sync-0-u1"
    assert platform.routes().count("cancel") == 2


def test_a_job_that_has_ended_is_not_cancelled():
    platform = Platform()
    ask_platform(platform)
    with pytest.raises(Upstream):
        ask_platform(Platform(work=fail))

    assert platform.cancelled == []
