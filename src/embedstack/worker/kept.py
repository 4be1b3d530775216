"""Outputs of late, by job and input: a job that is handed out twice is answered at once."""

import hashlib
from collections import OrderedDict

from embedstack.worker.output import Output

KEPT_BYTES = 32_000_000  # a few of the largest outputs, or some thousand usual ones
Key = tuple[str, bytes]


def key_of(job_id: str, raw: bytes) -> Key:
    """What tells whether it is the same job: ids may be used again, as `local_test` of the SDK is."""
    return job_id, hashlib.sha256(raw).digest()


class Kept:
    """The outputs used last, as many as there is room for."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._outputs: OrderedDict[Key, Output] = OrderedDict()

    def get(self, key: Key) -> Output | None:
        """What was put there, if it is still here."""
        found = self._outputs.get(key)
        if found is not None:
            self._outputs.move_to_end(key)
        return found

    def put(self, key: Key, output: Output) -> None:
        """Keep it, and let go of what was not used for longest."""
        self._drop(key)
        self._outputs[key] = output
        self._size_bytes += len(output.raw)
        while self._size_bytes > self._most_bytes:
            self._drop(next(iter(self._outputs)))

    def _drop(self, key: Key) -> None:
        gone = self._outputs.pop(key, None)
        self._size_bytes -= len(gone.raw) if gone else 0
