"""What late chunking reads: all of a document, in parts."""

import pytest

from embedstack.chunks.chunk import Chunk, Chunking
from embedstack.chunks.chunking import chunk
from embedstack.chunks.tiling import tile
from embedstack.errors import BadRequest
from embedstack.testing.fake import WordRuler
from support.cutting import text_of

TEXT = "\n one two three\n\nfour five six. seven eight nine\n\n\t"


def cut(text: str, strategy: str, overlap: int = 0) -> list[Chunk]:
    chunking = Chunking(strategy=strategy, tokens=8, overlap=overlap, parent_tokens=20)
    return chunk(text, "markdown", chunking, WordRuler())


@pytest.mark.parametrize("strategy", ["semantic", "paragraph", "window", "sentence", "entry"])
@pytest.mark.parametrize("text", [TEXT, *(text_of(seed, 12) for seed in range(6))])
def test_tiles_together_are_the_text(text: str, strategy: str) -> None:
    chunks = cut(text, strategy)

    tiles = tile(chunks, text)

    assert "".join(one.text for one in tiles) == text
    assert all(one.text == text[one.start : one.stop] for one in tiles)
    assert [one.index for one in tiles] == [one.index for one in chunks]
    assert all(part.text in whole.text for part, whole in zip(chunks, tiles, strict=True))


def test_one_chunk_is_the_text() -> None:
    (made,) = tile(cut(" one ", "window"), " one ")

    assert (made.text, made.start, made.stop, made.tokens) == (" one ", 0, 5, 1)


def test_chunks_that_overlap_are_refused() -> None:
    with pytest.raises(BadRequest, match="chunks 0 and 1 overlap; ask for no overlap"):
        tile(cut(TEXT, "window", overlap=2), TEXT)


def test_children_of_parents_are_refused() -> None:
    with pytest.raises(BadRequest, match="children stand in parents; choose another chunker"):
        tile(cut(TEXT, "parent"), TEXT)
