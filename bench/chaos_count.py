"""What became of each submission and of its jobs -> how many were lost, hung, late or answered twice. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from embedstack.proof.fidelity import LIMITS
from load_stats import percentile
from load_verdict import Criterion

PRECISION: Literal["float32"] = "float32"
LEAST_COSINE = LIMITS[PRECISION].least
LATE_S = 1.0  # behind a deadline: what a busy machine may take until this process is told
PROVEN = 0.9  # of those that nobody cancelled and that had time, else a storm of errors would be a success

Fate = Literal["proven", "error", "cancelled", "wrong", "bug", "hung"]
ENDED: tuple[Fate, ...] = ("proven", "error", "cancelled", "wrong", "hung")
"""With `bug`, an exception that is no named error, nobody has heard what became of the submission: it is lost."""
Made = dict


@dataclass(frozen=True, slots=True)
class Seen:
    """One submission and its end.

    Args:
        name: the code of the error, or what kind of exception a bug was.
        cosine: the least of its vectors to those that are known.
    """

    number: int
    fate: Fate
    took_s: float
    deadline_s: float
    name: str = ""
    cosine: float = 1.0

    @property
    def late_s(self) -> float:
        """How long after its deadline it ended; below 0 before it."""
        return self.took_s - self.deadline_s


@dataclass(frozen=True, slots=True)
class Traces:
    """What the platform saw.

    Args:
        numbers: of each job, by id, whose it was.
        handed_out: how often each job was given to a worker.
        ended: how often each job took on a state that is final, or was gone before it had one.
    """

    numbers: Mapping[str, int]
    handed_out: Mapping[str, int]
    ended: Mapping[str, int]


def least_cosine(given: np.ndarray, known: np.ndarray) -> float:
    """Of rows to those in the same place; -1 for another shape, or a number that is none."""
    if given.shape != known.shape or not np.isfinite(given).all():
        return -1.0
    rows, truth = given.astype(np.float64), known.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(truth, axis=1)
    return float(((rows * truth).sum(axis=1) / np.maximum(lengths, 1e-12)).min())


def lost(seen: Iterable[Seen], accepted: Iterable[int]) -> list[int]:
    """Submissions that the platform took and that have no end here."""
    return sorted(set(accepted) - {one.number for one in seen if one.fate in ENDED})


def doubled(seen: Iterable[Seen]) -> list[int]:
    """Submissions that ended more than once."""
    return sorted(number for number, count in Counter(one.number for one in seen).items() if count > 1)


def late(seen: Iterable[Seen]) -> list[int]:
    """Submissions that ended after their deadline, by more than a busy machine explains."""
    return sorted(one.number for one in seen if one.late_s > LATE_S)


def executions(seen: Iterable[Seen], traces: Traces) -> dict[str, int]:
    """How often the jobs of a submission were given to workers -> how many submissions."""
    times = Counter({one.number: 0 for one in seen})
    for job_id, number in traces.numbers.items():
        times[number] += traces.handed_out.get(job_id, 0)
    return _counted(times.values())


def jobs(seen: Iterable[Seen], traces: Traces) -> dict[str, int]:
    """How many jobs a submission became -> how many submissions."""
    times = Counter({one.number: 0 for one in seen})
    times.update(traces.numbers.values())
    return _counted(times.values())


def _counted(values: Iterable[int]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}


def summary(seen: Sequence[Seen], traces: Traces, *, count: int, patient_s: float) -> Made:
    """The numbers of a run.

    Args:
        count: of submissions that were made.
        patient_s: a deadline of at least so much is time enough.
    """
    accepted = set(traces.numbers.values())
    waits = [one.took_s for one in seen if one.fate == "proven"]
    fair = [one for one in seen if one.deadline_s >= patient_s and one.fate != "cancelled"]
    last = max(seen, key=lambda one: one.late_s)
    return {
        "submissions": count,
        "accepted": len(accepted),
        "ended": len({one.number for one in seen}),
        "endings": dict(sorted(Counter(one.fate for one in seen).items())),
        "errors": dict(sorted(Counter(one.name for one in seen if one.name).items())),
        "lost": lost(seen, accepted),
        "hung": sorted(one.number for one in seen if one.fate == "hung"),
        "wrong": sorted(one.number for one in seen if one.fate == "wrong"),
        "doubled": doubled(seen),
        "bugs": sorted(one.number for one in seen if one.fate == "bug"),
        "open_jobs": sorted(job_id for job_id in traces.numbers if not traces.ended.get(job_id)),
        "doubled_jobs": sorted(job_id for job_id, times in traces.ended.items() if times > 1),
        "late": late(seen),
        "proven_share": round(sum(one.fate == "proven" for one in fair) / max(len(fair), 1), 4),
        "least_cosine": min((one.cosine for one in seen if one.fate in ("proven", "wrong")), default=None),
        "executions": executions(seen, traces),
        "jobs": jobs(seen, traces),
        "waits_s": {name: round(percentile(waits, share), 2) for name, share in WAITS.items()} if waits else {},
        "latest": {"took_s": round(last.took_s, 2), "deadline_s": last.deadline_s, "fate": last.fate},
    }


WAITS = {"p50": 0.5, "p99": 0.99, "longest": 1.0}


def criteria(made: Made) -> list[Criterion]:
    """What must hold; none of it depends on how fast the machine is, but for the last."""
    without_end = made["submissions"] - made["ended"]
    latest = made["latest"]
    return [
        _none("submissions that the platform took and that were lost", made["lost"]),
        _none("submissions that were still waiting after their deadline", made["hung"]),
        Criterion("submissions without an end", str(without_end), "0", without_end == 0, without_end != 0),
        _none("submissions that ended twice", made["doubled"]),
        _none("submissions that ended in an exception without a name", made["bugs"]),
        _none("jobs that ended twice on the platform", made["doubled_jobs"]),
        _none("jobs that the platform took and that never ended there", made["open_jobs"]),
        _none("submissions whose vectors are not those of the engine here", made["wrong"]),
        _none(
            f"submissions that ended later than {LATE_S:g} s after their deadline; the latest took {latest['took_s']} "
            f"s of {latest['deadline_s']:g} s",
            made["late"],
        ),
        Criterion(
            "workers killed in mid-job",
            str(len(made["kills"])),
            ">= 1",
            bool(made["kills"]),
            not made["kills"],
        ),
        Criterion(
            "proven vectors, of the submissions with time that nobody cancelled",
            f"{made['proven_share']:.1%}",
            f">= {PROVEN:.0%}",
            made["proven_share"] >= PROVEN,
            made["proven_share"] < PROVEN,
        ),
    ]


def _none(what: str, numbers: Sequence[object]) -> Criterion:
    shown = f"{len(numbers)}: {', '.join(map(str, numbers[:10]))}" if numbers else "0"
    return Criterion(what, shown, "0", not numbers, bool(numbers))


def has_failed(made: Made) -> bool:
    """Whether a criterion is missed."""
    return any(one.has_failed for one in criteria(made))
