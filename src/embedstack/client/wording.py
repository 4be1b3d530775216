"""A request of any kind becomes requests that one body can hold, worded for a server that may know no roles; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from embedstack.dialects.dialect import AnyRoute
from embedstack.errors import BadRequest, Unsupported
from embedstack.modelspec import Input, ModelSpec
from embedstack.types import Encode, Image, Item, Link, Pair, Score, Text, Tokens

EncodeItem: TypeAlias = Text | Tokens | Image | Link
ROLES = ("query", "document", "none")  # known to every model, with or without a prompt


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


def parts(items: Sequence[Item], max_items: int) -> Iterator[list[int]]:
    """The numbers of the items that go together: of one role or one query, at most so many, in order."""
    groups: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        groups.setdefault(_group(item), []).append(number)
    for numbers in groups.values():
        yield from (numbers[start : start + max_items] for start in range(0, len(numbers), max_items))


def _group(item: Item) -> str:
    match item:
        case Text():
            return item.role
        case Pair():
            return item.query
        case _:
            return ""
