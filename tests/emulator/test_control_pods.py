"""Pods of REST v2: their way through time, what may be done with them, and what they cost."""

import re

import pytest

from support.controlling import CPU_POD, POD, Control

VOLUME = {"name": "data", "size": 50, "dataCenter": "EU-RO-1"}
PERSISTENT = {"persistent": {"size": 20, "path": "/workspace"}}


def made(control: Control, **changes: object) -> str:
    return str(control.good("POST", "/pods", {**POD, **changes})["id"])


def running(control: Control, **changes: object) -> str:
    pod_id = made(control, **changes)
    control.clock.advance(10)
    return pod_id


def act(control: Control, pod_id: str, action: str) -> dict[str, object]:
    return control.good("POST", f"/pods/{pod_id}/action", {"action": action})


def seen(control: Control, pod_id: str) -> dict[str, object]:
    return control.good("GET", f"/pods/{pod_id}")


# ------------------------------------------------------------------------------------------------ its way


def test_a_pod_is_provisioned_then_starts_then_runs() -> None:
    control = Control()
    pod_id = made(control)
    found = []
    for _ in range(4):
        told = seen(control, pod_id)
        found.append((told["status"], told["startedAt"], told["runtime"]))
        control.clock.advance(5)

    assert found == [
        ("PROVISIONING", None, None),
        ("STARTING", None, None),
        ("RUNNING", "2026-06-01T12:00:10Z", {"uptime": 0, "ports": []}),
        ("RUNNING", "2026-06-01T12:00:10Z", {"uptime": 5, "ports": []}),
    ]


def test_a_pod_is_shown_with_everything_that_was_asked_for_and_the_defaults_of_the_rest() -> None:
    told = Control().good("POST", "/pods", POD)

    assert told["gpu"] == {"id": "NVIDIA GeForce RTX 4090", "count": 1}
    assert (told["cloud"], told["mounts"], told["ports"], told["env"]) == ("SECURE", {}, [], {})
    assert (told["locked"], told["template"], told["globalNetworking"]) == (False, None, {"enabled": False})


def test_a_pod_that_was_stopped_costs_nothing_and_starts_again() -> None:
    control = Control()
    pod_id = running(control)
    stopped = act(control, pod_id, "stop")

    assert (stopped["status"], stopped["cost"], stopped["actions"]) == ("EXITED", 0.0, ["start", "terminate"])
    started = act(control, pod_id, "start")
    assert (started["status"], started["cost"]) == ("STARTING", 0.44)
    control.clock.advance(5)
    assert seen(control, pod_id)["status"] == "RUNNING"


def test_a_restart_begins_the_container_anew() -> None:
    control = Control()
    pod_id = running(control)

    assert act(control, pod_id, "restart")["status"] == "STARTING"


def test_a_pod_that_was_terminated_is_gone() -> None:
    control = Control()
    pod_id = running(control)
    reply = control.ask("POST", f"/pods/{pod_id}/action", {"action": "terminate"})

    assert (reply.status_code, reply.content) == (204, b"")
    assert control.refused("GET", f"/pods/{pod_id}")[0] == 404
    assert control.good("GET", "/pods")["pods"] == []


def test_a_pod_that_was_deleted_is_gone() -> None:
    control = Control()
    pod_id = made(control)

    assert control.ask("DELETE", f"/pods/{pod_id}").status_code == 204
    assert control.refused("DELETE", f"/pods/{pod_id}")[0] == 404


@pytest.mark.parametrize(
    ("waited_s", "action"), [(0, "start"), (0, "restart"), (5, "start"), (5, "restart"), (10, "start")]
)
def test_what_its_status_does_not_allow_is_refused(waited_s: float, action: str) -> None:
    control = Control()
    pod_id = made(control)
    control.clock.advance(waited_s)

    assert action not in seen(control, pod_id)["actions"]
    assert control.refused("POST", f"/pods/{pod_id}/action", {"action": action})[0] == 409


@pytest.mark.parametrize("waited_s", [0, 5, 10])
def test_everything_that_a_pod_says_it_may_do_it_does(waited_s: float) -> None:
    control = Control()
    pod_id = made(control)
    control.clock.advance(waited_s)
    actions = seen(control, pod_id)["actions"]

    for action in actions:
        other = made(control, name=action)
        control.account.pods[other].starting_at = control.account.pods[pod_id].starting_at
        control.account.pods[other].running_at = control.account.pods[pod_id].running_at
        assert control.ask("POST", f"/pods/{other}/action", {"action": action}).status_code in (200, 204)


