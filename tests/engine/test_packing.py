"""Which items run next, together."""

import random
from dataclasses import dataclass

import pytest

from embedstack.engine import packing
from embedstack.engine.admission import BULK, LONG, SHORT
from embedstack.engine.pace import FREE, Costs
from embedstack.engine.packing import AGED_S, AGED_SHARE, MISSES, SPREAD, Shares, whole
from embedstack.engine.room import Room

MINILM = Costs(1.4e-3, 235e-6, 2.5e-7)  # measured on two cores
GPU = Costs(2e-3, 2e-6, 0.0)


@dataclass
class Request:
    lengths: list[int]
    group: str = "m"
    claim: int = SHORT
    is_long: bool = False
    caller: str = ""
    arrived: float = 0.0
    waits_since: float = 0.0
    planned: int = 0


def waiting(*lengths: int, arrived: float = 0.0, **claim: object) -> Request:
    return Request(sorted(lengths, reverse=True), arrived=arrived, waits_since=arrived, **claim)  # type: ignore[arg-type]


def choose(
    requests: list[Request], served: dict, now: float, budget: int, costs: Costs = FREE, bulk_s: float = 0.04, **how
) -> list[tuple[int, int]]:
    return packing.choose(requests, served, now, lambda leader: Room(budget, bulk_s, costs), **how)


def test_nothing_waits_then_nothing_runs() -> None:
    assert choose([], {}, 0.0, 100) == []


def test_all_that_waits_and_fits_runs_together() -> None:
    requests = [waiting(10, 9), waiting(8), waiting(11, arrived=1.0)]

    assert sorted(choose(requests, {}, 1.0, 100)) == [(0, 2), (1, 1), (2, 1)]


def test_a_batch_keeps_to_its_budget() -> None:
    (batch,) = [choose([waiting(*[30] * 10)], {}, 0.0, 100)]

    assert batch == [(0, 3)]


def test_an_item_over_the_budget_runs_alone() -> None:
    assert choose([waiting(500), waiting(5)], {}, 0.0, 100) == [(0, 1)]


def test_another_models_items_wait_for_their_own_batch() -> None:
    assert choose([waiting(5, group="a"), waiting(5, group="b")], {}, 0.0, 100) == [(0, 1)]


def test_short_items_do_not_join_a_batch_that_would_be_mostly_padding() -> None:
    """Attention pads to the longest: 20 items of 2 tokens beside one of 60 would be 1,260 places for 100 tokens."""
    batch = dict(choose([waiting(60), waiting(*[2] * 20, arrived=1.0)], {}, 1.0, 100))

    assert (1 + batch.get(1, 0)) * 60 <= 200


def test_interactive_goes_before_bulk() -> None:
    requests = [waiting(90, claim=BULK), waiting(90, arrived=1.0)]

    assert choose(requests, {}, 1.0, 100) == [(1, 1)]


def test_the_caller_that_had_less_goes_first() -> None:
    requests = [waiting(90, caller="greedy"), waiting(90, caller="modest", arrived=1.0)]

    assert choose(requests, {"greedy": 5000.0, "modest": 10.0}, 1.0, 100) == [(1, 1)]


def test_who_waited_too_long_is_overtaken_by_nobody() -> None:
    requests = [waiting(90, claim=BULK, caller="greedy"), waiting(90, arrived=AGED_S)]

    assert choose(requests, {"greedy": 1e9}, AGED_S + 0.1, 100) == [(0, 1)]


def simulate(
    requests: list[Request], arrivals: dict[float, Request], until: float, batch_s: float = 0.03
) -> dict[int, float]:
    """When each request was done, if a batch takes `batch_s`; served tokens count as in the scheduler."""
    now, done, served, due = 0.0, {}, {}, sorted(arrivals)
    while now < until:
        while due and due[0] <= now:
            requests.append(arrivals[due.pop(0)])
        left = [request for request in requests if request.lengths]
        for place, count in choose(left, served, now, 100):
            request = left[place]
            served[request.caller] = served.get(request.caller, 0.0) + sum(request.lengths[:count])
            request.lengths, request.waits_since = request.lengths[count:], now
            if not request.lengths:
                done[id(request)] = now + batch_s
        now += batch_s
    return done


def test_a_bulk_item_gets_its_turn_whatever_arrives() -> None:
    slow = waiting(95, claim=BULK, caller="slow")
    arrivals = {n * 0.01: waiting(90, caller=f"c{n}", arrived=n * 0.01) for n in range(600)}

    done = simulate([slow], arrivals, 6.0)

    assert done[id(slow)] <= AGED_S + 0.1


def test_a_long_bulk_request_does_not_take_the_device_when_it_has_aged() -> None:
    bulk = waiting(*[95] * 1000, claim=BULK, caller="night job")
    queries = {0.5 + n * 0.5: waiting(10, caller="user", arrived=0.5 + n * 0.5) for n in range(20)}

    done = simulate([bulk], queries, 12.0)

    assert max(done[id(query)] - arrived for arrived, query in queries.items()) <= 0.2


def test_a_greedy_caller_does_not_hold_up_a_modest_one() -> None:
    greedy = waiting(*[95] * 1000, caller="greedy")
    queries = {0.5 + n * 0.5: waiting(10, caller="modest", arrived=0.5 + n * 0.5) for n in range(20)}

    done = simulate([greedy], queries, 12.0)

    assert max(done[id(query)] - arrived for arrived, query in queries.items()) <= 0.2


def predicted_s(batch: list[int], costs: Costs) -> float:
    return costs.of(sum(batch), len(batch) * max(batch) ** 2)


