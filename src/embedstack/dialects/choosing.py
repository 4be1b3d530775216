"""Several routes at one path: which of them a body is for, and what clients of the others miss in its reply; pure."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import msgspec

from embedstack.dialects.dialect import AnyRoute, Page, Wire
from embedstack.dialects.places import Serving
from embedstack.dialects.wire import Misfit, OtherShape, dump
from embedstack.modelspec import ModelSpec
from embedstack.types import Answer

Find = Callable[[str], ModelSpec | None]


def chosen(
    servings: Sequence[Serving], raw: bytes, models: Sequence[ModelSpec], find: Find
) -> tuple[Serving, msgspec.Struct]:
    """The route that a body is for, and the body: the first that takes it and whose task its model has.

    One that would overlook a field which another route here knows comes after it. Behind a first route that refuses
    unknown fields nobody may overlook any. A field that a dialect's route knows and refuses, no later route of that
    dialect may overlook: a wrong value is no wish for another task.

    Raises:
        Misfit: none takes it. The reason is of one whose fields it has, the one that came furthest, else of the first.
    """
    first = _route(servings[0])
    if len(servings) == 1:
        return servings[0], first.read(raw)
    taking: list[tuple[Serving, msgspec.Struct]] = []
    misfits: list[Misfit] = []
    knowing: list[Misfit] = []  # of routes that know all fields of the body
    refused: set[tuple[str, str | None]] = set()  # the dialects of these, and the fields
    for serving in servings:
        try:
            body = _route(serving).read(raw)
        except OtherShape:
            continue  # it stands at a path with one that takes this shape, and has no reason of its own
        except Misfit as error:
            misfits.append(error)
            if not _overlooked(serving, raw):
                knowing.append(error)
                refused.add((serving.dialect.name, error.param))
            continue
        if not misfits and _is_strict(first) and _is_able(serving, body, models, find):
            return serving, body
        if not any((serving.dialect.name, name) in refused for name in _overlooked(serving, raw)):
            taking.append((serving, body))
    fitting = _ranked(taking, servings, raw, models, find)
    if fitting:
        return fitting[0]
    of_our_own_rules = (one for one in misfits if one.__cause__ is None)
    raise next(of_our_own_rules, None) or max(knowing, key=_depth, default=misfits[0])


def _depth(misfit: Misfit) -> int:
    """How far into the body it was read: the steps of the place that its message names."""
    place = re.search(r"at `\$([^`]*)`", misfit.message)
    return sum(step in ".[" for step in place[1]) if place else 0


def _ranked(
    taking: Sequence[tuple[Serving, msgspec.Struct]],
    servings: Sequence[Serving],
    raw: bytes,
    models: Sequence[ModelSpec],
    find: Find,
) -> list[tuple[Serving, msgspec.Struct]]:
    """Those that may answer, the best first."""
    known = frozenset().union(*(names_of(_route(one).body) for one in servings))
    is_strict = _is_strict(_route(servings[0]))

    def rank(one: tuple[Serving, msgspec.Struct]) -> tuple[bool, bool]:
        serving, body = one
        return bool(_overlooked(serving, raw) & known), not _is_able(serving, body, models, find)

    return sorted((one for one in taking if not (is_strict and _overlooked(one[0], raw))), key=rank)


def _overlooked(serving: Serving, raw: bytes) -> frozenset[str]:
    """The body's fields that the route does not know."""
    try:
        fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frozenset({"not an object"})
    return frozenset(fields) - names_of(_route(serving).body)


def _is_strict(route: AnyRoute) -> bool:
    return bool(route.body.__struct_config__.forbid_unknown_fields)


def _is_able(serving: Serving, body: msgspec.Struct, models: Sequence[ModelSpec], find: Find) -> bool:
    """Whether the model that the body names is of the route's task; if it names none, whether there is one."""
    task = _route(serving).task
    name = getattr(body, "model", None)
    named = find(name) if isinstance(name, str) and name else None
    return task is None or (named.task == task if named else any(spec.task == task for spec in models))


def _route(serving: Serving) -> AnyRoute:
    assert not isinstance(serving.what, Page)
    return serving.what


def widened(wire: Wire, winner: Serving, servings: Sequence[Serving], answer: Answer | None) -> Wire:
    """The reply with the top-level keys that clients of the other routes of its shape read beside its own."""
    extra: dict[str, object] = {}
    for other in alike(winner, servings):
        route = _route(other)
        if route.adds is not None:
            extra |= route.adds(answer)
    own = names_of(winner.what.reply)
    missing = {name: value for name, value in extra.items() if name not in own}
    if not missing or not wire.body.startswith(b"{"):
        return wire
    return Wire(wire.status, wire.body[:-1] + b"," + dump(missing)[1:], wire.headers, wire.media_type)


def alike(winner: Serving, servings: Sequence[Serving]) -> Iterable[Serving]:
    """The others of its shape."""
    shape = winner.what.shape
    return (one for one in servings if shape and one is not winner and one.what.shape == shape)


def names_of(kind: object) -> frozenset[str]:
    """The top-level keys of a struct; none of another type."""
    return _keys(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else frozenset()


@cache
def _keys(struct: type[msgspec.Struct]) -> frozenset[str]:
    """The top-level keys of a struct; msgspec takes 15 us to tell them."""
    return frozenset(field.encode_name for field in msgspec.structs.fields(struct))
