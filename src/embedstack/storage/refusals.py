"""What obstore raises becomes one of our errors; a store's own words are never repeated."""

import contextlib
import re
from collections.abc import Iterator, Mapping

from obstore.exceptions import BaseError

from embedstack.errors import BadRequest, ConfigError, EmbedstackError, Unsupported, Upstream
from embedstack.storage.storage import Missing

RIGHTS = (
    "look at the bucket's rights and at the variables with the keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
    "AWS_SESSION_TOKEN, or GOOGLE_SERVICE_ACCOUNT"
)
REGION = "set AWS_REGION to the bucket's region"
PLACE = "look at its name, at AWS_REGION and AWS_ENDPOINT_URL, or at GOOGLE_BASE_URL"
BUCKET = f"there is no such bucket; {PLACE}"
KEYLESS = f"no keys are set, and this machine has none of its own; {RIGHTS}"

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; Google's XML API answers alike
CODES: Mapping[str, str] = {
    "AuthorizationHeaderMalformed": REGION,
    "ExpiredToken": f"the keys have expired; {RIGHTS}",
    "InvalidAccessKeyId": f"the access key is unknown; {RIGHTS}",
    "NoSuchBucket": BUCKET,
    "PermanentRedirect": REGION,
    "RequestTimeTooSkewed": "set this machine's clock",
    "SignatureDoesNotMatch": f"the secret key is wrong; {RIGHTS}",
}
SAYINGS: Mapping[str, str] = {
    "BadScheme": "its endpoint has no TLS; to allow that set AWS_ALLOW_HTTP=true",
    "redirect without LOCATION": REGION,
    "169.254.169.254": KEYLESS,  # where machines of AWS are asked for their keys
    "metadata.google.internal": KEYLESS,
}
UNKNOWN_UPLOAD = "NoSuchUpload"  # also where it was completed and the answer was lost
TRIED_AGAIN = frozenset({"408", "409", "429"})  # of the statuses that blame the request


@contextlib.contextmanager
def mapped(url: str, key: str = "") -> Iterator[None]:
    """Raise ours in the place of obstore's.

    Args:
        key: what is read, where it may be missing.
    """
    try:
        yield
    except FileNotFoundError as error:
        if key and code_of(error) != "NoSuchBucket":
            raise Missing(f"{key!r} is not in {url}; look at what is there") from error
        raise _failure(url, error) from error
    except (BaseError, ValueError, OSError) as error:
        raise _failure(url, error) from error


def _failure(url: str, error: Exception) -> EmbedstackError:
    """Says its status and code only: the text holds the request, and a store's answer may hold a token."""
    text, kind, code, status = str(error), type(error).__name__, code_of(error), _status(error)
    named = " ".join(part for part in (status, code) if part)
    if kind == "InvalidPathError" or "parse path" in text:
        return BadRequest(f"{url} holds a key, or was given one, with empty parts or control characters; rename it")
    if kind == "NotSupportedError" or status == "501" or code == "NotImplemented":
        return Unsupported(f"{url} does not know such a request ({named or kind}); use another bucket")
    if advice := "" if code == UNKNOWN_UPLOAD else _advice(text, kind, code, status):
        return ConfigError(f"{url} cannot be used ({named or kind}): {advice}")
    why = named or ("no answer in time" if "kind: Timeout" in text else "no answer")
    return Upstream(f"{url} failed ({why}), also when it was asked again; run again later", retry=True)


def _advice(text: str, kind: str, code: str, status: str) -> str:
    """What to do where trying again is of no use; "" where it may be."""
    if known := CODES.get(code) or next((advice for said, advice in SAYINGS.items() if said in text), ""):
        return known
    if status == "404":
        return PLACE
    return RIGHTS if kind in ("PermissionDeniedError", "UnauthenticatedError") or _is_refusal(status) else ""


def _is_refusal(status: str) -> bool:
    return status.startswith("4") and status not in TRIED_AGAIN


def code_of(error: Exception) -> str:
    """What the store calls it; "" where it does not say."""
    found = re.search(r"<Code>(\w+)</Code>", str(error))
    return found[1] if found else ""


def _status(error: Exception) -> str:
    found = re.search(r"status(?: code)?:? (\d{3})\b", str(error))
    return found[1] if found else ""
