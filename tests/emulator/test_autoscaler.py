"""Workers of an endpoint come and go, seen with puppets in the place of processes and a clock that the test moves."""

from collections.abc import Iterator

import pytest

from embedstack.emulator.calls import Call
from embedstack.emulator.endpoint import EndpointSettings, Scaling
from embedstack.emulator.faults import Fault
from embedstack.emulator.life import MOST_CRASHES, Streak
from embedstack.emulator.workside import DRAINING_HOLD_S, take
from embedstack.errors import ConfigError
from support.workers import Stage

ONE = EndpointSettings(workers_min=1)
NONE = EndpointSettings(idle_timeout_s=5.0)
BY_COUNT = EndpointSettings(scaling=Scaling("REQUEST_COUNT", 1))


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


# ------------------------------------------------------------------------------------------------ coming and going


def test_the_least_workers_start_by_themselves(stage: Stage) -> None:
    stage.open(ONE)

    assert ([p.order.worker_id for p in stage.puppets.started], stage.statuses) == (
        [stage.workers[0].id],
        ["INITIALIZING"],
    )


def test_an_endpoint_scales_from_zero_and_back_to_zero(stage: Stage) -> None:
    stage.open(NONE).submit()
    (job,) = stage.poll()
    stage.passes(20.0)  # it works, which is not idling
    stage.finish(job)
    stage.passes(4.75)
    before = stage.statuses
    stage.passes(0.5)

    assert (before, stage.statuses, stage.puppet.signals) == (["IDLE"], [], ["SIGTERM"])


def test_a_job_of_low_priority_wakes_nobody(stage: Stage) -> None:
    stage.open(NONE).submit(is_low_priority=True)
    stage.passes(30.0)

    assert stage.puppets.started == []


def test_by_count_each_waiting_job_gets_a_worker_and_idle_ones_end_at_once(stage: Stage) -> None:
    stage.open(BY_COUNT).submit(2)
    jobs = [(stage.poll(puppet), puppet) for puppet in stage.puppets.started]
    for (job,), puppet in jobs:
        stage.finish(job, puppet)
    stage.passes(0.25)

    assert (len(jobs), stage.statuses) == (2, [])


def test_a_worker_is_told_its_endpoint_and_the_variables_of_that(stage: Stage) -> None:
    stage.open(ONE, env={"EMBEDSTACK_MODELS": "bge-m3"})

    assert (stage.puppet.order.endpoint_id, stage.puppet.order.env) == ("e", {"EMBEDSTACK_MODELS": "bge-m3"})


def test_an_order_shows_no_variables(stage: Stage) -> None:
    stage.open(ONE, env={"SECRET": "hush"})

    assert "hush" not in repr(stage.puppet.order)


def test_workers_of_others_are_left_alone(stage: Stage) -> None:
    stage.open(NONE)
    stage.platform.polled(stage.endpoint, "by-hand")
    stage.passes(30.0)

    assert [(worker.id, worker.is_draining) for worker in stage.workers] == [("by-hand", False)]


def test_a_load_balanced_endpoint_gets_no_workers(stage: Stage) -> None:
    stage.open(NONE)
    stage.platform.add_endpoint("lb", kind="LOAD_BALANCER", settings=ONE)
    stage.passes(1.0)

    assert stage.puppets.started == []


# ------------------------------------------------------------------------------------------------ ending


def test_a_worker_that_ignores_sigterm_is_killed_after_the_grace(stage: Stage) -> None:
    stage.puppets.obey = False
    stage.open(NONE, grace_s=10.0).submit()
    (job,) = stage.poll()
    stage.finish(job)
    stage.passes(14.75)
    before = list(stage.puppet.signals)
    stage.passes(1.0)

    assert (before, stage.puppet.signals, stage.statuses) == (["SIGTERM"], ["SIGTERM", "SIGKILL"], [])


