"""Databases that keep every promise but one."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedstack.databases.checks import check_fused
from embedstack.databases.database import (
    Collection,
    Condition,
    Field,
    Fused,
    Hit,
    Loaded,
    Page,
    Point,
    PointId,
    Points,
    Query,
    Where,
    order_of,
)
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import Mismatch
from embedstack.origin import Origin
from embedstack.search.fuse import Ranking, dbsf, rrf
from embedstack.testing.promises import WRITERS, sparse
from embedstack.testing.promises import origin as drawn_origin
from embedstack.types import Sparse


class Turned(EmbeddedDatabase):
    """What it is asked, and what it answers, may be turned into something else."""

    def asked(self, where: Where | None) -> Where | None:
        return where

    def page(self, page: Page, limit: int) -> Page:
        return page

    def hits(self, hits: list[Hit], query: Query) -> list[Hit]:
        return hits

    def read(
        self,
        name: str,
        *,
        after: PointId | None = None,
        limit: int = 256,
        vectors: Sequence[str] = (),
        payload: bool = True,
        where: Where | None = None,
    ) -> Page:
        asked = self.asked(where)
        page = super().read(name, after=after, limit=limit, vectors=vectors, payload=payload, where=asked)
        return self.page(page, limit)

    def query(self, name: str, query: Query) -> list[Hit]:
        return self.hits(super().query(name, replace(query, where=self.asked(query.where) or Where())), query)


# ------------------------------------------------------------------------------------------------ collections


class SaysMade(EmbeddedDatabase):
    def create(self, wanted: Collection) -> bool:
        super().create(wanted)
        return True


class TakesAnyField(EmbeddedDatabase):
    def create(self, wanted: Collection) -> bool:
        try:
            return super().create(wanted)
        except Mismatch:
            return False


class LosesOrigins(EmbeddedDatabase):
    def create(self, wanted: Collection) -> bool:
        fields = {name: replace(field, origin=None) for name, field in wanted.fields.items()}
        return super().create(replace(wanted, fields=fields))


class SignsLater(EmbeddedDatabase):
    """So that another creator comes between."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.others = threading.Barrier(WRITERS)

    def create(self, wanted: Collection) -> bool:
        fields = {name: replace(field, origin=None) for name, field in wanted.fields.items()}
        made = super().create(replace(wanted, fields=fields))
        self.others.wait()
        for name, field in wanted.fields.items():
            if field.origin and not made:
                super().sign(wanted.name, name, field.origin, over=None)
        return made


class FoldsCapitals(EmbeddedDatabase):
    def create(self, wanted: Collection) -> bool:
        return super().create(replace(wanted, name=wanted.name.lower()))


class ListsAliases(EmbeddedDatabase):
    def names(self) -> list[str]:
        return sorted([*super().names(), *self.aliases()])


class KeepsDroppedMarks(EmbeddedDatabase):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.old: dict[str, Loaded] = {}

    def drop(self, name: str) -> None:
        there = self.describe(name)
        if there and there.loaded:
            self.old[there.name] = there.loaded
        super().drop(name)

    def create(self, wanted: Collection) -> bool:
        made = super().create(wanted)
        if wanted.name in self.old:
            self.mark(wanted.name, self.old[wanted.name])
        return made


# ------------------------------------------------------------------------------------------------ marks


class SignsAnyway(EmbeddedDatabase):
    def sign(self, name: str, field: str, origin: Origin, *, over: Origin | None) -> Origin:
        there = self.describe(name)
        now = there.fields[field].origin if there and field in there.fields else None
        return super().sign(name, field, origin, over=now)


