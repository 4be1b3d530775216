"""What the routes of Cohere's API share: ids, the meta object of a reply, truncation words."""

from collections.abc import Mapping
from typing import Literal
from uuid import uuid4

import msgspec

from embedstack.dialects.dialect import Limits
from embedstack.modelspec import Truncate
from embedstack.types import Usage

Version = Literal["1", "2"]
Cut = Literal["NONE", "START", "END"]
CUTS: dict[Cut, Truncate] = {"NONE": "refuse", "START": "left", "END": "right"}


class ApiVersion(msgspec.Struct, forbid_unknown_fields=True):
    """Of which API the route is."""

    version: Version


class BilledUnits(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What the original would count for its bill; its clients add these up."""

    input_tokens: int | msgspec.UnsetType = msgspec.UNSET
    images: int | msgspec.UnsetType = msgspec.UNSET
    search_units: int | msgspec.UnsetType = msgspec.UNSET


class Meta(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """About the reply."""

    api_version: ApiVersion
    billed_units: BilledUnits
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET  # only where something was cut


def meta(version: Version, units: Mapping[str, int], usage: Usage) -> dict[str, object]:
    """The object, as plain data; cuts are told in it."""
    about: dict[str, object] = {"api_version": {"version": version}, "billed_units": units}
    if usage.truncated:
        cut = f"{usage.truncated} of {usage.items} items were over the limit and lost {usage.dropped} tokens in all"
        about["warnings"] = [cut]
    return about


def new_id() -> str:
    """What makes a reply unlike any other."""
    return str(uuid4())


def truncate(cut: Cut | None, limits: Limits) -> Truncate:
    """Which end is cut; the server's setting where the body does not say."""
    return limits.truncate if cut is None else CUTS[cut]


def cut_of(truncate: Truncate) -> Cut:
    """What a client says for it."""
    return next(word for word, meant in CUTS.items() if meant == truncate)
