"""Models that come and go over HTTP, with tiny real ones: who may, what is said, and what readiness says meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.api import open_pool
from embedstack.engine.pool import Pool
from embedstack.settings import Settings
from support.tiny import CASES, write

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ADMIN = "an-admin-key-that-is-long"
SENT = {"authorization": f"Bearer {ADMIN}"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("admin")
    for name in ("bert-mean", "bert-cls"):
        write(CASES[name], root / name)
    (write(CASES["bert-max"], root / "torn") / "model.safetensors").write_bytes(b"not at all")
    return root


@pytest.fixture
def pool(root: Path) -> Callable[..., Callable[[], Pool]]:
    """Gives what opens a pool of these models."""

    def opener(*names: str, **changes: object) -> Callable[[], Pool]:
        settings = Settings(cache_dir=root / "cache", precision="float32", threads=1, lanes=1)
        texts = [name.replace("/", f"{root}/", 1) for name in names]
        return lambda: open_pool(replace(settings, **changes), texts, say=lambda line: None)

    return opener


async def test_models_are_listed_with_what_they_need(serve, pool) -> None:
    async with serve(pool("/bert-mean", "fast=/bert-cls@onnx:float32"), admin_key=ADMIN) as client:
        first, second = (await client.get("/admin/models", headers=SENT)).json()["models"]

    assert (first["name"], first["state"], first["is_measured"], first["in_flight"]) == ("bert-mean", "loaded", True, 0)
    assert (second["name"], second["task"]) == ("fast", "embed")


async def test_the_aliases_of_a_model_are_names_that_requests_use(serve, pool, root) -> None:
    async with serve(pool("fast=/bert-cls", "/bert-mean"), admin_key=ADMIN) as client:
        models = (await client.get("/admin/models", headers=SENT)).json()["models"]
        names = [(model["name"], alias) for model in models for alias in model["aliases"]]
        replies = [await client.post("/v1/embeddings", json={"input": "a", "model": alias}) for _, alias in names]

    assert ("bert-mean", f"{root}/bert-mean") in names
    assert not any("=" in alias for _, alias in names)
    assert [reply.headers["x-embedstack-model"] for reply in replies] == [name for name, _ in names]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/models"),
        ("POST", "/admin/models/load"),
        ("POST", "/admin/models/unload"),
        ("DELETE", "/admin/models/bert-mean"),
    ],
)
@pytest.mark.parametrize(
    ("key", "headers", "status"), [("", SENT, 403), (ADMIN, {}, 401), (ADMIN, {"x-api-key": "other"}, 401)]
)
async def test_only_the_admin_may(serve, pool, method, path, key, headers, status) -> None:
    async with serve(pool("/bert-mean", lazy=True), admin_key=key) as client:
        reply = await client.request(method, path, headers=headers)

    assert reply.status_code == status
    assert reply.json()["error"]["message"]


async def test_a_lazy_model_is_loaded_by_its_first_request(serve, pool) -> None:
    async with serve(pool("/bert-mean", lazy=True), admin_key=ADMIN) as client:
        first = await client.post("/v1/embeddings", json={"input": "sun"})
        await client.post("/admin/models/load", json={"model": "bert-mean"}, headers=SENT)
        second = await client.post("/v1/embeddings", json={"input": "sun"})

    assert first.status_code == 503
    assert int(first.headers["retry-after"]) >= 1
    assert second.status_code == 200


async def test_an_unloaded_model_is_loaded_again_when_it_is_asked_for(serve, pool) -> None:
    async with serve(pool("/bert-mean"), admin_key=ADMIN) as client:
        unloaded = await client.post("/admin/models/unload", json={"model": "bert-mean"}, headers=SENT)
        ready = await client.get("/ready")
        asked = await client.post("/v1/embeddings", json={"input": "sun"})

    assert unloaded.json()["state"] == "available"
    assert ready.status_code == 200
    assert asked.status_code == 503


async def test_nobody_needs_to_wait_for_a_load(serve, pool) -> None:
    async with serve(pool("/bert-mean", lazy=True), admin_key=ADMIN) as client:
        reply = await client.post("/admin/models/load", json={"model": "bert-mean", "wait": False}, headers=SENT)

    assert reply.status_code == 202


async def test_a_removed_model_is_not_served(serve, pool) -> None:
    async with serve(pool("/bert-mean", "/bert-cls"), admin_key=ADMIN) as client:
        await client.delete("/admin/models/bert-cls", headers=SENT)
        reply = await client.post("/v1/embeddings", json={"input": "sun", "model": "bert-cls"})
        models = (await client.get("/v1/models")).json()["data"]

    assert reply.status_code == 404
    assert [model["id"] for model in models] == ["bert-mean"]


@pytest.mark.parametrize("model", ["nobody", "/etc", "org/name", "../torn"])
async def test_no_path_and_no_address_is_taken_over_http(serve, pool, model: str) -> None:
    async with serve(pool("/bert-mean"), admin_key=ADMIN) as client:
        reply = await client.post("/admin/models/load", json={"model": model}, headers=SENT)

    assert reply.status_code == 404
    assert "catalog" in reply.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"model": 3}', b'{"model": "a", "path": "/etc"}', b"x" * 5000])
async def test_a_body_that_does_not_fit_is_refused(serve, pool, body: bytes) -> None:
    async with serve(pool("/bert-mean", lazy=True), admin_key=ADMIN) as client:
        reply = await client.post("/admin/models/load", content=body, headers=SENT)

    assert reply.status_code in (400, 413)
    assert reply.json()["error"]["message"]


async def test_readiness_names_the_model_that_failed_and_the_others_answer(serve, pool) -> None:
    async with serve(pool("/bert-mean", "/torn"), admin_key=ADMIN) as client:
        ready = await client.get("/ready")
        good = await client.post("/v1/embeddings", json={"input": "sun", "model": "bert-mean"})
        bad = await client.post("/v1/embeddings", json={"input": "sun", "model": "torn"})

    assert ready.status_code == 503
    assert {name: model["state"] for name, model in ready.json()["models"].items()} == {
        "bert-mean": "loaded",
        "torn": "failed",
    }
    assert good.status_code == 200
    assert bad.status_code == 502
    assert bad.json()["error"]["code"] == "load_failed"


async def test_a_model_that_failed_is_told_by_every_page_and_the_gauge_and_takes_no_other_down(serve, pool) -> None:
    async with serve(pool("/bert-mean", "/torn"), admin_key=ADMIN) as client:
        paths = ("/ready", "/", "/health", "/tei/health", "/rag-stack/health", "/model-worker/health")
        codes = [(await client.get(path)).status_code for path in paths]
        kriptik = (await client.get("/kriptik/api/embeddings/health")).json()["data"]
        models = await client.get("/v1/models")
        metrics = (await client.get("/metrics")).text

    assert codes == [503] * len(paths)
    assert "embedstack_ready 0.0" in metrics
    assert 'embedstack_model_state{model="torn",state="failed"} 1.0' in metrics
    assert {one["name"]: one["healthy"] for one in kriptik["providers"]} == {"bert-mean": True, "torn": False}
    assert models.status_code == 200


async def test_where_no_model_is_left_the_server_is_not_ready(serve, pool) -> None:
    async with serve(pool("/bert-mean"), admin_key=ADMIN) as client:
        await client.delete("/admin/models/bert-mean", headers=SENT)
        ready, start = await client.get("/ready"), await client.get("/")

    assert (ready.status_code, ready.json()["status"]) == (503, "failed")
    assert (start.status_code, start.json()["status"]) == (503, "failed")
    assert "POST /admin/models/load" in ready.json()["reason"]


async def test_what_stands_in_memory_is_told_apart_from_what_will(serve, pool) -> None:
    async with serve(pool("/bert-mean", lazy=True), admin_key=ADMIN) as client:
        lazy = [(await client.get(path)).json() for path in ("/ml-service/health", "/model-worker/health", "/ready")]
        await client.post("/admin/models/load", json={"model": "bert-mean"}, headers=SENT)
        loaded = (await client.get("/ml-service/health")).json()

    assert (lazy[0]["models_loaded"], lazy[1]["models"]["text"]) == (False, True)
    assert "first request" in lazy[2]["note"]
    assert loaded["models_loaded"] is True


async def test_a_model_that_cannot_be_loaded_is_a_502_with_the_reason(serve, pool) -> None:
    async with serve(pool("/torn", lazy=True), admin_key=ADMIN) as client:
        reply = await client.post("/admin/models/load", json={"model": "torn"}, headers=SENT)

    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "load_failed")


async def test_what_nobody_expected_is_told_by_its_number(serve, pool, caplog) -> None:
    def opener() -> Pool:
        opened = pool("/bert-mean", lazy=True)()
        opened.unload_model = lambda name: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        return opened

    async with serve(opener, admin_key=ADMIN) as client:
        body, headers = {"model": "bert-mean"}, {**SENT, "x-request-id": "r-7"}
        reply = await client.post("/admin/models/unload", json=body, headers=headers)

    assert reply.status_code == 500
    assert reply.json()["error"]["message"] == "internal error; see the log with request id r-7"
    assert "event=bug id=r-7" in caplog.text


async def test_the_routes_are_in_the_description(serve, pool) -> None:
    async with serve(pool("/bert-mean", lazy=True), admin_key=ADMIN) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        listed = (await client.get("/docs")).text

    found = {(method, path) for path in paths if path.startswith("/admin") for method in paths[path]}
    assert found == {
        ("get", "/admin/models"),
        ("post", "/admin/models/load"),
        ("post", "/admin/models/unload"),
        ("delete", "/admin/models/{id}"),
    }
    assert "DELETE /admin/models/{id}" in listed


async def test_a_lazy_server_is_ready_at_once(serve, pool) -> None:
    async with serve(pool("/bert-mean", lazy=True)) as client:
        reply = await client.get("/ready")

    assert (reply.status_code, reply.json()["models"]) == (200, {"bert-mean": {"state": "available"}})


async def test_an_alias_is_found_by_requests_and_on_the_page_of_models(serve, pool) -> None:
    async with serve(pool("fast=/bert-mean")) as client:
        reply = await client.post("/v1/embeddings", json={"input": "sun", "model": "fast"})
        page = await client.get("/v1/models/fast")

    assert reply.headers["x-embedstack-model"] == "fast"
    assert page.json()["id"] == "fast"


async def test_an_encoder_that_was_given_as_it_is_has_no_models_to_load(serve) -> None:
    async with serve(admin_key=ADMIN) as client:
        reply = await client.get("/admin/models", headers=SENT)

    assert reply.status_code == 400
    assert "models cannot come and go here" in reply.json()["error"]["message"]
