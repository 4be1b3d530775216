"""Results -> Markdown tables and a picture beside them.

python bench/report.py bench/results/compare.json      # writes compare.md and compare.svg anew
"""

import json
import sys
from html import escape
from pathlib import Path

from aims import aims, default_name, rate

Made = dict
WIDE, LEFT, ROW, TOP = 760, 230, 24, 54


def write(path: Path) -> None:
    """The table and the picture beside a result, with what quality.py and large.py left in the same folder."""
    made, scored, large = (_read(path.with_name(name)) for name in (path.name, "quality.json", "large.json"))
    path.with_suffix(".md").write_text(table(made, scored, large))
    path.with_suffix(".svg").write_text(picture(made))


def _read(path: Path) -> Made | None:
    return json.loads(path.read_text()) if path.exists() else None


# ------------------------------------------------------------------------------------------------ the table


def table(made: Made, scored: Made | None, large: Made | None) -> str:
    """The whole page."""
    parts = ["# Side by side", _head(made), "![texts per second](compare.svg)", *_contenders(made), *_sets(made)]
    parts += _skipped(made) + _aims(made, scored, large)
    parts += _large(large) if large else []
    return "\n\n".join(parts) + "\n"


def _head(made: Made) -> str:
    machine = made["machine"]
    limits = ", ".join(f"{v['median']:.0f} GFLOP/s {name}" for name, v in made["limit_gflops"].items())
    quick = " **A trial run (`--quick`): no result.**" if made["quick"] else ""
    return (
        f"{made['model']}, {made['threads']} threads of {machine['processor']} ({', '.join(machine['flags'])}), "
        f"{machine['date']}, commit {machine['commit']}; medians of {made['rounds']} interleaved rounds, with the "
        "range. "
        f"Matrix products alone reach {limits} in the same run.{quick} Made by `{made['command']}`."
    )


