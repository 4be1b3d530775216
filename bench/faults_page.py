"""A result of faults.py -> the page that shows it: how often each fault was made, and after how many all was well."""

import re
from collections.abc import Mapping, Sequence

Made = dict
GROUPS = (
    (r"killed (before|after) write \d+", "killed before or after one write to storage, each in turn"),
    (
        r"killed (before|after) step \d+",
        "killed before or after one call of the system that changes files, each in turn",
    ),
    (r"killed after [\d.]+ s", "killed at a random moment"),
)
PLACES = ("file", "s3")
WHAT = (
    "After each fault the job goes on in another process. Then its table (as another reader reads it), both digests of "
    "its manifest, the bytes of every part and the dead letters are those of a run that nobody disturbed; `verify "
    "--deep` has nothing to say; and no shard is done again but those that were in hand. The file store is a folder; "
    "s3 is moto's server behind a door that counts, refuses and kills. moto keeps objects in memory and answers one "
    "call after the other, so it proves nothing of races inside a real store."
)


def page(made: Made) -> str:
    """Markdown."""
    head, outcomes = made["machine"], made["outcomes"]
    wrong = [one for one in outcomes if one["wrong"]]
    lines = [
        "# Faults of batch jobs",
        "",
        f"{head['processor']}, {head['threads']} threads, {head['date']}, commit {head['commit']}. Made by "
        f"`{made['command']}` in {made['seconds']:.0f} s.",
        "",
        WHAT,
        "",
        f"**{len(outcomes) - len(wrong)} of {len(outcomes)} jobs ended as if nothing had been.**",
        "",
        "| fault | file | s3 |",
        "|---|---|---|",
        *(
            f"| {name} | {' | '.join(_cell(some, place) for place in PLACES)} |"
            for name, some in grouped(outcomes).items()
        ),
        "",
        f"- shards in hand when a process was killed: {_in_hand(outcomes)}",
        *(f"- **{one['place']}: {one['fault']}**: {'; '.join(one['wrong'])}" for one in wrong),
    ]
    return "\n".join(lines) + "\n"


def grouped(outcomes: Sequence[Made]) -> Mapping[str, list[Made]]:
    """By what was done, in the order in which it came first."""
    found: dict[str, list[Made]] = {}
    for one in outcomes:
        found.setdefault(name_of(one["fault"]), []).append(one)
    return found


def name_of(fault: str) -> str:
    """Faults that differ by a number alone are one."""
    return next((name for pattern, name in GROUPS if re.fullmatch(pattern, fault)), fault)


def _cell(outcomes: Sequence[Made], place: str) -> str:
    mine = [one for one in outcomes if one["place"] == place]
    good = sum(not one["wrong"] for one in mine)
    return f"{good} of {len(mine)}" if mine else ""


def _in_hand(outcomes: Sequence[Made]) -> str:
    counts = [one["facts"]["in_hand"] for one in outcomes if "in_hand" in one["facts"]]
    return f"{max(counts)} at most, {sum(counts) / len(counts):.1f} on average" if counts else "none was killed"
