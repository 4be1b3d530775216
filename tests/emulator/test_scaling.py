"""When workers start and end: by the queue, by their number, by time, by version."""

import pytest

from embedstack.emulator.scaling import Decision, Demand, Rules, Standing, decide

NOW = 1000.0
NOTHING = Demand()


def worker(
    name: str = "a", status: str = "IDLE", *, age_s: float = 100.0, since_s: float | None = None, **others: bool
) -> Standing:
    since = NOW - (age_s if since_s is None else since_s)
    return Standing(id=name, status=status, since=since, started_at=NOW - age_s, **others)


def by_delay(delay_s: float = 4.0, **others: float) -> Rules:
    return Rules(scaling=("QUEUE_DELAY", delay_s), **others)


def by_count(requests: int, **others: float) -> Rules:
    return Rules(scaling=("REQUEST_COUNT", requests), **{"idle_timeout_s": 0.0, **others})


def waiting(urgent: int, oldest_wait_s: float = 0.0, in_progress: int = 0) -> Demand:
    return Demand(urgent, oldest_wait_s, in_progress)


# ------------------------------------------------------------------------------------------------ by delay


def test_without_requests_nothing_starts() -> None:
    assert decide(by_delay(), NOTHING, [], NOW) == Decision()


def test_the_first_request_starts_a_worker_at_once() -> None:
    assert decide(by_delay(), waiting(1), [], NOW).start == 1


def test_many_first_requests_start_one_worker() -> None:
    assert decide(by_delay(), waiting(50), [], NOW).start == 1


def test_a_request_that_waits_less_than_the_delay_starts_none() -> None:
    assert decide(by_delay(4), waiting(9, 3.9), [worker(status="RUNNING")], NOW).start == 0


def test_a_request_that_waits_longer_than_the_delay_starts_one() -> None:
    assert decide(by_delay(4), waiting(9, 4.1), [worker(status="RUNNING")], NOW).start == 1


def test_within_one_delay_only_one_worker_starts() -> None:
    there = [worker("a", "RUNNING"), worker("b", "INITIALIZING", age_s=3.0)]

    assert decide(by_delay(4), waiting(9, 60.0), there, NOW).start == 0


def test_after_another_delay_one_more_starts() -> None:
    there = [worker("a", "RUNNING"), worker("b", "INITIALIZING", age_s=4.0)]

    assert decide(by_delay(4), waiting(9, 60.0), there, NOW).start == 1


def test_a_request_whose_worker_is_on_its_way_starts_no_second_one() -> None:
    assert decide(by_delay(4), waiting(1, 60.0), [worker(status="INITIALIZING")], NOW).start == 0


def test_jobs_of_low_priority_start_none() -> None:
    """They are in the queue, but not among the urgent ones."""
    assert decide(by_delay(), Demand(urgent=0, in_progress=0), [], NOW).start == 0


# ------------------------------------------------------------------------------------------------ by count


@pytest.mark.parametrize(("queued", "running", "wanted"), [(0, 0, 0), (1, 0, 1), (4, 0, 1), (5, 0, 2), (3, 6, 3)])
def test_by_count_there_is_a_worker_for_each_so_many_requests(queued: int, running: int, wanted: int) -> None:
    assert decide(by_count(4, workers_max=9), waiting(queued, in_progress=running), [], NOW).start == wanted


def test_by_count_workers_on_their_way_count() -> None:
    there = [worker("a", "INITIALIZING"), worker("b", "THROTTLED")]

    assert decide(by_count(1), waiting(3), there, NOW).start == 1


def test_by_count_an_idle_worker_that_is_not_wanted_ends_at_once() -> None:
    there = [worker("a", "RUNNING"), worker("b", "IDLE", since_s=0.0)]

    assert decide(by_count(4), waiting(0, in_progress=4), there, NOW).drain == ("b",)


def test_by_count_an_idle_worker_that_is_wanted_stays() -> None:
    assert decide(by_count(1), waiting(1), [worker(since_s=500.0)], NOW) == Decision()


# ------------------------------------------------------------------------------------------------ bounds


def test_the_least_workers_are_there_without_requests() -> None:
    assert decide(by_delay(workers_min=2), NOTHING, [worker()], NOW).start == 1


def test_no_more_than_the_most_workers_start() -> None:
    assert decide(by_count(1, workers_max=2), waiting(50), [worker(status="RUNNING")], NOW).start == 1


def test_one_that_is_ending_still_takes_a_place() -> None:
    there = [worker("a", "RUNNING"), worker("b", "RUNNING", is_draining=True)]

    assert decide(by_count(1, workers_max=2), waiting(50), there, NOW).start == 0


def test_a_worker_that_has_ended_takes_none() -> None:
    assert decide(by_count(1, workers_max=1), waiting(50), [worker(status="STOPPED")], NOW).start == 1


def test_of_too_many_workers_those_go_first_that_do_least() -> None:
    there = [
        worker("a", "RUNNING"),
        worker("b", "IDLE", since_s=0),
        worker("c", "INITIALIZING"),
        worker("d", "THROTTLED"),
    ]

    assert decide(by_delay(workers_max=1), NOTHING, there, NOW).drain == ("d", "c", "b")


