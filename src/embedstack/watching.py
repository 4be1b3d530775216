"""What an Encoder tells those who watch it: how busy it is, and what it ran."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from embedstack.modelspec import Precision
from embedstack.types import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How busy an Encoder is, for those who show it; what it does not know is 0."""

    waiting_items: int = 0
    waiting_tokens: int = 0
    limit_tokens: int = 0  # waiting tokens above which requests are refused
    running_items: int = 0
    batch_tokens: int = 0  # that one run of the model takes
    batches: int = 0  # run since the start
    batch_items: int = 0  # in all of them
    refused: int = 0  # requests, because too much waited
    expired: int = 0  # requests whose deadline passed while they waited
    out_of_memory: int = 0  # batches
    cache_hits: int = 0
    cache_misses: int = 0
    cache_entries: int = 0
    cache_bytes: int = 0
    precisions: Mapping[str, Precision] = field(default_factory=dict)  # by model


@runtime_checkable
class ShowsLoad(Protocol):
    """An Encoder that says how busy it is."""

    def load(self) -> Load: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRun:
    """A batch that was run, for those who watch."""

    model: str
    lane: int
    priority: Priority  # of the request that led it
    items: int
    tokens: int
    padded: int  # places that attention computed: items times the longest
    wait_s: float  # of the request that came first, until the run began
    predicted_s: float
    run_s: float
    is_whole: bool  # False if it failed, or had to be divided
    is_capped: bool = True  # whether its bulk items were held to bulk_batch_ms; not so where nobody would feel it


OnBatch = Callable[[BatchRun], None]


@runtime_checkable
class ShowsBatches(Protocol):
    """An Encoder that tells what it ran; listeners are called in the thread that ran it and must be quick."""

    on_batch: list[OnBatch]


@runtime_checkable
class LivesElsewhere(Protocol):
    """An Encoder whose models are elsewhere, where they come and go."""

    @property
    def proof(self) -> Literal["proven", "unproven"]: ...

    def down(self) -> Mapping[str, str]:
        """By model: why it cannot be had at the moment."""
        ...
