"""The server's own pages, and the table of paths that they describe."""

import json
import re

import pytest

from embedstack.databases.opening import open_database
from embedstack.dialects import open_dialects
from embedstack.server.openapi import describe
from embedstack.server.table import places
from embedstack.testing.fake import HashEncoder, hash_spec, labels_spec, overlap_spec
from support.served_collections import fill

pytestmark = pytest.mark.anyio

ROOT = {
    ("POST", "/v1/embeddings"): ["openai", "tei", "jina"],
    ("POST", "/embeddings"): ["openai", "tei", "infinity", "rag-stack"],
    ("GET", "/v1/models"): ["openai", "cohere"],
    ("GET", "/v1/models/{id}"): ["openai", "cohere"],
    ("POST", "/embed"): ["tei"],
    ("POST", "/rerank"): ["tei", "infinity", "rag-stack"],
    ("POST", "/embed_sparse"): ["tei", "rag-stack"],
    ("POST", "/embed_all"): ["tei"],
    ("POST", "/similarity"): ["tei"],
    ("POST", "/predict"): ["tei"],
    ("POST", "/tokenize"): ["tei"],
    ("POST", "/decode"): ["tei"],
    ("POST", "/"): ["tei", "runpod"],
    ("POST", "/invocations"): ["tei"],
    ("GET", "/info"): ["tei"],
    ("GET", "/health"): ["tei", "infinity", "model-worker", "ml-service", "rag-stack"],
    ("GET", "/ping"): ["tei", "runpod"],
    ("POST", "/classify"): ["infinity"],
    ("GET", "/models"): ["infinity"],
    ("POST", "/v2/embed"): ["cohere"],
    ("POST", "/v2/rerank"): ["cohere"],
    ("POST", "/v1/embed"): ["cohere"],
    ("POST", "/v1/rerank"): ["cohere", "jina"],
    ("POST", "/v1/tokenize"): ["cohere"],
    ("POST", "/v1/detokenize"): ["cohere"],
    ("POST", "/embed/text"): ["model-worker"],
    ("POST", "/embed/image"): ["model-worker"],
    ("POST", "/embed/batch"): ["model-worker"],
    ("POST", "/embeddings/text"): ["ml-service"],
    ("POST", "/embeddings/image"): ["ml-service"],
    ("POST", "/embeddings/single/text"): ["ml-service"],
    ("POST", "/embeddings/single/image"): ["ml-service"],
    ("GET", "/health/ready"): ["ml-service"],
    ("POST", "/bge-m3/runsync"): ["kriptik-worker"],
    ("POST", "/siglip/runsync"): ["kriptik-worker"],
    ("POST", "/vl-jepa/runsync"): ["kriptik-worker"],
    ("POST", "/pipeline/feature-extraction"): ["huggingface"],
    ("POST", "/runsync"): ["runpod"],
    ("POST", "/api/embeddings/generate"): ["kriptik"],
    ("POST", "/api/embeddings/similarity"): ["kriptik"],
    ("POST", "/api/embeddings/batch"): ["kriptik"],
    ("POST", "/api/embeddings/estimate"): ["kriptik"],
    ("GET", "/api/embeddings/stats"): ["kriptik"],
    ("GET", "/api/embeddings/health"): ["kriptik"],
}
"""Every path of the root and whose it is; where several collide, the first wins a body that fits it."""
OWN = {("GET", "/")}  # what TEI has there is the playground's


def claims() -> list[tuple[tuple[str, str], str]]:
    dialects = open_dialects()
    posts = [(("POST", route.path), dialect.name) for dialect in dialects for route in dialect.routes]
    return posts + [(("GET", page.path), dialect.name) for dialect in dialects for page in dialect.pages]


def test_every_path_of_the_root_and_every_collision_is_listed_with_its_winner_first():
    prefixes = {dialect.prefix for dialect in open_dialects()}
    table = [place for place in places(open_dialects()) if "/" + place.path.split("/")[1] not in prefixes]

    found = {(place.method, place.path): [one.dialect.name for one in place.servings] for place in table}
    assert {path: list(dict.fromkeys(names)) for path, names in found.items()} == ROOT


def test_the_root_serves_every_path_of_every_dialect():
    claimed: dict[tuple[str, str], list[str]] = {}
    for path, dialect in claims():
        claimed.setdefault(path, []).append(dialect)

    assert {path: list(dict.fromkeys(names)) for path, names in claimed.items() if path not in OWN} == ROOT


def test_the_setting_puts_another_dialect_first():
    table = places(open_dialects("infinity, cohere"))
    first = {place.path: place.first.dialect.name for place in table}

    assert (first["/rerank"], first["/embeddings"], first["/v1/rerank"]) == ("infinity", "infinity", "cohere")


def test_the_first_dialect_wins_a_path_that_two_have():
    first, second = open_dialects()[:2]
    second.routes = (*second.routes, first.routes[0])

    table = places([second, first])
    assert next(place for place in table if place.path == "/v1/embeddings").first.dialect is second


def test_under_its_prefix_a_dialect_has_all_its_paths():
    table = {(place.method, place.path) for place in places(open_dialects())}

    prefixes = {dialect.name: dialect.prefix for dialect in open_dialects()}
    assert {(method, (prefixes[name] + path).rstrip("/")) for (method, path), name in claims()} <= table


