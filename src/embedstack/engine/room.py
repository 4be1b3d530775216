"""What the batches of each model took, and where memory ran out -> how much its next batch may hold."""

from collections.abc import Hashable
from dataclasses import dataclass

from embedstack.engine.pace import FREE, Costs, Pace

RECOVERY_S = 60.0  # after running out of memory, a batch may be twice as large after each such time
MOST_DEVICES = 256  # remembered, of all models that ever were loaded

OUT_OF_MEMORY = (
    "outofmemory", "out of memory", "bad_alloc", "bad alloc", "failed to allocate memory", "cannot allocate memory",
    "can't allocate memory",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Room:
    """What one batch may hold."""

    tokens: int
    bulk_s: float = float("inf")  # a batch with bulk items is predicted to run no longer, unless it is one item
    costs: Costs = FREE


class Device:
    """One model with one set of outputs on the device: its pace, and what its memory can hold."""

    def __init__(self) -> None:
        self.pace = Pace()
        self._low = 0
        self._low_at = 0.0

    def tokens(self, budget: int, now: float) -> int:
        """Of its next batch."""
        if not self._low:
            return budget
        tokens = self._low * 2 ** min((now - self._low_at) / RECOVERY_S, 64)
        if tokens >= budget:
            self._low = 0
        return min(budget, int(tokens))

    def ran_out(self, tokens: int, budget: int, now: float) -> bool:
        """A batch of so many tokens ran out of memory; whether that is news."""
        is_news = self.tokens(budget, now) == budget
        self._low, self._low_at = max(1, min(tokens, self.tokens(budget, now)) // 2), now
        return is_news

    def full_s(self, budget: int) -> float:
        """Seconds of a full batch."""
        return self.pace.predicted_s(budget)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether a failure, or what it came from, says that memory ran out: NumPy, PyTorch, OpenVINO, ONNX Runtime."""
    while error is not None:
        said = f"{type(error).__name__} {error}".lower()
        if isinstance(error, MemoryError) or any(words in said for words in OUT_OF_MEMORY):
            return True
        error = error.__cause__
    return False


class Devices:
    """By group. Only its hash is kept: a model that was unloaded must not be held by what is known of its pace."""

    def __init__(self) -> None:
        self._known: dict[int, Device] = {}

    def __getitem__(self, group: Hashable) -> Device:
        key = hash(group)
        if key not in self._known:
            if len(self._known) >= MOST_DEVICES:
                del self._known[next(iter(self._known))]
            self._known[key] = Device()
        return self._known[key]
