"""Which of a row's fields is the text that was embedded: named by the user, or found by their names. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from embedstack.errors import BadRequest
from embedstack.identifying.rows import Row
from embedstack.loading.text_keys import KEYS, USUAL, known_key

TITLES = ("title", "heading", "headline", "name", "subject")
BETWEEN = ("\n", "\n\n", " ", ". ", ": ")
MANY = 20.0  # characters: a field of that many on average is no name or date
SHOWN = 12  # keys in a message
WITHOUT = "without texts nothing can be embedded again: name a source that has them, such as what it was loaded from"


@dataclass(frozen=True, slots=True)
class Wording:
    """How the text of a row is put together."""

    key: str
    title: str = ""  # the key of what stands before it
    between: str = ""

    def of(self, row: Row) -> str | None:
        """None where the row has not all of it."""
        text = row.fields.get(self.key)
        if text is None or not self.title:
            return text
        title = row.fields.get(self.title)
        return None if title is None else f"{title}{self.between}{text}"

    @property
    def shown(self) -> str:
        """For people."""
        return f"{self.title!r} + {self.between!r} + {self.key!r}" if self.title else repr(self.key)


def main_wording(rows: Sequence[Row], label: str, wanted: str = "") -> Wording:
    """The text under the key that was named, else under the first known one, else under that of the longest texts.

    Raises:
        BadRequest: no row has such a text.
    """
    counts = counted(rows)
    if not counts:
        raise BadRequest(f"no row of {label} has a text beside its vector; {WITHOUT}")
    there = ", ".join(repr(key) for key, _ in counts.most_common(SHOWN))
    if wanted and not counts[wanted]:
        raise BadRequest(
            f"no row of {label} has a text under {wanted!r}; there are texts under {there}: name one of these"
        )
    if wanted:
        return Wording(wanted)
    if known := known_key(counts, len(rows)):
        return Wording(known)
    sizes = _lengths(rows)
    spoken = [key for key in counts if counts[key] >= USUAL * len(rows) and key in sizes]
    if not spoken:
        raise BadRequest(
            f"which text of {label} was embedded cannot be told by its key; name it with --text-key: {there}"
        )
    return Wording(max(spoken, key=lambda key: sizes[key]))


def other_wordings(rows: Sequence[Row], main: Wording) -> list[Wording]:
    """What else may have been embedded: a title with the text, or the text under another key."""
    counts, sizes = counted(rows), _lengths(rows)
    usual = [key for key in counts if counts[key] >= USUAL * len(rows) and key != main.key]
    titles = [key for key in usual if key.rpartition(".")[2].casefold() in TITLES]
    others = [key for key in usual if key in KEYS or sizes.get(key, 0.0) >= MANY]
    return [*(Wording(main.key, title, sign) for title in titles for sign in BETWEEN), *map(Wording, others)]


def counted(rows: Sequence[Row]) -> Counter[str]:
    """By key, how many rows have a text there."""
    return Counter(key for row in rows for key in row.fields)


def _lengths(rows: Sequence[Row]) -> Mapping[str, float]:
    """By key the mean number of characters, of texts that have a space in them."""
    found: dict[str, list[int]] = {}
    for row in rows:
        for key, text in row.fields.items():
            if " " in text.strip():
                found.setdefault(key, []).append(len(text))
    return {key: sum(sizes) / len(sizes) for key, sizes in found.items()}
