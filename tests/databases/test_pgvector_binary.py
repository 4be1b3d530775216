"""Vectors in PostgreSQL's binary format, held to what the server itself prints, sends and takes."""

import json
from collections.abc import Iterator

import numpy as np
import psycopg
import pytest

from embedstack.databases.pgvector.binary import (
    MOST_TERMS,
    WIDEST_SPARSE,
    packed_dense,
    packed_sparse,
    unpacked_dense,
    unpacked_sparse,
)
from embedstack.databases.pgvector.connecting import Connection
from embedstack.errors import BadRequest
from embedstack.types import Floats, Sparse
from support.postgres import TEMPLATE, running

HARD = (0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, 6.1e-05, 5.96e-08, 65504.0, -65504.0)
"""Also the least and the greatest of float16, and some below its normal ones."""
FAR = (*HARD, 1.17549435e-38, 1e-45, 3.4028235e38, np.pi)

pytestmark = pytest.mark.faults  # the first of them starts a server


@pytest.fixture(scope="module")
def server() -> Iterator[Connection]:
    with psycopg.connect(running().url(TEMPLATE), autocommit=True) as connection:
        yield connection


def printed(server: Connection, data: bytes, type_: str) -> str:
    """The text of a value that the server was sent in binary."""
    server.execute(f"CREATE TEMP TABLE sent (value {type_})".encode())
    try:
        with server.cursor().copy("COPY sent FROM STDIN (FORMAT BINARY)") as copy:
            copy.write_row((data,))
        row = server.execute("SELECT value::text FROM sent").fetchone()
    finally:
        server.execute("DROP TABLE sent")
    return str(row and row[0])


def sent(server: Connection, text: str, type_: str) -> bytes:
    """What the server sends in binary for a text."""
    row = server.execute(f"SELECT '{text}'::{type_}".encode(), binary=True).fetchone()
    assert row is not None
    return bytes(row[0])


def floats(*numbers: float) -> Floats:
    return np.array(numbers, np.float32)


def terms(weights: dict[int, float]) -> Sparse:
    return Sparse(np.array(list(weights), np.int32), floats(*weights.values()))


# ------------------------------------------------------------------------------------------------ dense


@pytest.mark.parametrize("numbers", [HARD, FAR, (1.5,), tuple(range(-700, 700))], ids=["hard", "far", "one", "many"])
def test_floats_are_what_the_server_prints(server: Connection, numbers: tuple[float, ...]) -> None:
    row = floats(*numbers)

    text = printed(server, packed_dense(row[None], half=False)[0], "vector")

    assert np.array_equal(floats(*json.loads(text)), row)


def test_halves_are_what_the_server_prints(server: Connection) -> None:
    row = floats(*HARD)

    text = printed(server, packed_dense(row[None], half=True)[0], "halfvec")

    assert np.array_equal(floats(*json.loads(text)).astype(np.float16), row.astype(np.float16))


@pytest.mark.parametrize(("type_", "half"), [("vector", False), ("halfvec", True)])
def test_what_the_server_sends_is_read(server: Connection, type_: str, half: bool) -> None:
    given = unpacked_dense(sent(server, "[1,-2.5,0.333333,65504]", type_), half=half)

    kept = floats(1, -2.5, 0.333333, 65504)
    assert given.dtype == np.float32
    assert np.array_equal(given, kept.astype(np.float16).astype(np.float32) if half else kept)


@pytest.mark.parametrize(("type_", "half"), [("vector", False), ("halfvec", True)])
def test_each_row_is_packed_as_the_server_packs_it(server: Connection, type_: str, half: bool) -> None:
    rows = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)

    packed = packed_dense(rows, half=half)

    assert packed == [sent(server, json.dumps(row.tolist()), type_) for row in rows]


# ------------------------------------------------------------------------------------------------ sparse


@pytest.mark.parametrize(
    ("weights", "width", "text"),
    [
        ({}, 3, "{}/3"),
        ({0: 1.5, 2: -2.0}, 5, "{1:1.5,3:-2}/5"),
        ({WIDEST_SPARSE - 1: 0.25}, WIDEST_SPARSE, "{1000000000:0.25}/1000000000"),
    ],
)
def test_terms_are_what_the_server_prints_but_counted_from_0(
    server: Connection, weights: dict[int, float], width: int, text: str
) -> None:
    data = packed_sparse(terms(weights), width)

    assert printed(server, data, "sparsevec") == text
    assert data == sent(server, text, "sparsevec")


def test_terms_that_the_server_sends_are_read(server: Connection) -> None:
    given = unpacked_sparse(sent(server, "{1:1.5,250002:0.1}/300000", "sparsevec"))

    assert (given.ids.dtype, given.weights.dtype) == (np.int32, np.float32)
    assert (given.ids.tolist(), given.weights.tolist()) == ([0, 250_001], floats(1.5, 0.1).tolist())


def test_a_term_without_weight_is_left_out_as_the_server_has_none(server: Connection) -> None:
    assert printed(server, packed_sparse(terms({1: 0.0, 3: 1.0}), 4), "sparsevec") == "{4:1}/4"


def test_a_term_beyond_the_width_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"term 1000000000 .* 1000000000; leave it out"):
        packed_sparse(terms({WIDEST_SPARSE: 1.0}), WIDEST_SPARSE)


def test_more_terms_than_the_server_keeps_are_refused(server: Connection) -> None:
    most = Sparse(np.arange(MOST_TERMS + 1, dtype=np.int32), np.ones(MOST_TERMS + 1, np.float32))

    with pytest.raises(BadRequest, match="16001 terms, pgvector keeps 16000"):
        packed_sparse(most, WIDEST_SPARSE)
    fewer = Sparse(most.ids[:-1], most.weights[:-1])
    assert printed(server, packed_sparse(fewer, WIDEST_SPARSE), "sparsevec").startswith("{1:1,2:1,")
