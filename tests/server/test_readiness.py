"""Whether vectors can be had: one answer for every page and the gauge."""

from dataclasses import replace

import pytest

from embedstack.engine.need import Need
from embedstack.engine.slots import ModelState
from embedstack.errors import ConfigError
from embedstack.server.readiness import note, readiness
from embedstack.testing.fake import HashEncoder

KEY = "alice-secret-0123456789"
PAGES = ("/ready", "/", "/health", "/ping", "/rag-stack/health", "/infinity/health", "/ml-service/health/ready")
GOOD = ModelState(
    name="good", aliases=(), task="embed", state="loaded", reason="", need=Need(0, 0, 0.0), in_flight=0, idle_s=None,
    proof="unproven", is_wanted=True,
)  # fmt: skip
TORN = replace(GOOD, name="torn", state="failed", reason="the weights are torn")


def test_a_server_that_is_not_ready_is_not_made_so_by_its_models():
    assert readiness("draining", "stopping", (GOOD,)) == ("draining", "stopping")


def test_an_encoder_without_models_that_come_and_go_is_as_the_server():
    assert readiness("ready", "", None) == ("ready", "")


def test_a_model_that_was_wanted_at_the_start_and_failed_is_named():
    assert readiness("ready", "", (GOOD, TORN)) == ("failed", "'torn' could not be loaded: the weights are torn")


def test_one_that_an_admin_tried_in_vain_takes_no_server_from_its_callers():
    assert readiness("ready", "", (GOOD, replace(TORN, is_wanted=False))) == ("ready", "")


def test_where_all_models_failed_nothing_can_be_had():
    assert readiness("ready", "", (replace(TORN, is_wanted=False),))[0] == "failed"


def test_where_no_model_is_left_nothing_can_be_had():
    state, reason = readiness("ready", "", ())

    assert (state, "POST /admin/models/load" in reason) == ("failed", True)


@pytest.mark.parametrize("state", ["available", "loading", "unloading"])
def test_a_model_that_its_first_request_loads_does_no_harm(state):
    assert readiness("ready", "", (replace(GOOD, state=state, is_wanted=False),)) == ("ready", "")


def test_that_the_first_request_loads_a_model_is_said():
    assert "first request" in note((replace(GOOD, state="available"),))
    assert note((GOOD,)) == ""


def failing():
    raise ConfigError("the file '/srv/models/secret' is torn")


@pytest.mark.anyio
@pytest.mark.parametrize("path", [*PAGES, "/kriptik/api/embeddings/health", "/model-worker/health"])
async def test_why_is_told_to_holders_of_a_key_alone(serve, path):
    async with serve(failing, api_keys=f"alice:{KEY}") as client:
        strange = await client.get(path)

    assert strange.status_code == 503
    assert "secret" not in strange.text


@pytest.mark.anyio
async def test_who_holds_a_key_or_needs_none_is_told_why(serve):
    async with serve(failing, api_keys=f"alice:{KEY}") as client:
        strange = (await client.get("/ready")).json()
        known = (await client.get("/ready", headers={"x-api-key": KEY})).json()
    async with serve(failing) as client:
        free = (await client.get("/ready")).json()

    assert strange == {"status": "failed"}
    assert "/srv/models/secret" in known["reason"]
    assert known == free


@pytest.mark.anyio
async def test_a_ready_server_tells_strangers_that_and_no_more(serve):
    async with serve(api_keys=f"alice:{KEY}") as client:
        assert (await client.get("/ready")).json() == {"status": "ready"}


@pytest.mark.anyio
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
async def test_a_library_that_would_end_the_process_fails_the_opening(serve, error):
    def leaving() -> HashEncoder:
        raise error

    async with serve(leaving) as client:
        reply = await client.get("/ready")

    assert reply.json()["status"] == "failed"
    assert type(error).__name__ in reply.json()["reason"]
