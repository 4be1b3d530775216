"""A folder's model card -> its text and what stands before it, as far as anybody here reads them."""

from pathlib import Path

_CHARS = 2**20  # the results of benchmarks before the text of a multilingual E5 are some 200,000
_END = "\n---"


def read_card(folder: Path) -> str:
    """The beginning of README.md; empty where there is none."""
    card = folder / "README.md"
    return card.read_text("utf-8", "replace")[:_CHARS] if card.is_file() else ""


def front_of(card: str) -> str:
    """The front matter: what stands between the first two lines of dashes; empty where there is none."""
    return card.partition(_END)[0] if card.startswith("---") else ""


def body_of(card: str) -> str:
    """What people read: all but the front matter."""
    return card.partition(_END)[2] if card.startswith("---") else card
