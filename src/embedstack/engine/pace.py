"""Batches and the seconds that they took -> what the next one will take. Pure: no clock, no device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# all-MiniLM-L6-v2 on two cores of Zen 3: what a model is taken for until its own first batch is seen
TOKEN_S = 250e-6
RUN_TOKENS = 6.0  # a run costs as much as so many tokens before its first one
SQUARE_TOKENS = 1e-3  # tokens that one place of attention (items x longest x longest) costs
MEMORY = 0.97  # what an older batch counts after each newer one: some 30 count
PRIOR_WEIGHT = 0.05  # batches that the shape above counts for, and never less
FIRST_WEIGHT = 0.2  # a first run allocates and compiles
OUTLIER = 3.0  # times the prediction: a longer run counts as this long
LEAST_S = 1e-9

Three = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Costs:
    """A batch's seconds: run_s + token_s * tokens + square_s * squares, where squares are items * longest².

    Squares are the work of attention: a long text beside many short ones costs several times its tokens (one of 256
    with 7 of 10, 326 tokens, took 210 ms; 8 of 40, 320 tokens, 80 ms).
    """

    run_s: float
    token_s: float
    square_s: float

    def of(self, tokens: float, squares: float) -> float:
        """Seconds."""
        return self.run_s + self.token_s * tokens + self.square_s * squares


FREE = Costs(0.0, 0.0, 0.0)


class Pace:
    """How fast one model is: costs, none below 0, fitted to recent batches.

    Each batch's error counts relative to its size, so that small batches are predicted as well as large ones.
    """

    def __init__(self) -> None:
        self.costs = Costs(RUN_TOKENS * TOKEN_S, TOKEN_S, SQUARE_TOKENS * TOKEN_S)
        self._squares_per_token = 0.0
        self._forget()

    def _forget(self) -> None:
        self._seen = 0
        self._moments = [[0.0] * 3 for _ in range(3)]  # of the features of the batches seen, weighted
        self._targets = [0.0] * 3  # features times seconds, weighted
        self._prior_moments = self._prior_targets = (0.0, 0.0, 0.0)

    def predicted_s(self, tokens: int) -> float:
        """Seconds of a batch with the usual padding."""
        return self.costs.of(tokens, tokens * self._squares_per_token)

    def tokens_within(self, seconds: float) -> int:
        """Tokens of the largest batch that takes so long with the usual padding; at least 1."""
        each_s = self.costs.of(1, self._squares_per_token) - self.costs.run_s
        return max(1, int(min((seconds - self.costs.run_s) / each_s, 1e9)))

    def observe(self, tokens: int, squares: int, seconds: float) -> None:
        """Learn from a batch that was run."""
        features = (1.0, float(tokens), float(squares))
        seconds = max(seconds, LEAST_S)
        weight = 1 / (RUN_TOKENS + tokens + SQUARE_TOKENS * squares) ** 2
        if self._seen == 1 and seconds * OUTLIER < self.costs.of(tokens, squares):
            self._forget()  # a run is slow by accident and never fast
        if self._seen:
            self._add(features, min(seconds, OUTLIER * self.costs.of(tokens, squares)), weight)
            self._squares_per_token += (1 - MEMORY) * (squares / tokens - self._squares_per_token)
        else:
            self._begin(features, seconds, weight)
            self._add(features, seconds, FIRST_WEIGHT * weight)
            self._squares_per_token = squares / tokens
        self._seen += 1
        self._fit()

    def _begin(self, features: Three, seconds: float, weight: float) -> None:
        """Bring the prior to this device's scale, and let each of its costs weigh what it has to do with this batch."""
        scale = seconds / self.costs.of(features[1], features[2])
        run_s, token_s, square_s = (
            scale * cost for cost in (self.costs.run_s, self.costs.token_s, self.costs.square_s)
        )
        self.costs = Costs(run_s, token_s, square_s)
        first, second, third = (PRIOR_WEIGHT * weight * feature**2 for feature in features)
        self._prior_moments = (first, second, third)
        self._prior_targets = (first * run_s, second * token_s, third * square_s)

    def _add(self, features: Three, seconds: float, weight: float) -> None:
        for row, feature in enumerate(features):
            for column, other in enumerate(features):
                self._moments[row][column] = MEMORY * self._moments[row][column] + weight * feature * other
            self._targets[row] = MEMORY * self._targets[row] + weight * feature * seconds

    def _fit(self) -> None:
        """Least squares in which no cost is below 0: the most negative one is left out until none is."""
        kept = [0, 1, 2]
        while kept:
            moments = [
                [self._moments[row][column] + (self._prior_moments[row] if row == column else 0.0) for column in kept]
                for row in kept
            ]
            solved = solve(moments, [self._targets[row] + self._prior_targets[row] for row in kept])
            if not all(map(math.isfinite, solved)):
                return
            if min(solved) >= 0:
                costs = dict(zip(kept, solved, strict=True))
                self.costs = Costs(costs.get(0, 0.0), max(costs.get(1, 0.0), LEAST_S), costs.get(2, 0.0))
                return
            del kept[solved.index(min(solved))]


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """The solution of a small symmetric positive system, by elimination: NumPy takes ten times as long for 3 by 3.

    Rows need no exchange where the matrix is positive; a singular one gives numbers that are not finite.
    """
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for pivot, row in enumerate(rows):
        for other in rows[pivot + 1 :]:
            factor = other[pivot] / row[pivot] if row[pivot] else math.nan
            for column in range(pivot, len(row)):
                other[column] -= factor * row[column]
    solved = [0.0] * len(rows)
    for pivot in reversed(range(len(rows))):
        row = rows[pivot]
        known = sum(row[column] * solved[column] for column in range(pivot + 1, len(rows)))
        solved[pivot] = (row[-1] - known) / row[pivot] if row[pivot] else math.nan
    return solved
