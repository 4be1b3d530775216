"""Dialects become one table of paths: each dialect under its prefix, and all at the root by precedence; pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from embedstack.dialects.dialect import AnyRoute, Dialect, Page


@dataclass(frozen=True, slots=True)
class Serving:
    """What one dialect has at a path."""

    dialect: Dialect
    what: AnyRoute | Page


@dataclass(frozen=True, slots=True)
class Place:
    """One path and what stands there, in order of precedence."""

    path: str
    servings: tuple[Serving, ...]

    @property
    def first(self) -> Serving:
        """What answers unless a body fits another alone."""
        return self.servings[0]

    @property
    def method(self) -> str:
        """How it is called."""
        return "GET" if isinstance(self.first.what, Page) else "POST"


def places_of(dialects: Sequence[Dialect], taken: Collection[tuple[str, str]] = ()) -> tuple[Place, ...]:
    """Root paths first, in the dialects' order of precedence; then the prefixed ones.

    Args:
        taken: methods and paths of the root that belong to no dialect.
    """
    root = [one for dialect in dialects for one in _servings(dialect)]
    at_root = [(one.what.path, one) for one in root if (_method(one), one.what.path) not in taken]
    prefixed = [(_joined(one.dialect.prefix, one.what.path), one) for one in root]
    return (*_gathered(at_root), *_gathered(prefixed))


def _servings(dialect: Dialect) -> Iterable[Serving]:
    yield from (Serving(dialect, route) for route in dialect.routes)
    yield from (Serving(dialect, page) for page in dialect.pages)


def _method(serving: Serving) -> str:
    return "GET" if isinstance(serving.what, Page) else "POST"


def _joined(prefix: str, path: str) -> str:
    return prefix if path == "/" else prefix + path


def _gathered(found: Iterable[tuple[str, Serving]]) -> Iterable[Place]:
    """One place for each path and method."""
    gathered: dict[tuple[str, str], list[Serving]] = {}
    for path, serving in found:
        gathered.setdefault((_method(serving), path), []).append(serving)
    return (Place(path, tuple(servings)) for (_, path), servings in gathered.items())
