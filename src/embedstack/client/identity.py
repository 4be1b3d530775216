"""What a reply claims and what was expected become the spec of an answer, or a refusal; pure."""

from embedstack.dialects.dialect import Claim
from embedstack.errors import Mismatch
from embedstack.modelspec import Architecture, ModelSpec, Task

_NOTHING = Architecture(family="unknown", layers=0, hidden=0, heads=0, intermediate=0, vocab=0, positions=0)


def unknown_spec(host: str, model: str, dim: int, task: Task = "embed", *, space: str = "") -> ModelSpec:
    """A model that nobody here has seen. Its `.space` equals only that of the same model at the same host.

    Args:
        dim: the width that was heard; 0 for a reranker.
        space: what an embedstack server claims. It stands in `weights` and so within what `.space` is a digest of:
            two servers that claim one space are of one space, and no claim can equal the space of a spec that is known.
    """
    return ModelSpec(
        name=model or host,
        revision="unknown",
        task=task,
        architecture=_NOTHING,
        outputs=("dense",) if task == "embed" else ("score",),
        dim=dim,
        max_tokens=0,
        weights=f"embedstack:{space}" if space else f"unknown:{host}/{model}",
        tokenizer="unknown",
    )


def one_claim(claims: list[Claim]) -> Claim:
    """The identity of one answer that came in several replies.

    Raises:
        Mismatch: they were made by different models, or in different precisions.
    """
    kinds = sorted({(claim.space, claim.fingerprint) for claim in claims})
    if len(kinds) > 1:
        told = " and ".join(f"{fingerprint or 'unknown'} of {space or 'unknown'}" for space, fingerprint in kinds)
        raise Mismatch(f"the parts of one request got vectors of different fingerprints ({told}); ask one replica")
    truncated, dropped = (sum(getattr(claim, name) for claim in claims) for name in ("truncated", "dropped"))
    first = claims[0]
    return Claim(first.model, first.space, first.fingerprint, truncated, dropped)


def must_be(expected: ModelSpec, claim: Claim) -> None:
    """Refuse another model than the one that was expected. A server that claims nothing stays unproven.

    Raises:
        Mismatch: the claimed space is another.
    """
    if claim.space and claim.space != expected.space:
        raise Mismatch(
            f"it serves {claim.model!r} of space {claim.space} and {expected.name!r} of space {expected.space} was "
            "expected; point the client at the right server or give it the right spec"
        )


def must_be_wide(width: int, expected: int) -> None:
    """Refuse vectors of another width than was asked for.

    Raises:
        Mismatch: names both widths.
    """
    if width != expected:
        raise Mismatch(f"its vectors are {width} numbers wide and {expected} were expected; another model serves there")
