"""The real SDK in a process of its own, as it is and with what we replace, against a platform that can fail."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Text
from support.handing import KEY, Platform, Worker, working

pytestmark = pytest.mark.sdk
PROGRAM = str(Path(__file__).parent / "jobs_program.py")
WAITING = "waiting for the signal"
NEVER_S = 600.0  # a call for jobs that is held so long ends only by the worker's own doing
Pair = tuple[Platform, Worker]
BOTH = pytest.mark.parametrize("how", [(), ("plain",)], ids=["mended", "plain"])


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform()
    yield made
    made.close()


@pytest.fixture(scope="module", params=[(), ("plain",)], ids=["mended", "plain"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A worker of each kind, for all tests that leave it as it was."""
    platform = Platform()
    with worker_of(platform, tmp_path_factory.mktemp("home"), *request.param) as worker:
        yield platform, worker
    platform.close()


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    platform = Platform()
    with worker_of(platform, tmp_path_factory.mktemp("home")) as worker:
        yield platform, worker
    platform.close()


def made_of(*texts: str) -> np.ndarray:
    request = Encode(model="hash", items=tuple(Text(text) for text in texts))
    return asyncio.run(HashEncoder().encode(request)).dense


def texts(*given: str) -> dict[str, object]:
    return {"texts": list(given)}


@contextlib.contextmanager
def worker_of(platform: Platform, home: Path, *words: str, **variables: str) -> Iterator[Worker]:
    with working(platform, home, PROGRAM, *words, **variables) as worker:
        yield worker


def rows(result: dict[str, object]) -> np.ndarray:
    return np.array(result["output"]["embeddings"], np.float32)


# ------------------------------------------------------------------------------------------------ answers


def test_jobs_of_every_kind_of_output_are_answered(both: Pair) -> None:
    platform, _ = both
    platform.give("texts", input=texts("sun", "moon"))
    forward = {"openai_route": "/v1/embeddings", "openai_input": {"model": "hash", "input": ["sun"]}}
    platform.give("forward", input=forward)
    platform.give("wrong", input={"action": "embed_everything"})
    vectors, listed, failed = (platform.result(name) for name in ("texts", "forward", "wrong"))

    assert np.array_equal(rows(vectors), made_of("sun", "moon"))
    assert np.array_equal(np.float32(listed["output"][0]["data"][0]["embedding"]), made_of("sun")[0])
    assert (failed["error"], failed["output"]) == ("Unknown action: embed_everything", {"code": "bad_request"})
    assert platform.keys == {KEY}


def test_a_number_that_is_none_fails_its_job_and_no_other(both: Pair) -> None:
    platform, _ = both
    platform.give("nan", input=texts("sun", "nan"))
    platform.give("beside", input=texts("sun"))

    assert "not finite for item 1" in platform.result("nan")["error"]
    assert "error" not in platform.result("beside")
    assert platform.refused == []


def test_jobs_are_in_hand_at_the_same_time_and_the_heartbeat_names_them(both: Pair) -> None:
    platform, worker = both
    before = worker.text.count(WAITING)
    for name in ("w1", "w2", "w3"):
        platform.give(name, input=texts("wait"))
    worker.heard(WAITING, times=before + 3)
    platform.until(lambda: any(set(ids.split(",")) == {"w1", "w2", "w3"} for ids in platform.pings), "their names")
    worker.process.send_signal(signal.SIGUSR1)

    assert all(np.array_equal(rows(platform.result(name)), made_of("wait")) for name in ("w1", "w2", "w3"))


def test_a_job_that_the_platform_stops_is_given_up(both: Pair) -> None:
    platform, worker = both
    before = worker.text.count(WAITING)
    platform.give("stopped", input=texts("wait"))
    worker.heard(WAITING, times=before + 1)
    platform.stop("stopped")
    worker.heard("given up")
    platform.give("next", input=texts("sun"))
    platform.result("next")

    assert "stopped" not in platform.results


