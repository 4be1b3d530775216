"""What a dialect is: routes (bytes to a request, a result to bytes) and pages about the server."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from embedstack.errors import EmbedstackError
from embedstack.types import Encode, Encoded, ModelSpec, Score, Scored, Task, Truncate

State = Literal["loading", "ready", "failed", "dead"]
Body = TypeVar("Body", bound=msgspec.Struct)
Answer = TypeVar("Answer", Encoded, Scored)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server allows in one request."""

    max_items: int
    truncate: Truncate  # where the body does not say
    token_ids: bool  # whether arrays of token ids are read as the model's own


@dataclass(frozen=True, slots=True)
class Wire:
    """A reply as it leaves: status, headers, bytes."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of this process."""

    resident: int
    mapped: int  # of these, shared or backed by a file, such as the weights

    @property
    def anonymous(self) -> int:
        """Bytes that only this process holds."""
        return self.resident - self.mapped


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the server knows of itself."""

    state: State
    reason: str  # why it is not ready; empty when it is
    models: tuple[ModelSpec, ...]
    find: Callable[[str], ModelSpec | None]  # by name or alias, as requests are answered
    started: float  # seconds since 1970
    uptime_s: float
    memory: Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[Body, Answer]):
    """One POST of a dialect; its three functions are pure."""

    path: str
    task: Task
    summary: str
    body: type[Body]
    reply: object  # the type of the reply's JSON
    example: Body
    read: Callable[[bytes], Body]
    ask: Callable[[Body, Limits, Sequence[ModelSpec]], Encode | Score]
    write: Callable[[Body, Answer], Wire]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One GET of a dialect, answered from the status; a path ends in `{id}` where it takes an argument."""

    path: str
    summary: str
    reply: object  # the type of the reply's JSON
    show: Callable[[Status, str], Wire]


AnyRoute: TypeAlias = Route[Any, Any]  # a table of routes holds many bodies; each route knows its own


class Dialect(Protocol):
    """Somebody's wire format. Exact under its own prefix, which is the base URL that its clients are given."""

    @property
    def name(self) -> str: ...

    @property
    def prefix(self) -> str: ...

    @property
    def routes(self) -> Sequence[AnyRoute]: ...

    @property
    def pages(self) -> Sequence[Page]: ...

    @property
    def failure(self) -> type[msgspec.Struct]:
        """The type of an error's JSON."""
        ...

    def fail(self, error: EmbedstackError) -> Wire:
        """The error with the status and the envelope that clients of this dialect expect."""
        ...
