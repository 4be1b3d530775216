"""What was made of a shard -> its files in the spool, then in the storage, then its commit; or nothing of it."""

import time
import uuid
from dataclasses import dataclass

import msgspec

from embedstack.jobs.commit import Commit
from embedstack.jobs.dead import write_dead
from embedstack.jobs.digests import Written
from embedstack.jobs.layout import dead_key, part_key
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.pipeline import Watch
from embedstack.jobs.plan import Exact, Plan
from embedstack.jobs.shard_work import Made, Prepared, lengths_of, letters_of, reasons_of, rows_of
from embedstack.jobs.spooling import Spool, on_disk
from embedstack.jobs.table import write_part
from embedstack.storage.storage import Storage

ROW_BYTES = 200  # of ids, hashes and numbers of one row
NOTHING = Written(0, "")


@dataclass(frozen=True, slots=True)
class Draft:
    """A shard that is done but for its place in the storage."""

    commit: Commit
    files: tuple[tuple[str, str], ...]  # key, and name in the spool
    room: int  # that was taken in the spool


class Storing:
    """For one plan; any thread may call."""

    def __init__(self, plan: Plan, storage: Storage, ledger: Ledger, spool: Spool, exact: Exact) -> None:
        self._plan, self._storage, self._ledger, self._spool = plan, storage, ledger, spool
        self._exact = exact.digest

    def write(self, prepared: Prepared, made: Made, watch: Watch, room: int) -> Draft:
        """Its files, here.

        Args:
            room: bytes that were taken in the spool, about as many as `size_of` says.

        Raises:
            ConfigError: the disk is full, or may not be written.
        """
        number, attempt = prepared.shard.number, uuid.uuid4().hex[:8]
        rows, letters = rows_of(made), letters_of(prepared, made)
        part, dead = (part_key(number, attempt), "part"), (dead_key(number, attempt), "dead")
        names = {key: f"{kind}-{attempt}" for key, kind in (part, dead)}
        wrote = buried = NOTHING
        with on_disk(self._spool.folder):
            if len(rows):
                wrote = write_part(self._spool.path(names[part[0]]), rows, self._plan, number)
            if letters:
                buried = write_dead(self._spool.path(names[dead[0]]), letters)
        chunks_dead = sum(len(work.texts) for work, _, _ in made.dead)
        commit = Commit(
            plan=self._plan.digest,
            shard=number,
            attempt=attempt,
            part=part[0] if len(rows) else "",
            part_bytes=wrote.bytes,
            part_sha256=wrote.sha256,
            dead=dead[0] if letters else "",
            dead_bytes=buried.bytes,
            dead_sha256=buried.sha256,
            docs=prepared.shard.docs,
            docs_out=len(made.works),
            docs_dead=len(letters),
            docs_failed=sum(not one.skipped for one in letters),
            chunks=len(rows) + chunks_dead,
            rows=len(rows),
            chunks_dead=chunks_dead,
            reused=made.reused,
            tokens=made.tokens,
            input_bytes=prepared.shard.bytes,
            rows_digest=rows.digest,
            vectors_digest=rows.vectors_digest(self._plan.wish.storing),
            first_id=made.works[0].doc_id if made.works else "",
            last_id=made.works[-1].doc_id if made.works else "",
            lengths=lengths_of(rows.tokens),
            reasons=reasons_of(letters),
            exact=self._exact,
            began_at=watch.began_at,
            took_s=0.0,
            encode_s=made.encode_s,
            store_s=0.0,
            made=watch.made,
        )
        assert commit.docs == commit.docs_out + commit.docs_dead, commit  # nothing is lost without a word
        return Draft(commit, tuple((key, names[key]) for key in (commit.part, commit.dead) if key), room)

    def upload(self, draft: Draft, watch: Watch) -> None:
        """Its files to the storage; may be tried again."""
        for key, name in draft.files:
            path = self._spool.path(name)
            if path.exists():  # else an earlier try got so far
                with watch.storing():
                    self._storage.put_file(key, path)

    def commit(self, draft: Draft, watch: Watch) -> Commit | None:
        """Whether this is the attempt that counts: its record; None where another was first, and its files are gone."""
        took_s = time.monotonic() - watch.began
        commit = msgspec.structs.replace(draft.commit, took_s=took_s, store_s=watch.store_s)
        if self._ledger.commit(commit):
            return commit
        for key, _ in draft.files:
            self._storage.delete(key)
        return None


def size_of(made: Made) -> int:
    """About how many bytes its files will have."""
    rows = len(made.dense)
    texts = sum(len(text) for work in made.works for text in work.texts)
    metadata = sum(len(one) for work in made.works for one in work.metadata)
    return made.dense.nbytes + texts + metadata + ROW_BYTES * rows
