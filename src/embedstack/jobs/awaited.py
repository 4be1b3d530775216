"""Source system E's async `StorageInterface` -> the plain `list_files` and `download` that a job reads its input by.

Source: https://github.com/percy-raskova/marxists.org-rag-db, src/mia_rag/interfaces/contracts.py, version 1.0.0.
"""

from collections.abc import Coroutine, Mapping
from typing import Protocol

import orjson

from embedstack.documents.document import Json
from embedstack.engine.background import wait

PAGE = 1000  # names, the usual `limit` of `list_documents`
MARKDOWN = (".md", ".markdown")
FENCE = "---\n"


class Stored(Protocol):
    """Its `Document`, as far as it is read."""

    @property
    def content(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, Json]: ...


class AsyncStorage(Protocol):
    """Its `StorageInterface`, as far as it is used. `get_batch` brings no more, and what `mark_processed` would say
    stands in the commits."""

    def list_documents(
        self, prefix: str = "", limit: int = PAGE, offset: int = 0
    ) -> Coroutine[object, object, list[str]]: ...
    def get_document(self, path: str) -> Coroutine[object, object, Stored]: ...


class Awaited:
    """Hand it over as `files`. Its coroutines run on a loop of embedstack's, so it must hold nothing of another one."""

    def __init__(self, storage: AsyncStorage) -> None:
        self._storage = storage

    def list_files(self) -> list[str]:
        """All names, a page at a time."""
        names: list[str] = []
        while found := wait(self._storage.list_documents(limit=PAGE, offset=len(names))):
            names += found
        return names

    def download(self, name: str) -> str:
        """The content; that of Markdown with the metadata in front, if it does not have its own."""
        document = wait(self._storage.get_document(name))
        is_bare = name.endswith(MARKDOWN) and not document.content.startswith(FENCE)
        return f"{_front(document.metadata)}{document.content}" if is_bare and document.metadata else document.content


def _front(metadata: Mapping[str, Json]) -> str:
    """JSON is YAML, too."""
    lines = (
        f"{orjson.dumps(name).decode()}: {orjson.dumps(value, default=str).decode()}\n"
        for name, value in metadata.items()
    )
    return f"{FENCE}{''.join(lines)}{FENCE}"
