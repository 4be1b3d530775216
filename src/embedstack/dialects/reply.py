"""What the clients' halves share: what a body can carry, replies as arrays in order, and who made them."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence, Set
from typing import Literal, TypeVar
from urllib.parse import unquote

import msgspec
import numpy as np

from embedstack.dialects.dialect import Claim, Field, Wire
from embedstack.dialects.wire import shortened
from embedstack.errors import BadRequest, Unsupported, Upstream
from embedstack.types import DENSE, Encode, Floats, Score, Text, Tokens

DEFAULTS: Mapping[Field, object] = {
    "outputs": DENSE,
    "dim": None,
    "normalize": None,
    "max_tokens": None,
    "truncate": "right",
    "raw_scores": False,
    "document_tokens": None,
    "whole": False,
    "late_chunking": False,
}
DIGEST = re.compile(r"[0-9a-f]{32}")
UNIT_TOLERANCE = 1e-2  # of a length; bfloat16 keeps it within 4e-3
Packed = Literal["<f4", "<f2"]

Shape = TypeVar("Shape")


# ------------------------------------------------------------------------------------------------ what is said


def must_carry(request: Encode | Score, carries: Set[Field], dialect: str) -> None:
    """Refuse what the dialect has no word for.

    Raises:
        Unsupported: names the field and its value.
    """
    asked = ((name, getattr(request, name, default)) for name, default in DEFAULTS.items() if name not in carries)
    wrong = next(((name, value) for name, value in asked if value != DEFAULTS[name]), None)
    if wrong is not None:
        value = sorted(wrong[1]) if isinstance(wrong[1], frozenset) else wrong[1]
        raise Unsupported(f"the dialect {dialect!r} cannot carry {wrong[0]}={value!r}; leave it out or use another")
    if isinstance(request, Encode):
        _must_carry_items(request, carries, dialect)


def _must_carry_items(request: Encode, carries: Set[Field], dialect: str) -> None:
    for item in request.items:
        if isinstance(item, Tokens) and "tokens" not in carries:
            raise Unsupported(f"the dialect {dialect!r} cannot carry tokens: other servers have other ids; send texts")
        if isinstance(item, Text) and "role" not in carries and item.role != "document":
            raise Unsupported(f"the dialect {dialect!r} cannot carry role={item.role!r}; send documents or use another")


def one_role(request: Encode) -> str:
    """The role of all its texts; a body has room for one."""
    roles = {item.role for item in request.items if isinstance(item, Text)}
    if len(roles) > 1:
        raise Unsupported(f"one request holds texts of one role, not of {', '.join(sorted(roles))}; send several")
    return next(iter(roles), "document")


def one_query(request: Score) -> str:
    """The query of all its pairs; a body has room for one."""
    queries = {pair.query for pair in request.items}
    if len(queries) > 1:
        raise Unsupported(f"one request holds documents for one query, not for {len(queries)}; send several")
    return next(iter(queries), "")


def texts_of(request: Encode) -> list[str]:
    """Its texts, in order."""
    return [item.text for item in request.items if isinstance(item, Text)]


def body_bytes(body: msgspec.Struct) -> bytes:
    """The body as JSON.

    Raises:
        BadRequest: a text holds half of a pair of surrogates, which no JSON can.
    """
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise BadRequest("a text holds a lone surrogate; send valid Unicode") from error


# ------------------------------------------------------------------------------------------------ what is heard


def understood(decoder: msgspec.json.Decoder[Shape], wire: Wire) -> Shape:
    """The reply as its struct.

    Raises:
        Upstream: it is not JSON, or of another shape.
    """
    try:
        return decoder.decode(wire.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Upstream(f"the reply cannot be read ({shortened(str(error))}); check url and dialect") from error


def in_order(numbers: Sequence[int], count: int) -> list[int]:
    """Where in the reply item 0, 1, … is.

    Raises:
        Upstream: they are not the numbers from 0 to count - 1, each once.
    """
    if sorted(numbers) != list(range(count)):
        seen = shortened(", ".join(map(str, numbers)))
        raise Upstream(f"the reply is for the items {seen or 'of an empty list'}, and {count} were sent")
    return sorted(range(count), key=numbers.__getitem__)


def vectors(rows: Sequence[Sequence[float] | str], count: int, packed: Packed = "<f4") -> Floats:
    """Numbers, or base64 of little-endian floats, as (count, dim).

    Args:
        packed: the type of the numbers in base64.
    Raises:
        Upstream: there are more or fewer, they differ in width, or a number is not finite.
    """
    if len(rows) != count:
        raise Upstream(f"the reply has {len(rows)} vectors, and {count} texts were sent")
    plain = [_unpacked(row, packed) if isinstance(row, str) else row for row in rows]
    widths = sorted({len(row) for row in plain})
    if len(widths) != 1 or not widths[0]:
        raise Upstream(f"the vectors of the reply are {', '.join(map(str, widths))} numbers wide; all must be alike")
    return _finite(plain, "vectors")


def must_be_unit(rows: Floats, request: Encode) -> None:
    """Refuse vectors of another length, where length 1 was asked for; nothing else can be told from them.

    Raises:
        Upstream: names the worst.
    """
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    if request.normalize and not np.allclose(lengths, 1.0, rtol=0, atol=UNIT_TOLERANCE):
        worst = lengths[np.abs(lengths - 1.0).argmax()]
        raise Upstream(
            f"vectors of length 1 were asked for, and one of the reply has {worst:.4g}: the model is served there "
            "without its last step; ask another endpoint"
        )


def scores(values: Sequence[float]) -> Floats:
    """As (items,); each must be finite."""
    return _finite(values, "scores")


def _unpacked(text: str, packed: Packed) -> Floats:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), packed).astype(np.float32, copy=False)
    except (binascii.Error, ValueError) as error:
        raise Upstream(f"a vector of the reply is not base64 of floats ({error})") from error


def _finite(values: Sequence[Sequence[float] | Floats] | Sequence[float], what: str) -> Floats:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
        array = np.array(values, np.float32)
    if not np.isfinite(array).all():
        raise Upstream(f"the {what} of the reply hold a number that is not finite; the model there is broken")
    return array


def whole_number(text: str | None) -> int:
    """The number of a header, 0 where there is none."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,15}", text) else 0


def claimed(headers: Mapping[str, str]) -> Claim:
    """The inverse of `wire.identity`. A claim proves nothing; probes do."""
    space = headers.get("x-embedstack-space", "")
    if not DIGEST.fullmatch(space):
        return Claim()
    fingerprint = headers.get("x-embedstack-fingerprint", "")
    return Claim(
        model=unquote(headers.get("x-embedstack-model", "")),
        space=space,
        fingerprint=fingerprint if DIGEST.fullmatch(fingerprint) else "",
        truncated=whole_number(headers.get("x-embedstack-truncated")),
        dropped=whole_number(headers.get("x-embedstack-dropped-tokens")),
    )
