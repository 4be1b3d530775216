"""What this process holds, and what it remembers of models that it held."""

import gc
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from embedstack.engine.memory import ProcessMemory, RememberedNeed
from embedstack.engine.need import MB, Need

NEED = Need(100 * MB, 150 * MB, 0.5, is_measured=True, beyond_bytes=7)


def test_memory_that_is_filled_is_seen_and_its_end_too() -> None:
    meter = ProcessMemory()
    before = meter.now_bytes()
    filled = np.ones(8_000_000)

    during = meter.now_bytes()
    del filled
    meter.give_back()

    assert during - before > 60 * MB
    assert meter.now_bytes() - before < 20 * MB


def test_a_peak_is_seen_after_it_is_over() -> None:
    """What other tests left may go meanwhile, so it is a large one, looked for with room to either side."""
    meter = ProcessMemory()
    meter.give_back()

    with meter.watch() as peak:
        filled = np.ones(30_000_000)
        during, end = meter.now_bytes(), time.monotonic() + 10
        while peak.top_bytes < during - 80 * MB and time.monotonic() < end:  # until it was looked at
            time.sleep(0.001)
        del filled

    assert meter.now_bytes() < during - 160 * MB
    assert peak.top_bytes > during - 80 * MB


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells files from memory of one's own")
def test_what_a_file_backs_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(bytes(32 * MB))
    meter = ProcessMemory()
    before = meter.now_bytes()

    mapped = np.memmap(tmp_path / "weights", np.uint8, "r")
    assert mapped.max() == 0

    assert meter.now_bytes() - before < 10 * MB


def test_a_measured_need_is_remembered(tmp_path: Path) -> None:
    RememberedNeed(tmp_path / "needs/a.json").write(NEED)

    assert RememberedNeed(tmp_path / "needs/a.json").read() == NEED


@pytest.mark.parametrize("content", [b"", b"{}", b'{"held_bytes": "much"}', b"\xff"])
def test_a_broken_note_is_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)

    assert RememberedNeed(tmp_path / "a.json").read() is None


def test_a_cache_that_cannot_be_written_only_forgets(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    remembered = RememberedNeed(tmp_path / "file/a.json")

    remembered.write(NEED)

    assert remembered.read() is None


@pytest.fixture
def thawed() -> Iterator[None]:
    """Nothing stays frozen for other tests."""
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
def test_what_is_there_when_memory_is_given_back_is_walked_over_no_more() -> None:
    ProcessMemory().give_back()

    assert gc.get_freeze_count() > 1000


class Cycle:
    """Holds itself, as a graph and its runtime can."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.usefixtures("thawed")
def test_a_cycle_that_was_walked_over_no_more_is_freed_the_next_time() -> None:
    cycle = Cycle()
    gone = weakref.ref(cycle)
    ProcessMemory().give_back()

    del cycle
    ProcessMemory().give_back()

    assert gone() is None
