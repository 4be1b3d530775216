"""What a user named -> what in it is there more than once or nearly so, of each one kept, and all that was left out."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from embedstack.databases.addresses import parse_address
from embedstack.deduping.encoding import Encoder
from embedstack.deduping.equal import Blind, by_content
from embedstack.deduping.files import File, walk
from embedstack.deduping.pile import Pile
from embedstack.deduping.reading import shown, things_of
from embedstack.deduping.stored import Stored, has_vectors, opener_of
from embedstack.deduping.thing import Found, How, LeftOut, Made, Report, Thing, Type
from embedstack.errors import BadRequest, ConfigError, EmbedstackError
from embedstack.modelspec import Input
from embedstack.origin import Origin, check_space
from embedstack.search.keeping import Group, Item, Rule, settle
from embedstack.search.near import check_threshold, clusters, comparisons

MANY = 10**10  # comparisons: some minutes on two cores, so it is said beforehand
PER_S = 50e6  # with 384 numbers, two cores; see docs/dedupe.md


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What counts as a duplicate, which of two is kept, and how sources are read."""

    threshold: float
    rules: tuple[Rule, ...] = ()
    is_chained: bool = False  # of each cluster one alone is kept
    is_exact: bool = False  # only what is equal is a duplicate, whatever the threshold; no encoder is asked
    how: How


class Watching(Protocol):
    """Who wants to know how far it is."""

    def read(self) -> None:
        """One more thing was."""
        ...

    def comparing(self, total: int) -> None:
        """All were read; so many products are to be made."""
        ...

    def compared(self, products: int) -> None:
        """So many more were."""
        ...

    def note(self, line: str) -> None:
        """Something a user should know."""
        ...


def find_duplicates(
    sources: Sequence[str], wish: Wish, encoders: Callable[[Input], Encoder], watching: Watching
) -> Report:
    """Nothing is changed anywhere.

    Args:
        sources: files and folders; or tables, files with vectors and DATABASE#COLLECTION, whose vectors are taken.
        encoders: what makes vectors of texts and of pictures.
    Raises:
        BadRequest: sources of both kinds, or there is nothing to compare. ConfigError: a source is not there.
        Mismatch: stored vectors are of two models.
    """
    check_threshold(wish.threshold)
    openers = {source: opener_of(source) for source in sources}
    stored = [source for source, opener in openers.items() if opener is not None]
    if stored and len(stored) < len(openers):
        raise BadRequest("some of the sources hold vectors and others do not; look at them one after the other")
    if len({_place(source) for source in stored}) < len(stored):
        raise BadRequest("a table or collection is named twice, and no row is its own duplicate; name it once")
    if stored:
        return _of_stored({source: opener(wish.how) for source, opener in openers.items() if opener}, wish, watching)
    return _of_files(list(openers), wish, encoders, watching)


# ------------------------------------------------------------------------------------------------ reading


def _of_files(sources: Sequence[str], wish: Wish, encoders: Callable[[Input], Encoder], watching: Watching) -> Report:
    met = walk([Path(source) for source in sources])
    if not met.files and not met.unreadable:
        raise ConfigError(f"there is no picture and no text in {', '.join(map(repr, sources))}{_passed(met.skipped)}")
    made: dict[Type, Encoder] = {}

    def encoder(kind: Input) -> Encoder:
        return made.setdefault(kind, Blind() if wish.is_exact else encoders(kind))

    piles: dict[Type, Pile] = {"image": Pile(lambda: encoder("image")), "text": Pile(lambda: encoder("text"))}
    for file in met.files:
        for thing in [_refused(file)] if _holds_vectors(file) else things_of(file, wish.how):
            piles[thing.type].add(thing)
            watching.read()
    groups = _compared(piles, wish, watching)
    unread = [LeftOut(shown(path), f"it cannot be read: {reason}") for path, reason in met.unreadable]
    models = {kind: one.made for kind, one in made.items() if one.made is not None}
    return _report(wish, piles, groups, models, (unread, met.skipped))


def _holds_vectors(file: File) -> bool:
    """What cannot be read is named where it is read."""
    with suppress(EmbedstackError):
        return not file.is_picture and has_vectors(file.path)
    return False


