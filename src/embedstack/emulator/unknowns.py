"""What nobody outside RunPod knows, and what the emulator takes for it: of all that may be, the least kind."""

from dataclasses import dataclass, field, fields
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknowns:
    """Each value can be set; the table in docs/runpod.md is made of these rows."""

    heartbeat_timeout_s: float = field(
        default=25.0,
        metadata={
            "why": "a job that no ping has named for so long is taken from its worker and handed out again; the SDK "
            "pings every 10 s, so two lost pings do it, and jobs run twice sooner than is likely there"
        },
    )
    worker_gone_s: float = field(
        default=60.0, metadata={"why": "a worker that neither polls nor pings for so long is no longer listed"}
    )
    max_retries: int = field(
        default=1,
        metadata={"why": "how often a lost job is handed out again before it fails; 1 is what logs show"},
    )
    lost_error: str = field(
        default="job timed out after {retries} retries",
        metadata={"why": "the error of a job that was given up; seen in logs"},
    )
    timeout_status: Literal["TIMED_OUT", "FAILED"] = field(
        default="TIMED_OUT", metadata={"why": "how a job over its execution timeout ends; logs show FAILED, too"}
    )
    take_hold_s: float = field(
        default=20.0,
        metadata={"why": "how long job-take waits for a job; long, so that a worker that stops must end it itself"},
    )
    stop_hold_s: float = field(default=20.0, metadata={"why": "how long job-stop waits for a job to stop"})
    stream_hold_s: float = field(
        default=9.0, metadata={"why": "the longest wait of /stream; the SDK's clients give up after 10 s"}
    )
    edge_timeout_s: float = field(
        default=100.0,
        metadata={"why": "a reply that takes longer is cut off with status 524, also where `wait` asks for more"},
    )
    late_status: int = field(
        default=404,
        metadata={"why": "the answer to a result of a job that has ended or is another worker's; 200 would hide it"},
    )
    error_body: str = field(
        default="",
        metadata={"why": "the body of 401, 404 and 429; no JSON, so that a client that reads it as such is found out"},
    )
    purged_status: Literal["CANCELLED", "gone"] = field(
        default="gone", metadata={"why": "what becomes of a purged job: cancelled, or unknown from then on (404)"}
    )
    input_is_object: bool = field(
        default=True, metadata={"why": "an input that is no object is refused, as the SDK's own local server does"}
    )
    openai_error_status: int = field(default=500, metadata={"why": "the status under /openai where the job failed"})


def rows() -> list[tuple[str, str, str]]:
    """Name, value and reason of each, for the docs."""
    return [(one.name, repr(one.default), str(one.metadata["why"])) for one in fields(Unknowns)]


def table() -> str:
    """The rows as Markdown."""
    lines = ["| value | here | why |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | `{value}` | {why} |" for name, value, why in rows())]) + "\n"
