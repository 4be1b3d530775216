"""The sparse routes over a SPLADE model, from its folder to the wire."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from embedstack.api import open_engine
from embedstack.engine.engine import Engine
from embedstack.settings import read_settings
from embedstack.types import Encode, Text
from support.families import write
from support.lexical import TIED

pytestmark = pytest.mark.anyio
TEXTS = ["the panda", "a river of the city"]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    flags = {"runtime": "numpy", "cache_dir": tmp_path / "cache"}
    return open_engine(read_settings(flags, environ={}), [str(write(TIED, tmp_path / "m"))], say=lambda line: None)


@pytest.fixture
async def client(serve, engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(lambda: engine) as opened:
        yield opened


async def weights(engine: Engine) -> list[dict[int, float]]:
    request = Encode(model="", items=tuple(Text(text, "none") for text in TEXTS), outputs=frozenset({"sparse"}))
    made = (await engine.encode(request)).sparse
    return [dict(zip(one.ids.tolist(), one.weights.tolist(), strict=True)) for one in made or ()]


@pytest.mark.parametrize(
    ("path", "field"), [("/tei/embed_sparse", "inputs"), ("/tei", "inputs"), ("/rag-stack/embed_sparse", "input")]
)
async def test_every_term_is_on_the_wire(client: httpx.AsyncClient, engine: Engine, path: str, field: str) -> None:
    wanted = await weights(engine)

    reply = await client.post(path, json={field: TEXTS})

    assert reply.status_code == 200
    heard = [{term["index"]: term["value"] for term in row} for row in reply.json()]
    assert [sorted(row) for row in heard] == [sorted(row) for row in wanted]
    for made, true in zip(heard, wanted, strict=True):
        assert np.allclose([made[number] for number in sorted(made)], [true[number] for number in sorted(true)])


async def test_the_info_page_says_splade(client: httpx.AsyncClient) -> None:
    assert (await client.get("/tei/info")).json()["model_type"] == {"embedding": {"pooling": "splade"}}


async def test_dense_vectors_are_refused_by_what_there_is(client: httpx.AsyncClient) -> None:
    reply = await client.post("/v1/embeddings", json={"input": TEXTS})

    assert reply.status_code == 400, reply.text
    assert "it gives: sparse" in reply.text
