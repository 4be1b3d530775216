"""Every error a caller can meet, each with its HTTP status, code, retry advice and exit code.

EmbedstackError
├── BadRequest          400  bad_request     the caller can fix it
│   ├── Unauthorized    401  unauthorized    no key, or a wrong one
│   ├── Forbidden       403  forbidden       a sound key without the right, or a link that may not be followed
│   ├── TooLong         413  too_long        a text, list or body over its limit
│   ├── UnknownModel    404  unknown_model   names the nearest
│   └── Unsupported     422  unsupported     this model or build cannot do it
├── Mismatch            409  mismatch        spaces differ: model, files or stored vectors
├── Overloaded          429  overloaded      retry after `retry_after_s`
├── NotReady            503  not_ready       still loading, or the engine is gone
├── LoadFailed          502  load_failed     a model that can never be loaded as things are
├── Upstream            502  upstream        another server failed, or sent what cannot be read
├── NoEndpoint          503  no_endpoint     every endpoint of a plan failed, or may not stand in
├── DeadlineExceeded    504  deadline        the caller's own time ran out
├── RuntimeFailed       500  runtime_failed  the device or the model failed
├── TooManyDead          –   too_many_dead   a job left more documents out than it was allowed to
└── ConfigError          –   config          settings, extras, files
"""

from typing import ClassVar


class EmbedstackError(Exception):
    """The root. The message is one lower-case sentence: what, the limit or place, what to do."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "error"
    retry: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    @property
    def message(self) -> str:
        """The sentence for the caller."""
        return str(self)


class BadRequest(EmbedstackError):
    """The request is wrong and the caller can mend it."""

    status = 400
    code = "bad_request"
    exit_code = 2


class Unauthorized(BadRequest):
    """No key, or one that is not known here."""

    status = 401
    code = "unauthorized"


class Forbidden(BadRequest):
    """Known and understood, and not allowed."""

    status = 403
    code = "forbidden"


class TooLong(BadRequest):
    """A text, a list or a body is over its limit."""

    status = 413
    code = "too_long"


class UnknownModel(BadRequest):
    """No such model here; the message names the nearest."""

    status = 404
    code = "unknown_model"


class Unsupported(BadRequest):
    """Well formed, but this model or this installation cannot do it."""

    status = 422
    code = "unsupported"


class Mismatch(EmbedstackError):
    """Two things that must be of one space are not, or a digest differs."""

    status = 409
    code = "mismatch"
    exit_code = 3


class Overloaded(EmbedstackError):
    """Too much is waiting already."""

    status = 429
    code = "overloaded"
    retry = True
    exit_code = 4

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotReady(EmbedstackError):
    """Still loading or already stopping; the message says which."""

    status = 503
    code = "not_ready"
    retry = True
    exit_code = 4

    def __init__(self, message: str, retry_after_s: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s  # a model from the cache is loaded in about a second


class LoadFailed(EmbedstackError):
    """A model cannot be loaded, and trying again changes nothing: it is too large, broken or unknown."""

    status = 502
    code = "load_failed"
    exit_code = 6


class DeadlineExceeded(EmbedstackError):
    """The deadline that the caller set passed before the work was done."""

    status = 504
    code = "deadline"
    retry = True
    exit_code = 4


class Upstream(EmbedstackError):
    """Another server failed, could not be reached, or sent what cannot be read; the message names it."""

    status = 502
    code = "upstream"
    exit_code = 5

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry  # type: ignore[misc]


class NoEndpoint(EmbedstackError):
    """None of several endpoints could be asked, or all failed; the message lists each attempt and holds no secret."""

    status = 503
    code = "no_endpoint"
    exit_code = 5

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry  # type: ignore[misc]


class RuntimeFailed(EmbedstackError):
    """The device or the model failed; the request may be sound."""

    code = "runtime_failed"
    exit_code = 6


class TooManyDead(EmbedstackError):
    """More documents of a job failed than its error budget allows; what was done stays."""

    code = "too_many_dead"
    exit_code = 7


class ConfigError(EmbedstackError):
    """A setting, an extra or a file is wrong; nothing can be served until it is mended."""

    code = "config"
    exit_code = 2