class LooksFirst(SignsAnyway):
    """It compares and then it sets, and another one is between."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.others, self.one = threading.Barrier(WRITERS), threading.Lock()

    def sign(self, name: str, field: str, origin: Origin, *, over: Origin | None) -> Origin:
        self.others.wait()
        with self.one:
            return super().sign(name, field, origin, over=over)


class MarksInMemory(EmbeddedDatabase):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.marks: dict[str, Loaded | None] = {}

    def mark(self, name: str, loaded: Loaded | None) -> None:
        super().mark(name, None)
        self.marks[self.aliases().get(name, name)] = loaded

    def describe(self, name: str) -> Collection | None:
        there = super().describe(name)
        return there and replace(there, loaded=self.marks.get(there.name))


class MarksOverOrigins(EmbeddedDatabase):
    def mark(self, name: str, loaded: Loaded | None) -> None:
        super().mark(name, loaded)
        there = self.describe(name)
        for field, kept in there.fields.items() if there else ():
            self.sign(name, field, drawn_origin("the mark's"), over=kept.origin)


class SwitchesAnyway(EmbeddedDatabase):
    def switch(self, alias: str, new: str, *, old: str | None) -> None:
        super().switch(alias, new, old=self.aliases().get(alias))


class ReadsNoAlias(EmbeddedDatabase):
    def get(self, name: str, ids: Sequence[PointId], *, vectors: Sequence[str] = ()) -> list[Point]:
        return [] if name in self.aliases() else super().get(name, ids, vectors=vectors)


# ------------------------------------------------------------------------------------------------ points


class OrdersAsTexts(Turned):
    def page(self, page: Page, limit: int) -> Page:
        return Page(sorted(page.points, key=lambda point: str(point.id)), page.after)


class EndsLate(Turned):
    """A page that is full says that there is another one."""

    def page(self, page: Page, limit: int) -> Page:
        return Page(page.points, page.points[-1].id if len(page.points) == limit else None)


class EndsNever(Turned):
    def page(self, page: Page, limit: int) -> Page:
        return Page(page.points, page.after or 0)


class ForgetsDeletes(EmbeddedDatabase):
    def delete(self, name: str, ids: Sequence[PointId]) -> None:
        super().delete(name, ids[1:])


class TakesNaN(EmbeddedDatabase):
    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        vectors = {
            field: np.nan_to_num(column, nan=1.0) if isinstance(column, np.ndarray) else column
            for field, column in points.vectors.items()
        }
        super().write(name, replace(points, vectors=vectors), only_new=only_new)


class WritesOneByOne(EmbeddedDatabase):
    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        for place in range(len(points)):
            one = slice(place, place + 1)
            vectors = {field: column[one] for field, column in points.vectors.items()}
            part = Points(ids=points.ids[one], vectors=vectors, payloads=points.payloads[one])
            super().write(name, part, only_new=only_new)


class OverwritesOld(EmbeddedDatabase):
    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        super().write(name, points)


class MergesPayloads(EmbeddedDatabase):
    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        before = {point.id: point.payload for point in super().get(name, points.ids)}
        merged = [{**before.get(i, {}), **new} for i, new in zip(points.ids, points.payloads, strict=False)]
        whole = len(merged) == len(points.payloads)
        super().write(name, replace(points, payloads=merged if whole else points.payloads), only_new=only_new)


class DropsOtherFields(EmbeddedDatabase):
    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        if not only_new:
            super().delete(name, points.ids)
        super().write(name, points, only_new=only_new)


class HalvesAll(EmbeddedDatabase):
    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        vectors = dict(points.vectors)
        for field, column in points.vectors.items():
            if isinstance(column, np.ndarray):
                vectors[field] = column.clip(-100, 100).astype(np.float16).astype(np.float32)
        super().write(name, replace(points, vectors=vectors), only_new=only_new)


class GetsInOrder(EmbeddedDatabase):
    def get(self, name: str, ids: Sequence[PointId], *, vectors: Sequence[str] = ()) -> list[Point]:
        return sorted(super().get(name, ids, vectors=vectors), key=lambda point: order_of(point.id))


class RemembersAnswers(EmbeddedDatabase):
    """Until it writes or deletes something itself."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.known: dict[str, list[Hit]] = {}

    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        super().write(name, points, only_new=only_new)
        self.known.clear()

    def query(self, name: str, query: Query) -> list[Hit]:
        return self.known.setdefault(f"{name} {query}", super().query(name, query))


# ------------------------------------------------------------------------------------------------ questions


class BreaksTiesBackwards(Turned):
    def hits(self, hits: list[Hit], query: Query) -> list[Hit]:
        backwards = sorted(hits, key=lambda hit: order_of(hit.id), reverse=True)
        return sorted(backwards, key=lambda hit: -hit.score)


class SquaresDistances(Turned):
    def hits(self, hits: list[Hit], query: Query) -> list[Hit]:
        return [replace(hit, score=-(hit.score**2)) if query.field == "l2" else hit for hit in hits]


class WantsMore(Turned):
    """More than the least, where as much is enough."""

    def hits(self, hits: list[Hit], query: Query) -> list[Hit]:
        return [hit for hit in hits if query.least is None or hit.score > query.least]


class FiltersLast(EmbeddedDatabase):
    def query(self, name: str, query: Query) -> list[Hit]:
        meant = {point.id for point in self.read(name, limit=1000, where=query.where).points}
        return [hit for hit in super().query(name, replace(query, where=Where())) if hit.id in meant]


class ForgetsNames(EmbeddedDatabase):
    """Of the points that a question is about."""

    def query(self, name: str, query: Query) -> list[Hit]:
        return super().query(name, replace(query, among=None))


class CutsWide(EmbeddedDatabase):
    def query(self, name: str, query: Query) -> list[Hit]:
        there, vector = self.describe(name), query.vector
        field = there.fields.get(query.field, Field()) if there else Field()
        cut = vector[: field.dim] if isinstance(vector, np.ndarray) and vector.ndim == 1 else vector
        return super().query(name, replace(query, vector=cut))


