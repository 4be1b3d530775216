"""A calibration -> text for a terminal, Markdown, or an HTML page with both histograms and the thresholds. Pure."""

from collections.abc import Iterator
from html import escape

from embedstack.charts.histogram import Pile, histogram
from embedstack.evals.calibration import Calibration, Chosen, Effect
from embedstack.evals.reports import as_markdown as markdown
from embedstack.evals.reports import markup
from embedstack.evals.reports.columns import aligned, filled
from embedstack.evals.reports.figures import NONE, figure, measured, share, span
from embedstack.evals.reports.wording import whose

HEAD = ("threshold", "from", "called the same", "precision", "recall", "F1")
THRESHOLDS = "Thresholds and what they do"


def calibration_text(calibration: Calibration) -> str:
    """At most 110 columns wide; it ends with a line break."""
    parts = (
        "\n".join(map(filled, (_headline(calibration), *_sentences(calibration)))),
        aligned(HEAD, _rows(calibration)),
        "\n".join(filled(f"- {remark}") for remark in _remarks(calibration)),
        "\n".join(filled(f"{name}: {value}") for name, value in _facts(calibration)),
    )
    return "\n\n".join(parts) + "\n"


def calibration_markdown(calibration: Calibration) -> str:
    """For a comment or a page of docs; it ends with a line break."""
    parts = (
        f"## {markdown.words(_headline(calibration))}",
        "\n\n".join(map(markdown.words, _sentences(calibration))),
        markdown.table(HEAD, _rows(calibration)),
        markdown.bullets(_remarks(calibration)),
        f"### Where this is from\n\n{markdown.table(('what', 'is'), _facts(calibration), 2)}",
    )
    return "\n\n".join(parts) + "\n"


def calibration_html(calibration: Calibration) -> str:
    """A page that loads nothing and runs nothing."""
    title = f"Calibration of {calibration.identity.model if calibration.identity else 'cosines'}"
    body = "".join((
        f"<h1>{escape(title)}</h1>",
        markup.paragraph(_headline(calibration), "verdict"),
        *map(markup.paragraph, _sentences(calibration)),
        markup.section("Cosines", markup.picture("pairs by cosine, and dashed the thresholds", _picture(calibration))),
        markup.section("Thresholds", markup.table(THRESHOLDS, HEAD, _with_spans(calibration))),
        markup.section("Notes", markup.bullets(_remarks(calibration))),
        markup.section("Where this is from", markup.table("Data and model", ("what", "is"), _facts(calibration), 2)),
    ))  # fmt: skip
    return markup.page(title, body)


def _with_spans(calibration: Calibration) -> list[list[markup.Cell]]:
    """With each interval in a line of its own."""
    parted = ([cell.partition(" [") for cell in row] for row in _rows(calibration))
    return [[markup.with_span(value, f"[{rest}") if sign else value for value, sign, rest in row] for row in parted]


def _picture(calibration: Calibration) -> str:
    """Of the bins between the first and the last that hold a pair."""
    held = [place for place, one in enumerate(calibration.bins) if one.same or one.other]
    bins = calibration.bins[held[0] : held[-1] + 1] if held else ()
    groups = (f"the same: {calibration.same:,}", f"not the same: {calibration.pairs - calibration.same:,}")
    piles = [Pile(one.low, one.high, one.same, one.other) for one in bins]
    named = _lines(calibration)
    cuts = ", ".join(name for name, _ in named)
    return histogram(f"Cosines of pairs; above {groups[0]}, below {groups[1]}; {cuts}", piles, groups, named)


# ------------------------------------------------------------------------------------------------ what all forms say


def _headline(calibration: Calibration) -> str:
    """The threshold of the best F1, or that there is none."""
    best = calibration.best.threshold
    if best is None:
        return f"No threshold: {calibration.best.reason}"
    return f"Two texts mean the same from a cosine of {figure(best)}"


def _sentences(calibration: Calibration) -> Iterator[str]:
    """What that means, for people who never saw such figures."""
    best = calibration.best
    if best.drawn:
        often = share(calibration.confidence)
        yield (
            f"That is the threshold of the {best.rule}. It would lie in {span(best.drawn)} {often} of the time if other"
            " pairs like these had been drawn."
        )
    if best.held_out:
        yield f"Of pairs on which it was not chosen {_effect(best.held_out)}."
    yield (
        f"A pair that is the same has a higher cosine than one that is not in {share(calibration.auc)} of cases "
        f"(AUC {figure(calibration.auc)}, 0.5 is chance); rank correlation with the grades: "
        f"{figure(calibration.spearman)} (Spearman)."
    )


def _effect(effect: Effect) -> str:
    if effect.precision is None:
        return f"it calls none the same, and so finds {share(effect.recall.value)} of those that are"
    right = f"of which {share(effect.precision.value)} are"
    return f"it calls {effect.called:,} the same, {right}; it finds {share(effect.recall.value)} of those that are"


def _rows(calibration: Calibration) -> list[tuple[str, ...]]:
    """One for each threshold, below `HEAD`: those that were looked for, and those that are fixed."""
    chosen = [_chosen(one) for one in (calibration.best, *calibration.precise)]
    return [*chosen, *(("fixed", *_cells(one)) for one in calibration.fixed)]


def _chosen(chosen: Chosen) -> tuple[str, ...]:
    if chosen.held_out is None:
        return (chosen.rule, NONE if chosen.threshold is None else figure(chosen.threshold), *[NONE] * 4)
    return (chosen.rule, *_cells(chosen.held_out))


def _cells(effect: Effect) -> tuple[str, ...]:
    precision, recall = measured(effect.precision), measured(effect.recall)
    return figure(effect.threshold), f"{effect.called:,}", precision, recall, figure(effect.f1)


def _remarks(calibration: Calibration) -> Iterator[str]:
    """How each was chosen, and what a reader must know."""
    yield "thresholds that were chosen are judged on the other half of the pairs, those that are fixed on all pairs"
    yield from (f"{one.rule}: {one.reason}" for one in (calibration.best, *calibration.precise))
    yield from calibration.notes


def _lines(calibration: Calibration) -> list[tuple[str, float]]:
    """Name and place of each threshold."""
    chosen = ((one.rule, one.threshold) for one in (calibration.best, *calibration.precise))
    fixed = (("fixed", one.threshold) for one in calibration.fixed)
    return [(f"{name}: {figure(at)}", at) for name, at in (*chosen, *fixed) if at is not None]


def _facts(calibration: Calibration) -> list[tuple[str, str]]:
    """Where the figures are from."""
    said = [
        ("data", calibration.data),
        ("digest of the data", calibration.digest),
        ("model", whose(calibration.identity) if calibration.identity else ""),
        ("texts were read as", calibration.role),
        ("pairs", f"{calibration.pairs:,}"),
        (f"the same: grade {calibration.same_from:g} or higher", f"{calibration.same:,}"),
        ("thresholds were chosen on", f"{calibration.chosen_on:,} pairs"),
        ("and judged on", f"{calibration.held_out:,} other pairs"),
        ("texts that were cut", f"{calibration.truncated:,}"),
        ("intervals", f"{share(calibration.confidence)}; of the threshold from {calibration.resamples:,} draws"),
        ("seed", str(calibration.seed)),
    ]
    return [(name, value) for name, value in said if value]
