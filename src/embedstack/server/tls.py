"""The certificate and the key that the settings name, checked before the server listens."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from embedstack.errors import ConfigError
from embedstack.settings import Settings


@dataclass(frozen=True, slots=True)
class Tls:
    """Files that fit together."""

    cert: Path
    key: Path


def tls_of(settings: Settings) -> Tls | None:
    """The two files, None where the server speaks plain HTTP.

    Raises:
        ConfigError: one of the two is missing, cannot be read, or they do not belong together.
    """
    if not settings.tls_cert and not settings.tls_key:
        return None
    if not settings.tls_cert or not settings.tls_key:
        given, missing = ("tls_cert", "tls_key") if settings.tls_cert else ("tls_key", "tls_cert")
        raise ConfigError(f"{given} is set and {missing} is not; HTTPS needs both")
    tls = Tls(Path(settings.tls_cert).expanduser(), Path(settings.tls_key).expanduser())
    _must_be_there(tls.cert, "tls_cert")
    _must_be_there(tls.key, "tls_key")
    _must_fit(tls)
    return tls


def _must_be_there(path: Path, name: str) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigError(f"{name}={str(path)!r} cannot be read ({error.strerror}); check the path") from error


def _must_fit(tls: Tls) -> None:
    """Load both as the server will. A password is not asked for: nobody may sit at the terminal."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, _no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "one of them cannot be read"
        raise ConfigError(
            f"the certificate {str(tls.cert)!r} and the key {str(tls.key)!r} cannot be used together ({reason}); "
            "both must be PEM, belong together, and the key must have no password"
        ) from error


def _no_password() -> str:
    return ""
