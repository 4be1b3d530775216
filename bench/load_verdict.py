"""A result of load.py -> each criterion with its value and limit, and whether it is reached.

A criterion that is not reached by little can be noise: other programs on a shared machine, and a minute that holds
some ten bulk requests of the lesser key. So those that depend on time have a second, wider limit, which is wider still
where others took much of the machine; only beyond it has a run failed. What does not depend on time has one limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Made = dict
GOODPUT, GOODPUT_FAILS = 0.90, 0.80  # the second of a capacity that is corrected for what others took of the machine
BATCHES, LATE_FAILS = 1.5, 2.0  # the second is a multiple of the limit
FAIR, FAIR_FAILS = 0.10, 0.25  # a bulk request more or less is up to a tenth of the lesser key's minute
DISTURBED, DISTURBED_SLACK = 0.3, 2.0  # of the processors were taken by others; margins are then so much wider
GROWTH, GROWTH_FAILS = 1.05, 1.15
LONG_S = 600.0  # a shorter run says little about memory
LATE_MS = 10.0  # a generator that sends later than this has not offered what it was to offer
NONE = "not measured"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One row."""

    what: str
    value: str
    limit: str
    reached: bool | None = None  # None: not measured
    has_failed: bool = False  # by more than noise explains
    margin: str = ""  # beyond which it fails

    @property
    def verdict(self) -> str:
        if self.reached is None:
            return NONE
        return "yes" if self.reached else "**no**" if self.has_failed else "no, within the margin"


def criteria(made: Made) -> list[Criterion]:
    """All rows."""
    return [
        _goodput(made),
        _latency(made),
        _bulk_batches(made),
        *_shares(made),
        _answered(made),
        _retry_after(made),
        _memory(made),
        _lost(made),
        _generator(made),
    ]


def taken_by_others(made: Made) -> float:
    """The share of the processors that neither server nor generator had and that was not idle, in the worse phase."""

    def share(used: Mapping[str, float | None]) -> float:
        ours = used["server_processors"] + used["generator_processors"]
        return 0.0 if used["idle_processors"] is None else 1 - (ours + used["idle_processors"]) / made["processors"]

    return max(share(made[phase]["used"]) for phase in ("capacity", "overload"))


def slack(made: Made) -> float:
    """How many times wider the margins are."""
    return DISTURBED_SLACK if taken_by_others(made) > DISTURBED else 1.0


def _goodput(made: Made) -> Criterion:
    fails = 1 - (1 - GOODPUT_FAILS) * slack(made)
    ratio = made["overload"]["tokens_per_s"] / made["capacity"]["tokens_per_s"]
    corrected = ratio / machine_share(made["capacity"]["used"], made["overload"]["used"])
    offered = made["overload"]["offered_tokens_per_s"] / made["capacity"]["tokens_per_s"]
    return Criterion(
        f"goodput, at {offered:.2f} x the capacity offered",
        f"{ratio:.1%} of the capacity; {corrected:.1%} of what the machine had left for it",
        f">= {GOODPUT:.0%}",
        ratio >= GOODPUT,
        max(ratio, corrected) < fails,
        f"both under {fails:.0%}",
    )


def machine_share(before: Mapping[str, float | None], during: Mapping[str, float | None]) -> float:
    """Processor time that the server had or could have had under load, of what it could have had before."""
    had = [
        None if used["idle_processors"] is None else used["server_processors"] + used["idle_processors"]
        for used in (before, during)
    ]
    return had[1] / had[0] if had[0] and had[1] else 1.0