def test_an_output_is_not_written_into_the_log(platform: Platform, tmp_path: Path) -> None:
    platform.give("a", input=texts("secretword"))
    with worker_of(platform, tmp_path, RUNPOD_LOG_LEVEL="DEBUG") as worker:
        platform.result("a")
        worker.heard("Handler output: <output of")

    assert "embeddings" not in worker.text
    assert "secretword" not in worker.text


# ------------------------------------------------------------------------------------------------ sending


@pytest.mark.parametrize("fault", ["before", "after", 503, 429])
def test_a_result_whose_answer_is_lost_is_sent_again(mended: Pair, fault: int | str) -> None:
    platform, worker = mended
    job = f"lost-{fault}"
    platform.faults.append(fault)
    platform.give(job, input=texts("sun"))
    worker.heard(f"event=sent_again job={job}")
    wanted = 2 if fault == "after" else 1
    platform.until(lambda: len(platform.results.get(job, [])) == wanted, "every result")

    assert all(np.array_equal(rows(result), made_of("sun")) for result in platform.results[job])


def test_a_result_that_is_refused_becomes_a_failed_job(mended: Pair) -> None:
    platform, _ = mended
    platform.faults.append(400)
    platform.give("refused", input=texts("sun", "moon", "star"))
    failed = platform.result("refused")

    assert "the platform refused the output" in failed["error"]
    assert "encoding_format" in failed["error"]


def test_a_job_that_is_gone_is_given_up_aloud_and_the_next_is_answered(mended: Pair) -> None:
    platform, worker = mended
    platform.faults.append(404)
    platform.give("gone", input=texts("sun"))
    worker.heard("event=not_sent job=gone answer=404")
    platform.give("after", input=texts("sun"))

    assert np.array_equal(rows(platform.result("after")), made_of("sun"))
    worker.heard("| after")
    assert [line for line in worker.said if "| gone" in line and "Finished" in line] == []


def test_the_sdk_that_is_installed_is_the_one_that_was_tested(mended: Pair) -> None:
    platform, worker = mended
    platform.give("tested", input=texts("sun"))
    platform.result("tested")

    assert "event=untested_sdk" not in worker.text


# ------------------------------------------------------------------------------------------------ the end


def test_a_worker_without_a_job_ends_at_once_though_its_call_for_jobs_is_held(
    platform: Platform, tmp_path: Path
) -> None:
    platform.hold_s = NEVER_S
    with worker_of(platform, tmp_path) as worker:
        platform.until(lambda: platform.polls > 0, "a call for jobs")
        worker.process.terminate()

        assert worker.ended() == 0
    assert "ended\n" in worker.said


def test_a_worker_that_is_told_to_end_finishes_and_sends_the_job_in_hand(platform: Platform, tmp_path: Path) -> None:
    platform.hold_s = NEVER_S
    platform.give("a", input=texts("wait"))
    with worker_of(platform, tmp_path) as worker:
        worker.heard("waiting for the signal")
        worker.process.terminate()
        platform.give("late", input=texts("sun"))
        worker.process.send_signal(signal.SIGUSR1)

        assert worker.ended() == 0
    assert np.array_equal(rows(platform.results["a"][0]), made_of("wait"))
    assert [job["id"] for job in platform.jobs] == ([] if "late" in platform.results else ["late"])


def test_the_plain_sdk_finishes_the_job_in_hand_too(platform: Platform, tmp_path: Path) -> None:
    platform.hold_s = 1.0
    platform.give("a", input=texts("wait"))
    with worker_of(platform, tmp_path, "plain") as worker:
        worker.heard("waiting for the signal")
        worker.process.terminate()
        worker.process.send_signal(signal.SIGUSR1)

        assert worker.ended() == 0
    assert np.array_equal(rows(platform.results["a"][0]), made_of("wait"))


@BOTH
def test_a_worker_whose_memory_is_full_says_so_with_a_result_and_ends(
    platform: Platform, tmp_path: Path, how: tuple[str, ...]
) -> None:
    platform.hold_s = 1.0
    platform.give("a", input=texts("sun"))
    with worker_of(platform, tmp_path, "full", *how) as worker:
        result = platform.result("a")

        assert worker.ended() == 0
    assert result["stopPod"] is True
    assert np.array_equal(rows(result), made_of("sun"))


