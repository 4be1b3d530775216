"""A database that others use too becomes one in which nothing is but what is made through it, and which goes again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from secrets import token_hex
from typing import Any

from embedstack.databases.checks import LONGEST, NAME, unknown
from embedstack.databases.database import Collection, Database, Fused, Fusing, Hit, UnknownCollection
from embedstack.errors import EmbedstackError

BYTES = 4  # of the prefix: nobody draws the same


@contextmanager
def corner(opened: Callable[[], Database]) -> Iterator[Callable[[], Database]]:
    """A function that opens the same corner again; at the end all that was made there is dropped."""
    prefix, longer = f"{token_hex(BYTES)}-", dict[str, str]()
    try:
        yield lambda: _cornered(opened(), prefix, longer)
    finally:
        with closing(opened()) as database:
            for name in database.names():
                if name.startswith(prefix):
                    database.drop(name)


def _cornered(inner: Database, prefix: str, longer: dict[str, str]) -> Database:
    return (FusingCorner if isinstance(inner, Fusing) else Corner)(inner, prefix, longer)


class Corner:
    """Names get a prefix on their way in, and lose it on their way out, also in what errors say.

    Args:
        prefix: nobody else's names begin so.
        longer: names that are too long with it, by what they are there; filled here.
    """

    def __init__(self, inner: Database, prefix: str, longer: dict[str, str]) -> None:
        self._inner, self._prefix, self._longer = inner, prefix, longer
        self.url = inner.url

    def __getattr__(self, method: str) -> Callable[..., Any]:
        """Of all that take a collection's name first and give nothing that has one in it."""
        call = getattr(self._inner, method)
        return lambda name, *given, **named: self._called(lambda: call(self._in(name), *given, **named), name)

    def names(self) -> list[str]:
        return sorted(self._mine(self._inner.names()))

    def describe(self, name: str) -> Collection | None:
        found = self._called(lambda: self._inner.describe(self._in(name)), name)
        return found and replace(found, name=self._out(found.name))

    def create(self, wanted: Collection) -> bool:
        there = replace(wanted, name=self._in(wanted.name))
        return self._called(lambda: self._inner.create(there), wanted.name)

    def aliases(self) -> Mapping[str, str]:
        found = self._inner.aliases()
        return {alias: self._out(found[self._in(alias)]) for alias in self._mine([*found])}

    def switch(self, alias: str, new: str, *, old: str | None) -> None:
        before = None if old is None else self._in(old)
        self._called(lambda: self._inner.switch(self._in(alias), self._in(new), old=before), new)

    def close(self) -> None:
        self._inner.close()

    def _in(self, name: str) -> str:
        """What is no name stays none. Of one that would be too long the end is kept, which tells names apart."""
        if not NAME.fullmatch(name):
            return name
        there = self._prefix + name[len(self._prefix) - LONGEST :]
        if len(self._prefix + name) > LONGEST:
            self._longer[there] = name
        return there

    def _out(self, there: str) -> str:
        return self._longer.get(there, there.removeprefix(self._prefix))

    def _mine(self, names: Sequence[str]) -> list[str]:
        return [self._out(name) for name in names if name.startswith(self._prefix)]

    def _called(self, call: Callable[[], Any], name: str) -> Any:
        try:
            return call()
        except UnknownCollection as error:  # which names some that are there
            raise unknown(name, self.names()) from error
        except EmbedstackError as error:
            error.args = tuple(str(part).replace(self._prefix, "") for part in error.args)
            raise


class FusingCorner(Corner):
    """Of a database that puts rankings together: that it does is seen by its method."""

    def fuse(self, name: str, asked: Fused) -> list[Hit]:
        return self._called(lambda: self._inner.fuse(self._in(name), asked), name)
