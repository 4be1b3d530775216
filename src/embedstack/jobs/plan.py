"""The nouns of a plan: what is read, how it is cut, which vectors are made, and the shards that it is done in."""

import hashlib
from typing import Literal

import msgspec

from embedstack.chunks.chunk import Chunking
from embedstack.documents.document import Reading, Segment
from embedstack.origin import Identity, Probe

SCHEMA = 1  # of everything that a job writes
Storing = Literal["float32", "float16"]
Compression = Literal["snappy", "zstd", "none"]


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the user asked for. Two plans with equal wishes over equal input by one model make the same table."""

    inputs: tuple[str, ...]  # URLs of folders, prefixes or files; "object" for one handed over in Python
    model: str
    role: str = "document"
    dim: int | None = None
    sparse: bool = False
    late_chunking: bool = False
    reading: Reading = Reading()
    chunking: Chunking = Chunking()
    storing: Storing = "float32"
    with_text: bool = True
    compression: Compression = "snappy"
    shard_docs: int = 1000
    checkpoint_docs: int = 10_000
    since: str = ""  # the URL of the job before

    @property
    def can_lend(self) -> bool:
        """Whether a later job may take vectors over: see `since`."""
        return not (self.sparse or self.late_chunking)


class Exact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where all of this is equal, a shard that is done again has the same bytes."""

    where: str  # "here", or the endpoint's address without secrets
    version: str  # of embedstack
    runtime: str = ""  # name and version
    processor: str = ""  # digest of its features, or the device's name
    precision: str = ""
    threads: int = 0
    lanes: int = 0
    batch_tokens: int = 0

    @property
    def digest(self) -> str:
        """Names it in commits: 16 hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]


class Shard(msgspec.Struct, frozen=True, array_like=True):
    """A unit of work and of commit."""

    number: int
    docs: int
    bytes: int  # of input, as it is stored
    segments: tuple[Segment, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`plan.json`. The shards stand in a file beside it, a line for each, so that a plan's memory is small."""

    schema: int = SCHEMA
    wish: Wish
    identity: Identity
    exact: Exact
    probes: tuple[Probe, ...]
    shards: int
    docs: int
    files: int
    bytes: int
    tokens: int = 0  # expected, from a sample; 0 where nobody looked
    table: str  # key of the file of shards
    table_sha256: str
    lends_part: bool = False  # the job before was not finished: it lends what it has, and nothing is listed as gone
    cutters: str = ""  # versions of what else decides where texts are cut: `chunks.chunking.cutter_versions`
    made_at: str = ""  # for people; in no digest

    @property
    def lists_deleted(self) -> bool:
        """Whether chunks are listed that the job before had and this one has not."""
        return bool(self.wish.since) and not self.lends_part

    @property
    def digest(self) -> str:
        """Names the plan wherever something was made by it: 64 hexadecimal digits."""
        return hashlib.sha256(
            msgspec.json.encode(msgspec.structs.replace(self, made_at=""), order="sorted")
        ).hexdigest()
