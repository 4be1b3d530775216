"""Our client of RunPod's control plane against the emulated one, over HTTP."""

import asyncio
import json

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from embedstack.compute.calls import NoMachine, Undecided
from embedstack.compute.runpod import RunPodControl
from embedstack.compute.shapes import (
    Cpu,
    EndpointChange,
    GpuPools,
    NewEndpoint,
    NewPod,
    PodGpu,
    QueueDelay,
    RequestCount,
    Workers,
)
from embedstack.emulator.control_front import Quota, Window
from embedstack.emulator.faults import Fault
from embedstack.emulator.serve import listen, served, url_of
from embedstack.errors import BadRequest, ConfigError, Forbidden, NotReady, Overloaded, Unauthorized, Upstream
from support.controlling import KEY, READ_ONLY, Control
from support.renting import Pauses, rented

pytestmark = pytest.mark.slow  # each starts a server

NOON = "2026-06-01T12:00:00Z"

ENDPOINT = NewEndpoint(
    name="embedder",
    image="a/b:1",
    env={"TOKEN": "secret-of-mine"},
    gpu=GpuPools(pools=("ADA_24",)),
    workers=Workers(max=2, idle_timeout=5),
    scaling=QueueDelay(),
)
POD = NewPod(name="trainer", image="a/b:1", gpu=PodGpu(id="NVIDIA GeForce RTX 4090"), env={"TOKEN": "secret-of-mine"})


# ------------------------------------------------------------------------------------------------ endpoints


def test_an_endpoint_is_made_changed_and_ended() -> None:
    async def call(client: RunPodControl) -> None:
        made = await client.create_endpoint(ENDPOINT)
        changed = await client.update_endpoint(made.id, EndpointChange(workers=Workers(min=1)))

        assert (made.name, made.scaling, made.timeout) == ("embedder", QueueDelay(4.0), 300_000)
        assert (changed.workers.min, changed.workers.max, changed.env) == (1, 2, {"TOKEN": "secret-of-mine"})
        assert made.request_urls["health"].endswith(f"/v2/{made.id}/health")
        assert await client.endpoint(made.id) == changed
        assert await client.endpoints() == (changed,)
        await client.delete_endpoint(made.id)
        assert await client.endpoint(made.id) is None
        await client.delete_endpoint(made.id)

    rented(call, Control())


def test_an_endpoint_of_cpus_counts_requests() -> None:
    wish = NewEndpoint(
        name="small", image="a/b:1", cpu=(Cpu(id="cpu5c", vcpu_count=4),), scaling=RequestCount(3), type="LOAD_BALANCER"
    )
    made = rented(lambda client: client.create_endpoint(wish), Control())

    assert (made.type, made.scaling, made.cpu[0].memory, made.gpu) == ("LOAD_BALANCER", RequestCount(3), 8, None)


def test_workers_are_seen() -> None:
    control = Control()

    async def call(client: RunPodControl) -> None:
        made = await client.create_endpoint(ENDPOINT)
        control.platform.polled(control.platform.endpoints[made.id], "w")
        told = await client.workers(made.id)

        assert [(one.id, one.status, one.is_stale) for one in told.workers] == [("w", "IDLE", False)]
        assert told.summary["idle"] == told.summary["total"] == 1

    rented(call, control)


# ------------------------------------------------------------------------------------------------ pods


def test_a_pod_is_made_stopped_started_and_ended() -> None:
    control = Control()

    async def call(client: RunPodControl) -> None:
        made = await client.create_pod(POD)
        control.clock.advance(10)
        stopped = await client.act(made.id, "stop")
        started = await client.act(made.id, "start")

        assert (made.status, made.cost) == ("PROVISIONING", 0.44)
        assert stopped is not None
        assert started is not None
        assert (stopped.status, stopped.cost, started.status) == ("EXITED", 0.0, "STARTING")
        assert [pod.id for pod in await client.pods()] == [made.id]
        assert await client.act(made.id, "terminate") is None
        assert await client.pod(made.id) is None
        await client.delete_pod(made.id)

    rented(call, control)


def test_a_pod_whose_making_failed_and_yet_succeeded_is_found_and_not_made_twice() -> None:
    control = Control([Fault(route="create", action="status", status=500, after_commit=True, times=1)])
    pod = rented(lambda client: client.create_pod(POD), control)

    assert list(control.account.pods) == [pod.id]


