"""Tables of somebody's own with columns of vectors, and tables that stand beside them."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pytest

from embedstack.databases.database import (
    Collection,
    Condition,
    Field,
    Index,
    Json,
    Loaded,
    PointId,
    Points,
    Query,
    UnknownCollection,
    Where,
)
from embedstack.databases.pgvector.server import PgvectorDatabase
from embedstack.errors import BadRequest, ConfigError, Mismatch, Unsupported
from embedstack.testing.promises import at_once, origin, rows, sparse
from support.postgres import Postgres, running

pytestmark = pytest.mark.faults

DIM = 3
UUIDS = ("00000000-0000-4000-8000-000000000001", "80000000-0000-4000-8000-000000000000")
OTHER = "abcdef00-0000-4000-8000-00000000000a"
KEYS: Mapping[str, tuple[PointId, PointId]] = {
    "bigint": (1, 2**40), "int": (1, 2), "smallint": (1, 2), "uuid": UUIDS, "text": UUIDS, "varchar(36)": UUIDS,
}  # fmt: skip
COLUMNS = """
    title text, "größe %s" numeric, "a.b" int DEFAULT 5, count int, ratio float8, is_new bool, tags text[], more jsonb,
    day date, other uuid
"""
ROWS: tuple[tuple[object, ...], ...] = (
    ("Owls", "1.5", 7, 0.1, True, ["a", "b"], '{"deep": {"at": 3}, "list": ["x"]}', "2024-01-02", OTHER),
    ("Foxes", None, None, None, None, None, None, None, None),
)


@pytest.fixture
def postgres() -> Postgres:
    return running()


@pytest.fixture
def name(postgres: Postgres) -> Iterator[str]:
    """Of a database with pgvector in it and nothing else."""
    with postgres.database() as name:
        yield name


@pytest.fixture
def database(postgres: Postgres, name: str) -> Iterator[PgvectorDatabase]:
    database = PgvectorDatabase(postgres.url(name))
    yield database
    database.close()


@pytest.fixture
def beside(postgres: Postgres, name: str) -> Iterator[PgvectorDatabase]:
    """The same, in which new collections are about the rows of `docs`."""
    database = PgvectorDatabase(postgres.url(name) + "&beside=docs")
    yield database
    database.close()


def fill(postgres: Postgres, name: str, key: str = "bigint", vectors: str = f", embedding vector({DIM})") -> None:
    """`docs` with two rows, whose ids are those of KEYS."""
    postgres.run(name, f'CREATE TABLE docs ("the key" {key} PRIMARY KEY, {COLUMNS} {vectors})'.replace("%s", "%"))
    names = "title, count, ratio, is_new, tags, more, day, other".split(", ")
    for id_, row in zip(KEYS[key], ROWS, strict=True):
        values = [id_, row[0], row[1], *row[2:]]
        columns = ", ".join(f'"{one}"' for one in ["the key", names[0], "größe %%", *names[1:]])
        places = ", ".join(["%s"] * len(values))
        postgres.run(name, f"INSERT INTO docs ({columns}) VALUES ({places})", *values)


def two(ids: tuple[PointId, ...], field: str = "", seed: int = 1) -> Points:
    return Points(ids=ids, vectors={field: rows(len(ids), DIM, seed)}, payloads=[{"not": "kept"}] * len(ids))


def embeddings(postgres: Postgres, name: str, column: str = "embedding") -> list[object]:
    return [text for (text,) in postgres.run(name, f'SELECT {column}::text FROM docs ORDER BY "the key"')]


def found(database: PgvectorDatabase, where: Where, of: str = "docs") -> list[PointId]:
    return [point.id for point in database.read(of, where=where).points]


# ------------------------------------------------------------------------------------------------ found


@pytest.mark.parametrize("key", KEYS)
def test_a_table_with_vectors_is_a_collection(
    postgres: Postgres, name: str, database: PgvectorDatabase, key: str
) -> None:
    fill(postgres, name, key)
    database.write("docs", two(KEYS[key]))

    there = database.describe("docs")
    assert database.names() == ["docs"]
    assert there == Collection(
        name="docs", fields={"": Field(dim=DIM)}, points=2, keeps_payload=False, keeps_indexes=False
    )
    assert [point.id for point in database.read("docs").points] == [*KEYS[key]]
    assert [point.id for point in database.read("docs", after=KEYS[key][0]).points] == [KEYS[key][1]]
    assert [point.id for point in database.get("docs", KEYS[key][::-1])] == [*KEYS[key][::-1]]
    assert database.query("docs", Query(vector=rows(2, DIM)[1], limit=1))[0].id == KEYS[key][1]


def test_the_payload_is_all_other_columns(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    fill(postgres, name)

    payloads = [dict(point.payload) for point in database.read("docs").points]
    assert payloads[0] == {
        "title": "Owls",
        "größe %": 1.5,
        "a.b": 5,
        "count": 7,
        "ratio": 0.1,
        "is_new": True,
        "tags": ["a", "b"],
        "more": {"deep": {"at": 3}, "list": ["x"]},
        "day": "2024-01-02",
        "other": OTHER,
    }
    assert payloads[1] == {**dict.fromkeys(payloads[0]), "title": "Foxes", "a.b": 5}


def test_a_table_of_nothing_but_vectors_has_empty_payloads(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    postgres.run(name, "CREATE TABLE docs (id int PRIMARY KEY, embedding vector(2))")
    postgres.run(name, "INSERT INTO docs VALUES (1, '[1,2]')")

    (point,) = database.read("docs", vectors=[""]).points
    assert point.payload == {}
    assert np.array_equal(np.asarray(point.vectors[""]), [1, 2])


def test_columns_are_found_by_their_types_and_compared_as_their_index_does(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    fill(postgres, name, vectors=", a vector(3), b halfvec(4), c sparsevec(9), d vector(5)")
    postgres.run(name, "CREATE INDEX ON docs USING hnsw (a vector_ip_ops)")
    postgres.run(name, "CREATE INDEX ON docs USING hnsw (b halfvec_l2_ops)")
    postgres.run(name, "CREATE INDEX ON docs USING hnsw (d vector_l1_ops)")

    there = database.describe("docs")
    assert there is not None
    assert there.fields == {
        "a": Field(dim=3, distance="dot"),
        "b": Field(dim=4, distance="l2", storing="float16"),
        "c": Field(kind="sparse", distance="dot"),
        "d": Field(dim=5),
    }


def test_a_column_without_a_width_is_as_wide_as_what_is_in_it(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    postgres.run(name, "CREATE TABLE docs (id uuid PRIMARY KEY, embedding vector)")
    empty = database.describe("docs")
    postgres.run(name, "INSERT INTO docs VALUES (gen_random_uuid(), '[1,2,3,4]')")
    there = database.describe("docs")

    assert empty is not None
    assert there is not None
    assert (empty.fields[""].dim, there.fields[""].dim) == (0, 4)


def test_a_column_without_a_width_and_without_vectors_is_told_to_have_one(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    postgres.run(name, "CREATE TABLE docs (id uuid PRIMARY KEY, embedding vector)")
    wanted = Collection(name="docs", fields={"": Field(dim=DIM)})
    with pytest.raises(Mismatch, match='run: ALTER TABLE docs ALTER COLUMN "embedding" TYPE vector\\(3\\)') as caught:
        database.create(wanted)
    postgres.run(name, str(caught.value).partition("run: ")[2])

    assert not database.create(wanted)


@pytest.mark.parametrize(
    "key",
    ["id int", "a int, b int, PRIMARY KEY (a, b)", "id date PRIMARY KEY", "id bytea PRIMARY KEY", "id int UNIQUE"],
)
def test_a_table_without_a_key_that_ids_can_be_is_refused(
    postgres: Postgres, name: str, database: PgvectorDatabase, key: str
) -> None:
    postgres.run(name, f"CREATE TABLE docs (embedding vector(3), {key})")

    assert database.names() == []
    with pytest.raises(Unsupported, match="table 'docs' has no primary key of one column that is a bigint"):
        database.describe("docs")


def test_a_table_without_vectors_is_no_collection_until_one_is_added(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    fill(postgres, name, vectors="")
    before = database.describe("docs")
    with pytest.raises(UnknownCollection, match="'docs' is not there; it has: none"):
        database.read("docs")
    made = database.create(Collection(name="docs", fields={"count": Field(dim=DIM, distance="l2", origin=origin())}))
    database.write("docs", two((1,), "count"))

    there = database.describe("docs")
    assert (before, made) == (None, True)
    assert there is not None
    assert there.fields == {"count": Field(dim=DIM, distance="l2", origin=origin())}
    assert database.read("docs").points[0].payload["count"] == 7
    assert postgres.run(name, "SELECT count(*) FROM pg_index WHERE indrelid = 'docs'::regclass") == [(2,)]


def test_an_index_over_a_payload_is_not_made_in_a_table_that_is_not_ours(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    fill(postgres, name)
    database.create(Collection(name="docs", fields={"": Field(dim=DIM)}, indexes={"title": Index()}))

    assert postgres.run(name, "SELECT count(*) FROM pg_index WHERE indrelid = 'docs'::regclass") == [(1,)]


def test_who_asks_first_says_how_vectors_without_an_index_are_compared(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    fill(postgres, name)
    wanted = Collection(name="docs", fields={"": Field(dim=DIM, distance="dot")})
    made = [database.create(wanted), database.create(wanted)]

    there = database.describe("docs")
    assert made == [False, False]
    assert there is not None
    assert there.fields == wanted.fields
    with pytest.raises(Mismatch, match="dot, float32, and dense, 3 wide, cosine, float32 was wanted"):
        database.create(Collection(name="docs", fields={"": Field(dim=DIM)}))


def test_a_partitioned_table_is_one_collection(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    postgres.run(name, "CREATE TABLE docs (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    postgres.run(name, "CREATE TABLE docs_1 PARTITION OF docs FOR VALUES FROM (0) TO (10)")
    postgres.run(name, "INSERT INTO docs VALUES (1), (2)")
    database.create(Collection(name="docs", fields={"": Field(dim=DIM)}))
    database.write("docs", two((1, 2)))

    assert database.names() == ["docs"]
    assert [hit.id for hit in database.query("docs", Query(vector=rows(2, DIM)[1]))] == [2, 1]


# ------------------------------------------------------------------------------------------------ written


def test_a_write_changes_vectors_and_nothing_else(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    fill(postgres, name, vectors=f", embedding vector({DIM}), other_one vector({DIM})")
    columns = 'SELECT title, "größe %", count, tags::text, other_one::text FROM docs ORDER BY "the key"'
    before = postgres.run(name, columns)
    ids = KEYS["bigint"]
    database.write("docs", two(ids))
    database.write("docs", two(ids[:1], seed=2))

    kept = [point.vectors[""] for point in database.get("docs", ids, vectors=[""])]
    assert np.array_equal(np.asarray(kept), [rows(1, DIM, 2)[0], rows(2, DIM)[1]])
    assert postgres.run(name, columns) == before


def test_points_without_rows_are_refused_by_name_and_nothing_is_written(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    fill(postgres, name)

    with pytest.raises(BadRequest, match="table 'docs' has no rows for points 5, 9223372036854775807; insert those"):
        database.write("docs", two((1, 5, 2**63 - 1)))
    assert embeddings(postgres, name) == [None, None]
    assert postgres.run(name, "SELECT count(*) FROM docs") == [(2,)]


@pytest.mark.parametrize(
    ("key", "wrong", "takes"), [("int", UUIDS[0], "whole numbers"), ("uuid", 1, "UUIDs"), ("text", 1, "UUIDs")]
)
def test_ids_of_the_other_type_are_refused_naming_both(
    postgres: Postgres, name: str, database: PgvectorDatabase, key: str, wrong: PointId, takes: str
) -> None:
    fill(postgres, name, key)

    for call in (
        partial(database.write, "docs", two((wrong,))),
        partial(database.get, "docs", [wrong]),
        partial(database.delete, "docs", [wrong]),
        partial(database.read, "docs", after=wrong),
    ):
        with pytest.raises(BadRequest, match=f"ids of table 'docs' are {takes} and {wrong!r} is none"):
            call()


@pytest.mark.parametrize(("key", "id_"), [("text", "'doc-17'"), ("text", f"'{UUIDS[0].upper()}f'"), ("int", "-1")])
def test_a_row_whose_key_is_no_id_is_named(
    postgres: Postgres, name: str, database: PgvectorDatabase, key: str, id_: str
) -> None:
    postgres.run(name, f"CREATE TABLE docs (id {key} PRIMARY KEY, embedding vector(3))")
    postgres.run(name, f"INSERT INTO docs VALUES ({id_})")

    with pytest.raises(BadRequest, match=f"'docs' has a row that cannot be a point: point id {id_}"):
        database.read("docs")


def test_a_text_that_is_a_uuid_in_another_form_is_no_id(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    postgres.run(name, "CREATE TABLE docs (id text PRIMARY KEY, embedding vector(3))")
    postgres.run(name, "INSERT INTO docs VALUES (%s)", OTHER.upper())

    with pytest.raises(BadRequest, match=f"id '{OTHER.upper()}', which is no UUID in lower case with hyphens"):
        database.read("docs")


def test_only_new_fills_what_has_no_vector_and_passes_over_what_has_no_row(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    fill(postgres, name, "int")
    database.write("docs", two((1,)))
    before = embeddings(postgres, name)
    database.write("docs", two((1, 2, 3), seed=2), only_new=True)

    after = database.get("docs", [1, 2, 3], vectors=[""])
    assert embeddings(postgres, name)[0] == before[0]
    assert [point.id for point in after] == [1, 2]
    assert np.array_equal(np.asarray(after[1].vectors[""]), rows(3, DIM, 2)[1])


def test_a_delete_takes_the_vectors_and_leaves_the_row(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    fill(postgres, name, vectors=f", embedding vector({DIM}), terms sparsevec(9)")
    ids = KEYS["bigint"]
    database.write("docs", two(ids))
    database.write("docs", Points(ids=ids, vectors={"terms": [sparse({1: 1.0})] * 2}, payloads=[{}] * 2))
    database.delete("docs", [ids[0], 77])

    given = [(point.id, [*point.vectors]) for point in database.read("docs", vectors=["", "terms"]).points]
    assert given == [(ids[0], []), (ids[1], ["", "terms"])]
    assert postgres.run(name, "SELECT title FROM docs ORDER BY title") == [("Foxes",), ("Owls",)]


def test_vectors_that_the_server_generates_are_not_written(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    half = f"halfvec({DIM}) GENERATED ALWAYS AS (embedding::halfvec({DIM})) STORED"
    fill(postgres, name, vectors=f", embedding vector({DIM}), half {half}")
    ids = KEYS["bigint"]
    database.write("docs", two(ids))
    with pytest.raises(BadRequest, match="column 'half' of table 'docs' is generated by the server"):
        database.write("docs", two(ids, "half"))
    database.delete("docs", [ids[0]])

    given = [[*point.vectors] for point in database.read("docs", vectors=["", "half"]).points]
    assert given == [[], ["", "half"]]


def test_terms_are_those_of_the_column(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    fill(postgres, name, "int", vectors=", terms sparsevec(9)")
    one = Points(ids=[1], vectors={"terms": [sparse({8: 2.0})]}, payloads=[{}])
    database.write("docs", one)

    with pytest.raises(BadRequest, match="term 9 of a sparse vector is not below its column's width, 9"):
        database.write("docs", Points(ids=[1], vectors={"terms": [sparse({9: 2.0})]}, payloads=[{}]))
    hits = database.query("docs", Query(vector=sparse({8: 1.0, 500: 1.0}), field="terms"))
    assert [(hit.id, hit.score) for hit in hits] == [(1, 2.0)]


def test_a_table_that_is_not_ours_is_not_dropped(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    fill(postgres, name)

    with pytest.raises(BadRequest, match="table 'docs' was not made by embedstack; drop it yourself, or its columns"):
        database.drop("docs")
    assert postgres.run(name, "SELECT count(*) FROM docs") == [(2,)]


def test_a_rule_of_the_table_is_not_the_servers_fault(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    fill(postgres, name)
    postgres.run(name, "ALTER TABLE docs ADD CHECK (embedding <-> '[0,0,0]' < 1)")

    with pytest.raises(BadRequest, match=r"refused \(23514: .*docs_.*check.*\): a rule of the table forbids it"):
        database.write("docs", two((1,)))


# ------------------------------------------------------------------------------------------------ asked


def among(key: str, *values: str | int | bool) -> Condition:
    return Condition(key=key, values=values)


CONDITIONS: tuple[tuple[Condition, bool], ...] = (
    (among("title", "Owls", "Cats"), True), (among("title", "owls"), False), (among("title", 1), False),
    (among("title"), False), (Condition(key="title", least=0), False), (among("title", "a\0b", "Owls"), True),
    (among("count", 7), True), (among("count", "7"), False), (among("count", True, 2**70), False),
    (Condition(key="count", least=6.5, most=7.5), True), (Condition(key="count", least=7.5), False),
    (Condition(key="count", least=float("-inf")), True), (Condition(key="count", least=float("inf")), False),
    (Condition(key="count", most=float("nan")), False), (Condition(key="count", values=(7,), most=6), False),
    (among("ratio", 0), False), (Condition(key="ratio", least=0.1, most=0.1), True),
    (Condition(key="größe %", least=1.5, most=1.5), True), (among("größe %", 1), False),
    (among("is_new", True), True), (among("is_new", 1), False), (among("is_new", "true", False), False),
    (among("tags", "b"), True), (among("tags", "c"), False), (among("day", "2024-01-02"), True),
    (among("other", OTHER), True), (among("other", OTHER.upper(), 1), False),
    (among("more.deep.at", 3), True), (among("more.deep.at", "3"), False), (among("more.list", "x"), True),
    (Condition(key="more.deep.at", least=2, most=3), True), (among("title.deep", "Owls"), False),
    (Condition(key="more"), True), (Condition(key="title"), True), (Condition(key="nothing"), False),
    (among("a.b", 5), True), (among("a.c", 5), False), (among("nothing", 1), False),
    (among("embedding", 1), False), (among("the key", 1), False),
)  # fmt: skip


@pytest.mark.parametrize(("condition", "holds"), CONDITIONS, ids=str)
def test_conditions_are_over_columns_in_their_own_types(
    columns: tuple[PgvectorDatabase, PointId], condition: Condition, holds: bool
) -> None:
    database, owls = columns

    assert (owls in found(database, Where(all=(condition,)))) == holds
    assert (owls in found(database, Where(none=(condition,)))) != holds


@pytest.fixture(scope="module")
def columns() -> Iterator[tuple[PgvectorDatabase, PointId]]:
    """With `docs` in it, and the id of its first row."""
    postgres = running()
    with postgres.database() as name:
        fill(postgres, name)
        database = PgvectorDatabase(postgres.url(name))
        yield database, 1
        database.close()


def test_what_is_null_satisfies_nothing(columns: tuple[PgvectorDatabase, PointId]) -> None:
    database, _ = columns
    keys = ["größe %", "count", "is_new", "tags", "more.deep.at", "day"]

    assert all(KEYS["bigint"][1] in found(database, Where(none=(among(key, 7, True),))) for key in keys)
    assert found(database, Where(none=(Condition(key="count"),))) == [KEYS["bigint"][1]]


def test_an_index_of_yours_is_used(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    postgres.run(name, "CREATE TABLE docs (id int PRIMARY KEY, tenant text, day int, embedding vector(3))")
    postgres.run(name, "INSERT INTO docs SELECT n, 't' || n % 100, n, '[1,2,3]' FROM generate_series(1, 5000) n")
    postgres.run(name, "CREATE INDEX by_tenant ON docs (tenant)")
    postgres.run(name, "CREATE INDEX by_day ON docs (day)")
    postgres.run(name, "ANALYZE")
    for condition in (among("tenant", "t3"), Condition(key="day", least=4990), among("day", 7)):
        database.read("docs", where=Where(all=(condition,)), limit=1000)
    database.close()

    scans = postgres.run(name, "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname LIKE 'by_%'")
    assert all(count > 0 for (count,) in scans)
    assert len(scans) == 2


# ------------------------------------------------------------------------------------------------ comments

COLUMN = (
    "SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = 'docs'::regclass "
    "AND attname = 'embedding'"
)
TABLE = "SELECT obj_description('docs'::regclass, 'pg_class')"
HARD = 'it\'s 100%s of\n"ours" \\ é\n\nembedstack: not ours'


def test_comments_of_others_survive(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    fill(postgres, name)
    with postgres.connection(name) as connection:
        for what in ("COLUMN docs.embedding", "TABLE docs"):
            connection.execute(f"COMMENT ON {what} IS $${HARD}$$".encode())
    database.sign("docs", "", origin(dim=DIM), over=None)
    database.mark("docs", Loaded(source="digest", rows=5))
    there = database.describe("docs")
    signed = postgres.run(name, COLUMN)[0][0].split("\n")
    marked = postgres.run(name, TABLE)[0][0].split("\n")
    database.mark("docs", None)

    assert there is not None
    assert (there.fields[""].origin, there.loaded) == (origin(dim=DIM), Loaded(source="digest", rows=5))
    assert signed[:-1] == marked[:-1] == HARD.split("\n")
    assert signed[-1].startswith('embedstack: {"identity":{"model":"first",')
    assert marked[-1].startswith('embedstack: {"source":"digest",')
    assert postgres.run(name, TABLE) == [(HARD,)]


def test_an_origin_may_stand_in_front_of_what_others_write_later(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    database.create(Collection(name="docs", fields={"": Field(kind="sparse", distance="dot", idf=True)}))
    database.sign("docs", "", origin(dim=DIM), over=None)
    with postgres.connection(name) as connection:
        ours = postgres.run(name, COLUMN)[0][0]
        connection.execute(f"COMMENT ON COLUMN docs.embedding IS $q${ours}\nand theirs$q$".encode())
    database.sign("docs", "", origin("second", dim=DIM), over=origin(dim=DIM))

    lines = postgres.run(name, COLUMN)[0][0].split("\n")
    there = database.describe("docs")
    assert there is not None
    assert there.fields[""] == Field(kind="sparse", distance="dot", idf=True, origin=origin("second", dim=DIM))
    assert [line.partition(": ")[0] for line in lines] == ["and theirs", "embedstack field", "embedstack"]


@pytest.mark.parametrize(
    ("what", "place"), [("COLUMN docs.embedding", "column 'embedding' of table 'docs'"), ("TABLE docs", "table 'docs'")]
)
def test_what_cannot_be_read_is_a_mismatch_that_names_the_place(
    postgres: Postgres, name: str, database: PgvectorDatabase, what: str, place: str
) -> None:
    fill(postgres, name)
    postgres.run(name, f"COMMENT ON {what} IS 'mine\nembedstack: {{\"identity\": 5'")

    with pytest.raises(Mismatch, match=f"the line 'embedstack: ' in the comment of {place} cannot be read"):
        database.describe("docs")


def test_two_who_sign_a_table_of_yours_agree(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    fill(postgres, name)
    mine = [origin(f"model-{number}", DIM) for number in range(4)]

    told = at_once([partial(database.sign, "docs", "", each, over=None) for each in mine])

    there = database.describe("docs")
    assert there is not None
    assert told == [there.fields[""].origin] * 4


# ------------------------------------------------------------------------------------------------ beside


@pytest.mark.parametrize("key", KEYS)
def test_a_table_beside_yours_has_its_ids_and_its_payloads(
    postgres: Postgres, name: str, beside: PgvectorDatabase, key: str
) -> None:
    fill(postgres, name, key, vectors="")
    wanted = Collection(name="docs_vectors", fields={"": Field(dim=DIM, origin=origin(dim=DIM)), "id": Field(dim=2)})
    ids = KEYS[key]
    made = [beside.create(wanted), beside.create(wanted)]
    beside.write("docs_vectors", two(ids))

    there = beside.describe("docs_vectors")
    assert made == [True, False]
    assert there == Collection(
        name="docs_vectors", fields=wanted.fields, points=2, keeps_payload=False, keeps_indexes=False
    )
    (hit,) = beside.query("docs_vectors", Query(vector=rows(2, DIM)[1], limit=1))
    assert (hit.id, hit.payload["title"], "the key" in hit.payload) == (ids[1], "Foxes", False)
    assert [point.payload["count"] for point in beside.get("docs_vectors", ids[::-1])] == [None, 7]


def test_it_is_asked_by_the_columns_of_yours(postgres: Postgres, name: str, beside: PgvectorDatabase) -> None:
    fill(postgres, name, "int", vectors="")
    beside.create(Collection(name="docs_vectors", fields={"": Field(dim=DIM)}))
    beside.write("docs_vectors", two((1, 2)))
    owls = Where(all=(among("title", "Owls"), among("more.deep.at", 3)))

    hits = beside.query("docs_vectors", Query(vector=rows(2, DIM)[1], where=owls))

    assert [hit.id for hit in hits] == found(beside, owls, "docs_vectors") == [1]


def test_its_points_end_with_the_rows_of_yours(postgres: Postgres, name: str, beside: PgvectorDatabase) -> None:
    fill(postgres, name, "int", vectors="")
    beside.create(Collection(name="docs_vectors", fields={"": Field(dim=DIM)}))
    beside.write("docs_vectors", two((1, 2)))
    postgres.run(name, 'DELETE FROM docs WHERE "the key" = 1')
    beside.delete("docs_vectors", [7])

    assert [point.id for point in beside.read("docs_vectors").points] == [2]
    beside.delete("docs_vectors", [2])
    assert beside.read("docs_vectors").points == []
    assert postgres.run(name, "SELECT count(*) FROM docs") == [(1,)]


@pytest.mark.parametrize("only_new", [False, True])
def test_points_that_are_about_no_row_are_refused_by_name(
    postgres: Postgres, name: str, beside: PgvectorDatabase, only_new: bool
) -> None:
    fill(postgres, name, "int", vectors="")
    beside.create(Collection(name="docs_vectors", fields={"": Field(dim=DIM)}))

    with pytest.raises(BadRequest, match="table 'docs' has no rows for points 5, 4294967296; insert those first"):
        beside.write("docs_vectors", two((1, 5, 2**32)), only_new=only_new)
    assert beside.read("docs_vectors").points == []


def test_only_new_leaves_its_points_alone(postgres: Postgres, name: str, beside: PgvectorDatabase) -> None:
    fill(postgres, name, "int", vectors="")
    beside.create(Collection(name="docs_vectors", fields={"": Field(dim=DIM)}))
    beside.write("docs_vectors", two((1,)))
    beside.write("docs_vectors", two((1, 2), seed=2), only_new=True)

    kept = [point.vectors[""] for point in beside.read("docs_vectors", vectors=[""]).points]
    assert np.array_equal(np.asarray(kept), [rows(1, DIM)[0], rows(2, DIM, 2)[1]])


def test_it_is_dropped_and_yours_stays(postgres: Postgres, name: str, beside: PgvectorDatabase) -> None:
    fill(postgres, name, vectors="")
    beside.create(Collection(name="docs_vectors", fields={"": Field(dim=DIM)}))
    beside.switch("current", "docs_vectors", old=None)
    beside.drop("current")

    assert (beside.names(), beside.aliases()) == ([], {})
    assert postgres.run(name, "SELECT count(*) FROM docs") == [(2,)]


def test_it_is_found_without_the_parameter(
    postgres: Postgres, name: str, database: PgvectorDatabase, beside: PgvectorDatabase
) -> None:
    fill(postgres, name, "int", vectors="")
    beside.create(Collection(name="docs_vectors", fields={"": Field(dim=DIM)}))
    beside.write("docs_vectors", two((1,)))
    payload: Mapping[str, Json] = database.read("docs_vectors").points[0].payload

    assert payload["title"] == "Owls"
    assert "beside=docs" in beside.url


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT 1", "there is no table 'docs' beside which to make one; look at \\?beside= of the address"),
        ("CREATE TABLE docs (a int, b int, PRIMARY KEY (a, b))", "there is no table 'docs' beside which"),
        ("CREATE VIEW docs AS SELECT 1 AS id", "there is no table 'docs' beside which"),
    ],
)
def test_what_it_cannot_stand_beside_is_said(
    postgres: Postgres, name: str, beside: PgvectorDatabase, statement: str, message: str
) -> None:
    postgres.run(name, statement)

    with pytest.raises(ConfigError, match=message):
        beside.create(Collection(name="docs_vectors", fields={"": Field(dim=DIM)}))


def test_it_is_not_the_table_beside_which_it_stands(postgres: Postgres, name: str, beside: PgvectorDatabase) -> None:
    fill(postgres, name, vectors="")

    with pytest.raises(BadRequest, match="'docs' is the table beside which one was to be made"):
        beside.create(Collection(name="docs", fields={"": Field(dim=DIM)}))
    assert beside.names() == []


def test_it_cannot_stand_beside_a_table_of_ours(database: PgvectorDatabase, beside: PgvectorDatabase) -> None:
    database.create(Collection(name="docs", fields={"": Field(dim=DIM)}))

    with pytest.raises(ConfigError, match="'docs' was made by embedstack; leave \\?beside= out of the address"):
        beside.create(Collection(name="docs_vectors", fields={"": Field(dim=DIM)}))


def test_a_mark_goes_with_the_columns_that_it_is_of(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    postgres.run(name, "CREATE TABLE docs (id bigint PRIMARY KEY, title text)")
    wanted = Collection(name="docs", fields={"": Field(dim=DIM)})
    database.create(wanted)
    database.mark("docs", Loaded(source="digest", rows=2, is_whole=True))
    postgres.run(name, "ALTER TABLE docs DROP COLUMN embedding")

    database.create(wanted)

    made = database.describe("docs")
    assert made is not None
    assert made.loaded is None


def test_an_alias_in_a_schema_is_found_by_its_name(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    postgres.run(name, "CREATE SCHEMA search")
    database.create(Collection(name="search.docs", fields={"": Field(dim=DIM)}))

    database.switch("search.live", "search.docs", old=None)

    found = database.describe("search.live")
    assert found is not None
    assert found.name == "search.docs"
