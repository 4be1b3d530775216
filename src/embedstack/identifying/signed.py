"""What a collection says of its vectors, beside what was found of them -> whether it is so. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from embedstack.identifying.judging import Finding
from embedstack.identifying.recipe import Recipe
from embedstack.origin import LATE, Origin

State = Literal["unsigned", "agrees", "contradicts", "not tried", "late"]


@dataclass(frozen=True, slots=True)
class Signed:
    """Whether the signature holds, in a sentence; "late": the texts of chunks cannot show it."""

    state: State
    says: str


def beside(origin: Origin | None, finding: Finding, tried: Collection[str]) -> Signed:
    """The signature and the finding.

    Args:
        tried: spaces of the models that were.
    """
    if origin is None:
        return Signed("unsigned", "nobody has signed these vectors")
    whose = f"they are signed as of {origin.name}, role {origin.role}"
    found = [match.recipe for match in (finding.best, *finding.tied) if match is not None]
    if finding.verdict == "none":
        if origin.identity.space not in tried:
            return Signed("not tried", f"{whose}; that model is not among those that were tried")
        if origin.late_chunking:
            return Signed("late", f"{whose}; {LATE}, so that is neither shown nor refuted")
        return Signed("contradicts", f"{whose}, and that model makes other vectors of these texts")
    if not any(_is_said(recipe, origin) for recipe in found):
        return Signed("contradicts", f"{whose}, and what was found is another recipe")
    if finding.verdict == "mixed":
        return Signed("contradicts", f"{whose}, and {finding.second.fits if finding.second else 0} rows are not")
    return Signed("agrees", f"{whose}, and so they are")


def _is_said(recipe: Recipe, origin: Origin) -> bool:
    """By its space; a model that no graph of ours computed has another, so there its name and revision tell."""
    spec, identity = recipe.spec, origin.identity
    is_same = spec.space == identity.space or (
        bool(identity.encoder) and (spec.name, spec.revision) == (identity.model, identity.revision)
    )
    return is_same and recipe.is_own and spec.prompts.get(origin.role, "") == recipe.reading.prompt
