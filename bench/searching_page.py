"""A result of searching.py -> a page. Pure."""

from searching_functions import MILLION
from searching_ways import SLOW_MS

Made = dict
BUSY = 2.5  # processes that run or wait, on two processors; this one and who answers it are between 1 and 2
SHOWN = {"embedded": "the folder", "pgvector": "pgvector", "qdrant": "Qdrant's engine"}


def page(made: Made) -> str:
    """Markdown."""
    head, words = made["machine"], made["words"]
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    about = ", ".join(made["about"].values())
    notes = dict.fromkeys(f"- {_named(way)}: {note}" for way in made["ways"] for note in way["notes"])
    parts = [
        "# What a search takes, and the functions behind it",
        f"{head['processor']}, {head['threads']} threads, {head['date']}, commit {head['commit']}, Python "
        f"{head['python']}, {about}, {versions}. Made by `{made['command']}` in {made['took_s']} s. {_load(made)}",
        "## Search",
        f"{made['points']:,} points, each with a dense vector of {made['dim']} numbers and BM25's weights; "
        f"{made['questions']} different questions, read by {made['model']}, each for the best ten. All databases "
        f"answer a question in all ways before the next one comes, in turn. A way that takes more than {SLOW_MS:g} ms "
        f"is asked less often. In brackets: where the percentile lies in 95 % of such runs, from the order of the "
        "samples alone; the same questions come again, and what else ran on the machine is in it.",
        _table(
            ("database", "asked", "samples", "p50 ms", "p99 ms", "of the folder's ten"),
            [_whole(way) for way in made["ways"]],
        ),
        "The same by stage: the question's vector by the model, and the rest that is not planning (questions to the "
        "database, and fusion where it is made here).",
        _table(
            ("database", "asked", "embedding p50 ms", "p99 ms", "database p50 ms", "p99 ms", "fused"),
            [_stages(way) for way in made["ways"]],
        ),
        "\n".join([
            "- *Qdrant's engine* runs in a process of its own behind a REST facade that is ours. **It is no Qdrant "
            "server**: it has no HNSW graph, looks at every point, and its HTTP is Python's. Nothing of a server's "
            "speed follows from it.",
            "- *the folder* compares every point, too; its first question, which reads all vectors, is not counted. "
            "*pgvector* has an HNSW index over dense vectors, made after all rows were there, with its usual settings, "
            "and compares sparse ones one by one, twice: once for how rare each term is.",
            "- Points are drawn: vectors lie around those of the questions at cosines of 0.2 to 0.9, passages are a "
            f"sentence among made words ({words['terms']:,} different terms, {words['terms_of_a_point']:g} of a point; "
            f"a question has {words['terms_of_a_question']:g}, of which the median one is in "
            f"{words['share_with_a_questions_term']:.1%} of all points). So nothing here says how good answers are, "
            "and BM25 is faster or slower with other words.",
            "- *of the folder's ten*: how many of its ten points, which are exact, are among these ten. Points of "
            "equal scores may differ, too.",
            "- One question at a time: nothing here says how many a second a database can answer.",
            *notes,
        ]),
        "## Pure functions, for a million rows",
        f"One process, on data that is drawn. Where fewer than {MILLION:,} rows were measured, the last column is "
        "**reckoned** (~) from the largest size, linear or quadratic as the column says; *twice took* is how many "
        "times as long all rows took as half of them, which for linear growth is 2 and for quadratic 4: where it is "
        "far from that, the reckoned figure is rough.",
        _table(
            ("function", "a row is one of the", "rows", "s (range)", "twice took", "grows", "a million rows"),
            [_function(one) for one in made["functions"]],
        ),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _load(made: Made) -> str:
    start, questions = made["load"]["start"], made["load"]["questions"]
    busy = "; **others were at work on the machine, so figures are too high**" if max(start, questions) >= BUSY else ""
    return (
        f"Load average of a minute before the start: {start:g}; when all questions were answered, this run included: "
        f"{questions:g}{busy}."
    )


def _named(way: Made) -> str:
    return f"{SHOWN[way['database']]}, {way['kind']}"


def _whole(way: Made) -> tuple[str, ...]:
    p50, p99 = (_interval(way["whole_ms"][one]) for one in ("p50", "p99"))
    return SHOWN[way["database"]], way["kind"], f"{way['samples']:,}", p50, p99, f"{way['same_ten']:.1%}"


def _stages(way: Made) -> tuple[str, ...]:
    is_read = way["kind"] != "BM25"
    embedding = [_interval(way["embed_ms"][one]) if is_read else "none" for one in ("p50", "p99")]
    search = [_interval(way["search_ms"][one]) for one in ("p50", "p99")]
    fused = "" if way["kind"] != "hybrid" else "there" if way["fuse_ms"] is None else f"here, {way['fuse_ms']:g} ms"
    return SHOWN[way["database"]], way["kind"], *embedding, *search, fused


def _interval(found: Made) -> str:
    high = "no end" if found["high"] is None else f"{found['high']:.1f}"
    return f"{found['value']:.1f} [{found['low']:.1f}, {high}]"


def _function(one: Made) -> tuple[str, ...]:
    took = one["took_s"]
    sign = "" if one["rows"] == MILLION else "~ "
    return (
        f"`{one['name']}`",
        one["of"],
        f"{one['rows']:,}",
        f"{took['median']:.3g} ({took['min']:.3g} to {took['max']:.3g})",
        f"{one['twice_took']:g}",
        one["grows"],
        f"{sign}{_duration(one['million_s'])}",
    )


def _duration(took_s: float) -> str:
    for limit, unit, size in ((1.0, "ms", 1e-3), (600.0, "s", 1.0), (36_000.0, "min", 60.0)):
        if took_s < limit:
            return f"{took_s / size:.3g} {unit}"
    return f"{took_s / 3600:.3g} h"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))
