"""Templates, network volumes and credentials of REST v2."""

import pytest

from support.controlling import POD, Control

TEMPLATE = {"name": "t", "image": "a/b:1"}
VOLUME = {"name": "data", "size": 50, "dataCenter": "US-KS-2"}
REGISTRY = {"name": "hub", "username": "somebody", "password": "correct-horse"}


@pytest.mark.parametrize(
    ("path", "key", "body"),
    [
        ("/templates", "templates", TEMPLATE),
        ("/network-volumes", "networkVolumes", VOLUME),
        ("/registries", "registries", REGISTRY),
    ],
)
def test_what_was_stored_is_listed_read_and_deleted(path: str, key: str, body: dict[str, object]) -> None:
    control = Control()
    told = control.good("POST", path, body)

    assert control.good("GET", path)[key] == [told]
    assert control.good("GET", f"{path}/{told['id']}") == told
    assert control.ask("DELETE", f"{path}/{told['id']}").status_code == 204
    assert control.refused("GET", f"{path}/{told['id']}") == (404, "resource not found")


def test_a_template_has_the_defaults_of_the_document() -> None:
    told = Control().good("POST", "/templates", TEMPLATE)

    assert (told["category"], told["startSsh"], told["startJupyter"], told["serverless"]) == (
        "NVIDIA",
        True,
        True,
        False,
    )
    assert (told["mounts"], told["allowedCudaVersions"]) == ({}, [])


def test_a_change_of_a_template_leaves_what_it_does_not_name() -> None:
    control = Control()
    told = control.good("POST", "/templates", {**TEMPLATE, "env": {"A": "1"}})

    assert control.good("PATCH", f"/templates/{told['id']}", {"name": "u"}) == {**told, "name": "u"}


def test_empty_mounts_change_nothing() -> None:
    control = Control()
    mounts = {"persistent": {"size": 20, "path": "/w"}}
    path = f"/templates/{control.good('POST', '/templates', {**TEMPLATE, 'mounts': mounts})['id']}"

    assert control.good("PATCH", path, {"mounts": {}})["mounts"] == mounts


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/templates", {**TEMPLATE, "bogus": 1}),
        ("/templates", {"name": "t"}),
        ("/templates", {**TEMPLATE, "mounts": {"network": []}}),
        ("/network-volumes", {**VOLUME, "size": 9}),
        ("/network-volumes", {**VOLUME, "size": 4097}),
        ("/network-volumes", {**VOLUME, "type": "FAST"}),
        ("/registries", {**REGISTRY, "password": ""}),
    ],
)
def test_a_body_of_another_shape_is_refused(path: str, body: dict[str, object]) -> None:
    assert Control().refused("POST", path, body)[0] == 422


def test_a_volume_only_grows() -> None:
    control = Control()
    path = f"/network-volumes/{control.good('POST', '/network-volumes', VOLUME)['id']}"

    assert control.good("PATCH", path, {"size": 100})["size"] == 100
    assert control.refused("PATCH", path, {"size": 99})[0] == 400
    assert control.refused("PATCH", path, {})[0] == 422


def test_a_volume_is_in_a_data_center_that_there_is() -> None:
    assert Control().refused("POST", "/network-volumes", {**VOLUME, "dataCenter": "MOON-1"})[0] == 400


def test_a_password_is_never_told() -> None:
    control = Control()
    control.good("POST", "/registries", REGISTRY)

    assert "correct-horse" not in control.ask("GET", "/registries").text


def test_a_credential_that_a_pod_uses_stays_and_templates_lose_one() -> None:
    control = Control()
    registry_id = control.good("POST", "/registries", REGISTRY)["id"]
    template_id = control.good("POST", "/templates", {**TEMPLATE, "registry": registry_id})["id"]
    pod_id = control.good("POST", "/pods", {**POD, "registry": registry_id})["id"]

    assert control.refused("DELETE", f"/registries/{registry_id}")[0] == 400
    control.ask("DELETE", f"/pods/{pod_id}")
    assert control.ask("DELETE", f"/registries/{registry_id}").status_code == 204
    assert control.good("GET", f"/templates/{template_id}")["registry"] is None
