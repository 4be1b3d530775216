"""A result of batch.py -> its criteria, and the page that shows it. Pure."""

from dataclasses import dataclass

from load_verdict import Criterion
from machine import spread

Made = dict


@dataclass(frozen=True, slots=True)
class Aim(Criterion):
    """One that is missed by more than noise where the run does not fail yet."""

    @property
    def verdict(self) -> str:
        return "yes" if self.reached else "**no**" if self.has_failed else "no"


PEER_WAYS = {
    "peer": "a script with sentence-transformers that encodes a thousand documents in a call",
    "peer_each": "one that encodes document by document",
}
SHARE, PEERS, COMMITS = 0.90, 5.0, 0.02  # what is aimed at
SHARE_FAILS, PEERS_FAIL, COMMITS_FAIL = 0.80, 4.0, 0.05  # what noise does not explain
MEMORY_MB, FLAT = 600.0, 1.15  # the second: highest of the last third to that of the one before


def ratios(made: Made) -> dict[str, dict[str, float]]:
    """Each taken within one round, so that what others did to the machine touches both sides."""
    rounds = made["rounds"]
    found = {
        "share": [one["alone_s"] / one["job_s"] for one in rounds],
        "share_with_planning": [one["alone_s"] / (one["job_s"] + one["plan_s"]) for one in rounds],
        "commits": [(one["commit_s"] + one["check_s"]) / one["job_s"] for one in rounds],
        "parts": [one["parts_s"] / one["job_s"] for one in rounds],
        "tokens_per_s": [one["tokens"] / one["job_s"] for one in rounds],
        "alone_tokens_per_s": [one["tokens"] / one["alone_s"] for one in rounds],
        "prepare_mb_per_s": [one["bytes"] / 1e6 / one["prepare_s"] for one in rounds],
        "plan_mb_per_s": [one["bytes"] / 1e6 / one["plan_s"] for one in rounds],
    }
    for name in PEER_WAYS:
        if all(name in one for one in rounds):
            theirs = [one[name]["tokens"] / one[name]["seconds"] for one in rounds]
            found[f"{name}_tokens_per_s"] = theirs
            found[f"to_{name}"] = [our / their for our, their in zip(found["tokens_per_s"], theirs, strict=True)]
    return {name: spread(values, 4) for name, values in found.items()}


def criteria(made: Made) -> list[Criterion]:
    """What is aimed at; a part that was not measured has no row."""
    rows = _speed(ratios(made), made["machine"]["precision"]) if made.get("rounds") else []
    rows += _memory(made["memory"]) if made.get("memory") else []
    return rows + (_walked(made["walk"]) if made.get("walk") else [])


def _speed(found: dict[str, dict[str, float]], precision: str) -> list[Criterion]:
    share, commits = found["share"]["median"], found["commits"]["median"]
    rows = [
        Criterion("tokens/s of the whole job, of the engine's own over the same chunks", _percent(found["share"]),
                  f">= {SHARE:.0%}", share >= SHARE, share < SHARE_FAILS, f"{SHARE_FAILS:.0%}"),
        Criterion("time in commit and check calls, of the job's", _percent(found["commits"]), f"<= {COMMITS:.0%}",
                  commits <= COMMITS, commits > COMMITS_FAIL, f"{COMMITS_FAIL:.0%}"),
    ]  # fmt: skip
    return rows + [
        _beside(found[f"to_{name}"], what, precision) for name, what in PEER_WAYS.items() if f"to_{name}" in found
    ]


def _beside(times: dict[str, float], what: str, precision: str) -> Criterion:
    """Where the processor has no bfloat16 both compute in float32, and products set the pace of both."""
    is_half = precision.startswith("bfloat16")
    fails, kind = (PEERS_FAIL, Criterion) if is_half else (1.0, Aim)
    return kind(
        f"tokens/s of the whole job, of those of {what}; it writes the same Parquet",
        f"{times['median']:.2f} x ({times['min']:.2f} to {times['max']:.2f})",
        f">= {PEERS:g} x",
        times["median"] >= PEERS,
        times["median"] < fails,
        f"{fails:g} x",
    )


def _memory(found: Made) -> list[Criterion]:
    highest, growth = found["highest_mb"], found["last_third_mb"] / max(found["second_third_mb"], 1e-9)
    return [
        Criterion(f"highest anonymous memory over {found['bytes'] / 1e6:.0f} MB, encoder without a model",
                  f"{highest:.0f} MB", f"<= {MEMORY_MB:.0f} MB", highest <= MEMORY_MB, highest > MEMORY_MB, "limit"),
        Criterion("it is flat: highest of the last third to that of the second", f"{growth:.2f} x", f"<= {FLAT:g} x",
                  growth <= FLAT, growth > FLAT, "the limit"),
    ]  # fmt: skip