def test_a_locked_pod_is_not_stopped() -> None:
    control = Control()
    pod_id = running(control)
    locked = control.good("PATCH", f"/pods/{pod_id}", {"locked": True})

    assert locked["actions"] == ["terminate"]
    assert control.refused("POST", f"/pods/{pod_id}/action", {"action": "stop"})[0] == 409


def test_ports_of_a_running_pod_are_published() -> None:
    control = Control()
    told = seen(control, running(control, ports=["8888/http", "22/tcp"]))

    assert [port["private"] for port in told["runtime"]["ports"]] == [8888, 22]
    assert told["ssh"]["direct"]["port"] == told["runtime"]["ports"][1]["public"]
    assert seen(control, running(control, name="b"))["ssh"]["direct"] is None


# ------------------------------------------------------------------------------------------------ making


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"bogus": 1}, 422, r"\$: additional properties 'bogus' not allowed"),
        ({"name": ""}, 422, r"\$.name"),
        ({"gpu": {"count": 1}}, 422, r"\$.gpu: missing property 'id'"),
        ({"gpu": {"id": "NVIDIA L4", "count": 0}}, 422, r"\$.gpu.count"),
        ({"gpu": {"id": "NVIDIA L4", "allowedCudaVersions": ["12"]}}, 422, r"\$.gpu.allowedCudaVersions"),
        ({"mounts": {"persistent": {"size": 9, "path": "/w"}}}, 422, r"\$.mounts.persistent.size"),
        ({"mounts": {"network": [{"volumeId": "a"}]}}, 422, "missing property 'path'"),
        ({"cloud": "PRIVATE"}, 422, r"\$.cloud"),
        ({"cpu": CPU_POD["cpu"]}, 400, "exactly one of gpu or cpu"),
        ({"gpu": {"id": "NVIDIA T4"}}, 400, "'NVIDIA T4' is not known"),
        ({"gpu": {"id": "NVIDIA L4", "count": 9}}, 400, "no longer any instances available"),
        ({"gpu": {"id": "NVIDIA H200"}, "cloud": "COMMUNITY"}, 400, "no longer any instances available"),
        (
            {"gpu": {"id": "NVIDIA L4", "allowedCudaVersions": ["12.8"], "minCudaVersion": "12.1"}},
            400,
            "mutually exclusive",
        ),
        ({"mounts": {**PERSISTENT, "network": [{"volumeId": "v", "path": "/v"}]}}, 400, "mutually exclusive"),
        ({"mounts": {"network": [{"volumeId": "none", "path": "/v"}]}}, 400, "'none' is not known"),
        ({"dataCenterIds": ["MOON-1"]}, 400, "'MOON-1' is not known"),
        ({"templateId": "none"}, 404, "resource not found"),
    ],
)
def test_what_breaks_a_rule_is_refused(changes: dict[str, object], status: int, words: str) -> None:
    control = Control()
    found, said = control.refused("POST", "/pods", {**POD, **changes})

    assert found == status
    assert re.search(words, said)
    assert not control.account.pods


def test_a_cpu_pod_has_the_memory_of_its_flavor_and_no_persistent_disk() -> None:
    control = Control()
    told = control.good("POST", "/pods", CPU_POD)

    assert told["cpu"] == {"id": "cpu5c", "vcpuCount": 4, "memory": 8}
    assert "gpu" not in told
    assert control.refused("POST", "/pods", {**CPU_POD, "mounts": PERSISTENT})[0] == 400


def test_what_is_not_free_is_refused_as_the_original_does() -> None:
    control = Control()
    control.account.catalog.levels["NVIDIA GeForce RTX 4090"] = "NONE"

    assert control.refused("POST", "/pods", POD) == (
        400,
        "There are no longer any instances available with the requested specifications. Please refresh and try again.",
    )


