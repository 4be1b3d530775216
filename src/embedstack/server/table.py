"""The dialects' table of paths with the server's own pages beside it, and what to say of a path that is not served."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from embedstack.dialects import open_dialect
from embedstack.dialects.dialect import Dialect
from embedstack.dialects.places import Place, Serving, places_of
from embedstack.dialects.wire import NoRoute, WrongMethod, shortened

SEARCH, COLLECTIONS = "/search", "/collections"
OWN_PAGES = ("/", COLLECTIONS, "/docs", "/livez", "/metrics", "/openapi.json", "/ready")
OWN_POSTS = (SEARCH,)


def places(dialects: Sequence[Dialect]) -> tuple[Place, ...]:
    """All paths of the dialects, but for what would stand in the place of the server's own pages."""
    return places_of(dialects, {*(("GET", path) for path in OWN_PAGES), *(("POST", path) for path in OWN_POSTS)})


def own_words() -> Serving:
    """Whose words errors have at the server's own paths: OpenAI's envelope, which names the field that is wrong."""
    openai = open_dialect("openai")
    return Serving(openai, openai.pages[0])


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
        *(["POST"] if path in OWN_POSTS else []),
    }
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def no_route(method: str, path: str, table: Sequence[Place]) -> NoRoute:
    """The error for a path that is not served; it names the nearest."""
    known = {place.path: f"{place.method} {place.path}" for place in table}
    known |= {page: f"GET {page}" for page in OWN_PAGES} | {path: f"POST {path}" for path in OWN_POSTS}
    path = shortened(path)
    near = get_close_matches(path, known, n=1, cutoff=0.0)
    nearest = f"; the nearest is {known[near[0]]}" if near else ""
    return NoRoute(f"there is no {shortened(method)} {path!r} here{nearest}; GET /docs lists all")


def wrong_method(method: str, path: str, allowed: str) -> WrongMethod:
    """The error for a path that is served under another method."""
    return WrongMethod(f"{shortened(path)!r} is not for {shortened(method)}; send {allowed}")
