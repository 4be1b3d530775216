"""What a candidate must keep: nouns, lists of them by name, and text of a command line -> one of them; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal, TypeAlias

from embedstack.errors import BadRequest
from embedstack.evals.measures import parse_measure

LEAST_SHARE, MOST_SHARE = 0.5, 2.0  # beyond are percents and losses that were written as shares


@dataclass(frozen=True, slots=True)
class Share:
    """The candidate's mean is at least so much of the baseline's."""

    measure: str  # by its own name, "ndcg@10"
    at_least: float  # of the baseline, from 0.5 to 2; above 1 the candidate must be better

    def __post_init__(self) -> None:
        if not LEAST_SHARE <= self.at_least <= MOST_SHARE:
            raise BadRequest(
                f"{self.measure} at {self.at_least:g} of the baseline's is not from 0.5 to 2; for 90 percent write "
                f"{self.measure}=0.90, for a loss of 0.02 {self.measure}=-0.02"
            )


@dataclass(frozen=True, slots=True)
class Margin:
    """The candidate's mean is less than so much below the baseline's."""

    measure: str
    loss: float  # from 0 to below 1

    def __post_init__(self) -> None:
        if not 0 <= self.loss < 1:
            raise BadRequest(
                f"a loss of {self.loss:g} of {self.measure} is not from 0 to below 1; give one such as 0.02"
            )


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A quantile of the candidate's latency is at most so long."""

    quantile: Literal["p50", "p99"]
    at_most_ms: float  # above 0

    def __post_init__(self) -> None:
        if not (self.at_most_ms > 0 and isfinite(self.at_most_ms)):
            raise BadRequest(f"{self.quantile} of at most {self.at_most_ms:g} ms is no limit; give one such as 100")


Limit: TypeAlias = Share | Margin | Ceiling

PRESETS: Final[Mapping[str, tuple[Limit, ...]]] = {
    "default": (Margin("ndcg@10", 0.02),),
    "d15": (
        Share("ndcg@10", 0.90),
        Share("mrr@10", 0.90),
        Share("recall@100", 0.95),
        Ceiling("p50", 100.0),
        Ceiling("p99", 500.0),
    ),
}
"""`d15` are the thresholds of a migration plan, which writes 0.90, 0.90 and 0.95 as if they were values of the
measures. As such they say little: on hard queries hardly any system has an nDCG of 0.90, and on easy ones it has one
after a bad loss, too. The plan's own source says "alert if below 90 % of baseline", so here they are shares of the
baseline on the same queries. The latencies are the plan's; its source has 50 and 200 ms.
"""


def parse_limit(text: str) -> Limit:
    """What a limit on the command line means.

    `ndcg@10=0.90` is a share of the baseline, `ndcg@10=-0.02` a loss that is allowed, `p99=500` or `p99=500ms` a
    latency. Measures may be spelled as `parse_measure` reads them.

    Raises:
        BadRequest: it is none of these, or out of range.
    """
    name, equals, number = (part.strip() for part in text.partition("="))
    if not equals:
        raise BadRequest(f"the limit {text!r} has no number; write for example ndcg@10=0.90, ndcg@10=-0.02 or p99=500")
    match name.lower():
        case "p50" | "p99" as quantile:
            return Ceiling(quantile, _number(number.lower().removesuffix("ms"), text))
        case _:
            measure, value = str(parse_measure(name)), _number(number, text)
            return Margin(measure, -value) if number.startswith("-") else Share(measure, value)


def _number(written: str, limit: str) -> float:
    try:
        number = float(written)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise BadRequest(f"{written!r} in the limit {limit!r} is no number; write for example ndcg@10=0.90 or p99=500")
    return number
