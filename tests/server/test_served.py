"""Collections that are served: opened once, named, looked at again after 5 s."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.databases.bound import RECHECK_S
from embedstack.databases.database import Database, UnknownCollection
from embedstack.databases.opening import open_database
from embedstack.dialects.wire import Misfit
from embedstack.errors import ConfigError
from embedstack.server.served import Collections
from embedstack.settings import Settings
from embedstack.testing.fake import hash_spec
from support.served_collections import fill

pytestmark = pytest.mark.anyio


class Clock:
    """Seconds, moved by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = open_database(str(tmp_path))
    fill(made, "v1", hash_spec())
    fill(made, "v2", hash_spec("other", dim=16))
    made.switch("docs", "v1", old=None)
    yield made
    made.close()


def collections(text: str, clock: Clock | None = None) -> Collections:
    return Collections.of(replace(Settings(), collections=text), clock or Clock())


async def test_an_alias_that_is_switched_is_seen_after_five_seconds(database: Database, tmp_path: Path) -> None:
    clock = Clock()
    served = collections(f"{tmp_path}#docs", clock).named("docs")
    names = [(await served.recent()).name]
    database.switch("docs", "v2", old="v1")
    for passed_s in (RECHECK_S - 0.1, 0.1):
        clock.now_s += passed_s
        names.append((await served.recent()).name)

    assert names == ["v1", "v1", "v2"]


async def test_who_looks_now_sees_it_at_once(database: Database, tmp_path: Path) -> None:
    served = collections(f"{tmp_path}#docs").named("docs")
    await served.recent()
    database.switch("docs", "v2", old="v1")

    assert (await served.look()).name == "v2"
    assert (await served.recent()).name == "v2"


async def test_what_was_seen_last_counts_whoever_comes_back_last(database: Database, tmp_path: Path) -> None:
    clock = Clock()
    served = collections(f"{tmp_path}#docs", clock).named("docs")
    await served.recent()
    database.switch("docs", "v2", old="v1")
    await served.look()
    clock.now_s -= 1  # a look that began before
    database.switch("docs", "v1", old="v2")
    await served.look()
    clock.now_s += 1

    assert (await served.recent()).name == "v2"


async def test_who_leaves_ends_the_look_for_nobody_else(database: Database, tmp_path: Path) -> None:
    served = collections(f"{tmp_path}#docs").named("docs")
    first, second = asyncio.ensure_future(served.recent()), asyncio.ensure_future(served.recent())
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).name == "v1"


async def test_a_look_that_failed_is_taken_again(database: Database, tmp_path: Path) -> None:
    served = collections(f"{tmp_path}#later").named("later")
    with pytest.raises(UnknownCollection, match="'later' is not in its database"):
        await served.recent()
    fill(database, "later", hash_spec())

    assert (await served.recent()).name == "later"


def test_names_are_the_collections_or_given(tmp_path: Path) -> None:
    some = collections(f"{tmp_path}#v1, live={tmp_path}#docs")

    assert [(one.name, one.there) for one in some.every] == [("v1", "v1"), ("live", "docs")]
    assert "live" in some
    assert "docs" not in some


def test_one_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    with pytest.raises(Misfit, match="name one of: v1, live"):
        collections(f"{tmp_path}#v1, live={tmp_path}#docs").named(None)

    assert collections(f"{tmp_path}#v1").named(None).name == "v1"


def test_an_unknown_name_is_told_those_that_are_served(tmp_path: Path) -> None:
    with pytest.raises(UnknownCollection, match="'x' is not served here; served: v1, live"):
        collections(f"{tmp_path}#v1, live={tmp_path}#docs").named("x")


def test_without_any_it_is_said_how_to_serve_one() -> None:
    with pytest.raises(UnknownCollection, match=r"no collection is served here; .*--collections"):
        collections("").named(None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bge-m3=./db#docs", "'bge-m3' of --collections has the name of a model; .*NAME="),
        ("mongo://host/db#docs", "collection 'docs' of --collections cannot be served: a database cannot be at mongo"),
    ],
)
def test_what_cannot_be_served_ends_the_start(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        collections(text)


def test_a_collection_hides_no_model_that_is_served(tmp_path: Path) -> None:
    some = collections(f"hash={tmp_path}#docs")
    with pytest.raises(ConfigError, match="'hash' of --collections has the name of a model"):
        some.check({"hash": hash_spec()}.get)

    some.check({"other": hash_spec("other")}.get)
