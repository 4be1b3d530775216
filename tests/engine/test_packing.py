"""Which items run next, together."""

import random
from dataclasses import dataclass

from embedstack.engine.packing import AGED_S, SPREAD, choose, whole


@dataclass
class Request:
    lengths: list[int]
    group: str = "m"
    priority: str = "interactive"
    caller: str = ""
    arrived: float = 0.0
    waits_since: float = 0.0
    planned: int = 0


def waiting(*lengths: int, arrived: float = 0.0, **claim: object) -> Request:
    return Request(sorted(lengths, reverse=True), arrived=arrived, waits_since=arrived, **claim)  # type: ignore[arg-type]


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
    requests = [waiting(90, priority="bulk"), waiting(90, arrived=1.0)]

    assert choose(requests, {}, 1.0, 100) == [(1, 1)]


def test_the_caller_that_had_less_goes_first() -> None:
    requests = [waiting(90, caller="greedy"), waiting(90, caller="modest", arrived=1.0)]

    assert choose(requests, {"greedy": 5000.0, "modest": 10.0}, 1.0, 100) == [(1, 1)]


def test_who_waited_too_long_is_overtaken_by_nobody() -> None:
    requests = [waiting(90, priority="bulk", caller="greedy"), waiting(90, arrived=AGED_S)]

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
    slow = waiting(95, priority="bulk", caller="slow")
    arrivals = {n * 0.01: waiting(90, caller=f"c{n}", arrived=n * 0.01) for n in range(600)}

    done = simulate([slow], arrivals, 6.0)

    assert done[id(slow)] <= AGED_S + 0.1


def test_a_long_bulk_request_does_not_take_the_device_when_it_has_aged() -> None:
    bulk = waiting(*[95] * 1000, priority="bulk", caller="night job")
    queries = {0.5 + n * 0.5: waiting(10, caller="user", arrived=0.5 + n * 0.5) for n in range(20)}

    done = simulate([bulk], queries, 12.0)

    assert max(done[id(query)] - arrived for arrived, query in queries.items()) <= 0.2


def test_a_greedy_caller_does_not_hold_up_a_modest_one() -> None:
    greedy = waiting(*[95] * 1000, caller="greedy")
    queries = {0.5 + n * 0.5: waiting(10, caller="modest", arrived=0.5 + n * 0.5) for n in range(20)}

    done = simulate([greedy], queries, 12.0)

    assert max(done[id(query)] - arrived for arrived, query in queries.items()) <= 0.2


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