def test_a_bulk_batch_is_predicted_to_run_no_longer_than_allowed() -> None:
    bulk = waiting(*[20] * 100, claim=BULK)

    ((_, count),) = choose([bulk], {}, 0.0, 1024, MINILM)

    assert predicted_s([20] * count, MINILM) <= 0.04 < predicted_s([20] * (count + 1), MINILM)


def test_a_bulk_item_that_takes_longer_goes_alone() -> None:
    assert choose([waiting(256, 256, claim=BULK)], {}, 0.0, 1024, MINILM) == [(0, 1)]


def test_bulk_that_has_waited_too_long_takes_others_along_only_for_as_long() -> None:
    bulk, short = waiting(*[20] * 4, claim=BULK), waiting(*[20] * 40, arrived=AGED_S)

    batch = choose([bulk, short], {}, AGED_S + 0.1, 1024, MINILM)

    assert batch[0] == (0, 4)
    assert predicted_s([20] * sum(count for _, count in batch), MINILM) <= 0.04


def test_bulk_joins_interactive_items_where_it_costs_no_more_than_a_run_of_its_own() -> None:
    requests = [waiting(10), waiting(*[10] * 1000, claim=BULK)]

    on_a_cpu, on_a_gpu = (dict(choose(requests, {}, 0.0, 8192, costs)) for costs in (MINILM, GPU))

    assert on_a_cpu.get(1, 0) == 0
    assert 90 <= on_a_gpu[1] <= 100


def test_bulk_joins_no_batch_that_already_runs_as_long_as_a_bulk_batch_may() -> None:
    requests = [waiting(*[10] * 100), waiting(1, claim=BULK)]

    assert choose(requests, {}, 0.0, 8192, MINILM) == [(0, 100)]


def test_an_item_whose_padding_costs_more_than_another_run_waits_for_one() -> None:
    requests = [waiting(200), waiting(*[10] * 8, arrived=1.0), waiting(190, arrived=2.0)]

    assert choose(requests, {}, 3.0, 1024, MINILM) == [(0, 1), (2, 1)]
    assert choose(requests, {}, 3.0, 1024, GPU) == [(0, 1), (1, 8), (2, 1)]


def test_padding_that_nobody_pays_for_is_a_tenth_of_the_time_or_a_run() -> None:
    draw = random.Random(0)
    for _ in range(50):
        lengths = sorted((draw.randint(3, 256) for _ in range(40)), reverse=True)

        ((_, count),) = choose([waiting(*lengths)], {}, 0.0, 1024, MINILM)

        batch = lengths[:count]
        padding_s = MINILM.square_s * sum(max(batch) ** 2 - length**2 for length in batch)
        assert padding_s <= max(MINILM.run_s, 0.1 * predicted_s(batch, MINILM))


def test_a_long_request_goes_behind_the_short_ones_of_its_caller() -> None:
    long = waiting(*[90] * 10, claim=LONG, is_long=True)

    assert choose([long, waiting(90, arrived=1.0)], {}, 1.0, 100) == [(1, 1)]
    assert choose([long, waiting(90, arrived=1.0, caller="b")], {"b": 500.0}, 1.0, 100) == [(0, 1)]


def test_waiting_too_long_counts_only_for_claims_that_had_less_than_their_part() -> None:
    requests = [waiting(90, claim=BULK), waiting(90, arrived=AGED_S)]

    assert choose(requests, {}, AGED_S + 0.1, 100, ageing=[LONG]) == [(1, 1)]
    assert choose(requests, {}, AGED_S + 0.1, 100, ageing=[BULK]) == [(0, 1)]


@pytest.mark.parametrize("claim", [LONG, BULK])
def test_those_who_waited_too_long_get_their_part_of_the_device_and_no_more(claim) -> None:
    """A steady load of better claims, and aged requests without end."""
    shares, had, total = Shares(), 0.0, 0.0
    for _ in range(1100):
        if claim in shares.ageing():
            shares.spend(claim, 40.0)
            had, total = had + 40.0, total + 40.0
        else:
            shares.spend(SHORT, 16.0)
            total += 16.0

    assert 0.95 * AGED_SHARE < had / total <= AGED_SHARE


def test_bulk_that_runs_anyway_overtakes_nobody() -> None:
    shares = Shares()
    shares.spend(BULK, 40.0)

    assert shares.ageing() == [LONG]


def test_a_batch_is_not_sought_among_thousands_that_do_not_fit() -> None:
    requests = [waiting(90), *(waiting(20, arrived=1.0 + n) for n in range(MISSES)), waiting(5, arrived=1e6)]

    assert choose(requests, {}, 1e6, 100) == [(0, 1)]


def test_a_planned_batch_is_never_mixed() -> None:
    requests = [waiting(10, 10, 10, planned=2), waiting(10)]

    assert choose(requests, {}, 0.0, 1000) == [(0, 2)]
    assert choose([requests[1], requests[0]], {}, 0.0, 1000) == [(0, 1)]


def test_whole_takes_each_item_once_within_the_budget() -> None:
    lengths = [random.Random(n).randint(1, 300) for n in range(500)]

    batches = whole(lengths, 256)

    assert sorted(place for batch in batches for place in batch) == list(range(500))
    assert all(len(batch) == 1 or sum(lengths[place] for place in batch) <= 256 for batch in batches)


def test_whole_bounds_padding_as_a_shared_batch_does() -> None:
    lengths = [254, *[4] * 200]

    batches = whole(lengths, 1024)

    assert max(len(batch) * max(lengths[place] for place in batch) for batch in batches) <= SPREAD * 1024


def test_whole_puts_the_longest_first_and_equal_lengths_in_input_order() -> None:
    assert whole([3, 9, 9, 1], 10) == [[1], [2], [0, 3]]
    assert whole([], 10) == []