def test_a_maximum_of_zero_ends_all_and_starts_none() -> None:
    decision = decide(by_delay(workers_max=0), waiting(5, 100.0), [worker("a", "RUNNING")], NOW)

    assert decision == Decision(drain=("a",))


# ------------------------------------------------------------------------------------------------ idling


def test_an_idle_worker_ends_after_its_timeout() -> None:
    assert decide(by_delay(idle_timeout_s=5), NOTHING, [worker(since_s=5.0)], NOW).drain == ("a",)


def test_an_idle_worker_stays_until_its_timeout() -> None:
    assert decide(by_delay(idle_timeout_s=5), NOTHING, [worker(since_s=4.9)], NOW).drain == ()


def test_the_one_that_idles_longest_ends_first() -> None:
    there = [worker("a", since_s=6.0), worker("b", since_s=9.0)]

    assert decide(by_delay(workers_min=1, idle_timeout_s=5), NOTHING, there, NOW).drain == ("b",)


def test_the_least_workers_stay_however_long_they_idle() -> None:
    assert decide(by_delay(workers_min=1), NOTHING, [worker(since_s=9999.0)], NOW) == Decision()


@pytest.mark.parametrize("status", ["RUNNING", "INITIALIZING"])
def test_one_that_is_not_idle_never_ends_for_want_of_requests(status: str) -> None:
    assert decide(by_delay(idle_timeout_s=0), NOTHING, [worker(status=status)], NOW).drain == ()


def test_one_that_ends_already_is_not_told_again() -> None:
    assert decide(by_delay(), NOTHING, [worker(since_s=99.0, is_draining=True)], NOW) == Decision()


# ------------------------------------------------------------------------------------------------ throttled, failing


def test_one_that_waits_for_a_machine_gives_up_when_no_request_waits() -> None:
    assert decide(by_delay(), NOTHING, [worker(status="THROTTLED")], NOW).drain == ("a",)


def test_one_that_waits_for_a_machine_goes_on_while_requests_wait() -> None:
    assert decide(by_delay(), waiting(1, 2.0), [worker(status="THROTTLED")], NOW) == Decision()


def test_one_that_must_be_there_goes_on_waiting_for_a_machine() -> None:
    assert decide(by_delay(workers_min=1), NOTHING, [worker(status="THROTTLED")], NOW) == Decision()


def test_an_unhealthy_worker_is_replaced() -> None:
    decision = decide(by_delay(workers_min=1), NOTHING, [worker(status="UNHEALTHY")], NOW)

    assert decision == Decision(start=1, drain=("a",))


def test_one_that_does_not_become_ready_in_time_is_replaced() -> None:
    decision = decide(by_delay(workers_min=1), NOTHING, [worker(status="INITIALIZING", age_s=421)], NOW)

    assert decision == Decision(start=1, drain=("a",), hung=("a",))


def test_the_time_to_become_ready_can_be_set() -> None:
    there = [worker(status="INITIALIZING", age_s=421)]

    assert decide(by_delay(workers_min=1, init_timeout_s=800.0), NOTHING, there, NOW) == Decision()


# ------------------------------------------------------------------------------------------------ new versions


def test_workers_of_an_old_version_go_at_once_whether_they_idle_or_run() -> None:
    there = [
        worker("a", "IDLE", since_s=0, is_stale=True),
        worker("b", "RUNNING", is_stale=True),
        worker("c", "RUNNING"),
    ]

    assert decide(by_delay(), waiting(0, in_progress=2), there, NOW).drain == ("a", "b")


def test_old_workers_are_replaced_as_far_as_there_is_room() -> None:
    there = [worker("a", "RUNNING", is_stale=True, is_draining=True), worker("b", "RUNNING", is_stale=True)]

    assert decide(by_delay(workers_min=2, workers_max=3), NOTHING, there, NOW).start == 1


def test_old_workers_do_not_serve_the_queue() -> None:
    """So the first worker of the new version starts at once, without the delay."""
    there = [worker("a", "RUNNING", is_stale=True, is_draining=True)]

    assert decide(by_delay(4), waiting(1, 0.0), there, NOW).start == 1


# ------------------------------------------------------------------------------------------------ altogether


def test_what_was_decided_is_not_decided_again() -> None:
    rules, demand = by_count(1, workers_min=1, workers_max=4), waiting(3)
    first = decide(rules, demand, [], NOW)
    there = [worker(str(n), "INITIALIZING", age_s=0.0) for n in range(first.start)]

    assert (first.start, decide(rules, demand, there, NOW)) == (3, Decision())


def test_a_burst_by_delay_grows_by_one_each_delay_up_to_the_most() -> None:
    rules, there, counts = by_delay(4, workers_max=4), [], []
    for step in range(25):
        now = NOW + step
        decision = decide(rules, waiting(100, float(step)), there, now)
        there += [Standing(id=f"{step}", status="RUNNING", since=now, started_at=now) for _ in range(decision.start)]
        counts.append(len(there))

    assert counts == [1] * 5 + [2] * 4 + [3] * 4 + [4] * 12
