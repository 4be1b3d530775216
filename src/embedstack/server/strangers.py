"""The address that is listened on and the settings become a line in the log where anybody on the network may call."""

from ipaddress import ip_address

from embedstack.server.logs import log, quoted, word
from embedstack.settings import KEY_SOURCES, Settings

ADVICE = (
    "without keys everybody who reaches this address may call; set EMBEDSTACK_API_KEYS, or keep it to this machine "
    "with --host 127.0.0.1"
)


def warn_of_strangers(settings: Settings, address: str, *, is_guarded: bool) -> None:
    """Say once that the server is open, where it is.

    Args:
        address: as the socket has it; names are resolved by then.
        is_guarded: whether a platform in front lets only holders of its own keys through.
    """
    if not (is_guarded or _has_keys(settings) or ip_address(address).is_loopback):
        log.warning("event=no_keys host=%s advice=%s", word(settings.host), quoted(ADVICE))


def _has_keys(settings: Settings) -> bool:
    """A source that is named holds a key, or the start has ended already; the admin's keeps no caller out."""
    return any(getattr(settings, source) for source in KEY_SOURCES)
