"""Finished rows, kept while there is room."""

import numpy as np
import pytest

from embedstack.engine.cache import Cache


def row(value: float, size: int = 100) -> dict:
    return {"dense": np.full((1, size), value, np.float32)}


def test_what_was_put_is_found() -> None:
    cache = Cache(10_000)
    cache.put("a", row(1))

    assert cache.get("a")["dense"][0, 0] == 1
    assert cache.get("b") is None


def test_the_least_recently_used_goes_first() -> None:
    cache = Cache(2100)  # two rows of 400 bytes and their entries
    cache.put("a", row(1))
    cache.put("b", row(2))
    cache.get("a")

    cache.put("c", row(3))

    assert cache.get("b") is None
    assert cache.get("a") is not None


def test_replacing_a_row_does_not_count_it_twice() -> None:
    cache = Cache(2100)
    for value in range(50):
        cache.put("a", row(value))
    cache.put("b", row(2))

    assert cache.get("a") is not None
    assert cache.get("b") is not None


def test_a_row_larger_than_the_cache_is_not_kept() -> None:
    cache = Cache(900)
    cache.put("a", row(1, size=1000))

    assert cache.get("a") is None


def test_a_kept_row_does_not_hold_its_batch_in_memory() -> None:
    batch = np.zeros((1000, 100), np.float32)
    cache = Cache(10_000)
    cache.put("a", {"dense": batch[3:4]})

    assert cache.get("a")["dense"].base is None


def test_a_kept_row_cannot_be_changed_by_who_gets_it() -> None:
    cache = Cache(10_000)
    cache.put("a", row(1))

    with pytest.raises(ValueError, match="read-only"):
        cache.get("a")["dense"][0, 0] = 9


def test_it_counts_what_it_was_asked_for_and_what_it_holds() -> None:
    cache = Cache(10_000)
    cache.put("a", row(1))
    for key in ("a", "a", "b"):
        cache.get(key)

    made = cache.counts()

    assert (made.hits, made.misses, made.entries) == (2, 1, 1)
    assert 400 < made.size_bytes <= 10_000
