"""Small jobs that were done without a runner or a model: what reads tables needs only their files."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from embedstack.documents.document import Segment
from embedstack.jobs import layout
from embedstack.jobs.commit import Commit, Manifest
from embedstack.jobs.dead import Letter, letter, write_dead
from embedstack.jobs.digests import Written, content_hash
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.manifest import manifest_of
from embedstack.jobs.plan import Exact, Plan, Shard, Wish
from embedstack.jobs.rows import Rows, as_json
from embedstack.jobs.shard_work import lengths_of
from embedstack.jobs.shards import write_table
from embedstack.jobs.table import write_part
from embedstack.origin import Identity, Probe
from embedstack.storage.local import LocalStorage
from embedstack.testing import hashes
from embedstack.types import Floats

DIM = 8
BYTES = 100  # of each file
WISH = Wish(inputs=("file:///texts",), model="hash", checkpoint_docs=8000)
IDENTITY = Identity(
    model="hash", revision="1", space="5" * 32, fingerprint="f" * 32, dim=DIM, max_tokens=256
)  # fmt: skip
EXACT = Exact(where="here", version="1", precision="float32")
Docs = Mapping[str, Sequence[str]]
"""The texts of each document's chunks; a document without any was empty, one whose id begins with "bad" failed."""


def job(
    root: Path,
    shards: Sequence[Docs],
    wish: Wish = WISH,
    identity: Identity = IDENTITY,
    *,
    is_finished: bool = True,
) -> LocalStorage:
    """A job below a folder, all of it committed."""
    storage = LocalStorage(root)
    plan = planned(storage, shards, wish, identity)
    ledger = Ledger(storage, plan)
    for number, docs in enumerate(shards):
        commit(storage, ledger, plan, number, docs)
    if is_finished:
        finish(storage, plan)
    return storage


def planned(storage: LocalStorage, shards: Sequence[Docs], wish: Wish = WISH, identity: Identity = IDENTITY) -> Plan:
    """plan.json and the file of shards."""
    storage.root.mkdir(parents=True, exist_ok=True)
    path = storage.root / "table"
    totals = write_table((_shard(number, docs) for number, docs in enumerate(shards)), path)
    plan = Plan(
        wish=wish,
        identity=identity,
        exact=EXACT,
        probes=(probe("a bird", identity.dim),),
        shards=totals.shards,
        docs=totals.docs,
        files=totals.files,
        bytes=totals.bytes,
        table=layout.table_key(totals.sha256),
        table_sha256=totals.sha256,
    )
    storage.put_file(plan.table, path)
    storage.put_new(layout.PLAN, msgspec.json.encode(plan))
    return plan


def finish(storage: LocalStorage, plan: Plan, deleted: str = "") -> Manifest:
    """The manifest, and that all is done."""
    manifest = manifest_of(plan, Ledger(storage, plan).records(), deleted)
    storage.put(layout.MANIFEST, msgspec.json.encode(manifest))
    storage.put(layout.SUCCESS, b"")
    return manifest


def commit(
    storage: LocalStorage, ledger: Ledger, plan: Plan, number: int, docs: Docs, attempt: str = "0000aaaa"
) -> Commit:
    """A shard with its files."""
    rows, letters = rows_of(docs, plan.wish, plan.identity.dim), letters_of(docs, number)
    path = storage.root / "unfinished"
    part = write_part(path, rows, plan, number) if len(rows) else Written(0, "")
    if part.bytes:
        storage.put_file(layout.part_key(number, attempt), path)
    dead = write_dead(path, letters) if letters else Written(0, "")
    if letters:
        storage.put_file(layout.dead_key(number, attempt), path)
    made = replace(
        EMPTY,
        plan=plan.digest,
        shard=number,
        attempt=attempt,
        part=layout.part_key(number, attempt) if part.bytes else "",
        part_bytes=part.bytes,
        part_sha256=part.sha256,
        dead=layout.dead_key(number, attempt) if letters else "",
        dead_bytes=dead.bytes,
        dead_sha256=dead.sha256,
        input_bytes=BYTES,
        docs=len(docs),
        docs_out=len(docs) - len(letters),
        docs_dead=len(letters),
        docs_failed=sum(not one.skipped for one in letters),
        chunks=len(rows),
        rows=len(rows),
        tokens=sum(rows.tokens),
        rows_digest=rows.digest,
        vectors_digest=rows.vectors_digest(plan.wish.storing),
        first_id=rows.doc_ids[0] if len(rows) else "",
        last_id=rows.doc_ids[-1] if len(rows) else "",
        lengths=lengths_of(rows.tokens),
        reasons={one.code: sum(other.code == one.code for other in letters) for one in letters},
    )
    ledger.commit(made)
    return made


EMPTY = Commit(
    plan="",
    shard=0,
    attempt="",
    part="",
    part_bytes=0,
    part_sha256="",
    dead="",
    dead_bytes=0,
    docs=0,
    docs_out=0,
    docs_dead=0,
    docs_failed=0,
    chunks=0,
    rows=0,
    chunks_dead=0,
    reused=0,
    tokens=0,
    input_bytes=0,
    rows_digest="",
    vectors_digest="",
    first_id="",
    last_id="",
    lengths={},
    reasons={},
    exact="",
    began_at=0.0,
    took_s=0.0,
    encode_s=0.0,
    store_s=0.0,
)


def rows_of(docs: Docs, wish: Wish = WISH, dim: int = DIM) -> Rows:
    """Vectors made of hashes."""
    chunks = [(doc_id, index, text) for doc_id, texts in docs.items() for index, text in enumerate(texts)]
    texts = [text for _, _, text in chunks]
    return Rows(
        doc_ids=[doc_id for doc_id, _, _ in chunks],
        chunk_ids=[content_hash(f"{doc_id} {index}", "id") for doc_id, index, _ in chunks],
        indexes=[index for _, index, _ in chunks],
        texts=texts,
        vectors=vectors_of(texts, wish, dim),
        metadata=[as_json({"title": doc_id, "headings": ["one"]}) for doc_id, _, _ in chunks],
        tokens=[len(text.split()) for text in texts],
        content_hashes=[content_hash(text, wish.role) for text in texts],
        sparse=[hashes.sparse(text.split()) for text in texts] if wish.sparse else None,
    )


def vectors_of(texts: Sequence[str], wish: Wish = WISH, dim: int = DIM) -> Floats:
    """(texts, dim), as a table gives them back."""
    made = np.array([hashes.vector(text.split(), dim, dim) for text in texts], np.float32).reshape(-1, dim)
    return made if wish.storing == "float32" else made.astype(np.float16).astype(np.float32)


def probe(text: str, dim: int = DIM) -> Probe:
    """As a plan has it."""
    vector = base64.b64encode(vectors_of([text], dim=dim).tobytes()).decode()
    return Probe("bird", "document", text, vector)


def letters_of(docs: Docs, shard: int) -> list[Letter]:
    """Of documents without texts."""
    dead = [(place, doc_id) for place, (doc_id, texts) in enumerate(docs.items()) if not texts]
    codes = {doc_id: "bad_json" if doc_id.startswith("bad") else "empty" for _, doc_id in dead}
    return [letter(doc_id, "texts.jsonl", place, codes[doc_id], "why", shard) for place, doc_id in dead]


def _shard(number: int, docs: Docs) -> Shard:
    """One file of its own; its version is what stands in it."""
    version = hashlib.sha256(repr(docs).encode()).hexdigest()[:8]
    return Shard(number, len(docs), BYTES, (Segment(f"texts-{number}.jsonl", BYTES, version, len(docs)),))
