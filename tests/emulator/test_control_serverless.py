"""Serverless endpoints of REST v2: what is taken, what is refused, and what of it reaches the platform."""

import json
import re

import pytest

from embedstack.emulator.control_account import KEPT_LINES
from embedstack.emulator.endpoint import Scaling
from support.controlling import BALANCED, CPU_ENDPOINT, ENDPOINT, Control

COUNTING = {"type": "REQUEST_COUNT", "requestCount": 2}


def made(control: Control, **changes: object) -> str:
    return str(control.good("POST", "/serverless", {**ENDPOINT, **changes})["id"])


def without(body: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in body.items() if name not in names}


# ------------------------------------------------------------------------------------------------ making


def test_an_endpoint_is_shown_with_everything_that_was_asked_for_and_the_defaults_of_the_rest() -> None:
    told = Control().good("POST", "/serverless", ENDPOINT)

    assert without(told, "id", "requestUrls") == {
        **ENDPOINT,
        "args": "",
        "disk": 20,
        "ports": [],
        "env": {},
        "registry": None,
        "gpu": {"pools": ["ADA_24"], "count": 1, "allowedCudaVersions": [], "minCudaVersion": None},
        "networkVolumes": [],
        "flashboot": "OFF",
        "createdAt": "2026-06-01T12:00:00Z",
    }


def test_its_addresses_lead_to_the_data_plane() -> None:
    told = Control().good("POST", "/serverless", ENDPOINT)

    base = f"http://127.0.0.1:8001/v2/{told['id']}"
    assert told["requestUrls"]["runSync"] == f"{base}/runsync"
    assert told["requestUrls"]["status"] == f"{base}/status/{{job_id}}"


def test_a_load_balancer_has_other_addresses() -> None:
    told = Control().good("POST", "/serverless", {**BALANCED, "env": {"HEALTH_CHECK_PATH": "/ready"}})

    base = f"http://127.0.0.1:8001/lb/{told['id']}"
    assert told["requestUrls"] == {"base": base, "health": f"{base}/ready"}


def test_cpus_are_shown_with_the_memory_of_their_flavor_and_no_gpu() -> None:
    told = Control().good("POST", "/serverless", CPU_ENDPOINT)

    assert told["cpu"] == [
        {"id": "cpu5c", "vcpuCount": 4, "memory": 8},
        {"id": "cpu5g", "vcpuCount": 8, "memory": 32},
    ]
    assert "gpu" not in told


def test_the_platform_runs_it_by_its_settings() -> None:
    control = Control()
    endpoint = control.platform.endpoints[made(control, scaling=COUNTING, workers={"min": 1, "max": 2}, timeout=9000)]

    assert (endpoint.kind, endpoint.settings.scaling) == ("QUEUE", Scaling("REQUEST_COUNT", 2))
    assert (endpoint.settings.workers_min, endpoint.settings.workers_max) == (1, 2)
    assert endpoint.book.timeout_s == 9.0


def test_its_workers_get_its_environment() -> None:
    control = Control()

    assert control.account.env_of(made(control, env={"MODEL": "a"})) == {"MODEL": "a"}


def test_its_workers_cost_what_their_pool_does() -> None:
    control = Control()

    assert control.account.rate_of(made(control, gpu={"pools": ["ADA_24"], "count": 2}), 1).gpu == 2 * 0.00031


def test_a_worker_of_an_old_version_is_shown_and_paid_as_what_it_was_started_as() -> None:
    control = Control()
    endpoint_id = made(control, image="old:1", gpu={"pools": ["AMPERE_16"]})
    worker = control.platform.polled(control.platform.endpoints[endpoint_id], "w")
    control.good("PATCH", f"/serverless/{endpoint_id}", {"image": "new:2", "gpu": {"pools": ["HOPPER_141"]}})
    control.platform.set_status(worker, "RUNNING")
    control.clock.advance(50)
    (told,) = control.good("GET", f"/serverless/{endpoint_id}/workers")["workers"]

    assert (told["image"], told["gpuTypeId"], told["isStale"]) == ("old:1", "NVIDIA RTX A4000", True)
    assert control.account.ledger.spent(control.clock.now()) == pytest.approx(50 * 0.00016)


