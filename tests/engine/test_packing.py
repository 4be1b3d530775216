"""Which items run next, together."""

import random

from embedstack.engine.packing import AGED_S, Waiting, choose, whole


def waiting(
    *lengths: int,
    group: str = "m",
    priority: str = "interactive",
    caller: str = "",
    arrived: float = 0.0,
    plan: int = 0,
):
    return Waiting(group, sorted(lengths, reverse=True), priority, caller, arrived, plan)  # type: ignore[arg-type]


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


def test_a_long_item_is_taken_within_the_ageing_time_whatever_arrives() -> None:
    """Short interactive items arrive faster than they are served; the long bulk item still gets its turn."""
    now, long_item, queue = 0.0, waiting(95, priority="bulk", caller="slow"), []
    while now < 10 * AGED_S:
        queue += [waiting(20, caller=f"c{random.Random(now).random()}", arrived=now) for _ in range(6)]
        batch = choose([long_item, *queue], {}, now, 100)
        if any(place == 0 for place, _ in batch):
            break
        taken = {place - 1 for place, _ in batch}
        queue = [request for place, request in enumerate(queue) if place not in taken]
        now += 0.05

    assert now <= AGED_S + 0.1


def test_a_planned_batch_is_never_mixed() -> None:
    requests = [waiting(10, 10, 10, plan=2), waiting(10)]

    assert choose(requests, {}, 0.0, 1000) == [(0, 2)]
    assert choose([requests[1], requests[0]], {}, 0.0, 1000) == [(0, 1)]


def test_whole_takes_each_item_once_within_the_budget() -> None:
    lengths = [random.Random(n).randint(1, 300) for n in range(500)]

    batches = whole(lengths, 256)

    assert sorted(place for batch in batches for place in batch) == list(range(500))
    assert all(len(batch) == 1 or sum(lengths[place] for place in batch) <= 256 for batch in batches)


def test_whole_depends_on_lengths_alone() -> None:
    assert whole([3, 9, 9, 1], 10) == [[1], [2, 3], [0]] or whole([3, 9, 9, 1], 10) == [[1], [2], [0, 3]]
    assert whole([3, 9, 9, 1], 10) == whole([3, 9, 9, 1], 10)
    assert whole([], 10) == []