# ------------------------------------------------------------------------------------------------ description


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(inner) for inner in value.values()))
    if isinstance(value, list):
        return set().union(*(references(inner) for inner in value))
    return set()


async def test_the_description_is_openapi_3_1_and_every_reference_leads_somewhere(serve):
    async with serve() as client:
        description = (await client.get("/openapi.json")).json()

    assert description["openapi"].startswith("3.1.")
    known = {f"#/components/{kind}/{name}" for kind, rows in description["components"].items() for name in rows}
    assert references(description)
    assert references(description) <= known


def test_every_operation_has_a_name_of_its_own_and_its_path_parameters():
    operations = [
        (path, operation)
        for path, methods in describe(places(open_dialects()))["paths"].items()
        for operation in methods.values()
    ]

    names = [operation["operationId"] for _, operation in operations]
    assert len(names) == len(set(names))
    for path, operation in operations:
        declared = {row["name"] for row in operation["parameters"] if row["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path))


def every_kind():
    """An encoder whose models can do everything that any route asks for."""
    embedder = hash_spec(outputs=("dense", "sparse", "multi"), inputs=("text", "image"))
    return HashEncoder((embedder, overlap_spec(), labels_spec()))


async def test_every_example_of_the_description_is_answered(serve, tmp_path):
    database = open_database(str(tmp_path))
    fill(database, "docs", hash_spec())
    async with serve(every_kind, collections=f"{tmp_path}#docs") as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        examples = [
            (path, example["value"])
            for path, one in paths.items()
            if "post" in one and not path.startswith("/admin")  # which takes another key
            for example in one["post"]["requestBody"]["content"]["application/json"]["examples"].values()
        ]
        replies = {path: (await client.post(path, json=body)).status_code for path, body in examples}

    assert len(replies) > 60
    nameless = {prefix + path for prefix in ("", "/cohere") for path in ("/v1/tokenize", "/v1/detokenize")}
    assert {path for path, status in replies.items() if status != 200} == nameless  # of three models


async def test_the_docs_show_a_curl_for_every_root_path_and_load_nothing(serve):
    async with serve() as client:
        reply = await client.get("/docs")

    prefixes = {dialect.name: dialect.prefix for dialect in open_dialects()}
    assert all(
        f"curl http://server{prefixes[name]}{path.rstrip('/')}" in reply.text
        for (_, path), names in ROOT.items()
        for name in names
    )
    assert "curl http://server/search -H" in reply.text
    assert "prefers-color-scheme:dark" in reply.text
    assert not re.search(r"<script|<link|src=|@import|url\(", reply.text)
    assert "default-src 'none'" in reply.headers["content-security-policy"]


async def test_the_docs_escape_the_host_that_the_reader_names(serve):
    async with serve() as client:
        reply = await client.get("/docs", headers={"host": "<script>alert(1)</script>"})

    assert "<script" not in reply.text


async def test_every_link_inside_the_docs_leads_somewhere(serve):
    async with serve() as client:
        text = (await client.get("/docs")).text
        pages = {path: (await client.get(path)).status_code for path in re.findall(r"href=(/[\w.]+)", text)}

    assert set(re.findall(r"href='#(\w+)'", text)) <= set(re.findall(r"id='(\w+)'", text))
    assert pages
    assert set(pages.values()) == {200}


# ------------------------------------------------------------------------------------------------ metrics


async def test_metrics_count_requests_items_tokens_and_cuts(serve):
    async with serve() as client:
        await client.post("/v1/embeddings", json={"input": ["a b", " ".join("x" * 300)]})
        await client.post("/v1/embeddings", json={"input": []})
        await client.post("/nowhere")
        text = (await client.get("/metrics")).text

    where = 'dialect="openai",route="/v1/embeddings"'
    lines = text.splitlines()
    for line in (
        f'embedstack_requests_total{{{where},status="200"}} 1.0',
        f'embedstack_requests_total{{{where},status="400"}} 1.0',
        'embedstack_requests_total{dialect="(none)",route="(none)",status="404"} 1.0',
        f"embedstack_items_total{{{where}}} 2.0",
        f"embedstack_tokens_total{{{where}}} 258.0",
        f"embedstack_truncated_items_total{{{where}}} 1.0",
        f"embedstack_request_seconds_count{{{where}}} 2.0",
        "embedstack_requests_in_flight 0.0",
        "embedstack_ready 1.0",
    ):
        assert line in lines


async def test_metrics_tell_the_build_and_the_memory(serve):
    async with serve() as client:
        text = (await client.get("/metrics")).text

    assert "embedstack_build_info{" in text
    assert float(re.search(r'embedstack_memory_bytes{kind="resident"} (\S+)', text)[1]) > 1_000_000


async def test_two_apps_in_one_process_count_apart(serve):
    async with serve() as one, serve() as other:
        await one.post("/embed", json={"inputs": "a"})
        metrics = [(await client.get("/metrics")).text for client in (one, other)]

    assert ['route="/embed",status="200"' in text for text in metrics] == [True, False]


def test_the_description_is_plain_json():
    assert json.loads(json.dumps(describe(places(open_dialects()))))