def _latency(made: Made) -> Criterion:
    p99, unloaded = made["overload"]["interactive_ms"]["p99"], made["unloaded_ms"]["p99"]
    longest = made["overload"]["longest_batch_ms"]
    what = "p99 of admitted interactive requests"
    limit = f"<= {unloaded:.1f} ms unloaded + {BATCHES} x the longest batch"
    if longest is None:
        return Criterion(what, f"{p99:.1f} ms", limit)
    most = unloaded + BATCHES * longest
    times = LATE_FAILS * slack(made)
    return Criterion(
        what,
        f"{p99:.1f} ms",
        f"{limit} of {longest:.1f} ms = {most:.1f} ms",
        p99 <= most,
        not p99 <= times * most,
        f"{times:.0f} x the limit",
    )


def _bulk_batches(made: Made) -> Criterion:
    count = made["overload"]["bulk_batches_over_limit"]
    what = "bulk batches of several items, predicted over the limit while an interactive item waited"
    return Criterion(
        what, NONE if count is None else f"{count:.0f}", "0", None if count is None else count == 0, bool(count)
    )


def _shares(made: Made) -> list[Criterion]:
    rows, fails = [], FAIR_FAILS * slack(made)
    for key, one in made["overload"]["shares"].items():
        ratio = one["of_fair"]
        rows.append(
            Criterion(
                f"fair share of the key '{key}', which offered {one['of_offered']:.0%}",
                f"{ratio:.1%} of it",
                f"within {FAIR:.0%}",
                abs(ratio - 1) <= FAIR,
                not abs(ratio - 1) <= fails,
                f"{fails:.0%}",
            )
        )
    return rows


def _answered(made: Made) -> Criterion:
    count, all_ = made["unanswered"], made["requests"]
    return Criterion(
        "requests without vectors or a stated error, all phases but the last",
        f"{count} of {all_}",
        "0",
        count == 0,
        count > 0,
    )


def _retry_after(made: Made) -> Criterion:
    refused, without = made["refused"], made["refused_without_retry_after"]
    return Criterion(
        "refusals (429) without retry-after",
        f"{without} of {refused}",
        "0",
        without == 0 if refused else None,
        without > 0,
    )


def _memory(made: Made) -> Criterion:
    memory, length_s = made["overload"]["memory"], made["overload"]["seconds"]
    ratio = memory["last_mb"] / memory["early_mb"]
    if length_s >= LONG_S:
        windows, note = f"minutes {length_s / 360:.0f} to {length_s / 180:.0f} and the last {length_s / 360:.0f}", ""
    else:
        windows, note = "second sixth and last", "; indicative in so short a run"
    return Criterion(
        f"highest anonymous memory, {windows}",
        f"{memory['early_mb']:.0f} to {memory['last_mb']:.0f} MB, {ratio:.3f} x{note}",
        f"<= {GROWTH} x",
        ratio <= GROWTH,
        length_s >= LONG_S and not ratio <= GROWTH_FAILS,
        f"{GROWTH_FAILS} x" if length_s >= LONG_S else "none",
    )


def _lost(made: Made) -> Criterion:
    end = made["term"]
    return Criterion(
        f"requests lost by SIGTERM with {end['in_flight']} in flight ({end['in_flight_tokens']} tokens), "
        f"{end['after']} sent after it",
        f"{end['lost']}; told to go elsewhere (503): {end['unserved']}; raced with a closing connection: "
        f"{end['raced']}; exit code {end['exit_code']}",
        "0, exit code 0",
        end["lost"] == 0 and end["exit_code"] == 0,
        end["lost"] > 0 or end["exit_code"] != 0,
    )


def _generator(made: Made) -> Criterion:
    late = made["overload"]["late_ms"]["p99"]
    used = made["overload"]["used"]
    return Criterion(
        "the generator kept its schedule: p99 of lateness",
        f"{late:.1f} ms, with {used['generator_processors']:.2f} of a processor beside the server's "
        f"{used['server_processors']:.2f}",
        f"<= {LATE_MS:.0f} ms",
        late <= LATE_MS,
    )


def has_failed(made: Made) -> bool:
    """Whether a criterion is missed by more than noise explains."""
    return any(one.has_failed for one in criteria(made))
