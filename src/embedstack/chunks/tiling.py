"""Chunks -> parts that together are all of the document, as late chunking reads them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from embedstack.chunks.chunk import Chunk
from embedstack.errors import BadRequest


def tile(chunks: Sequence[Chunk], text: str) -> list[Chunk]:
    """The same chunks; what stands between two goes with the one before, what stands before the first with it.

    Their tokens are still those of the chunk alone; what each has within the whole text, the answer's spans say.

    Raises:
        BadRequest: chunks overlap, or are children of a parent.
    """
    if any("parent_id" in chunk.metadata for chunk in chunks):
        raise BadRequest("late chunking reads each passage once, and children stand in parents; choose another chunker")
    for before, chunk in pairwise(chunks):
        if chunk.start < before.stop:
            raise BadRequest(
                f"late chunking reads each passage once, and chunks {before.index} and {chunk.index} overlap; "
                "ask for no overlap"
            )
    ends = [*(chunk.start for chunk in chunks[1:]), len(text)]
    begins = [0, *ends[:-1]]
    return [
        replace(chunk, text=text[start:stop], start=start, stop=stop)
        for chunk, start, stop in zip(chunks, begins, ends, strict=True)
    ]