class KnowsNoRarity(EmbeddedDatabase):
    def create(self, wanted: Collection) -> bool:
        fields = {name: replace(field, idf=False) for name, field in wanted.fields.items()}
        return super().create(replace(wanted, fields=fields))


class CountsTermless(EmbeddedDatabase):
    """How rare a term is: a point without terms counts like one with a term that nobody asks for."""

    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        vectors = dict(points.vectors)
        for field, column in points.vectors.items():
            if len(column) and isinstance(column[0], Sparse):
                vectors[field] = [one if len(one.ids) else sparse({2**31 - 1: 1.0}) for one in column]
        super().write(name, replace(points, vectors=vectors), only_new=only_new)


class FindsAll(EmbeddedDatabase):
    """Points without a common term too, with nothing."""

    def query(self, name: str, query: Query) -> list[Hit]:
        hits = super().query(name, query)
        found = {hit.id for hit in hits}
        others = [] if not isinstance(query.vector, Sparse) else self.read(name, where=query.where).points
        return [*hits, *(Hit(id=one.id, score=0.0) for one in others if one.id not in found)][: query.limit]


class AsksWithOne(EmbeddedDatabase):
    """The first of several vectors of a query."""

    def query(self, name: str, query: Query) -> list[Hit]:
        several = isinstance(query.vector, np.ndarray) and query.vector.ndim == 2
        return super().query(name, replace(query, vector=query.vector[:1]) if several else query)


# ------------------------------------------------------------------------------------------------ fusions


class Fuses(EmbeddedDatabase):
    """It keeps every promise."""

    def fuse(self, name: str, asked: Fused) -> list[Hit]:
        there = self.describe(name)
        assert there is not None
        check_fused(there, asked)
        found = [self.query(name, asked.query(leg)) for leg in asked.legs]
        by_id = {hit.id: hit for hits in found for hit in hits}
        fused = self.together([[(hit.id, hit.score) for hit in hits] for hits in found], asked)
        return [replace(by_id[one], score=score) for one, score in fused]

    def together(self, rankings: Sequence[Ranking[PointId]], asked: Fused) -> list[tuple[PointId, float]]:
        if asked.fusion == "dbsf":
            return dbsf(rankings, asked.limit)
        return rrf(rankings, k=asked.k - 1, weights=asked.weights or None, limit=asked.limit)


class CountsRanksFromOne(Fuses):
    """k is not Qdrant's."""

    def together(self, rankings: Sequence[Ranking[PointId]], asked: Fused) -> list[tuple[PointId, float]]:
        return super().together(rankings, replace(asked, k=asked.k + 1))


class WeighsNothing(Fuses):
    def together(self, rankings: Sequence[Ranking[PointId]], asked: Fused) -> list[tuple[PointId, float]]:
        return super().together(rankings, replace(asked, weights=()))


class CutsFused(Fuses):
    """The least score of a leg is one of the fusion."""

    def fuse(self, name: str, asked: Fused) -> list[Hit]:
        least = max((leg.least for leg in asked.legs if leg.least is not None), default=-1.0)
        hits = super().fuse(name, replace(asked, legs=[replace(leg, least=None) for leg in asked.legs]))
        return [hit for hit in hits if hit.score >= least]


class LeavesFusedTies(Fuses):
    """As they fall."""

    def fuse(self, name: str, asked: Fused) -> list[Hit]:
        hits = super().fuse(name, replace(asked, limit=1000))
        backwards = sorted(hits, key=lambda hit: order_of(hit.id), reverse=True)
        return sorted(backwards, key=lambda hit: -hit.score)[: asked.limit]


class FusesAllTenants(Fuses):
    def fuse(self, name: str, asked: Fused) -> list[Hit]:
        return super().fuse(name, replace(asked, where=Where()))


# ------------------------------------------------------------------------------------------------ conditions


class TakesTextsForNumbers(Turned):
    def asked(self, where: Where | None) -> Where | None:
        return where and Where(all=tuple(map(self.loose, where.all)), none=tuple(map(self.loose, where.none)))

    @staticmethod
    def loose(condition: Condition) -> Condition:
        return (
            condition
            if not condition.values
            else replace(condition, values=(*condition.values, *map(str, condition.values)))
        )


class TakesNothingForAnything(Turned):
    """A condition of no values is none."""

    def asked(self, where: Where | None) -> Where | None:
        return where and replace(where, all=tuple(one for one in where.all if one.values != ()))


class ForgetsNone(Turned):
    def asked(self, where: Where | None) -> Where | None:
        return where and replace(where, none=())


class LeavesOutEnds(Turned):
    def asked(self, where: Where | None) -> Where | None:
        return where and replace(where, all=tuple(map(self.inside, where.all)))

    @staticmethod
    def inside(condition: Condition) -> Condition:
        return condition if condition.most is None else replace(condition, most=condition.most - 1e-9)
