"""What a job gave, as the JSON text that is sent for it; or why it failed, in the words of the one who is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from embedstack.dialects.dialect import Wire
from embedstack.errors import RuntimeFailed, TooLong

RUN_BYTES = 10_000_000  # https://docs.runpod.io/serverless/endpoints/operation-reference; refused by 10 MiB, so less
RUNSYNC_BYTES = 20_000_000
SHARES = {"base64": "about half of the size of numbers", "float16": "about a quarter"}
SYNC = "sync-"  # how the ids of jobs begin that came by /runsync


@dataclass(frozen=True, slots=True)
class Output:
    """The result of a job.

    Args:
        raw: JSON of its output; empty where it has none.
        error: JSON of why it failed, never of an empty text; empty where it did not.
        items: that it is for.
    """

    raw: bytes = b""
    error: bytes = b""
    items: int = 0

    def __repr__(self) -> str:
        """The SDK shows every output twice; what is in it is the caller's."""
        return f"<{'failure' if self.error else 'output'} of {len(self.raw or self.error)} bytes>"

    def body(self, *, stops: bool = False) -> bytes:
        """All of it as the platform takes it.

        Args:
            stops: whether the platform is to start this worker anew.
        """
        parts = [b'"error":' + self.error] if self.error else []
        parts += [b'"output":' + self.raw] if self.raw else []
        parts += [b'"stopPod":true'] if stops else []
        return b"{" + b",".join(parts) + b"}"


_STATUS = msgspec.json.Decoder(dict[str, msgspec.Raw])
FRAME = frozenset({"id", "status", "delayTime", "executionTime", "workerId"})  # what the platform says itself
NOT_SAID = (b"", b"null", b'""')


def output_of(wire: Wire) -> Output:
    """The output or the failure that a status object holds, as it is written there.

    What stands beside an error is what the worker gives with it.

    Raises:
        RuntimeFailed: it is no JSON, or holds neither.
    """
    try:
        wire.body.decode()
        status = {name: bytes(value) for name, value in _STATUS.decode(wire.body).items() if name not in FRAME}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RuntimeFailed("the answer could not be written as JSON; report it with the job's input") from error
    output, failure = status.pop("output", b""), status.pop("error", b"")
    if failure not in NOT_SAID:
        return Output(output or _joined(status), failure)
    if not output:
        raise RuntimeFailed("the answer holds neither an output nor an error; report it with the job's input")
    return Output(output)


def _joined(fields: Mapping[str, bytes]) -> bytes:
    """One object of them; nothing of none."""
    parts = [msgspec.json.encode(name) + b":" + value for name, value in fields.items()]
    return b"{" + b",".join(parts) + b"}" if parts else b""


def limit_bytes(job_id: str) -> int:
    """The most that the platform takes back for a job."""
    return RUNSYNC_BYTES if job_id.startswith(SYNC) else RUN_BYTES


def check_size(size_bytes: int, job_id: str, items: int, forms: Sequence[str] = ()) -> None:
    """Refuse what the platform would refuse: there the job would hang until its time is over.

    Args:
        size_bytes: of all that is sent.
        items: that the output is for.
        forms: of vectors, which the job may ask for.
    Raises:
        TooLong: says how many of them would fit.
    """
    limit = limit_bytes(job_id)
    if size_bytes <= limit:
        return
    way = "/runsync" if job_id.startswith(SYNC) else "/run"
    fitting = items * limit // size_bytes
    fewer = f"about {fitting} of its {items} items would fit, so send several jobs" if fitting else "send smaller items"
    others = "".join(f"; or ask for encoding_format {form!r} ({SHARES[form]})" for form in forms)
    raise TooLong(f"the output has {size_bytes} bytes, and a job of {way} may give back {limit}; {fewer}{others}")
