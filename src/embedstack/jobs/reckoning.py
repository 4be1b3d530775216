"""What was measured of a job -> ranges that hold its tokens, chunks, bytes, hours and dollars 19 times in 20. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embedstack.jobs.assuming import assumptions
from embedstack.jobs.calibrating import Calibration
from embedstack.jobs.estimated import Estimate, Measured, Range
from embedstack.jobs.plan import Plan
from embedstack.jobs.surveying import resampled, totals
from embedstack.jobs.weighing import Weighed, vector_bytes, vector_share

START_S = 1.5  # of two processes, the one that watches and the one that works, until a model can be opened
TIMES = 1000  # that the sample is drawn again, and the device's speed too
LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
DRIFT = 0.10  # of a device's speed over hours; rounds minutes apart lay within 0.07: bench/results/serving.md
PACKED = 0.05  # parts of other documents may be so much smaller or larger than the weighed ones, their vectors left out
HIDDEN = 0.5  # of the first shard's cutting and the last part's writing at most, and as much more at worst
FURTHEST = 6.0  # of a Student's t that is drawn, in deviations: of few rounds it would now and then be a thousand

Numbers = NDArray[np.float64]


def reckon(
    plan: Plan, measured: Measured, *, price_per_hour: float | None = None, for_bytes: int | None = None, seed: int = 0
) -> Estimate:
    """What was measured becomes ranges.

    The sample is drawn again a thousand times, and each time a speed of the device, by how its rounds differed; the
    middle 95 % of the results are the range. A job takes as long as the slower of its two halves: the device, or the
    thread that reads and cuts. The range is then widened by what no sample here can show: `DRIFT`, `PACKED`.

    Args:
        for_bytes: of another input like the plan's; the one that was sampled is then itself a sample.
    """
    factor = 1.0 if for_bytes is None else for_bytes / plan.bytes
    one = totals(measured.survey)
    again = resampled(measured.survey, TIMES, as_drawn=factor == 1.0, seed=seed) * factor
    hours = _hours(plan, measured, np.array([one.tokens, one.host_s]) * factor, again[:, [0, 3, 5]], seed)
    share = measured.calibration.read_share if plan.wish.late_chunking else 1.0
    told = assumptions(plan, measured, price_per_hour=price_per_hour, for_bytes=for_bytes, drift=DRIFT)
    return Estimate(
        bytes=for_bytes or plan.bytes,
        docs=round(plan.docs * factor),
        tokens=_range(again[:, 0], one.tokens * factor).times(share),
        chunks=_range(again[:, 1], one.chunks * factor),
        output_bytes=_output(plan, measured.parts, np.array([one.chunks, one.row_bytes]) * factor, again, factor, seed),
        hours=hours,
        dollars=None if price_per_hour is None else hours.times(price_per_hour),
        tokens_per_s=measured.calibration.speed * share,
        sampled_docs=len(measured.survey.looked),
        level=LEVEL,
        assumptions=told,
        start_s=START_S + measured.open_s,
    )


# ------------------------------------------------------------------------------------------------ hours


def _hours(plan: Plan, measured: Measured, likely_of: Numbers, again: Numbers, seed: int) -> Range:
    """Args:
    likely_of: tokens, and seconds to read and cut them.
    again: (times, 3): tokens, seconds to cut, seconds to read.
    """
    fixed_s, edges_s = START_S + measured.open_s, _edges_s(plan, measured)
    likely = fixed_s + edges_s + max(float(likely_of[0]) / measured.calibration.speed, float(likely_of[1]))
    work_s = np.maximum(again[:, 0] / _speeds(measured.calibration, seed), again[:, 1] + again[:, 2])
    low = (np.quantile(work_s, TAIL) + fixed_s) / (1 + DRIFT) + edges_s * (1 - HIDDEN)
    high = (np.quantile(work_s, 1 - TAIL) + fixed_s) * (1 + DRIFT) + edges_s * (1 + HIDDEN)
    return Range(min(float(low), likely), likely, max(float(high), likely)).times(1 / 3600)


def _speeds(calibration: Calibration, seed: int) -> Numbers:
    """(times,): Student's t over the logarithms of the rounds' rates."""
    logs = np.log(calibration.rates)
    error = logs.std(ddof=1) / np.sqrt(len(logs))
    drawn = np.random.default_rng(seed + 1).standard_t(len(logs) - 1, TIMES)
    return np.asarray(calibration.speed * np.exp(error * np.clip(drawn, -FURTHEST, FURTHEST)), np.float64)


def _edges_s(plan: Plan, measured: Measured) -> float:
    """The first shard is cut before the device has work, and the last part is written when it has none left."""
    one, shards = totals(measured.survey), max(1, plan.shards)
    written_s = sum(part.write_s + part.store_s for part in measured.parts)
    row_s = written_s / max(1, sum(part.rows for part in measured.parts))
    return (one.host_s + row_s * one.chunks) / shards


# ------------------------------------------------------------------------------------------------ bytes


def _output(plan: Plan, parts: Sequence[Weighed], likely: Numbers, again: Numbers, factor: float, seed: int) -> Range:
    """Vectors as they are; all else as much smaller as it was in the parts that were weighed, which are drawn again.

    Args:
        likely: chunks and bytes of rows.
        again: (times, 6), as `resampled` has it.
    """
    one = vector_bytes(plan)
    files = max(1.0, plan.shards * factor) * parts[0].empty_bytes
    held = np.array([[part.bytes - part.empty_bytes - part.rows * one, part.row_bytes] for part in parts], np.float64)
    whole = held.sum(axis=0)
    some = np.random.default_rng(seed + 2).multinomial(len(parts), np.full(len(parts), 1 / len(parts)), TIMES) @ held
    sizes = again[:, 1] * one + again[:, 2] * some[:, 0] / np.maximum(some[:, 1], 1.0) + files
    size = float(likely[0] * one + likely[1] * whole[0] / max(1.0, whole[1]) + files)
    return _range(sizes, size).widened(PACKED * (1 - vector_share(plan, parts)))


def _range(drawn: Numbers, likely: float) -> Range:
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL])
    return Range(min(float(low), likely), likely, max(float(high), likely))
