"""An Encoder before the server's, for one request: a collection's name is a name of the model of its vectors.

What a collection is when a request first asks for it, it is to the request's end, whatever its alias stands for then.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from embedstack.databases.database import Collection, Field, Kind
from embedstack.errors import EmbedstackError, Mismatch
from embedstack.modelspec import ModelSpec
from embedstack.origin import Identity
from embedstack.search.legs import COUNTED
from embedstack.server.served import Collections
from embedstack.types import (
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Encoder,
    Score,
    Scored,
    Tokenize,
    Tokenized,
)

KINDS: tuple[Kind, ...] = ("dense", "multi", "sparse")  # the first that a collection has is what its name stands for
Find = Callable[[str], ModelSpec | None]
Missing = Callable[[Identity], EmbedstackError]
"""What to say of a model that is not served; it may see to it that it is fetched."""
Asking = TypeVar("Asking", Encode, Score, Classify, Tokenize, Decode)
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a name stands for."""

    collection: str  # by its own name
    spec: ModelSpec  # as it is served
    dim: int  # numbers of each vector of the collection; 0 of sparse ones that have no width


class Unseen(Exception):  # no error of ours: `seen` catches it, and nobody in between
    """A collection that this request has not looked at yet."""

    def __init__(self, look: Callable[[], Awaitable[None]]) -> None:
        super().__init__("a collection was not looked at")
        self.look = look


async def seen(work: Callable[[], Awaitable[Given]]) -> Given:
    """What the work gives; where it meets a collection that was not looked at, that is done, and the work again."""
    while True:
        try:
            return await work()
        except Unseen as unseen:
            await unseen.look()


class BoundModels:
    """Satisfies `Encoder`.

    Args:
        find: the model that a request with a name would get, without collections.
    """

    def __init__(self, encoder: Encoder, find: Find, collections: Collections, missing: Missing) -> None:
        self._encoder, self._find, self._collections, self._missing = encoder, find, collections, missing
        self._standing: dict[str, Standing] = {}

    def find(self, name: str) -> ModelSpec | None:
        """The model that a request with this name gets.

        Raises:
            Unseen: it is a collection's, and this request has not looked.
        """
        if name not in self._collections:
            return self._find(name)
        if name not in self._standing:
            raise Unseen(lambda: self.look(name))
        return self._standing[name].spec

    async def look(self, name: str) -> None:
        """Settle what a name stands for in this request, if it is a collection's.

        Raises:
            Mismatch: no one model stands for it, or the one of that name is of another space. NotReady: the model is
                not there, or the database. As `Served.recent`.
        """
        if name in self._collections and name not in self._standing:
            there = await self._collections.named(name).recent()
            identity = identity_of(there)
            spec = self.served(identity)
            if spec is None:
                raise self._refusal(there, identity)
            self._standing[name] = Standing(there.name, spec, identity.dim)

    async def encode(self, request: Encode) -> Encoded:
        """Vectors as the collection has them, also of its width.

        Raises:
            Mismatch: another width was asked for.
        """
        named = await self._named(request)
        standing = self._standing.get(request.model)
        return await self._encoder.encode(named if standing is None else _fitting(named, standing))

    async def score(self, request: Score) -> Scored:
        return await self._encoder.score(await self._named(request))

    async def classify(self, request: Classify) -> Classified:
        return await self._encoder.classify(await self._named(request))

    async def tokens(self, request: Tokenize) -> Tokenized:
        return await self._encoder.tokens(await self._named(request))

    async def decode(self, request: Decode) -> Decoded:
        return await self._encoder.decode(await self._named(request))

    def models(self) -> tuple[ModelSpec, ...]:
        """Those of the encoder: a collection adds none."""
        return self._encoder.models()

    async def _named(self, request: Asking) -> Asking:
        """The request for the model itself."""
        await self.look(request.model)
        standing = self._standing.get(request.model)
        return request if standing is None else replace(request, model=standing.spec.name)

    def served(self, identity: Identity) -> ModelSpec | None:
        """The model of that space, first by that name; None where there is none."""
        named = self._find(identity.model)
        models = [*([named] if named is not None else []), *self._encoder.models()]
        return next((spec for spec in models if spec.space == identity.space and spec.task == "embed"), None)

    def check(self, there: Collection, names: Sequence[str]) -> None:
        """That questions for these fields can be read, at least for one of them that is of a model.

        Raises:
            As `look`.
        """
        identities = _identities(there.fields[name] for name in names)
        if identities and not any(self.served(one) for one in identities):
            raise self._refusal(there, identities[0])

    def _refusal(self, there: Collection, identity: Identity) -> EmbedstackError:
        named = self._find(identity.model)
        if named is None:
            return self._missing(identity)
        return Mismatch(
            f"collection {there.name!r} holds vectors of {identity.model!r} (space {identity.space[:12]}…), and "
            f"{named.name!r} (space {named.space[:12]}…) is served here; serve the model of the first space, or embed "
            "again with the second one"
        )


def _fitting(request: Encode, standing: Standing) -> Encode:
    dim = standing.dim
    if request.dim is not None and dim and request.dim != dim:
        raise Mismatch(
            f"collection {standing.collection!r} holds {dim} numbers of each vector, and {request.dim} were asked for; "
            "leave the width out"
        )
    is_cut = dim and dim != standing.spec.dim and "dense" in request.outputs
    return replace(request, dim=dim) if is_cut else request


def identity_of(collection: Collection) -> Identity:
    """Whose a collection's vectors are: of its dense ones, else of those of tokens, else of its sparse ones.

    Raises:
        Mismatch: nobody has signed them, or they are of two models or widths.
    """
    for kind in KINDS:
        found = _identities(field for field in collection.fields.values() if field.kind == kind)
        if len(found) > 1:
            names = " and ".join(sorted(f"{one.model!r} ({one.dim} numbers)" for one in found))
            raise Mismatch(
                f"collection {collection.name!r} holds vectors of {names}; ask for one of these models itself"
            )
        if found:
            return found[0]
    raise Mismatch(
        f"no model stands for collection {collection.name!r}, since nobody has signed its vectors; if you know whose "
        "they are, say so with `embedstack load --claim`"
    )


def _identities(fields: Iterable[Field]) -> list[Identity]:
    """One of each space and width; words that were counted are of no model."""
    signed = [field.origin.identity for field in fields if field.origin is not None]
    of_models = [one for one in signed if one.dim or not one.model.startswith(COUNTED)]
    return list({(one.space, one.dim): one for one in of_models}.values())
