"""What a dialect is: routes (bytes to a request, a result to bytes, and the inverse) and pages about the server."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from embedstack.errors import EmbedstackError
from embedstack.modelspec import Input, ModelSpec, Task, Truncate
from embedstack.types import (
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Floats,
    Score,
    Scored,
    Tokenize,
    Tokenized,
)
from embedstack.watching import Load

State = Literal["loading", "ready", "draining", "failed", "dead"]
Standing = Literal["available", "loading", "loaded", "unloading", "failed"]  # of one model; available: not in memory
TokenIds = Literal["cl100k", "model", "refuse"]
Field = Literal[
    "role", "tokens", "outputs", "dim", "normalize", "max_tokens", "truncate", "raw_scores", "document_tokens", "whole",
    "late_chunking",
]  # fmt: skip
"""What a request may ask for beside its model and its texts; `role` and `tokens` are of its items."""

Body = TypeVar("Body", bound=msgspec.Struct)
Asked = TypeVar(
    "Asked",
    Encode,
    Encode | tuple[Encode, ...],
    Encode | tuple[Encode, ...] | None,
    tuple[Encode, Encode, Tokenize],
    Score,
    Classify,
    Tokenize,
    Decode,
    None,
)
Answer = TypeVar(
    "Answer",
    Encoded,
    Encoded | tuple[Encoded, ...],
    Encoded | tuple[Encoded, ...] | None,
    tuple[Encoded, Encoded, Tokenized],
    Scored,
    Classified,
    Tokenized,
    Decoded,
    None,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server allows in one request."""

    max_items: int
    truncate: Truncate  # where the body does not say
    token_ids: TokenIds = "refuse"  # how arrays of token ids are read where the dialect does not say whose they are
    max_body_bytes: int = 0  # for those who show it
    image_links: bool = False
    find: Callable[[str], ModelSpec | None] | None = None  # by name or alias, as requests are answered

    def spec_of(self, name: str, models: Sequence[ModelSpec]) -> ModelSpec | None:
        """The model that a body names, if it is served; without `find` only by its own name."""
        own = next((spec for spec in models if spec.name == name), None)
        return own or (self.find(name) if self.find else None)


