"""Reports of evaluations that were drawn, of any size, for all that shows them."""

import random
from math import inf

from msgspec import structs

from embedstack.evals.calibration import Bin, Calibration, Chosen, Effect
from embedstack.evals.outcome import Check, Comparison, Interval, Latency, Outcome, Report, Verdict
from embedstack.origin import Identity

NASTY = "<script>alert('x')</script>|&\"\n\x1b[31m](http://evil.example)"
NAMES = ("bm25", "all-MiniLM-L6-v2", "bge-m3+bm25", "endpoint#e5-large", "bge-m3~bge-reranker-v2-m3", "run:a.trec")
MEASURES = ("ndcg@10", "mrr@10", "recall@100", "judged@10")


def drawn(seed: int, systems: int = 3, queries: int = 40, measures: int = 2) -> Report:
    """A report whose parts belong together: means are those of its queries, differences those of its means."""
    draw = random.Random(seed)
    names, kinds = NAMES[:systems], MEASURES[:measures]
    values = {name: {kind: {f"q{n}": _value(draw) for n in range(queries)} for kind in kinds} for name in names}
    outcomes = tuple(_outcome(name, values[name], draw) for name in names)
    comparisons = tuple(_comparison(kind, names[0], name, values) for name in names[1:] for kind in kinds)
    checks = tuple(_check(one, draw) for one in comparisons[:2])
    verdicts = [check.verdict for check in checks]
    return Report(
        data="xquad-en", digest="d" * 64, documents=240, judged=queries, depth=100, outcomes=outcomes,
        comparisons=comparisons, checks=checks, verdict=worst(verdicts) if checks else None,
        notes=("12 documents were judged and are not there",), version="0.1.0", machine="2 cores",
        made_at="2026-01-02T03:04:05Z", took_s=draw.uniform(0, 100),
    )  # fmt: skip


def worst(verdicts: list[Verdict]) -> Verdict:
    return min(verdicts, key=("FAIL", "INCONCLUSIVE", "PASS").index)


def _value(draw: random.Random) -> float:
    return draw.choice((0.0, 1.0, 0.5, draw.random()))


def _outcome(name: str, values: dict[str, dict[str, float]], draw: random.Random) -> Outcome:
    p50 = draw.uniform(1, 40)
    return Outcome(
        system=name,
        part_of="bge-m3~bge-reranker-v2-m3" if draw.random() < 0.2 else "",
        identities=(identity(name),) if draw.random() < 0.8 else (),
        measures={kind: around(mean(of), 0.03) for kind, of in values.items()},
        queries=values,
        latency=Latency(
            samples=200,
            p50_ms=around(p50, 0.5),
            p99_ms=Interval(4 * p50, 3 * p50, inf if draw.random() < 0.5 else 6 * p50),
            stages_ms={"embed": p50 * 0.6, "search": p50 * 0.3, "fuse": p50 * 0.02},
        )
        if draw.random() < 0.8
        else None,
        prepare_s=draw.uniform(0, 200),
        search_s=draw.uniform(0, 20),
        truncated=draw.choice((0, 3)),
        notes=("5 documents were cut",) if draw.random() < 0.3 else (),
    )


def _comparison(kind: str, baseline: str, candidate: str, values: dict[str, dict[str, dict[str, float]]]) -> Comparison:
    before, after = values[baseline][kind], values[candidate][kind]
    changes = [after[query] - before[query] for query in before]
    return Comparison(
        measure=kind,
        baseline=baseline,
        candidate=candidate,
        delta=around(mean(dict(enumerate(changes))), 0.05),
        p_value=0.002,
        wins=sum(change > 0 for change in changes),
        losses=sum(change < 0 for change in changes),
        ties=sum(change == 0 for change in changes),
    )


def _check(comparison: Comparison, draw: random.Random) -> Check:
    limit = draw.choice((-0.02, -0.1, 0.2))
    verdict: Verdict = (
        "PASS" if comparison.delta.low > limit else "FAIL" if comparison.delta.high < limit else "INCONCLUSIVE"
    )
    return Check(
        rule=f"{comparison.measure} of {comparison.candidate} at most {-limit} below",
        verdict=verdict,
        found=comparison.delta,
        limit=limit,
        needed=1234 if verdict == "INCONCLUSIVE" else None,
        reason="the interval lies above the limit",
    )


def identity(name: str) -> Identity:
    return Identity(model=name, revision="r", space="5" * 64, fingerprint="f" * 64, dim=384, max_tokens=256)


def around(value: float, half: float) -> Interval:
    return Interval(value, value - half, value + half)


def mean(of: dict[str, float] | dict[int, float]) -> float:
    return sum(of.values()) / max(1, len(of))


def named(text: str) -> Report:
    """Everything that somebody can name has this name."""
    latency = Latency(samples=1, p50_ms=around(1, 0), p99_ms=around(1, 0), stages_ms={text: 1.0})
    values = {text: {text: 0.5, "other": 0.25}}
    one = Outcome(
        system=text, part_of=text, identities=(identity(text),), measures={text: around(0.5, 0.1)}, queries=values,
        latency=latency, notes=(text,),
    )  # fmt: skip
    other = structs.replace(one, system=f"{text}2", queries={text: {text: 0.75, "other": 0.0}})
    delta = around(0.125, 0.5)
    return Report(
        data=text, digest=text, documents=1, judged=2, depth=1, outcomes=(one, other), notes=(text,), version=text,
        machine=text, made_at=text, verdict="INCONCLUSIVE",
        comparisons=(
            Comparison(
                measure=text, baseline=text, candidate=f"{text}2", delta=delta, p_value=1, wins=1, losses=1, ties=0
            ),
        ),
        checks=(Check(rule=text, verdict="INCONCLUSIVE", found=delta, limit=0, needed=5, reason=text),),
    )  # fmt: skip


def empty() -> Report:
    """Nothing was measured."""
    return Report(data="nothing", digest="0", documents=0, judged=0, depth=1, outcomes=())


def calibration(name: str = "all-MiniLM-L6-v2") -> Calibration:
    """As one is found, and one that is not."""
    effect = Effect(
        threshold=0.8, called=90, right=80, precision=around(0.8889, 0.05), recall=around(0.8, 0.06), f1=0.8421
    )
    none = Effect(threshold=0.98, called=0, right=0, precision=None, recall=around(0.0, 0.02), f1=0.0)
    return Calibration(
        data=name, digest="d" * 64, identity=identity(name), role="document", pairs=1000, same=200, same_from=4.0,
        auc=0.95, spearman=0.8,
        best=Chosen(
            rule="best F1", threshold=0.8, drawn=around(0.8, 0.03), chosen_on=effect, held_out=effect, reason=name
        ),
        precise=(Chosen(rule="precision at least 0.99", threshold=None, reason="only 8 of 10 are the same"),),
        fixed=(none, effect),
        bins=tuple(Bin(low=n / 20, high=(n + 1) / 20, same=max(0, n) * 5, other=abs(n) // 2) for n in range(-20, 20)),
        chosen_on=500, held_out=500, seed=7, confidence=0.95, resamples=2000, notes=(name,), truncated=3,
    )  # fmt: skip
