"""What was found -> sentences for people: the verdict, how sure it is, what would break a tie, what to do. Pure."""

from collections.abc import Iterator
from typing import get_args

from embedstack.identifying.identify import Identified
from embedstack.identifying.judging import Lengths
from embedstack.identifying.recipe import Aspect, Recipe, differences
from embedstack.identifying.wording import counted
from embedstack.proof.diagnosis import STRANGE
from embedstack.proof.fidelity import LIMITS

LENGTHS: dict[Lengths, str] = {
    "normalised": "they have length 1, which the model's own have not: they were normalised",
    "not normalised": "they are as long as the model makes them: they were not normalised",
    "normalised before the cut": "they were normalised before they were cut, and not after it",
    "either": "the model makes them of length 1, so whether they were normalised makes no difference",
    "neither": "they are neither of length 1 nor as long as the model makes them: somebody stretched them",
    "not judged": "not judged",
}
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)
FILES: dict[str, str] = {
    "pooling": "pooling_mode in 1_Pooling/config.json",
    "prompt": "prompts in config_sentence_transformers.json",
    "cut": "max_seq_length in sentence_bert_config.json",
    "length": "the module Normalize in modules.json",
}
"""Where a model's folder says what a recipe may have otherwise."""

DOUBTFUL = 0.25  # of the rows: texts that were changed since are fewer


def verdict(found: Identified) -> str:
    """In one sentence."""
    best = found.finding.best
    match found.finding.verdict:
        case "named":
            return f"made by {best.recipe.says()}" if best else ""
        case "tie":
            others = len(found.finding.tied)
            return f"a tie: {best.recipe.says() if best else ''}; or one of {others} that give the same vectors here"
        case "mixed":
            second = found.finding.second
            both = " and ".join(f"{one.fits} by {one.recipe.says()}" for one in (best, second) if one)
            return f"a mix: of {found.finding.rows} rows {both}"
        case "none":
            return f"none of these: no recipe of {_models(found)} made these vectors"


def confidence(found: Identified) -> Iterator[str]:
    """What the verdict rests on, in numbers."""
    finding, best = found.finding, found.finding.best
    if best is None:
        return
    yield (
        f"{best.fits} of {finding.rows} rows fit, at cosine {best.cosine:.7f} (the least {best.least:.7f}), which is "
        f"as near as {_computed(found)} comes"
    )
    if (evidence := finding.evidence) is not None:
        yield (
            f"the next best ({_unlike(evidence.runner_up, best.recipe)}) is told from it by {evidence.rows} rows, to "
            f"which it has cosine {1 - evidence.next:.4f}: {_times(evidence.times)} times as far as vectors in "
            f"{_computed(found)} may be ({evidence.next / evidence.times:.0e})"
        )


def ties(found: Identified) -> Iterator[str]:
    """What would tell them apart."""
    best = found.finding.best
    if best is None:
        return
    tied = [one.recipe for one in found.finding.tied]
    for aspect in ASPECTS:
        alike = [recipe for recipe in tied if differences(recipe, best.recipe) == (aspect,)]
        if alike:
            yield _tie(aspect, [best.recipe, *alike], found)
    rest = [recipe for recipe in tied if len(differences(recipe, best.recipe)) > 1]
    if len(rest) == len(tied):
        yield from (f"on these rows {_unlike(recipe, best.recipe)} gives the same vectors" for recipe in rest)


def _tie(aspect: Aspect, recipes: list[Recipe], found: Identified) -> str:
    usable = [tokens for place, tokens in enumerate(found.tokens) if place not in found.finding.unfit]
    match aspect:
        case "cut":
            cuts = sorted(recipe.reading.max_tokens for recipe in recipes)
            shown = f"{', '.join(map(str, cuts[:-1]))} and {cuts[-1]}"
            return f"no text here has over {max(usable, default=0)} tokens, so cuts at {shown} cannot be told apart"
        case "case":
            return "no text here reads otherwise in lower case, so whether capital letters were kept cannot be told"
        case "side":
            return "no text here is cut, so which end would be cannot be told"
        case "model":
            return f"{' and '.join(recipe.spec.name for recipe in recipes)} give the same vectors"
        case _:
            others = "; ".join(_unlike(recipe, recipes[0]) for recipe in recipes[1:])
            return f"on these rows {others} gives the same vectors"


