"""Collections, points and questions become requests to Qdrant, or calls of its local mode; its answers become ours."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from qdrant_client import QdrantClient, models

from embedstack.databases.checks import (
    check_field_name,
    check_fused,
    check_name,
    check_points,
    check_query,
    unknown,
)
from embedstack.databases.database import (
    Collection,
    Fused,
    Hit,
    Loaded,
    Page,
    Point,
    PointId,
    Points,
    Query,
    UnknownCollection,
    Where,
    point_id,
)
from embedstack.databases.qdrant.address import address_of
from embedstack.databases.qdrant.asking import (
    MORE,
    best_of,
    fusion_of,
    in_order,
    is_cut_among_equals,
    is_empty,
    meant_by,
    params_of,
    prefetches_of,
    weighs,
)
from embedstack.databases.qdrant.connection import Connection
from embedstack.databases.qdrant.known import marked, signed
from embedstack.databases.qdrant.making import check_kept, complete, make, origins_of, too_old
from embedstack.databases.qdrant.points import behind, hit_of, point_of, wire_of
from embedstack.databases.qdrant.shapes import Described, described_of, settled
from embedstack.databases.qdrant.where import filter_of
from embedstack.databases.qdrant.writing import delete_points, write_points
from embedstack.errors import BadRequest, Mismatch
from embedstack.origin import Origin


class QdrantDatabase:
    """A server of Qdrant 1.16 or later, by REST; or a folder that qdrant-client itself keeps, for trying.

    What is Qdrant's own: vectors of cosine fields are kept with length 1. Of equal scores at the cut, beyond 16, those
    are taken that Qdrant takes. An index over integers does not see fractions. A batch of points that breaks off may
    be in part there, and the same again makes it whole. `sign` and `switch` look and then write, in two requests: of
    two processes at the same instant the later one stands, and `sign` tells each what it sees after its own.

    It puts rankings together itself (`Fusing`), but for distances by their scores. Equal scores within a ranking are
    counted in whatever order Qdrant has them.

    Local mode has no indexes and quantizes nothing; only one process can have it open, so that aliases need not be
    switched in one step; every question reads all points, and with over 20,000 of them it is slow. Its files are
    pickles, which can do anything when they are opened: open only your own.

    Args:
        url: http://, https://, qdrant:// (that is http), qdrants://, or qdrant-local:/path; the port is 6333 if none is
            given, as in all clients of Qdrant. A path behind it is a proxy's.
        api_key: is never part of the URL.
        timeout_s: of each request.
    Raises:
        ConfigError: the URL or the key cannot be one.
    """

    def __init__(self, url: str, api_key: str = "", timeout_s: float = 60) -> None:
        self.url = url
        self._connection = Connection(address_of(url), api_key, timeout_s)
        self._one_at_a_time = threading.Lock()  # of what looks and then writes

    # -------------------------------------------------------------------------------------------- collections

    def names(self) -> list[str]:
        with self._connection.use() as client:
            return sorted(one.name for one in client.get_collections().collections)

    def describe(self, name: str) -> Collection | None:
        found = self._found(name)
        if found is None:
            return None
        try:
            with self._connection.use() as client:
                points = client.count(found.collection.name, exact=True).count
        except UnknownCollection:  # dropped in that moment
            return None
        return replace(found.collection, points=points)

    def create(self, wanted: Collection) -> bool:
        check_name(wanted.name)
        for field in wanted.fields:
            check_field_name(field)
        wanted = settled(wanted, is_local=self._connection.is_local)
        there = self._found(wanted.name)
        is_made = there is None and self._made(wanted)
        if there is None:
            there = self._there(wanted.name)
        if is_made:
            check_kept(self._connection, there.collection, origins_of(wanted))
        complete(self._connection, there, wanted)
        return is_made

    def drop(self, name: str) -> None:
        check_name(name)
        own = self._own(name)
        with self._connection.use() as client:
            _close_file(client, own)
            client.delete_collection(own)

    # -------------------------------------------------------------------------------------------- beside the points

    def sign(self, name: str, field: str, origin: Origin, *, over: Origin | None) -> Origin:
        """Looks, writes and looks again: no other thread can come between, but another process can."""
        with self._one_at_a_time:
            there = self._signable(name, field)
            stands = there.fields[field].origin
            if stands == over and stands != origin:
                return self._signed(there.name, field, origin)
        if stands is None:
            raise Mismatch(f"nobody has signed vector {field!r} of collection {there.name!r}; look at it again")
        return stands

    def mark(self, name: str, loaded: Loaded | None) -> None:
        own = self._own(name)
        with self._about(name) as client:
            client.update_collection(own, metadata=marked(loaded))
        if loaded is not None and self._there(own).collection.loaded is None:
            raise too_old(self._connection)

    def aliases(self) -> Mapping[str, str]:
        with self._connection.use() as client:
            found = client.get_aliases().aliases
        return {one.alias_name: one.collection_name for one in sorted(found, key=lambda one: one.alias_name)}

    def switch(self, alias: str, new: str, *, old: str | None) -> None:
        """In one step, so that it stands for something all the time; what it stands for is looked at before."""
        check_name(alias, "alias")
        with self._one_at_a_time:
            self._switch(alias, new, old)

    def _switch(self, alias: str, new: str, old: str | None) -> None:
        names, aliases = self.names(), self.aliases()
        if alias in names:
            raise BadRequest(f"alias {alias!r} is the name of a collection; take another, or drop that first")
        own = aliases.get(new, new)
        if own not in names:
            raise unknown(new, names)
        stands = aliases.get(alias)
        if stands != old:
            raise Mismatch(f"alias {alias!r} stands for {_shown(stands)}, and {_shown(old)} was expected; look again")
        if own != old:
            # replaces one that is there; with a deletion before it a server that dies, or refuses, in between has none
            made = models.CreateAlias(collection_name=own, alias_name=alias)
            with self._connection.use() as client:
                client.update_collection_aliases([models.CreateAliasOperation(create_alias=made)])

    # -------------------------------------------------------------------------------------------- points

    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        there = self._there(name).collection
        check_points(there, points)
        with self._named(name):
            write_points(self._connection, there, points, only_new=only_new)

    def delete(self, name: str, ids: Sequence[PointId]) -> None:
        wanted = [point_id(given) for given in ids]
        self._there(name)
        with self._named(name):
            delete_points(self._connection, name, wanted)

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
        """Raises BadRequest also where a point's number is over 2**63 - 1, which only Qdrant can have."""
        check_name(name)
        if limit < 1:
            raise BadRequest(f"limit {limit!r} of a page is below 1; ask for at least one point")
        first = None if after is None else behind(point_id(after))
        if after is not None and first is None:
            return Page([], None)
        meant = filter_of(where)
        with self._about(name) as client:
            records, following = client.scroll(
                name,
                scroll_filter=meant,
                limit=limit,
                offset=first,
                with_payload=payload,
                with_vectors=[*vectors] or False,
            )
        found = [point_of(record) for record in records]
        return Page(found, found[-1].id if found and following is not None else None)

    def get(self, name: str, ids: Sequence[PointId], *, vectors: Sequence[str] = ()) -> list[Point]:
        check_name(name)
        wanted = [point_id(given) for given in ids]
        with self._about(name) as client:
            records = client.retrieve(name, ids=wanted, with_payload=True, with_vectors=[*vectors] or False)
        found = {point.id: point for point in map(point_of, records)}
        return [found[given] for given in wanted if given in found]

    def query(self, name: str, query: Query) -> list[Hit]:
        """Where copies are quantized, the best of them are compared again with the vectors themselves."""
        there = self._there(name).collection
        field = check_query(there, query)
        if is_empty(query):
            return []
        meant, wire = meant_by(query), wire_of(query.vector)
        with self._about(name) as client:
            answer = client.query_points(
                name,
                query=wire,
                using=query.field or None,
                query_filter=meant,
                search_params=None if self._connection.is_local else params_of(there, is_exact=query.is_exact),
                limit=query.limit + MORE,
                with_payload=query.with_payload,
                with_vectors=[*query.with_vectors] or False,
            )
        return best_of(answer.points, query, field.distance)

    def fuse(self, name: str, asked: Fused) -> list[Hit]:
        """In one request, and a second one where ids would not decide who is cut off.

        Raises:
            Unsupported: weights, of a server or a client before 1.17; distances of l2 by 'dbsf'.
        """
        there = self._there(name).collection
        check_fused(there, asked)
        if weighs(asked):
            self._connection.check_weighs()
        fusion = fusion_of(there, asked)
        prefetches = prefetches_of(there, asked, is_local=self._connection.is_local)
        if not prefetches:
            return []
        with self._about(name) as client:
            ask = partial(client.query_points, name, prefetch=prefetches, query=fusion, with_payload=asked.with_payload)
            found = ask(limit=asked.limit + MORE).points
            if is_cut_among_equals(found, asked):
                found = ask(limit=sum(leg.limit for leg in asked.legs)).points
        return in_order([hit_of(one, is_distance=False) for one in found])[: asked.limit]

    def close(self) -> None:
        self._connection.close()

    # -------------------------------------------------------------------------------------------- who is meant

    def _found(self, name: str) -> Described | None:
        """Under its own name."""
        check_name(name)
        own = self._own(name)
        try:
            with self._connection.use() as client:
                info = client.get_collection(own)
        except UnknownCollection:
            return None
        return described_of(own, info, is_local=self._connection.is_local)

    def _there(self, name: str) -> Described:
        """Under the name that was asked for: Qdrant knows aliases itself, and that is a request less."""
        check_name(name)
        with self._about(name) as client:
            info = client.get_collection(name)
        return described_of(name, info, is_local=self._connection.is_local)

    def _own(self, name: str) -> str:
        """Of an alias what it stands for: what changes a collection is not asked by alias."""
        check_name(name)
        return self.aliases().get(name, name)

    def _made(self, wanted: Collection) -> bool:
        """False where somebody else made it meanwhile."""
        try:
            make(self._connection, wanted)
        except BadRequest:
            if wanted.name in self.names():
                return False
            raise
        return True

    def _signed(self, name: str, field: str, origin: Origin) -> Origin:
        """What stands there after it was written."""
        with self._about(name) as client:
            client.update_collection(name, metadata=signed({field: origin}))
        stands = self._signable(name, field).fields[field].origin
        if stands is None:
            raise too_old(self._connection)
        return stands

    def _signable(self, name: str, field: str) -> Collection:
        there = self._there(self._own(name)).collection
        if field not in there.fields:
            has = ", ".join(repr(one) for one in sorted(there.fields)) or "none"
            raise Mismatch(f"collection {there.name!r} has no vector {field!r}; it has: {has}")
        return there

    @contextlib.contextmanager
    def _about(self, name: str) -> Iterator[QdrantClient]:
        with self._named(name), self._connection.use() as client:
            yield client

    @contextlib.contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """A collection that is not there is named, with some that are."""
        try:
            yield
        except UnknownCollection as error:
            raise unknown(name, self.names()) from error


def _shown(name: str | None) -> str:
    return "nothing" if name is None else repr(name)


def _close_file(client: QdrantClient, name: str) -> None:
    """Local mode removes a collection's file, but leaves it open."""
    collections = getattr(client._client, "collections", {})
    if name in collections:
        collections[name].close()
