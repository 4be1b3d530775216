"""A folder's model card -> its text and what stands before it, as far as anybody here reads them."""

from pathlib import Path

_CHARS = 65536


def read_card(folder: Path) -> str:
    """The beginning of README.md; empty where there is none."""
    card = folder / "README.md"
    return card.read_text("utf-8", "replace")[:_CHARS] if card.is_file() else ""


def front_of(card: str) -> str:
    """The front matter: what stands between the first two lines of dashes; empty where there is none."""
    return card.partition("\n---")[0] if card.startswith("---") else ""
