"""A model that a collection needs and nobody serves becomes what its caller is told; a lazy server fetches it."""

from collections.abc import Callable
from concurrent.futures import Future

from embedstack.engine.pool import Pool
from embedstack.errors import EmbedstackError, LoadFailed, NotReady
from embedstack.modelspec import ModelSpec
from embedstack.origin import Identity
from embedstack.settings import Settings

AGAIN_S = 5.0  # until it is worth asking again; a model of the catalog is fetched in seconds to minutes


class Bringing:
    """For one event loop.

    Args:
        pool: where models can come and go; None where they cannot.
    """

    def __init__(self, settings: Settings, pool: Callable[[], Pool | None]) -> None:
        self._pool = pool
        self._is_lazy, self._has_admin = settings.lazy, bool(settings.admin_key)
        self._under_way: dict[str, Future[ModelSpec]] = {}

    def __call__(self, identity: Identity) -> EmbedstackError:
        """What to raise: NotReady, or LoadFailed where the model cannot be had."""
        pool, name = self._pool(), identity.model
        if pool is None or not self._is_lazy:
            admin = ", or load it with POST /admin/models/load" if pool is not None and self._has_admin else ""
            return NotReady(
                f"the collection's vectors are of {name!r} (space {identity.space[:12]}…), which is not served here; "
                f"start the server with it: --models{admin}",
                AGAIN_S,
            )
        fetching = self._under_way.get(name)
        if fetching is not None and fetching.done() and (error := fetching.exception()) is not None:
            del self._under_way[name]  # the next request tries again
            why = error.message if isinstance(error, EmbedstackError) else type(error).__name__
            return LoadFailed(f"the collection's vectors are of {name!r}, which cannot be served: {why}")
        if fetching is None or fetching.done():
            self._under_way[name] = pool.add_model(name)
        return NotReady(f"the collection's vectors are of {name!r}, which is being fetched; ask again", AGAIN_S)
