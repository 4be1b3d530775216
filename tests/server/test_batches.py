"""What an encoder ran, as metrics."""

import random

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from embedstack.server.batches import WINDOW_S, Batches, Longest
from embedstack.testing.fake import HashEncoder
from embedstack.watching import BatchRun

pytestmark = pytest.mark.anyio


class Watched(HashEncoder):
    """A fake that tells of batches when it is told to."""

    def __init__(self):
        super().__init__()
        self.on_batch = []


def batch(**changes):
    made = {
        "model": "m", "lane": 0, "priority": "interactive", "items": 2, "tokens": 10, "padded": 14, "wait_s": 0.0,
        "predicted_s": 0.01, "run_s": 0.02, "is_whole": True,
    }  # fmt: skip
    return BatchRun(**{**made, **changes})


@pytest.fixture
def lines():
    """The series after these batches."""

    def counted(*batches):
        registry, encoder = CollectorRegistry(), Watched()
        Batches(registry, bulk_batch_s=0.04).watch(encoder)
        for one in batches:
            for listener in encoder.on_batch:
                listener(one)
        return generate_latest(registry).decode().splitlines()

    return counted


def test_batches_are_counted_with_their_padding(lines):
    seen = lines(batch(), batch(tokens=20, padded=20))

    assert 'embedstack_batch_tokens_sum{model="m"} 30.0' in seen
    assert 'embedstack_batch_items_count{model="m"} 2.0' in seen
    assert 'embedstack_padded_tokens_total{model="m"} 4.0' in seen


def test_the_longest_batch_is_remembered_by_priority(lines):
    seen = lines(batch(run_s=0.5), batch(run_s=0.1), batch(run_s=0.2, priority="bulk"))

    assert 'embedstack_longest_batch_seconds{priority="interactive"} 0.5' in seen
    assert 'embedstack_longest_batch_seconds{priority="bulk"} 0.2' in seen


def test_the_longest_batch_is_that_of_the_last_minute_however_often_it_is_read():
    draw, now, ended = random.Random(0), 0.0, []
    longest = Longest(lambda: now)
    wrong = []
    for _ in range(2000):
        now += draw.expovariate(5 / WINDOW_S)
        if draw.random() < 0.5:
            ended.append((now, draw.random()))
            longest.add(ended[-1][1])
        expected = max((run_s for at, run_s in ended if at >= now - WINDOW_S), default=0.0)
        wrong += [now for _ in range(2) if longest.seconds() != expected]

    assert wrong == []


def test_a_run_of_several_that_failed_was_divided_and_one_of_a_single_item_has_failed(lines):
    seen = lines(batch(is_whole=False), batch(is_whole=False), batch(is_whole=False, items=1), batch())

    assert 'embedstack_divided_batches_total{model="m"} 2.0' in seen
    assert 'embedstack_failed_batches_total{model="m"} 1.0' in seen


async def test_each_model_has_one_state_among_all(serve):
    async with serve() as client:
        lines = (await client.get("/metrics")).text.splitlines()

    states = [line for line in lines if line.startswith('embedstack_model_state{model="hash"')]
    assert len(states) == 5
    assert [line for line in states if line.endswith(" 1.0")] == [
        'embedstack_model_state{model="hash",state="loaded"} 1.0'
    ]


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"priority": "bulk", "predicted_s": 0.05}, 1.0),
        ({"priority": "bulk", "predicted_s": 0.04}, 0.0),
        ({"priority": "bulk", "predicted_s": 0.05, "items": 1}, 0.0),
        ({"priority": "interactive", "predicted_s": 0.05}, 0.0),
    ],
)
def test_a_bulk_batch_of_several_items_over_the_limit_is_counted(lines, changes, count):
    assert f"embedstack_bulk_batches_over_limit_total {count}" in lines(batch(**changes))


async def test_metrics_count_by_key_and_name_nobody_without_one(serve):
    async with serve(api_keys="a:a-key-of-some-length") as client:
        await client.post("/embed", json={"inputs": "x y"}, headers={"authorization": "Bearer a-key-of-some-length"})
        with_key = (await client.get("/metrics")).text
    async with serve() as client:
        await client.post("/embed", json={"inputs": "x y"}, headers={"x-embedstack-caller": "somebody"})
        without = (await client.get("/metrics")).text

    assert 'embedstack_key_tokens_total{key="a"} 2.0' in with_key
    assert "somebody" not in without
