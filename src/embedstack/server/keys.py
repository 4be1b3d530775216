"""The keys that the settings name; the headers of a request become the name of its caller, or a refusal."""

import hashlib
import hmac
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from embedstack.dialects.wire import shortened
from embedstack.errors import ConfigError, EmbedstackError, Forbidden, Unauthorized
from embedstack.server.logs import log, quoted, word
from embedstack.settings import Settings

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
KEY = re.compile(r"[!-~]+")  # what a header can carry
HASHED = "sha256:"
DIGEST = re.compile(r"[0-9a-fA-F]{64}")
SHORT_CHARS = 16  # below it a key may be guessed: 62**16 is about 2**95
ADMIN = "admin"
ADMIN_VARIABLE = "EMBEDSTACK_ADMIN_KEY"
KEYS_VARIABLE = "EMBEDSTACK_API_KEYS"
HOW = "send it as Authorization: Bearer KEY, x-api-key or api-key"
BEARER = re.compile(rb"bearer +", re.IGNORECASE)
QUIET_S = 1.0  # between two lines on refused callers, so that nobody fills the log

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Keys:
    """Who may call. A key is kept as its digest only."""

    callers: Mapping[str, bytes] = field(default_factory=dict, repr=False)  # name -> sha256
    admin_digest: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "Keys":
        """The keys of the settings and of the file that they name.

        Raises:
            ConfigError: an entry that is none, a name or a key twice, a source without a key, metrics that are to be
                guarded where no key is; the message holds no key.
        """
        callers: dict[str, bytes] = {}
        for place, entry in _entries(settings):
            name, digest = _read(place, entry)
            if name in callers or digest in callers.values():
                raise ConfigError(f"{place} has a name or a key that stands there already; give each caller its own")
            callers[name] = digest
        admin = _digest(ADMIN_VARIABLE, settings.admin_key.strip()) if settings.admin_key.strip() else None
        if admin is not None and (ADMIN in callers or admin in callers.values()):
            raise ConfigError(f"{ADMIN_VARIABLE} is also a caller's key, or a caller is named {ADMIN!r}; part the two")
        if not (settings.open_metrics or callers or admin):
            raise ConfigError(
                f"open_metrics=false needs a key that opens them; set {KEYS_VARIABLE} or {ADMIN_VARIABLE}"
            )
        return cls(callers, admin)

    @property
    def are_set(self) -> bool:
        """Whether callers need one."""
        return bool(self.callers)

    def caller(self, headers: Headers) -> str | None:
        """The name of the key that came, None where nobody needs one.

        Raises:
            Unauthorized: no key came, or one that is not known.
        """
        if not self.callers:
            return None
        name = self._known(headers)
        if name is None:
            raise _unauthorized(headers)
        return name

    def admin(self, headers: Headers) -> None:
        """Let only the holder of the admin key through.

        Raises:
            Forbidden: there is no such key, or a caller's came. Unauthorized: none came, or one that is not known.
        """
        if self.admin_digest is None:
            raise Forbidden(f"nobody may do this here; set {ADMIN_VARIABLE} and send that key")
        name = self._known(headers)
        if name is None:
            raise _unauthorized(headers)
        if name != ADMIN:
            raise Forbidden(f"the key of {name!r} may not do this; send the admin key")

    def is_caller(self, headers: Headers) -> bool:
        """Whether a key came that opens the routes, or nobody needs one."""
        return not self.callers or self._known(headers) is not None

    def is_admin(self, headers: Headers) -> bool:
        """Whether the admin key came."""
        return self.admin_digest is not None and self._known(headers) == ADMIN

    def _known(self, headers: Headers) -> str | None:
        """Whose key it is. All are compared with all, so that the time tells nothing."""
        known = {**self.callers, **({ADMIN: self.admin_digest} if self.admin_digest else {})}
        found = None
        for given in _given(headers):
            digest = hashlib.sha256(given).digest()
            for name, wanted in known.items():
                if hmac.compare_digest(digest, wanted):
                    found = name
        return found


