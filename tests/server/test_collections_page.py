"""GET /collections: what is shown of each, also of one that is away."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from embedstack.databases.database import Collection, Database, Field
from embedstack.databases.opening import open_database
from embedstack.dialects import open_dialects
from embedstack.errors import ConfigError
from embedstack.server import create_app
from embedstack.server.openapi import describe
from embedstack.server.table import places
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder, hash_spec
from support.served_collections import BM25, TEXTS, fill

pytestmark = pytest.mark.anyio
FIRST, SECOND = hash_spec("first"), hash_spec("second", dim=16, cuts=())
KEYS = "alice:alice-0123456789abcdef"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = open_database(str(tmp_path))
    fill(made, "v1", FIRST, bm25=True)
    fill(made, "v2", SECOND)
    made.create(Collection(name="unsigned", fields={"": Field(dim=4)}))
    made.switch("docs", "v1", old=None)
    yield made
    made.close()


def settings_of(folder: Path, *names: str) -> str:
    return ", ".join(f"{folder}#{name}" for name in names)


async def shown(serve, folder: Path, *names: str) -> list[dict[str, object]]:
    async with serve(lambda: HashEncoder((FIRST,)), collections=settings_of(folder, *names)) as client:
        reply = await client.get("/collections")
    assert reply.status_code == 200
    return reply.json()["collections"]


async def test_an_alias_is_shown_with_what_it_stands_for(serve, database: Database, tmp_path: Path) -> None:
    (row,) = await shown(serve, tmp_path, "docs")

    assert (row["name"], row["alias"], row["collection"], row["status"]) == ("docs", "docs", "v1", "ready")
    assert (row["points"], row["model"], row["space"], row["dim"]) == (len(TEXTS), "first", FIRST.space, 32)
    assert row["is_served"] is True
    assert row["fields"] == {
        "dense": {"kind": "dense", "dim": 32, "distance": "cosine", "model": "first", "space": FIRST.space},
        "bm25": {
            "kind": "sparse", "dim": 0, "distance": "dot", "model": "bm25-en", "space": BM25.identity.space,
        },
    }  # fmt: skip


async def test_a_model_that_is_not_served_is_said_to_be_so(serve, database: Database, tmp_path: Path) -> None:
    (row,) = await shown(serve, tmp_path, "v2")

    assert (row["alias"], row["model"], row["is_served"]) == (None, "second", False)


async def test_where_no_model_stands_for_the_name_the_reason_is_shown(
    serve, database: Database, tmp_path: Path
) -> None:
    (row,) = await shown(serve, tmp_path, "unsigned")

    assert (row["status"], row["model"]) == ("ready", None)
    assert "nobody has signed" in row["reason"]


async def test_one_that_is_away_hides_no_other(serve, database: Database, tmp_path: Path) -> None:
    away, there = await shown(serve, tmp_path, "absent", "v1")

    assert (away["status"], away["collection"], away["points"]) == ("away", None, None)
    assert "'absent' is not in its database" in away["reason"]
    assert there["status"] == "ready"


async def test_it_is_shown_also_while_the_model_loads(serve, database: Database, tmp_path: Path) -> None:
    release = threading.Event()
    async with serve(
        lambda: release.wait() and HashEncoder((FIRST,)), wait=False, collections=settings_of(tmp_path, "v1")
    ) as client:
        reply = await client.get("/collections")
        release.set()

    (row,) = reply.json()["collections"]
    assert (row["status"], row["is_served"]) == ("ready", False)


async def test_without_collections_the_list_is_empty(serve) -> None:
    async with serve() as client:
        assert (await client.get("/collections")).json() == {"collections": []}


async def test_it_needs_a_key_where_the_server_has_keys(serve, database: Database, tmp_path: Path) -> None:
    async with serve(collections=settings_of(tmp_path, "docs"), api_keys=KEYS) as client:
        strange = await client.get("/collections")
        known = await client.get("/collections", headers={"x-api-key": "alice-0123456789abcdef"})

    assert (strange.status_code, known.status_code) == (401, 200)
    assert "v1" not in strange.text


async def test_a_collection_that_is_away_leaves_the_server_ready(serve, tmp_path: Path) -> None:
    async with serve(collections=settings_of(tmp_path / "nothing", "docs")) as client:
        assert (await client.get("/ready")).status_code == 200


async def test_what_is_shown_is_as_described(serve, database: Database, tmp_path: Path) -> None:
    description = describe(places(open_dialects()))
    schema = description["paths"]["/collections"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    rows = await shown(serve, tmp_path, "docs", "v2", "unsigned", "absent")

    Draft202012Validator({"components": description["components"], **schema}).validate({"collections": rows})


async def test_a_collection_named_like_a_served_model_ends_the_start(serve, tmp_path: Path) -> None:
    async with serve(collections=f"hash={tmp_path}#docs") as client:
        ready = await client.get("/ready")

    assert ready.status_code == 503
    assert "'hash' of --collections has the name of a model" in ready.json()["reason"]


def test_a_setting_that_cannot_be_read_ends_the_start() -> None:
    with pytest.raises(ConfigError, match="entry 1 of --collections"):
        create_app(HashEncoder, replace(Settings(), collections="./database"))