@pytest.mark.parametrize("action", ["reset", "truncate", "html"])
def test_a_pod_whose_reply_was_lost_is_found_and_not_made_twice(action: str) -> None:
    control = Control([Fault(route="create", action=action, after_commit=True, times=1)])
    pod = rented(lambda client: client.create_pod(POD), control)

    assert list(control.account.pods) == [pod.id]


def test_a_pod_that_is_made_after_its_reply_was_lost_is_waited_for() -> None:
    control = Control([Fault(route="create", action="delay", seconds=3, times=1)])
    pauses = Pauses(lambda: control.clock.advance(1))
    pod = rented(lambda client: client.create_pod(POD), control, pause=pauses, timeout_s=0.3)

    assert list(control.account.pods) == [pod.id]
    assert len(pauses) == 3


def test_a_pod_that_is_made_only_after_another_was_asked_for_is_named_in_an_error() -> None:
    pods: list[dict[str, str]] = []

    async def make(request: Request) -> Response:
        if make_calls.pop():
            return Response(status_code=500)
        pods.extend({"id": pod_id, "name": "trainer", "status": "RUNNING", "createdAt": NOON} for pod_id in ("a", "b"))
        return Response(json.dumps(pods[1]), 201)

    async def show(request: Request) -> Response:
        return Response(json.dumps({"pods": pods}))

    async def run() -> None:
        app = Starlette(routes=[Route("/v2/pods", make, methods=["POST"]), Route("/v2/pods", show)])
        listener = listen("127.0.0.1", 0)
        async with (
            served(Control().platform, {app: listener}),
            RunPodControl(KEY, f"{url_of(listener)}/v2", pause=Pauses()) as client,
        ):
            await client.create_pod(POD)

    make_calls = [False, True]
    with pytest.raises(Upstream, match=r"'trainer' was made more than once.*: b, a all cost money"):
        asyncio.run(run())


def test_whether_it_was_made_is_not_known_where_looking_for_it_fails() -> None:
    lost = Fault(route="create", action="reset", after_commit=True, times=1)
    control = Control([lost, Fault(route="read", action="status", status=502, skip=1)])

    with pytest.raises(Undecided, match="whether 'trainer' was made is not known") as caught:
        rented(lambda client: client.create_pod(POD), control)
    assert isinstance(caught.value.__cause__, Undecided)


def test_a_refusal_after_a_lost_reply_says_that_something_may_have_been_made() -> None:
    """The first may have taken the last machine, or the money."""
    lost = Fault(route="create", action="reset", times=1)
    control = Control([lost, Fault(route="create", action="status", status=402, times=1)])

    with pytest.raises(Undecided, match=r"whether 'trainer' was made is not known.*the next attempt was refused"):
        rented(lambda client: client.create_pod(POD), control)


def test_of_two_at_once_one_is_told_that_the_name_is_taken() -> None:
    control = Control()

    async def call(client: RunPodControl) -> list[object]:
        return await asyncio.gather(*(client.create_pod(POD) for _ in range(2)), return_exceptions=True)

    _, refused = rented(call, control)
    assert isinstance(refused, BadRequest)
    assert len(control.account.pods) == 1


def test_a_pod_whose_making_failed_is_made_again() -> None:
    control = Control([Fault(route="create", action="status", status=503, times=2)])
    pod = rented(lambda client: client.create_pod(POD), control)

    assert list(control.account.pods) == [pod.id]


def test_who_gives_up_has_looked_for_the_pod_once_more() -> None:
    control = Control([Fault(route="create", action="status", status=503)])

    with pytest.raises(Undecided, match="503"):
        rented(lambda client: client.create_pod(POD), control, retries=1)
    assert control.platform.faults.fired == 2


def test_a_name_that_is_taken_is_refused() -> None:
    control = Control()

    async def call(client: RunPodControl) -> None:
        await client.create_pod(POD)
        with pytest.raises(BadRequest, match="'trainer' is the name of"):
            await client.create_pod(POD)

    rented(call, control)
    assert len(control.account.pods) == 1


def test_without_a_free_machine_nothing_is_asked_again() -> None:
    control, pauses = Control(), Pauses()
    control.account.catalog.levels["NVIDIA GeForce RTX 4090"] = "NONE"

    with pytest.raises(NoMachine, match="ask for another GPU"):
        rented(lambda client: client.create_pod(POD), control, pause=pauses)
    assert pauses == []


def test_an_action_that_may_have_happened_is_not_repeated() -> None:
    control = Control([Fault(route="action", action="reset", after_commit=True)])

    async def call(client: RunPodControl) -> None:
        made = await client.create_pod(POD)
        with pytest.raises(Undecided):
            await client.act(made.id, "stop")

    rented(call, control)
    assert control.platform.faults.fired == 1


