"""A result of loading.py -> what was aimed at, and a page. Pure."""

from load_verdict import Criterion

Made = dict
QUESTION_MS = 50.0  # of the folder, over as many rows as it is meant for
MEANT_ROWS = 100_000


def criteria(made: Made) -> list[Criterion]:
    """What is aimed at."""
    p50_ms, rows = made["databases"]["embedded"]["query"]["p50_ms"], made["rows"]
    what = f"a question to the folder over {rows:,} rows of {made['dim']}, p50"
    if rows > MEANT_ROWS:
        return [Criterion(what, f"{p50_ms} ms", f"none above {MEANT_ROWS:,} rows")]
    reached, failed = p50_ms <= QUESTION_MS, p50_ms > 2 * QUESTION_MS
    return [Criterion(what, f"{p50_ms} ms", f"<= {QUESTION_MS:g} ms", reached, failed, "twice the limit")]


def page(made: Made) -> str:
    """Markdown."""
    head = made["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    return "\n".join([
        "# Loading a table into a database",
        "",
        f"{head['processor']}, {head['threads']} threads, {head['date']}, commit {head['commit']}, Python "
        f"{head['python']}, {versions}. Made by `{made['command']}`: {made['rows']:,} rows of {made['dim']} numbers "
        f"and a text of some 60 words, {made['rounds']} interleaved rounds; the middle one, and the range. Ratios are "
        "of one round. `load` reads the table, checks every vector, writes whose they are, leaves marks, reads rows "
        "back; the plain ways begin with all rows in memory and do nothing but write.",
        "",
        f"Reading the table alone: {_range(made['reading'])} rows/s.",
        "",
        "| database | way | rows/s | `load` by it |",
        "|---|---|---|---|",
        *(row for name, one in made["databases"].items() for row in _rows(name, one)),
        "",
        f"{made['questions']:,} questions one after the other for the best ten, over what the last round loaded:",
        "",
        "| database | first | p50 | p99 | found of the exact ten |",
        "|---|---|---|---|---|",
        *(_asked(name, one["query"]) for name, one in made["databases"].items()),
        "",
        "| criterion | value | limit | reached |",
        "|---|---|---|---|",
        *(f"| {one.what} | {one.value} | {one.limit} | {one.verdict} |" for one in criteria(made)),
        "",
        "- *qdrant* is Qdrant's engine in a process of its own, behind a REST facade that is ours and looks at every "
        "point. Its numbers say what the client and our side of it cost, and nothing of a Qdrant server.",
        "- *pgvector*: `load` makes the HNSW index first, so that the table can be asked while it fills. Vectors here "
        "are drawn and all far from each other, which is hard on such an index.",
    ]) + "\n"  # fmt: skip


def _rows(name: str, one: Made) -> list[str]:
    ways = [f"| | {way} | {_range(of['rows_per_s'])} | {of['ours_by_it']['median']:g} ({of['ours_by_it']['min']:g} to "
            f"{of['ours_by_it']['max']:g}) |" for way, of in one["plain"].items()]  # fmt: skip
    by = one["ours_by_reading"]
    return [
        f"| **{name}** ({one['about']}) | **`load`** | **{_range(one['ours'])}** | of reading alone {by['median']:g} |",
        *ways,
    ]


def _asked(name: str, query: Made) -> str:
    first, p50, p99 = (f"{query[key]} ms" for key in ("first_ms", "p50_ms", "p99_ms"))
    return f"| {name} | {first} | {p50} | {p99} | {query['of_exact_ten']:.1%} |"


def _range(of: Made) -> str:
    return f"{of['median']:,.0f} ({of['min']:,.0f} to {of['max']:,.0f})"
