"""Limits, a baseline and a candidate -> for each limit whether the candidate keeps it, and one verdict of all; pure.

The gate asks whether the candidate is no worse than is allowed, and calls neither luck nor too few queries a success.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import BadRequest
from embedstack.evals.limits import PRESETS, Ceiling, Limit, Margin, Share
from embedstack.evals.outcome import Check, Outcome, Verdict
from embedstack.evals.statistics import interval, matched, needed_queries, needed_samples

EXIT_CODES: Final[Mapping[Verdict, int]] = {"PASS": 0, "FAIL": 10, "INCONCLUSIVE": 11}
"""Of a command; errors have those below 10."""


def judge(
    limits: Sequence[Limit],
    baseline: Outcome,
    candidate: Outcome,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[tuple[Check, ...], Verdict]:
    """Hold a candidate against a baseline: FAIL if a limit is not kept, else INCONCLUSIVE if one is open, else PASS.

    A limit is kept where all of an interval is on its right side, not kept where all is on the wrong side, and open
    otherwise; then the check says how many queries or samples would decide. The interval is that of the mean, over
    queries, of candidate - share x baseline, or of candidate - baseline; of latency, that which the outcome has.

    How often that errs, with error = (1 - confidence) / 2, 0.025 at 0.95:

    - one limit: it is called kept though it is not in at most `error` of all evaluations, and the reverse likewise;
    - PASS though any limit is not kept: at most `error`, however many limits there are. For PASS all must be called
      kept, also the one that is not, and that alone is rare enough (intersection-union test): so no correction is
      needed, and to add limits makes PASS only harder;
    - FAIL though all limits are kept: at most `error` times the number of limits, since one wrong call is enough.

    Source:
        Berger 1982, https://doi.org/10.1080/00401706.1982.10487790, for the test; the margin as in non-inferiority
        trials, ICH E9 3.3.2.
    Raises:
        BadRequest: no limit, a measure or latency that an outcome lacks, other queries on one side than on the other,
            or a measure that is 0 for all queries of the baseline.
    """
    if not limits:
        raise BadRequest(f"there is no limit; give one such as ndcg@10=0.90, or a list: {', '.join(PRESETS)}")
    checks = tuple(
        _latency(limit, candidate, confidence)
        if isinstance(limit, Ceiling)
        else _quality(limit, baseline, candidate, confidence=confidence, resamples=resamples, seed=seed)
        for limit in limits
    )
    verdicts = {check.verdict for check in checks}
    return checks, "FAIL" if "FAIL" in verdicts else "INCONCLUSIVE" if "INCONCLUSIVE" in verdicts else "PASS"


def _quality(
    limit: Share | Margin, baseline: Outcome, candidate: Outcome, *, confidence: float, resamples: int, seed: int
) -> Check:
    before, after = _values(limit.measure, baseline, candidate)
    if len(before) and not before.any():
        raise BadRequest(
            f"{limit.measure} of {baseline.system!r} is 0 for all {len(before)} queries, and nothing is worse than "
            "that; check that its documents have the ids of the judgements, or name a baseline that finds something"
        )
    share, bound, rule = _asked(limit)
    differences, span = after - share * before, (-share, 1.0)
    found = interval(differences, span=span, confidence=confidence, resamples=resamples, seed=seed)
    verdict = _verdict(is_kept=found.low > bound, is_broken=found.high < bound)
    needed = None
    if verdict == "INCONCLUSIVE" and (enough := needed_queries(differences, -bound, span=span, confidence=confidence)):
        needed = max(enough, len(before) + 1)
    less = "the baseline's" if share == 1 else f"{share:g} of the baseline's"
    reason = (
        f"{limit.measure} is {after.mean():.4f}, the baseline's {before.mean():.4f}; less {less} it is "
        f"{found.value:+.4f}, between {found.low:+.4f} and {found.high:+.4f}, {_side(verdict, f'{bound:g}')}"
        f"{_wanted(verdict, needed, f'queries like these {len(before):,}', 'about')}"
    )
    return Check(rule=rule, verdict=verdict, found=found, limit=bound, needed=needed, reason=reason)


def _asked(limit: Share | Margin) -> tuple[float, float, str]:
    """The share of the baseline that is taken off, what the rest must be above, and the rule in words."""
    match limit:
        case Share(measure, at_least):
            return at_least, 0.0, f"{measure} at least {at_least:g} of the baseline's"
        case Margin(measure, loss):
            return 1.0, 0.0 - loss, f"{measure} {f'less than {loss:g} below' if loss else 'above'} the baseline's"


def _values(measure: str, baseline: Outcome, candidate: Outcome) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    for outcome in (baseline, candidate):
        if measure not in outcome.queries:
            there = ", ".join(outcome.queries) or "nothing"
            raise BadRequest(f"of {outcome.system!r} {measure!r} was not measured, but {there}; measure it, too")
    return matched(baseline.queries[measure], candidate.queries[measure], (baseline.system, candidate.system))


def _latency(limit: Ceiling, candidate: Outcome, confidence: float) -> Check:
    name, most, latency = limit.quantile, limit.at_most_ms, candidate.latency
    if latency is None:
        raise BadRequest(
            f"of {candidate.system!r} no latency was measured, so {name} cannot be held against {most:g} ms; "
            "measure it, or leave the limit out"
        )
    found, q = (latency.p50_ms, 0.50) if name == "p50" else (latency.p99_ms, 0.99)
    verdict = _verdict(is_kept=found.high <= most, is_broken=found.low > most)
    needed = None
    if verdict == "INCONCLUSIVE" and (
        enough := needed_samples(found, most, q=q, samples=latency.samples, confidence=confidence)
    ):
        needed = max(enough, latency.samples + 1)
    between, at_least = f"between {found.low:.1f} and {found.high:.1f}", "about"
    if not isfinite(found.high):
        between, at_least = f"{found.low:.1f} or more", "at least"
    rule = f"{name} at most {most:g} ms"
    reason = (
        f"{name} is {found.value:.1f} ms, {between}, {_side(verdict, f'{most:g} ms')}"
        f"{_wanted(verdict, needed, f'samples like these {latency.samples:,}', at_least)}"
    )
    return Check(rule=rule, verdict=verdict, found=found, limit=most, unit="ms", needed=needed, reason=reason)


def _verdict(*, is_kept: bool, is_broken: bool) -> Verdict:
    return "PASS" if is_kept else "FAIL" if is_broken else "INCONCLUSIVE"


def _side(verdict: Verdict, limit: str) -> str:
    match verdict:
        case "PASS":
            return f"on the right side of {limit}"
        case "FAIL":
            return f"on the wrong side of {limit}"
        case "INCONCLUSIVE":
            return f"so it may be on either side of {limit}"


def _wanted(verdict: Verdict, needed: int | None, like_these: str, about: str) -> str:
    if verdict != "INCONCLUSIVE":
        return ""
    return (
        f"; {about} {needed:,} {like_these} would decide" if needed else f"; it is so close that no {like_these} would"
    )


def judged_note(baseline: Outcome, candidate: Outcome) -> str | None:
    """A warning where fewer of the candidate's documents were ever judged than of the baseline's, beyond chance.

    A document that nobody judged counts as not relevant, also where it is. Judgements were mostly made of what older
    systems found, so a new one has more such holes. None: not so, or `judged` was not measured of both.

    Raises:
        BadRequest: they were not judged on the same queries.
    """
    names = (name for name in candidate.queries if name in baseline.queries and name.partition("@")[0] == "judged")
    if (measure := next(names, None)) is None:
        return None
    before, after = _values(measure, baseline, candidate)
    found = interval(after - before, span=(-1.0, 1.0))
    if found.high >= 0:
        return None
    return (
        f"{measure} is {after.mean():.2f} for {candidate.system!r} and {before.mean():.2f} for {baseline.system!r}: "
        "documents that nobody judged count as not relevant, so it may be better than its figures; judge some of them"
    )
