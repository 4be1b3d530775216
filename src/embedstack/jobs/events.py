"""What a runner says while it works, one JSON object a line: read by the process above it, by bars and by metrics."""

from typing import TypeAlias

import msgspec

from embedstack.jobs.commit import Commit


class Started(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="started"):
    """The model is open and the shards that are left are known."""

    shards: int
    done: int
    docs: int
    tokens: int  # expected of all shards
    tokens_done: int  # expected of those that were done before
    docs_done: int = 0  # of these, as are the bytes
    bytes_done: int = 0
    new_files: int = 0  # of the input that the plan has not, also where they had no document then
    exact_note: str = ""  # why a shard that is done again may differ in its last bits, where it may


class Took(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="took"):
    """A shard was begun: whoever dies before its `Did` died over it."""

    shard: int


class Trying(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="trying"):
    """A careful runner is about to work on one document of a shard that killed runners before."""

    shard: int
    place: int  # of the document in the shard
    doc_id: str


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="progress"):
    """Twice a second at most: totals of this process since it started."""

    docs: int
    chunks: int
    tokens: int
    busy_s: float  # seconds that lanes computed, all together
    lanes: int
    places: int = 0  # that attention computed, padding among them; 0 where nobody knows
    spool_bytes: int = 0


class Did(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="did"):
    """A shard is committed by this process."""

    commit: Commit


class Lost(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="lost"):
    """A shard was done here and somebody else had committed it before."""

    shard: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="ended"):
    """Nothing is left to do for this process; or it failed, and why."""

    done: int
    lost: int
    error: str = ""
    code: str = ""
    exit_code: int = 0


Event: TypeAlias = Started | Took | Trying | Progress | Did | Lost | Ended
