"""Keys: how they are written, who holds one, and that none is ever shown."""

import hashlib
import logging
from pathlib import Path

import pytest

from embedstack.errors import BadRequest, ConfigError, Forbidden, Unauthorized
from embedstack.server.keys import Keys, Refusals, challenge
from embedstack.settings import Settings

ALICE, BOB, ADMIN = "alice-secret-0123456789", "bob-secret-0123456789", "admin-secret-0123456789"
BOTH = f"alice:{ALICE}, bob:{BOB}"


def digest(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def keys(api_keys: str = BOTH, **changes: str) -> Keys:
    return Keys.of(Settings(api_keys=api_keys, **changes))


def bearer(key: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {key}".encode()}


# ------------------------------------------------------------------------------------------------ who calls


@pytest.mark.parametrize(
    "headers",
    [
        bearer(BOB),
        {b"authorization": f"bearer  {BOB} ".encode()},
        {b"x-api-key": BOB.encode()},
        {b"api-key": BOB.encode()},
        {b"authorization": b"Basic abc", b"x-api-key": BOB.encode()},
        {b"authorization": b"Bearer wrong", b"api-key": BOB.encode()},
    ],
)
def test_a_key_is_found_where_clients_put_it(headers):
    assert keys().caller(headers) == "bob"


def test_a_key_may_stand_as_its_digest():
    assert keys(f"alice:{digest(ALICE).upper().replace('SHA256', 'sha256')}").caller(bearer(ALICE)) == "alice"


def test_the_digest_itself_opens_nothing():
    with pytest.raises(Unauthorized):
        keys(f"alice:{digest(ALICE)}").caller(bearer(digest(ALICE)))


def test_without_keys_nobody_needs_one():
    assert keys("").caller({}) is None
    assert not keys("").are_set


@pytest.mark.parametrize("headers", [{}, {b"authorization": b"Bearer "}, {b"x-api-key": b""}])
def test_a_caller_without_a_key_is_told_where_to_put_one(headers):
    with pytest.raises(Unauthorized, match="none came; send it as Authorization: Bearer KEY, x-api-key or api-key"):
        keys().caller(headers)


@pytest.mark.parametrize("sent", ["wrong", ALICE[:-1], ALICE + "x", ALICE.upper(), "alice", f"alice:{ALICE}", "ü"])
def test_a_key_that_is_not_known_is_refused_and_not_shown(sent):
    with pytest.raises(Unauthorized, match="is not known here") as caught:
        keys().caller(bearer(sent))

    assert sent not in str(caught.value).replace("api-key", "")


def test_a_refusal_asks_for_a_key_as_http_wants_it():
    assert challenge(Unauthorized("")) == {"www-authenticate": "Bearer"}
    assert challenge(Forbidden("")) == {}


# ------------------------------------------------------------------------------------------------ the admin


def test_the_admin_key_is_let_through():
    keys(admin_key=ADMIN).admin(bearer(ADMIN))


def test_without_an_admin_key_nobody_is_and_the_setting_is_named():
    with pytest.raises(Forbidden, match="EMBEDSTACK_ADMIN_KEY"):
        keys().admin(bearer(ALICE))


@pytest.mark.parametrize(
    ("headers", "kind"), [({}, Unauthorized), (bearer("x"), Unauthorized), (bearer(BOB), Forbidden)]
)
def test_others_are_not_let_through(headers, kind):
    with pytest.raises(BadRequest) as caught:
        keys(admin_key=ADMIN).admin(headers)

    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("admin_key", "sent", "expected"), [(ADMIN, ADMIN, True), (ADMIN, BOB, False), ("", ADMIN, False), ("", "", False)]
)
def test_who_is_the_admin_can_be_asked(admin_key, sent, expected):
    assert keys(admin_key=admin_key).is_admin(bearer(sent)) is expected


def test_the_admin_may_also_call():
    assert keys(admin_key=ADMIN).caller(bearer(ADMIN)) == "admin"


def test_an_admin_key_alone_leaves_the_server_open_to_callers():
    assert keys("", admin_key=ADMIN).caller({}) is None


@pytest.mark.parametrize("api_keys", [f"alice:{ADMIN}", f"admin:{ALICE}", f"alice:{digest(ADMIN)}"])
def test_the_admin_shares_neither_key_nor_name(api_keys):
    with pytest.raises(ConfigError, match="part the two") as caught:
        keys(api_keys, admin_key=ADMIN)

    assert ADMIN not in str(caught.value)


# ------------------------------------------------------------------------------------------------ how they are written


@pytest.mark.parametrize(
    ("api_keys", "why"),
    [
        (ALICE, "entry 1 .* does not begin with a name"),
        (f":{ALICE}", "entry 1 .* does not begin with a name"),
        (f"alice:{ALICE},b b:{BOB}", "entry 2 .* does not begin with a name"),
        (f"{'a' * 65}:{ALICE}", "at most 64"),
        ("alice:", "empty key"),
        ("alice:with space-0123456789", "no header takes"),
        ("alice:ümlaut-0123456789", "no header takes"),
        ("alice:sha256:abc", "64 hex digits"),
        (f"alice:{ALICE},alice:{BOB}", "entry 2 .* stands there already"),
        (f"alice:{ALICE},bob:{ALICE}", "entry 2 .* stands there already"),
        (f"alice:{ALICE},bob:{digest(ALICE)}", "entry 2 .* stands there already"),
    ],
)
def test_an_entry_that_is_none_is_refused_by_its_place(api_keys, why):
    with pytest.raises(ConfigError, match=why) as caught:
        keys(api_keys)

    assert not any(secret in str(caught.value) for secret in (ALICE, BOB, "0123456789", "space"))


def test_a_key_may_hold_colons():
    assert keys("alice:a:b:c-0123456789012").caller(bearer("a:b:c-0123456789012")) == "alice"


def test_a_short_key_is_warned_of_by_its_place(caplog):
    with caplog.at_level(logging.WARNING, "embedstack.server"):
        keys("alice:hush")

    assert "event=short_key" in caplog.text
    assert "hush" not in caplog.text


def key_file(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "keys"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_file_holds_one_key_a_line(tmp_path):
    path = key_file(tmp_path, f"# the team\n\nalice:{ALICE}\n  carol:{digest('carol-secret')}\n")

    found = keys(f"bob:{BOB}", api_keys_file=path)
    assert [found.caller(bearer(key)) for key in (ALICE, BOB, "carol-secret")] == ["alice", "bob", "carol"]


def test_a_wrong_line_of_the_file_is_named_and_not_shown(tmp_path):
    with pytest.raises(ConfigError, match="line 2 of ") as caught:
        keys("", api_keys_file=key_file(tmp_path, f"alice:{ALICE}\n{BOB}\n"))

    assert BOB not in str(caught.value)


@pytest.mark.parametrize("name", ["absent", "folder"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()

    with pytest.raises(ConfigError, match="cannot be read"):
        keys("", api_keys_file=str(tmp_path / name))


@pytest.mark.parametrize("text", ["", "\n\n", "# no key yet\n"])
def test_a_file_without_a_key_does_not_open_the_server(tmp_path, text):
    with pytest.raises(ConfigError, match="holds no key"):
        keys(BOTH, api_keys_file=key_file(tmp_path, text))


@pytest.mark.parametrize("text", [" ", ",", " , "])
def test_a_variable_without_a_key_does_not_open_the_server(text):
    with pytest.raises(ConfigError, match="EMBEDSTACK_API_KEYS holds no key"):
        keys(text)


def test_metrics_cannot_be_guarded_where_there_is_no_key():
    with pytest.raises(ConfigError, match="open_metrics=false needs a key"):
        Keys.of(Settings(open_metrics=False))


def test_a_file_that_is_no_text_is_refused_without_its_bytes(tmp_path):
    path = tmp_path / "keys"
    path.write_bytes(b"alice:secret\xff")

    with pytest.raises(ConfigError) as caught:
        keys("", api_keys_file=str(path))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_file_that_everybody_may_read_is_warned_of(tmp_path, caplog, mode, warned):
    with caplog.at_level(logging.WARNING, "embedstack.server"):
        keys("", api_keys_file=key_file(tmp_path, f"alice:{ALICE}\n", mode))

    assert ("event=keys_file_open" in caplog.text) is warned
    assert ALICE not in caplog.text


def test_neither_keys_nor_digests_are_in_the_repr():
    shown = repr(keys(admin_key=ADMIN))

    assert not any(secret in shown for secret in (ALICE, BOB, ADMIN, "bytes", "\\x", digest(ALICE)))


# ------------------------------------------------------------------------------------------------ refusals in the log


def test_refused_callers_are_logged_once_a_second_with_how_many_were_left_out(caplog):
    times = iter([0.0, 0.2, 0.9, 1.0])
    refusals = Refusals(clock=lambda: next(times))
    with caplog.at_level(logging.WARNING, "embedstack.server"):
        for _ in range(4):
            refusals.note("10.0.0.7", "/v1/embeddings")

    assert [record.getMessage() for record in caplog.records] == [
        'event=unauthorized peer=10.0.0.7 path="/v1/embeddings" unsaid=0',
        'event=unauthorized peer=10.0.0.7 path="/v1/embeddings" unsaid=2',
    ]


def test_a_path_cannot_write_a_line_of_its_own(caplog):
    with caplog.at_level(logging.WARNING, "embedstack.server"):
        Refusals().note("", "/a\nevent=ready" + "x" * 1000)

    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 400
