"""REST v2's routes of serverless endpoints: made, changed and ended on the platform, and seen as it runs them."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import orjson
from msgspec import UNSET
from starlette.responses import Response
from starlette.routing import Route

from embedstack.emulator import control_endpoint as configured
from embedstack.emulator.control_account import Account, LogLine
from embedstack.emulator.control_bodies import EndpointChange, NewEndpoint
from embedstack.emulator.control_endpoint import Config
from embedstack.emulator.control_machines import CENTERS
from embedstack.emulator.control_problem import invalid, missing
from embedstack.emulator.control_release import Release, difference, is_new_release
from embedstack.emulator.control_route import Ask, at, listed, nothing, reply
from embedstack.emulator.control_shapes import moment, shown
from embedstack.emulator.endpoint import Endpoint, Worker, WorkerStatus

LISTED: tuple[WorkerStatus, ...] = ("RUNNING", "IDLE", "INITIALIZING", "THROTTLED", "UNHEALTHY")
DEFAULT_TAIL, MOST_TAIL = 100, 5000


class Serverless:
    """Handlers of `/v2/serverless`."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            at("/v2/serverless", GET=self.read_all, POST=self.create),
            at("/v2/serverless/{id}", GET=self.read, PATCH=self.update, DELETE=self.delete),
            at("/v2/serverless/{id}/workers", GET=self.workers),
            at("/v2/serverless/{id}/releases", GET=self.releases),
            at("/v2/serverless/{id}/workers/{worker_id}/logs", GET=self.logs),
        ]

    def read_all(self, ask: Ask) -> Response:
        """All endpoints."""
        pages = [self._page(endpoint_id) for endpoint_id in self._account.configs]
        return listed("endpoints", pages, ask, self._account.page_size)

    def create(self, ask: Ask) -> Response:
        """An endpoint begins without workers; the scaler starts them."""
        account, body = self._account, ask.body(NewEndpoint)
        template_id = body.template_id
        template = None if template_id is UNSET else account.template(template_id, is_serverless=True)
        config = configured.made(body, template)
        self._check_places(config)
        account.afford()
        endpoint_id = account.new_id()
        account.configure(endpoint_id, 1, config)
        if template is not None:
            account.bound[endpoint_id] = template.id
        account.platform.add_endpoint(endpoint_id, config.name, config.type, configured.settings(config))
        account.releases[endpoint_id] = [self._release(1, [])]
        return reply(self._page(endpoint_id), 201)

    def read(self, ask: Ask) -> Response:
        """One endpoint."""
        return reply(self._page(self._known(ask).id))

    def update(self, ask: Ask) -> Response:
        """What reaches workers makes a new version, for which they are replaced; the rest holds at once."""
        account, endpoint = self._account, self._known(ask)
        before, body = account.configs[endpoint.id], ask.body(EndpointChange)
        template_id = body.template_id
        template = None if template_id is UNSET else account.template(template_id, is_serverless=True)
        after = configured.patched(before, body, template)
        self._check_places(after)
        changes = difference(before, after)
        is_new = is_new_release(changes)
        account.configure(endpoint.id, endpoint.version + is_new, after)
        if template is not None:
            account.bound[endpoint.id] = template.id
        endpoint.name = after.name
        if changes:
            account.platform.change_settings(endpoint.id, configured.settings(after), is_release=is_new)
            account.releases[endpoint.id].insert(0, self._release(endpoint.version, changes))
        return reply(self._page(endpoint.id))

    def delete(self, ask: Ask) -> Response:
        """Its jobs, its workers and its template end with it."""
        endpoint = self._known(ask)
        self._account.platform.remove_endpoint(endpoint.id)
        self._account.end(endpoint.id)
        return nothing()

    def workers(self, ask: Ask) -> Response:
        """Who works for it now."""
        endpoint = self._known(ask)
        found = _living(endpoint)
        counts = Counter(worker.status for worker in found)
        summary = {status.lower(): counts[status] for status in LISTED}
        return reply(
            {
                "workers": [self._worker(endpoint, worker) for worker in found],
                "summary": {**summary, "total": len(found)},
                "endpointVersion": endpoint.version,
            }
        )

    def releases(self, ask: Ask) -> Response:
        """What was changed when, and how far it has come."""
        endpoint = self._known(ask)
        versions = Counter(worker.version for worker in _living(endpoint))
        total, latest = versions.total(), versions[endpoint.version]
        return reply(
            {
                "endpointVersion": endpoint.version,
                "rollout": {
                    "inProgress": latest < total,
                    "workersOnLatest": latest,
                    "workersTotal": total,
                    "percentOnLatest": round(100 * latest / total) if total else 0,
                },
                "releases": [
                    {**shown(one), "workerCount": versions[one.version]} for one in self._account.releases[endpoint.id]
                ],
            }
        )

    def logs(self, ask: Ask) -> Response:
        """What a worker wrote so far, as events; the original goes on with what it writes next, this one ends."""
        self._known(ask)
        lines = self._account.logs.get(ask.ids["worker_id"])
        if lines is None:
            raise missing()
        events = "".join(map(_event, _wanted(ask, lines)))
        return Response(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})

    # ------------------------------------------------------------------------------------------------ parts

    def _known(self, ask: Ask) -> Endpoint:
        endpoint = self._account.platform.endpoints.get(ask.id)
        if endpoint is None or ask.id not in self._account.configs:
            raise missing()
        return endpoint

    def _check_places(self, config: Config) -> None:
        self._account.check_places(config.data_center_ids, config.network_volumes)

    def _page(self, endpoint_id: str) -> dict[str, object]:
        account = self._account
        created_at = moment(account.platform.endpoints[endpoint_id].created_at)
        return configured.view(account.configs[endpoint_id], endpoint_id, created_at, account.data_url)

    def _release(self, version: int, changes: list[dict[str, object]]) -> Release:
        account = self._account
        return Release(id=account.new_id(), version=version, created_at=moment(account.now()), diff=changes)

    def _worker(self, endpoint: Endpoint, worker: Worker) -> dict[str, object]:
        account, now = self._account, self._account.now()
        config = account.config_of(endpoint.id, worker.version) or account.configs[endpoint.id]
        is_placed = worker.status != "THROTTLED"
        place = (config.data_center_ids or [CENTERS[0].id])[0]
        return {
            "id": worker.id,
            "status": worker.status,
            "isStale": worker.version != endpoint.version,
            "version": worker.version,
            "gpuCount": configured.gpu_count(config),
            "image": config.image,
            "uptimeSeconds": int(now - worker.started_at) if is_placed else None,
            "gpuTypeId": configured.card_of(config) if is_placed else None,
            "dataCenterId": place if is_placed else None,
            "startedAt": moment(worker.started_at) if is_placed else None,
        }


