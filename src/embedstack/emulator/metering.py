"""What happens to workers becomes what they cost: changes of the platform are entered in a ledger."""

from collections.abc import Callable

from embedstack.emulator.billing import Ledger, worker_line
from embedstack.emulator.platform import Change, Platform
from embedstack.emulator.prices import Rate, gpu_rate


def default_rate(endpoint_id: str) -> Rate:
    """What a worker costs of an endpoint that names no machine."""
    return gpu_rate()


class Meter:
    """Listens to the platform until it is closed. Workers that were started by hand cost what rented ones would.

    Args:
        rate_of: what a worker of this endpoint costs, by its id.
    """

    def __init__(self, platform: Platform, ledger: Ledger, rate_of: Callable[[str], Rate] = default_rate) -> None:
        self._platform, self._ledger, self._rate_of = platform, ledger, rate_of
        self._units: dict[str, set[str]] = {}
        self.close = platform.subscribe(self._heard)

    def _heard(self, change: Change) -> None:
        if change.kind == "worker":
            self._enter(change.endpoint_id, change.subject)
        elif change.kind in ("settings", "removed"):  # what a worker costs may have changed, or there is none any more
            for worker_id in sorted(self._units.get(change.endpoint_id, ())):
                self._enter(change.endpoint_id, worker_id)

    def _enter(self, endpoint_id: str, worker_id: str) -> None:
        endpoint = self._platform.endpoints.get(endpoint_id)
        worker = endpoint.workers.get(worker_id) if endpoint else None
        units, unit = self._units.setdefault(endpoint_id, set()), f"{endpoint_id}/{worker_id}"
        line = None
        if worker is not None and worker.status != "STOPPED":
            line = worker_line(endpoint_id, worker.status, self._rate_of(endpoint_id))
            units.add(worker_id)
        else:
            units.discard(worker_id)
        self._ledger.enter(unit, line, self._platform.clock.now())
