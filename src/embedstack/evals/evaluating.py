"""A labelled set and systems -> a report: how good and how fast each is, who is better, whether limits are kept."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from embedstack.errors import BadRequest
from embedstack.evals.asking import answers
from embedstack.evals.belonging import check_file, check_systems
from embedstack.evals.contenders import Contender, contenders, duels, prepared
from embedstack.evals.gate import judge, judged_note
from embedstack.evals.limits import Ceiling, Limit
from embedstack.evals.measures import DEFAULT, measured, parse_measure
from embedstack.evals.metrics import Qrels
from embedstack.evals.noticing import caps, oddities
from embedstack.evals.outcome import Check, Comparison, Latency, Outcome, Report, Verdict
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.statistics import interval, paired
from embedstack.evals.systems.ranking_file import RankingFile
from embedstack.evals.systems.system import Asked, Progress, Ranked, System
from embedstack.evals.timing import few_note, timed

Clock = Callable[[], float]
ByQuery = Mapping[str, Sequence[Ranked]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateHow:
    """What is measured, and how exactly."""

    measures: Sequence[str] = DEFAULT
    depth: int = 100  # documents of each ranking
    samples: int = 0  # queries that each system answers alone, to be timed; 0: nothing is timed
    confidence: float = 0.95
    resamples: int = 10_000
    seed: int = 0  # of resamples, and of the order of what is timed
    limits: Sequence[Limit] = ()  # of a gate: the first system is the baseline, the second the candidate


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A report, and what it is made from."""

    report: Report
    rankings: Mapping[str, ByQuery]  # system -> query -> its documents, best first


@dataclass(frozen=True, slots=True)
class _Searched:
    """What one system answered."""

    by_query: ByQuery
    search_s: float
    truncated: int


def evaluate(
    labelled: Labelled,
    systems: Sequence[System],
    how: EvaluateHow,
    *,
    progress: Progress = lambda what, done, total: None,
    clock: Clock = time.perf_counter,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    version: str = "",
    machine: str = "",
) -> Evaluated:
    """Each system and each of its legs: prepared, asked all queries at once, measured, compared.

    A document that the set does not know counts as one that nobody judged, as it does for trec_eval. Only systems that
    were named are timed, not their legs: the stages of a system say what of its time is theirs.
    The same systems give the same report, but for its times.

    Args:
        systems: open, and still open afterwards.
        progress: told of each thing that takes long.
        clock: seconds, rising.
        now: for the report's date.
        version, machine: of this package, and for people; they stand in the report.
    Raises:
        BadRequest: what is wished for cannot be had, and nothing was begun; or a system's ranking is none, or of
            documents that are all unknown, see `belonging`.
        What a system raises, which names it.
    """
    began = clock()
    _check(labelled, systems, how)
    whole = contenders(systems)
    queries = [Asked(query, labelled.queries.get(query, "")) for query in labelled.qrels]
    prepare_s = prepared(whole, labelled.documents, progress, clock)
    searched = {one.system.name: _searched(one.system, queries, how.depth, progress, clock) for one in whole}
    check_systems({name: one.by_query for name, one in searched.items()}, labelled)
    latencies = _latencies(systems, queries, how, progress, clock)
    outcomes = {
        name: _outcome(one, searched[name], labelled.qrels, how, prepare_s=prepare_s[name], latency=latencies.get(name))
        for name, one in ((one.system.name, one) for one in whole)
    }
    checks, verdict = _gate([outcomes[system.name] for system in systems], how)
    report = Report(
        data=labelled.name,
        digest=labelled.digest,
        documents=len(labelled.documents),
        judged=len(labelled.qrels),
        depth=how.depth,
        outcomes=tuple(outcomes.values()),
        comparisons=tuple(_compared(outcomes, duels(systems), how)),
        checks=checks,
        verdict=verdict,
        confidence=how.confidence,
        resamples=how.resamples,
        notes=(*labelled.notes, *_notes(labelled, [outcomes[system.name] for system in systems], how)),
        version=version,
        machine=machine,
        made_at=now().isoformat(timespec="seconds"),
        took_s=clock() - began,
    )
    return Evaluated(report, {name: one.by_query for name, one in searched.items()})


# ------------------------------------------------------------------------------------------------ before


