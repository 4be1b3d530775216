"""A request of any kind becomes requests that one body can hold, worded for a server that may know no roles; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import msgspec

from embedstack.dialects.dialect import AnyRoute
from embedstack.errors import BadRequest, TooLong, Unsupported
from embedstack.modelspec import Input, ModelSpec
from embedstack.types import Encode, Image, Item, Link, Pair, Score, Text, Tokens

EncodeItem: TypeAlias = Text | Tokens | Image | Link
ROLES = ("query", "document", "none")  # known to every model, with or without a prompt
NUMBER_BYTES = 24  # of one number and its comma, as Python writes a float64; base64 of a float32 has 5.4
UNKNOWN_WIDTH = 1024  # of vectors that were never seen: BGE-M3 and most large models
IMAGE_BYTES = 64  # beside an image in base64: quotes, and what a data URL begins with


def kind_of(request: Encode | Score) -> Input:
    """What its items are; one body holds one kind.

    Raises:
        Unsupported: both.
    """
    if not isinstance(request, Encode):
        return "text"
    seen = [isinstance(item, Image | Link) for item in request.items]
    if any(seen) and not all(seen):
        raise Unsupported(f"item {seen.index(False)} is a text among images; send texts and images in two requests")
    return "image" if any(seen) else "text"


def in_one(numbers: Sequence[list[int]], request: Encode | Score) -> None:
    """Refuse to divide what is only right as a whole.

    Raises:
        Unsupported: names the limit.
    """
    if len(numbers) > 1 and isinstance(request, Encode) and request.late_chunking:
        raise Unsupported(
            f"late chunking reads all parts together, and one call takes {len(numbers[0])} of one role; "
            f"send {len(request.items)} parts as fewer"
        )


def plain(request: Encode | Score, spec: ModelSpec, route: AnyRoute) -> Encode | Score:
    """The same request with less to carry, as far as the spec shows that nothing changes.

    A role whose prompt is that of the role which a body means anyway need not be said, nor the model's own width; what
    the model's own rule is must be said, where the dialect's default may be another.
    """
    if isinstance(request, Score):
        return replace(request, raw_scores=request.raw_scores or spec.score_activation == "identity")
    return replace(
        request,
        items=tuple(_plain_role(item, spec, route.unsaid_role) for item in request.items),
        dim=None if request.dim == spec.dim else request.dim,
        normalize=spec.is_unit(request.normalize, request.dim) if "normalize" in route.carries else request.normalize,
    )


def _plain_role(item: EncodeItem, spec: ModelSpec, unsaid: str) -> EncodeItem:
    if not isinstance(item, Text) or not (item.role in ROLES or item.role in spec.prompts):
        return item
    same = spec.prompts.get(item.role, "") == spec.prompts.get(unsaid, "")
    return Text(item.text, unsaid) if same else item


def prompted(request: Encode, spec: ModelSpec, route: AnyRoute) -> Encode:
    """The same request with the prompts in front of the texts and no roles, for servers that know none."""
    items = (
        Text(_prompt(item.role, spec) + item.text, route.unsaid_role) if isinstance(item, Text) else item
        for item in request.items
    )
    return replace(request, items=tuple(items))


def _prompt(role: str, spec: ModelSpec) -> str:
    if role not in ROLES and role not in spec.prompts:
        known = ", ".join(sorted({*ROLES, *spec.prompts}))
        raise BadRequest(f"model {spec.name!r} has no role {role!r}; use one of: {known}")
    return spec.prompts.get(role, "")


def prompt_relied_on(request: Encode, spec: ModelSpec | None) -> str:
    """The role whose prompt a server must have put in front, empty where none was needed."""
    roles = {item.role for item in request.items if isinstance(item, Text)}
    if spec is None:
        return next(iter(roles - {"document", "none"}), "")
    return next((role for role in roles if spec.prompts.get(role, "") or role not in ROLES), "")


def parts(items: Sequence[Item], max_items: int, max_bytes: int | None = None) -> Iterator[list[int]]:
    """The numbers of the items that go together: of one role or one query, at most so many, in order.

    Args:
        max_bytes: that the items may take in one body; None where nobody says.
    Raises:
        TooLong: one alone takes more.
    """
    groups: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        groups.setdefault(_group(item), []).append(number)
    for numbers in groups.values():
        if max_bytes is None:
            yield from (numbers[start : start + max_items] for start in range(0, len(numbers), max_items))
        else:
            yield from _that_fit(items, numbers, max_items, max_bytes)


def _that_fit(items: Sequence[Item], numbers: list[int], max_items: int, max_bytes: int) -> Iterator[list[int]]:
    """One group, cut where a body is full."""
    beside = json_bytes(_group(items[numbers[0]]))
    few: list[int] = []
    size = beside
    for number in numbers:
        own = _item_bytes(items[number])
        if beside + own > max_bytes:
            raise TooLong(
                f"item {number} takes {own} bytes as JSON, and one body holds {max_bytes}; shorten or split it"
            )
        if few and (len(few) == max_items or size + own > max_bytes):
            yield few
            few, size = [], beside
        few.append(number)
        size += own
    yield few


def rows_that_fit(max_bytes: int, width: int) -> int:
    """How many vectors a reply of so many bytes holds, at least one."""
    return max(1, max_bytes // (NUMBER_BYTES * (width or UNKNOWN_WIDTH)))


def _item_bytes(item: Item) -> int:
    """As JSON, with the comma behind it."""
    match item:
        case Text():
            return json_bytes(item.text) + 1
        case Pair():
            return json_bytes(item.document) + 1
        case Image():
            return (len(item.data) + 2) // 3 * 4 + IMAGE_BYTES
        case Link():
            return json_bytes(item.url) + 1
        case Tokens():
            return sum(len(str(one)) + 1 for one in item.ids) + 3


def json_bytes(text: str) -> int:
    """As a JSON string, with its quotes."""
    try:
        return len(msgspec.json.encode(text))
    except UnicodeEncodeError:  # a lone surrogate, which is refused where the body is made
        return 6 * len(text) + 2


def _group(item: Item) -> str:
    match item:
        case Text():
            return item.role
        case Pair():
            return item.query
        case _:
            return ""