def test_an_action_that_its_status_does_not_allow_is_an_error_that_says_so() -> None:
    async def call(client: RunPodControl) -> None:
        made = await client.create_pod(POD)
        with pytest.raises(BadRequest, match="'start' is not valid for a pod that is PROVISIONING"):
            await client.act(made.id, "start")

    rented(call, Control())


# ------------------------------------------------------------------------------------------------ again


@pytest.mark.parametrize("action", ["reset", "truncate"])
def test_what_is_read_is_asked_for_again(action: str) -> None:
    control = Control([Fault(route="read", action=action, times=2)])

    assert rented(lambda client: client.pods(), control) == ()


def test_what_is_deleted_is_deleted_again() -> None:
    control = Control([Fault(route="delete", action="reset", after_commit=True, times=1)])

    async def call(client: RunPodControl) -> None:
        made = await client.create_pod(POD)
        await client.delete_pod(made.id)

    rented(call, control)
    assert not control.account.pods


def test_who_asked_too_often_waits_as_long_as_told() -> None:
    control, pauses = Control([Fault(route="create", action="status", status=429, seconds=12, times=1)]), Pauses()
    rented(lambda client: client.create_endpoint(ENDPOINT), control, pause=pauses)

    assert pauses == [12.0]


def test_a_full_hour_is_not_waited_for() -> None:
    control = Control(quota=Quota((Window("hour", 1, 3600),)))

    async def call(client: RunPodControl) -> None:
        await client.pods()
        with pytest.raises(Overloaded) as caught:
            await client.pods()
        assert caught.value.retry_after_s == 3600

    rented(call, control)


def test_lists_are_read_to_their_last_page() -> None:
    control = Control(page_size=2)

    async def call(client: RunPodControl) -> None:
        for number in range(5):
            await client.create_pod(NewPod(name=f"pod {number}", image="a", cpu=Cpu(id="cpu5c", vcpu_count=2)))
        assert [pod.name for pod in await client.pods()] == [f"pod {number}" for number in range(5)]

    rented(call, control)


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, BadRequest, "mend the request"),
        (401, Unauthorized, "key is wrong"),
        (402, Forbidden, "add credit"),
        (403, Forbidden, "give it the right"),
        (404, BadRequest, "check the id"),
        (409, BadRequest, "look at its status"),
        (410, ConfigError, "https://api.runpod.io/v2"),
        (422, BadRequest, "mend the request"),
        (500, Upstream, "try again later"),
    ],
)
def test_a_refusal_becomes_an_error_that_says_what_to_do(status: int, kind: type[Exception], words: str) -> None:
    control = Control([Fault(route="update", action="status", status=status, body="as it is")])

    with pytest.raises(kind, match=words) as caught:
        rented(lambda client: client.update_endpoint("x", EndpointChange(name="y")), control, retries=0)
    assert "as it is" in str(caught.value)


def test_every_fault_of_a_body_is_told() -> None:
    wish = NewEndpoint(name="e", image="a", gpu=GpuPools(pools=("ADA_24",)), scaling=QueueDelay(0.1))

    with pytest.raises(BadRequest, match=r"\$.scaling.queueDelay"):
        rented(lambda client: client.create_endpoint(wish), Control())


def test_a_key_that_may_only_read_is_told_so() -> None:
    with pytest.raises(Forbidden, match="access denied"):
        rented(lambda client: client.create_pod(POD), Control(), key=READ_ONLY)


def test_a_web_page_is_no_answer() -> None:
    control = Control([Fault(route="read", action="html")])

    with pytest.raises(Upstream, match="cannot be read"):
        rented(lambda client: client.pods(), control)


@pytest.mark.parametrize("base", ["", "/v1", "/v2/pods", "/v3"])
def test_a_base_that_is_not_of_v2_is_refused_since_there_all_seems_to_be_gone(base: str) -> None:
    with pytest.raises(ConfigError, match="of the form https://host/v2"):
        rented(lambda client: client.delete_pod("x"), Control(), base=base)


def test_an_empty_id_deletes_nothing() -> None:
    with pytest.raises(BadRequest, match="an id is empty"):
        rented(lambda client: client.delete_pod(""), Control())


def test_a_client_that_was_closed_says_so() -> None:
    async def call(client: RunPodControl) -> None:
        await client.close()
        with pytest.raises(NotReady, match="closed"):
            await client.pods()

    rented(call, Control())