@pytest.mark.parametrize("env", [{"A": "x\0y"}, {"A=B": "x"}, {"A\0": "x"}, {"": "x"}])
def test_variables_that_no_process_can_have_are_refused(env: dict[str, str]) -> None:
    control = Control()
    endpoint_id = made(control)

    for method, path, body in (("POST", "", {**ENDPOINT, "env": env}), ("PATCH", f"/{endpoint_id}", {"env": env})):
        status, words = control.refused(method, f"/serverless{path}", body)
        assert (status, "no variable may have" in words, "$.env" in words) == (422, True, True)


def test_with_an_endpoint_goes_its_template_which_nobody_can_end_before() -> None:
    control = Control()
    wanted = {"name": "t", "image": "a/b:1", "serverless": True}
    template_id = control.good("POST", "/templates", wanted)["id"]
    ids = [made(control, templateId=template_id) for _ in range(2)]

    assert control.refused("DELETE", f"/templates/{template_id}")[0] == 400
    control.ask("DELETE", f"/serverless/{ids[0]}")
    assert control.good("GET", f"/templates/{template_id}")["id"] == template_id
    control.ask("DELETE", f"/serverless/{ids[1]}")
    assert control.refused("GET", f"/templates/{template_id}")[0] == 404


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (without(ENDPOINT, "name"), 422, r"\$: missing property 'name'"),
        (without(ENDPOINT, "scaling"), 422, r"\$: missing property 'scaling'"),
        (without(ENDPOINT, "image"), 422, "missing property 'image'"),
        ({**ENDPOINT, "bogus": 1}, 422, r"\$: additional properties 'bogus' not allowed"),
        ({**ENDPOINT, "gpu": {"pools": ["ADA_24"], "kind": "x"}}, 422, r"\$.gpu: additional properties 'kind'"),
        ({**ENDPOINT, "gpu": {"pools": []}}, 422, r"\$.gpu.pools"),
        ({**ENDPOINT, "disk": 0}, 422, r"\$.disk"),
        ({**ENDPOINT, "disk": "20"}, 422, r"\$.disk: Expected `int`, got `str`"),
        ({**ENDPOINT, "workers": {"idleTimeout": 3601}}, 422, r"\$.workers.idleTimeout"),
        ({**ENDPOINT, "scaling": {"type": "QUEUE_DELAY", "queueDelay": 0.4}}, 422, r"\$.scaling.queueDelay"),
        ({**ENDPOINT, "scaling": {"type": "NONE"}}, 422, r"\$.scaling"),
        ({**ENDPOINT, "type": "LOAD_BALANCER"}, 422, "REQUEST_COUNT"),
        ({**ENDPOINT, "scaling": COUNTING}, 422, "idleTimeout"),
        ({**CPU_ENDPOINT, "cpu": [CPU_ENDPOINT["cpu"][0]] * 2}, 422, "items of 'cpu' are equal"),
        ({**CPU_ENDPOINT, "cpu": [{"id": "cpu5c", "vcpuCount": 6}]}, 400, "not a power of two"),
        ({**CPU_ENDPOINT, "cpu": [{"id": "cpu9", "vcpuCount": 4}]}, 400, "'cpu9' is not known"),
        (without(ENDPOINT, "gpu"), 400, "exactly one of gpu or cpu"),
        ({**ENDPOINT, "cpu": CPU_ENDPOINT["cpu"]}, 400, "exactly one of gpu or cpu"),
        ({**ENDPOINT, "gpu": {"pools": ["ADA_25"]}}, 400, "'ADA_25' is not known"),
        ({**ENDPOINT, "gpu": {"pools": ["ADA_24"], "excludedTypes": ["NVIDIA L4"]}}, 400, "in none of the pools"),
        (
            {**ENDPOINT, "gpu": {"pools": ["ADA_24"], "excludedTypes": ["NVIDIA GeForce RTX 4090"]}},
            400,
            "no GPU type is left",
        ),
        (
            {**ENDPOINT, "gpu": {"pools": ["ADA_24"], "allowedCudaVersions": ["12.8"], "minCudaVersion": "12.1"}},
            400,
            "mutually exclusive",
        ),
        ({**ENDPOINT, "workers": {"min": 4, "max": 3}}, 400, "above workers.max"),
        ({**ENDPOINT, "dataCenterIds": ["MOON-1"]}, 400, "'MOON-1' is not known"),
        ({**ENDPOINT, "networkVolumes": ["none"]}, 400, "'none' is not known"),
        ({**ENDPOINT, "templateId": "none"}, 404, "resource not found"),
    ],
)
def test_what_breaks_a_rule_is_refused(body: dict[str, object], status: int, words: str) -> None:
    control = Control()
    found, said = control.refused("POST", "/serverless", body)

    assert found == status
    assert re.search(words, said)
    assert not control.platform.endpoints


