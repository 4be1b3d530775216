"""The page shows the search as it is: its example is answered in that shape, and its table has every field."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from embedstack.databases.bound import RECHECK_S
from embedstack.databases.opening import open_database
from embedstack.server.fenced import THREADS
from embedstack.server.search_shapes import (
    MOST_CANDIDATES,
    MOST_CONDITIONS,
    MOST_DEPTH,
    MOST_HITS,
    MOST_LIMIT,
    MOST_QUERIES,
    MOST_QUERY_CHARS,
    MOST_VALUES,
    SearchBody,
)
from embedstack.server.served import AT_ONCE
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from support.reference import ROOT
from support.served_collections import fill

SECTION = (ROOT / "docs/serving.md").read_text().partition("## Searching collections\n")[2].partition("\n## ")[0]
ASKED, SHOWN = (json.loads(block) for block in re.findall(r"```json\n(.*?)\n```", SECTION, re.DOTALL))


@pytest.mark.anyio
async def test_the_example_is_answered_in_the_shape_that_is_shown(serve, tmp_path: Path) -> None:
    database = open_database(str(tmp_path))
    fill(database, "products-v2", hash_spec(), bm25=True)
    specs = (hash_spec(), overlap_spec(ASKED["rerank"]))
    async with serve(lambda: HashEncoder(specs), collections=f"shop={tmp_path}#products-v2") as client:
        narrow = await client.post("/search", json=ASKED)
        found = (await client.post("/search", json={**ASKED, "query": "a cat sleeps", "where": {}})).json()

    assert narrow.status_code == 200
    assert found.keys() == SHOWN.keys()
    assert found["hits"][0].keys() == SHOWN["hits"][0].keys()
    assert found["hits"][0]["scores"].keys() == SHOWN["hits"][0]["scores"].keys()
    assert (found["took_ms"].keys(), found["fields"]) == (SHOWN["took_ms"].keys(), SHOWN["fields"])
    assert (found["collection"], found["notes"]) == (SHOWN["collection"], SHOWN["notes"])


def test_the_table_has_every_field_of_the_body() -> None:
    rows = re.findall(r"^\| (`.*?) \|", SECTION, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]

    assert sorted(named) == sorted(one.encode_name for one in msgspec.structs.fields(SearchBody))


@pytest.mark.parametrize(
    "said",
    [
        f"up to {MOST_QUERIES}; ",
        f"{MOST_QUERY_CHARS:,} characters",
        f"1 to {MOST_LIMIT:,};",
        f"at most {MOST_HITS:,}",
        f"to {MOST_DEPTH:,};",
        f"at most {MOST_CANDIDATES:,}",
        f"up to {MOST_CONDITIONS} in each",
        f"up to {MOST_VALUES:,})",
        f"{AT_ONCE} searches run in a database at once",
        f"every {RECHECK_S:g} s at most",
    ],
)
def test_limits_are_those_of_the_code(said: str) -> None:
    assert said in " ".join(SECTION.split())


def test_the_threads_of_a_database_are_those_that_the_page_of_threats_names() -> None:
    assert f"{THREADS} threads of a database at most" in (ROOT / "docs/threats.md").read_text()
