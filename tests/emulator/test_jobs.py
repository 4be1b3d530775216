"""The states of a job, and what moves it from one to the next."""

import weakref
from itertools import count

import pytest

from embedstack.emulator.job import Counts, Job, Result, Submission
from embedstack.emulator.jobs import Book, new_job_id
from embedstack.emulator.kept import JOB_BYTES
from embedstack.emulator.unknowns import Unknowns

LEASE_S, RETRIES = 25.0, 1
DONE = Result(output=b'"vectors"')
FAILURE = Result(error=b'"no such model"')
INPUT = Submission(input=b"{}")
SYNC = Submission(input=b"{}", is_sync=True)


def numbered() -> Book:
    """A book whose jobs are called j0, j1 and so on."""
    numbers = count()
    unknowns = Unknowns(heartbeat_timeout_s=LEASE_S, max_retries=RETRIES)
    return Book(unknowns, new_id=lambda is_sync: f"j{next(numbers)}")


def taken(book: Book, asked: Submission = INPUT, now: float = 0.0, worker: str = "w") -> Job:
    job = book.submit(asked, now)
    assert book.take(worker, 1, now) == [job]
    return job


def ended(book: Book, result: Result = DONE, asked: Submission = INPUT, now: float = 0.0) -> Job:
    job = taken(book, asked, now)
    assert book.finish(job.id, "w", result, now)
    return job


# ------------------------------------------------------------------------------------------------ the usual way


def test_a_job_waits_runs_and_is_completed_with_its_output() -> None:
    book = numbered()
    job = book.submit(INPUT, 10.0)
    states = [job.status]
    book.take("w", 1, 12.0)
    states.append(job.status)
    book.finish(job.id, "w", DONE, 15.0)

    assert [*states, job.status] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert (job.output, job.delay_s, job.execution_s, job.worker_id) == (b'"vectors"', 2.0, 3.0, "w")


def test_a_result_with_an_error_is_a_failure_that_keeps_its_output() -> None:
    job = ended(numbered(), Result(output=b"[]", error=b'"half of it"'))

    assert (job.status, job.output, job.error) == ("FAILED", b"[]", b'"half of it"')


def test_jobs_are_handed_out_in_the_order_in_which_they_came() -> None:
    book = numbered()
    jobs = [book.submit(INPUT, 0.0) for _ in range(3)]

    assert book.take("w", 2, 0.0) + book.take("v", 2, 0.0) == jobs


def test_a_job_of_low_priority_waits_for_all_others() -> None:
    book = numbered()
    low = book.submit(Submission(input=b"{}", is_low_priority=True), 0.0)
    high = book.submit(INPUT, 1.0)

    assert book.take("w", 2, 2.0) == [high, low]


def test_a_scaler_sees_nothing_of_low_priority() -> None:
    book = numbered()
    book.submit(Submission(input=b"{}", is_low_priority=True), 0.0)
    book.submit(INPUT, 5.0)

    assert (book.urgent(7.0), book.oldest_wait_s(7.0), book.counts(7.0).in_queue) == (1, 2.0, 2)


def test_an_empty_queue_has_nothing_to_hand_out() -> None:
    book = numbered()

    assert (book.take("w", 5, 0.0), book.has_work(0.0), book.oldest_wait_s(9.0)) == ([], False, 0.0)


def test_ids_say_whether_somebody_waits_for_the_job() -> None:
    assert new_job_id(True).startswith("sync-")
    assert not new_job_id(False).startswith("sync-")
    assert new_job_id(False).endswith("-u1")


def test_the_counts_are_those_of_all_states() -> None:
    book = numbered()
    ended(book)
    ended(book, FAILURE)
    taken(book)
    book.submit(INPUT, 0.0)

    assert book.counts(0.0) == Counts(completed=1, failed=1, in_progress=1, in_queue=1, retried=0)


# ------------------------------------------------------------------------------------------------ who may say what


def test_the_first_result_wins() -> None:
    book = numbered()
    job = ended(book)

    assert not book.finish(job.id, "w", FAILURE, 1.0)
    assert job.status == "COMPLETED"


def test_a_result_of_another_worker_changes_nothing() -> None:
    book = numbered()
    job = taken(book)

    assert not book.finish(job.id, "stranger", DONE, 0.0)
    assert job.status == "IN_PROGRESS"


def test_a_result_of_a_job_that_nobody_knows_is_refused() -> None:
    assert not numbered().finish("j7", "w", DONE, 0.0)


def test_progress_is_shown_while_the_job_runs() -> None:
    book = numbered()
    job = taken(book)

    assert book.progress(job.id, "w", b'"half"', 1.0)
    assert (job.status, job.output) == ("IN_PROGRESS", b'"half"')


