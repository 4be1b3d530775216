"""Events as runners say them, with numbers that a test need not care about."""

import msgspec

from embedstack.jobs.commit import Commit
from embedstack.jobs.events import Did, Event, Progress, Started, Took, Trying

NOTHING = {
    "plan": "0" * 64, "attempt": "0a1b2c3d", "part": "", "part_bytes": 0, "part_sha256": "", "dead": "",
    "dead_bytes": 0, "docs": 10, "docs_out": 10, "docs_dead": 0, "docs_failed": 0, "chunks": 20, "rows": 20,
    "chunks_dead": 0, "reused": 0, "tokens": 1000, "input_bytes": 4000, "rows_digest": "", "vectors_digest": "",
    "first_id": "a", "last_id": "z", "lengths": {}, "reasons": {}, "exact": "", "began_at": 0.0, "took_s": 1.0,
    "encode_s": 0.9, "store_s": 0.01,
}  # fmt: skip


def commit(shard: int, **numbers: object) -> Commit:
    return msgspec.convert({**NOTHING, "shard": shard, **numbers}, Commit)


def did(shard: int, **numbers: object) -> Did:
    return Did(commit=commit(shard, **numbers))


def started(**fields: int | str) -> Started:
    return Started(**{"shards": 10, "done": 0, "docs": 100, "tokens": 0, "tokens_done": 0, **fields})


def took(shard: int) -> Took:
    return Took(shard=shard)


def trying(shard: int, place: int) -> Trying:
    return Trying(shard=shard, place=place, doc_id=f"doc {place}")


def progress(tokens: int, **numbers: float) -> Progress:
    usual = {"docs": tokens // 100, "chunks": tokens // 50, "busy_s": 0.0, "lanes": 1}
    return Progress(**{**usual, **numbers}, tokens=tokens)


def as_line(event: Event) -> str:
    return msgspec.json.encode(event).decode()
