"""Parts of a text and the tokens of all of it -> whose each token is, told character by character."""

from collections.abc import Sequence

WORD_BEGINS = ("▁", "Ġ")  # what unigram and byte-level tokenisers write for a space; alone it begins a word


def whose(parts: Sequence[str], tokens: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The part of each token."""
    text = "".join(parts)
    owner = [number for number, part in enumerate(parts) for _ in part]
    found = []
    for token, (start, stop) in zip(tokens, offsets, strict=True):
        written = [owner[at] for at in range(start, stop) if not text[at].isspace()]
        if token in WORD_BEGINS and not written and stop < len(text) and not text[stop].isspace():
            written = [owner[stop]]
        found.append(written[0] if written else owner[start])
    return found
