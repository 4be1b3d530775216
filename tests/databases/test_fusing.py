"""Rankings that are put together: by Qdrant's engine as here, on a server that can and on one that cannot."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import qdrant_edge as edge
from qdrant_client import models

from embedstack.databases.bound import origin_of
from embedstack.databases.database import (
    Collection,
    Column,
    Condition,
    Database,
    Field,
    Fused,
    Fusing,
    Leg,
    Points,
    Where,
)
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.databases.opening import open_database
from embedstack.databases.qdrant.asking import fusion_of, prefetches_of
from embedstack.errors import Unsupported
from embedstack.search.found import How
from embedstack.search.fuse import dbsf, rrf
from embedstack.types import Floats, Sparse
from support.kinds import FACADE, GIVEN
from support.qdrant_server import qdrant_server
from support.searched import embedded, ids, search

COUNT, DIM, TERMS = 300, 8, 40
FIELDS = {
    "text": Field(dim=DIM),
    "far": Field(dim=DIM, distance="l2"),
    "terms": Field(kind="sparse", distance="dot", idf=True),
    "plain": Field(kind="sparse", distance="dot"),
}
LATE = Field(kind="multi", dim=DIM)
EVEN = Where(all=(Condition(key="tenant", values=("even",)),))


def drawn(seed: int, count: int = COUNT) -> Floats:
    return np.random.default_rng(seed).standard_normal((count, DIM), dtype=np.float32)


def terms(seed: int, count: int = COUNT) -> list[Sparse]:
    """Some of them, common ones more often."""
    draw = np.random.default_rng(seed)
    rows = [np.unique((TERMS * draw.random(6) ** 2).astype(np.int32)) for _ in range(count)]
    return [Sparse(ids + 1, draw.uniform(0.1, 3, len(ids)).astype(np.float32)) for ids in rows]


DENSE, FAR, WORDS, PLAIN = drawn(1), drawn(2), terms(3), terms(4)
MANY = [drawn(10 + place, 1 + place % 3) for place in range(COUNT)]
PAYLOADS = [{"tenant": "odd" if place % 2 else "even"} for place in range(COUNT)]


def legs(seed: int, *, limit: int = 40) -> list[Leg]:
    return [
        Leg(vector=drawn(seed, 1)[0], field="text", limit=limit),
        Leg(vector=drawn(seed + 1, 1)[0], field="far", limit=limit),
        Leg(vector=terms(seed + 2, 1)[0], field="terms", limit=limit),
        Leg(vector=terms(seed + 3, 1)[0], field="plain", limit=limit),
    ]


# ------------------------------------------------------------------------------------------------ the engine itself


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDatabase]:
    with closing(EmbeddedDatabase(tmp_path_factory.mktemp("folder"))) as database:
        database.create(Collection(name="docs", fields=FIELDS))
        vectors = {"text": DENSE, "far": FAR, "terms": WORDS, "plain": PLAIN}
        database.write("docs", Points(ids=range(COUNT), vectors=vectors, payloads=PAYLOADS))
        yield database


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.EdgeShard]:
    """The same points."""
    config = edge.EdgeConfig(
        {
            "text": edge.EdgeVectorParams(DIM, edge.Distance.Cosine),
            "far": edge.EdgeVectorParams(DIM, edge.Distance.Euclid),
        },
        {"terms": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf), "plain": edge.EdgeSparseVectorParams()},
    )
    shard = edge.EdgeShard.create(str(tmp_path_factory.mktemp("shard")), config)
    points = [
        edge.Point(
            place,
            {
                "text": DENSE[place].tolist(), "far": FAR[place].tolist(),
                "terms": theirs(WORDS[place]), "plain": theirs(PLAIN[place]),
            },
        )
        for place in range(COUNT)
    ]  # fmt: skip
    shard.update(edge.UpdateOperation.upsert_points(points))
    yield shard
    shard.close()


def theirs(vector: object) -> object:
    if isinstance(vector, Sparse):
        return edge.SparseVector(indices=vector.ids.tolist(), values=vector.weights.tolist())
    return vector.tolist()  # type: ignore[attr-defined]


def by_the_engine(shard: edge.EdgeShard, some: Sequence[Leg], fusion: edge.Fusion) -> list[tuple[int, float]]:
    prefetches = [
        edge.Prefetch(limit=leg.limit, query=edge.Query.Nearest(theirs(leg.vector), leg.field)) for leg in some
    ]
    hits = shard.query(edge.QueryRequest(limit=1000, prefetches=prefetches, query=fusion))
    return sorted(((hit.id, hit.score) for hit in hits), key=lambda hit: (-hit[1], hit[0]))


def rankings(folder: EmbeddedDatabase, some: Sequence[Leg]) -> list[list[tuple[int | str, float]]]:
    asked = Fused(legs=some)
    return [[(hit.id, hit.score) for hit in folder.query("docs", asked.query(leg))] for leg in some]


@pytest.mark.parametrize("seed", [100, 200, 300])
@pytest.mark.parametrize("weights", [None, [3.0, 1.0, 0.5, 0.0]])
@pytest.mark.parametrize("k", [0, 5, 60])
def test_the_folder_with_our_fusion_gives_what_the_engine_gives_by_rank(
    seed: int, weights: list[float] | None, k: int, folder: EmbeddedDatabase, shard: edge.EdgeShard
) -> None:
    some = legs(seed)

    here = rrf(rankings(folder, some), k=k, weights=weights, limit=1000)

    assert here == by_the_engine(shard, some, edge.Fusion.Rrf(k + 1, weights))


@pytest.mark.parametrize("seed", [100, 200, 300])
def test_the_folder_with_our_fusion_gives_what_the_engine_gives_by_score(
    seed: int, folder: EmbeddedDatabase, shard: edge.EdgeShard
) -> None:
    some = [leg for leg in legs(seed) if leg.field != "far"]

    here = dbsf(rankings(folder, some), 1000)

    there = by_the_engine(shard, some, edge.Fusion.Dbsf())
    assert [one for one, _ in here] == [one for one, _ in there]
    assert [score for _, score in here] == pytest.approx([score for _, score in there], rel=1e-5)


# ------------------------------------------------------------------------------------------------ what is sent

THERE = Collection(name="docs", fields=FIELDS)


@pytest.mark.parametrize("least", [0.5, 0.1, -0.25, 1e-45, 0.0, 0.1 + 1e-12])
@pytest.mark.parametrize("field", ["text", "far"])
def test_a_score_that_is_just_enough_is_above_the_threshold(least: float, field: str) -> None:
    """Qdrant wants more than it, or of distances less."""
    sign = -1 if field == "far" else 1
    enough = [score for score in _around(least) if score >= least]
    leg = Leg(vector=drawn(1, 1)[0], field=field, least=least)

    (prefetch,) = prefetches_of(THERE, Fused(legs=[leg]), is_local=False)

    assert prefetch.score_threshold is not None
    assert [one for one in _around(least) if sign * prefetch.score_threshold < one] == enough


def _around(least: float) -> list[float]:
    """Scores as there can be: of float32."""
    near = np.float32(least)
    return [float(np.nextafter(near, np.float32(-9))), float(near), float(np.nextafter(near, np.float32(9)))]


@pytest.mark.parametrize("least", [-1e300, 1e300])
def test_a_least_score_beyond_float32_can_be_sent(least: float) -> None:
    leg = Leg(vector=drawn(1, 1)[0], field="text", least=least)

    (prefetch,) = prefetches_of(THERE, Fused(legs=[leg]), is_local=False)

    assert prefetch.score_threshold is None or np.isfinite(prefetch.score_threshold)


def test_conditions_and_exactness_go_to_every_leg() -> None:
    asked = Fused(legs=legs(1), where=EVEN, is_exact=True)

    prefetches = prefetches_of(THERE, asked, is_local=False)

    assert len(prefetches) == 4
    for prefetch in prefetches:
        assert prefetch.filter is not None
        assert prefetch.params is not None
        assert prefetch.params.exact


def test_a_leg_without_terms_is_left_out_with_its_weight() -> None:
    some = legs(1)
    empty = replace(some[2], vector=Sparse(np.zeros(0, np.int32), np.zeros(0, np.float32)))
    asked = Fused(legs=[some[0], empty, some[1]], weights=[1.0, 2.0, 3.0])

    assert [one.using for one in prefetches_of(THERE, asked, is_local=False)] == ["text", "far"]
    assert fusion_of(THERE, asked) == models.RrfQuery(rrf=models.Rrf(k=61, weights=[1.0, 3.0]))


def test_distances_are_not_added_up() -> None:
    with pytest.raises(Unsupported, match="adds up distances of vector 'far' as if the largest were the best"):
        fusion_of(THERE, Fused(legs=legs(1), fusion="dbsf"))


# ------------------------------------------------------------------------------------------------ servers


@pytest.mark.faults
def test_a_server_that_would_pass_over_weights_is_not_asked_for_them(tmp_path: Path) -> None:
    some = legs(1)
    with qdrant_server(tmp_path, version="1.16.3") as server, closing(open_database(server.url)) as database:
        assert isinstance(database, Fusing)
        database.create(Collection(name="docs", fields=FIELDS))
        with pytest.raises(Unsupported, match=r"weights to rankings from Qdrant 1\.17 on; update it"):
            database.fuse("docs", Fused(legs=some, weights=[2.0, 1.0, 1.0, 1.0]))

        assert database.fuse("docs", Fused(legs=some, weights=[1.0] * 4)) == []


@pytest.mark.faults
def test_the_server_is_asked_once_more_only_where_ids_would_not_decide(tmp_path: Path) -> None:
    with qdrant_server(tmp_path) as server, closing(open_database(server.url)) as database:
        assert isinstance(database, Fusing)
        fill(database)
        distinct, equal = (Fused(legs=legs(1), weights=weights) for weights in ([], [0.0] * 4))

        assert asked_by(server.requests, lambda: database.fuse("docs", distinct)) == 1
        assert asked_by(server.requests, lambda: database.fuse("docs", equal)) == 2


def asked_by(requests: Callable[[], list[str]], call: Callable[[], object]) -> int:
    before = len(requests())
    call()
    return sum(one.endswith("/points/query") for one in requests()[before:])


# ------------------------------------------------------------------------------------------------ every database

QUESTIONS = "3 7 12 20", "1", "30 2 2 17 5"  # of the fake encoder, numbers are terms
HOWS = {
    "by rank": How(),
    "by rank, k and weights": How(rrf_k=2, weights={"text": 2.0, "terms": 0.5}),
    "by score": How(fusion="dbsf", fields=("text", "terms")),
    "by score, of distances": How(fusion="dbsf", fields=("text", "far")),
    "by weight": How(fusion="weighted", weights={"terms": 2.0}),
    "of one tenant, with least scores": How(where=EVEN, least={"text": 0.1, "far": -3.5}, limit=40),
    "by one field": How(fields=("terms",)),
    "deep": How(limit=25, depth=200),
}


def fill(database: Database, name: str = "docs") -> None:
    """Vectors that were drawn, signed by the model of the questions; several of a point where that can be."""
    signed = origin_of(embedded(["x"]), "document")
    fields = {name: replace(field, origin=signed) for name, field in (FIELDS | {"late": LATE}).items()}
    vectors: dict[str, Column] = {"text": DENSE, "far": FAR, "terms": WORDS, "plain": PLAIN, "late": MANY}
    try:
        database.create(Collection(name=name, fields=fields))
    except Unsupported:  # pgvector has no such type
        del fields["late"], vectors["late"]
        database.create(Collection(name=name, fields=fields))
    database.write(name, Points(ids=range(COUNT), vectors=vectors, payloads=PAYLOADS))


@pytest.mark.slow
def test_a_search_finds_the_same_in_every_database(opener: Callable[[], Database], tmp_path: Path) -> None:
    name = f"search-{uuid4().hex[:8]}"
    with closing(opener()) as database, closing(EmbeddedDatabase(tmp_path / "judge")) as judge:
        for one in (database, judge):
            fill(one, name)
        there = database.describe(name)
        assert there is not None
        for text in QUESTIONS:
            for what, how in HOWS.items():
                asked = replace(how, is_exact=True, fields=how.fields or tuple(there.fields))
                given, wanted = (search(one, text, asked, name=name) for one in (database, judge))

                assert ids(given) == ids(wanted), (text, what)
                scores = [[one.score for one in found.points] for found in (given, wanted)]
                assert scores[0] == pytest.approx(scores[1], rel=1e-4, abs=1e-6)
                assert [one.payload for one in given.points] == [one.payload for one in wanted.points]
        database.drop(name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qdrant-local", FACADE, *GIVEN])
def test_what_qdrant_does_not_put_together_rightly_is_put_together_here(opener: Callable[[], Database]) -> None:
    with closing(opener()) as database:
        fill(database)
        there, here = (search(database, "3 7", HOWS[how]) for how in ("by rank", "by score, of distances"))

    assert (there.notes, "fuse" in there.took_s) == ((), False)
    assert here.notes[0].startswith("fused here, since Qdrant adds up distances of vector 'far'")
    assert "fuse" in here.took_s
