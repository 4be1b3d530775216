"""Blocks of queries with the keys that their window reaches."""

from itertools import pairwise

import numpy as np
import pytest

from embedstack.runtimes.blocks import near, sizes


def offsets(*lengths: int) -> np.ndarray:
    return np.cumsum([0, *lengths]).astype(np.int32)


BATCHES = [
    ((1,), 1),
    ((7,), 64),
    ((50,), 3),
    ((1, 9, 2, 9, 5), 2),
    ((64, 1, 65, 63), 16),
    ((200, 3), 8),
    ((33, 32, 31), 32),
]


@pytest.mark.parametrize(("lengths", "window"), BATCHES)
def test_a_token_sees_each_of_its_neighbours_once_and_nothing_else(lengths: tuple[int, ...], window: int) -> None:
    made = near(offsets(*lengths), window)
    queries, keys = made["near_queries"].flatten()[made["near_slots"]], made["near_keys"]
    block = made["near_slots"] // made["near_queries"].shape[1]
    seen = made["near_mask"][:, 0].reshape(-1, keys.shape[1])[made["near_slots"]] == 0

    pairs = [(int(query), int(key)) for row, query in enumerate(queries) for key in keys[block[row]][seen[row]]]

    spans = list(pairwise(offsets(*lengths).tolist()))
    assert pairs == [(i, j) for a, b in spans for i in range(a, b) for j in range(a, b) if abs(i - j) <= window]


@pytest.mark.parametrize(("lengths", "window"), BATCHES)
def test_every_row_has_its_own_place(lengths: tuple[int, ...], window: int) -> None:
    made = near(offsets(*lengths), window)

    assert made["near_queries"].flatten()[made["near_slots"]].tolist() == list(range(sum(lengths)))


@pytest.mark.parametrize(("lengths", "window"), BATCHES)
def test_a_place_that_holds_no_token_sees_something_too(lengths: tuple[int, ...], window: int) -> None:
    made = near(offsets(*lengths), window)

    assert (made["near_mask"] == 0).any(axis=-1).all()


def test_short_items_are_one_block_each() -> None:
    assert sizes(np.array([20, 100, 60]), 64) == (100, 100)


def test_a_long_item_is_cut_into_blocks_of_its_window() -> None:
    assert sizes(np.array([8192]), 64) == (64, 192)


def test_what_attention_computes_grows_with_the_length_and_not_with_its_square() -> None:
    places = [near(offsets(length), 64)["near_mask"].size for length in (2048, 4096)]

    assert places[1] == 2 * places[0]
