"""The pages of REST v2's catalog: what machines there are, what they cost, and how many are free."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from embedstack.emulator import control_machines as machines
from embedstack.emulator.billing import HOUR_S, VCPU
from embedstack.emulator.control_machines import CARDS, CENTERS, COMPLIANCE, FLAVORS, VOLUME_KINDS, Card, Center, Flavor
from embedstack.emulator.control_problem import invalid, missing
from embedstack.emulator.control_query import Wanted, cpu_query, gpu_query, listed

Level = Literal["NONE", "LOW", "MEDIUM", "HIGH"]
Json = dict[str, object]

INCLUDES = ("GPU_AVAILABILITY", "CPU_AVAILABILITY")
# the rest of what the document knows, which no data centre here has
OTHER_REGIONS = {"SOUTH_AMERICA", "ASIA", "MIDDLE_EAST", "AFRICA", "OCEANIA", "ANTARCTICA", "UNKNOWN"}
OTHER_COMPLIANCE = {
    "GDPR",
    "ISO_14001",
    "PCI_DSS",
    "HITRUST",
    "SOC_1_TYPE_2",
    "SOC_3_TYPE_2",
    "ITAR",
    "FISMA_HIGH",
    "HIPAA",
    "RENEWABLE",
}


@dataclass(slots=True)
class Catalog:
    """How much of what there is is free: plenty of all until `levels` says otherwise, by id."""

    levels: dict[str, Level] = field(default_factory=dict)

    def level(self, resource_id: str) -> Level:
        """How much of it is free."""
        return self.levels.get(resource_id, "HIGH")

    # -------------------------------------------------------------------------------------------- pages

    def gpus(self, query: Mapping[str, str]) -> list[Json]:
        """GET /v2/catalog/gpus"""
        wanted = gpu_query(query)
        if wanted is None:
            return [self._gpu(card) for card in CARDS]
        return [self._gpu(card, wanted) for card in CARDS] if wanted.centers else []

    def gpu(self, card_id: str, query: Mapping[str, str]) -> Json:
        """GET /v2/catalog/gpus/{id}"""
        wanted, card = gpu_query(query), machines.card(card_id)
        if card is None:
            raise missing()
        return self._gpu(card, wanted)

    def cpus(self, query: Mapping[str, str]) -> list[Json]:
        """GET /v2/catalog/cpus"""
        is_stock = cpu_query(query)
        return [self._cpu(flavor, is_stock) for flavor in FLAVORS]

    def cpu(self, flavor_id: str, query: Mapping[str, str]) -> Json:
        """GET /v2/catalog/cpus/{id}"""
        is_stock, flavor = cpu_query(query), machines.flavor(flavor_id)
        if flavor is None:
            raise missing()
        return self._cpu(flavor, is_stock)

    def centers(self, query: Mapping[str, str]) -> list[Json]:
        """GET /v2/catalog/datacenters"""
        include = listed(query, "include", INCLUDES)
        regions = listed(query, "regions", {*(center.region for center in CENTERS), *OTHER_REGIONS})
        needed = set(listed(query, "compliance", {*COMPLIANCE, *OTHER_COMPLIANCE}))
        listed(query, "networkVolumeTypes", VOLUME_KINDS)
        if query.get("globalNetwork", "true") not in ("true", "false"):
            raise invalid("$.globalNetwork: must be true or false")
        if not needed <= set(COMPLIANCE) or query.get("globalNetwork") == "false":
            return []
        return [self._center(center, include) for center in CENTERS if not regions or center.region in regions]

    def one_center(self, center_id: str, query: Mapping[str, str]) -> Json:
        """GET /v2/catalog/datacenters/{id}"""
        include = listed(query, "include", INCLUDES)
        center = machines.center(center_id)
        if center is None:
            raise missing()
        return self._center(center, include)

    # -------------------------------------------------------------------------------------------- rows

    def _gpu(self, card: Card, wanted: Wanted | None = None) -> Json:
        row: Json = {
            "id": card.id,
            "name": card.name,
            "pool": card.pool,
            "manufacturer": "NVIDIA",
            "memory": card.memory,
            "secure": True,
            "community": card.community is not None,
            "price": {
                "secure": card.price("SECURE"),
                "community": card.price("COMMUNITY"),
                "serverless": card.serverless,
            },
            "maxCount": {
                "secure": machines.MOST_GPUS,
                "community": machines.MOST_GPUS if card.community is not None else 0,
            },
        }
        if wanted is None:
            return row
        level = self.level(card.id) if wanted.can_be(card) and wanted.centers else "NONE"
        row |= {"availability": level, "cudaVersions": [_cuda(version, level) for version in wanted.cuda]}
        if level != "NONE":
            row["dataCenters"] = [self._place(center, level) for center in wanted.centers]
        return row

    def _cpu(self, flavor: Flavor, is_stock: bool) -> Json:
        row: Json = {
            "id": flavor.id,
            "name": flavor.name,
            "group": flavor.group,
            "vcpu": {"min": machines.LEAST_VCPUS, "max": machines.MOST_VCPUS},
            "ramGbPerVcpu": flavor.ram_gb_per_vcpu,
            "price": {"securePerVcpu": machines.POD_VCPU, "serverlessPerVcpu": round(VCPU * HOUR_S, 4)},
        }
        level = self.level(flavor.id)
        if is_stock:
            row["availability"] = level
            if level != "NONE":
                row["dataCenters"] = [self._place(center, level) for center in CENTERS]
        return row

    def _center(self, center: Center, include: Iterable[str]) -> Json:
        row: Json = {
            "id": center.id,
            "name": center.name,
            "region": center.region,
            "globalNetwork": True,
            "networkVolumeTypes": list(VOLUME_KINDS),
            "compliance": list(COMPLIANCE),
        }
        for key, name, found in (
            ("GPU_AVAILABILITY", "gpuAvailability", CARDS),
            ("CPU_AVAILABILITY", "cpuAvailability", FLAVORS),
        ):
            if key in include:
                row[name] = [{"id": one.id, "name": one.name, "availability": self.level(one.id)} for one in found]
        return row

    def _place(self, center: Center, level: Level) -> Json:
        return {"id": center.id, "name": center.name, "availability": level}


def _cuda(version: str, level: Level) -> Json:
    return {"version": version, "available": level != "NONE"}
