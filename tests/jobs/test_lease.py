"""One runner at a time, where a store cannot tell two apart."""

import os
from pathlib import Path

import pytest

from embedstack.errors import ConfigError, Mismatch
from embedstack.jobs.layout import LEASE
from embedstack.jobs.lease import LEASE_S, PATIENCE_S, RENEW_S, Lease
from embedstack.storage.local import LocalStorage
from support.small_job import Passing


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def test_the_second_runner_is_refused(storage: LocalStorage) -> None:
    Lease(storage).take()

    with pytest.raises(ConfigError, match="another runner was here"):
        Lease(storage).take()


def test_a_lease_that_was_given_back_is_free(storage: LocalStorage) -> None:
    first = Lease(storage)
    first.take()
    first.give_back()
    Lease(storage).take()

    assert storage.entry(LEASE)


def test_the_lease_of_a_dead_runner_is_taken_over(storage: LocalStorage) -> None:
    Lease(storage).take()
    path = storage.root / LEASE
    os.utime(path, (path.stat().st_mtime - LEASE_S - 1,) * 2)
    second = Lease(storage)
    second.take()
    second.check()

    assert storage.entry(LEASE)


def test_who_lost_it_is_told(storage: LocalStorage) -> None:
    clock = Clock()
    first = Lease(storage, clock)
    first.take()
    storage.put(LEASE, b"somebody else")
    clock.now += RENEW_S

    with pytest.raises(Mismatch, match="took over"):
        first.keep()


def test_it_is_renewed_when_it_is_time(storage: LocalStorage) -> None:
    clock = Clock()
    lease = Lease(storage, clock)
    lease.take()
    before = storage.entry(LEASE)
    lease.keep()
    early = storage.entry(LEASE)
    clock.now += RENEW_S
    lease.keep()

    assert before == early
    assert storage.entry(LEASE) != before


def test_what_belongs_to_another_is_not_given_back(storage: LocalStorage) -> None:
    lease = Lease(storage)
    lease.take()
    storage.put(LEASE, b"somebody else")
    lease.give_back()

    assert storage.get(LEASE) == b"somebody else"


def test_of_two_that_take_it_at_once_one_is_told(storage: LocalStorage) -> None:
    with pytest.raises(Mismatch, match="took over"):
        Lease(Overtaken(storage)).take()


class Overtaken(Passing):
    """Somebody else writes the lease right behind this one."""

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data)
        if key == LEASE:
            super().put(key, b"somebody else")


def test_a_store_that_fails_is_given_up_before_another_takes_the_lease() -> None:
    assert PATIENCE_S < LEASE_S - RENEW_S
