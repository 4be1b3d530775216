"""An address and a key become qdrant-client's client, opened at the first use, with time-outs and our errors."""

import contextlib
import math
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from qdrant_client import QdrantClient, models

from embedstack.databases.qdrant.address import Address
from embedstack.databases.qdrant.failures import from_folder, from_server
from embedstack.errors import ConfigError, Unsupported, Upstream

CONNECT_S = 10.0
UPDATE_FILTERS = (1, 16)  # the version of a server that can insert and leave alone what is there
RANK_WEIGHTS = (1, 17)  # of client and server that can weigh the rankings that they put together
VECTOR_NAMES = (1, 18)  # of client and server that can add a vector to a collection


class Connection:
    """To a server, from several threads at once; or to a folder, whose calls wait for each other.

    Args:
        timeout_s: of each request; to be connected takes 10 s at most.
    """

    def __init__(self, address: Address, api_key: str, timeout_s: float) -> None:
        self.url = address.url
        self.is_local = not address.server
        self._address = address
        self._key = _checked(api_key)
        self._timeout_s = timeout_s
        self._lock = threading.RLock()
        self._client: QdrantClient | None = None
        self._version: tuple[int, int] | None = None
        self._is_closed = False

    @contextlib.contextmanager
    def use(self) -> Iterator[QdrantClient]:
        """The client; what it raises leaves as one of our errors.

        Raises:
            UnknownCollection: without names. TooLong: a request is over the server's limit. As `Database` says.
        """
        client = self._opened()
        if self.is_local:
            with self._lock, from_folder(self.url):
                yield client
        else:
            with from_server(self.url, self._key):
                yield client

    def check_inserts(self) -> None:
        """Raises ConfigError: an older server would pass over that points stay, and replace them."""
        if not self.is_local and self._server() < UPDATE_FILTERS:
            raise ConfigError(
                f"{self.url} cannot leave alone the points that are there; update Qdrant to 1.16 or later"
            )

    def check_weighs(self) -> None:
        """Raises Unsupported: an older client takes no weights of rankings, and an older server passes over them."""
        if "weights" not in models.Rrf.model_fields:
            raise Unsupported("qdrant-client puts weights to rankings from 1.17 on; update it")
        if not self.is_local and self._server() < RANK_WEIGHTS:
            raise Unsupported(f"{self.url} puts weights to rankings from Qdrant 1.17 on; update it")

    def can_add_vectors(self) -> bool:
        """To a collection that is there."""
        return hasattr(QdrantClient, "create_vector_name") and (self.is_local or self._server() >= VECTOR_NAMES)

    def close(self) -> None:
        """Twice is once."""
        with self._lock:
            self._is_closed = True
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _server(self) -> tuple[int, int]:
        """The server's version, asked once; 0.0 of one that does not say."""
        if self._version is None:
            with self.use() as client:
                said = client.info().version
            found = re.match(r"v?(\d+)\.(\d+)", said)
            self._version = (int(found[1]), int(found[2])) if found else (0, 0)
        return self._version

    def _opened(self) -> QdrantClient:
        with self._lock:
            if self._is_closed:
                raise ConfigError(f"{self.url} was closed; open it again")
            if self._client is None:
                self._client = _local(self.url, self._address.folder) if self.is_local else self._remote()
            return self._client

    def _remote(self) -> QdrantClient:
        # the key goes by the hook: as `api_key` it warns of http, which is the user's to choose, and as `headers` only
        # later clients take it
        hooks = {"request": [prepared_by(self._key, self._timeout_s)]}
        try:
            return QdrantClient(
                url=self._address.server,
                timeout=math.ceil(self._timeout_s),
                check_compatibility=False,  # would ask in a thread of its own
                event_hooks=hooks,
            )
        except ValueError as error:
            raise ConfigError(f"{self.url} cannot be an address ({error}); look at its host") from error


def prepared_by(key: str, timeout_s: float) -> Callable[[httpx.Request], None]:
    """What is done to each request: it gets the key, and limits in seconds."""
    limits = {"connect": min(CONNECT_S, timeout_s), "read": timeout_s, "write": timeout_s, "pool": timeout_s}

    def prepare(request: httpx.Request) -> None:
        request.extensions = {**request.extensions, "timeout": limits}
        if key:
            request.headers["api-key"] = key

    return prepare


def _checked(key: str) -> str:
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("QDRANT_API_KEY has a line end or a letter in it that no key has; set it again")
    return key


def _local(url: str, folder: Path) -> QdrantClient:
    try:
        _check_free(url, folder)
        return QdrantClient(path=str(folder), force_disable_check_same_thread=True)  # all calls hold one lock
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{url} cannot be opened ({error}); take another folder, or look at its rights") from error


def _check_free(url: str, folder: Path) -> None:
    """Local mode finds that out itself, but leaves files open then."""
    import portalocker  # writes to the disk when it is imported, which a container may not

    lock = folder / ".lock"
    if not lock.exists():
        return
    with lock.open("r+") as file:
        try:
            portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.LockException as error:
            raise Upstream(
                f"{url} is open elsewhere, and local mode is for one at a time; wait, or start a server", retry=True
            ) from error
        portalocker.unlock(file)
