"""A model's need and what this process holds -> room under the ceiling, or why there is none."""

from collections.abc import Callable

from embedstack.engine.engine import Engine
from embedstack.engine.memory import Meter
from embedstack.engine.need import MB, Need, too_large, usable
from embedstack.errors import LoadFailed, RuntimeFailed

SIGHTINGS = 2  # of the process without a model; what it holds once may be what the last one has not given back yet
Evict = Callable[[], bool]
"""Unload the model that was not used for longest; False if there is none."""


class Ceiling:
    """Used by the loader's thread alone. Finished rows go before any model does, since they can be made again.

    Args:
        ceiling_bytes: 0 for none.
        engine: its models are all that this process serves.
    """

    def __init__(self, ceiling_bytes: int, engine: Engine, meter: Meter) -> None:
        self._bytes, self._engine, self._meter = ceiling_bytes, engine, meter
        self._base_bytes = meter.now_bytes()  # what the process holds without any model
        self._sightings = 0
        self._has_loaded = self._is_base_settled = False

    def saw_load(self) -> None:
        """From now on a runtime's library is in memory."""
        self._has_loaded = True

    def make_room(self, name: str, need: Need, evict: Evict | None) -> bool:
        """Whether there is room now.

        Args:
            evict: others go for it; None if none may.
        Raises:
            LoadFailed: it would not fit even alone. RuntimeFailed: it should, and does not at the moment.
        """
        if not self._bytes:
            return True
        self._look_at_base()
        while True:
            self._refuse_too_large(name, need)
            now = self._meter.now_bytes()
            if now + need.peak_bytes <= usable(self._bytes):
                return True
            if self._drop_rows():
                continue
            if evict is None:
                return False
            if not evict():
                raise RuntimeFailed(
                    f"{name!r} needs {need.peak_mb} MB while it is loaded, and {now / MB:.0f} of "
                    f"{usable(self._bytes) / MB:.0f} MB are held without any model; this may pass, or raise memory_mb"
                )
            self._look_at_base()

    def keep(self, name: str, need: Need, evict: Evict) -> None:
        """After a load what was measured counts: others go, or the model itself.

        Raises:
            As `make_room`.
        """
        while self.is_over():
            if self._drop_rows() or evict():
                continue
            self._refuse_too_large(name, need)
            raise RuntimeFailed(
                f"{name!r} takes {need.held_bytes / MB:.0f} MB and with it the process is over its ceiling of "
                f"{self._bytes / MB:.0f} MB; this may pass, or raise memory_mb or take a smaller precision"
            )

    def is_over(self) -> bool:
        """Whether the process holds more than it may."""
        return self._bytes > 0 and self._meter.now_bytes() > self._bytes

    def look_round(self, evict: Evict) -> None:
        """Where memory has grown over the ceiling, rows go, and then a model."""
        if self.is_over():
            self._meter.give_back()
        if self.is_over():
            self._drop_rows()
        if self.is_over():
            evict()

    def _refuse_too_large(self, name: str, need: Need) -> None:
        why = too_large(name, need, self._bytes, self._base_bytes)
        if not why:
            return
        is_certain = need.peak_bytes > usable(self._bytes) or self._sightings >= SIGHTINGS
        raise LoadFailed(why) if is_certain else RuntimeFailed(why)

    def _drop_rows(self) -> bool:
        if not self._engine.drop_rows():
            return False
        self._meter.give_back()
        return True

    def _look_at_base(self) -> None:
        """What the process holds without any model can be seen while there is none.

        The runtime's library is part of it, so what was seen before the first load is forgotten. Afterwards the least
        counts, since what a closed model leaves behind often goes a little later.
        """
        if self._engine.models():
            return
        self._meter.give_back()
        now = self._meter.now_bytes() - self._engine.load().cache_bytes
        is_known = self._is_base_settled or not self._has_loaded
        self._base_bytes = min(self._base_bytes, now) if self._is_base_settled else now
        self._sightings = self._sightings + 1 if is_known else 1
        self._is_base_settled = self._has_loaded
