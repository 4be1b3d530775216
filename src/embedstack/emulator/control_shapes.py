"""What templates, volumes and credentials are, as REST v2 shows them; how a body goes over what was there before."""

from datetime import datetime, timezone
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct

from embedstack.emulator.control_bodies import Category, Closed, Container, TemplateMounts, VolumeKind

T = TypeVar("T", bound=Struct)
Fields = dict[str, Any]
"""Fields of a struct by name: their types differ, and the struct that takes them has them."""

CONTAINER = ("args", "disk", "env", "image", "ports", "registry")
DISK_GB = 20  # of an endpoint that does not say: the document's example of a CPU endpoint
POD_DISK_GB = 50  # of a pod: runpod/docs api-reference v1, which v2 does not contradict


class Shown(Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that has an id."""

    id: str
    name: str


class Template(Shown, frozen=True, kw_only=True):
    """Settings of containers, to be taken once by a pod or an endpoint."""

    image: str
    args: str = ""
    disk: int = DISK_GB
    mounts: TemplateMounts = TemplateMounts()
    ports: list[str] = []
    env: dict[str, str] = {}
    registry: str | None = None
    serverless: bool = False
    public: bool = False
    category: Category = "NVIDIA"
    start_ssh: bool = True
    start_jupyter: bool = True
    allowed_cuda_versions: list[str] = []


class Volume(Shown, frozen=True, kw_only=True):
    """Storage in a network."""

    size: int
    data_center: str
    type: VolumeKind = "STANDARD"


class Registry(Shown, frozen=True, kw_only=True):
    """A credential, of which only the name is told."""


def shown(one: Struct) -> dict[str, object]:
    """As JSON has it."""
    return msgspec.to_builtins(one)  # type: ignore[no-any-return]


def sent(body: Closed) -> Fields:
    """What a body names."""
    named = {name: getattr(body, name) for name in body.__struct_fields__}
    return {name: value for name, value in named.items() if value is not UNSET}


def container(body: Container, template: Template | None) -> Fields:
    """Settings of the container that a body names, over those of its template; `env` is merged key by key."""
    named = {name: value for name, value in sent(body).items() if name in CONTAINER}
    if template is None:
        return named
    base = {name: getattr(template, name) for name in CONTAINER}
    if "env" in named:
        named["env"] = {**template.env, **named["env"]}
    return {**base, **named}


def changed(one: T, fields: Fields) -> T:
    """The same with other fields."""
    return msgspec.structs.replace(one, **fields)


def moment(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 writes them."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
