"""By how many rows have a text under each key -> the key of the text that was embedded, if its name is a usual one."""

from collections.abc import Mapping

TEXT = "text"
# as jobs here, LangChain, LlamaIndex, Haystack, Chroma and Qdrant's own client call it, and what people write
KEYS = (
    TEXT, "content", "page_content", "chunk", "chunk_text", "body", "document", "passage", "paragraph", "sentence",
    "description", "question",
)  # fmt: skip
USUAL = 0.5  # share of rows that must have a key for it to count before others


def known_key(counts: Mapping[str, int], rows: int) -> str | None:
    """The first one that most rows have, else the first that any has; None where no row has one."""
    usual = (key for key in KEYS if counts.get(key, 0) >= max(1.0, USUAL * rows))
    return next(usual, None) or next((key for key in KEYS if counts.get(key)), None)
