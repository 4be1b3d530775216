"""The body of a submission in, what is wanted out, or the sentence with which it is refused (pure)."""

import msgspec
from msgspec import Raw

from embedstack.emulator.job import Submission
from embedstack.emulator.unknowns import Unknowns
from embedstack.errors import BadRequest

DAY_S = 86_400.0
TIMEOUT_S = (5.0, 7 * DAY_S)  # https://docs.runpod.io/serverless/endpoints/send-requests
TTL_S = (10.0, 7 * DAY_S)  # the same page
FOR_WORKERS = ("webhook", "policy", "s3Config")


class _Policy(msgspec.Struct, rename="camel"):
    execution_timeout: float | None = None  # ms
    ttl: float | None = None  # ms
    low_priority: bool = False


_BODY = msgspec.json.Decoder(dict[str, Raw])
_POLICY = msgspec.json.Decoder(_Policy | None)
_WEBHOOK = msgspec.json.Decoder(str | None)


def submission_of(body: bytes, *, is_sync: bool, unknowns: Unknowns) -> Submission:
    """What a client wants done.

    Raises:
        BadRequest: the body is no JSON object, has no input, or a policy out of its bounds.
    """
    try:
        body.decode()
        read = _BODY.decode(body)
        policy = _POLICY.decode(read.get("policy", b"null")) or _Policy()
        webhook = _WEBHOOK.decode(read.get("webhook", b"null"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body cannot be read ({error}); send a JSON object with an input") from error
    given = bytes(read.get("input", b"")).strip()
    if not given or (unknowns.input_is_object and not given.startswith(b"{")):
        raise BadRequest("the body has no input that is an object; send it as {'input': {...}}")
    return Submission(
        input=given,
        is_sync=is_sync,
        timeout_s=_seconds("executionTimeout", policy.execution_timeout, TIMEOUT_S),
        ttl_s=_seconds("ttl", policy.ttl, TTL_S) or DAY_S,
        is_low_priority=policy.low_priority,
        webhook=webhook,
        extra={name: bytes(read[name]) for name in FOR_WORKERS if name in read},
    )


def _seconds(name: str, given_ms: float | None, bounds: tuple[float, float]) -> float | None:
    if given_ms is None:
        return None
    least, most = bounds
    if not least <= given_ms / 1000 <= most:
        raise BadRequest(f"policy.{name}={given_ms:g} is not within {least * 1000:.0f} and {most * 1000:.0f} ms")
    return given_ms / 1000
