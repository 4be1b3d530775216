"""Who made an output becomes fields of it, and what a client heard of them a claim; and who overlooks what was asked.

A job's client sees no headers of the worker, so all that headers tell elsewhere stands in the output.
"""

import msgspec

from embedstack.dialects.dialect import Claim, Field
from embedstack.dialects.jobs import Json, made_by
from embedstack.dialects.reply import DEFAULTS, DIGEST
from embedstack.dialects.wire import claim_headers
from embedstack.errors import Upstream
from embedstack.types import Classified, Encode, Encoded, Score, Scored

OURS: tuple[Field, ...] = ("max_tokens", "truncate", "raw_scores")  # of these, other workers know nothing


class HeardMadeBy(msgspec.Struct):
    """What a client needs of it; other workers say at most a model, and under the same keys other things."""

    model: object = None
    space: object = None
    fingerprint: object = None
    tokens_used: object = None
    truncated: object = None
    dropped_tokens: object = None


_MADE_BY = msgspec.json.Decoder(HeardMadeBy)


def made(answer: Encoded | Scored | Classified) -> Json:
    """Who made it, what the model read, and what was cut away."""
    usage = answer.usage
    counts = {"tokens_used": usage.tokens, "truncated": usage.truncated, "dropped_tokens": usage.dropped}
    return {**made_by(answer), **counts}


def claim_of(heard: HeardMadeBy) -> Claim | None:
    """None of a worker that is not embedstack."""
    space = _digest(heard.space)
    if not space:
        return None
    return Claim(
        model=heard.model if isinstance(heard.model, str) else "",
        space=space,
        fingerprint=_digest(heard.fingerprint),
        truncated=_count(heard.truncated),
        dropped=_count(heard.dropped_tokens),
    )


def _digest(said: object) -> str:
    return said if isinstance(said, str) and DIGEST.fullmatch(said) else ""


def _count(said: object) -> int:
    return max(0, said) if isinstance(said, int) else 0


def headers_in(output: bytes) -> dict[str, str]:
    """The claim of an output of any dialect, where it has room for one, as the headers that no job has."""
    try:
        claim = claim_of(_MADE_BY.decode(output))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {} if claim is None else claim_headers(claim)


def tokens_of(heard: HeardMadeBy, claim: Claim | None) -> int:
    """What the model read, where it was counted."""
    return 0 if claim is None else _count(heard.tokens_used)


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