def test_who_cannot_be_reached_is_named() -> None:
    async def run() -> None:
        listener = listen("127.0.0.1", 0)
        url = url_of(listener)
        listener.close()
        async with RunPodControl(KEY, f"{url}/v2", pause=Pauses(), retries=1) as client:
            with pytest.raises(Upstream, match=url):
                await client.pods()

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------ secrets, settings


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("", "https://a/v2"),
        ("a b", "https://a/v2"),
        (KEY, "api.runpod.io"),
        (KEY, "ftp://a/v2"),
        (KEY, "https://u:secret-of-mine@a/v2"),
        (KEY, "https://a/v2?b=c"),
    ],
)
def test_what_cannot_be_used_is_refused_and_no_secret_shown(key: str, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunPodControl(key, url)

    assert "secret-of-mine" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_nothing_that_is_printed_holds_a_secret() -> None:
    async def call(client: RunPodControl) -> str:
        made = await client.create_endpoint(ENDPOINT)
        return f"{client!r} {ENDPOINT!r} {made!r} {POD!r} {await client.create_pod(POD)!r}"

    printed = rented(call, Control())
    assert "secret-of-mine" not in printed
    assert KEY not in printed


def test_a_key_that_a_server_echoes_is_masked() -> None:
    control = Control([Fault(route="read", action="status", status=403, body=f"no: {KEY}")])

    with pytest.raises(Forbidden) as caught:
        rented(lambda client: client.pods(), control)
    assert KEY not in str(caught.value)


# ------------------------------------------------------------------------------------------------ catalog, bills


def test_the_catalog_is_read() -> None:
    async def call(client: RunPodControl) -> None:
        plain = {gpu.id: gpu for gpu in await client.gpus()}
        stock = {gpu.id: gpu for gpu in await client.gpus("SERVERLESS")}

        assert plain["NVIDIA H200"].availability is None
        assert stock["NVIDIA H200"].availability == "HIGH"
        assert stock["NVIDIA H200"].price.serverless == pytest.approx(5.58)
        assert {cpu.id for cpu in await client.cpus("POD")} >= {"cpu3c", "cpu5c"}
        assert any(place.id == "NVIDIA L4" for place in (await client.data_centers())[0].gpu_availability)

    rented(call, Control())


def test_bills_are_read() -> None:
    control = Control()

    async def call(client: RunPodControl) -> None:
        pod, endpoint = await client.create_pod(POD), await client.create_endpoint(ENDPOINT)
        control.platform.polled(control.platform.endpoints[endpoint.id], "w")
        control.clock.advance(50)
        (first, second) = await client.pod_bills(last=2, bucket="hour", pod_id=pod.id)
        bills = await client.endpoint_bills(last=2, bucket="hour", endpoint_id=endpoint.id)

        assert first.gpu_amount + second.gpu_amount == pytest.approx(pod.cost * 50 / 3600)
        assert sum(bill.total_amount for bill in bills) == pytest.approx(50 * 0.00031)

    control.clock.advance(3590)
    rented(call, control)


# ------------------------------------------------------------------------------------------------ what is sent


def test_only_what_is_wished_for_is_sent_and_who_asks_says_who_it_is() -> None:
    seen: list[tuple[str, dict[str, str], object]] = []

    async def note(request: Request) -> Response:
        body = await request.body()
        seen.append((request.method, dict(request.headers), json.loads(body) if body else None))
        told = {"endpoints": [], "unknown": 1} if request.method == "GET" else {**MADE, "newer": {"a": 1}}
        return Response(json.dumps(told), 200, media_type="application/json")

    async def run() -> None:
        app = Starlette(routes=[Route("/v2/serverless", note, methods=["GET", "POST"])])
        listener = listen("127.0.0.1", 0)
        async with served(Control().platform, {app: listener}), RunPodControl(KEY, f"{url_of(listener)}/v2/") as client:
            await client.create_endpoint(ENDPOINT)

    asyncio.run(run())
    _, headers, body = seen[-1]
    assert headers["user-agent"].startswith("embedstack/")
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body == {
        "name": "embedder",
        "image": "a/b:1",
        "type": "QUEUE",
        "env": {"TOKEN": "secret-of-mine"},
        "gpu": {"pools": ["ADA_24"]},
        "workers": {"max": 2, "idleTimeout": 5},
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4.0},
        "timeout": 300_000,
    }


MADE = {
    "id": "e",
    "name": "embedder",
    "createdAt": NOON,
    "workers": {"min": 0, "max": 2},
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
}
