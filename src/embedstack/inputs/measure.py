"""Texts of any length -> where their tokens stand, and how many of them a model reads, by its own tokeniser."""

from collections.abc import Iterator, Sequence

from embedstack.inputs.text import NothingKnown, TextInput
from embedstack.modelspec import ModelSpec
from embedstack.types import Encoding, Ints, Text

GROUP_CHARS = 1 << 20  # of texts that are tokenised together: what the library makes of one megabyte takes about 40


class TextRuler:
    """Counts as `TextInput.encode` does, because it asks it; satisfies `chunks.chunk.Ruler`."""

    def __init__(self, text: TextInput, spec: ModelSpec, role: str = "document") -> None:
        """See the class.

        Args:
            spec: the one that `text` was made for.
            role: of the texts; its prompt counts.
        Raises:
            BadRequest: the model has no such role.
        """
        self._text = text
        self._role = role
        self.max_tokens = spec.max_tokens
        (pieces,) = text.pieces([Text("a", role)])
        self.added = sum(piece.start is None for piece in pieces)
        self.adds_up = text.adds_up and spec.prompts.get(role, " ")[-1:] in ("", " ", "\n")

    def offsets(self, texts: Sequence[str]) -> list[Ints]:
        """See `Ruler`; of each text as it is, without the prompt."""
        return [spans for few in grouped(texts) for spans in self._text.offsets(few)]

    def count(self, texts: Sequence[str]) -> list[int]:
        """See `Ruler`. Of a text over the model's limit it is only said that it is over.

        Raises:
            BadRequest: a text that the model cannot take at all.
        """
        return [tokens for few in grouped(texts) for tokens in self._count(few)]

    def _count(self, texts: Sequence[str]) -> list[int]:
        try:
            encodings = self._text.encode([Text(text, self._role) for text in texts])
        except NothingKnown:
            return [0] if len(texts) == 1 else [tokens for text in texts for tokens in self._count([text])]
        return [self._tokens(encoding) for encoding in encodings]

    def _tokens(self, encoding: Encoding) -> int:
        if not encoding.dropped:
            return encoding.cost
        return max(encoding.cost + encoding.dropped, self.max_tokens + 1)  # some are cut by their characters


def grouped(texts: Sequence[str], chars: int = GROUP_CHARS) -> Iterator[list[str]]:
    """In order, so many characters at a time at most, one text at least."""
    few: list[str] = []
    size = 0
    for text in texts:
        if few and size + len(text) > chars:
            yield few
            few, size = [], 0
        few.append(text)
        size += len(text)
    if few:
        yield few
