"""Totals that a runner says now and then."""

import numpy as np

from embedstack.jobs.counting import Counting
from embedstack.jobs.shard_work import Made
from embedstack.testing.fake import HashEncoder
from embedstack.watching import BatchRun, OnBatch

MADE = Made((), np.zeros((5, 4), np.float32), None, (), 0, 70, 1.0)


class Watched(HashEncoder):
    """Tells its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.on_batch: list[OnBatch] = []


def batch(lane: int) -> BatchRun:
    return BatchRun(
        model="hash", lane=lane, priority="bulk", items=2, tokens=30, padded=40, wait_s=0.0, predicted_s=0.1, run_s=0.5,
        is_whole=True,
    )  # fmt: skip


def test_what_lanes_ran_is_summed() -> None:
    encoder = Watched()
    counting = Counting(encoder, lambda: 0)
    with counting.listening():
        for lane in (0, 1, 0):
            encoder.on_batch[0](batch(lane))
    news = counting.news()

    assert news is not None
    assert (news.tokens, news.places, news.busy_s, news.lanes) == (90, 120, 1.5, 2)


def test_afterwards_nobody_listens() -> None:
    encoder = Watched()
    with Counting(encoder, lambda: 0).listening():
        pass

    assert encoder.on_batch == []


def test_where_nobody_tells_batches_tokens_come_by_shards() -> None:
    counting = Counting(HashEncoder(), lambda: 9)
    counting.made(12, MADE)
    news = counting.news()

    assert news is not None
    assert (news.docs, news.chunks, news.tokens, news.lanes, news.spool_bytes) == (12, 5, 70, 0, 9)


def test_tokens_are_not_counted_twice() -> None:
    encoder = Watched()
    counting = Counting(encoder, lambda: 0)
    counting.made(12, MADE)
    news = counting.news()

    assert news is not None
    assert news.tokens == 0


def test_without_news_nothing_is_said() -> None:
    counting = Counting(HashEncoder(), lambda: 0)
    counting.made(1, MADE)
    counting.news()

    assert counting.news() is None