def test_a_worker_that_asks_to_be_replaced_ends_after_its_job_and_another_starts(stage: Stage) -> None:
    stage.open(ONE).submit(2)
    (job,) = stage.poll()
    stage.platform.recycle_worker(stage.endpoint, stage.puppet.order.worker_id)
    stage.passes(1.0)
    signals_before = list(stage.puppets.started[0].signals)
    stage.finish(job, stage.puppets.started[0])
    stage.passes(0.25)

    assert signals_before == []
    assert stage.puppets.started[0].signals == ["SIGTERM"]
    assert len(stage.puppets.started) == 2


def test_a_worker_that_ends_by_itself_when_it_asked_to_be_replaced_has_not_crashed(stage: Stage) -> None:
    stage.open(ONE)
    stage.poll()
    stage.platform.recycle_worker(stage.endpoint, stage.puppet.order.worker_id)
    stage.puppet.exit(0)
    stage.settle()
    stage.passes(0.25)

    assert [puppet.signals for puppet in stage.puppets.started] == [[], []]  # the second one without a pause


def test_a_worker_that_asked_to_be_replaced_and_says_that_it_failed_has_crashed(stage: Stage) -> None:
    stage.open(ONE)
    stage.poll()
    stage.platform.recycle_worker(stage.endpoint, stage.puppet.order.worker_id)
    stage.puppet.exit(1)
    stage.settle()
    stage.passes(0.25)

    assert len(stage.puppets.started) == 1  # the next one comes after a pause


def test_when_an_endpoint_is_removed_its_workers_end_even_in_mid_job(stage: Stage) -> None:
    stage.open(NONE).submit()
    stage.poll()
    stage.platform.remove_endpoint("e")
    stage.passes(0.25)

    assert stage.puppet.signals == ["SIGTERM"]


def test_closing_ends_the_polls_of_workers_which_the_sdk_waits_for(stage: Stage) -> None:
    kinds: list[str] = []
    stage.open(ONE)
    stage.platform.subscribe(lambda change: kinds.append(change.kind))
    stage.loop.run_until_complete(stage.scaler.close())

    assert kinds == ["draining", "worker"]


def test_closing_ends_all_workers(stage: Stage) -> None:
    stage.open(EndpointSettings(workers_min=2))
    stage.loop.run_until_complete(stage.scaler.close())

    assert ([puppet.signals for puppet in stage.puppets.started], stage.workers) == ([["SIGTERM"]] * 2, [])


def test_a_worker_that_finishes_a_job_does_not_poll_all_the_time(stage: Stage) -> None:
    """The SDK asks again as soon as it hears that there is nothing."""
    stage.open(NONE).submit()
    stage.poll()
    worker_id = stage.puppet.order.worker_id
    stage.platform.drain_worker("e", worker_id)
    call = Call(
        platform=stage.platform,
        endpoint=stage.endpoint,
        method="GET",
        route="job-take",
        rest=(worker_id,),
        query={},
        body=b"",
    )
    polling = stage.loop.create_task(take(call))
    stage.settle()
    was_answered_at_once = polling.done()
    stage.passes(DRAINING_HOLD_S)

    assert (was_answered_at_once, polling.result().status) == (False, 204)


# ------------------------------------------------------------------------------------------------ new versions


def test_a_new_version_replaces_idle_workers_at_once_and_running_ones_after_their_job(stage: Stage) -> None:
    stage.open(EndpointSettings(workers_min=2)).submit()
    idle, busy = stage.puppets.started[1], stage.puppets.started[0]
    (job,) = stage.poll(busy)
    stage.poll(idle)
    stage.platform.change_settings("e", EndpointSettings(workers_min=2))
    stage.passes(0.25)
    early = (list(idle.signals), list(busy.signals))
    stage.finish(job, busy)
    stage.passes(0.5)

    assert early == (["SIGTERM"], [])
    assert busy.signals == ["SIGTERM"]
    assert [worker.version for worker in stage.workers] == [2, 2]


