"""The nouns of what was done: a shard's commit, a checkpoint of several, and the manifest of all."""

import msgspec

from embedstack.jobs.plan import SCHEMA
from embedstack.origin import Identity


class Commit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`_commits/NNNNNN.json`: who creates it first has done the shard.

    docs == docs_out + docs_dead, and chunks == rows + chunks_dead. A document of which one chunk fails is dead as a
    whole, so all its chunks are.
    """

    schema: int = SCHEMA
    plan: str  # digest
    shard: int
    attempt: str  # 8 hexadecimal digits, also in the names of its files
    part: str  # key of the Parquet file; "" where no row was left
    part_bytes: int
    part_sha256: str
    dead: str  # key of the dead letters; "" where there are none
    dead_bytes: int
    dead_sha256: str = ""
    docs: int
    docs_out: int
    docs_dead: int  # those skipped on purpose among them: empty files, index pages
    docs_failed: int  # of these, the ones that count against the error budget
    chunks: int
    rows: int
    chunks_dead: int
    reused: int  # rows whose vectors came from the job before
    tokens: int  # that the model read
    input_bytes: int
    rows_digest: str  # sha256 over ids, texts, metadata of the rows in order
    vectors_digest: str  # sha256 over the vectors' bytes in order
    first_id: str
    last_id: str
    lengths: dict[str, int]  # how many chunks have so many tokens: "<=16", "<=32", ... powers of two
    reasons: dict[str, int]  # dead letters by code
    exact: str  # digest of `Exact` of the machine that did it
    began_at: float  # seconds since 1970, for reports only
    took_s: float
    encode_s: float  # of it, between the first and the last vector
    store_s: float  # of it, in calls to the storage
    made: tuple[float, float] = (0.0, 0.0)  # from when to when its vectors were, none of another shard meanwhile


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`_checkpoints/NNNNNN.json`: the commits of a run of shards in one file, so that reading them all is quick."""

    schema: int = SCHEMA
    plan: str
    first: int  # shard
    commits: tuple[Commit, ...]
    versions: tuple[str, ...] = ()  # of each one's file when it was read; one of another version is not believed


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One file of the table."""

    key: str
    rows: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`_manifest.json`: the table, once all of it is there. Readers read the parts that it names and no others."""

    schema: int = SCHEMA
    plan: str
    identity: Identity
    parts: tuple[Part, ...]
    dead: tuple[str, ...]
    docs: int
    docs_out: int
    docs_dead: int
    rows: int
    tokens: int
    reused: int
    rows_digest: str  # sha256 over those of the shards in order
    vectors_digest: str
    deleted: str = ""  # key of the list of chunks that the job before had and this one has not
    deleted_sha256: str = ""