def _living(endpoint: Endpoint) -> list[Worker]:
    return [worker for worker in endpoint.workers.values() if worker.status in LISTED]


def _wanted(ask: Ask, lines: Iterable[LogLine]) -> list[LogLine]:
    """Those after an event, or since a moment, or the last so many."""
    found = list(lines)
    seen = ask.headers.get("last-event-id", "").rpartition("/")[2]
    if re.fullmatch(r"[0-9]{1,12}", seen):
        return [line for line in found if line.number > int(seen)]
    if "since" in ask.query:
        since = _seconds(ask.query["since"])
        return [line for line in found if line.at >= since]
    tail = ask.query.get("tail", str(DEFAULT_TAIL))
    if not re.fullmatch(r"[0-9]{1,4}", tail) or int(tail) > MOST_TAIL:
        raise invalid(f"$.tail: {tail!r} is not a whole number from 0 to {MOST_TAIL}")
    return found[len(found) - min(int(tail), len(found)) :]


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError as error:
        raise invalid(f"$.since: {text!r} is not a time as RFC 3339 writes it") from error


def _event(line: LogLine) -> str:
    at_text = moment(line.at)
    data = orjson.dumps({"ts": at_text, "source": "container", "line": line.text}).decode()
    return f"id: {at_text}/{line.number:012d}\ndata: {data}\n\n"