def test_during_a_new_version_there_are_never_more_workers_than_allowed(stage: Stage) -> None:
    settings = EndpointSettings(workers_min=2, workers_max=2)
    stage.open(settings).submit(2)
    jobs = [(stage.poll(puppet), puppet) for puppet in stage.puppets.started]
    stage.platform.change_settings("e", settings)
    counts = []
    for (job,), puppet in jobs:
        stage.passes(1.0)
        counts.append(len(stage.workers))
        stage.finish(job, puppet)
    stage.passes(1.0)

    assert (counts, [worker.version for worker in stage.workers]) == ([2, 2], [2, 2])


# ------------------------------------------------------------------------------------------------ crashes


def test_the_jobs_of_a_worker_that_crashed_are_in_the_queue_again(stage: Stage) -> None:
    stage.open(NONE).submit()
    stage.poll()
    stage.puppet.exit(-9)
    stage.passes(0)
    job = stage.endpoint.book.latest(1, stage.clock.now())[0]

    assert (job.status, job.retries, stage.workers) == ("IN_QUEUE", 1, [])


def test_after_a_crash_the_next_worker_starts_a_second_later(stage: Stage) -> None:
    stage.open(ONE)
    stage.puppet.exit(1)
    stage.passes(0.75)
    before = len(stage.puppets.started)
    stage.passes(0.5)

    assert (before, len(stage.puppets.started)) == (1, 2)


def crash_all(stage: Stage, seconds: float = 60.0) -> None:
    for _ in range(int(seconds)):
        for puppet in stage.puppets.started:
            puppet.exit(1)
        stage.passes(1.0)


def test_a_loop_of_crashes_ends(stage: Stage) -> None:
    stage.open(ONE)
    crash_all(stage)

    assert len(stage.puppets.started) == MOST_CRASHES


def test_a_program_that_cannot_be_started_is_tried_no_more_often(stage: Stage) -> None:
    stage.puppets.failure = ConfigError("there is no such program")
    stage.open(ONE)
    crash_all(stage)
    stage.puppets.failure = None
    stage.passes(70.0)

    assert stage.puppets.started == []


@pytest.mark.parametrize("is_release", [True, False])
def test_new_settings_end_the_loop_whether_workers_are_replaced_for_them_or_not(stage: Stage, is_release: bool) -> None:
    stage.open(ONE)
    crash_all(stage)
    stage.platform.change_settings("e", ONE, is_release=is_release)
    stage.passes(0.25)

    assert len(stage.puppets.started) == MOST_CRASHES + 1


def test_an_unhealthy_worker_counts_as_a_crash(stage: Stage) -> None:
    stage.open(ONE)
    stage.platform.pinged(stage.endpoint, stage.puppet.order.worker_id, [], is_unhealthy=True)
    stage.passes(0.75)
    before = (stage.puppet.signals, stage.statuses)
    stage.passes(1.0)

    assert (before, stage.statuses) == ((["SIGTERM"], []), ["INITIALIZING"])


def test_a_worker_that_never_gets_ready_is_ended(stage: Stage) -> None:
    stage.open(ONE, env={"RUNPOD_INIT_TIMEOUT": "30"})
    stage.passes(30.5)

    assert stage.puppet.signals == ["SIGTERM"]


def test_pauses_between_crashes_double() -> None:
    streak, pauses = Streak(), []
    for at in (0.0, 100.0, 200.0, 300.0):
        streak.crashed(at, 0, at + 50)
        pauses.append(streak.retry_at - at - 50)

    assert pauses == [1, 2, 4, 8]


def test_a_finished_job_between_two_crashes_begins_a_new_streak() -> None:
    streak = Streak()
    for at, completed in ((0.0, 0), (10.0, 0), (20.0, 1)):
        streak.crashed(at, completed, at)

    assert streak.count == 1


def test_workers_that_started_together_and_crash_together_count_once(stage: Stage) -> None:
    stage.open(EndpointSettings(workers_min=6, workers_max=6))
    for puppet in stage.puppets.started:
        puppet.exit(1)
    stage.passes(1.5)

    assert len(stage.puppets.started) == 12


