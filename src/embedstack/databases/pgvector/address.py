"""A URL of PostgreSQL becomes what libpq connects with, and the same URL without secrets."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from embedstack.errors import ConfigError

URL = re.compile(
    r"postgres(?:ql)?://(?:(?P<user>[^@/?]*)@)?(?P<host>[^@/?]*)(?P<path>/[^@?]*)?(?:\?(?P<query>[^@]*))?", re.DOTALL
)
# of libpq's parameters
SECRETS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
BESIDE = "beside"  # a parameter of ours
FORM = "postgresql://user:password@host:5432/database"
# https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS
DEFAULTS = {
    "connect_timeout": "10",  # seconds, for each address of the host
    "application_name": "embedstack",
    "keepalives_idle": "30",  # seconds; a peer that is gone is noticed within a minute
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",  # milliseconds
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is."""

    url: str  # without secrets
    conninfo: str = field(repr=False)  # with them, as libpq takes it
    beside: str = ""  # the table whose rows new collections are about


def parse(url: str) -> Address:
    """The address behind a URL; nothing is connected.

    Args:
        url: as libpq takes it, and with `?beside=TABLE` where new collections stand beside a table of yours.
    Raises:
        ConfigError: it is none. No part of it that may be a secret is in the message.
    """
    found = URL.fullmatch(url)
    if found is None:
        raise ConfigError(
            f"this is no URL of PostgreSQL: write it as {FORM}, and @ : / ? # % inside of a name or a password "
            "as %40 %3A %2F %3F %23 %25"
        )
    user, *_ = (found["user"] or "").split(":")
    pairs = [pair for pair in (found["query"] or "").split("&") if pair]
    open_pairs = [pair for pair in pairs if _key(pair) not in SECRETS]
    beside = [unquote(pair.partition("=")[2]) for pair in pairs if _key(pair) == BESIDE]
    shown = f"postgresql://{user}{'@' if user else ''}{found['host']}{found['path'] or ''}"
    return Address(_with(shown, open_pairs), _conninfo(found, pairs, shown), beside[-1] if beside else "")


def _conninfo(found: "re.Match[str]", pairs: list[str], shown: str) -> str:
    user = f"{found['user']}@" if found["user"] else ""
    whole = _with(
        f"postgresql://{user}{found['host']}{found['path'] or ''}", [pair for pair in pairs if _key(pair) != BESIDE]
    )
    given = _read(whole)
    if given is None:
        raise ConfigError(
            f"libpq cannot read {shown} or one of the parameters behind its '?'; write it as {FORM}, with parameters "
            "of https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS"
        )
    return make_conninfo("", **{**DEFAULTS, **given, "client_encoding": "utf8"})


def _read(url: str) -> dict[str, str] | None:
    """None where libpq cannot: its own message quotes the part, which may be the password, and is left behind here."""
    try:
        return {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        return None


def _with(url: str, pairs: list[str]) -> str:
    return f"{url}?{'&'.join(pairs)}" if pairs else url


def _key(pair: str) -> str:
    return unquote(pair.partition("=")[0])