def test_an_empty_list_of_cuda_versions_is_no_constraint() -> None:
    gpu = {"pools": ["ADA_24"], "allowedCudaVersions": [], "minCudaVersion": "12.1"}
    told = Control().good("POST", "/serverless", {**ENDPOINT, "gpu": gpu})

    assert told["gpu"]["minCudaVersion"] == "12.1"


def test_an_idle_timeout_is_not_shown_where_it_has_no_meaning() -> None:
    told = Control().good("POST", "/serverless", {**ENDPOINT, "scaling": COUNTING, "workers": {"max": 2}})

    assert told["workers"] == {"min": 0, "max": 2}


# ------------------------------------------------------------------------------------------------ templates


TEMPLATE = {"name": "t", "image": "a/b:1", "env": {"A": "1", "B": "1"}, "disk": 30, "serverless": True}


def templated(control: Control, template: dict[str, object], **body: object) -> dict[str, object]:
    template_id = control.good("POST", "/templates", template)["id"]
    return control.good("POST", "/serverless", {**without(ENDPOINT, "image"), "templateId": template_id, **body})


def test_what_the_body_does_not_say_comes_from_the_template() -> None:
    told = templated(Control(), TEMPLATE)

    assert (told["image"], told["disk"], told["env"]) == ("a/b:1", 30, {"A": "1", "B": "1"})


def test_environments_are_merged_and_the_body_wins() -> None:
    told = templated(Control(), TEMPLATE, env={"B": "2", "C": "2"}, disk=40)

    assert (told["disk"], told["env"]) == (40, {"A": "1", "B": "2", "C": "2"})


def test_a_template_that_changes_later_changes_no_endpoint() -> None:
    control = Control()
    told = templated(control, TEMPLATE)
    (template_id,) = control.account.templates
    control.good("PATCH", f"/templates/{template_id}", {"image": "a/b:2"})

    assert control.good("GET", f"/serverless/{told['id']}")["image"] == "a/b:1"


def test_cuda_versions_come_from_the_template_only_where_the_body_has_no_constraint() -> None:
    template = {**TEMPLATE, "allowedCudaVersions": ["12.8"]}

    assert templated(Control(), template)["gpu"]["allowedCudaVersions"] == ["12.8"]
    gpu = {"pools": ["ADA_24"], "minCudaVersion": "12.1"}
    assert templated(Control(), template, gpu=gpu)["gpu"]["allowedCudaVersions"] == []


def test_a_template_of_pods_makes_no_endpoint() -> None:
    control = Control()
    template_id = control.good("POST", "/templates", {**TEMPLATE, "serverless": False})["id"]

    assert control.refused("POST", "/serverless", {**ENDPOINT, "templateId": template_id})[0] == 422


# ------------------------------------------------------------------------------------------------ changing


def test_what_a_change_does_not_name_stays() -> None:
    control = Control()
    before = control.good("POST", "/serverless", {**ENDPOINT, "env": {"A": "1"}})
    after = control.good("PATCH", f"/serverless/{before['id']}", {"name": "other"})

    assert after == {**before, "name": "other"}


def test_an_environment_is_replaced_as_a_whole() -> None:
    control = Control()
    endpoint_id = made(control, env={"A": "1", "B": "1"})

    assert control.good("PATCH", f"/serverless/{endpoint_id}", {"env": {"B": "2"}})["env"] == {"B": "2"}


def test_counts_of_workers_change_one_by_one() -> None:
    control = Control()
    told = control.good("PATCH", f"/serverless/{made(control)}", {"workers": {"max": 9}})

    assert told["workers"] == {"min": 0, "max": 9, "idleTimeout": 5}


def test_an_endpoint_that_counts_requests_loses_its_idle_timeout_and_gets_the_default_back() -> None:
    control = Control()
    path = f"/serverless/{made(control)}"

    assert "idleTimeout" not in control.good("PATCH", path, {"scaling": COUNTING})["workers"]
    assert control.refused("PATCH", path, {"workers": {"idleTimeout": 7}})[0] == 422
    assert control.good("PATCH", path, {"scaling": ENDPOINT["scaling"]})["workers"]["idleTimeout"] == 10


