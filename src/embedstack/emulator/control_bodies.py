"""Bodies of REST v2: the bytes of a request become one of these structs, or a 422 that says what is wrong with them.

All are closed: a key that is not known is an error. What is unset was not sent, so that a PATCH leaves it alone.
"""

import re
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from embedstack.emulator.control_problem import Problem, invalid

T = TypeVar("T", bound=Struct)

Name = Annotated[str, Meta(min_length=1)]
CudaVersion = Annotated[str, Meta(pattern=r"^\d+\.\d+$")]
Card = Annotated[str, Meta(pattern=r"^\s*[^-\s]")]
Count = Annotated[int, Meta(ge=1)]
VolumeSize = Annotated[int, Meta(ge=10, le=4096)]
Variable = Annotated[str, Meta(pattern=r"^[^=\x00]+$")]  # what else no process can have, and RunPod's document allows
VariableValue = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
EndpointKind = Literal["QUEUE", "LOAD_BALANCER"]
FlashBoot = Literal["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]
Cloud = Literal["SECURE", "COMMUNITY"]
Category = Literal["CPU", "NVIDIA", "AMD"]
VolumeKind = Literal["STANDARD", "HIGH_PERFORMANCE"]


class Closed(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A body, or a part of one."""


class Container(Closed, frozen=True, kw_only=True):
    """What templates, pods and endpoints have in common."""

    args: str | UnsetType = UNSET
    disk: Count | UnsetType = UNSET
    env: dict[Variable, VariableValue] | UnsetType = UNSET
    image: str | UnsetType = UNSET
    ports: list[str] | UnsetType = UNSET
    registry: str | UnsetType | None = UNSET


# ------------------------------------------------------------------------------------------------ parts


class QueueDelay(Closed, frozen=True, tag_field="type", tag="QUEUE_DELAY"):
    """Grow by how long jobs wait."""

    queue_delay: Annotated[float, Meta(ge=0.5)]


class RequestCount(Closed, frozen=True, tag_field="type", tag="REQUEST_COUNT"):
    """Grow by how many there are."""

    request_count: Count


Scaling = QueueDelay | RequestCount


class Workers(Closed, frozen=True, kw_only=True):
    """How many, and how long they idle."""

    min: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    max: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    idle_timeout: Annotated[int, Meta(ge=1, le=3600)] | UnsetType = UNSET


class Cpu(Closed, frozen=True, kw_only=True):
    """A flavor and its size."""

    id: Name
    vcpu_count: Annotated[int, Meta(ge=2)]


class Pools(Closed, frozen=True, kw_only=True):
    """GPUs of an endpoint, as one that exists is changed."""

    pools: Annotated[list[str], Meta(min_length=1)] | UnsetType = UNSET
    excluded_types: list[Card] | UnsetType = UNSET
    count: Count | UnsetType = UNSET
    allowed_cuda_versions: list[CudaVersion] | UnsetType = UNSET
    min_cuda_version: Annotated[str, Meta(pattern=r"^$|^\d+\.\d+$")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.excluded_types is not UNSET:
            if self.pools is UNSET:
                raise ValueError("properties 'pools' required, if 'excludedTypes' exists")
            if len(set(self.excluded_types)) < len(self.excluded_types):
                raise ValueError("items of 'excludedTypes' are equal")


class NewPools(Pools, frozen=True, kw_only=True):
    """GPUs of an endpoint, as one is made."""

    pools: Annotated[list[str], Meta(min_length=1)]
    min_cuda_version: CudaVersion | UnsetType = UNSET


class PodGpu(Closed, frozen=True, kw_only=True):
    """GPUs of a pod."""

    id: str
    count: Count = 1
    allowed_cuda_versions: list[CudaVersion] | UnsetType = UNSET
    min_cuda_version: CudaVersion | UnsetType = UNSET


class PersistentMount(Closed, frozen=True, kw_only=True):
    """Storage of the pod's machine."""

    size: Annotated[int, Meta(ge=10)]
    path: str


class NetworkMount(Closed, frozen=True, kw_only=True):
    """A network volume."""

    volume_id: str
    path: str


class Mounts(Closed, frozen=True, kw_only=True):
    """Storage of a pod."""

    persistent: PersistentMount | UnsetType = UNSET
    network: Annotated[list[NetworkMount], Meta(max_length=1)] | UnsetType = UNSET


class TemplateMounts(Closed, frozen=True, kw_only=True):
    """Storage of a template."""

    persistent: PersistentMount | UnsetType = UNSET


# ------------------------------------------------------------------------------------------------ endpoints


class NewEndpoint(Container, frozen=True, kw_only=True):
    """POST /v2/serverless."""

    name: Name
    type: EndpointKind
    scaling: Scaling
    gpu: NewPools | UnsetType = UNSET
    cpu: Annotated[list[Cpu], Meta(min_length=1)] | UnsetType = UNSET
    data_center_ids: list[str] = []
    flashboot: FlashBoot = "OFF"
    network_volumes: list[str] = []
    template_id: Name | UnsetType = UNSET
    timeout: int = 300_000
    workers: Workers = Workers()

    def __post_init__(self) -> None:
        _image_or_template(self.image, self.template_id)
        _all_differ(self.cpu)
        if self.type == "LOAD_BALANCER" and isinstance(self.scaling, QueueDelay):
            raise ValueError("'scaling' of a LOAD_BALANCER must be of type REQUEST_COUNT")


class EndpointChange(Container, frozen=True, kw_only=True):
    """PATCH /v2/serverless/{id}."""

    name: Name | UnsetType = UNSET
    scaling: Scaling | UnsetType = UNSET
    gpu: Pools | UnsetType = UNSET
    cpu: Annotated[list[Cpu], Meta(min_length=1)] | UnsetType = UNSET
    data_center_ids: list[str] | UnsetType = UNSET
    flashboot: FlashBoot | UnsetType = UNSET
    network_volumes: list[str] | UnsetType = UNSET
    template_id: str | UnsetType = UNSET
    timeout: int | UnsetType = UNSET
    workers: Workers | UnsetType = UNSET

    def __post_init__(self) -> None:
        _all_differ(self.cpu)


# ------------------------------------------------------------------------------------------------ pods


class NewPod(Container, frozen=True, kw_only=True):
    """POST /v2/pods."""

    name: Name
    cloud: Cloud = "SECURE"
    cpu: Cpu | UnsetType = UNSET
    data_center_ids: list[str] = []
    global_networking: bool = False
    gpu: PodGpu | UnsetType = UNSET
    mounts: Mounts | UnsetType = UNSET
    start_jupyter: bool | UnsetType = UNSET
    start_ssh: bool | UnsetType = UNSET
    template_id: Name | UnsetType = UNSET

    def __post_init__(self) -> None:
        _image_or_template(self.image, self.template_id)


class PodChange(Container, frozen=True, kw_only=True):
    """PATCH /v2/pods/{id}."""

    global_networking: bool | UnsetType = UNSET
    locked: bool | UnsetType = UNSET
    mounts: Mounts | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    template_id: str | UnsetType = UNSET


class PodAction(Closed, frozen=True):
    """POST /v2/pods/{id}/action."""

    action: Literal["start", "stop", "restart", "terminate"]


# ------------------------------------------------------------------------------------------------ the rest


class NewTemplate(Container, frozen=True, kw_only=True):
    """POST /v2/templates."""

    name: Name
    image: str
    allowed_cuda_versions: list[CudaVersion] = []
    category: Category = "NVIDIA"
    mounts: TemplateMounts = TemplateMounts()
    public: bool = False
    serverless: bool = False
    start_jupyter: bool = True
    start_ssh: bool = True


class TemplateChange(Container, frozen=True, kw_only=True):
    """PATCH /v2/templates/{id}."""

    name: Name | UnsetType = UNSET
    allowed_cuda_versions: list[CudaVersion] | UnsetType = UNSET
    category: Category | UnsetType = UNSET
    mounts: TemplateMounts | UnsetType = UNSET
    public: bool | UnsetType = UNSET
    serverless: bool | UnsetType = UNSET
    start_jupyter: bool | UnsetType = UNSET
    start_ssh: bool | UnsetType = UNSET


class NewVolume(Closed, frozen=True, kw_only=True):
    """POST /v2/network-volumes."""

    name: Name
    size: VolumeSize
    data_center: Name
    type: VolumeKind | UnsetType = UNSET


class VolumeChange(Closed, frozen=True, kw_only=True):
    """PATCH /v2/network-volumes/{id}."""

    name: Name | UnsetType = UNSET
    size: VolumeSize | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.name is UNSET and self.size is UNSET:
            raise ValueError("minimum 1 properties allowed, but found 0 properties")


class NewRegistry(Closed, frozen=True, kw_only=True):
    """POST /v2/registries."""

    name: Name
    username: Name
    password: Name


# ------------------------------------------------------------------------------------------------ reading


def read(body: bytes, kind: type[T]) -> T:
    """The body of a request.

    Raises:
        Problem: 400 where it is no JSON, 422 where it is of another shape.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        if _is_json(body):
            raise invalid(_worded(str(error))) from error
        raise _unreadable() from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable() from error


def _is_json(body: bytes) -> bool:
    """A wrong shape is seen before the end is: what follows may be no JSON."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _unreadable() -> Problem:
    return Problem(400, "request could not be processed")


def _worded(said: str) -> str:
    """Place first, as the document's example has it: `$: additional properties 'bogus' not allowed`."""
    what, _, place = said.rpartition(" - at ")
    what, place = (what, place.removeprefix("`key` in ").strip("`")) if what else (said, "$")
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        what = f"additional properties {found[1]!r} not allowed"
    elif found := re.fullmatch(r"Object missing required field `(.*)`", what):
        what = f"missing property {found[1]!r}"
    elif place.startswith("$.env") and "regex" in what:
        what = "no variable may have '=' or a zero byte in its name, or a zero byte in its value"
    return f"{place}: {what}"


def _image_or_template(image: str | UnsetType, template_id: str | UnsetType) -> None:
    if image is UNSET and template_id is UNSET:
        raise ValueError("missing property 'image'")


def _all_differ(cpus: list[Cpu] | UnsetType) -> None:
    if cpus is not UNSET and len(set(cpus)) < len(cpus):
        raise ValueError("items of 'cpu' are equal")
