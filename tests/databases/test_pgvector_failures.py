"""What becomes of wrong addresses, servers that go away, locks of others, and of secrets in what is said about it."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psycopg
import pytest

from embedstack.databases.database import Collection, Field, Points, Query, Where
from embedstack.databases.pgvector.address import parse
from embedstack.databases.pgvector.failures import connecting, failure
from embedstack.databases.pgvector.server import PgvectorDatabase
from embedstack.errors import BadRequest, ConfigError, EmbedstackError, Upstream
from embedstack.testing.promises import origin, rows
from support.postgres import PASSWORD, READER, Postgres, running

DIM = 4
QUOTED = "a%20secret%2F%40%20%25"  # the reader's password, as a URL has it
DOCS = Collection(name="docs", fields={"": Field(dim=DIM)})
PATIENCE_S = 20.0

pytestmark = pytest.mark.faults


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
    """It has `docs`, and waits for locks for a moment only."""
    database = PgvectorDatabase(postgres.url(name), wait_s=0.3)
    database.create(DOCS)
    yield database
    database.close()


def one(place: int) -> Points:
    return Points(ids=[place], vectors={"": rows(1, DIM, place)}, payloads=[{}])


def refused(url: str) -> EmbedstackError:
    """By the first call over it, which took less than a second."""
    database, began = PgvectorDatabase(url), time.monotonic()
    with pytest.raises(EmbedstackError) as caught:
        database.names()
    took_s = time.monotonic() - began
    database.close()
    assert took_s < 1
    return caught.value


def all_said(error: BaseException) -> str:
    """By it and all behind it."""
    behind = error.__cause__ or error.__context__
    return f"{error} {error!r} " + (all_said(behind) if behind else "")


def waited_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


# ------------------------------------------------------------------------------------------------ addresses

WRONG = {
    "another scheme": "mysql://me:hunter2@host/db",
    "a slash in the password": "postgresql://me:hunter/2@host/db",
    "a question mark in the password": "postgresql://me:hunter?2@host/db",
    "an at sign in the password": "postgresql://me:hunter@2@host/db",
    "an unknown parameter": "postgresql://me:hunter2@host/db?hunter2=1",
    "a percent sign in the password": "postgresql://me:hunter%2@host/db",
    "a password in a wrong parameter": "postgresql://host/db?password=hunter%2",
    "half an address": "postgresql://me:hunter2@[::1/db",
}


@pytest.mark.parametrize("url", WRONG.values(), ids=WRONG)
def test_what_is_no_address_is_refused_without_repeating_what_may_be_a_secret(url: str) -> None:
    with pytest.raises(ConfigError, match="postgresql://user:password@host:5432/database") as caught:
        PgvectorDatabase(url)

    assert "hunter" not in all_said(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@host:5433/db", "postgresql://me@host:5433/db"),
        ("postgres://me:hunter2@host/db?sslmode=require", "postgresql://me@host/db?sslmode=require"),
        ("postgresql://host/db?password=hunter2&user=me", "postgresql://host/db?user=me"),
        ("postgresql://host/db?p%61ssword=hunter2", "postgresql://host/db"),
        ("postgresql://host/db?sslpassword=hunter2&beside=docs", "postgresql://host/db?beside=docs"),
        ("postgresql://host/db?scram_client_key=hunter2&scram_server_key=hunter2", "postgresql://host/db"),
        ("postgresql://:hunter2@/db?host=/tmp", "postgresql:///db?host=/tmp"),
        ("postgresql://me:hun:ter2@one:1,two:2/db", "postgresql://me@one:1,two:2/db"),
    ],
)
def test_passwords_are_shown_nowhere(url: str, shown: str) -> None:
    database = PgvectorDatabase(url)
    database.close()

    assert database.url == shown
    assert repr(database) == f"PgvectorDatabase({shown!r})"
    assert "ter2" not in repr(parse(url))


def test_the_password_is_told_to_libpq_and_our_parameter_is_not() -> None:
    address = parse("postgresql://me:hun%20ter2@host/db?beside=my%20docs&connect_timeout=3")

    assert "hun ter2" in address.conninfo
    assert "connect_timeout=3" in address.conninfo
    assert "beside" not in address.conninfo
    assert address.beside == "my docs"


def test_a_constructor_asks_nobody() -> None:
    PgvectorDatabase("postgresql://nobody@nowhere.invalid/db").close()


def test_a_closed_database_says_so() -> None:
    database = PgvectorDatabase("postgresql://nobody@nowhere.invalid/db")
    database.close()
    database.close()

    with pytest.raises(BadRequest, match=r"database postgresql://nobody@nowhere\.invalid/db is closed; open it again"):
        database.names()


# ------------------------------------------------------------------------------------------------ not let in


@pytest.mark.slow
@pytest.mark.parametrize("host", ["nowhere.invalid", "x" * 70, "no..host", "no host"])
def test_a_host_that_there_is_not_is_told_at_once(host: str) -> None:
    error = refused(f"postgresql://me:hunter2@{host.replace(' ', '%20')}/db")

    assert isinstance(error, ConfigError | Upstream)
    assert not isinstance(error, Upstream) or "name resolution" in str(error)  # where no name can be asked for
    assert "hunter2" not in all_said(error)


@pytest.mark.slow
@pytest.mark.parametrize("secret", ["", ":hunter2"])
def test_a_wrong_password_is_told_at_once(postgres: Postgres, secret: str) -> None:
    error = refused(postgres.url("postgres", READER + secret))

    assert isinstance(error, ConfigError)
    assert "it refuses this user; look at the address, the user and the password" in str(error)
    assert "hunter2" not in all_said(error)


@pytest.mark.slow
def test_the_right_password_lets_in(postgres: Postgres, name: str) -> None:
    database = PgvectorDatabase(postgres.url(name, f"{READER}:{QUOTED}"))
    names = database.names()
    database.close()

    assert names == []
    assert PASSWORD not in database.url
    assert QUOTED not in database.url


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "user", "message"),
    [("nothing", "postgres", "there is no such database"), ("postgres", "nobody", "it refuses this user")],
)
def test_a_database_or_a_user_that_there_is_not_is_told_at_once(
    postgres: Postgres, database: str, user: str, message: str
) -> None:
    error = refused(postgres.url(database, user))

    assert isinstance(error, ConfigError)
    assert message in str(error)


@pytest.mark.slow
def test_a_port_where_nobody_listens_may_be_tried_again() -> None:
    error = refused("postgresql://me:hunter2@127.0.0.1:1/db")

    assert isinstance(error, Upstream)
    assert error.retry
    assert str(error) == "postgresql://me@127.0.0.1:1/db cannot be reached (Connection refused); run again later"


@pytest.mark.slow
def test_a_server_that_is_full_may_be_tried_again(postgres: Postgres) -> None:
    postgres.run("postgres", f"ALTER ROLE {READER} CONNECTION LIMIT 0")
    try:
        error = refused(postgres.url("postgres", f"{READER}:{QUOTED}"))
    finally:
        postgres.run("postgres", f"ALTER ROLE {READER} CONNECTION LIMIT -1")

    assert isinstance(error, Upstream)
    assert error.retry
    assert "too many connections" in str(error)


# ------------------------------------------------------------------------------------------------ not allowed


@pytest.mark.slow
def test_who_may_not_put_pgvector_there_is_told_what_to_run(postgres: Postgres) -> None:
    with postgres.database("template0") as name:
        database = PgvectorDatabase(postgres.url(name, f"{READER}:{QUOTED}"))
        with pytest.raises(ConfigError, match="run as a superuser in this database: CREATE EXTENSION vector"):
            database.create(DOCS)
        database.close()


@pytest.mark.slow
def test_who_may_not_make_tables_or_write_is_told_so(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    database.write("docs", one(1))
    postgres.run(name, f"GRANT SELECT ON docs TO {READER}")
    guest = PgvectorDatabase(postgres.url(name, f"{READER}:{QUOTED}"))
    calls: tuple[Callable[[], object], ...] = (
        partial(guest.create, Collection(name="more", fields=DOCS.fields)),
        partial(guest.write, "docs", one(2)),
        partial(guest.sign, "docs", "", origin(), over=None),
        partial(guest.mark, "docs", None),
        partial(guest.drop, "docs"),
    )
    for call in calls:
        with pytest.raises(ConfigError, match=r"42501: .*: this user may not; GRANT it the right, or"):
            call()
    found = [hit.id for hit in guest.query("docs", Query(vector=rows(1, DIM)[0]))]
    is_new = guest.create(DOCS)
    guest.close()

    assert (found, is_new) == ([1], False)


@pytest.mark.slow
def test_a_server_that_takes_no_writes_is_told_so(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    postgres.run(name, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    standby = PgvectorDatabase(postgres.url(name))
    with pytest.raises(ConfigError, match=r"25006: .*: it takes no writes, as a standby does not"):
        standby.write("docs", one(1))
    points = standby.read("docs").points
    standby.close()

    assert points == []


# ------------------------------------------------------------------------------------------------ locks


@pytest.mark.slow
@pytest.mark.parametrize("what", ["write", "read", "create", "mark"])
def test_a_lock_of_somebody_else_is_not_waited_for_for_ever(
    postgres: Postgres, name: str, database: PgvectorDatabase, what: str
) -> None:
    more = Collection(name="docs", fields={**DOCS.fields, "more": Field(dim=2)})
    calls: dict[str, Callable[[], object]] = {
        "write": partial(database.write, "docs", one(1)),
        "read": partial(database.read, "docs"),
        "create": partial(database.create, more),
        "mark": partial(database.mark, "docs", None),
    }
    with postgres.connection(name) as other:
        with other.transaction():
            other.execute("LOCK TABLE docs")
            with pytest.raises(Upstream, match=r"55P03: .*: somebody else held the lock that this needs") as caught:
                calls[what]()
        calls[what]()

    assert caught.value.retry


@pytest.mark.slow
def test_somebody_else_who_makes_a_table_is_not_waited_for_for_ever(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    with postgres.connection(name) as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", (0x656D626564737461,))
        with pytest.raises(
            Upstream, match="somebody else makes or signs something in this database; run again"
        ) as caught:
            database.create(Collection(name="more", fields=DOCS.fields))

    assert caught.value.retry
    assert database.names() == ["docs"]


@pytest.mark.slow
def test_a_statement_that_the_server_ends_may_be_tried_again(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    postgres.run(name, f"ALTER DATABASE {name} SET statement_timeout = '200ms'")
    hasty = PgvectorDatabase(postgres.url(name))
    with postgres.connection(name) as other, other.transaction():
        other.execute("LOCK TABLE docs")
        with pytest.raises(Upstream, match=r"57014: .*: it ended this, as after its statement_timeout") as caught:
            hasty.write("docs", one(1))
    hasty.close()

    assert caught.value.retry


# ------------------------------------------------------------------------------------------------ gone meanwhile


def ours(postgres: Postgres, name: str) -> list[tuple[int, str]]:
    """Process and state of each connection that the database under test holds."""
    return postgres.run(
        "postgres",
        "SELECT pid, wait_event_type FROM pg_stat_activity WHERE datname = %s AND application_name = 'embedstack'",
        name,
    )


@pytest.mark.slow
def test_a_connection_that_ended_while_nobody_used_it_is_not_used_again(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    before = ours(postgres, name)
    for pid, _ in before:
        postgres.run("postgres", "SELECT pg_terminate_backend(%s, 5000)", pid)

    database.write("docs", one(1))

    assert len(before) == 1
    assert [point.id for point in database.read("docs").points] == [1]
    assert len(ours(postgres, name)) == 1


@pytest.mark.slow
def test_a_connection_that_ends_in_the_middle_of_a_write_leaves_nothing_of_it(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    patient = PgvectorDatabase(postgres.url(name))
    with postgres.connection(name) as other, ThreadPoolExecutor(1) as threads:
        with other.transaction():
            other.execute("LOCK TABLE docs IN EXCLUSIVE MODE")
            writing = threads.submit(patient.write, "docs", one(1))
            waited_for(lambda: "Lock" in [waits for _, waits in ours(postgres, name)])
            ((pid, _),) = [found for found in ours(postgres, name) if found[1] == "Lock"]
            postgres.run("postgres", "SELECT pg_terminate_backend(%s)", pid)
            with pytest.raises(Upstream, match=r"57P01: .*: it is starting, stopping or ended") as caught:
                writing.result(PATIENCE_S)
        between = patient.read("docs").points
        patient.write("docs", one(1))
    after = [point.id for point in patient.read("docs").points]
    patient.close()

    assert caught.value.retry
    assert (between, after) == ([], [1])


@pytest.mark.slow
def test_a_server_that_stops_may_be_tried_again_and_all_is_there_when_it_runs(
    postgres: Postgres, database: PgvectorDatabase
) -> None:
    database.sign("docs", "", origin(), over=None)
    database.write("docs", one(1))
    before = database.describe("docs")
    postgres.stop()
    try:
        with pytest.raises(Upstream, match="cannot be reached") as caught:
            database.write("docs", one(2))
    finally:
        postgres.start()

    assert caught.value.retry
    assert database.describe("docs") == before
    database.write("docs", one(2))
    assert [point.id for point in database.read("docs").points] == [1, 2]


@pytest.mark.slow
def test_writers_go_on_over_a_restart_and_no_batch_is_there_in_part(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    """All errors that they see say that they may try again."""
    written, enough, retries = [0], threading.Event(), []

    def write_on() -> None:
        for batch in range(400):
            ids = range(batch * 20, batch * 20 + 20)
            points = Points(ids=ids, vectors={"": rows(20, DIM, batch)}, payloads=[{"batch": batch}] * 20)
            try_until_done(points)
            written[0] = batch
            if enough.is_set():
                return

    def try_until_done(points: Points) -> None:
        while len(retries) < 1000:
            try:
                database.write("docs", points)
            except Upstream as error:
                retries.append(error.retry)
                time.sleep(0.02)
            else:
                return
        raise AssertionError("it never came back")

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write_on)
        for moment in (5, 10, 15):
            waited_for(lambda moment=moment: written[0] >= moment or writing.done())  # type: ignore[misc]
            postgres.stop()
            postgres.start()
        enough.set()
        writing.result(PATIENCE_S)

    counts = postgres.run(name, "SELECT payload->>'batch', count(*) FROM docs GROUP BY 1")
    assert set(retries) == {True}
    assert {count for _, count in counts} == {20}
    assert len(counts) == written[0] + 1


@pytest.mark.slow
def test_no_connection_is_left_behind(postgres: Postgres, name: str, database: PgvectorDatabase) -> None:
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda place: database.write("docs", one(place)), range(48)))
    kept = len(ours(postgres, name))
    database.close()

    waited_for(lambda: ours(postgres, name) == [])
    assert 1 <= kept <= 8


@pytest.mark.slow
def test_a_table_that_is_dropped_meanwhile_may_be_asked_for_again(
    postgres: Postgres, name: str, database: PgvectorDatabase
) -> None:
    patient = PgvectorDatabase(postgres.url(name))
    with ThreadPoolExecutor(1) as threads, postgres.connection(name) as other:
        with other.transaction():
            other.execute("DROP TABLE docs")
            reading = threads.submit(patient.read, "docs", where=Where())
            waited_for(lambda: "Lock" in [waits for _, waits in ours(postgres, name)])
        with pytest.raises(EmbedstackError) as caught:
            reading.result(PATIENCE_S)
    with pytest.raises(BadRequest, match="collection 'docs' is not there; it has: none"):
        patient.read("docs")
    patient.close()

    assert isinstance(caught.value, BadRequest) or caught.value.retry


# ------------------------------------------------------------------------------------------------ codes


@pytest.mark.parametrize(
    ("error", "wanted", "retry"),
    [
        (psycopg.errors.DiskFull, ConfigError, False), (psycopg.errors.OutOfMemory, Upstream, True),
        (psycopg.errors.SerializationFailure, Upstream, True), (psycopg.errors.DeadlockDetected, Upstream, True),
        (psycopg.errors.CannotConnectNow, Upstream, True), (psycopg.errors.IdleSessionTimeout, Upstream, True),
        (psycopg.errors.ConnectionDoesNotExist, Upstream, True), (psycopg.OperationalError, Upstream, True),
        (psycopg.errors.InternalError_, Upstream, False), (psycopg.errors.DataCorrupted, Upstream, False),
        (psycopg.errors.UndefinedFile, ConfigError, False), (psycopg.errors.IoError, Upstream, True),
        (psycopg.errors.ProgramLimitExceeded, BadRequest, False), (psycopg.errors.InvalidPassword, ConfigError, False),
        (psycopg.errors.ForeignKeyViolation, BadRequest, False), (psycopg.errors.RaiseException, BadRequest, False),
        (psycopg.errors.UndefinedObject, ConfigError, False), (psycopg.DataError, BadRequest, False),
    ],
)  # fmt: skip
def test_codes_tell_what_may_be_tried_again(
    error: type[psycopg.Error], wanted: type[EmbedstackError], retry: bool
) -> None:
    given = failure("postgresql://host/db", error())

    assert type(given) is wanted
    assert given.retry == retry


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FATAL:  the database system is starting up", Upstream),
        ("FATAL:  the database system is shutting down", Upstream),
        ("server closed the connection unexpectedly", Upstream),
        ("FATAL:  Passwort-Authentifizierung fehlgeschlagen", Upstream),  # whoever has set lc_messages is tried again
        ("failed to resolve host 'x': [Errno -3] Temporary failure in name resolution", Upstream),
        ("failed to resolve host 'x': [Errno -2] Name or service not known", ConfigError),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "me", no encryption', ConfigError),
        ("server does not support SSL, but SSL was required", ConfigError),
    ],
)
def test_where_there_are_no_codes_words_tell_what_may_be_tried_again(text: str, wanted: type[EmbedstackError]) -> None:
    with pytest.raises(wanted) as caught, connecting("postgresql://host/db"):
        raise psycopg.OperationalError(f'connection failed: connection to server at "host", port 5432 failed: {text}')

    assert type(caught.value) is wanted
    assert caught.value.retry == (wanted is Upstream)