def _given(headers: Headers) -> Iterator[bytes]:
    """The keys that came, wherever a client puts them."""
    bearer = BEARER.match(authorization := headers.get(b"authorization", b""))
    candidates = (
        authorization[bearer.end() :] if bearer else b"",
        headers.get(b"x-api-key", b""),
        headers.get(b"api-key", b""),
    )
    return (given.strip() for given in candidates if given.strip())


def _unauthorized(headers: Headers) -> Unauthorized:
    what = "the key that came is not known here" if any(_given(headers)) else "a key is needed here and none came"
    return Unauthorized(f"{what}; {HOW}")


# ------------------------------------------------------------------------------------------------ reading


def _entries(settings: Settings) -> Iterator[tuple[str, str]]:
    """Where each stands, and its text.

    Raises:
        ConfigError: a source that is named holds none. A template that came out empty must not open the server.
    """
    if settings.api_keys:
        entries = enumerate(settings.api_keys.split(","), 1)
        written = [(f"entry {number} of {KEYS_VARIABLE}", entry.strip()) for number, entry in entries]
        yield from _some(written, KEYS_VARIABLE)
    if settings.api_keys_file:
        path = Path(settings.api_keys_file).expanduser()
        lines = [(f"line {number} of {str(path)!r}", line.strip()) for number, line in enumerate(_lines(path), 1)]
        yield from _some([one for one in lines if not one[1].startswith("#")], f"the file of keys {str(path)!r}")


def _some(written: Sequence[tuple[str, str]], source: str) -> Sequence[tuple[str, str]]:
    """Those that are not empty."""
    found = [(place, entry) for place, entry in written if entry]
    if not found:
        raise ConfigError(f"{source} holds no key; write one, or remove it if everybody may call")
    return found


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
        is_open = bool(path.stat().st_mode & stat.S_IROTH)
    except (OSError, UnicodeDecodeError) as error:
        why = type(error).__name__  # the message of a decoding error holds the bytes
        raise ConfigError(f"the file of keys {str(path)!r} cannot be read ({why}); check --api-keys-file") from error
    if is_open:
        log.warning("event=keys_file_open path=%s advice=%s", quoted(str(path)), quoted("chmod 600"))
    return text.splitlines()


def _read(place: str, entry: str) -> tuple[str, bytes]:
    name, colon, key = entry.partition(":")
    if not colon or not NAME.fullmatch(name.strip()):
        raise ConfigError(
            f"{place} does not begin with a name of at most 64 letters, digits, dots or dashes and a colon; "
            "write name:key or name:sha256:digest"
        )
    return name.strip(), _digest(place, key.strip())


def _digest(place: str, key: str) -> bytes:
    """The digest of a key, or the one that is given in its place."""
    if key.startswith(HASHED):
        if not DIGEST.fullmatch(key.removeprefix(HASHED)):
            raise ConfigError(
                f"{place} has no digest of 64 hex digits after {HASHED!r}; write one: sha256sum of the key"
            )
        return bytes.fromhex(key.removeprefix(HASHED))
    if not KEY.fullmatch(key):
        raise ConfigError(f"{place} has an empty key, or one with a character that no header takes; write another")
    if len(key) < SHORT_CHARS:
        log.warning(
            "event=short_key where=%s advice=%s", quoted(place), quoted(f"use {SHORT_CHARS} characters or more")
        )
    return hashlib.sha256(key.encode("ascii")).digest()


# ------------------------------------------------------------------------------------------------ refusals


def challenge(error: EmbedstackError) -> dict[str, str]:
    """The header that a reply to a caller without a key must have (RFC 9110, section 11.6.1)."""
    return {"www-authenticate": "Bearer"} if isinstance(error, Unauthorized) else {}


class Refusals:
    """Writes who was refused, one line a second at most.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0
        self._unsaid = 0

    def note(self, peer: str, path: str) -> None:
        """One more."""
        now = self._clock()
        if now < self._next:
            self._unsaid += 1
            return
        more, self._unsaid, self._next = self._unsaid, 0, now + QUIET_S
        peer = word(peer) if peer else "unknown"
        log.warning("event=unauthorized peer=%s path=%s unsaid=%d", peer, quoted(shortened(path)), more)
