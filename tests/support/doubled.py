"""What the tests of duplicates need: folders of files, a model of hashes that remembers, a look at its report."""

from collections.abc import Callable, Sequence
from pathlib import Path

from embedstack.deduping.encoding import Encoding
from embedstack.deduping.finding import Wish, find_duplicates
from embedstack.deduping.thing import How, Report
from embedstack.model import Model
from embedstack.modelspec import Input
from embedstack.testing.fake import HashEncoder, WordRuler, hash_spec
from embedstack.types import Encode, Encoded, Item
from support.pictures import picture, saved

WORDS = 16  # that the model takes


class Remembering(HashEncoder):
    """Texts and pictures by hashes; and all items that it made vectors of."""

    def __init__(self, *, max_text_chars: int = 1000) -> None:
        spec = hash_spec(inputs=("text", "image"), max_tokens=WORDS)
        super().__init__([spec], max_text_chars=max_text_chars)
        self.given: list[Item] = []

    async def encode(self, request: Encode) -> Encoded:
        encoded = await super().encode(request)
        self.given += request.items
        return encoded


class Noted:
    """Who watches; satisfies `deduping.finding.Watching`."""

    def __init__(self) -> None:
        self.read_things = self.done = 0
        self.total: int | None = None
        self.notes: list[str] = []

    def read(self) -> None:
        self.read_things += 1

    def comparing(self, total: int) -> None:
        self.total = total

    def compared(self, products: int) -> None:
        self.done += products

    def note(self, line: str) -> None:
        self.notes.append(line)


def encoding(model: HashEncoder | None = None) -> Encoding:
    return Encoding(Model(model or Remembering()), WordRuler(WORDS))


def looked(
    *sources: Path | str, model: HashEncoder | None = None, watching: Noted | None = None, **wish: object
) -> Report:
    """The report of a model of hashes."""
    made = encoding(model)
    of: Callable[[Input], Encoding] = lambda kind: made  # noqa: E731 - its type
    wished = Wish(**{"threshold": 0.9, "how": How(), **wish})
    return find_duplicates([str(source) for source in sources], wished, of, watching or Noted())


def groups(report: Report) -> list[tuple[str, list[str]]]:
    """Kept and duplicates, by the last parts of their names."""
    return [(last(group.keep.name), [last(item.name) for item, _ in group.duplicates]) for group in report.groups]


def reasons(report: Report) -> dict[str, str]:
    """Of each duplicate, by the last part of its name."""
    return {last(item.name): one.reason for group in report.groups for item, one in group.duplicates}


def last(name: str) -> str:
    return Path(name).name


def files(folder: Path, **contents: str | bytes) -> Path:
    """A folder of files; in a name __ stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def png(width: int = 30, height: int = 20) -> bytes:
    return saved(picture("RGB", width, height), "PNG")


def texts_given(model: Remembering) -> Sequence[str]:
    """Those of which it made vectors."""
    return [item.text for item in model.given if hasattr(item, "text")]
