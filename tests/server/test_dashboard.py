"""The Grafana dashboard: each series and label that it asks for is on /metrics, and no panel hides another."""

import json
import re
from collections import defaultdict
from itertools import product
from pathlib import Path

import pytest

from embedstack.databases.opening import open_database
from embedstack.testing.fake import HashEncoder
from embedstack.watching import BatchRun
from support.served_collections import TEXTS, fill

pytestmark = pytest.mark.anyio
PANELS = json.loads((Path(__file__).parents[2] / "docs/grafana/embedstack.json").read_text())["panels"]
QUERIES = [(panel["title"], target["expr"], target["legendFormat"]) for panel in PANELS for target in panel["targets"]]
SERIES = re.compile(r"embedstack_\w+")
LABELS = re.compile(r'(\w+)="')
KEY = "a-key-of-some-length"
TROUBLE = {"embedstack_refused_total", "embedstack_expired_total", "embedstack_out_of_memory_batches_total"}
SEARCHES = {"embedstack_searches_total", "embedstack_search_seconds_bucket"}
BATCH = BatchRun(
    model="m", lane=0, priority="interactive", items=2, tokens=10, padded=14, wait_s=0.0, predicted_s=0.01, run_s=0.02,
    is_whole=True,
)  # fmt: skip


class Watched(HashEncoder):
    """A fake that tells of batches when it is told to."""

    def __init__(self):
        super().__init__()
        self.on_batch = []


@pytest.fixture
async def shown(serve, tmp_path):
    """Series -> its labels, on the page of a server that has been asked for vectors and searches."""
    database = open_database(str(tmp_path))
    fill(database, "docs", HashEncoder().models()[0])
    database.close()
    encoder = Watched()
    async with serve(lambda: encoder, api_keys=f"a:{KEY}", collections=f"{tmp_path}#docs") as client:
        client.headers["x-api-key"] = KEY
        await client.post("/v1/embeddings", json={"input": "a"})
        await client.post("/search", json={"query": TEXTS[0]})
        encoder.on_batch[0](BATCH)
        page = (await client.get("/metrics")).text
    found = defaultdict(set)
    for line in page.splitlines():
        if line.startswith("embedstack_"):
            found[SERIES.match(line)[0]].update(LABELS.findall(line))
    return found


async def test_every_series_of_the_dashboard_is_there(shown):
    wanted = set(SERIES.findall(" ".join(query for _, query, _ in QUERIES)))

    assert wanted - shown.keys() == set()
    assert wanted > TROUBLE | SEARCHES


async def test_every_label_that_it_divides_by_or_shows_is_on_the_series(shown):
    for title, query, legend in QUERIES:
        divided = re.findall(r"by \(([\w,]+)\)", query)
        labels = {label for names in divided for label in names.split(",")} | set(re.findall(r"{{(\w+)}}", legend))
        known = set.intersection(*(shown[name] for name in SERIES.findall(query)))

        assert labels <= known | {"instance"}, title  # Prometheus itself says which instance


def test_no_panel_lies_on_another():
    covered = [cell for panel in PANELS for cell in cells(**panel["gridPos"])]

    assert len(covered) == len(set(covered))
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert max(x for x, _ in covered) < 24


def cells(x: int, y: int, w: int, h: int) -> product:
    return product(range(x, x + w), range(y, y + h))
