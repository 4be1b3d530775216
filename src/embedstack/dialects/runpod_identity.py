"""Who made an output becomes fields of it, and what a client heard of them a claim; and who overlooks what was asked.

A job's client sees no headers of the worker, so all that headers tell elsewhere stands in the output.
"""

import msgspec

from embedstack.dialects.dialect import Claim, Field
from embedstack.dialects.jobs import Json, made_by
from embedstack.dialects.reply import DEFAULTS, DIGEST
from embedstack.errors import Upstream
from embedstack.types import Classified, Encode, Encoded, Score, Scored

OURS: tuple[Field, ...] = ("max_tokens", "truncate", "raw_scores")  # of these, other workers know nothing


class HeardMadeBy(msgspec.Struct):
    """What a client needs of it; other workers say at most a model, and a number of tokens that they guessed."""

    model: str | None = None
    space: str | None = None
    fingerprint: str | None = None
    tokens_used: int | None = None
    truncated: int | None = None
    dropped_tokens: int | None = None


def made(answer: Encoded | Scored | Classified) -> Json:
    """Who made it, what the model read, and what was cut away."""
    usage = answer.usage
    counts = {"tokens_used": usage.tokens, "truncated": usage.truncated, "dropped_tokens": usage.dropped}
    return {**made_by(answer), **counts}


def claim_of(heard: HeardMadeBy) -> Claim | None:
    """None of a worker that is not embedstack."""
    space, fingerprint = heard.space or "", heard.fingerprint or ""
    if not DIGEST.fullmatch(space):
        return None
    return Claim(
        model=heard.model or "",
        space=space,
        fingerprint=fingerprint if DIGEST.fullmatch(fingerprint) else "",
        truncated=max(0, heard.truncated or 0),
        dropped=max(0, heard.dropped_tokens or 0),
    )


def tokens_of(heard: HeardMadeBy, claim: Claim | None) -> int:
    """What the model read, where it was counted."""
    return 0 if claim is None else max(0, heard.tokens_used or 0)


def must_have_heeded(request: Encode | Score, claim: Claim | None) -> None:
    """Refuse what a worker made that is not embedstack and has no word for something that was asked.

    Raises:
        Upstream: names it.
    """
    if claim is not None:
        return
    asked = [name for name in OURS if getattr(request, name, DEFAULTS[name]) != DEFAULTS[name]]
    asked += ["normalize"] if isinstance(request, Encode) and request.normalize is False else []
    if asked:
        raise Upstream(f"the worker there is not embedstack and overlooks {asked[0]}; leave it out or use another")
