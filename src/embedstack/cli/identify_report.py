"""What was found of stored vectors -> a table and sentences for people, or JSON for machines."""

import json
from collections.abc import Iterator, Sequence

from embedstack.identifying.identify import Identified
from embedstack.identifying.judging import Match
from embedstack.identifying.recipe import Recipe
from embedstack.identifying.telling import LENGTHS, confidence, notes, ties, use, verdict

COLUMNS = ("MODEL", "POOLING", "PROMPT", "CUT", "OTHERWISE", "ROWS", "COSINE")


def as_text(found: Identified) -> str:
    """Lines: what was looked at, the recipes that matter, the verdict, and what to do."""
    lines = [_looked_at(found), "", *_table(found), "", verdict(found)]
    for name, said in _said(found):
        lines.append(f"{name}: {said}")
    return "\n".join(lines)


def as_json(found: Identified) -> str:
    """One object."""
    finding, sample = found.finding, found.sample
    evidence = finding.evidence
    made = {
        "source": sample.pool.label,
        "verdict": finding.verdict,
        "says": verdict(found),
        "best": _match(finding.best),
        "tied": [_match(one) for one in finding.tied],
        "ties": [*ties(found)],
        "second": _match(finding.second),
        "nearest": [_match(one) for one in finding.nearest],
        "lengths": finding.lengths,
        "confidence": evidence
        and {
            "runner_up": _recipe(evidence.runner_up),
            "rows": evidence.rows,
            "cosine": 1 - evidence.best,
            "runner_up_cosine": 1 - evidence.next,
            "times_the_noise": evidence.times,
        },
        "noise": {"usual": found.noise.usual, "most": found.noise.most, "stored": found.noise.stored},
        "signed": {"state": found.signed.state, "says": found.signed.says},
        "rows": {
            "total": sample.pool.total,
            "looked_at": sample.looked_at,
            "without_text": sample.textless,
            "without_direction": sample.unsound,
            "compared": finding.rows,
            "unfit": [sample.rows[place].place for place in finding.unfit],
        },
        "text": sample.wording.key,
        "dim": sample.dim,
        "stored_as": sample.stored.name,
        "held_to": found.held,
        "tried": list(found.tried),
        "not_tried": [{"model": one.name, "why": one.why} for one in found.absent],
        "notes": [*notes(found)],
        "use": [*use(found)],
    }
    return json.dumps(made, ensure_ascii=False, indent=2)


def _looked_at(found: Identified) -> str:
    sample = found.sample
    sizes = [len(text) for text in sample.texts]
    total = f" of {sample.pool.total:,}" if sample.pool.total is not None else ""
    return (
        f"{sample.pool.label}: {len(sample.rows)}{total} rows, {sample.dim} numbers stored as {sample.stored.name}, "
        f"texts under {sample.wording.shown} of {min(sizes):,} to {max(sizes):,} characters"
    )


def _said(found: Identified) -> Iterator[tuple[str, str]]:
    finding = found.finding
    yield from (("tie", said) for said in ties(found))
    yield from (("confidence", said) for said in confidence(found))
    if finding.best:
        why = f": {found.sample.reshaped}" if finding.lengths == "not judged" else ""
        yield "lengths", LENGTHS[finding.lengths] + why
    yield "signed", found.signed.says
    yield from (("note", said) for said in notes(found))
    yield from (("use", said) for said in use(found))
    yield from (("not tried", f"{one.name}: {one.why}") for one in found.absent)


def _table(found: Identified) -> list[str]:
    finding = found.finding
    shown = [finding.best, *finding.tied, finding.second, *finding.nearest]
    lines = [COLUMNS, *(_cells(match, found) for match in shown if match)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _cells(match: Match, found: Identified) -> Sequence[str]:
    recipe, reading = match.recipe, match.recipe.reading
    prompt = repr(reading.prompt) if reading.prompt else "none"
    cut = f"{reading.max_tokens}{' (own)' if reading.max_tokens == recipe.spec.max_tokens else ''}"
    fits = f"{match.fits}/{found.finding.rows}"
    return recipe.spec.name, recipe.pooling, prompt, cut, _otherwise(recipe, found), fits, f"{match.cosine:.7f}"


def _otherwise(recipe: Recipe, found: Identified) -> str:
    wording = recipe.reading.wording
    texts = [] if wording == found.sample.wording else [f"text {wording.shown}"]
    shown = [stray for stray in recipe.strays if stray not in ("pooling", "prompt", "cut")]
    width = [f"{recipe.dim} of {recipe.spec.dim} numbers"] if recipe.dim != recipe.spec.dim else []
    return ", ".join([*texts, *width, *shown]) or "-"


def _match(match: Match | None) -> dict[str, object] | None:
    if match is None:
        return None
    return {**_recipe(match.recipe), "fits": match.fits, "cosine": match.cosine, "least": match.least}


def _recipe(recipe: Recipe) -> dict[str, object]:
    reading = recipe.reading
    return {
        "model": recipe.spec.name,
        "revision": recipe.spec.revision,
        "space": recipe.spec.space,
        "pooling": recipe.pooling,
        "prompt": reading.prompt,
        "role": recipe.role,
        "max_tokens": reading.max_tokens,
        "truncate": reading.truncate,
        "case": reading.case,
        "special_tokens": not reading.is_bare,
        "graph": recipe.graph,
        "dim": recipe.dim,
        "levelled": recipe.is_levelled,
        "text": reading.wording.shown,
        "strays": list(recipe.strays),
        "says": recipe.says(),
    }