def test_a_volume_holds_its_pod_in_its_data_center() -> None:
    control = Control()
    volume_id = control.good("POST", "/network-volumes", VOLUME)["id"]
    mounts = {"network": [{"volumeId": volume_id, "path": "/v"}]}

    assert control.good("POST", "/pods", {**POD, "mounts": mounts})["dataCenterId"] == "EU-RO-1"
    refused = control.refused("POST", "/pods", {**POD, "mounts": mounts, "dataCenterIds": ["US-KS-2"]})
    assert refused == (400, "the network volumes are in another data center")


def test_a_template_gives_its_settings_once_and_is_not_remembered() -> None:
    control = Control()
    template = {"name": "t", "image": "a/b:1", "env": {"A": "1"}, "mounts": PERSISTENT}
    template_id = control.good("POST", "/templates", template)["id"]
    told = control.good("POST", "/pods", {"name": "p", "gpu": POD["gpu"], "templateId": template_id})
    small = control.good("POST", "/pods", {"name": "s", "cpu": CPU_POD["cpu"], "templateId": template_id})

    assert (told["image"], told["env"], told["mounts"], told["template"]) == ("a/b:1", {"A": "1"}, PERSISTENT, None)
    assert small["mounts"] == {}


# ------------------------------------------------------------------------------------------------ changing


def test_what_a_change_does_not_name_stays() -> None:
    control = Control()
    before = control.good("POST", "/pods", {**POD, "env": {"A": "1"}})

    assert control.good("PATCH", f"/pods/{before['id']}", {"name": "b"}) == {**before, "name": "b"}


@pytest.mark.parametrize(
    ("mounts", "words"),
    [
        ({"network": [{"volumeId": "v", "path": "/v"}]}, "mutually exclusive|cannot be added"),
        ({"network": []}, "cannot be added"),
    ],
)
def test_storage_of_another_kind_cannot_be_added(mounts: dict[str, object], words: str) -> None:
    control = Control()
    status, said = control.refused("PATCH", f"/pods/{made(control, mounts=PERSISTENT)}", {"mounts": mounts})

    assert status == 400
    assert re.search(words, said)


def test_a_pod_keeps_its_volume() -> None:
    control = Control()
    ids = [control.good("POST", "/network-volumes", VOLUME)["id"] for _ in range(2)]
    path = f"/pods/{made(control, mounts={'network': [{'volumeId': ids[0], 'path': '/v'}]})}"

    moved = {"network": [{"volumeId": ids[0], "path": "/w"}]}
    assert control.good("PATCH", path, {"mounts": moved})["mounts"] == moved
    other = {"network": [{"volumeId": ids[1], "path": "/v"}]}
    assert control.refused("PATCH", path, {"mounts": other})[0] == 400
    assert control.refused("PATCH", path, {"mounts": {"network": []}})[0] == 400


# ------------------------------------------------------------------------------------------------ money


def test_the_cost_that_a_pod_shows_is_what_it_runs_up() -> None:
    control = Control()
    cost = control.good("POST", "/pods", POD)["cost"]
    control.clock.advance(1800)
    (record,) = control.good("GET", "/billing/pods?lastN=1")["records"]

    assert record["gpuAmount"] == pytest.approx(cost / 2)
    assert record["diskAmount"] == pytest.approx(50 * 0.10 / 730 / 2)


def test_a_stopped_pod_runs_up_only_its_persistent_disk() -> None:
    control = Control()
    pod_id = running(control, mounts=PERSISTENT)
    act(control, pod_id, "stop")
    before = control.account.ledger.spent(control.account.now())
    control.clock.advance(3600)

    assert control.account.ledger.spent(control.account.now()) - before == pytest.approx(20 * 0.20 / 730)


def test_what_is_gone_runs_up_nothing() -> None:
    control = Control()
    control.ask("DELETE", f"/pods/{running(control)}")
    before = control.account.ledger.spent(control.account.now())
    control.clock.advance(3600)

    assert control.account.ledger.spent(control.account.now()) == before


def test_without_money_nothing_is_made_or_started() -> None:
    control = Control(balance=0.001)
    pod_id = running(control)
    act(control, pod_id, "stop")
    control.clock.advance(60)
    control.account.balance = 0.0

    assert control.refused("POST", "/pods", POD)[0] == 402
    assert control.refused("POST", f"/pods/{pod_id}/action", {"action": "start"})[0] == 402