def test_that_it_may_be_ended_a_full_worker_says_only_with_its_last_result(platform: Platform, tmp_path: Path) -> None:
    with worker_of(platform, tmp_path, "full") as worker:
        for name in ("w1", "w2"):
            platform.give(name, input=texts("wait"))
        worker.heard(WAITING, times=2)
        platform.give("a", input=texts("sun"))
        first = platform.result("a")
        before = platform.polls
        platform.give("late", input=texts("sun"))
        worker.process.send_signal(signal.SIGUSR1)

        assert worker.ended() == 0
    *others, last = [result[0].get("stopPod", False) for result in platform.results.values()]
    assert ("stopPod" in first, platform.polls) == (False, before)
    assert len(others) >= 2  # the poll that is open may still bring the late job
    assert (any(others), last) == (False, True)


def test_the_last_result_waits_for_one_that_is_still_on_its_way(platform: Platform, tmp_path: Path) -> None:
    """A result that was being sent when the worker became full cannot say that it may be ended."""
    platform.faults.extend([503])
    with worker_of(platform, tmp_path, "full") as worker:
        for name in ("a", "b"):
            platform.give(name, input=texts("sun"))

        assert worker.ended() == 0
    told = [result[0].get("stopPod", False) for result in platform.results.values()]
    assert sorted(told) == [False, True]
    assert told[-1] is True


def test_a_second_signal_after_the_last_job_does_no_harm(platform: Platform, tmp_path: Path) -> None:
    with worker_of(platform, tmp_path, "again") as worker:
        platform.until(lambda: platform.polls > 0, "a call for jobs")
        worker.process.terminate()

        assert worker.ended() == 0
    assert "ended\n" in worker.said


# ------------------------------------------------------------------------------------------------ the start


def test_a_worker_that_nobody_hands_jobs_to_does_not_spin(platform: Platform, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9/v2/local/job-take/$ID?gpu=none"
    with worker_of(platform, tmp_path, RUNPOD_WEBHOOK_GET_JOB=nobody) as worker:
        worker.heard("Failed to get job", times=3)
        worker.process.terminate()

        assert worker.ended() == 0
    assert worker.text.count("Failed to get job") < 10


def test_as_a_server_of_its_own_the_sdk_gets_what_a_handler_returns(platform: Platform, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with worker_of(platform, tmp_path, RUNPOD_REALTIME_PORT=str(port)) as worker:
        worker.heard("Uvicorn running")
        reply = httpx.post(f"http://127.0.0.1:{port}/runsync", json={"input": texts("sun")}, timeout=60)

    assert np.array_equal(rows(reply.json()), made_of("sun"))


def test_another_version_of_the_sdk_is_used_as_it_is_with_a_warning(platform: Platform, tmp_path: Path) -> None:
    platform.give("a", input=texts("sun"))
    with worker_of(platform, tmp_path, "other") as worker:
        worker.heard("event=untested_sdk version=1.99.0")

        assert np.array_equal(rows(platform.result("a")), made_of("sun"))


def test_a_worker_that_is_not_fit_ends_before_its_first_job(platform: Platform, tmp_path: Path) -> None:
    platform.give("a", input=texts("sun"))
    with worker_of(platform, tmp_path, "unfit") as worker:
        assert worker.ended() == 1

    assert "Fitness check failed: embedstack_model | RuntimeError: the model is unfit" in worker.text
    assert (platform.results, platform.polls) == ({}, 0)


def test_the_users_own_key_is_never_sent(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / ".runpod").mkdir()
    (tmp_path / ".runpod/config.toml").write_text('[default]\napi_key = "rpa_the_users_own"\n')
    platform.give("a", input=texts("sun"))
    with worker_of(platform, tmp_path):
        platform.result("a")

    assert platform.keys == {KEY}
