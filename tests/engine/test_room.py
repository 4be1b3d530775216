"""How much the next batch may hold, after memory ran out."""

import pytest

from embedstack.engine.room import MOST_DEVICES, RECOVERY_S, Device, Devices, is_out_of_memory
from embedstack.errors import RuntimeFailed


def test_a_device_that_never_failed_takes_full_batches() -> None:
    assert Device().tokens(1024, 5.0) == 1024


def test_what_was_too_much_is_halved_and_comes_back_slowly() -> None:
    device = Device()

    assert device.ran_out(1000, 1024, now=0.0)

    sizes = [device.tokens(1024, now) for now in (0.0, RECOVERY_S / 2, RECOVERY_S, 2 * RECOVERY_S)]
    assert sizes == [500, 707, 1000, 1024]


def test_running_out_again_is_no_news_until_batches_are_full() -> None:
    device = Device()
    device.ran_out(1000, 1024, now=0.0)

    assert not device.ran_out(500, 1024, now=1.0)
    assert device.tokens(1024, 1.0) == 250
    assert device.tokens(1024, 1.0 + 3 * RECOVERY_S) == 1024
    assert device.ran_out(1000, 1024, now=2.0 + 3 * RECOVERY_S)


def test_there_is_always_room_for_a_token() -> None:
    device = Device()
    for _ in range(20):
        device.ran_out(1, 1024, now=0.0)

    assert device.tokens(1024, 0.0) == 1


def test_each_model_has_a_device_of_its_own_and_old_ones_are_forgotten() -> None:
    devices = Devices()
    devices["a"].ran_out(1000, 1024, now=0.0)

    assert devices["a"].tokens(1024, 0.0) == 500
    assert devices["b"].tokens(1024, 0.0) == 1024
    for number in range(MOST_DEVICES):
        assert devices[number].tokens(1024, 0.0) == 1024
    assert devices["a"].tokens(1024, 0.0) == 1024


def raised(error: Exception, cause: BaseException | None = None) -> Exception:
    error.__cause__ = cause
    return error


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("tried to allocate 2.00 GiB"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("Failed to allocate memory for requested buffer of size 8589934592"),
        raised(RuntimeFailed("the device could not run 8 items"), MemoryError()),
    ],
)
def test_libraries_say_in_many_ways_that_memory_ran_out(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_another_failure_is_not_a_matter_of_memory() -> None:
    assert not is_out_of_memory(raised(RuntimeFailed("bad"), ValueError("token id 7 is outside 0..5")))
