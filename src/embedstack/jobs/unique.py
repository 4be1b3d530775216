"""All parts of a table -> that no id stands in two of its shards; or an error that says which one, and where."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from embedstack.errors import Mismatch
from embedstack.jobs.commit import Commit, Part
from embedstack.jobs.dead import read_dead
from embedstack.jobs.finished import opened_part
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.plan import Plan, Shard
from embedstack.jobs.scratch import scratch, unwritten
from embedstack.jobs.shards import shards_of
from embedstack.jobs.twice import Seen
from embedstack.storage.storage import Storage

READERS = 8  # parts that are read at once: from a bucket each takes some calls and few bytes

Named = list[tuple[str, str]]
"""doc_id and chunk_id of the first row of each document of a part, in order."""


def check_unique(storage: Storage, plan: Plan, parts: Sequence[Part], folder: Path) -> None:
    """Whether each document's id is its own. Of each part two columns are read; 40 bytes of disk for each document.

    A shard has its dead letters for ids that come again within it. What it cannot know is what stands in others.

    Args:
        folder: where ids lie while they are sorted.
    Raises:
        Mismatch: an id stands in two places; or a part is not as stated. ConfigError: no room in `folder`.
    """
    if not may_repeat(plan):
        return
    with scratch(folder, "ids") as made:
        seen = Seen(made)
        try:
            for number, named in enumerate(_each(storage, parts)):
                seen.add(number, [chunk_id for _, chunk_id in named])
            count, pairs = seen.twice()
        except OSError as error:  # the storage has errors of its own
            raise unwritten(made, error) from error
    if count:
        before, behind = (parts[number] for number in pairs[0])
        raise _refused(storage, plan, count, before, behind)


def may_repeat(plan: Plan) -> bool:
    """Whether ids can be equal: one that nobody named a column for begins with its file's key, which no other has."""
    return plan.wish.reading.id_field != "" or plan.docs > plan.files


def _each(storage: Storage, parts: Sequence[Part]) -> Iterator[Named]:
    """Of all parts in order; some are read at once."""
    waiting = deque[Future[Named]]()
    with ThreadPoolExecutor(READERS, thread_name_prefix="embedstack-unique") as pool:
        for part in parts:
            waiting.append(pool.submit(_named, storage, part))
            if len(waiting) > READERS:
                yield waiting.popleft().result()
        yield from (future.result() for future in waiting)


def _named(storage: Storage, part: Part) -> Named:
    with opened_part(storage, part) as reader:
        return list(reader.documents())


# ------------------------------------------------------------------------------------------------ what is refused


def _refused(storage: Storage, plan: Plan, count: int, before: Part, behind: Part) -> Mismatch:
    ours, theirs = _named(storage, before), _named(storage, behind)
    known = {chunk_id: place for place, (_, chunk_id) in reversed(list(enumerate(ours)))}
    first = {(before.key, place) for place in known.values()}  # one part may hold both, if an older version made it
    second, (doc_id, chunk_id) = next(
        (place, one) for place, one in enumerate(theirs) if one[1] in known and (behind.key, place) not in first
    )
    place_of = partial(_place_of, storage, plan)
    where = f"{place_of(before, known[chunk_id], len(ours))} and {place_of(behind, second, len(theirs))}"
    keeps = f" with --since {storage.url}, which keeps vectors" if plan.wish.can_lend else ""
    return Mismatch(
        f"{count} of {plan.docs} documents have an id that came before, the first one {doc_id!r} of {where}, counted "
        "from 0, so this is no table yet; take out the documents that are too many, or name a column with --id-field "
        f"that differs in all of them, and plan into another place{keeps}: embedstack job plan"
    )


def _place_of(storage: Storage, plan: Plan, part: Part, place: int, count: int) -> str:
    """In words, of the document that has the rows number `place` of those that have rows in a part."""
    commit = next((one for one in Ledger(storage, plan).records() if one.part == part.key), None)
    if commit is None:  # another runner withdrew it meanwhile
        return f"document {place} of {part.key!r}"
    living = _living(storage, shards_of(storage, plan)[commit.shard], commit)
    if len(living) != count:
        return f"document {place} of shard {commit.shard}"
    key, number = living[place]
    return f"document {number} of {key!r}"


def _living(storage: Storage, shard: Shard, commit: Commit) -> list[tuple[str, int]]:
    """File and number of each document that has rows."""
    letters = read_dead(storage.get(commit.dead), commit.dead) if commit.dead else ()
    dead = {(letter.source, letter.place) for letter in letters}
    places = ((one.key, number) for one in shard.segments for number in range(one.first, one.first + one.docs))
    return [place for place in places if place not in dead]
