"""A result of load.py -> each criterion with its value and limit, and whether it is reached.

A run of ten minutes or more has failed where a limit is not kept, or something was not measured. A minute, as every
change gets it on a machine that others use too, holds some twenty bulk requests of the lesser key, and comes after a
capacity measured in 20 seconds: what depends on time has a second, wider limit there, and only beyond it has such a
run failed. What does not depend on time has one limit everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Made = dict
LONG_S = 600.0  # from here on the limits are the limits
GOODPUT, BATCHES, FAIR, GROWTH = 0.90, 1.5, 0.10, 1.05
LATE_MS = 10.0  # a generator that sends later than this has not offered what it was to offer

# what a run that is shorter may miss them by
GOODPUT_SHORT = 0.80  # 35 bulk requests make the capacity: one is 3 %; and others' work falls into one phase, not both
BATCHES_SHORT = 2.0  # x the limit; p99 of a minute is its 100 worst queries, as many as one stall of 0.6 s meets
FAIR_SHORT = 0.25  # a bulk request is up to a tenth of what the lesser key sends in a minute; its ends cut two
DISTURBED, DISTURBED_SLACK = 0.3, 2.0  # of the processors were taken by others; margins are then so much wider
NONE = "not measured"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One row."""

    what: str
    value: str
    limit: str
    reached: bool | None  # None: not measured
    has_failed: bool
    margin: str = ""  # beyond which it fails, where that is not the limit

    @property
    def verdict(self) -> str:
        if self.reached is None:
            return NONE
        return "yes" if self.reached else "**no**" if self.has_failed else "no, within the margin"


@dataclass(frozen=True, slots=True)
class Margin:
    """What a short run may miss a limit by."""

    stated: str
    is_kept: bool


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


def is_long(made: Made) -> bool:
    """Whether the limits themselves decide."""
    return made["overload"]["seconds"] >= LONG_S


def _row(
    made: Made, what: str, value: str, limit: str, *, reached: bool | None, margin: Margin | None = None
) -> Criterion:
    if is_long(made):
        return Criterion(what, value, limit, reached, not reached)
    if margin is None:
        return Criterion(what, value, limit, reached, reached is False)
    return Criterion(what, value, limit, reached, reached is False and not margin.is_kept, margin.stated)


def _goodput(made: Made) -> Criterion:
    fails = 1 - (1 - GOODPUT_SHORT) * slack(made)
    ratio = made["overload"]["tokens_per_s"] / made["capacity"]["tokens_per_s"]
    corrected = ratio / machine_share(made["capacity"]["used"], made["overload"]["used"])
    offered = made["overload"]["offered_tokens_per_s"] / made["capacity"]["tokens_per_s"]
    return _row(
        made,
        f"goodput, at {offered:.2f} x the capacity offered",
        f"{ratio:.1%} of the capacity; {corrected:.1%} of what the machine had left for it",
        f">= {GOODPUT:.0%} of the capacity",
        reached=ratio >= GOODPUT,
        margin=Margin(f"both under {fails:.0%}", max(ratio, corrected) >= fails),
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
    what, value = "p99 of admitted interactive requests", f"{p99:.1f} ms"
    limit = f"<= {unloaded:.1f} ms unloaded + {BATCHES} x the longest batch of this overload"
    if longest is None:
        return _row(made, what, value, limit, reached=None)
    most = unloaded + BATCHES * max(longest.values())
    times = BATCHES_SHORT * slack(made)
    each = ", ".join(f"{priority} {ms:.1f} ms" for priority, ms in longest.items())
    return _row(
        made,
        what,
        value,
        f"{limit} ({each}) = {most:.1f} ms",
        reached=p99 <= most,
        margin=Margin(f"{times:.0f} x the limit", p99 <= times * most),
    )


def _bulk_batches(made: Made) -> Criterion:
    count = made["overload"]["bulk_batches_over_limit"]
    return _row(
        made,
        "bulk batches of several items, predicted over the limit while an interactive item waited",
        NONE if count is None else f"{count:.0f}",
        "0",
        reached=None if count is None else count == 0,
    )


def _shares(made: Made) -> list[Criterion]:
    fails = FAIR_SHORT * slack(made)
    return [
        _row(
            made,
            f"fair share of the key '{key}', which offered {one['of_offered']:.0%}",
            f"{one['of_fair']:.1%} of it",
            f"within {FAIR:.0%}",
            reached=abs(one["of_fair"] - 1) <= FAIR,
            margin=Margin(f"{fails:.0%}", abs(one["of_fair"] - 1) <= fails),
        )
        for key, one in made["overload"]["shares"].items()
    ]


def _answered(made: Made) -> Criterion:
    what = "requests without vectors or a stated error, all phases but the last"
    return _row(made, what, f"{made['unanswered']} of {made['requests']}", "0", reached=made["unanswered"] == 0)


def _retry_after(made: Made) -> Criterion:
    refused, without = made["refused"], made["refused_without_retry_after"]
    what = "refusals (429) without retry-after"
    return _row(made, what, f"{without} of {refused}", "0", reached=without == 0 if refused else None)


def _memory(made: Made) -> Criterion:
    memory, length_s = made["overload"]["memory"], made["overload"]["seconds"]
    ratio = memory["last_mb"] / memory["early_mb"]
    windows = (
        f"minutes {length_s / 360:.0f} to {length_s / 180:.0f} and the last {length_s / 360:.0f}"
        if is_long(made)
        else "second sixth and last; a short run says little about it"
    )
    return _row(
        made,
        f"highest anonymous memory, {windows}",
        f"{memory['early_mb']:.0f} to {memory['last_mb']:.0f} MB, {ratio:.3f} x",
        f"<= {GROWTH} x",
        reached=ratio <= GROWTH,
        margin=Margin("none", is_kept=True),
    )


def _lost(made: Made) -> Criterion:
    end = made["term"]
    return _row(
        made,
        f"requests lost by SIGTERM with {end['in_flight']} in flight ({end['in_flight_tokens']} tokens), "
        f"{end['after']} sent after it",
        f"{end['lost']}; told to go elsewhere (503): {end['unserved']}; raced with a closing connection: "
        f"{end['raced']}; exit code {end['exit_code']}",
        "0, exit code 0",
        reached=end["lost"] == 0 and end["exit_code"] == 0,
    )


def _generator(made: Made) -> Criterion:
    late, used = made["overload"]["late_ms"]["p99"], made["overload"]["used"]
    return _row(
        made,
        "the generator kept its schedule: p99 of lateness",
        f"{late:.1f} ms, with {used['generator_processors']:.2f} of a processor beside the server's "
        f"{used['server_processors']:.2f}",
        f"<= {LATE_MS:.0f} ms",
        reached=late <= LATE_MS,
        margin=Margin("none", is_kept=True),
    )


def has_failed(made: Made) -> bool:
    """Whether a criterion is missed: in a long run at all, in a short one by more than noise explains."""
    return any(one.has_failed for one in criteria(made))