def test_progress_after_the_end_does_not_bring_a_job_back() -> None:
    book = numbered()
    job = ended(book)

    assert not book.progress(job.id, "w", b'"half"', 1.0)
    assert (job.status, job.output) == ("COMPLETED", b'"vectors"')


def test_chunks_are_given_once_in_their_order() -> None:
    book = numbered()
    job = taken(book)
    book.chunk(job.id, "w", b"1", 0.0)
    book.chunk(job.id, "w", b"2", 0.0)

    assert (book.drain(job), book.drain(job)) == ([b"1", b"2"], [])


def test_chunks_that_nobody_read_outlive_the_end_of_the_job() -> None:
    book = numbered()
    job = taken(book)
    book.chunk(job.id, "w", b"1", 0.0)
    book.finish(job.id, "w", Result(output=b"[]"), 1.0)

    assert (book.drain(job), job.status) == ([b"1"], "COMPLETED")


# ------------------------------------------------------------------------------------------------ cancelling


def test_a_cancelled_job_is_never_handed_out() -> None:
    book = numbered()
    job = book.submit(INPUT, 0.0)
    book.cancel(job.id, 1.0)

    assert (job.status, book.take("w", 1, 1.0), book.stops("w")) == ("CANCELLED", [], [])


def test_the_worker_of_a_cancelled_job_is_told_once_to_stop() -> None:
    book = numbered()
    job = taken(book)
    book.cancel(job.id, 1.0)

    assert (book.has_stops("w"), book.stops("w"), book.stops("w")) == (True, [job.id], [])
    assert (job.status, book.held("w")) == ("CANCELLED", set())


def test_the_result_of_a_cancelled_job_comes_too_late() -> None:
    book = numbered()
    job = taken(book)
    book.cancel(job.id, 1.0)

    assert not book.finish(job.id, "w", DONE, 2.0)
    assert job.status == "CANCELLED"


def test_what_has_ended_cannot_be_cancelled() -> None:
    book = numbered()
    job = ended(book)

    assert book.cancel(job.id, 1.0) is job
    assert job.status == "COMPLETED"


def test_a_purge_removes_what_waits_and_leaves_what_runs() -> None:
    book = numbered()
    running = taken(book)
    waiting = [book.submit(INPUT, 0.0), book.submit(Submission(input=b"{}", is_low_priority=True), 0.0)]

    assert book.purge(1.0) == 2
    assert [book.find(job.id, 1.0) for job in (running, *waiting)] == [running, None, None]


def test_a_purge_may_also_cancel() -> None:
    book = Book(Unknowns(purged_status="CANCELLED"))
    job = book.submit(INPUT, 0.0)
    book.purge(1.0)

    assert job.status == "CANCELLED"
    assert book.counts(1.0).in_queue == 0


# ------------------------------------------------------------------------------------------------ leases


def test_a_job_that_no_ping_names_is_handed_out_again_first() -> None:
    book = numbered()
    lost = taken(book)
    book.submit(INPUT, 1.0)

    assert book.take("v", 1, LEASE_S) == [lost]
    assert (lost.retries, book.counts(LEASE_S).retried) == (1, 1)


def test_a_ping_that_names_the_job_keeps_it() -> None:
    book = numbered()
    job = taken(book)
    book.refresh("w", [job.id], 20.0)

    assert book.find(job.id, LEASE_S) is job
    assert (job.status, job.retries) == ("IN_PROGRESS", 0)


def test_a_ping_that_names_only_others_does_not() -> None:
    book = numbered()
    job = taken(book)
    book.refresh("w", ["j7"], 20.0)
    book.settle(LEASE_S)

    assert job.status == "IN_QUEUE"


def test_a_ping_of_a_worker_that_does_not_have_the_job_keeps_nothing() -> None:
    book = numbered()
    job = taken(book)
    book.refresh("stranger", [job.id], 20.0)
    book.settle(LEASE_S)

    assert job.status == "IN_QUEUE"


def test_a_lease_that_was_renewed_ends_at_its_new_time() -> None:
    book = numbered()
    job = taken(book)
    book.refresh("w", [job.id], 20.0)
    book.settle(20.0 + LEASE_S - 1)
    before = job.status
    book.settle(20.0 + LEASE_S)

    assert (before, job.status) == ("IN_PROGRESS", "IN_QUEUE")


def test_the_old_workers_result_is_refused_while_another_has_the_job() -> None:
    book = numbered()
    job = taken(book)
    book.take("v", 1, LEASE_S)

    assert not book.finish(job.id, "w", FAILURE, LEASE_S + 1)
    assert book.finish(job.id, "v", DONE, LEASE_S + 2)