def test_a_loop_of_workers_that_crash_together_ends_too_and_is_told_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.open(EndpointSettings(workers_min=3))
    crash_all(stage)

    assert len(stage.puppets.started) == 3 * MOST_CRASHES
    assert [record.getMessage().split()[0] for record in caplog.records].count("event=crash_loop") == 1


@pytest.mark.parametrize(
    "failure", [ConfigError("no such program"), ValueError("embedded null byte"), RuntimeError("can't start thread")]
)
def test_whatever_keeps_a_worker_from_starting_is_a_crash_that_is_told(
    stage: Stage, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    stage.puppets.failure = failure
    stage.open(ONE)
    crash_all(stage)

    told = [record.getMessage() for record in caplog.records if "worker_crashed" in record.getMessage()]
    assert len(told) == MOST_CRASHES
    assert str(failure) in told[0]


def test_closing_waits_for_all_though_one_of_them_fails(stage: Stage) -> None:
    def fail() -> None:
        raise OSError

    stage.open(EndpointSettings(workers_min=2))
    broken, whole = stage.puppets.started
    broken.kill = fail  # type: ignore[method-assign]
    stage.loop.run_until_complete(stage.scaler.close())

    assert whole.signals == ["SIGTERM"]


def test_its_jobs_are_handed_out_again_before_its_last_words_are_read(stage: Stage) -> None:
    """A program that it left behind may hold its pipe open."""
    stage.open(NONE).submit()
    stage.poll()
    stage.puppet.spoken.clear()
    stage.puppet.exit(-9)
    stage.settle()
    job = stage.endpoint.book.latest(1, stage.clock.now())[0]
    stage.puppet.spoken.set()

    assert (job.status, stage.workers) == ("IN_QUEUE", [])


# ------------------------------------------------------------------------------------------------ machines


def test_a_worker_can_end_during_its_cold_start(stage: Stage) -> None:
    stage.open(ONE, [Fault(route="spawn", action="delay", seconds=30.0)])
    stage.platform.remove_endpoint("e")
    stage.passes(60.0)

    assert stage.puppets.started == []


def test_faults_take_machines_away_for_a_time(stage: Stage) -> None:
    stage.open(ONE, [Fault(route="spawn", action="status", seconds=20.0, times=1)])
    stage.passes(19.75)
    before = stage.statuses
    stage.passes(0.25)

    assert (before, stage.statuses) == (["THROTTLED"], ["INITIALIZING"])


def test_faults_kill_a_worker_after_a_time(stage: Stage) -> None:
    stage.open(ONE, [Fault(route="spawn", action="reset", seconds=20.0, times=1)])
    stage.passes(19.75)
    before = list(stage.puppet.signals)
    stage.passes(0.25)

    assert (before, stage.puppet.signals) == ([], ["SIGKILL"])


def test_faults_make_a_start_slow(stage: Stage) -> None:
    stage.open(ONE, [Fault(route="spawn", action="delay", seconds=20.0, times=1)])
    stage.passes(19.75)
    before = len(stage.puppets.started)
    stage.passes(0.25)

    assert (before, len(stage.puppets.started)) == (0, 1)


def test_workers_of_a_removed_endpoint_do_not_serve_another_of_its_name(stage: Stage) -> None:
    stage.open(ONE)
    stage.platform.remove_endpoint("e")
    stage.endpoint = stage.platform.add_endpoint("e", settings=ONE)
    stage.passes(0.25)
    old, new = stage.puppets.started

    assert (old.signals, [worker.id for worker in stage.workers]) == (["SIGTERM"], [new.order.worker_id])


def test_a_loop_of_crashes_is_forgotten_with_its_endpoint(stage: Stage) -> None:
    stage.open(ONE)
    crash_all(stage)
    stage.platform.remove_endpoint("e")
    stage.passes(0.25)
    stage.endpoint = stage.platform.add_endpoint("e", settings=ONE)
    stage.passes(0.25)

    assert stage.statuses == ["INITIALIZING"]
