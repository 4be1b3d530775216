"""A result of loading.py -> what was aimed at, and a page. Pure."""

from load_verdict import Criterion

Made = dict
QUESTION_MS = 50.0  # of the folder, over as many rows as it is meant for
MEANT_ROWS = 100_000
KEEPS_UP = 0.9  # of the slower of two rates


def criteria(made: Made) -> list[Criterion]:
    """What is aimed at."""
    return [_asking(made), *(_keeping_up(made, name) for name in made["databases"])]


def _asking(made: Made) -> Criterion:
    p50_ms, rows = made["databases"]["embedded"]["query"]["p50_ms"], made["rows"]
    what = f"a question to the folder over {rows:,} rows of {made['dim']}, p50"
    if rows > MEANT_ROWS:
        return Criterion(what, f"{p50_ms} ms", f"none above {MEANT_ROWS:,} rows", None, False)
    reached, failed = p50_ms <= QUESTION_MS, p50_ms > 2 * QUESTION_MS
    return Criterion(what, f"{p50_ms} ms", f"<= {QUESTION_MS:g} ms", reached, failed, "twice the limit")


def _keeping_up(made: Made, name: str) -> Criterion:
    """A load is as fast as who makes its rows, or as the database's fastest way to the same end."""
    one, engine = made["databases"][name], made["engine"]["chunks_per_s"]["median"]
    way, plain = max(
        ((way, of["rows_per_s"]["median"]) for way, of in one["plain"].items() if of["is_alike"]),
        key=lambda pair: pair[1],
    )
    slower, share = min(engine, plain), one["ours"]["median"] / min(engine, plain)
    of = "the engine" if engine <= plain else "the plain way"
    what = (
        f"`load` into {name} by the slower of the engine ({engine:,.0f} chunks/s) and its fastest plain way ({way}: "
        f"{plain:,.0f} rows/s)"
    )
    value = f"{one['ours']['median']:,.0f} rows/s, {share:.2f} of {slower:,.0f}, which is {of}"
    return Criterion(what, value, f">= {KEEPS_UP:g}", share >= KEEPS_UP, share < KEEPS_UP)


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
        f"Reading the table alone: {_range(made['reading'])} rows/s. The engine with {made['engine']['model']} over "
        f"chunks of this table ({made['engine']['tokens']} tokens each): {_range(made['engine']['chunks_per_s'])} "
        "chunks/s.",
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
        "- *pgvector*: `load` builds the HNSW index of a new table once all rows are there, with the server's own "
        "`maintenance_work_mem` of 64 MB; the plain way has 512 MB. Vectors here are drawn and all far from each "
        "other, which is hard on such an index.",
        "- An engine on a GPU makes more chunks a second; beside one that is faster than the plain way, `load` is held "
        f"to {KEEPS_UP:g} of that, and the fourth column above says where it is.",
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