def test_pools_and_their_exclusions_are_one_choice() -> None:
    control = Control()
    path = f"/serverless/{made(control, gpu={'pools': ['ADA_48_PRO'], 'excludedTypes': [' NVIDIA L40']})}"
    kept = control.good("PATCH", path, {"gpu": {"count": 2}})["gpu"]

    assert (kept["excludedTypes"], kept["count"]) == (["NVIDIA L40"], 2)
    assert "excludedTypes" not in control.good("PATCH", path, {"gpu": {"pools": ["ADA_48_PRO"]}})["gpu"]
    assert control.refused("PATCH", path, {"gpu": {"excludedTypes": ["NVIDIA L40"]}})[0] == 422


def test_an_empty_text_clears_the_lowest_cuda_version() -> None:
    control = Control()
    path = f"/serverless/{made(control, gpu={'pools': ['ADA_24'], 'minCudaVersion': '12.1'})}"

    assert control.good("PATCH", path, {"gpu": {"minCudaVersion": ""}})["gpu"]["minCudaVersion"] is None


@pytest.mark.parametrize(
    "change", [{"cpu": CPU_ENDPOINT["cpu"]}, {"cpu": CPU_ENDPOINT["cpu"], "gpu": {"pools": ["ADA_24"]}}]
)
def test_an_endpoint_of_gpus_never_becomes_one_of_cpus(change: dict[str, object]) -> None:
    control = Control()

    assert control.refused("PATCH", f"/serverless/{made(control)}", change)[0] == 400


def test_a_load_balancer_goes_on_counting_requests() -> None:
    control = Control()
    path = f"/serverless/{control.good('POST', '/serverless', BALANCED)['id']}"

    assert control.refused("PATCH", path, {"scaling": ENDPOINT["scaling"]})[0] == 400


def test_the_kind_of_an_endpoint_cannot_be_changed() -> None:
    control = Control()

    assert control.refused("PATCH", f"/serverless/{made(control)}", {"type": "LOAD_BALANCER"})[0] == 422


# ------------------------------------------------------------------------------------------------ releases, workers


def test_a_new_image_is_a_new_release_for_which_workers_are_replaced() -> None:
    control = Control()
    endpoint_id = made(control)
    control.platform.register_worker(endpoint_id, "old")
    control.good("PATCH", f"/serverless/{endpoint_id}", {"image": "a/b:2"})
    control.platform.register_worker(endpoint_id, "new")
    told = control.good("GET", f"/serverless/{endpoint_id}/releases")

    assert told["rollout"] == {"inProgress": True, "workersOnLatest": 1, "workersTotal": 2, "percentOnLatest": 50}
    assert [one["version"] for one in told["releases"]] == [2, 1]
    assert told["releases"][0]["diff"] == [{"field": "image", "old": ENDPOINT["image"], "new": "a/b:2"}]
    workers = control.good("GET", f"/serverless/{endpoint_id}/workers")
    assert {one["id"]: one["isStale"] for one in workers["workers"]} == {"old": True, "new": False}


def test_more_workers_are_no_reason_to_replace_those_there_are() -> None:
    control = Control()
    endpoint_id = made(control)
    control.good("PATCH", f"/serverless/{endpoint_id}", {"workers": {"max": 9}, "timeout": 5000})

    assert control.platform.endpoints[endpoint_id].version == 1
    assert control.platform.endpoints[endpoint_id].settings.workers_max == 9
    told = control.good("GET", f"/serverless/{endpoint_id}/releases")
    assert [change["field"] for change in told["releases"][0]["diff"]] == ["workers.max", "timeout"]


def test_a_change_of_nothing_is_no_release() -> None:
    control = Control()
    endpoint_id = made(control)
    control.good("PATCH", f"/serverless/{endpoint_id}", {"name": ENDPOINT["name"]})

    assert len(control.good("GET", f"/serverless/{endpoint_id}/releases")["releases"]) == 1


def test_workers_are_listed_and_counted_by_what_they_do() -> None:
    control = Control()
    endpoint_id = made(control)
    waits = control.platform.register_worker(endpoint_id, "waits")
    control.platform.set_status(waits, "THROTTLED")
    control.platform.register_worker(endpoint_id, "starts")
    control.platform.polled(control.platform.endpoints[endpoint_id], "idles")
    control.clock.advance(50)
    told = control.good("GET", f"/serverless/{endpoint_id}/workers")

    assert told["summary"] == {
        "running": 0,
        "idle": 1,
        "initializing": 1,
        "throttled": 1,
        "unhealthy": 0,
        "total": 3,
    }
    by_id = {one["id"]: one for one in told["workers"]}
    assert by_id["idles"]["uptimeSeconds"] == 50
    assert by_id["idles"]["gpuTypeId"] == "NVIDIA GeForce RTX 4090"
    assert by_id["waits"]["gpuTypeId"] is by_id["waits"]["startedAt"] is None


