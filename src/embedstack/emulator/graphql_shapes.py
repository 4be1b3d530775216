"""Inputs of RunPod's GraphQL -> bodies of its REST v2, and pages of REST v2 -> what GraphQL calls them (pure)."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from embedstack.emulator.control_machines import Card, card
from embedstack.emulator.graphql_text import Value

Json: TypeAlias = dict[str, object]
Input: TypeAlias = Mapping[str, Value]
Tree: TypeAlias = Mapping[str, object]
"""What can be asked for of something: plain values, trees, lists of them, and functions where there are arguments."""

OWNER = "user_local"
TIMEOUT_MS = 600_000  # of an endpoint made here, whose inputs the SDK sends without one
DEFAULT_CPU = "cpu3c-2-4"  # of a pod without GPU whose instance is not named
ALL_CLOUDS = "ALL"


class Unusable(Exception):
    """An input that cannot be meant; the message is the reply's."""


def text(given: Input, name: str) -> str:
    """A text of the input; empty where it is missing or null."""
    value = given.get(name)
    return value if isinstance(value, str) else ""


def number(given: Input, name: str, default: int) -> int:
    """A whole number of the input.

    Raises:
        Unusable: it is something else.
    """
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable(f'Field "{name}" must be an Int.')
    return value


def commas(given: Input, name: str) -> list[str]:
    """A list that is written with commas."""
    return [part.strip() for part in text(given, name).split(",") if part.strip()]


# ------------------------------------------------------------------------------------------------ into REST v2


def environment(given: Input) -> dict[str, str]:
    """`[{key: "A", value: "b"}]`"""
    pairs = given.get("env")
    found = [pair for pair in pairs if isinstance(pair, dict)] if isinstance(pairs, list) else []
    return {text(pair, "key"): text(pair, "value") for pair in found}


def template_body(given: Input) -> Json:
    """POST /v2/templates"""
    size, path = number(given, "volumeInGb", 0), text(given, "volumeMountPath")
    return {
        "name": text(given, "name"),
        "image": text(given, "imageName"),
        "args": text(given, "dockerArgs"),
        "disk": number(given, "containerDiskInGb", 10),
        "ports": commas(given, "ports"),
        "env": environment(given),
        "registry": text(given, "containerRegistryAuthId") or None,
        "serverless": given.get("isServerless") is True,
        "public": given.get("isPublic") is True,
        **({"mounts": {"persistent": {"size": size, "path": path or "/workspace"}}} if size else {}),
    }


def endpoint_body(given: Input) -> Json:
    """POST /v2/serverless, and PATCH but for what cannot be changed."""
    kind, value = text(given, "scalerType") or "QUEUE_DELAY", number(given, "scalerValue", 4)
    ids = commas(given, "gpuIds") or ["AMPERE_16"]
    gpu: Json = {"pools": [one for one in ids if not one.startswith("-")], "count": number(given, "gpuCount", 1)}
    if excluded := [one[1:] for one in ids if one.startswith("-")]:
        gpu["excludedTypes"] = excluded
    if versions := commas(given, "allowedCudaVersions"):
        gpu["allowedCudaVersions"] = versions
    workers: Json = {"min": number(given, "workersMin", 0), "max": number(given, "workersMax", 3)}
    if kind == "QUEUE_DELAY":  # the only kind that has one, in REST v2
        workers["idleTimeout"] = number(given, "idleTimeout", 5)
    counts = {"QUEUE_DELAY": "queueDelay", "REQUEST_COUNT": "requestCount"}
    if kind not in counts:
        raise Unusable(f'Value "{kind}" is no scalerType.')
    return {
        "name": text(given, "name"),
        "gpu": gpu,
        "workers": workers,
        "scaling": {"type": kind, counts[kind]: value},
        "dataCenterIds": commas(given, "locations"),
        "networkVolumes": [one] if (one := text(given, "networkVolumeId")) else [],
        "timeout": number(given, "executionTimeoutMs", TIMEOUT_MS) or TIMEOUT_MS,
        "flashboot": text(given, "flashBootType") or "OFF",
    }


