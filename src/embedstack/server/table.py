"""Dialects become one table of paths: each dialect under its prefix, and all at the root by precedence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from embedstack.dialects.dialect import AnyRoute, Dialect, Page
from embedstack.dialects.wire import NoRoute, WrongMethod, shortened

OWN_PAGES = ("/", "/docs", "/livez", "/metrics", "/openapi.json", "/ready")


@dataclass(frozen=True, slots=True)
class Serving:
    """What one dialect has at a path."""

    dialect: Dialect
    what: AnyRoute | Page


@dataclass(frozen=True, slots=True)
class Place:
    """One path of the server and what stands there, in order of precedence."""

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


def places(dialects: Sequence[Dialect]) -> tuple[Place, ...]:
    """Root paths first, in the dialects' order of precedence; then the prefixed ones."""
    root = [one for dialect in dialects for one in _servings(dialect)]
    own = {("GET", path) for path in OWN_PAGES}
    at_root = [(one.what.path, one) for one in root if (_method(one), one.what.path) not in own]
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


def dialect_at(path: str, table: Sequence[Place]) -> Dialect:
    """Whose words to use where a path or its method is not served: the path's dialect, the prefix's, or the first."""
    same = (place.first.dialect for place in table if place.path == path)
    dialects = dict.fromkeys(one.dialect for place in table for one in place.servings)
    prefixed = (dialect for dialect in dialects if path.startswith(dialect.prefix + "/"))
    return next(same, None) or next(prefixed, table[0].first.dialect)


def methods_at(path: str, table: Sequence[Place], found: Iterable[str]) -> list[str]:
    """How a path may be called.

    Args:
        found: by the first route that has the path; others may have it too.
    """
    methods = {
        *found,
        *(place.method for place in table if place.path == path),
        *(["GET"] if path in OWN_PAGES else []),
    }
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def no_route(method: str, path: str, table: Sequence[Place]) -> NoRoute:
    """The error for a path that is not served; it names the nearest."""
    known = {place.path: f"{place.method} {place.path}" for place in table}
    known |= {page: f"GET {page}" for page in OWN_PAGES}
    path = shortened(path)
    near = get_close_matches(path, known, n=1, cutoff=0.0)
    nearest = f"; the nearest is {known[near[0]]}" if near else ""
    return NoRoute(f"there is no {shortened(method)} {path!r} here{nearest}; GET /docs lists all")


def wrong_method(method: str, path: str, allowed: str) -> WrongMethod:
    """The error for a path that is served under another method."""
    return WrongMethod(f"{shortened(path)!r} is not for {shortened(method)}; send {allowed}")
