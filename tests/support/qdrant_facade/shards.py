"""A folder becomes collections of the real engine, one shard each, and their aliases: as they were left, however."""

from __future__ import annotations  # the stub of the engine has names that its module has not

import itertools
import shutil
from pathlib import Path
from uuid import uuid4

import msgspec
import qdrant_edge as edge

from support.qdrant_facade import kept, schema
from support.qdrant_facade.bodies import (
    Action,
    Count,
    Create,
    CreateIndex,
    NewVector,
    Operation,
    Patch,
    Payload,
    Query,
    Retrieve,
    Scroll,
)
from support.qdrant_facade.filters import filter_of
from support.qdrant_facade.kept import Kept
from support.qdrant_facade.points import payload_of, record, scored, shown
from support.qdrant_facade.questions import at_least_one, request_of
from support.qdrant_facade.refused import Refused, engine, not_there, taken
from support.qdrant_facade.updates import operation_of


class Collection:
    """A shard, and what is known of it. Who changes `known` saves it."""

    def __init__(self, known: Kept, shard: edge.EdgeShard) -> None:
        self.known = known
        self._shard = shard
        self._numbers = itertools.count()

    def close(self) -> None:
        """Give back what the engine holds."""
        self._shard.close()

    # -------------------------------------------------------------------------------------------- changes

    def update(self, given: Operation) -> int:
        """The number of the change, which is on the disk."""
        with engine():
            return self._done(operation_of(given))

    def add_index(self, given: CreateIndex) -> int:
        """Over a key of the payloads; another over the same key is replaced."""
        with engine():
            params = schema.index_params(given.field_schema)
            number = self._done(edge.UpdateOperation.create_field_index(given.field_name, params))
        self.known.indexes[given.field_name] = given.field_schema or ""
        return number

    def drop_index(self, key: str) -> int:
        """One that is not there is no error."""
        with engine():
            number = self._done(edge.UpdateOperation.delete_field_index(key))
        self.known.indexes.pop(key, None)
        return number

    def add_vector(self, name: str, new: NewVector) -> int:
        """One more field."""
        made = schema.with_vector(self.known.made, name, new)
        with engine():
            number = self._done(schema.add_operation(name, new))
        self.known.made = made
        return number

    def drop_vector(self, name: str) -> int:
        """A field, of all points."""
        made = schema.without_vector(self.known.made, name)
        with engine():
            number = self._done(edge.UpdateOperation.delete_vector_name(name))
        self.known.made = made
        return number

    def patch(self, given: Patch) -> None:
        """What is given is merged."""
        made, known = self.known.made, self.known
        known.made = msgspec.structs.replace(
            made,
            hnsw_config={**(made.hnsw_config or {}), **(given.hnsw_config or {})},
            optimizers_config={**(made.optimizers_config or {}), **(given.optimizers_config or {})},
            quantization_config=given.quantization_config or made.quantization_config,
        )
        if given.metadata is not None:
            known.metadata = schema.merged(known.metadata, given.metadata)

    def _done(self, operation: edge.UpdateOperation) -> int:
        self._shard.update(operation)
        self._shard.flush()
        return next(self._numbers)

    # -------------------------------------------------------------------------------------------- questions

    def told(self) -> Payload:
        """All that is known of it."""
        info, known = self._shard.info(), self.known
        points = {key: index.points for key, index in info.payload_schema.items()}
        indexes = {key: schema.told_index(made, points.get(key, 0)) for key, made in known.indexes.items()}
        return {
            "status": "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": 0,
            "points_count": self._shard.count(edge.CountRequest()),
            "segments_count": info.segments_count,
            "config": schema.told(known.made, known.metadata),
            "payload_schema": indexes,
        }

    def retrieve(self, given: Retrieve) -> list[Payload]:
        """In an order that means nothing."""
        with engine():
            points = self._shard.retrieve([*given.ids], payload_of(given.with_payload), given.with_vector)
        return [record(point) for point in points]

    def scroll(self, given: Scroll) -> Payload:
        """In the order of ids."""
        at_least_one(given.limit)
        with engine():
            points, after = self._shard.scroll(
                edge.ScrollRequest(
                    offset=given.offset,
                    limit=given.limit,
                    filter=filter_of(given.filter),
                    with_payload=payload_of(given.with_payload),
                    with_vector=given.with_vector,
                )
            )
        return {"points": [record(point) for point in points], "next_page_offset": shown(after)}

    def count(self, given: Count) -> Payload:
        """Always exact."""
        with engine():
            return {"count": self._shard.count(edge.CountRequest(filter=filter_of(given.filter)))}

    def query(self, given: Query) -> Payload:
        """The nearest."""
        with engine():
            points = self._shard.query(request_of(given))
        return {"points": [scored(point) for point in points]}