def notes(found: Identified) -> Iterator[str]:
    """What else should be known."""
    sample, finding = found.sample, found.finding
    looked = f"of {sample.looked_at} rows that were looked at have"
    if sample.textless:
        yield f"{sample.textless} {looked} no text under {sample.wording.shown}"
    if sample.unsound:
        yield f"{sample.unsound} {looked} a vector without a direction"
    if finding.best and finding.unfit:
        shown = ", ".join(sample.rows[place].place for place in finding.unfit[:3])
        yield (
            f"{len(finding.unfit)} of {finding.rows} rows do not fit, such as {shown}: their texts were changed after "
            "they were embedded, or their vectors were made in another way"
        )
    if finding.best and finding.best.recipe.reading.wording != sample.wording:
        yield f"what was embedded is {finding.best.recipe.reading.wording.shown}, not {sample.wording.shown} alone"
    if finding.verdict == "none":
        yield from _hints(found)


def _hints(found: Identified) -> Iterator[str]:
    if found.signed.state == "late":
        yield "the recipe of late chunking cannot be found by the texts of chunks: ask the job's plan for it"
        return
    nearest = found.finding.nearest
    for match in nearest:
        yield f"nearest: {match.recipe.says()}, cosine {match.cosine:.4f}: not it"
    off = 1 - nearest[0].cosine if nearest else 1.0
    others = ", ".join(map(repr, [key for key in counted(found.sample.rows) if key != found.sample.wording.key][:5]))
    if found.moved is not None:
        yield f"yet {found.moved.says()} made them of other texts: they lie beside the wrong rows"
    elif off <= (1 - LIMITS["int8"].least) and found.held != "int8":
        yield "so near come vectors that were computed in 8 bits; if these may have been, add --precision int8"
    elif off < STRANGE:
        yield (
            "so near come weights that were trained further, another version of the model, a prompt that was not tried "
            "(--prompt), or texts that were changed since"
        )
    else:
        yield (
            f"nothing is near: another model made them (--model), or the texts under {found.sample.wording.shown} are "
            f"not what was embedded (--text-key{f'; there are also {others}' if others else ''})"
        )


def use(found: Identified) -> Iterator[str]:
    """What to do with it."""
    best = found.finding.best
    if best is None or found.finding.verdict == "mixed":
        return
    if len(found.finding.unfit) > DOUBTFUL * found.finding.rows:
        yield "too many rows are not of this recipe to sign anything: find out first what made these"
        return
    recipe, name = best.recipe, best.recipe.spec.name
    strays = [*recipe.strays, *_length_stray(found, recipe)]
    if not strays:
        role = "" if recipe.role in ("document", None) else f", whose texts are read as role {recipe.role}"
        yield f"these are vectors of {name} as its files say it{role}: search them with that model"
        if found.signed.state == "unsigned":
            model = name if recipe.spec.revision != "local" else f"PATH/{name}"
            yield f"the next load into them signs them: embedstack load ROWS DATABASE -c NAME --model {model} --claim"
        return
    fixed = [FILES[stray] for stray in strays if stray in FILES]
    if len(fixed) == len(strays):
        yield (
            f"{name} as its files say it makes other vectors; to make such ones, copy its folder (embedstack models "
            f"path {name}), leave embedstack.json out, change {' and '.join(fixed)}, and name the copy"
        )
    else:
        yield f"no setting makes such vectors ({', '.join(strays)}); embed the texts again with {name}"


def _length_stray(found: Identified, recipe: Recipe) -> Iterator[str]:
    """Where lengths are not as the model's files say."""
    made = recipe.spec.is_unit(None, recipe.dim)
    fitting: tuple[Lengths, ...] = ("either", "not judged", "normalised" if made else "not normalised")
    if found.finding.lengths not in fitting:
        yield "length"


def _models(found: Identified) -> str:
    return ", ".join(found.tried)


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _computed(found: Identified) -> str:
    stored = found.sample.stored.name
    return f"{found.finding.computed} stored as {stored}" if stored != "float32" else str(found.finding.computed)


def _unlike(recipe: Recipe, best: Recipe) -> str:
    """In few words, what is other."""
    reading = recipe.reading
    cases = {"own": "case as the model has it", "kept": "capital letters kept", "lowered": "lower-cased"}
    words: dict[Aspect, str] = {
        "model": recipe.spec.name,
        "text": f"text {reading.wording.shown}",
        "prompt": f"prompt {reading.prompt!r}" if reading.prompt else "no prompt",
        "case": cases[reading.case],
        "special tokens": "no special tokens" if reading.is_bare else "special tokens",
        "cut": f"cut at {reading.max_tokens}",
        "side": "the end kept" if reading.truncate == "left" else "the beginning kept",
        "pooling": f"{recipe.pooling} pooling",
        "graph": recipe.graph or "the model's own graph",
        "width": "a norm before the cut" if recipe.is_levelled else "no norm before the cut",
    }
    return ", ".join(words[aspect] for aspect in differences(recipe, best))