def test_a_job_that_is_lost_too_often_fails_with_the_words_of_runpod() -> None:
    book = numbered()
    job = taken(book)
    book.take("v", 1, LEASE_S)
    book.settle(2 * LEASE_S)

    assert (job.status, job.error) == ("FAILED", b'"job timed out after 1 retries"')
    assert book.take("x", 1, 2 * LEASE_S) == []


def test_a_worker_that_is_gone_loses_its_jobs_at_once() -> None:
    book = numbered()
    jobs = [book.submit(INPUT, 0.0), book.submit(INPUT, 0.0)]
    book.take("w", 2, 0.0)
    book.lose("w", 1.0)

    assert ([job.status for job in jobs], book.held("w")) == (["IN_QUEUE", "IN_QUEUE"], set())


def test_a_worker_that_is_gone_is_not_told_to_stop_anything() -> None:
    book = numbered()
    job = taken(book)
    book.cancel(job.id, 1.0)
    book.lose("w", 2.0)

    assert not book.has_stops("w")


def test_what_did_not_arrive_goes_back_to_the_front_and_is_no_retry() -> None:
    book = numbered()
    first, second = taken(book), book.submit(INPUT, 0.0)
    book.put_back([first], "w", 1.0)

    assert (first.retries, first.delay_s) == (0, None)
    assert book.take("v", 2, 2.0) == [first, second]


def test_several_that_did_not_arrive_keep_their_order() -> None:
    book = numbered()
    jobs = [book.submit(INPUT, 0.0) for _ in range(3)]
    book.put_back(book.take("w", 2, 0.0), "w", 0.0)

    assert book.take("v", 3, 0.0) == jobs


def test_what_another_worker_has_too_is_not_put_back() -> None:
    book = numbered()
    job = book.submit(INPUT, 0.0)
    book.take("w", 1, 0.0, is_doubled=True)
    book.take("v", 1, 0.0)
    book.put_back([job], "w", 1.0)

    assert job.status == "IN_PROGRESS"
    assert book.finish(job.id, "v", DONE, 2.0)


def test_what_has_ended_meanwhile_is_not_put_back() -> None:
    book = numbered()
    job = taken(book)
    book.cancel(job.id, 0.0)
    book.put_back([job], "w", 1.0)

    assert (job.status, book.has_work(1.0)) == ("CANCELLED", False)


def test_a_job_that_is_handed_out_again_has_nothing_of_its_first_run() -> None:
    book = numbered()
    job = taken(book)
    book.progress(job.id, "w", b"1", 1.0)
    book.chunk(job.id, "w", b"2", 1.0)
    book.lose("w", 2.0)

    assert (job.status, job.output, job.chunks) == ("IN_QUEUE", None, [])


def test_a_worker_that_is_lost_after_a_timeout_takes_no_final_result_back() -> None:
    book = numbered()
    job = taken(book, Submission(input=b"{}", timeout_s=5.0))
    book.lose("w", 10.0)

    assert (job.status, job.retries, book.counts(10.0)) == ("TIMED_OUT", 0, Counts(0, 1, 0, 0, 0))


def test_what_did_not_arrive_before_its_timeout_is_not_put_back() -> None:
    book = numbered()
    job = taken(book, Submission(input=b"{}", timeout_s=5.0))
    book.put_back([job], "w", 10.0)

    assert (job.status, job.retries) == ("TIMED_OUT", 0)


# ------------------------------------------------------------------------------------------------ doubled


def test_a_doubled_job_is_handed_out_twice_and_ends_once() -> None:
    book = numbered()
    job = book.submit(INPUT, 0.0)

    assert book.take("w", 1, 0.0, is_doubled=True) + book.take("v", 1, 0.0) == [job, job]
    assert (book.finish(job.id, "v", DONE, 1.0), book.finish(job.id, "w", FAILURE, 2.0)) == (True, False)


def test_a_doubled_job_that_has_ended_is_not_handed_out_again() -> None:
    book = numbered()
    job = book.submit(INPUT, 0.0)
    book.take("w", 1, 0.0, is_doubled=True)
    book.finish(job.id, "w", DONE, 0.0)

    assert (book.has_work(1.0), book.take("v", 1, 1.0)) == (False, [])


def test_one_of_two_workers_may_be_lost() -> None:
    book = numbered()
    job = book.submit(INPUT, 0.0)
    book.take("w", 1, 0.0, is_doubled=True)
    book.take("v", 1, 0.0)
    book.lose("w", 1.0)

    assert (job.status, job.retries) == ("IN_PROGRESS", 0)
    assert book.finish(job.id, "v", DONE, 2.0)


