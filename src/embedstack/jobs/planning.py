"""A wish, its input and a model -> the plan of a job, created once; and the plan that is there already."""

import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from embedstack.catalog.network import to_stderr
from embedstack.chunks.chunking import cutter_versions
from embedstack.documents.document import Segment
from embedstack.documents.reading import scan
from embedstack.documents.source import Source
from embedstack.errors import ConfigError, Mismatch
from embedstack.jobs.checking import check_creates_once, check_same_plan, check_wish
from embedstack.jobs.layout import PLAN, table_key
from embedstack.jobs.opened import Opened
from embedstack.jobs.plan import Plan, Shard, Wish
from embedstack.jobs.repeats import Say, watched
from embedstack.jobs.shards import cut, write_table
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Missing, Storage


def plan(
    wish: Wish,
    source: Source,
    opened: Opened,
    storage: Storage,
    *,
    tokens: int = 0,
    folder: Path | None = None,
    say: Say = to_stderr,
) -> Plan:
    """Look through the input and write down what is to be done. Planning the same again gives the plan that is there.

    Args:
        tokens: that are expected; 0 where nobody looked.
        folder: where the table of shards lies until it is stored; the system's folder for such if None.
        say: takes warnings.
    Raises:
        Mismatch: another plan is there; or the job before cannot lend its vectors.
        ConfigError: the wish is not sound, there is no document, ids come again, or the storage cannot create once.
    """
    is_whole = check_place(wish, source, opened, storage)
    draft = Plan(
        wish=wish,
        identity=opened.identity,
        exact=opened.exact,
        probes=opened.probes,
        shards=0,
        docs=0,
        files=0,
        bytes=0,
        tokens=tokens,
        table="",
        table_sha256="",
        lends_part=not is_whole,
        cutters=cutter_versions(),
        made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    segments = watched(_segments(source, wish), source, wish.reading, say)
    return write_plan(storage, draft, cut(segments, wish.shard_docs), folder)


def check_place(wish: Wish, source: Source, opened: Opened, storage: Storage) -> bool:
    """Whether such a job can be planned there, before the input is looked through.

    Returns:
        Whether the job before, if there is one, is finished.
    Raises:
        As `plan`.
    """
    check_wish(wish)
    check_output(source, storage)
    if not wish.since:
        return True
    from embedstack.jobs.since import check_since  # it reads plans, too

    return check_since(open_storage(wish.since), wish, opened.identity, opened.probes)


def check_output(source: Source, storage: Storage) -> None:
    """Raises: ConfigError: a job's files cannot lie there."""
    if source.holds(storage.url):
        raise ConfigError(
            f"the output {storage.url!r} lies in the input, so its files would be read; take another place"
        )
    check_creates_once(storage)


def write_plan(storage: Storage, draft: Plan, shards: Iterable[Shard], folder: Path | None = None) -> Plan:
    """Store the shards and then the plan; or find that the same was done before.

    Args:
        draft: its counts and its table are filled in here.
    Raises:
        Mismatch: another plan is there. ConfigError: there is no document.
    """
    with tempfile.TemporaryDirectory(prefix="embedstack-plan-", dir=folder) as made:
        path = Path(made, "shards.jsonl")
        totals = write_table(shards, path)
        if not totals.docs:
            raise ConfigError("there is no document in the input; name another one")
        full = msgspec.structs.replace(
            draft,
            shards=totals.shards,
            docs=totals.docs,
            files=totals.files,
            bytes=totals.bytes,
            table=table_key(totals.sha256),
            table_sha256=totals.sha256,
        )
        if storage.entry(PLAN) is None:
            storage.put_file(full.table, path)
    if storage.entry(PLAN) is None and storage.put_new(PLAN, msgspec.json.format(msgspec.json.encode(full), indent=1)):
        return full
    before = load_plan(storage)
    check_same_plan(before, full)
    return before


def load_plan(storage: Storage) -> Plan:
    """The plan of a job.

    Raises:
        Missing: there is none. Mismatch: it cannot be read.
    """
    try:
        return msgspec.json.decode(storage.get(PLAN), type=Plan)
    except Missing as error:
        raise Missing(f"there is no job in {storage.url!r}; make one with: embedstack job plan") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Mismatch(
            f"{PLAN} in {storage.url!r} cannot be read ({error}); it is damaged, or of another version of "
            "embedstack, which can go on with it; or plan into an empty folder"
        ) from error


def _segments(source: Source, wish: Wish) -> Iterator[Segment]:
    return (segment for entry in source.entries() for segment in scan(source, entry, wish.reading, wish.shard_docs))
