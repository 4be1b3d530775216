"""A plan with numbers that a test need not care about."""

import msgspec

from embedstack.chunks.chunk import Chunking
from embedstack.jobs.plan import Exact, Plan, Wish
from embedstack.origin import Identity

PLAN = Plan(
    wish=Wish(inputs=("docs",), model="hash", chunking=Chunking()),
    identity=Identity(model="hash", revision="1", space="s", fingerprint="f", dim=8, max_tokens=64),
    exact=Exact(where="here", version="0"),
    probes=(),
    shards=10,
    docs=100,
    files=100,
    bytes=40_000,
    table="_plan/shards.jsonl",
    table_sha256="",
)


def plan_with(**fields: int) -> Plan:
    return msgspec.structs.replace(PLAN, **fields)
