"""A sparse vector as JSON or a table has it -> terms that rise, with their weights. Pure."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from embedstack.errors import BadRequest
from embedstack.types import Sparse

MOST_TERM = 2**31 - 1
SHAPES = '{"17": 0.5, ...}, {"indices": [17, ...], "values": [0.5, ...]} or [{"id": 17, "weight": 0.5}, ...]'


def sparse_of(cell: object) -> Sparse:
    """One of the three shapes in which such vectors are written; also a table's map.

    Raises:
        BadRequest: it is none of them, a term comes twice or is out of range, or a weight is no finite number.
    """
    terms, weights = _split(cell)
    if not all(isinstance(term, int) and not isinstance(term, bool) and 0 <= term <= MOST_TERM for term in terms):
        raise BadRequest(
            f"a sparse vector has a term that is not a whole number from 0 to {MOST_TERM}; give each as {SHAPES}"
        )
    if not {type(weight) for weight in weights} <= {int, float}:
        raise BadRequest(f"a sparse vector has a weight that is no number; give each as {SHAPES}")
    if len(set(terms)) != len(terms):
        raise BadRequest("a sparse vector has a term twice; give each once")
    ids = np.array(terms, np.int32)
    order = np.argsort(ids)
    return Sparse(ids[order], _numbers(weights)[order])


def _split(cell: object) -> tuple[Sequence[int], Sequence[object]]:
    match cell:
        case {"indices": list() as terms, "values": list() as weights, **others} if not others:
            if len(terms) != len(weights):
                raise BadRequest(
                    f"a sparse vector has {len(terms)} terms and {len(weights)} weights; give one for each"
                )
            return terms, weights
        case Mapping():
            return [_term(key) for key in cell], list(cell.values())
        case list():
            pairs = [_pair(one) for one in cell]
            return [term for term, _ in pairs], [weight for _, weight in pairs]
    raise BadRequest(f"a sparse vector is {type(cell).__name__}; give each as {SHAPES}")


def _pair(one: object) -> tuple[int, object]:
    match one:
        case {"id": int() as term, "weight": weight, **others} if not others:
            return term, weight
        case (int() as term, weight):
            return term, weight
    raise BadRequest(f"a sparse vector has an element that is no term with its weight; give each as {SHAPES}")


def _term(key: object) -> int:
    """JSON's keys are texts."""
    if isinstance(key, int):
        return key
    if isinstance(key, str) and len(key) <= len(str(MOST_TERM)) and key.isascii() and key.isdecimal():
        return int(key)
    raise BadRequest(
        f"a sparse vector has a term that is not a whole number from 0 to {MOST_TERM}; give each as {SHAPES}"
    )


def _numbers(weights: Iterable[object]) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    try:
        with np.errstate(over="ignore"):
            made = np.array(list(weights), np.float32)
    except OverflowError:
        made = np.array([np.inf], np.float32)
    if not np.isfinite(made).all():
        raise BadRequest("a sparse vector has a weight that is not finite; look at what made it")
    return made
