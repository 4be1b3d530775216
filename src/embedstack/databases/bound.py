"""A collection and whose vectors are meant for it become one that only takes and answers vectors of that space."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from embedstack.databases.checks import unknown
from embedstack.databases.database import (
    Collection,
    Database,
    Field,
    Fused,
    Fusing,
    Hit,
    Page,
    PointId,
    Points,
    Query,
    UnknownCollection,
    pages,
)
from embedstack.errors import Mismatch, Unsupported
from embedstack.origin import Identity, Origin, as_stated, check_space
from embedstack.types import Encoded

RECHECK_S = 5.0  # so long at most goes something into a collection that meanwhile became another's
PAGE = 1000  # points that are looked through at once
Answer = TypeVar("Answer")


class Bound:
    """Through it goes whatever is written to a collection or asked of it; several threads may share one.

    What was looked at is what is written and asked, by its own name: an alias that is switched is noticed with the
    next look.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        origins: Mapping[str, Origin],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            name: of a collection or an alias.
            origins: field -> whose vectors are written there; of a collection that is only asked, none.
            clock: seconds.
        """
        self.name = name
        self.database = database
        self._origins = origins
        self._clock = clock
        self._seen: tuple[float, Collection] | None = None  # when somebody looked, and what was there

    def prepare(self, wanted: Collection, *, claim: bool = False) -> Collection:
        """Make what is missing, and sign what nobody has signed; the collection as it is then.

        From then on `name` is the collection's own, so that an alias that is switched meanwhile divides no load.

        Args:
            wanted: its fields get the origins, its name is not read.
            claim: points whose vectors nobody has signed are of these origins: only said so, and written down as such.
                Where an origin is only stated, so is from then on what was signed before.
        Raises:
            Mismatch: what is there is of another space or width, has other fields, or nobody has signed it.
        """
        found = self.database.describe(self.name)
        if found is not None:
            self._refuse(found, claim=claim)  # before a field or an index is added
        fields = {name: replace(field, origin=self._origins.get(name)) for name, field in wanted.fields.items()}
        self.database.create(replace(wanted, name=self.name, fields=fields))
        there = self._described()
        self.name = there.name
        self._sign(there, claim=claim)
        return self.check()

    def check(self) -> Collection:
        """Look now whether the collection still holds what is meant for it; the collection as it is.

        Raises:
            Mismatch: it does not, naming both. UnknownCollection: there is none.
        """
        now, there = self._clock(), self._described()
        for field, origin in self._origins.items():
            self._compare(there.fields, field, origin)
        self._seen = now, there
        return there

    def write(self, points: Points, *, only_new: bool = False) -> None:
        """As `Database.write`, for fields that have an origin; what is signed is looked at again every 5 s at most.

        Raises:
            Mismatch: what is signed there is no longer what is written, or nobody said whose a field's vectors are.
        """
        for field in points.vectors:
            if field not in self._origins:
                raise Mismatch(
                    f"nobody says whose vectors go to {self._place(field)}; give its origin, or leave it out"
                )
        self.database.write(self.recent().name, points, only_new=only_new)

    def query(self, query: Query, origin: Origin) -> list[Hit]:
        """As `Database.query`; what is signed is looked at again every 5 s at most, and before anything is refused.

        Args:
            origin: of the question's vector.
        Raises:
            Mismatch: the field holds vectors of another space, or nobody has signed it.
        """
        (hits,) = self.queries([query], {query.field: origin})
        return hits

    def queries(self, several: Sequence[Query], origins: Mapping[str, Origin]) -> list[list[Hit]]:
        """As `query`, of each. One collection answers all of them, also where an alias is switched in between.

        Args:
            origins: by the fields that are asked, of the questions' vectors.
        Raises:
            As `query`.
        """
        return self._asked(origins, lambda name: [self.database.query(name, one) for one in several])

    def fuse(self, asked: Fused, origins: Mapping[str, Origin]) -> list[Hit]:
        """As `Fusing.fuse`, where every leg is looked at as `query` looks at one.

        Args:
            origins: by the legs' fields, of their vectors.
        Raises:
            Mismatch: one of the fields holds vectors of another space, or nobody has signed it. Unsupported: the
                database puts nothing together.
        """
        database = self.database
        if not isinstance(database, Fusing):
            raise Unsupported(f"{database.url} does not put rankings together; ask for each and fuse them here")
        return self._asked(
            {leg.field: origins[leg.field] for leg in asked.legs}, lambda name: database.fuse(name, asked)
        )

    def recent(self) -> Collection:
        """As it was at most 5 s ago; a look that fails is taken again by the next call.

        Raises:
            As `check`.
        """
        seen = self._seen
        if seen is not None and self._clock() < seen[0] + RECHECK_S:
            return seen[1]
        return self.check()

    def _asked(self, origins: Mapping[str, Origin], ask: Callable[[str], Answer]) -> Answer:
        try:
            return self._answer(self.recent(), origins, ask)
        except (Mismatch, UnknownCollection):  # may be of what was there before an alias was switched
            return self._answer(self.check(), origins, ask)

    def _answer(self, there: Collection, origins: Mapping[str, Origin], ask: Callable[[str], Answer]) -> Answer:
        for field, origin in origins.items():
            self._compare(there.fields, field, origin)
        return ask(there.name)

    def _described(self) -> Collection:
        found = self.database.describe(self.name)
        if found is None:
            raise unknown(self.name, self.database.names())
        return found

    def _place(self, field: str) -> str:
        return f"vector {field!r} of collection {self.name!r}" if field else f"collection {self.name!r}"

    def _compare(self, there: Mapping[str, Field], name: str, origin: Origin) -> None:
        place = self._place(name)
        if name not in there:
            raise Mismatch(f"{place} is not there; it has {', '.join(map(repr, there)) or 'no vectors'}")
        signed = there[name].origin
        if signed is None:
            raise Mismatch(
                f"nobody has signed the vectors of {place}; if you know that they are of {origin.name}, say so with "
                "`embedstack load --claim`, or use another collection"
            )
        check_space(signed, origin, place)

    def _refuse(self, there: Collection, *, claim: bool) -> None:
        """Raises: Mismatch: what is there is not of our origins, or nobody says whose it is."""
        for field, origin in self._origins.items():
            if field not in there.fields:
                continue
            signed = there.fields[field].origin
            if signed is None:
                self._signature(there, field, origin, claim=claim)
            else:
                check_space(signed, origin, self._place(field))

    def _sign(self, there: Collection, *, claim: bool) -> None:
        """What nobody has signed. Of several that sign at once one does; the others find out when they look again.

        Vectors that are only said to be of a space may come beside others: no more is known of all of them then.
        """
        for field, origin in self._origins.items():
            if field not in there.fields:
                continue
            standing = there.fields[field].origin
            if standing is None:
                mine = self._signature(there, field, origin, claim=claim)
                standing = self.database.sign(self.name, field, mine, over=None)
            if origin.basis == "stated" and standing.basis != "stated":
                check_space(standing, origin, self._place(field))
                self.database.sign(self.name, field, as_stated(standing), over=standing)

    def _signature(self, there: Collection, field: str, origin: Origin, *, claim: bool) -> Origin:
        """Of a field that nobody has signed: what is known of its vectors from then on."""
        if not self._holds(there, field):
            return origin
        if claim:
            return as_stated(origin)
        raise Mismatch(
            f"{self._place(field)} holds {there.points} points whose vectors nobody has signed; say that they are of "
            f"{origin.name} with --claim, or use another collection"
        )

    def _holds(self, there: Collection, field: str) -> bool:
        """A point has this vector. All are looked through where none has it, which is rare: new fields are signed."""

        def read(after: PointId | None) -> Page:
            return self.database.read(there.name, after=after, limit=PAGE, vectors=(field,), payload=False)

        return any(field in point.vectors for page in pages(read) for point in page.points)


def origin_of(made: Encoded, role: str = "query") -> Origin:
    """Whose a question's vectors are, as `Bound.query` takes it.

    Args:
        role: as which the question was read.
    """
    identity = Identity(
        model=made.spec.name,
        revision=made.spec.revision,
        space=made.spec.space,
        fingerprint=made.fingerprint,
        dim=made.spec.dim if made.dense is None else made.dense.shape[1],
        max_tokens=made.spec.max_tokens,
    )
    return Origin(identity=identity, role=role)
