"""Dollars are seconds in paid states times the price, however they are cut into hours, workers and records."""

from collections.abc import Iterator
from datetime import datetime, timezone
from math import fsum

import pytest

from embedstack.emulator.autoscaler import TICK_S
from embedstack.emulator.billing import GPU_POOLS, HOUR, Ledger, Line, Rate, cpu_rate, gpu_rate, worker_line
from embedstack.emulator.billing_page import KINDS, billing_page
from embedstack.emulator.endpoint import EndpointSettings
from embedstack.emulator.faults import Fault
from embedstack.errors import BadRequest
from support.workers import Stage

RATE = gpu_rate(["ADA_24"])
RUN = worker_line("e", "RUNNING", RATE)
NOON = datetime(2026, 6, 3, 12, tzinfo=timezone.utc).timestamp()  # a Wednesday
DAY_S = 86_400.0


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


@pytest.fixture
def ledger() -> Ledger:
    """Two workers of `e` and one of `f`, for 10 seconds each around two beginnings of an hour, and a pod for a day."""
    made = Ledger()
    for unit, start, resource in (("a", NOON - 5, "e"), ("b", NOON - 5, "e"), ("c", NOON + DAY_S - 5, "f")):
        made.enter(unit, worker_line(resource, "RUNNING", RATE), start)
        made.enter(unit, None, start + 10)
    made.enter("pod", Line("pods", "p", "RUNNING", Rate(gpu=0.001, disk=0.0001)), NOON - DAY_S)
    made.enter("pod", None, NOON)
    return made


def page(ledger: Ledger, kind: str = "serverless", **query: str) -> dict[str, object]:
    return billing_page(kind, ledger, query, NOON + 2 * DAY_S)


def spent(ledger: Ledger, **query: str) -> float:
    return fsum(record["totalAmount"] for record in page(ledger, **query)["records"])


# ------------------------------------------------------------------------------------------------ the ledger


def test_a_second_of_a_worker_costs_its_rate() -> None:
    ledger = Ledger()
    ledger.enter("a", RUN, NOON)
    ledger.enter("a", None, NOON + 100)

    assert ledger.spent(NOON + 500) == pytest.approx(100 * GPU_POOLS["ADA_24"], rel=1e-12)


def test_what_still_runs_is_counted_up_to_now() -> None:
    ledger = Ledger()
    ledger.enter("a", RUN, NOON)

    assert [ledger.seconds(NOON + 7.5), ledger.seconds(NOON + 9)] == [{"RUNNING": 7.5}, {"RUNNING": 9.0}]


@pytest.mark.parametrize("state", ["INITIALIZING", "IDLE", "RUNNING", "UNHEALTHY"])
def test_a_worker_that_has_a_machine_is_paid_for(state: str) -> None:
    assert worker_line("e", state, RATE).rate == RATE


def test_a_worker_that_waits_for_a_machine_costs_nothing() -> None:
    assert worker_line("e", "THROTTLED", RATE).rate.total == 0


def test_a_span_cut_into_hours_is_as_long_as_before() -> None:
    ledger = Ledger()
    ledger.enter("a", RUN, NOON + 0.123457)
    ledger.enter("a", None, NOON + 9_999.765433)
    entries = ledger.entries(NOON + DAY_S)

    assert ([entry.hour % HOUR for entry in entries], sum(entry.micros for entry in entries)) == (
        [0] * 3,
        9_999_641_976,
    )


def test_a_clock_that_is_put_back_takes_nothing_back_and_counts_nothing_twice() -> None:
    ledger = Ledger()
    ledger.enter("a", RUN, NOON)
    ledger.enter("a", RUN, NOON + 10)
    ledger.enter("a", RUN, NOON - 50)
    ledger.enter("a", None, NOON + 15)

    assert ledger.seconds(NOON + 60) == {"RUNNING": 15.0}


def test_two_workers_of_one_endpoint_cost_twice_as_much() -> None:
    ledger = Ledger()
    for unit in ("a", "b"):
        ledger.enter(unit, RUN, NOON)

    assert ledger.spent(NOON + 10, "e") == pytest.approx(20 * RATE.total)


def test_what_others_cost_is_left_out_where_one_is_asked_for(ledger: Ledger) -> None:
    assert ledger.spent(NOON + 2 * DAY_S, "f") == pytest.approx(10 * RATE.total)


# ------------------------------------------------------------------------------------------------ prices


def test_more_gpus_cost_more() -> None:
    assert gpu_rate(["AMPERE_80"], 2) == Rate(gpu=2 * 0.00076)


