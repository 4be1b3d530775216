"""What is said where a file is no longer what it was when the job was planned."""

from embedstack.documents.document import Segment
from embedstack.errors import Mismatch

WHAT_TO_DO = "put it back, or plan again into another place with: embedstack job plan --since"


def other_size(segment: Segment, size: int) -> Mismatch:
    """It was replaced, or is being written to."""
    return Mismatch(
        f"{segment.key!r} had {segment.size} bytes when the job was planned and has {size} now; {WHAT_TO_DO}"
    )


def ended_early(segment: Segment) -> Mismatch:
    """There are fewer rows than were counted."""
    row = segment.first + segment.docs
    return Mismatch(f"{segment.key!r} ends before row {row}, which was there when the job was planned; {WHAT_TO_DO}")


def gone(segment: Segment) -> Mismatch:
    """It is not there any more."""
    return Mismatch(f"{segment.key!r} was there when the job was planned and is gone; {WHAT_TO_DO}")


def written_to(segment: Segment) -> Mismatch:
    """Its size is as it was and its time is not."""
    return Mismatch(f"{segment.key!r} was written to after the job was planned; {WHAT_TO_DO}")