# ------------------------------------------------------------------------------------------------ logs


def logged(control: Control) -> str:
    endpoint_id = made(control)
    for number in range(3):
        control.account.heard("w", f"line {number}")
        control.clock.advance(1)
    return f"/serverless/{endpoint_id}/workers/w/logs"


@pytest.mark.parametrize(
    ("query", "last_event", "lines"),
    [
        ("", "", ["line 0", "line 1", "line 2"]),
        ("?tail=1", "", ["line 2"]),
        ("?tail=0", "", []),
        ("?since=2026-06-01T14:00:01%2B02:00", "", ["line 1", "line 2"]),
        ("?tail=1", "2026-06-01T12:00:00Z/000000000000", ["line 1", "line 2"]),
    ],
)
def test_logs_come_as_events_from_where_one_wants_them(query: str, last_event: str, lines: list[str]) -> None:
    control = Control()
    reply = control.ask("GET", logged(control) + query, **({"last-event-id": last_event} if last_event else {}))

    assert reply.headers["content-type"].startswith("text/event-stream")
    assert re.findall('"line":"(.*)"', reply.text) == lines


def test_lines_that_come_after_an_event_come_though_the_oldest_were_forgotten() -> None:
    control = Control()
    path = logged(control)
    for number in range(KEPT_LINES + 3):
        control.account.heard("w", str(number))
    (event,) = control.ask("GET", f"{path}?tail=1").text.strip().split("\n\n")
    control.account.heard("w", "the next one")
    after = control.ask("GET", path, **{"last-event-id": event.split("\n")[0].removeprefix("id: ")})

    assert [json.loads(line[6:])["line"] for line in after.text.split("\n") if line.startswith("data: ")] == [
        "the next one"
    ]


@pytest.mark.parametrize("query", ["?tail=5001", "?tail=x", "?since=today"])
def test_a_place_in_a_log_that_cannot_be_read_is_refused(query: str) -> None:
    control = Control()

    assert control.refused("GET", logged(control) + query)[0] == 422


# ------------------------------------------------------------------------------------------------ reading, ending


def test_all_endpoints_are_listed_and_there_is_no_other_page() -> None:
    control = Control()
    ids = [made(control, name=name) for name in "ab"]
    told = control.good("GET", "/serverless")

    assert [one["id"] for one in told["endpoints"]] == ids
    assert told["pagination"] == {"nextCursor": None, "hasNextPage": False}


def test_lists_can_come_in_pages() -> None:
    control = Control(page_size=2)
    for name in "abc":
        made(control, name=name)
    first = control.good("GET", "/serverless")
    second = control.good("GET", f"/serverless?cursor={first['pagination']['nextCursor']}")

    assert [one["name"] for one in first["endpoints"] + second["endpoints"]] == ["a", "b", "c"]
    assert not second["pagination"]["hasNextPage"]


def test_an_endpoint_that_was_deleted_is_gone_everywhere() -> None:
    control = Control()
    endpoint_id = made(control)
    reply = control.ask("DELETE", f"/serverless/{endpoint_id}")

    assert (reply.status_code, reply.content) == (204, b"")
    assert endpoint_id not in control.platform.endpoints
    for path in ("", "/workers", "/releases"):
        assert control.refused("GET", f"/serverless/{endpoint_id}{path}") == (404, "resource not found")


def test_an_endpoint_of_the_platform_can_be_shown_as_if_it_were_made_here() -> None:
    control = Control()
    control.account.adopt(control.platform.add_endpoint("local"))
    told = control.good("GET", "/serverless/local")

    assert (told["name"], told["workers"]) == ("local", {"min": 0, "max": 3, "idleTimeout": 10})
    assert control.good("PATCH", "/serverless/local", {"workers": {"min": 1}})["workers"]["min"] == 1


def test_workers_run_up_what_the_bills_say() -> None:
    control = Control()
    endpoint_id = made(control)
    control.platform.polled(control.platform.endpoints[endpoint_id], "w")
    control.clock.advance(50)
    (record,) = control.good("GET", f"/billing/serverless?lastN=1&serverlessId={endpoint_id}")["records"]

    assert record["totalAmount"] == pytest.approx(50 * 0.00031)
