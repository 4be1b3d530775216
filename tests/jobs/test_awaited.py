"""Documents of source system E's async storage are read like files, with what is known about them."""

from dataclasses import dataclass, field

from embedstack.documents.document import Document, Json, Reading
from embedstack.documents.reading import Reader, scan
from embedstack.documents.source import open_source
from embedstack.jobs.awaited import PAGE, Awaited


@dataclass
class Page:
    content: str
    metadata: dict[str, Json] = field(default_factory=dict)


class Store:
    """As its contract has it."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self._pages = pages

    async def list_documents(self, prefix: str = "", limit: int = 1000, offset: int = 0) -> list[str]:
        return [name for name in self._pages if name.startswith(prefix)][offset : offset + limit]

    async def get_document(self, path: str) -> Page:
        return self._pages[path]


def read(pages: dict[str, Page]) -> list[Document]:
    source, reading = open_source(Awaited(Store(pages)), Reading()), Reading()
    with Reader(source, reading) as reader:
        segments = [segment for entry in source.entries() for segment in scan(source, entry, reading, 10)]
        return [one for segment in segments for one in reader.read(segment) if isinstance(one, Document)]


def test_its_documents_are_documents() -> None:
    assert [(one.doc_id, one.text) for one in read({"a.txt": Page("one"), "b.txt": Page("two")})] == [
        ("a.txt", "one"), ("b.txt", "two"),
    ]  # fmt: skip


def test_its_metadata_are_kept() -> None:
    said: dict[str, Json] = {"title": 'A: "b"\n---\n', "word_count": 3, "tags": ["x", "y"]}
    (one,) = read({"a.md": Page("# A\n\nText.\n", said)})

    assert one.text.startswith("# A")
    assert {name: one.metadata[name] for name in said} == said


def test_front_matter_of_its_own_is_not_said_twice() -> None:
    (one,) = read({"a.md": Page("---\ntitle: Inside\n---\n# A\n", {"title": "Outside"})})

    assert one.metadata["title"] == "Inside"


def test_all_pages_of_its_list_are_asked_for() -> None:
    names = {f"{number:05d}.txt": Page("x") for number in range(2 * PAGE + 1)}

    assert Awaited(Store(names)).list_files() == list(names)