def test_of_several_pools_the_first_one_counts() -> None:
    assert gpu_rate(["HOPPER_141", "AMPERE_16"]) == gpu_rate(["HOPPER_141"])


def test_an_unknown_pool_has_no_price() -> None:
    with pytest.raises(BadRequest, match=r"'TURING_8'.*2026"):
        gpu_rate(["TURING_8"])


def test_processors_cost_by_their_number() -> None:
    assert cpu_rate(8).cpu == pytest.approx(8 * 0.03 / 3600)


# ------------------------------------------------------------------------------------------------ the whole emulator


def test_the_ledger_holds_every_second_of_every_worker_by_its_state(stage: Stage) -> None:
    slow = Fault(route="spawn", action="delay", seconds=20.0)
    stage.open(EndpointSettings(idle_timeout_s=5.0), [slow]).submit()
    stage.passes(30.0)  # 20 s of cold start, then 10 s of the program's own
    (job,) = stage.poll()
    stage.passes(15.0)
    stage.finish(job)
    stage.passes(60.0)  # of which it idles 5

    assert stage.ledger.seconds(stage.clock.now()) == {
        "INITIALIZING": 30.0,
        "RUNNING": 15.0,
        "IDLE": 5.0,
    }


def test_the_sum_of_the_ledger_is_worker_seconds_times_the_price(stage: Stage) -> None:
    settings = EndpointSettings(workers_min=1, workers_max=3, idle_timeout_s=5.0)
    full = Fault(route="spawn", action="status", seconds=30.0, times=1, skip=1)
    stage.open(settings, [full]).submit(20)
    seen_s = 0.0
    for tick in range(400):
        seen_s += TICK_S * sum(status != "THROTTLED" for status in stage.statuses)
        stage.passes(TICK_S)
        if tick % 12 == 0:
            work_once(stage)
    now = stage.clock.now()
    records = billing_page("serverless", stage.ledger, {"bucketSize": "hour"}, now)["records"]

    assert stage.ledger.seconds(now)["THROTTLED"] > 0
    assert seen_s > 400 * TICK_S  # more than one was there for a time
    assert stage.ledger.spent(now) == pytest.approx(seen_s * gpu_rate().total, rel=1e-9)
    assert fsum(record["totalAmount"] for record in records) == pytest.approx(stage.ledger.spent(now), rel=1e-12)


def work_once(stage: Stage) -> None:
    """Every worker that is there asks for a job, and ends it."""
    for puppet in stage.puppets.started:
        if puppet.order.worker_id in stage.endpoint.workers:
            for job in stage.poll(puppet):
                stage.finish(job, puppet)


def test_an_endpoint_that_is_removed_costs_nothing_more(stage: Stage) -> None:
    stage.open(EndpointSettings(workers_min=1))
    stage.passes(10.0)
    stage.platform.remove_endpoint("e")
    stage.passes(10.0)

    assert stage.ledger.seconds(stage.clock.now())["INITIALIZING"] == 10.0


def test_a_worker_that_was_started_by_hand_costs_as_much(stage: Stage) -> None:
    stage.open(EndpointSettings())
    stage.platform.polled(stage.endpoint, "by-hand")
    stage.passes(10.0)

    assert stage.ledger.spent(stage.clock.now()) == pytest.approx(10 * gpu_rate().total)


# ------------------------------------------------------------------------------------------------ the pages


def test_a_record_has_the_amounts_of_one_endpoint_in_one_bucket(ledger: Ledger) -> None:
    first = page(ledger, bucketSize="day")["records"][0]

    assert first == {
        "startTime": "2026-06-03T00:00:00Z",
        "endTime": "2026-06-04T00:00:00Z",
        "serverlessId": "e",
        "totalAmount": pytest.approx(20 * RATE.total),
        "gpuAmount": pytest.approx(20 * RATE.total),
        "cpuAmount": 0.0,
        "diskAmount": 0.0,
        "feeAmount": 0.0,
    }


@pytest.mark.parametrize(
    ("bucket", "starts"),
    [
        ("hour", ["2026-06-03T11", "2026-06-03T12", "2026-06-04T11", "2026-06-04T12"]),
        ("day", ["2026-06-03T00", "2026-06-04T00"]),
        ("week", ["2026-06-01T00", "2026-06-01T00"]),
        ("month", ["2026-06-01T00", "2026-06-01T00"]),
        ("year", ["2026-01-01T00", "2026-01-01T00"]),
    ],
)
def test_records_begin_where_their_buckets_do(ledger: Ledger, bucket: str, starts: list[str]) -> None:
    records = page(ledger, bucketSize=bucket)["records"]

    assert [record["startTime"][:13] for record in records] == starts


