"""A job of an endpoint: what was submitted, and how it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Json: TypeAlias = bytes
"""The text of one JSON value: what clients and workers send is passed on as it came."""
Status = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]
FINAL: frozenset[Status] = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a client wants done.

    Args:
        timeout_s: of its execution; the endpoint's if None.
        ttl_s: from submission, after which it is deleted in whatever state.
        extra: what stood beside `input` in the body and is given to the worker as it is.
    """

    input: Json
    is_sync: bool = False
    timeout_s: float | None = None
    ttl_s: float = 86_400.0
    is_low_priority: bool = False
    webhook: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One submission on its way; only its `Book` changes it. Times are the clock's, in seconds."""

    id: str
    asked: Submission
    submitted_at: float
    timeout_s: float
    status: Status = "IN_QUEUE"
    worker_id: str | None = None  # who has it, or had it last
    holders: set[str] = field(default_factory=set)  # who may finish it: several after a dispatch that was doubled
    taken_at: float | None = None
    done_at: float | None = None
    lease_until: float = 0.0
    keep_until: float = 0.0
    retries: int = 0
    output: Json | None = None
    error: Json | None = None
    chunks: list[Json] = field(default_factory=list)  # streamed and not yet read

    @property
    def is_final(self) -> bool:
        """Whether nothing but a retry by hand can change it."""
        return self.status in FINAL

    @property
    def delay_s(self) -> float | None:
        """From submission to the last pickup."""
        return None if self.taken_at is None else self.taken_at - self.submitted_at

    @property
    def execution_s(self) -> float | None:
        """From the last pickup to the end."""
        return None if self.taken_at is None or self.done_at is None else self.done_at - self.taken_at

    @property
    def size_bytes(self) -> int:
        """What it holds of its client's and its worker's data."""
        held = (self.asked.input, self.output, self.error, *self.asked.extra.values(), *self.chunks)
        return sum(len(one) for one in held if one is not None)


@dataclass(frozen=True, slots=True)
class Result:
    """What a worker says at the end."""

    output: Json | None = None
    error: Json | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of an endpoint's `/health`."""

    completed: int
    failed: int
    in_progress: int
    in_queue: int
    retried: int