def _refused(file: File) -> Thing:
    """A file of a folder: its vectors may be of another model than those of the texts beside it."""
    problem = "it holds vectors, which are not compared with texts; name it by itself"
    return Thing(item=Item(name=shown(file.path)), type="text", problem=problem)


def _place(source: str) -> str:
    """However it is spelled."""
    if "://" in source:
        return source
    there = None if Path(source).exists() else parse_address(source)
    if there is None:
        return str(Path(source).resolve())
    return f"{Path(there.database).resolve()}#{there.collection}/{there.vector}"


def _of_stored(opened: Mapping[str, Stored], wish: Wish, watching: Watching) -> Report:
    origin = _origin(list(opened.values()), watching)
    pile = Pile(_no_encoder)
    for source, one in opened.items():
        shown_as = one.label if "://" in source else source  # a URL as it was given may hold a password
        for thing in one.things:
            item = thing.item if len(opened) == 1 else replace(thing.item, name=f"{shown_as}#{thing.item.name}")
            named = replace(thing, item=item)
            pile.add(by_content(named) if wish.is_exact else named)
            watching.read()
    piles: dict[Type, Pile] = {"vectors": pile}
    groups = _compared(piles, wish, watching)
    models: dict[Type, Made] = {}
    if origin is not None:
        said = origin.identity
        models["vectors"] = Made(model=said.model, space=said.space, fingerprint=said.fingerprint)
    return _report(wish, piles, groups, models, ([], Counter()))


def _origin(opened: Sequence[Stored], watching: Watching) -> Origin | None:
    """Of all that say it."""
    known = [(one.label, one.origin) for one in opened if one.origin is not None]
    silent = [one.label for one in opened if one.origin is None]
    for _, origin in known[1:]:
        check_space(known[0][1], origin, known[0][0])
    if silent and len(opened) > 1:
        watching.note(f"{silent[0]} does not say whose vectors it holds: that all can be compared is only what you say")
    return known[0][1] if known else None


def _no_encoder() -> Encoder:
    raise AssertionError("stored rows have their vectors")


# ------------------------------------------------------------------------------------------------ comparing


def _compared(piles: Mapping[Type, Pile], wish: Wish, watching: Watching) -> list[Found]:
    matrices = {kind: pile.matrix() for kind, pile in piles.items()}
    total = 0 if wish.is_exact else sum(comparisons(len(matrix)) for matrix in matrices.values())
    if total > MANY:
        watching.note(f"{total:,} comparisons will take some {total / PER_S / 60:,.0f} minutes on two cores")
    watching.comparing(total)
    groups: list[Found] = []
    number = 0
    for kind, matrix in matrices.items():
        found = clusters(matrix, wish.threshold, told=watching.compared)
        for cluster in piles[kind].clusters(found, matrix):
            items = piles[kind].items
            settled = settle(cluster, items, wish.rules, wish.threshold, is_chained=wish.is_chained)
            groups += (_found(kind, number, items, group) for group in settled)
            number += 1
    return groups


def _found(kind: Type, number: int, items: Sequence[Item], group: Group) -> Found:
    return Found(
        type=kind,
        cluster=number,
        keep=items[group.kept],
        duplicates=tuple((items[one.item], one) for one in group.duplicates),
        nearest=tuple(items[one.nearest] for one in group.duplicates),
        also_kept=tuple(items[item] for item in group.also_kept),
    )


def _report(
    wish: Wish,
    piles: Mapping[Type, Pile],
    groups: Sequence[Found],
    models: Mapping[Type, Made],
    passed: tuple[Sequence[LeftOut], Mapping[str, int]],
) -> Report:
    left_out = [*passed[0], *(one for pile in piles.values() for one in pile.left_out())]
    items = {kind: len(pile.items) for kind, pile in piles.items() if pile.items}
    if not items:
        why = f"{left_out[0].name!r}: {left_out[0].reason}" if left_out else "there is not one row"
        raise BadRequest(f"nothing can be compared: {why}")
    return Report(
        threshold=wish.threshold,
        is_exact=wish.is_exact,
        items=items,
        models=models,
        groups=groups,
        left_out=left_out,
        skipped=dict(+Counter(passed[1])),
    )


def _passed(skipped: Mapping[str, int]) -> str:
    shown = ", ".join(f"{ending} {number} times" for ending, number in Counter(skipped).most_common(5) if number)
    return f" (passed over: {shown})" if shown else ""
