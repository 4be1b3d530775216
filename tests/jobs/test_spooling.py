"""The spool: bounded, swept, gone at the end."""

import asyncio
import multiprocessing
import os
import stat
import tempfile
from pathlib import Path

import pytest

from embedstack.errors import ConfigError
from embedstack.jobs.spooling import INDEX, LEFT_S, LOCK, Room, Spool, default_folder, held_open, on_disk
from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Storage
from support.small_job import Passing


async def turns(count: int = 5) -> None:
    """Let everybody who can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_room_is_bounded() -> None:
    async def taken() -> list[int]:
        room, order = Room(10), []

        async def one(number: int, size: int) -> None:
            await room.take(size)
            order.append(number)

        tasks = [asyncio.ensure_future(one(number, 5)) for number in range(3)]
        await turns()
        before = list(order)
        room.give(5)
        await asyncio.gather(*tasks)
        return [*before, -1, *order[len(before) :]]

    assert asyncio.run(taken()) == [0, 1, -1, 2]


def test_a_small_one_does_not_overtake_a_large_one() -> None:
    async def taken() -> list[str]:
        room, order = Room(10), []

        async def one(name: str, size: int) -> None:
            await room.take(size)
            order.append(name)

        await room.take(5)
        tasks = [asyncio.ensure_future(one(name, size)) for name, size in (("large", 9), ("small", 1))]
        await turns()
        before = list(order)
        room.give(5)
        await asyncio.gather(*tasks)
        return before + order

    assert asyncio.run(taken()) == ["large", "small"]


def test_one_that_is_larger_than_all_goes_alone() -> None:
    async def held() -> int:
        room = Room(10)
        await room.take(100)
        return room.held

    assert asyncio.run(held()) == 100


def test_who_is_cancelled_while_it_waits_holds_nothing() -> None:
    async def held() -> int:
        room = Room(10)
        await room.take(10)
        waiting = asyncio.ensure_future(room.take(5))
        await turns()
        waiting.cancel()
        await turns()
        room.give(10)
        return room.held

    assert asyncio.run(held()) == 0


def test_who_is_cancelled_as_its_turn_comes_holds_nothing() -> None:
    async def held() -> int:
        room = Room(10)
        await room.take(10)
        waiting = asyncio.ensure_future(room.take(5))
        await turns()
        room.give(10)
        waiting.cancel()
        await turns()
        return room.held

    assert asyncio.run(held()) == 0


# ------------------------------------------------------------------------------------------------ the folder


def test_a_spool_is_gone_at_the_end(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.path("part").write_bytes(b"x")

    assert list(tmp_path.iterdir()) == []


def test_what_a_living_process_holds_is_left(tmp_path: Path) -> None:
    with Spool(tmp_path) as first, Spool(tmp_path) as second:
        assert first.folder.exists()
        assert second.folder.exists()


def _hold(above: str, ready: "multiprocessing.synchronize.Event") -> None:
    Spool(Path(above)).__enter__().path("part").write_bytes(b"x")
    ready.set()
    multiprocessing.Event().wait()


@pytest.mark.slow
def test_what_a_killed_process_left_is_deleted(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path), ready), daemon=True)
    process.start()
    assert ready.wait(50)
    (left,) = tmp_path.iterdir()
    process.kill()
    process.join()
    with Spool(tmp_path):
        assert not left.exists()


def test_what_was_killed_before_it_had_a_lock_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "run-0123456789ab").mkdir()
    with Spool(tmp_path) as spool:
        assert list(tmp_path.iterdir()) == [spool.folder]


NOW_S = 10 * LEFT_S
SINCE = f"{INDEX}{'1' * 16}-"


def index(above: Path, name: str, age_s: float) -> Path:
    """An index of a job before that was last used so many seconds ago."""
    made = above / name
    made.mkdir()
    for file in ("high", LOCK):
        (made / file).touch()
    (above / f".{name}.lock").touch()
    os.utime(made, (NOW_S - age_s, NOW_S - age_s))
    return made


def test_folders_of_others_are_left_whatever_their_names_begin_with(tmp_path: Path) -> None:
    for name in ("run-2024", "since-2020", ".since-2020.partial"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))

    with Spool(tmp_path):
        pass

    assert {path.name for path in tmp_path.iterdir()} == {"run-2024", "since-2020", ".since-2020.partial"}


def test_an_index_that_nobody_used_for_a_day_is_deleted(tmp_path: Path) -> None:
    index(tmp_path, f"{SINCE}{'a' * 16}", LEFT_S + 1)
    index(tmp_path, half := f".{SINCE}{'b' * 16}.partial", LEFT_S + 1)
    young = index(tmp_path, f"{SINCE}{'c' * 16}", LEFT_S - 1)

    with Spool(tmp_path, clock=lambda: NOW_S) as spool:
        left = {path.name for path in tmp_path.iterdir()} - {f".{half}.lock"}
        assert left == {spool.folder.name, young.name, f".{young.name}.lock"}


def test_an_index_that_somebody_uses_is_left(tmp_path: Path) -> None:
    used = index(tmp_path, f"{SINCE}{'a' * 16}", 0)
    held = held_open(used)
    assert held is not None
    os.utime(used, (0, 0))

    with Spool(tmp_path, clock=lambda: NOW_S):
        assert used.exists()
    os.close(held)
    with Spool(tmp_path, clock=lambda: NOW_S):
        assert not used.exists()


def test_an_index_is_young_again_once_it_is_used(tmp_path: Path) -> None:
    used = index(tmp_path, f"{SINCE}{'a' * 16}", LEFT_S + 1)
    held = held_open(used)
    assert held is not None
    os.close(held)

    with Spool(tmp_path, clock=lambda: NOW_S):
        assert used.exists()


def test_half_of_an_index_is_none(tmp_path: Path) -> None:
    (tmp_path / "since-half").mkdir()

    assert held_open(tmp_path / "since-half") is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(ConfigError, match="--spool"), Spool(tmp_path / "file"):
        pass


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No space left.*make room"), on_disk(tmp_path):
        raise OSError(28, "No space left on device")


def test_beside_a_table_on_a_disk_the_spool_is_on_that_disk(tmp_path: Path) -> None:
    assert default_folder(LocalStorage(tmp_path / "with space")) == tmp_path / "with space" / "_spool"


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A bucket, on a machine whose folder for such files is the test's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    storage = Passing(LocalStorage(tmp_path))
    storage.url = "s3://bucket/out"
    return storage


def test_for_a_bucket_the_spool_is_a_folder_of_this_machine_and_user(far: Storage, tmp_path: Path) -> None:
    assert default_folder(far) == tmp_path / f"embedstack-spool-{os.getuid()}"


def test_what_a_user_spools_no_other_one_reads(far: Storage) -> None:
    with Spool(default_folder(far)) as spool:
        assert stat.S_IMODE(spool.above.stat().st_mode) == 0o700


def test_a_spool_that_another_user_has_made_is_refused(far: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4711)  # of nobody who makes folders here

    with (
        pytest.raises(ConfigError, match="is another user's; name another folder with --spool"),
        Spool(default_folder(far)),
    ):
        pass