def pod_body(given: Input, *, is_cpu: bool, known_templates: Mapping[str, object]) -> Json:
    """POST /v2/pods. A template of RunPod's own, which is not known here, is left out where there is an image."""
    body: Json = {"name": text(given, "name"), "env": environment(given)}
    for name, key in (("imageName", "image"), ("dockerArgs", "args")):
        if text(given, name):
            body[key] = text(given, name)
    if ports := commas(given, "ports"):
        body["ports"] = ports
    template_id = text(given, "templateId")
    if template_id and (template_id in known_templates or "image" not in body):
        body["templateId"] = template_id
    if disk := number(given, "containerDiskInGb", 0):
        body["disk"] = disk
    if place := text(given, "dataCenterId"):
        body["dataCenterIds"] = [place]
    if is_cpu:
        flavor, vcpus, *_ = [*(text(given, "instanceId") or DEFAULT_CPU).split("-"), ""]
        body["cpu"] = {"id": flavor, "vcpuCount": int(vcpus) if vcpus.isdecimal() else 0}
    else:
        body["gpu"] = {"id": text(given, "gpuTypeId"), "count": number(given, "gpuCount", 1)}
        body["cloud"] = _cloud(text(given, "cloudType"), card(text(given, "gpuTypeId")))
    return {**body, **_mounts(given, is_cpu=is_cpu)}


def _cloud(wanted: str, found: Card | None) -> str:
    if wanted not in ("", ALL_CLOUDS):
        return wanted
    return "COMMUNITY" if found and found.secure is None and found.community is not None else "SECURE"


def _mounts(given: Input, *, is_cpu: bool) -> Json:
    path = text(given, "volumeMountPath") or "/workspace"
    if volume_id := text(given, "networkVolumeId"):
        return {"mounts": {"network": [{"volumeId": volume_id, "path": path}]}}
    size = number(given, "volumeInGb", 0)
    return {"mounts": {"persistent": {"size": size, "path": path}}} if size and not is_cpu else {}


# ------------------------------------------------------------------------------------------------ out of REST v2


def template_tree(page: Mapping[str, object]) -> Tree:
    """A template."""
    mounts = _of(_of(page, "mounts"), "persistent")
    return {
        "id": page["id"],
        "name": page["name"],
        "imageName": page["image"],
        "dockerArgs": page["args"],
        "containerDiskInGb": page["disk"],
        "volumeInGb": mounts.get("size", 0),
        "volumeMountPath": mounts.get("path", ""),
        "ports": _joined(page["ports"]),
        "env": _pairs(_of(page, "env")),
        "isServerless": page["serverless"],
        "isPublic": page["public"],
        "containerRegistryAuthId": page["registry"] or "",
        "startSsh": page["startSsh"],
        "readme": "",
    }


def endpoint_tree(page: Mapping[str, object], template_id: str, version: int) -> Tree:
    """An endpoint."""
    gpu, workers, scaling = _of(page, "gpu"), _of(page, "workers"), _of(page, "scaling")
    volumes, places = _list(page, "networkVolumes"), _list(page, "dataCenterIds")
    excluded = [f"-{one}" for one in _list(gpu, "excludedTypes")]
    volume = {"id": volumes[0], "dataCenterId": places[0] if places else ""} if volumes else None
    return {
        "id": page["id"],
        "name": page["name"],
        "templateId": template_id,
        "gpuIds": _joined([*_list(gpu, "pools"), *excluded]),
        "gpuCount": gpu.get("count", 0),
        "networkVolumeId": volumes[0] if volumes else "",
        "networkVolume": volume,
        "locations": _joined(places),
        "idleTimeout": workers.get("idleTimeout", 5),
        "scalerType": scaling["type"],
        "scalerValue": int(_number(scaling.get("queueDelay", scaling.get("requestCount", 4)))),
        "workersMin": workers["min"],
        "workersMax": workers["max"],
        "workersStandby": workers["min"],
        "allowedCudaVersions": _joined(_list(gpu, "allowedCudaVersions")),
        "flashBootType": page["flashboot"],
        "executionTimeoutMs": page["timeout"],
        "aiKey": "",
        "env": _pairs(_of(page, "env")),
        "type": "QB" if page["type"] == "QUEUE" else "LB",
        "userId": OWNER,
        "version": version,
        "createdAt": page["createdAt"],
    }