@pytest.mark.parametrize("bucket", ["hour", "day", "week", "month", "year"])
def test_the_sum_of_the_records_is_the_same_for_all_buckets(ledger: Ledger, bucket: str) -> None:
    assert spent(ledger, bucketSize=bucket) == pytest.approx(30 * RATE.total, rel=1e-12)


def test_totals_are_the_sum_of_the_records(ledger: Ledger) -> None:
    answer = page(ledger, bucketSize="hour")

    assert answer["metadata"]["totals"]["totalAmount"] == pytest.approx(spent(ledger), rel=1e-12)
    assert (answer["metadata"]["recordCount"], answer["metadata"]["uniqueServerlessCount"]) == (4, 2)


def test_one_endpoint_can_be_asked_for(ledger: Ledger) -> None:
    answer = page(ledger, serverlessId="f")

    assert [record["serverlessId"] for record in answer["records"]] == ["f"]
    assert answer["metadata"]["query"]["serverlessId"] == "f"


def test_the_window_widens_to_whole_buckets(ledger: Ledger) -> None:
    answer = page(ledger, startTime="2026-06-03T12:30:00Z", endTime="2026-06-03T12:31:00Z")

    assert answer["metadata"]["query"] == {
        "startTime": "2026-06-03T00:00:00Z",
        "endTime": "2026-06-04T00:00:00Z",
        "bucketSize": "day",
        "serverlessId": None,
    }


def test_an_end_at_the_beginning_of_a_bucket_leaves_that_bucket_out(ledger: Ledger) -> None:
    answer = page(ledger, startTime="2026-06-03T11:00:00Z", endTime="2026-06-03T12:00:00Z", bucketSize="hour")

    assert [record["endTime"] for record in answer["records"]] == ["2026-06-03T12:00:00Z"]


@pytest.mark.parametrize(("last", "count"), [("1", 0), ("2", 1), ("3", 2)])
def test_the_last_buckets_end_with_the_present_one(ledger: Ledger, last: str, count: int) -> None:
    answer = page(ledger, lastN=last)

    assert answer["metadata"]["query"]["endTime"] == "2026-06-06T00:00:00Z"
    assert answer["metadata"]["recordCount"] == count


def test_pods_are_told_with_their_disk(ledger: Ledger) -> None:
    totals = page(ledger, "pods")["metadata"]["totals"]

    assert (totals["gpuAmount"], totals["diskAmount"]) == (pytest.approx(86.4), pytest.approx(8.64))


def test_the_page_of_everything_splits_it_by_product(ledger: Ledger) -> None:
    answer = page(ledger, "", bucketSize="year")
    (record,) = answer["records"]

    assert (record["podGpuAmount"], record["podDiskAmount"]) == (pytest.approx(86.4), pytest.approx(8.64))
    assert record["serverlessGpuAmount"] == pytest.approx(30 * RATE.total)
    assert record["totalAmount"] == pytest.approx(86.4 + 8.64 + 30 * RATE.total)


@pytest.mark.parametrize("kind", ["endpoints", "network-volumes", "clusters"])
def test_what_the_emulator_does_not_run_costs_nothing(ledger: Ledger, kind: str) -> None:
    answer = page(ledger, kind)

    assert (answer["records"], answer["metadata"]["totals"]["totalAmount"]) == ([], 0.0)


@pytest.mark.parametrize(
    "query",
    [
        {"bucketSize": "minute"},
        {"lastN": "0"},
        {"lastN": "-1"},
        {"lastN": "many"},
        {"lastN": "1", "startTime": "2026-06-01T00:00:00Z"},
        {"startTime": "yesterday"},
        {"startTime": "0001-01-01T00:00:00+05:00"},
        {"endTime": "9999-12-31T23:59:59Z"},
        {"startTime": "2026-06-02T00:00:00Z", "endTime": "2026-06-01T00:00:00Z"},
    ],
)
def test_a_query_that_means_nothing_is_refused(ledger: Ledger, query: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        page(ledger, **query)


def test_more_buckets_than_there_were_end_where_time_begins(ledger: Ledger) -> None:
    assert page(ledger, lastN="10000", bucketSize="year")["metadata"]["recordCount"] == 2


def test_all_routes_of_the_document_are_there() -> None:
    assert set(KINDS) == {"", "pods", "serverless", "endpoints", "network-volumes", "clusters"}
