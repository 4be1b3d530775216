"""A packed batch and a window -> blocks of queries, each with the keys that its window reaches, as index arrays. Pure.

A long text whose tokens see 64 others to either side needs no table of its length squared: 64 queries at a time see
192 keys. Short texts are one block each, so that one graph serves both.
"""

import numpy as np
from numpy.typing import NDArray

from embedstack.types import Ints

PAYS = 0.5  # blocks are gathered and their products are small: at 0.68 of the places they took 1.0 to 1.2 of the time,
# at 0.37 half of it, both in OpenVINO and in ONNX Runtime; see docs/decisions.md


def near(offsets: Ints, window: int) -> dict[str, NDArray[np.generic]]:
    """What attention in a window needs to know of where items begin; see `layout.lay_out`.

    near_queries (blocks, queries) and near_keys (blocks, keys) hold packed rows, absent places any row of the item;
    near_slots (tokens,) holds the place of each packed row in the flattened near_queries; near_mask (blocks, 1,
    queries, keys) is 0 or minus infinity.
    """
    lengths = np.diff(offsets)
    size, span = sizes(lengths, window)
    counts = -(-lengths // size)  # blocks of each item
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    length, first = (np.repeat(each, counts)[:, None] for each in (lengths, offsets[:-1]))
    begin = size * number[:, None]
    places = begin + np.arange(size)
    keys = np.clip(begin - window, 0, np.maximum(length - span, 0)) + np.arange(span)
    queries = np.minimum(places, length - 1)  # an absent one asks as the last does, so that it sees something
    unseen = (np.abs(keys[:, None] - queries[:, :, None]) > window) | (keys >= length)[:, None]
    return {
        "near_queries": (first + queries).astype(np.int32),
        "near_keys": (first + np.minimum(keys, length - 1)).astype(np.int32),
        "near_slots": np.flatnonzero(places < length).astype(np.int32),
        "near_mask": np.where(unseen, np.float32(-np.inf), np.float32(0))[:, None],
    }


def sizes(lengths: Ints, window: int) -> tuple[int, int]:
    """Queries and keys of a block: as many as the longest item has, or what the window reaches where that pays."""
    longest = int(lengths.max())
    whole, cut = (longest, longest), (window, min(longest, 3 * window))
    return cut if _places(lengths, *cut) <= PAYS * _places(lengths, *whole) else whole


def _places(lengths: Ints, size: int, span: int) -> int:
    return int((-(-lengths // size)).sum()) * size * span
