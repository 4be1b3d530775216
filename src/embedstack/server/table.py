"""Dialects become one table of paths: each dialect under its prefix, and all at the root by precedence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from embedstack.dialects.dialect import AnyRoute, Dialect, Page
from embedstack.dialects.wire import NoRoute, WrongMethod, shortened

OWN_PAGES = ("/docs", "/livez", "/metrics", "/openapi.json", "/ready")


@dataclass(frozen=True, slots=True)
class Place:
    """One path of the server and what stands there."""

    path: str
    dialect: Dialect
    serves: AnyRoute | Page

    @property
    def method(self) -> str:
        """How it is called."""
        return "GET" if isinstance(self.serves, Page) else "POST"

    @property
    def at_root(self) -> bool:
        """Whether it is the short path and not the one under the dialect's prefix."""
        return self.path == self.serves.path


def places(dialects: Sequence[Dialect]) -> tuple[Place, ...]:
    """Root paths first, where the first dialect wins a path that two have; then the prefixed ones."""
    root: dict[tuple[str, str], Place] = {}
    for place in _placed(dialects, prefixed=False):
        root.setdefault((place.method, place.path), place)
    return (*root.values(), *_placed(dialects, prefixed=True))


def _placed(dialects: Sequence[Dialect], *, prefixed: bool) -> Iterable[Place]:
    for dialect in dialects:
        prefix = dialect.prefix if prefixed else ""
        for route in dialect.routes:
            yield Place(prefix + route.path, dialect, route)
        for page in dialect.pages:
            yield Place(prefix + page.path, dialect, page)


def dialect_at(path: str, table: Sequence[Place]) -> Dialect:
    """Whose words to use where a path or its method is not served: the path's dialect, the prefix's, or the first."""
    same = (place.dialect for place in table if place.path == path)
    prefixed = (place.dialect for place in table if path.startswith(place.dialect.prefix + "/"))
    return next(same, None) or next(prefixed, table[0].dialect)


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
