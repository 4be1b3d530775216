"""A filter in JSON becomes the engine's."""

from __future__ import annotations  # the stub of the engine has names that its module has not

import qdrant_edge as edge

from support.qdrant_facade.bodies import Condition, Key, Match, Range
from support.qdrant_facade.refused import Refused


def filter_of(given: Condition | None) -> edge.Filter | None:
    """None stays None."""
    if given is None:
        return None
    least = given.min_should
    return edge.Filter(
        must=_all(given.must),
        should=_all(given.should),
        must_not=_all(given.must_not),
        min_should=None if least is None else edge.MinShould(_all(least.conditions) or [], least.min_count),
    )


def _all(given: list[Condition] | Condition | None) -> list[edge.ConditionType] | None:
    if given is None:
        return None
    return [_condition(one) for one in ([given] if isinstance(given, Condition) else given)]


def _condition(given: Condition) -> edge.ConditionType:
    if given.key is not None:
        return _about_key(given.key, given)
    if given.has_id is not None:
        return edge.HasIdCondition(set(given.has_id))
    if given.has_vector is not None:
        return edge.HasVectorCondition(given.has_vector)
    if given.nested is not None:
        return edge.NestedCondition(given.nested.key, filter_of(given.nested.filter) or edge.Filter())
    if isinstance(given.is_empty, Key):
        return edge.IsEmptyCondition(given.is_empty.key)
    if isinstance(given.is_null, Key):
        return edge.IsNullCondition(given.is_null.key)
    return filter_of(given) or edge.Filter()


def _about_key(key: str, given: Condition) -> edge.FieldCondition:
    count = given.values_count
    return edge.FieldCondition(
        key,
        match=None if given.match is None else _match(given.match),
        range=None if given.range is None else _range(given.range),
        values_count=None if count is None else edge.ValuesCount(count.lt, count.gt, count.lte, count.gte),
        is_empty=given.is_empty if isinstance(given.is_empty, bool) else None,
        is_null=given.is_null if isinstance(given.is_null, bool) else None,
    )


def _match(given: Match) -> edge.MatchType:
    if given.any is not None:
        return edge.MatchAny(given.any)
    if given.except_ is not None:
        return edge.MatchExcept(given.except_)
    if given.value is None:
        raise Refused(400, "Format error in JSON body: data did not match any variant of untagged enum MatchInterface")
    return edge.MatchValue(_Bool(given.value) if isinstance(given.value, bool) else given.value)


class _Bool:
    """What the engine takes for True or False. Python's own it takes for 1 or 0, as it tries numbers first. NumPy's it
    knows by their name, and those of some versions of NumPy are numbers too; so this one has the name and is none.
    """

    def __init__(self, value: bool) -> None:
        self._value = value

    def __bool__(self) -> bool:
        return self._value


_Bool.__module__, _Bool.__name__ = "numpy", "bool_"


def _range(given: Range) -> edge.RangeType:
    bounds = given.gte, given.gt, given.lte, given.lt
    is_time = any(isinstance(bound, str) for bound in bounds)
    return (edge.RangeDateTime if is_time else edge.RangeFloat)(*bounds)