def _contenders(made: Made) -> list[str]:
    rows = [
        "| | mixed texts/s | to ours | share of limit | batch, order | padding | one query p50 / p99 ms "
        "| first vector s | anonymous / peak MB | cosine to float64 least / mean | alone to in batch, least |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    own = rate(made, default_name(made))
    for name, one in _ranked(made):
        speed, latency, memory, close = (one["speed"]["mixed"], one["latency_ms"], one["memory"], one["fidelity"])
        share, padding = speed["share_of_limit"], speed["padding"]
        cosine, alone = close["cosine_to_float64"], close["cosine_alone_to_in_batch"]
        ratio = speed["texts_per_s"]["median"] / own if own else None
        cells = [
            f"**{name}**" if name.startswith("embedstack") else name,
            _range(speed["texts_per_s"]),
            "–" if ratio is None else f"{ratio:.2f} x",
            "–" if share is None else f"{share:.0%}",
            _setting(name, one["best"]["mixed"]),
            "–" if padding is None else f"{padding:.0%}",
            f"{latency['p50']:.1f} / {latency['p99']:.1f}",
            f"{one['start_s']['median']:.2f}",
            f"{memory['anonymous_mb']:.0f} / {memory['peak_mb']:.0f}",
            f"{cosine['min']:.7f} / {cosine['mean']:.7f}",
            f"{alone['min']:.7f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    server, bare = made["server"], made["bare_imports_s"]
    after = (
        f"embedstack's server, after answering the mixed texts: {server['anonymous_mb']:.0f} MB anonymous and "
        f"{server['file_backed_mb']:.0f} MB of file pages. Importing the libraries alone: {bare['median']:.2f} s."
    )
    return ["## All-round", "\n".join(rows), after]


def _sets(made: Made) -> list[str]:
    names = list(made["sets"])
    rows = [f"| texts/s | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    rows += [
        f"| {name} | {' | '.join(_range(one['speed'][text]['texts_per_s']) for text in names)} |"
        for name, one in _ranked(made)
    ]
    about = [
        f"- *{name}*: {one['texts']} texts, {one['mean_tokens']:.0f} tokens on average, {one['least_tokens']} to "
        f"{one['most_tokens']}: {one['from']}"
        for name, one in made["sets"].items()
    ]
    return ["## Text sets", "\n".join(about), "\n".join(rows)]


def _skipped(made: Made) -> list[str]:
    lines = [f"- {name}: {reason}" for name, reason in made["skipped"].items()]
    return ["## Not here", "\n".join(lines)] if lines else []


def _aims(made: Made, scored: Made | None, large: Made | None) -> list[str]:
    rows = ["| | aim | measured | reached |", "|---|---|---|---|"]
    rows += [f"| {aim.what} | {aim.aim} | {aim.measured} | {aim.verdict} |" for aim in aims(made, scored, large)]
    return ["## Aims", "Set for two cores with native bfloat16.", "\n".join(rows)]


def _large(large: Made) -> list[str]:
    rows = ["| | measured here | claimed elsewhere |", "|---|---|---|"]
    rows += [f"| {row['what']} | {row['measured']} | {row['claim']} |" for row in large["rows"]]
    machine = large["machine"]
    head = (
        f"{'Two layers (`--quick`)' if large['quick'] else 'Full size'}, drawn weights, {large['default']}, "
        f"{machine['processor']}, {machine['date']}, commit {machine['commit']}."
    )
    return ["## BGE-M3 and bge-reranker-v2-m3", head, "\n".join(rows)]


def _ranked(made: Made) -> list[tuple[str, Made]]:
    return sorted(made["contenders"].items(), key=lambda pair: -pair[1]["speed"]["mixed"]["texts_per_s"]["median"])


def _range(value: Made) -> str:
    digits = 0 if value["median"] >= 20 else 1
    return f"{value['median']:.{digits}f} ({value['min']:.{digits}f}–{value['max']:.{digits}f})"


def _setting(name: str, best: Made) -> str:
    if name.startswith("embedstack"):
        return "its own"
    return f"{best['batch']}, {'sorted' if best['sorted'] else 'as given'}"


# ------------------------------------------------------------------------------------------------ the picture


def picture(made: Made) -> str:
    """Bars of texts per second on the mixed set, the range as a line; readable on light and dark pages."""
    ranked = _ranked(made)
    most = max((one["speed"]["mixed"]["texts_per_s"]["max"] for _, one in ranked), default=1)
    scale, high = (WIDE - LEFT - 70) / most, TOP + ROW * len(ranked) + 12
    machine = made["machine"]
    title = f"{made['model']}: texts per second, {made['sets']['mixed']['mean_tokens']:.0f} tokens on average"
    about = (
        f"{made['threads']} threads of {machine['processor']}; median and range of {made['rounds']} interleaved rounds"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE}" height="{high}" viewBox="0 0 {WIDE} {high}">',
        "<style>text{font:13px system-ui,sans-serif;fill:#6e7781}.title{font-size:15px;font-weight:600}"
        ".ours{fill:#1a7f6b}.theirs{fill:#a3abb4}line{stroke:#24292f;stroke-width:1.5;opacity:.6}</style>",
        f'<text class="title" x="8" y="20">{escape(title)}</text><text x="8" y="40">{escape(about)}</text>',
    ]
    for place, (name, one) in enumerate(ranked):
        rate_, y = one["speed"]["mixed"]["texts_per_s"], TOP + ROW * place
        kind = "ours" if name.startswith("embedstack") else "theirs"
        ends = [LEFT + rate_[end] * scale for end in ("min", "max")]
        middle, wide = y + ROW / 2, rate_["median"] * scale
        parts += [
            f'<text x="{LEFT - 8}" y="{middle + 4:.0f}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{y + 3}" width="{wide:.1f}" height="{ROW - 7}" rx="2"/>',
            f'<line x1="{ends[0]:.1f}" y1="{middle}" x2="{ends[1]:.1f}" y2="{middle}"/>',
            f'<text x="{ends[1] + 6:.1f}" y="{middle + 4:.0f}">{rate_["median"]:.0f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