def _walked(walk: Made) -> list[Criterion]:
    wrong = [step["what"] for step in walk["steps"] if not step["is_good"]]
    rows = [
        Criterion("plan, estimate, sample, run, kill, resume, verify as commands", f"{len(wrong)} failed {wrong or ''}",
                  "0", not wrong, bool(wrong), "the limit")
    ]  # fmt: skip
    for name, row in walk["estimate"].items():
        holds = row["low"] <= row["measured"] <= row["high"]
        said = f"{row['measured']:.4g}, estimated {row['likely']:.4g} ({row['low']:.4g} to {row['high']:.4g})"
        rows.append(
            Criterion(f"the estimate's interval holds what was measured: {name}", said, "in it", holds, not holds)
        )
    return rows


def page(made: Made) -> str:
    """Markdown."""
    head = made["machine"]
    lines = [
        "# Batch jobs",
        "",
        f"{head['processor']}, {head['threads']} threads, {head['precision']}, {head['date']}. "
        f"{'; '.join(f'{part} by {by}' for part, by in made['made_by'].items())}.",
        "",
        "| criterion | value | limit | reached | a run fails beyond |",
        "|---|---|---|---|---|",
        *(f"| {one.what} | {one.value} | {one.limit} | {one.verdict} | {one.margin} |" for one in criteria(made)),
        "",
        *(_rounds(made) if made.get("rounds") else []),
        *(_held(made["memory"]) if made.get("memory") else []),
        *(_steps(made["walk"]) if made.get("walk") else []),
    ]
    return "\n".join(lines) + "\n"


def _rounds(made: Made) -> list[str]:
    found, rounds = ratios(made), made["rounds"]
    size, tokens = sum(one["bytes"] for one in rounds), sum(one["tokens"] for one in rounds)
    lines = [
        "## End to end",
        "",
        f"{len(rounds)} rounds, each over {rounds[0]['bytes'] / 1e6:.1f} MB of seeded Markdown of its own: "
        f"{sum(one['pages'] for one in rounds)} pages, {size / 1e6:.1f} MB, "
        f"{sum(one['chunks'] for one in rounds)} chunks, "
        f"{tokens} tokens in all. In a round the whole job (from the first look at the storage to `_SUCCESS`: reading, "
        "cutting, encoding, writing, committing) and the engine alone over the same chunks (whole requests, two at a "
        "time) take turns at being first, in one process with the model open; the peer comes last. Its script is "
        "given the chunks of the first part of each round, reads and cuts nothing, and sorts a thousand documents by "
        "length at a time, or goes document by document. Planning, which reads every file once to count its documents, "
        "has a row of its own. On a processor without native bfloat16 both compute in float32, and products of "
        "matrices set the pace of both.",
        "",
        "| | median | lowest | highest |",
        "|---|---|---|---|",
    ]
    names = {
        "tokens_per_s": "tokens/s, whole job",
        "alone_tokens_per_s": "tokens/s, engine alone",
        "peer_tokens_per_s": "tokens/s, sentence-transformers, a thousand documents in a call",
        "peer_each_tokens_per_s": "tokens/s, sentence-transformers, document by document",
        "share": "whole job to engine alone",
        "share_with_planning": "the same, with planning",
        "commits": "commit and check calls, share of the job's time",
        "parts": "storing of parts, share of the job's time (beside the engine, in another thread)",
        "prepare_mb_per_s": "MB/s, reading and cutting alone, one thread",
        "plan_mb_per_s": "MB/s, planning",
    }
    rows = [(text, found[name]) for name, text in names.items() if name in found]
    return (
        lines + [f"| {text} | {row['median']:.4g} | {row['min']:.4g} | {row['max']:.4g} |" for text, row in rows] + [""]
    )


def _held(found: Made) -> list[str]:
    shown = found["samples"][:: max(1, len(found["samples"]) // 20)]
    return [
        "## Memory",
        "",
        f"{found['bytes'] / 1e6:.0f} MB in {found['pages']} pages, {found['shards']} shards, vectors from hashes: "
        f"{found['run_s']:.0f} s ({found['mb_per_s']:.2f} MB/s), planning {found['plan_s']:.0f} s. One thread reads "
        f"{found['read_mb_per_s']:.1f} MB/s, and cuts what was read at {found['cut_mb_per_s']:.2f} MB/s.",
        "",
        f"Anonymous memory, MB by second: {', '.join(f'{at:.0f}: {held:.0f}' for at, held in shown)}",
        "",
    ]


def _steps(walk: Made) -> list[str]:
    rows = [f"| `{step['command']}` | {step['seconds']:.1f} | {step['said']} |" for step in walk["steps"]]
    return ["## As commands", "", "| command | s | what it said |", "|---|---|---|", *rows, ""]


def _percent(found: dict[str, float]) -> str:
    return f"{found['median']:.1%} ({found['min']:.1%} to {found['max']:.1%})"