class Shards:
    """All collections of a folder; shards that no collection owns are what a death left, and go."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder / "shards", folder / "state.json"
        self._folder.mkdir(parents=True, exist_ok=True)
        self.state = kept.load(self._path)
        owned = {known.folder for known in self.state.collections.values()}
        for left in self._folder.iterdir():
            if left.name not in owned:
                shutil.rmtree(left)
        self._open = {
            name: Collection(known, edge.EdgeShard.load(str(self._folder / known.folder)))
            for name, known in self.state.collections.items()
        }

    def close(self) -> None:
        """Of all collections."""
        for collection in self._open.values():
            collection.close()

    def save(self) -> None:
        """What is known, onto the disk."""
        kept.save(self.state, self._path)

    def named(self, name: str) -> Collection:
        """A collection, by its name or by an alias."""
        name = self.state.aliases.get(name, name)
        if name not in self._open:
            raise not_there(name)
        return self._open[name]

    def is_there(self, name: str) -> bool:
        """Also by an alias."""
        return self.state.aliases.get(name, name) in self._open

    def create(self, name: str, made: Create) -> None:
        """All of it, or nothing."""
        if name in self._open:
            raise taken(name)
        if name in self.state.aliases:
            text = f"Can't create collection with name {name}. Alias with the same name already exists"
            raise Refused(400, f"Wrong input: {text}")
        known = Kept(uuid4().hex, msgspec.structs.replace(made, metadata=None), made.metadata)
        path = self._folder / known.folder
        with engine():
            config = schema.engine_config(made)
            path.mkdir()
            self._open[name] = Collection(known, edge.EdgeShard.create(str(path), config))
        self.state.collections[name] = known
        self.save()

    def delete(self, name: str) -> bool:
        """With its aliases; whether it was there. An alias is no name here, as on a server."""
        if name not in self._open:
            return False
        known = self.state.collections.pop(name)
        self.state.aliases = {alias: owner for alias, owner in self.state.aliases.items() if owner != name}
        self.save()
        self._open.pop(name).close()
        shutil.rmtree(self._folder / known.folder)
        return True

    def change_aliases(self, actions: list[Action]) -> None:
        """One after the other; those before one that fails stay done, as on a server."""
        for action in actions:
            self._change(self.state.aliases, action)
            self.save()

    def _change(self, aliases: dict[str, str], action: Action) -> None:
        create, delete, rename = action.create_alias, action.delete_alias, action.rename_alias
        if create is not None:
            if create.collection_name not in self._open:
                raise not_there(create.collection_name)
            if create.alias_name in self._open:
                raise taken(create.alias_name)
            aliases[create.alias_name] = create.collection_name
        elif delete is not None:
            aliases.pop(delete.alias_name, None)
        elif rename is not None:
            if rename.old_alias_name not in aliases:
                raise Refused(404, f"Not found: Alias {rename.old_alias_name} does not exists!")
            aliases[rename.new_alias_name] = aliases.pop(rename.old_alias_name)
