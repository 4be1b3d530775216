"""Endpoints and workers: who is told what, and in which state they are."""

import pytest

from embedstack.emulator.clock import ManualClock
from embedstack.emulator.endpoint import EndpointSettings
from embedstack.emulator.job import Result, Submission
from embedstack.emulator.platform import Change, Platform
from embedstack.emulator.unknowns import Unknowns
from embedstack.errors import BadRequest

INPUT = Submission(input=b"{}")


def opened(unknowns: Unknowns | None = None) -> tuple[ManualClock, Platform]:
    clock = ManualClock()
    platform = Platform(clock, unknowns=unknowns)
    platform.add_endpoint("ep")
    return clock, platform


def heard(platform: Platform) -> list[Change]:
    changes: list[Change] = []
    platform.subscribe(changes.append)
    return changes


def test_a_second_endpoint_of_one_id_is_refused() -> None:
    _, platform = opened()

    with pytest.raises(BadRequest, match="'ep'"):
        platform.add_endpoint("ep")


def test_new_settings_are_a_new_version_whose_timeout_new_jobs_have() -> None:
    clock, platform = opened()
    endpoint = platform.change_settings("ep", EndpointSettings(execution_timeout_s=7.0))
    job = endpoint.book.submit(INPUT, clock.now())

    assert (endpoint.version, job.timeout_s) == (2, 7.0)


def test_a_worker_is_running_while_it_has_jobs_and_idle_since_it_has_none() -> None:
    clock, platform = opened()
    endpoint = platform.endpoints["ep"]
    worker = platform.register_worker("ep", "w")
    platform.polled(endpoint, "w")
    states = [worker.status]
    job = endpoint.book.submit(INPUT, clock.now())
    endpoint.book.take("w", 1, clock.now())
    states.append(worker.status)
    clock.advance(3)
    endpoint.book.finish(job.id, "w", Result(output=b"1"), clock.now())

    assert [*states, worker.status] == ["IDLE", "RUNNING", "IDLE"]
    assert (worker.idle_since, worker.jobs) == (clock.now(), set())


def test_both_workers_of_a_doubled_job_are_idle_when_it_has_ended() -> None:
    clock, platform = opened()
    endpoint = platform.endpoints["ep"]
    workers = [platform.polled(endpoint, worker_id) for worker_id in ("w", "v")]
    job = endpoint.book.submit(INPUT, clock.now())
    endpoint.book.take("w", 1, clock.now(), is_doubled=True)
    endpoint.book.take("v", 1, clock.now())
    before = [worker.status for worker in workers]
    endpoint.book.finish(job.id, "v", Result(output=b"1"), clock.now())

    assert (before, [worker.status for worker in workers]) == (["RUNNING", "RUNNING"], ["IDLE", "IDLE"])


def test_a_worker_whose_process_ended_loses_its_jobs_and_is_stopped() -> None:
    clock, platform = opened()
    endpoint = platform.endpoints["ep"]
    worker = platform.register_worker("ep", "w")
    platform.polled(endpoint, "w")
    job = endpoint.book.submit(INPUT, clock.now())
    endpoint.book.take("w", 1, clock.now())
    platform.lose_worker("ep", "w")

    assert (worker.status, job.status, job.retries, endpoint.workers) == ("STOPPED", "IN_QUEUE", 1, {})


def test_losing_what_is_gone_is_no_error() -> None:
    _, platform = opened()

    platform.lose_worker("ep", "nobody")
    platform.lose_worker("nowhere", "nobody")


def test_a_ping_of_somebody_unknown_makes_no_worker() -> None:
    _, platform = opened()
    platform.pinged(platform.endpoints["ep"], "w", [])

    assert platform.endpoints["ep"].workers == {}


def test_a_silent_worker_that_somebody_else_started_is_struck_off() -> None:
    clock, platform = opened(Unknowns(worker_gone_s=60.0))
    endpoint = platform.endpoints["ep"]
    platform.polled(endpoint, "w")
    clock.advance(50)
    platform.pinged(endpoint, "w", [])
    clock.advance(50)
    before = list(endpoint.workers)
    clock.advance(70)

    assert (before, list(endpoint.workers)) == (["w"], [])


def test_a_worker_in_the_middle_of_a_poll_is_not_silent() -> None:
    clock, platform = opened()
    worker = platform.polled(platform.endpoints["ep"], "w")
    worker.polls = 1
    clock.advance(600)

    assert list(platform.endpoints["ep"].workers) == ["w"]


def test_a_silent_worker_of_ours_is_left_to_those_who_started_it() -> None:
    clock, platform = opened()
    platform.register_worker("ep", "w")
    clock.advance(600)

    assert list(platform.endpoints["ep"].workers) == ["w"]


def test_deadlines_pass_without_anybody_asking() -> None:
    clock, platform = opened()
    endpoint = platform.endpoints["ep"]
    changes = heard(platform)
    job = endpoint.book.submit(Submission(input=b"{}", ttl_s=10.0), clock.now())
    clock.advance(11)

    assert [change.kind for change in changes] == ["job", "job"]
    assert len(endpoint.book) == 0
    assert job.status == "IN_QUEUE"


def test_every_state_of_a_worker_is_told() -> None:
    clock, platform = opened()
    endpoint = platform.endpoints["ep"]
    changes = heard(platform)
    states = []
    platform.subscribe(
        lambda change: (
            change.kind == "worker"
            and states.append(endpoint.workers[change.subject].status if endpoint.workers else "gone")
        )
    )
    platform.register_worker("ep", "w")
    platform.polled(endpoint, "w")
    endpoint.book.submit(INPUT, clock.now())
    endpoint.book.take("w", 1, clock.now())
    platform.drain_worker("ep", "w")
    platform.lose_worker("ep", "w")

    assert states == ["INITIALIZING", "IDLE", "RUNNING", "gone"]
    assert Change("draining", "ep", "w") in changes


def test_who_has_unsubscribed_hears_nothing() -> None:
    _, platform = opened()
    changes: list[Change] = []
    platform.subscribe(changes.append)()
    platform.register_worker("ep", "w")

    assert changes == []


def test_an_endpoint_that_is_removed_is_told_and_its_jobs_are_nobodys() -> None:
    clock, platform = opened()
    endpoint = platform.endpoints["ep"]
    endpoint.book.submit(INPUT, clock.now())
    changes = heard(platform)
    platform.remove_endpoint("ep")
    clock.advance(100_000)

    assert changes == [Change("removed", "ep")]
    assert platform.endpoints == {}
