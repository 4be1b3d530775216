"""Which points are meant becomes Qdrant's filter."""

import math
from collections.abc import Iterator, Sequence

from qdrant_client import models

from embedstack.databases.database import Condition, Where
from embedstack.databases.qdrant.paths import path_of
from embedstack.errors import BadRequest

NOTHING = models.HasIdCondition(has_id=[])


def filter_of(where: Where | None) -> models.Filter | None:
    """None where every point is meant.

    Raises:
        BadRequest: a key that Qdrant has no path for, or a limit that is not a number.
    """
    if where is None or not (where.all or where.none):
        return None
    every: list[models.Condition] = [one for condition in where.all for one in _parts(condition)]
    none: list[models.Condition] = [_whole(condition) for condition in where.none]
    return models.Filter(must=every or None, must_not=none or None)


def _whole(condition: Condition) -> models.Condition:
    parts = [*_parts(condition)]
    return parts[0] if len(parts) == 1 else models.Filter(must=parts)


def _parts(condition: Condition) -> Iterator[models.Condition]:
    """All of which must hold."""
    path = path_of(condition.key)
    if condition.values is not None:
        yield _one_of(path, _within(condition, condition.values))
    elif condition.least is not None or condition.most is not None:
        yield models.FieldCondition(
            key=path, range=models.Range(gte=_limit(condition.least), lte=_limit(condition.most))
        )
    else:
        yield _is_there(path)


def _within(condition: Condition, values: Sequence[str | int | bool]) -> Sequence[str | int | bool]:
    """Those within the limits, so that one value of a list meets both: Qdrant would take one for each."""
    least, most = _limit(condition.least), _limit(condition.most)
    if least is None and most is None:
        return values
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    return [one for one in numbers if (least is None or one >= least) and (most is None or one <= most)]


def _limit(number: float | None) -> float | None:
    if number is not None and not math.isfinite(number):
        raise BadRequest(f"{number!r} is no limit of a payload's number; give one that is finite, or none")
    return None if number is None else float(number)


def _one_of(path: str, values: Sequence[str | int | bool]) -> models.Condition:
    """Qdrant takes texts or numbers together, and true and false each alone."""
    flags = [value for value in values if isinstance(value, bool)]
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    matches: list[models.Match] = [models.MatchValue(value=flag) for flag in flags]
    matches += [models.MatchAny(any=texts)] if texts else []
    matches += [models.MatchAny(any=numbers)] if numbers else []
    found: list[models.Condition] = [models.FieldCondition(key=path, match=match) for match in matches]
    if not found:
        return NOTHING
    return found[0] if len(found) == 1 else models.Filter(should=found)


def _is_there(path: str) -> models.Condition:
    """With any value, also with null; a list without one has none."""
    field = models.PayloadField(key=path)
    some = models.Filter(must_not=[models.IsEmptyCondition(is_empty=field)])
    return models.Filter(should=[some, models.IsNullCondition(is_null=field)])