def pod_tree(page: Mapping[str, object]) -> Tree:
    """A pod."""
    gpu, cpu, mounts = _of(page, "gpu"), _of(page, "cpu"), _of(_of(page, "mounts"), "persistent")
    runtime, found = _of(page, "runtime"), card(str(_of(page, "gpu").get("id", "")))
    status, machine_id = str(page["status"]), f"machine-{page['id']}"
    return {
        "id": page["id"],
        "name": page["name"],
        "imageName": page["image"],
        "dockerArgs": page["args"],
        "dockerId": None,
        "containerDiskInGb": page["disk"],
        "volumeInGb": mounts.get("size", 0),
        "volumeMountPath": mounts.get("path", ""),
        "env": [f"{key}={value}" for key, value in _of(page, "env").items()],
        "ports": _joined(page["ports"]),
        "port": None,
        "costPerHr": page["cost"],
        "desiredStatus": status if status in ("EXITED", "TERMINATED") else "RUNNING",
        "lastStatusChange": page["createdAt"],
        "gpuCount": gpu.get("count", 0),
        "vcpuCount": cpu.get("vcpuCount", 0),
        "memoryInGb": cpu.get("memory", 0),
        "podType": "RESERVED",
        "uptimeSeconds": runtime.get("uptime", 0),
        "machineId": machine_id,
        "machine": {"podHostId": f"{page['id']}-64411eb2", "gpuDisplayName": found.name if found else ""},
        "runtime": {"ports": [_port(port) for port in _list(runtime, "ports")]} if runtime else None,
    }


def _port(port: object) -> Tree:
    given = port if isinstance(port, dict) else {}
    return {
        "ip": given.get("ip"),
        "isIpPublic": True,
        "privatePort": given.get("private"),
        "publicPort": given.get("public"),
        "type": given.get("type"),
    }


def gpu_tree(found: Card) -> Tree:
    """A GPU type. Prices by the week or month, and for what may be taken away, are not known here."""

    def lowest(arguments: Input) -> Tree:
        return {"minimumBidPrice": None, "uninterruptablePrice": found.secure or found.serverless}

    unknown = ("oneMonthPrice", "threeMonthPrice", "oneWeekPrice", "communitySpotPrice", "secureSpotPrice")
    price: Callable[[Input], Tree] = lowest
    return {
        "id": found.id,
        "displayName": found.name,
        "memoryInGb": found.memory,
        "maxGpuCount": 8,
        "manufacturer": "Nvidia",
        "cudaCores": 0,
        "secureCloud": True,
        "communityCloud": found.community is not None,
        "securePrice": found.price("SECURE"),
        "communityPrice": found.community,
        **dict.fromkeys(unknown),
        "lowestPrice": price,
    }


def volume_tree(page: Mapping[str, object]) -> Tree:
    """A network volume."""
    return {"id": page["id"], "name": page["name"], "size": page["size"], "dataCenterId": page["dataCenter"]}


def _of(page: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = page.get(key)
    return value if isinstance(value, dict) else {}


def _list(page: Mapping[str, object], key: str) -> list[object]:
    value = page.get(key)
    return value if isinstance(value, list) else []


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _joined(values: object) -> str:
    return ",".join(str(value) for value in values) if isinstance(values, list) else ""


def _pairs(env: Mapping[str, object]) -> list[Tree]:
    return [{"key": key, "value": value} for key, value in env.items()]
