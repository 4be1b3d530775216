"""This process's memory: how much only it holds, the most during a load, and what is free given back to the system."""

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

import msgspec
import psutil

from embedstack.catalog.digests import write_whole
from embedstack.engine.need import Need

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # /usr/include/malloc.h
KEPT_BYTES = 1 << 20  # what is larger is mapped alone, and goes as it is freed; a batch has 3 to 8 % more page faults
LOOK_S = 0.005  # a peak that lasts shorter is missed; a look takes some 30 microseconds


@dataclass(slots=True)
class Peak:
    """The most that was held while it was watched."""

    top_bytes: int


class Meter(Protocol):
    """What tells a pool of memory."""

    def now_bytes(self) -> int:
        """Anonymous memory of this process."""
        ...

    def give_back(self) -> None:
        """Return to the system what is free."""
        ...

    def watch(self) -> "contextlib.AbstractContextManager[Peak]":
        """Note the most that is held meanwhile."""
        ...


class ProcessMemory:
    """The real one. From the first one on, glibc gives freed memory back soon.

    Left alone, its thresholds rise to 64 MB with the sizes that are freed, and what lies free below them at the top of
    a thread's arena stays in the process: with OpenVINO 44 to 105 MB were left after the same unload, now 44 to 48.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        set_option = getattr(self._libc, "mallopt", None)
        if set_option is not None:
            set_option(M_MMAP_THRESHOLD, KEPT_BYTES)
            set_option(M_TRIM_THRESHOLD, KEPT_BYTES)

    def now_bytes(self) -> int:
        """Resident memory that no file backs: on Linux as in /proc/self/statm, elsewhere what psutil calls unique."""
        held = self._process.memory_info()
        shared = getattr(held, "shared", None)  # Linux only
        return int(self._process.memory_full_info().uss if shared is None else held.rss - shared)

    def give_back(self) -> None:
        """glibc keeps what was freed in the middle: 100 to 400 MB after ONNX Runtime's sessions.

        What is left is walked over no more until the next time: some 65,000 objects, for which Python's collector
        would stop all requests for 30 ms every thousand of them.
        """
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        trim = getattr(self._libc, "malloc_trim", None)  # another C library has none, and gives back by itself
        if trim is not None:
            trim(ctypes.c_size_t(0))

    @contextlib.contextmanager
    def watch(self) -> Iterator[Peak]:
        """Looks every few milliseconds, in a thread."""
        peak, over = Peak(self.now_bytes()), Event()

        def look() -> None:
            while not over.wait(LOOK_S):
                peak.top_bytes = max(peak.top_bytes, self.now_bytes())

        watcher = Thread(target=look, name="embedstack-memory", daemon=True)
        watcher.start()
        try:
            yield peak
        finally:
            over.set()
            watcher.join()
            peak.top_bytes = max(peak.top_bytes, self.now_bytes())


class RememberedNeed:
    """What a model was measured to need on this machine: one small file.

    Args:
        path: see `tuning.note_path`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Need | None:
        """None where nothing usable is remembered."""
        try:
            noted = msgspec.json.decode(self._path.read_bytes(), type=_Noted)
        except (OSError, msgspec.DecodeError):
            return None
        peak_bytes = max(noted.held_bytes, noted.peak_bytes)
        return Need(noted.held_bytes, peak_bytes, noted.load_s, noted.least_bytes, True, noted.beyond_bytes)

    def write(self, need: Need) -> None:
        """Note it; where the cache cannot be written to, the next start estimates again."""
        with contextlib.suppress(OSError):
            noted = _Noted(need.held_bytes, need.peak_bytes, need.load_s, need.least_bytes, need.beyond_bytes)
            write_whole(self._path, msgspec.json.encode(noted))


class _Noted(msgspec.Struct):
    held_bytes: int
    peak_bytes: int
    load_s: float
    least_bytes: int
    beyond_bytes: int = 0