@dataclass(frozen=True, slots=True)
class Wire:
    """A reply as it travels: status, headers (names in lower case), bytes."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a reply says of who made it; empty where the server is not embedstack. A claim proves nothing."""

    model: str = ""
    space: str = ""
    fingerprint: str = ""
    truncated: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """What a client understood of a reply."""

    rows: Floats  # vectors (items, dim) or scores (items,), in the order of the request, all finite
    tokens: int = 0  # that the model read; 0 where the reply does not say
    claim: Claim | None = None  # where the body says it; None: see the headers


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of this process."""

    resident: int
    mapped: int  # of these, shared or backed by a file, such as the weights

    @property
    def anonymous(self) -> int:
        """Bytes that only this process holds."""
        return self.resident - self.mapped


@dataclass(frozen=True, slots=True)
class CallerTotals:
    """What one caller has used."""

    requests: int = 0
    failures: int = 0
    items: int = 0
    tokens: int = 0
    images: int = 0
    seconds: float = 0.0  # of the device
    credits_cost: float = 0.0  # by KripTik's price list


DEFAULT_LIMITS = Limits(max_items=2048, truncate="right")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the server knows of itself."""

    state: State
    reason: str  # why it is not ready; empty when it is
    models: tuple[ModelSpec, ...]  # that are served, whether or not they are in memory at the moment
    find: Callable[[str], ModelSpec | None]  # by name or alias, as requests are answered
    started: float  # seconds since 1970
    uptime_s: float
    memory: Memory
    limits: Limits = DEFAULT_LIMITS
    load: Load = field(default_factory=Load)
    callers: Mapping[str, CallerTotals] = field(default_factory=dict)  # since the start, the most recent ones
    states: Mapping[str, Standing] = field(default_factory=dict)  # of the models by name; empty: as the server
    version: str = ""
    threads: int = 1  # that the tokeniser works with

    def answers(self, name: str) -> bool:
        """Whether requests for a model are answered, perhaps after it was loaded: another may have failed."""
        return self._stands(name) in ("available", "loading", "loaded")

    def holds(self, name: str) -> bool:
        """Whether a model is in memory and answers."""
        return self._stands(name) == "loaded"

    @property
    def is_usable(self) -> bool:
        """Whether some model answers."""
        return self.state == "ready" or any(self.answers(spec.name) for spec in self.models)

    def _stands(self, name: str) -> Standing | None:
        """None where the server as a whole does not answer."""
        unsaid: Standing | None = "loaded" if self.state == "ready" else None
        return self.states.get(name, unsaid) if self.state in ("ready", "failed") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[Body, Asked, Answer]):
    """One POST of a dialect; its functions are pure.

    The server reads, asks and writes: bytes -> body -> request, answer -> wire. The client says and hears:
    request -> body, wire -> rows. A route that `ask`s None needs no model: its answer is None, and `write` reckons. One
    that asks for several requests at once, of several models or kinds, gets their answers in the same order.

    Where several routes stand at one path of the root, the first in order of precedence whose `read` takes the body
    answers; of several, one whose task has a model is preferred. Routes of one `shape` that lost then add what their
    clients read beside it.
    """

    path: str
    task: Task | None  # None: any model will do (tokens), or none is needed
    summary: str
    body: type[Body]
    reply: object  # the type of the reply's JSON
    example: Body
    read: Callable[[bytes], Body]
    ask: Callable[[Body, Limits, Sequence[ModelSpec]], Asked]
    write: Callable[[Body, Answer], Wire]
    places: Callable[[Body, int], Sequence[int]] | None = None  # in the body, of the items of one of several requests
    in_turn: bool = False  # whether several requests are answered one after another and not at once
    input: Input = "text"  # what its items are, where no text will do
    shape: str = ""  # of the reply; equal shapes differ only in the keys that `adds` gives, empty: like no other
    adds: Callable[[Answer], Mapping[str, object]] | None = None  # top-level keys for another's reply of this shape
    carries: frozenset[Field] = frozenset()  # `say` refuses the others, by name, where they are not at their default
    say: Callable[[Asked], Body] | None = None  # texts of one role, or one query; None: no client half
    hear: Callable[[Wire, Asked], Heard] | None = None  # raises Upstream for what is no answer to the request
    unsaid_role: str = "document"  # of a text where the body names none
    overlooks_role: bool = False  # whether other servers of this dialect put no prompt in front, whatever is asked
    fail: Callable[[EmbedstackError], Wire] | None = None  # errors here have another envelope than the dialect's
    failure: type[msgspec.Struct] | None = None  # the type of that envelope
    takes_query: bool = False  # whether `read` also takes a query string, for bodies that are empty
    takes_none: bool = False  # whether an empty list of items is answered; then `ask` gives None
    keeps_order: bool = False  # scores stand in the order of the request, not the best first
    show: Callable[[Body, Sequence[ModelSpec]], Wire] | None = None  # a reply of the models alone; `ask` gives None

    def reply_to(self, body: Body, answer: Answer, models: Sequence[ModelSpec]) -> Wire:
        """What `write` makes of the answer, or `show` of the models that are served."""
        return self.write(body, answer) if self.show is None else self.show(body, models)


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """One GET where a server says how many items one request may hold."""

    path: str
    hear_max_items: Callable[[Wire], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One GET of a dialect, answered from the status; a path ends in `{id}` where it takes an argument."""

    path: str
    summary: str
    reply: object  # the type of the reply's JSON; None where the body is empty
    show: Callable[[Status, str], Wire]
    needs_key: bool = True  # False for probes of orchestrators, which have none
    shape: str = ""  # as a route's: at the root, pages of one shape that lost add their missing top-level keys


AnyRoute: TypeAlias = Route[Any, Any, Any]  # a table of routes holds many bodies; each route knows its own


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

    @property
    def max_items(self) -> int:
        """The most that a request may hold at servers that do not say."""
        ...

    @property
    def info(self) -> Info | None:
        """Where servers say how much a request may hold."""
        ...

    def fail(self, error: EmbedstackError) -> Wire:
        """The error with the status and the envelope that clients of this dialect expect."""
        ...

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """The error that a reply of another status than 200 stands for, as near as the dialect has words for it."""
        ...
