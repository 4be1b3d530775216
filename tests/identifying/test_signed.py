"""What a collection says of its vectors, beside what was found."""

from dataclasses import replace

import pytest

from embedstack.identifying.judging import Finding, Match
from embedstack.identifying.recipe import Reading, Recipe
from embedstack.identifying.signed import beside
from embedstack.identifying.wording import Wording
from embedstack.origin import Identity, Origin
from embedstack.testing.fake import hash_spec

SPEC = replace(hash_spec(), prompts={"document": "passage: ", "query": "query: "})
READING = Reading(wording=Wording("text"), prompt="passage: ", max_tokens=SPEC.max_tokens)
OWN = Recipe(spec=SPEC, reading=READING, pooling=SPEC.pooling, dim=SPEC.dim)
CLS = replace(OWN, pooling="cls")
QUERY = replace(OWN, reading=replace(READING, prompt="query: "))


def origin(
    space: str = SPEC.space, role: str = "document", encoder: str = "", *, late_chunking: bool = False
) -> Origin:
    identity = Identity(
        model=SPEC.name,
        revision=SPEC.revision,
        space=space,
        fingerprint="f",
        dim=SPEC.dim,
        max_tokens=1,
        encoder=encoder,
    )
    return Origin(identity=identity, role=role, late_chunking=late_chunking)


def finding(verdict: str, *recipes: Recipe) -> Finding:
    matches = [Match(recipe=recipe, fits=8, cosine=1.0, least=1.0) for recipe in recipes]
    best = matches[0] if matches else None
    second = matches[1] if verdict == "mixed" else None
    return Finding(verdict=verdict, rows=8, best=best, tied=tuple(matches[1:] if not second else ()), second=second)


NAMED, NONE = finding("named", OWN), finding("none")


@pytest.mark.parametrize(
    ("signed", "found", "tried", "state"),
    [
        (None, NAMED, [SPEC.space], "unsigned"),
        (origin(), NAMED, [SPEC.space], "agrees"),
        (origin(), finding("tie", CLS, OWN), [SPEC.space], "agrees"),
        (origin(), finding("named", CLS), [SPEC.space], "contradicts"),
        (origin(), finding("named", QUERY), [SPEC.space], "contradicts"),
        (origin(role="query"), finding("named", QUERY), [SPEC.space], "agrees"),
        (origin("5" * 32), NAMED, [SPEC.space], "contradicts"),
        (origin("5" * 32, encoder="reference (sentence-transformers)"), NAMED, [SPEC.space], "agrees"),
        (origin(), NONE, [SPEC.space], "contradicts"),
        (origin("5" * 32), NONE, [SPEC.space], "not tried"),
        (origin(), finding("mixed", OWN, CLS), [SPEC.space], "contradicts"),
        (origin(late_chunking=True), NONE, [SPEC.space], "late"),
        (origin("5" * 32, late_chunking=True), NONE, [SPEC.space], "not tried"),
        (origin(late_chunking=True), finding("named", CLS), [SPEC.space], "contradicts"),
    ],
    ids=[
        "unsigned", "agrees", "agrees with one that ties", "another pooling", "another role", "the role that is said",
        "another model", "not a graph of ours", "none", "not tried", "a mix",
        "late chunking", "late chunking of another model", "late chunking, and yet another recipe",
    ],
)  # fmt: skip
def test_the_signature_beside_the_finding(signed: Origin | None, found: Finding, tried: list[str], state: str) -> None:
    assert beside(signed, found, tried).state == state


def test_the_sentence_names_the_model_that_is_signed() -> None:
    assert beside(origin(), NAMED, [SPEC.space]).says.startswith(
        f"they are signed as of 'hash' (space {SPEC.space[:12]}…)"
    )
