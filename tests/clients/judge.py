"""What a client saw against what the library gives for the same texts: a reason why not, or nothing.

The words of `expects` in environments.toml:

    vectors of texts             rows of cosine above 0.999999 with the library's, in their order
    int8 of texts, binary ...    the same rows in that type
    ranking of documents         pairs of place and score, the best first; `ranking of 2 documents`: only those
    labels of sentence           pairs of label and score, the best first; `first label`: only that one
    cosines of texts             of the first with each other one
    tokens of texts              how many the model read
    says WORDS                   this, or a text that holds it
    raises KIND: WORDS           the client's own exception, with a text that holds the words; of KIND or KIND
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLOSE = 0.999999
NEAR = 1e-5  # of scores that travel as text with six to nine digits
ROUGH = 0.995  # the cosine of a vector with itself in 8 bits


@dataclass(frozen=True)
class Truth:
    """What the library gives in this process."""

    vectors: Mapping[str, NDArray[np.float32]]  # by the name of a case
    tokens: Mapping[str, int]
    scores: Sequence[float]
    labels: Sequence[tuple[str, float]]  # the best first


def fault(wanted: str, seen: Mapping[str, object] | None, truth: Truth) -> str:
    """Why what was seen is not what was wanted; empty if it is."""
    if seen is None:
        return "the program said nothing"
    how, _, what = wanted.partition(" ")
    if how == "raises":
        return _raised(what, seen)
    if "error" in seen:
        return f"raised {seen['error'][0]}: {seen['message']}"  # type: ignore[index]
    try:
        return _compared(how, what.removeprefix("of "), seen["value"], truth)
    except (TypeError, ValueError, IndexError, KeyError) as error:
        return f"cannot be read: {type(error).__name__}: {error}"


def _raised(wanted: str, seen: Mapping[str, object]) -> str:
    kinds, _, words = wanted.partition(": ")
    if "error" not in seen:
        return f"raised nothing, gave {str(seen['value'])[:200]}"
    raised, message = list(seen["error"]), str(seen["message"])  # type: ignore[call-overload]
    if not any(kind in raised for kind in kinds.split(" or ")):
        return f"raised {raised[0]}: {message}"
    return "" if words in message else f"the message does not say {words!r}: {message}"


def _compared(how: str, what: str, value: object, truth: Truth) -> str:
    match how:
        case "vectors":
            return _as_close(np.asarray(value, np.float64), truth.vectors[what], CLOSE)
        case "int8":
            return _as_close(_whole(value, -128, 127), truth.vectors[what], ROUGH)
        case "uint8":
            return _as_close(_whole(value, 0, 255) - 127.5, truth.vectors[what], ROUGH)
        case "ubinary":
            return _same_bits(_whole(value, 0, 255), truth.vectors[what])
        case "binary":
            return _same_bits(_whole(value, -128, 127) + 128, truth.vectors[what])
        case "ranking":
            return _ranked([(int(place), float(score)) for place, score in value], what, truth.scores)  # type: ignore[attr-defined]
        case "labels":
            return _labelled([(str(name), float(score)) for name, score in value], truth.labels)  # type: ignore[attr-defined]
        case "first":
            return _labelled([(str(name), float(score)) for name, score in value], truth.labels[:1])  # type: ignore[attr-defined]
        case "cosines":
            rows = truth.vectors[what]
            return _near(np.asarray(value, np.float64), rows[1:] @ rows[0])
        case "tokens":
            return "" if value == truth.tokens[what] else f"{value} tokens, not {truth.tokens[what]}"
        case "says":
            return "" if what in str(value) else f"said {str(value)[:200]!r}"
    raise ValueError(f"{how!r} is no word of environments.toml")


def _whole(value: object, least: int, most: int) -> NDArray[np.float64]:
    rows = np.asarray(value)
    if not np.issubdtype(rows.dtype, np.integer) or rows.min() < least or rows.max() > most:
        raise ValueError(f"not whole numbers from {least} to {most}")
    return rows.astype(np.float64)


def _as_close(rows: NDArray[np.float64], wanted: NDArray[np.float32], limit: float) -> str:
    if rows.shape != wanted.shape:
        return f"of shape {rows.shape}, not {wanted.shape}"
    cosines = (rows * wanted).sum(1) / (np.linalg.norm(rows, axis=1) * np.linalg.norm(wanted, axis=1))
    worst = int(np.argmin(np.nan_to_num(cosines)))
    return "" if cosines[worst] > limit else f"row {worst} has cosine {cosines[worst]:.7f} with the library's"


def _same_bits(rows: NDArray[np.float64], wanted: NDArray[np.float32]) -> str:
    right = np.packbits(wanted > 0, axis=1)
    return "" if np.array_equal(rows, right) else f"{int((rows != right).sum())} bytes differ"


def _near(values: NDArray[np.float64], wanted: object) -> str:
    right = np.asarray(wanted, np.float64)
    if values.shape != right.shape:
        return f"of shape {values.shape}, not {right.shape}"
    away = float(np.abs(values - right).max())
    return "" if away < NEAR else f"off by {away:.2g}"


def _ranked(found: list[tuple[int, float]], what: str, scores: Sequence[float]) -> str:
    best = sorted(range(len(scores)), key=lambda place: -scores[place])
    best = best[: int(what.split()[0])] if what[0].isdigit() else best
    if [place for place, _ in found] != best:
        return f"in the order {[place for place, _ in found]}, not {best}"
    return _near(np.array([score for _, score in found]), [scores[place] for place in best])


def _labelled(found: list[tuple[str, float]], labels: Sequence[tuple[str, float]]) -> str:
    if [name for name, _ in found] != [name for name, _ in labels]:
        return f"labels {[name for name, _ in found]}, not {[name for name, _ in labels]}"
    return _near(np.array([score for _, score in found]), [score for _, score in labels])