# ------------------------------------------------------------------------------------------------ time


def test_a_job_over_its_own_execution_timeout_ends_and_its_worker_is_told() -> None:
    book = numbered()
    job = taken(book, Submission(input=b"{}", timeout_s=10.0))
    book.refresh("w", [job.id], 9.0)
    book.settle(10.0)

    assert (job.status, job.execution_s, book.stops("w")) == ("TIMED_OUT", 10.0, [job.id])
    assert job.error == b'"job timed out after 0 retries"'


def test_the_execution_timeout_is_the_endpoints_where_the_job_has_none() -> None:
    book = Book(Unknowns(heartbeat_timeout_s=1000.0), timeout_s=30.0)
    job = book.submit(INPUT, 0.0)
    book.take("w", 1, 100.0)
    book.settle(129.9)
    before = job.status
    book.settle(130.0)

    assert (before, job.status) == ("IN_PROGRESS", "TIMED_OUT")


def test_a_new_attempt_has_the_whole_execution_timeout() -> None:
    book = numbered()
    job = taken(book, Submission(input=b"{}", timeout_s=30.0))
    book.take("v", 1, LEASE_S)
    book.refresh("v", [job.id], 40.0)
    book.settle(LEASE_S + 29.9)

    assert job.status == "IN_PROGRESS"


def test_a_timeout_may_also_be_a_failure() -> None:
    book = Book(Unknowns(timeout_status="FAILED"), timeout_s=5.0)
    job = book.submit(INPUT, 0.0)
    book.take("w", 1, 0.0)
    book.settle(5.0)

    assert job.status == "FAILED"


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_job_over_its_time_to_live_is_gone_in_whatever_state(is_taken: bool) -> None:
    book = numbered()
    asked = Submission(input=b"{}", ttl_s=10.0)
    job = taken(book, asked) if is_taken else book.submit(asked, 0.0)

    assert book.find(job.id, 9.9) is job
    assert (book.find(job.id, 10.0), book.take("v", 1, 10.0)) == (None, [])
    assert book.stops("w") == ([job.id] if is_taken else [])


def test_the_counts_are_right_after_a_running_job_has_vanished() -> None:
    book = numbered()
    taken(book, Submission(input=b"{}", ttl_s=10.0))

    assert book.counts(10.0).in_progress == 0


@pytest.mark.parametrize(("asked", "kept_s"), [(INPUT, 1800.0), (SYNC, 60.0)])
def test_a_result_is_kept_half_an_hour_or_a_minute_where_somebody_waited_for_it(
    asked: Submission, kept_s: float
) -> None:
    book = numbered()
    job = ended(book, asked=asked, now=5.0)

    assert book.find(job.id, 5.0 + kept_s - 0.1) is job
    assert (book.find(job.id, 5.0 + kept_s), len(book)) == (None, 0)


def test_a_result_can_be_kept_longer() -> None:
    book = numbered()
    job = ended(book, asked=SYNC)
    book.keep(job, 300.0, 10.0)

    assert book.find(job.id, 309.0) is job
    assert book.find(job.id, 310.0) is None


def test_the_next_deadline_is_never_later_than_it_is_said() -> None:
    book = numbered()
    job = taken(book)

    assert book.due() == LEASE_S
    assert job.lease_until == LEASE_S


# ------------------------------------------------------------------------------------------------ retrying


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_what_failed_can_be_queued_again_without_its_output(status: str) -> None:
    book = numbered()
    job = taken(book, Submission(input=b"{}", timeout_s=20.0))
    if status == "FAILED":
        book.finish(job.id, "w", Result(output=b"1", error=b"2"), 1.0)
    else:
        book.settle(20.0)
    assert job.status == status
    book.retry(job.id, 21.0)

    assert (job.status, job.output, job.error, job.execution_s) == ("IN_QUEUE", None, None, None)
    assert book.take("v", 1, 22.0) == [job]


def test_a_retried_job_streams_from_the_beginning() -> None:
    book = numbered()
    job = taken(book)
    book.chunk(job.id, "w", b"1", 0.0)
    book.finish(job.id, "w", FAILURE, 1.0)
    book.retry(job.id, 2.0)

    assert book.drain(job) == []


def test_what_is_well_is_not_retried() -> None:
    book = numbered()
    job = ended(book)
    book.retry(job.id, 1.0)

    assert (job.status, book.has_work(1.0)) == ("COMPLETED", False)


