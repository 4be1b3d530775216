"""A store that cannot create once -> one runner at a time, by an object that the one renews and others see."""

import time
import uuid
from collections.abc import Callable

from embedstack.errors import ConfigError, Mismatch
from embedstack.jobs.layout import LEASE
from embedstack.storage.storage import Missing, Storage

LEASE_S = 300.0  # without renewal for so long its runner is taken for dead
RENEW_S = LEASE_S / 5
PATIENCE_S = LEASE_S / 2  # with a store that fails: below what is left once it is time, so that nobody takes it before


class Lease:
    """One runner's claim to a job. Ages are told by the storage's clock alone.

    It makes an accident unlikely and not impossible: between looking and writing another may write. That is why it
    is used only where `--single-writer` says that there is one.
    """

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._clock = storage, clock
        self._name = uuid.uuid4().hex.encode()
        self._renewed = clock()

    def take(self) -> None:
        """Raises: ConfigError: somebody has it. Mismatch: somebody took it in the same moment."""
        before = self._storage.entry(LEASE)
        if before is not None and (age_s := self._now() - before.modified_s) < LEASE_S:
            raise ConfigError(
                f"another runner was here {age_s:.0f} s ago, and this store takes one at a time; end it, or where it "
                f"is dead wait {LEASE_S - age_s:.0f} s or delete {LEASE}"
            )
        self._renew()
        self.check()

    def keep(self) -> None:
        """Renew it when it is time.

        Raises:
            Mismatch: somebody took it.
        """
        if self._clock() - self._renewed < RENEW_S:
            return
        self.check()
        self._renew()

    def check(self) -> None:
        """Raises: Mismatch: somebody took it."""
        if self._held() != self._name:
            raise Mismatch(
                f"another runner took over ({LEASE} is not this one's any more); let that one go on, or end it and "
                "run this again"
            )

    def give_back(self) -> None:
        """Others need not wait."""
        if self._held() == self._name:
            self._storage.delete(LEASE)

    def _held(self) -> bytes:
        try:
            return self._storage.get(LEASE)
        except Missing:
            return b""

    def _renew(self) -> None:
        self._storage.put(LEASE, self._name)
        self._renewed = self._clock()

    def _now(self) -> float:
        """By the storage's clock."""
        key = f"_probe/{uuid.uuid4().hex}"
        self._storage.put(key, b"")
        try:
            entry = self._storage.entry(key)
            return entry.modified_s if entry is not None else 0.0
        finally:
            self._storage.delete(key)
