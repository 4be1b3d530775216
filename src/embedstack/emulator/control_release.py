"""Two configurations of an endpoint -> what changed between them, and whether workers are replaced for it (pure)."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from embedstack.emulator.control_endpoint import Config
from embedstack.emulator.control_shapes import shown

PROMPT = frozenset({"name", "workers", "scaling", "timeout"})
"""What reaches an endpoint without new workers; the rest is a new release that they are replaced for."""


class Release(Struct, frozen=True, kw_only=True, rename="camel"):
    """One change of it."""

    id: str
    version: int
    created_at: str
    diff: list[dict[str, object]]
    source: Literal["MANUAL"] = "MANUAL"
    build_id: None = None
    created_by_user_id: None = None


def difference(before: Config, after: Config) -> list[dict[str, object]]:
    """Which fields changed, from what to what."""
    old, new = _flat(shown(before)), _flat(shown(after))
    fields = [field for field in {**old, **new} if old.get(field) != new.get(field)]
    return [{"field": field, "old": old.get(field), "new": new.get(field)} for field in fields]


def is_new_release(changes: Sequence[Mapping[str, object]]) -> bool:
    """Whether workers must be replaced for them."""
    return any(str(change["field"]).partition(".")[0] not in PROMPT for change in changes)


def _flat(page: Mapping[str, object]) -> dict[str, object]:
    """Fields of fields by their path, but an environment as a whole."""
    found: dict[str, object] = {}
    for key, value in page.items():
        if isinstance(value, dict) and key != "env":
            found |= {f"{key}.{inner}": one for inner, one in value.items()}
        else:
            found[key] = value
    return found