def test_a_retried_job_is_kept_as_long_as_a_new_one() -> None:
    book = numbered()
    job = ended(book, FAILURE, SYNC)
    book.retry(job.id, 50.0)
    book.take("w", 1, 51.0)
    book.finish(job.id, "w", DONE, 52.0)

    assert book.find(job.id, 100.0) is job


# ------------------------------------------------------------------------------------------------ memory


def test_the_oldest_results_make_room_before_their_time() -> None:
    book = Book(kept_bytes=2 * JOB_BYTES + 250)
    jobs = []
    for number in range(3):
        job = book.submit(INPUT, float(number))
        book.take("w", 1, float(number))
        book.finish(job.id, "w", Result(output=b"x" * 100), float(number))
        jobs.append(job)

    assert [book.find(job.id, 3.0) for job in jobs] == [None, jobs[1], jobs[2]]


def test_the_last_result_is_kept_however_large() -> None:
    book = Book(kept_bytes=10)
    job = ended(book, Result(output=b"x" * 100))

    assert book.find(job.id, 1.0) is job


def test_a_job_without_data_takes_room_too() -> None:
    book = Book(kept_bytes=10 * JOB_BYTES)
    for _ in range(20):
        ended(book, Result())

    assert len(book) < 10


def test_what_was_forgotten_is_held_by_nobody() -> None:
    class Extra(dict[str, bytes]):
        """Can be watched, as a job cannot."""

    book, extra = Book(kept_bytes=JOB_BYTES + 100), Extra()
    gone = weakref.ref(extra)
    ended(book, asked=Submission(input=b"x" * 100, extra=extra))
    del extra
    ended(book)

    assert gone() is None


def test_a_result_that_is_kept_longer_again_and_again_takes_no_more_room() -> None:
    book = Book()
    job = ended(book)
    book.keep(job, 1000.0, 0.0)
    before = len(book._alarms)
    for now in range(1, 100):
        book.keep(job, 1000.0, float(now))

    assert len(book._alarms) == before
    assert (book.find(job.id, 1098.0), book.find(job.id, 1099.0)) == (job, None)


def test_what_waits_or_runs_never_makes_room() -> None:
    book = Book(kept_bytes=10)
    jobs = [book.submit(Submission(input=b"x" * 100), 0.0) for _ in range(3)]
    book.take("w", 1, 0.0)

    assert [book.find(job.id, 1.0) for job in jobs] == jobs


def test_deadlines_of_jobs_that_are_gone_do_not_pile_up() -> None:
    book = Book()
    for now in range(5000):
        job = book.submit(SYNC, float(now))
        book.take("w", 1, float(now))
        book.finish(job.id, "w", DONE, float(now))

    assert len(book) <= 61
    assert len(book._alarms) < 4 * 61 + 1000 + 10


def test_the_latest_jobs_come_first() -> None:
    book = numbered()
    jobs = [book.submit(INPUT, 0.0) for _ in range(3)]

    assert book.latest(2, 0.0) == [jobs[2], jobs[1]]


# ------------------------------------------------------------------------------------------------ telling


def test_every_change_that_somebody_could_see_is_told() -> None:
    told: list[str] = []
    book = Book(changed=lambda job: told.append(job.status))
    job = book.submit(INPUT, 0.0)
    book.take("w", 1, 0.0)
    book.chunk(job.id, "w", b"1", 0.0)
    book.finish(job.id, "w", DONE, 0.0)
    book.settle(1800.0)

    assert told == ["IN_QUEUE", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED", "COMPLETED"]


@pytest.mark.parametrize("look", ["find", "look"])
def test_who_is_told_may_look_though_many_deadlines_are_due_at_once(look: str) -> None:
    """300 leases end in one moment: each job is told once, and none is left with a worker that is gone."""
    book = Book(Unknowns(heartbeat_timeout_s=LEASE_S), changed=lambda job: told(job))
    states: list[str] = []

    def told(job: Job) -> None:
        found = book.find(job.id, now) if look == "find" else book.look(job.id)
        states.append(found.status if found else "gone")

    now = 0.0
    jobs = [book.submit(INPUT, now) for _ in range(300)]
    book.take("w", 300, now)
    states.clear()
    now = LEASE_S + 1
    book.settle(now)

    assert states == ["IN_QUEUE"] * 300
    assert {(job.status, job.retries, len(job.holders)) for job in jobs} == {("IN_QUEUE", 1, 0)}


def test_a_purge_in_which_a_deadline_passes_removes_each_job_once() -> None:
    book = Book(changed=lambda job: book.settle(11.0))
    for _ in range(3):
        book.submit(Submission(input=b"{}", ttl_s=10.0), 0.0)

    assert (book.purge(9.0), len(book)) == (3, 0)