def _check(labelled: Labelled, systems: Sequence[System], how: EvaluateHow) -> None:
    """All that can be known to fail before anything is prepared, which may take hours."""
    measures = _canonical(how.measures)
    deepest = max((parse_measure(name).k or 1 for name in measures), default=1)
    if not measures:
        raise BadRequest(f"there is nothing to measure; name a measure, such as {DEFAULT[0]}")
    if how.depth < deepest:
        raise BadRequest(
            f"{how.depth} documents of each ranking are too few; the measures look at {deepest}: ask for so many"
        )
    if not labelled.qrels:
        raise BadRequest(f"{labelled.name!r} has no judged query, so there is nothing to measure; give judgements")
    if labelled.queries and (lost := next((query for query in labelled.qrels if query not in labelled.queries), None)):
        raise BadRequest(f"{labelled.name!r} judges query {lost!r} and has no text of it; give one, or leave it out")
    if how.samples < 0:
        raise BadRequest(f"{how.samples} samples of latency are fewer than none; name 0 or more")
    if how.samples and not labelled.queries:
        raise BadRequest(f"{labelled.name!r} has no texts of queries, so nothing can be timed; ask for 0 samples")
    if how.limits and len(systems) < 2:
        raise BadRequest(f"a gate takes a baseline and a candidate, and there is {len(systems)} system; name two")
    for limit in how.limits:
        if isinstance(limit, Ceiling) and not how.samples:
            raise BadRequest(f"a limit of {limit.quantile} needs samples of latency; ask for 1,000 or more")
        if not isinstance(limit, Ceiling) and limit.measure not in measures:
            raise BadRequest(f"a limit of {limit.measure} needs that measure; measure it, too")
        if not isinstance(limit, Ceiling) and all(max(grades.values()) < 1 for grades in labelled.qrels.values()):
            raise BadRequest(
                f"{labelled.name!r} judges no document as relevant, so {limit.measure} is 0 for whatever is found; "
                "give judgements with grades of 1 or more"
            )
    for one in contenders(systems):
        if isinstance(one.system, RankingFile):
            check_file(one.system.name, one.system.run, labelled, is_of_gate=bool(how.limits))
    interval([0.0], confidence=how.confidence, resamples=how.resamples, seed=how.seed)  # raises what it would later


def _canonical(measures: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(str(parse_measure(name)) for name in measures))


# ------------------------------------------------------------------------------------------------ of one system


def _searched(system: System, queries: Sequence[Asked], depth: int, progress: Progress, clock: Clock) -> _Searched:
    what = f"queries by {system.name}"
    progress(what, 0, len(queries))
    began = clock()
    rankings = answers(system, queries, depth)
    search_s = clock() - began
    progress(what, len(queries), len(queries))
    by_query = {query.id: hits for query, hits in zip(queries, rankings.hits, strict=True)}
    return _Searched(by_query, search_s, rankings.truncated)


def _latencies(
    systems: Sequence[System], queries: Sequence[Asked], how: EvaluateHow, progress: Progress, clock: Clock
) -> dict[str, Latency]:
    if not how.samples:
        return {}
    return timed(
        systems, queries, samples=how.samples, limit=how.depth, confidence=how.confidence, seed=how.seed, clock=clock,
        progress=progress,
    )  # fmt: skip


def _outcome(
    one: Contender, searched: _Searched, qrels: Qrels, how: EvaluateHow, *, prepare_s: float, latency: Latency | None
) -> Outcome:
    orders = {query: [hit.document for hit in hits] for query, hits in searched.by_query.items()}
    found = measured(how.measures, qrels, orders)
    return Outcome(
        system=one.system.name,
        part_of=one.part_of,
        identities=tuple(one.system.identities),
        measures={
            name: interval(
                list(values.queries.values()), confidence=how.confidence, resamples=how.resamples, seed=how.seed
            )
            for name, values in found.items()
        },
        queries={name: dict(values.queries) for name, values in found.items()},
        latency=latency,
        prepare_s=prepare_s,
        search_s=searched.search_s,
        truncated=searched.truncated,
        notes=(*one.system.notes, *oddities(qrels, searched.by_query)),
    )


# ------------------------------------------------------------------------------------------------ of several


def _compared(
    outcomes: Mapping[str, Outcome], pairs: Sequence[tuple[str, str]], how: EvaluateHow
) -> Iterator[Comparison]:
    """By each measure but `judged`: to have been judged is not to be better."""
    for names in pairs:
        baseline, candidate = (outcomes[name].queries for name in names)
        for measure in baseline:
            if parse_measure(measure).name != "judged":
                yield paired(
                    baseline[measure], candidate[measure], measure=measure, names=names, confidence=how.confidence,
                    resamples=how.resamples, seed=how.seed,
                )  # fmt: skip


def _gate(named: Sequence[Outcome], how: EvaluateHow) -> tuple[tuple[Check, ...], Verdict | None]:
    if not how.limits:
        return (), None
    baseline, candidate = named[:2]
    return judge(
        how.limits, baseline, candidate, confidence=how.confidence, resamples=how.resamples, seed=how.seed
    )  # fmt: skip


def _notes(labelled: Labelled, named: Sequence[Outcome], how: EvaluateHow) -> Iterator[str]:
    yield from caps(_canonical(how.measures), labelled.qrels)
    yield from (note for other in named[1:] if (note := judged_note(named[0], other)))
    if how.samples and (note := few_note(how.samples)):
        yield note
