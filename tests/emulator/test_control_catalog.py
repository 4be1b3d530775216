"""The catalog of REST v2: what there is, and how much of it is free where one asks."""

import pytest

from embedstack.emulator.billing import GPU_POOLS
from support.controlling import Control

STOCK = "include=AVAILABILITY&product=POD"


def gpus(control: Control, query: str = "") -> dict[str, dict[str, object]]:
    return {gpu["id"]: gpu for gpu in control.good("GET", f"/catalog/gpus?{query}")["gpus"]}


def test_every_serverless_pool_has_a_gpu() -> None:
    assert {gpu["pool"] for gpu in gpus(Control()).values()} == set(GPU_POOLS)


def test_the_stock_is_told_only_where_it_is_asked_for() -> None:
    control = Control()
    card = "NVIDIA GeForce RTX 4090"

    assert "availability" not in gpus(control)[card]
    assert gpus(control, STOCK)[card]["availability"] == "HIGH"


def test_what_is_not_free_has_no_data_centers() -> None:
    control = Control()
    control.account.catalog.levels["NVIDIA L4"] = "NONE"
    card = gpus(control, STOCK)["NVIDIA L4"]

    assert card["availability"] == "NONE"
    assert "dataCenters" not in card
    assert not any(version["available"] for version in card["cudaVersions"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("gpus?include=AVAILABILITY", 400),
        ("gpus?product=POD", 400),
        ("gpus?count=2", 400),
        ("gpus?include=PRICES", 422),
        (f"gpus?{STOCK}&count=0", 422),
        (f"gpus?{STOCK}&countryCodes=fr", 422),
        (f"gpus?{STOCK}&cudaVersions=12", 422),
        (f"gpus?{STOCK}&cudaVersions=12.8&minCudaVersion=12", 400),
        ("cpus?vcpuCount=4", 400),
        (f"cpus?{STOCK}&vcpuCount=6", 400),
        ("datacenters?regions=MOON", 422),
        ("datacenters?globalNetwork=maybe", 422),
        ("templates?source=mine", 422),
        ("gpus/NVIDIA%20T4", 404),
        ("cpus/cpu9", 404),
        ("datacenters/MOON-1", 404),
    ],
)
def test_a_query_that_breaks_a_rule_is_refused(path: str, status: int) -> None:
    assert Control().refused("GET", f"/catalog/{path}")[0] == status


def test_parameters_that_are_not_known_are_overlooked() -> None:
    assert gpus(Control(), "colour=red")


def test_cuda_versions_are_compared_as_numbers() -> None:
    found = gpus(Control(), f"{STOCK}&minCudaVersion=12.5")["NVIDIA L4"]["cudaVersions"]

    assert [version["version"] for version in found] == ["12.8", "12.6"]


def test_countries_narrow_the_data_centers() -> None:
    control = Control()
    found = gpus(control, f"{STOCK}&countryCodes=RO")["NVIDIA L4"]["dataCenters"]

    assert [place["id"] for place in found] == ["EU-RO-1"]
    assert gpus(control, f"{STOCK}&countryCodes=FR") == {}
    one = control.good("GET", f"/catalog/gpus/NVIDIA%20L4?{STOCK}&countryCodes=FR")
    assert one["availability"] == "NONE"


def test_data_centers_are_found_by_region_and_show_what_they_offer() -> None:
    told = Control().good("GET", "/catalog/datacenters?regions=EUROPE,ASIA&include=GPU_AVAILABILITY")

    assert [center["id"] for center in told["dataCenters"]] == ["EU-RO-1"]
    assert {"id": "NVIDIA L4", "name": "L4", "availability": "HIGH"} in told["dataCenters"][0]["gpuAvailability"]


def test_one_of_each_can_be_read() -> None:
    control = Control()

    assert control.good("GET", "/catalog/gpus/NVIDIA%20H200")["memory"] == 141
    assert control.good("GET", f"/catalog/cpus/cpu3g?{STOCK}")["ramGbPerVcpu"] == 4
    assert control.good("GET", "/catalog/datacenters/US-KS-2")["region"] == "NORTH_AMERICA"
