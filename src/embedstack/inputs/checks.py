"""A text or a pair -> nothing, or the reason why no tokeniser can take it."""

from embedstack.errors import BadRequest, TooLong
from embedstack.types import Pair

MAX_TEXT_CHARS = 1_000_000  # a megabyte tokenises in about half a second and holds some 250,000 tokens


def check_pair(pair: Pair, place: int, max_chars: int = MAX_TEXT_CHARS) -> None:
    """Refuse what no tokeniser can take; one of the two may be empty, as lists of found documents have it."""
    check_text(pair.query, "the query", max_chars, may_be_empty=True)
    check_text(pair.document, f"document {place}", max_chars, may_be_empty=True)
    if not pair.query and not pair.document:
        raise BadRequest(f"document {place} and the query are both empty; send at least one character or leave it out")


def check_text(text: str, place: str, max_chars: int = MAX_TEXT_CHARS, *, may_be_empty: bool = False) -> None:
    """Refuse what no tokeniser can take.

    Args:
        place: how the message calls the text: `text 3`.
    """
    if not isinstance(text, str):
        raise BadRequest(f"{place} is {type(text).__name__}, not a string; send text")
    if not text and not may_be_empty:
        raise BadRequest(f"{place} is empty; send at least one character or leave it out")
    if len(text) > max_chars:
        raise TooLong(f"{place} has {len(text)} characters, the limit is {max_chars}; split it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRequest(f"{place} holds a lone surrogate at character {error.start}; send valid Unicode") from error
