"""Rows of vectors and a collection that is bound to their space become the same rows in the collection, once."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from embedstack.databases.bound import Bound
from embedstack.databases.checks import check_name
from embedstack.databases.database import Collection, Loaded, PointId
from embedstack.errors import BadRequest, EmbedstackError, Mismatch, Upstream
from embedstack.loading.deleting import Ground, delete_all, is_listed, surplus
from embedstack.loading.foretelling import foretell
from embedstack.loading.indexed_later import index, postponed
from embedstack.loading.marks import Marker, Start, start_of
from embedstack.loading.rechecking import Sample, recheck
from embedstack.loading.retrying import Retrying, rows_of
from embedstack.loading.source import Source
from embedstack.loading.stopping import Stop, Stopped
from embedstack.loading.streams import Streams
from embedstack.loading.wish import Progress, Summary, Wish

__all__ = ["Progress", "Summary", "Wish", "load"]


@dataclass(frozen=True, slots=True)
class _Load:
    """What every step needs, and the summary that they all write."""

    source: Source
    bound: Bound
    wish: Wish
    progress: Progress
    clock: Callable[[], float]
    retry: Retrying
    stop: Stop
    done: Summary

    @property
    def name(self) -> str:
        """Of the collection; once it is prepared its own, not an alias."""
        return self.bound.name

    @property
    def ground(self) -> Ground:
        return Ground(self.bound.database, self.name, self.retry, self.stop)


def load(
    source: Source,
    bound: Bound,
    wish: Wish,
    *,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] | None = None,
    stop: Stop | None = None,
) -> Summary:
    """Write all rows that are not there, do what belongs to that, and leave a mark, so that the next load goes on.

    Args:
        clock: seconds that never go back.
        pause: waits so many seconds; None: as `stop` does it, so that the wish to end cuts it short.
        stop: by which somebody ends it early; what was written stays, and is marked.
    Raises:
        BadRequest: a row that cannot be loaded, an alias that cannot be one. Mismatch: what is there is of another
            space, or not what a list of deletions is for; rows read back wrong. Upstream: patience is over.
    """
    stop, began_s = stop or Stop(), clock()
    retry = Retrying(wish.patience_s, clock=clock, pause=pause or stop.pause, stop=stop, say=progress.note)
    done = Summary(collection=bound.name, source=source.label, dry_run=wish.dry_run)
    try:
        _steps(_Load(source, bound, wish, progress, clock, retry, stop, done))
        there = retry(partial(bound.database.describe, bound.name))
        done.points = there.points if there else 0
    except Stopped:
        done.stopped = stop.number
    except Upstream:
        if not stop.number:
            raise
        done.stopped = stop.number  # it was away, and somebody did not want to wait
    done.took_s = clock() - began_s
    return done


def _steps(on: _Load) -> None:
    """What may be refused is refused before anything is written."""
    found = on.retry(partial(on.bound.database.describe, on.name))
    start = _start(on, found)
    _check_rows(on, found, start)
    listed = start.why != "whole" and _is_listed(on, found, start)
    _check_alias(on, found)
    _say(on, found, start)
    if on.wish.dry_run:
        foretell(on.ground, on.source, on.wish, found, start, listed=listed, note=on.progress.note)
        return
    with on.stop.busy():
        _change(on, found, start, listed=listed)


def _change(on: _Load, found: Collection | None, start: Start, *, listed: bool) -> None:
    """In this order: the rows, a look at some of them, what is to be deleted, the index, that all is there, the alias.

    Killed anywhere, the next load does what is left: only the mark at the end says that nothing is.
    """
    is_due = start.why != "whole"
    collection = on.retry(partial(on.bound.prepare, _wanted(on), claim=on.wish.claim))
    on.done.collection = collection.name
    _check_still(on, found, collection)
    marker = _marker(on, start)
    is_later = is_due and not collection.points and postponed(on.bound.database, on.name, on.retry)
    if is_due:
        marker.begin(start)
        sample = _write(on, start, marker)
        if _is_contested(on, marker):
            return
        on.done.checked = recheck(on.ground, collection, on.source, sample, start=start.rows, rows=on.done.rows)
    has_more = _delete(on, marker, listed=listed)
    if is_later:
        on.progress.note(f"all rows are there; the index over the vectors of collection {on.name!r} is built now")
        index(on.bound.database, on.name, on.retry)
    if is_due or on.wish.prune:
        marker.set_whole(on.done.rows, "" if has_more else on.source.plan)
        if _is_contested(on, marker):
            return
    on.done.is_whole = True
    _switch(on)


# ------------------------------------------------------------------------------------------------ before it writes


def _start(on: _Load, found: Collection | None) -> Start:
    start = start_of(found.loaded if found else None, on.source.digest, again=on.wish.again)
    if found is None or not found.points:
        start = replace(start, held=on.source.plan)  # nothing can be gone from it
    if start.rows and (found is None or not found.points or not on.source.fields.keys() <= found.fields.keys()):
        start = replace(start, rows=0, why="new")  # whatever the mark says, somebody has emptied it
    on.done.why, on.done.start, on.done.rows = start.why, start.rows, start.rows
    return start


def _is_listed(on: _Load, found: Collection | None, start: Start) -> bool:
    is_empty = found is None or not found.points
    prune, keep_gone = on.wish.prune, on.wish.keep_gone
    return is_listed(on.source, start.held, is_empty=is_empty, prune=prune, keep_gone=keep_gone, name=on.name)


def _check_rows(on: _Load, found: Collection | None, start: Start) -> None:
    """Of a table of somebody's own a load deletes nothing: its rows are theirs, and so may be other vectors in them."""
    has_list = on.source.previous is not None and not on.wish.keep_gone and start.why != "whole"
    if found is None or found.keeps_payload or not found.points or not (on.wish.prune or has_list):
        return
    mend = "leave --prune out" if on.wish.prune else "add --keep-gone, so that what the job lists as gone stays"
    raise BadRequest(f"the rows of collection {found.name!r} belong to a table of yours, so none is deleted; {mend}")


