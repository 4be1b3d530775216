"""What each caller has used since the start, for the most recent of them."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace

from embedstack.dialects.dialect import CallerTotals
from embedstack.types import Usage

MOST_CALLERS = 1000  # about 300 bytes each; without keys anybody can invent a new one


class UsageTotals:
    """Totals by caller, for one event loop. Who was not heard of for longest is forgotten.

    Args:
        most: callers that are remembered.
    """

    def __init__(self, most: int = MOST_CALLERS) -> None:
        self._most = most
        self._totals: OrderedDict[str, CallerTotals] = OrderedDict()

    def answered(self, caller: str, usage: Usage, *, images: int = 0, credits_cost: float = 0.0) -> None:
        """Add a request that got its answer.

        Args:
            images: how many of its items were pictures.
            credits_cost: what it costs by KripTik's price list.
        """
        so_far = self._of(caller)
        self._keep(
            caller,
            CallerTotals(
                requests=so_far.requests + 1,
                failures=so_far.failures,
                items=so_far.items + usage.items,
                tokens=so_far.tokens + usage.tokens,
                images=so_far.images + images,
                seconds=so_far.seconds + usage.run_s,
                credits_cost=so_far.credits_cost + credits_cost,
            ),
        )

    def failed(self, caller: str) -> None:
        """Add a request that got an error."""
        so_far = self._of(caller)
        self._keep(caller, replace(so_far, requests=so_far.requests + 1, failures=so_far.failures + 1))

    def snapshot(self) -> Mapping[str, CallerTotals]:
        """The totals as they are now, the most recent caller last."""
        return dict(self._totals)

    def seen_by(self, caller: str) -> Mapping[str, CallerTotals]:
        """What a caller may know without the admin key: only what is its own."""
        return {caller: self._totals[caller]} if caller in self._totals else {}

    def _of(self, caller: str) -> CallerTotals:
        return self._totals.get(caller) or CallerTotals()

    def _keep(self, caller: str, totals: CallerTotals) -> None:
        self._totals[caller] = totals
        self._totals.move_to_end(caller)
        if len(self._totals) > self._most:
            self._totals.popitem(last=False)


def total(usages: Sequence[Usage]) -> Usage:
    """What several cost together."""
    if len(usages) == 1:  # nearly always, and the sum takes as long as reading the body
        return usages[0]
    return Usage(*map(sum, zip(*map(astuple, usages), strict=True)))
