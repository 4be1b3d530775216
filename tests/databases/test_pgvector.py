"""What PostgreSQL with pgvector has of its own: tables, indexes, widths, and several who come at once."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from embedstack.databases.database import Collection, Condition, Field, Index, Json, Loaded, Points, Query, Where
from embedstack.databases.pgvector.server import PgvectorDatabase
from embedstack.errors import BadRequest, Mismatch, Unsupported, Upstream
from embedstack.testing import check_queries
from embedstack.testing.promises import Trial, at_once, broken_promises, origin, rows, sparse
from support.postgres import Postgres, running

pytestmark = pytest.mark.faults

UUID = "00000000-0000-4000-8000-000000000001"
MANY, DIM = 500, 8


@pytest.fixture
def postgres() -> Postgres:
    return running()


@pytest.fixture
def name(postgres: Postgres) -> Iterator[str]:
    """Of a database with pgvector in it and nothing else."""
    with postgres.database() as name:
        yield name


@pytest.fixture
def always_by_index(postgres: Postgres, name: str) -> None:
    """Where there is one, however few the points are."""
    postgres.run(name, f"ALTER DATABASE {name} SET enable_seqscan = off")


@pytest.fixture
def database(postgres: Postgres, name: str) -> Iterator[PgvectorDatabase]:
    database = PgvectorDatabase(postgres.url(name))
    yield database
    database.close()


def make(database: PgvectorDatabase, of: str = "docs", **fields: Field) -> None:
    """With one dense field where none is told."""
    database.create(Collection(name=of, fields=fields or {"": Field(dim=DIM)}))


def points(count: int, field: str = "", payloads: Sequence[dict[str, Json]] | None = None, dim: int = DIM) -> Points:
    return Points(ids=range(count), vectors={field: rows(count, dim)}, payloads=payloads or [{}] * count)


def until(postgres: Postgres, name: str, statement: str) -> None:
    """It gives rows."""
    latest = time.monotonic() + 30
    while not postgres.run(name, statement):
        assert time.monotonic() < latest
        time.sleep(0.02)


def where(key: str, *values: str | int | bool, least: float | None = None) -> Where:
    return Where(all=(Condition(key=key, values=values or None, least=least),))


def used(postgres: Postgres, name: str) -> dict[str, int]:
    """How often each index of `docs` that is no primary key was read, by the columns or expressions that it is over."""
    found = postgres.run(
        name,
        "SELECT pg_get_indexdef(indexrelid), idx_scan FROM pg_stat_user_indexes WHERE relname = 'docs' "
        "AND indexrelname NOT LIKE '%pkey'",
    )
    return {" ".join(text.partition(" USING ")[2].split()): scans for text, scans in found}


# ------------------------------------------------------------------------------------------------ the table


def test_a_table_can_be_asked_in_sql(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    make(database, text=Field(dim=2), terms=Field(kind="sparse", distance="dot"), half=Field(dim=2, storing="float16"))
    row = np.array([[1, 2]], np.float32)
    vectors = {"text": row, "half": row, "terms": [sparse({4: 0.5})]}
    database.write("docs", Points(ids=[7], vectors=vectors, payloads=[{"a": 1}]))
    database.write("docs", Points(ids=[UUID], vectors={}, payloads=[{}]))

    found = postgres.run(
        name, "SELECT id_number, id_uuid::text, payload, text::text, half::text, terms::text FROM docs ORDER BY id"
    )
    assert found == [
        (7, None, {"a": 1}, "[1,2]", "[1,2]", "{5:0.5}/1000000000"),
        (None, UUID, {}, None, None, None),
    ]


def test_a_table_in_another_schema_has_its_schema_in_front(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    postgres.run(name, "CREATE SCHEMA other")
    for of in ("docs", "other.docs", "no.schema"):
        make(database, of)
    database.write("other.docs", points(1))
    database.switch("other.alias", "other.docs", old=None)

    there = database.describe("other.alias")
    assert database.names() == ["docs", "no.schema"]
    assert there is not None
    assert (there.name, there.points) == ("other.docs", 1)
    assert postgres.run(name, "SELECT count(*) FROM other.alias") == [(1,)]


def test_pgvector_may_be_in_a_schema_that_nobody_looks_in(postgres: Postgres) -> None:
    with postgres.database("template0") as name:
        postgres.run(name, "CREATE SCHEMA hidden")
        postgres.run(name, "CREATE EXTENSION vector SCHEMA hidden")
        database = PgvectorDatabase(postgres.url(name))
        broken = broken_promises(Trial(database, "check"), check_queries.PARTS)
        database.close()

    assert broken == []


def test_pgvector_is_put_into_a_database_by_the_first_create(postgres: Postgres) -> None:
    with postgres.database("template0") as name:
        database = PgvectorDatabase(postgres.url(name))
        before = database.names(), database.describe("docs"), database.aliases()
        make(database)
        names = database.names()
        database.close()

    assert (before, names) == (([], None, {}), ["docs"])


@pytest.mark.parametrize("taken", ["CREATE VIEW docs AS SELECT 1 AS id", "CREATE TABLE docs (id int)"])
def test_what_cannot_be_a_collection_is_none_and_cannot_become_one(
    postgres: Postgres, name: str, database: PgvectorDatabase, taken: str
) -> None:
    postgres.run(name, taken)

    assert database.names() == []
    assert database.describe("docs") is None
    with pytest.raises(BadRequest, match="'docs' cannot hold a collection: it is a view, or has no primary key"):
        make(database)


# ------------------------------------------------------------------------------------------------ indexes


def test_the_indexes_are_used(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    keys = {"tenant": Index(is_tenant=True), "deep.year": Index(kind="integer"), "other": Index()}
    database.create(Collection(name="docs", fields={"": Field(dim=DIM)}, indexes=keys))
    payloads: list[dict[str, Json]] = [{"tenant": f"t{n % 200}", "deep": {"year": n}} for n in range(2000)]
    database.write("docs", points(2000, payloads=payloads))
    postgres.run(name, "ANALYZE")
    for meant in (Where(), where("tenant", "t3"), where("deep.year", least=1995), where("deep.year", 7)):
        database.query("docs", Query(vector=rows(1, DIM)[0], limit=3, where=meant))
    database.close()

    scans = used(postgres, name)
    assert {text: count > 0 for text, count in scans.items()} == {
        "hnsw (embedding vector_cosine_ops)": True,
        "gin (((payload #> '{tenant}'::text[])) jsonb_path_ops)": True,
        "gin (((payload #> '{other}'::text[])) jsonb_path_ops)": False,
        "btree (jsonb_typeof((payload #> '{deep,year}'::text[])), ( CASE WHEN (jsonb_typeof((payload #> "
        "'{deep,year}'::text[])) = 'number'::text) THEN ((payload #> '{deep,year}'::text[]))::numeric ELSE "
        "NULL::numeric END))": True,
    }


@pytest.mark.usefixtures("always_by_index")
@pytest.mark.parametrize("is_exact", [False, True])
def test_an_exact_question_reads_no_index(
    postgres: Postgres, name: str, database: PgvectorDatabase, is_exact: bool
) -> None:
    make(database)
    database.write("docs", points(MANY))
    hits = database.query("docs", Query(vector=rows(1, DIM)[0], is_exact=is_exact))
    database.close()

    assert hits[0].id == 0
    assert used(postgres, name) == {"hnsw (embedding vector_cosine_ops)": 0 if is_exact else 1}


@pytest.mark.usefixtures("always_by_index")
@pytest.mark.parametrize("distance", ["cosine", "dot", "l2"])
def test_an_index_finds_nearly_all_that_are_nearest(database: PgvectorDatabase, distance: str) -> None:
    make(database, **{"": Field(dim=DIM, distance=distance)})  # type: ignore[arg-type]
    database.write("docs", points(MANY))
    asked = rows(20, DIM, seed=5)

    by_index = [{hit.id for hit in database.query("docs", Query(vector=row))} for row in asked]
    exact = [{hit.id for hit in database.query("docs", Query(vector=row, is_exact=True))} for row in asked]

    assert sum(len(some & every) for some, every in zip(by_index, exact, strict=True)) > 190  # of 200


@pytest.mark.usefixtures("always_by_index")
@pytest.mark.parametrize("most_looked_at", [20_000, 100])
def test_as_many_are_found_as_were_asked_for_whatever_the_index_gives(
    postgres: Postgres, name: str, database: PgvectorDatabase, most_looked_at: int
) -> None:
    """pgvector alone would look at 40, and find none of those that are meant; also if it ends before it has enough."""
    postgres.run(name, f"ALTER DATABASE {name} SET hnsw.max_scan_tuples = {most_looked_at}")
    make(database)
    drawn = points(MANY)
    order = np.argsort(-(drawn.vectors[""] @ rows(1, DIM)[0] / np.linalg.norm(drawn.vectors[""], axis=1)))  # type: ignore[operator]
    far = {int(place) for place in order[-30:]}
    payloads: list[dict[str, Json]] = [{"is_far": place in far} for place in range(MANY)]
    database.write("docs", points(MANY, payloads=payloads))
    asked = Query(vector=rows(1, DIM)[0], limit=30, where=where("is_far", True))

    found = [len(database.query("docs", Query(vector=rows(1, DIM)[0], limit=limit))) for limit in (100, MANY)]

    assert [hit.id for hit in database.query("docs", asked)] == [int(place) for place in order[-30:]]
    assert found == [100, MANY]


@pytest.mark.usefixtures("always_by_index")
def test_of_equal_ones_the_lower_ids_are_given_also_by_an_index(database: PgvectorDatabase) -> None:
    make(database)
    drawn = rows(MANY, DIM)
    drawn[100:110] = drawn[100]
    ids = [int(one) for one in np.random.default_rng(3).permutation(MANY)]
    database.write("docs", Points(ids=ids, vectors={"": drawn[ids]}, payloads=[{}] * MANY))

    hits = database.query("docs", Query(vector=drawn[100], limit=4))

    assert [hit.id for hit in hits] == [100, 101, 102, 103]


def test_an_index_that_was_left_half_made_is_made_again(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    wanted = Collection(name="docs", fields={"": Field(dim=DIM)}, indexes={"colour": Index()})
    database.create(wanted)
    database.write("docs", points(3))
    break_it = "UPDATE pg_index SET indisvalid = false WHERE indrelid = 'docs'::regclass AND NOT indisprimary"
    postgres.run(name, break_it)
    broken = database.describe("docs")
    is_new = database.create(wanted)

    mended = database.describe("docs")
    assert not is_new
    assert broken is not None
    assert mended is not None
    assert (broken.status, broken.indexes) == ("failed", {})
    assert (mended.status, mended.indexes) == ("ready", wanted.indexes)
    assert [hit.id for hit in database.query("docs", Query(vector=rows(3, DIM)[1], limit=1))] == [1]


def test_several_may_make_one_index_of_a_collection_that_is_there(database: PgvectorDatabase) -> None:
    make(database)
    database.write("docs", points(200))
    wanted = Collection(name="docs", fields={"": Field(dim=DIM), "new": Field(dim=DIM)}, indexes={"colour": Index()})

    made = at_once([partial(database.create, wanted)] * 4)

    there = database.describe("docs")
    assert made == [False] * 4
    assert there is not None
    assert (there.status, there.indexes, set(there.fields)) == ("ready", wanted.indexes, {"", "new"})


def test_an_index_whose_maker_died_before_it_said_what_it_is_is_taken_as_it_is(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    wanted = Collection(name="docs", fields={"": Field(dim=DIM)}, indexes={"colour": Index()})
    database.create(wanted)
    ((index,),) = postgres.run(name, "SELECT indexrelid::regclass::text FROM pg_index WHERE indkey = '0'")
    postgres.run(name, f"COMMENT ON INDEX {index} IS NULL")
    database.create(wanted)

    there = database.describe("docs")
    assert there is not None
    assert there.indexes == wanted.indexes


def test_somebody_who_makes_indexes_for_too_long_is_not_waited_for(postgres: Postgres, name: str) -> None:
    database = PgvectorDatabase(postgres.url(name), wait_s=0.3)
    make(database)
    ((oid,),) = postgres.run(name, "SELECT 'docs'::regclass::oid::int")
    wanted = Collection(name="docs", fields={"": Field(dim=DIM)}, indexes={"colour": Index()})
    with postgres.connection(name) as other:
        other.execute("SELECT pg_advisory_lock(%s::int, %s::int)", (0x656D6264, oid))
        with pytest.raises(Upstream, match="somebody else makes indexes of table 'docs'") as caught:
            database.create(wanted)
    is_new = database.create(wanted)
    database.close()

    assert caught.value.retry
    assert not is_new


@pytest.mark.slow
def test_an_index_is_made_while_others_mark_what_they_load(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    for of in ("docs", "more"):
        make(database, of)
    indexed = Collection(name="docs", fields={"": Field(dim=DIM)}, indexes={"colour": Index()})
    waiting = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LOCK TABLE%' AND wait_event_type = 'Lock'"
    with ThreadPoolExecutor(3) as threads, postgres.connection(name) as other, other.transaction():
        # for this transaction the index waits at its beginning
        other.execute("INSERT INTO docs (id_number) VALUES (1)")
        made = threads.submit(database.create, indexed)
        until(postgres, name, "SELECT 1 FROM pg_stat_progress_create_index")
        marks = [threads.submit(database.mark, "docs", Loaded(source="a", rows=1))]
        until(postgres, name, waiting)
        marks.append(threads.submit(database.mark, "more", Loaded(source="a", rows=1)))
        until(
            postgres,
            name,
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_try_advisory_xact_lock%' "
            "AND pid <> pg_backend_pid() AND state = 'idle in transaction'",
        )

    there = database.describe("docs")
    assert not made.result()
    assert [mark.result() for mark in marks] == [None, None]
    assert there is not None
    assert (there.status, there.indexes, there.loaded) == ("ready", indexed.indexes, Loaded(source="a", rows=1))


def test_a_table_that_was_renamed_is_no_hindrance_for_a_new_one(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    wanted = Collection(name="docs", fields={"": Field(dim=DIM)}, indexes={"colour": Index()})
    database.create(wanted)
    postgres.run(name, "ALTER TABLE docs RENAME TO old")

    assert database.create(wanted)
    assert database.names() == ["docs", "old"]


# ------------------------------------------------------------------------------------------------ widths and kinds


@pytest.mark.parametrize(("dim", "kept", "indexes"), [(2000, "float32", 1), (2001, "float16", 1), (4001, "float16", 0)])
def test_wide_vectors_are_kept_as_halves_and_very_wide_ones_have_no_index(
    postgres: Postgres, name: str, database: PgvectorDatabase, dim: int, kept: str, indexes: int
) -> None:
    wanted = Collection(name="docs", fields={"": Field(dim=dim)})
    made = [database.create(wanted), database.create(wanted)]
    database.write("docs", points(3, dim=dim))

    there = database.describe("docs")
    assert made == [True, False]
    assert there is not None
    assert there.fields[""].storing == kept
    assert len(used(postgres, name)) == indexes
    assert [hit.id for hit in database.query("docs", Query(vector=rows(3, dim)[2], limit=1))] == [2]


def test_halves_are_not_taken_for_the_floats_that_fit(database: PgvectorDatabase) -> None:
    make(database, **{"": Field(dim=DIM, storing="float16")})

    with pytest.raises(Mismatch, match="float16, and dense, 8 wide, cosine, float32 was wanted"):
        make(database)


@pytest.mark.parametrize("times", [1e-12, 1.0, 1e12])
def test_a_question_to_halves_may_be_of_any_length_where_only_its_direction_counts(
    database: PgvectorDatabase, times: float
) -> None:
    make(database, half=Field(dim=DIM, storing="float16"))
    database.write("docs", points(20, "half"))

    (hit,) = database.query("docs", Query(vector=rows(20, DIM)[7] * np.float32(times), field="half", limit=1))

    assert hit.id == 7
    assert abs(hit.score - 1) < 1e-3


def test_a_question_that_halves_cannot_hold_is_refused(database: PgvectorDatabase) -> None:
    make(database, half=Field(dim=DIM, storing="float16", distance="dot"))

    with pytest.raises(BadRequest, match=r"22000: .*: it does not take a value"):
        database.query("docs", Query(vector=np.full(DIM, 1e6, np.float32), field="half"))


def test_a_field_may_have_the_name_of_what_a_question_is_sorted_by(database: PgvectorDatabase) -> None:
    make(database, distance=Field(dim=DIM), t=Field(dim=DIM))
    database.write("docs", points(3, "distance"))

    hits = database.query("docs", Query(vector=rows(1, DIM)[0], field="distance", with_vectors=["distance", "t"]))

    assert (hits[0].id, [*hits[0].vectors]) == (0, ["distance"])


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (Field(kind="multi", dim=4), "vector 'a' of collection 'docs' has several vectors for each point"),
        (Field(dim=16_001), "16001 wide, and pgvector takes 1 to 16000"),
        (Field(dim=0), "0 wide"),
    ],
)
def test_what_pgvector_has_not_is_said(database: PgvectorDatabase, field: Field, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        make(database, a=field)

    assert database.names() == []


def test_copies_that_are_searched_first_are_not_to_be_had(database: PgvectorDatabase) -> None:
    wanted = Collection(name="docs", fields={"": Field(dim=DIM)}, quantization="int8")

    with pytest.raises(Unsupported, match="was wanted with int8 copies, which pgvector has not"):
        database.create(wanted)
    make(database)
    with pytest.raises(Mismatch, match="quantization of collection 'docs' is none, and int8 was wanted"):
        database.create(wanted)


def test_terms_beyond_what_pgvector_keeps_are_refused_and_asked_for_in_vain(database: PgvectorDatabase) -> None:
    make(database, terms=Field(kind="sparse", distance="dot", idf=True))
    far = sparse({3: 1.0, 2**31 - 1: 1.0})
    with pytest.raises(BadRequest, match=r"term 2147483647 .* is not below its column's width, 1000000000"):
        database.write("docs", Points(ids=[1], vectors={"terms": [far]}, payloads=[{}]))
    database.write("docs", Points(ids=[1], vectors={"terms": [sparse({3: 1.0})]}, payloads=[{}]))

    asked = [database.query("docs", Query(vector=one, field="terms")) for one in (far, sparse({2**31 - 1: 1.0}))]

    assert [[hit.id for hit in hits] for hits in asked] == [[1], []]


def test_as_many_terms_as_a_statement_has_no_columns_for_are_weighed(database: PgvectorDatabase) -> None:
    make(database, terms=Field(kind="sparse", distance="dot", idf=True))
    every = sparse(dict.fromkeys(range(1, 1800), 1.0))
    documents = [sparse({1: 1.0, 1799: 2.0}), sparse({1: 1.0}), sparse({5000: 1.0})]
    database.write("docs", Points(ids=[1, 2, 3], vectors={"terms": documents}, payloads=[{}] * 3))

    hits = database.query("docs", Query(vector=every, field="terms"))

    common, rare = np.log(1 + (3 - 2 + 0.5) / 2.5), np.log(1 + (3 - 1 + 0.5) / 1.5)
    assert [hit.id for hit in hits] == [1, 2]
    assert np.allclose([hit.score for hit in hits], [common + 2 * rare, common])


@pytest.mark.parametrize(("text", "is_taken"), [("a\0b", False), ("a\\u0000b", True), ("\\\0", False)])
def test_a_payload_with_nul_is_refused_and_nothing_that_only_looks_so(
    database: PgvectorDatabase, text: str, is_taken: bool
) -> None:
    make(database)
    one = Points(ids=[5], vectors={}, payloads=[{"text": text}])
    if not is_taken:
        with pytest.raises(BadRequest, match="payload of point 5 has a NUL"):
            database.write("docs", one)
        return

    database.write("docs", one)

    assert database.get("docs", [5])[0].payload == {"text": text}


# ------------------------------------------------------------------------------------------------ several at once


def test_of_two_who_make_one_does_and_of_two_who_sign_one_does(postgres: Postgres, name: str) -> None:
    """Each with connections of its own, as two processes have them."""
    both = [PgvectorDatabase(postgres.url(name)) for _ in range(2)]
    mine = [origin("first", DIM), origin("second", DIM)]
    for number in range(5):
        wanted = Collection(name=f"docs-{number}", fields={"": Field(dim=DIM)}, indexes={"colour": Index()})
        made = at_once([partial(one.create, wanted) for one in both])
        told = at_once(
            [partial(one.sign, wanted.name, "", each, over=None) for one, each in zip(both, mine, strict=True)]
        )

        assert sorted(made) == [False, True]
        there = both[0].describe(wanted.name)
        assert there is not None
        assert told == [there.fields[""].origin] * 2
    for one in both:
        one.close()


def test_two_who_write_the_same_points_in_other_orders_do_not_block_each_other(database: PgvectorDatabase) -> None:
    make(database)
    some, drawn = [*range(300)], rows(300, DIM)
    calls = [
        partial(database.write, "docs", Points(ids=ids, vectors={"": drawn}, payloads=[{}] * 300))
        for ids in (some, some[::-1])
    ]

    for _ in range(3):
        at_once(calls)

    there = database.describe("docs")
    assert there is not None
    assert there.points == 300


def test_a_sign_over_one_that_is_gone_says_so(database: PgvectorDatabase) -> None:
    make(database)

    with pytest.raises(Mismatch, match="nobody has signed vector '' of collection 'docs' any more"):
        database.sign("docs", "", origin("second", DIM), over=origin("first", DIM))


# ------------------------------------------------------------------------------------------------ aliases and drops


def test_an_alias_is_a_view_that_sql_can_ask(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    make(database)
    make(database, "wider", **{"": Field(dim=2 * DIM)})
    database.write("docs", points(2))
    database.switch("current", "docs", old=None)
    before = postgres.run(name, "SELECT count(*) FROM current")
    database.switch("current", "wider", old="public.docs")

    assert (before, postgres.run(name, "SELECT count(*) FROM current")) == ([(2,)], [(0,)])


def test_a_drop_leaves_nothing_behind(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    database.create(Collection(name="docs", fields={"": Field(dim=DIM)}, indexes={"colour": Index()}))
    database.switch("current", "docs", old=None)
    database.drop("current")

    assert postgres.run(name, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


def test_a_drop_takes_an_alias_in_a_schema_that_nobody_looks_in(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    postgres.run(name, "CREATE SCHEMA other")
    make(database, "other.docs")
    database.switch("other.current", "other.docs", old=None)
    database.drop("other.docs")

    assert database.describe("other.current") is None
    assert postgres.run(name, "SELECT relname FROM pg_class WHERE relnamespace = 'other'::regnamespace") == []


def test_a_view_of_somebodys_own_is_no_alias(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    make(database)
    postgres.run(name, "CREATE VIEW mine AS SELECT * FROM docs")

    assert database.aliases() == {}
    assert database.describe("mine") is None
    with pytest.raises(BadRequest, match="'mine' is a table or a view that is no alias"):
        database.switch("mine", "docs", old=None)
    with pytest.raises(BadRequest, match=r"2BP01: .*docs.*: something else is built upon it; drop that first"):
        database.drop("docs")