def _check_alias(on: _Load, found: Collection | None) -> None:
    """Now, and not after hours."""
    alias, own = on.wish.alias, found.name if found else on.name
    if not alias:
        return
    check_name(alias, "alias")
    there = on.retry(partial(on.bound.database.describe, alias))
    if alias == own or (there is not None and there.name == alias):
        raise BadRequest(f"{alias!r} is the name of a collection, so it cannot be an alias; take another --alias")


def _check_still(on: _Load, found: Collection | None, now: Collection) -> None:
    """Preparing may take long, as indexes do, and where to begin and what to delete was read from the mark before it.

    Raises:
        Mismatch: another table was loaded meanwhile, or an alias was switched.
    """
    before = found.loaded if found else None
    is_mine = now.loaded is not None and now.loaded.source == on.source.digest  # the same table does no harm
    if (found is None or found.name == now.name) and (is_mine or now.loaded == before):
        return
    raise Mismatch(
        f"collection {now.name!r} was loaded by somebody else, or its alias switched, while it was prepared for this "
        "load; no row was written: wait until the other load has ended, and run the same command again"
    )


def _say(on: _Load, found: Collection | None, start: Start) -> None:
    """What the source wants to be known, and where the load begins if that is not the usual."""
    name, rows = repr(found.name if found else on.name), f"{start.rows:,}"
    said = {
        "new": "",
        "goes on": f"the first {rows} rows are in collection {name}; going on behind them" if start.rows else "",
        "whole": f"all {rows} rows are in collection {name} already; --again writes them once more",
        "again": f"all rows are written to collection {name} once more",
        "other": f"the last load of collection {name} was of something else, so this one begins at the first row",
        "contested": f"two loads wrote to collection {name} at once, so this one begins at the first row",
    }
    for note in (*on.source.notes, said[start.why]):
        if note:
            on.progress.note(note)


def _wanted(on: _Load) -> Collection:
    wish = on.wish
    return Collection(name=on.name, fields=on.source.fields, indexes=wish.indexes, quantization=wish.quantization)


# ------------------------------------------------------------------------------------------------ the rows


def _marker(on: _Load, start: Start) -> Marker:
    begun = Loaded(source=on.source.digest, rows=start.rows, plan=start.held, is_whole=start.why == "whole")
    return Marker(on.bound.database, on.name, begun, retry=on.retry, clock=on.clock)


def _write(on: _Load, start: Start, marker: Marker) -> Sample:
    """All rows behind those that are there."""
    sample, place = Sample(start.rows), start.rows
    with _marked(on, marker, start) as streams, closing(rows_of(on.source, place, on.wish.batch, on.retry)) as batches:
        try:
            for points in batches:
                streams.put(points)
                sample.see(place, points)
                place += len(points)
                _count(on.done, points.ids)
                marker.look(streams.done)
                on.progress.rows(streams.done, on.source.total)
        except (BadRequest, Mismatch):  # of a row; those before it are written
            streams.finish()
            raise
        streams.finish()
        on.progress.rows(streams.done, on.source.total)
    return sample


@contextmanager
def _marked(on: _Load, marker: Marker, start: Start) -> Iterator[Streams]:
    """Within it rows are written; however it ends, it is marked how far they came."""
    streams = Streams(
        lambda points: on.retry(partial(on.bound.write, points)), on.wish.streams, on.stop, done=start.rows
    )
    try:
        with streams:
            yield streams
    except BaseException:
        with suppress(EmbedstackError):  # the first error is the one to be told
            marker.set(streams.done)
        raise
    else:
        marker.set(streams.done)
    finally:
        on.done.rows, on.done.written = streams.done, streams.done - start.rows


def _count(done: Summary, ids: Sequence[PointId]) -> None:
    numbers = sum(isinstance(id_, int) for id_ in ids)
    done.numbers += numbers
    done.uuids += len(ids) - numbers


def _is_contested(on: _Load, marker: Marker) -> bool:
    on.done.is_contested = marker.is_contested
    return marker.is_contested


# ------------------------------------------------------------------------------------------------ after the rows


def _delete(on: _Load, marker: Marker, *, listed: bool) -> bool:
    """Whether something stays that the table has not, because somebody wished so: no later list knows of it."""

    def counted(count: int) -> None:
        on.done.deleted += count

    if listed:
        delete_all(on.ground, on.source.gone(), counted)
    if on.wish.prune:
        return _prune(on, marker)
    return on.wish.keep_gone and on.source.previous is not None


def _prune(on: _Load, marker: Marker) -> bool:
    """Whether something is left."""

    def counted(count: int) -> None:
        on.done.pruned += count

    with surplus(on.ground, on.source, on.done.rows) as strange:
        if not strange.count:
            return False
        with on.stop.busy(False):  # who is asked may answer with Ctrl-C
            may = on.progress.may_delete(strange.count, on.name)
        marker.renew()
        if may and not marker.is_contested:  # else they may be what somebody else is loading
            delete_all(on.ground, strange.ids(), counted)
        return not may


def _switch(on: _Load) -> None:
    alias, database = on.wish.alias, on.bound.database

    def switched() -> None:
        there = database.describe(alias)  # also after a call that failed and yet was heard
        if there is None or there.name != on.name:
            database.switch(alias, on.name, old=None if there is None else there.name)

    if alias:
        on.retry(switched)
        on.done.alias = alias
