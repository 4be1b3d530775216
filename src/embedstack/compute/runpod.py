"""RunPod's control plane over REST v2: endpoints and pods are made, read, changed and ended; the catalog, the bills."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

import msgspec

from embedstack.compute.calls import RETRIES, Calls, Missing, Pause, Query, Undecided
from embedstack.compute.prices import Bucket, CpuType, DataCenter, EndpointBill, GpuType, PodBill, Product
from embedstack.compute.shapes import Action, Endpoint, EndpointChange, NewEndpoint, NewPod, Pod, WorkerList
from embedstack.errors import BadRequest, Upstream

URL = "https://api.runpod.io/v2"
TIMEOUT_S = 60.0  # making a pod waits for a machine; the document's own example gives it as much

T = TypeVar("T")
Named = TypeVar("Named", Endpoint, Pod)


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    next_cursor: str | None = None
    has_next_page: bool = False


class _Paged(msgspec.Struct, frozen=True):
    pagination: _Page = _Page()


class RunPodControl:
    """One account's machines.

    What is not there is None, and deleting it is no error. Names are taken once: a pod or endpoint whose making was
    not answered is found again by its name, so that none runs, and costs, unseen.

    Args:
        key: of the account, or one with rights for what is asked.
        url: the base of the API, `/v2` included.
        timeout_s: for one attempt.
        retries: attempts after the first, where another is safe.
        pause: waits between attempts.
    Raises:
        ConfigError: the key or the URL cannot be used.
    """

    def __init__(
        self,
        key: str,
        url: str = URL,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._calls = Calls(key, url, timeout_s=timeout_s, retries=retries, pause=pause)

    def __repr__(self) -> str:
        return f"RunPodControl(url={self._calls.url!r})"

    async def __aenter__(self) -> "RunPodControl":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections up."""
        await self._calls.close()

    # ------------------------------------------------------------------------------------------------ endpoints

    async def create_endpoint(self, wish: NewEndpoint) -> Endpoint:
        """Make a serverless endpoint.

        Raises:
            BadRequest: the name is taken, or the wish breaks a rule.
        """
        return await self._created("/serverless", wish, Endpoint, self.endpoints)

    async def endpoints(self) -> tuple[Endpoint, ...]:
        """All of the account's."""
        return await self._listed("/serverless", "endpoints", Endpoint)

    async def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """One, or None where it is gone."""
        return await self._found(_at("/serverless", endpoint_id), Endpoint)

    async def update_endpoint(self, endpoint_id: str, change: EndpointChange) -> Endpoint:
        """Change what the change names; a new image or environment reaches workers one by one."""
        reply = await self._calls.patch(_at("/serverless", endpoint_id), msgspec.json.encode(change))
        return _read(reply.body, Endpoint)

    async def delete_endpoint(self, endpoint_id: str) -> None:
        """End it and its workers; its jobs are cancelled."""
        await self._deleted(_at("/serverless", endpoint_id))

    async def workers(self, endpoint_id: str) -> WorkerList:
        """Its workers now."""
        reply = await self._calls.get(_at("/serverless", endpoint_id) + "/workers")
        return _read(reply.body, WorkerList)

    # ------------------------------------------------------------------------------------------------ pods

    async def create_pod(self, wish: NewPod) -> Pod:
        """Make a pod, which costs money from now on.

        Raises:
            NoMachine: none is free of the kind that is wished for.
            BadRequest: the name is taken, or the wish breaks a rule.
        """
        return await self._created("/pods", wish, Pod, self.pods)

    async def pods(self) -> tuple[Pod, ...]:
        """All of the account's."""
        return await self._listed("/pods", "pods", Pod)

    async def pod(self, pod_id: str) -> Pod | None:
        """One, or None where it is gone."""
        return await self._found(_at("/pods", pod_id), Pod)

    async def act(self, pod_id: str, action: Action) -> Pod | None:
        """Start, stop, restart or terminate; None for one that was terminated.

        Raises:
            Undecided: whether it was done is not known; read the pod's status.
        """
        reply = await self._calls.post(_at("/pods", pod_id) + "/action", msgspec.json.encode({"action": action}))
        return _read(reply.body, Pod) if reply.body else None

    async def delete_pod(self, pod_id: str) -> None:
        """End it, with what is on its disks; network volumes stay."""
        await self._deleted(_at("/pods", pod_id))

    # ------------------------------------------------------------------------------------------------ catalog, billing

    async def gpus(self, product: Product | None = None) -> tuple[GpuType, ...]:
        """GPU types and prices; how many are free only where a product is named."""
        return await self._listed("/catalog/gpus", "gpus", GpuType, _available(product))

    async def cpus(self, product: Product | None = None) -> tuple[CpuType, ...]:
        """CPU flavors and prices; how many are free only where a product is named."""
        return await self._listed("/catalog/cpus", "cpus", CpuType, _available(product))

    async def data_centers(self) -> tuple[DataCenter, ...]:
        """Data centres, with the GPUs that each has."""
        return await self._listed("/catalog/datacenters", "dataCenters", DataCenter, {"include": "GPU_AVAILABILITY"})

    async def pod_bills(self, *, last: int = 1, bucket: Bucket = "day", pod_id: str = "") -> tuple[PodBill, ...]:
        """What pods cost in the last so many buckets, the present one included."""
        query = {"lastN": str(last), "bucketSize": bucket, **({"podId": pod_id} if pod_id else {})}
        return await self._listed("/billing/pods", "records", PodBill, query)

    async def endpoint_bills(
        self, *, last: int = 1, bucket: Bucket = "day", endpoint_id: str = ""
    ) -> tuple[EndpointBill, ...]:
        """What serverless endpoints cost in the last so many buckets, the present one included."""
        query = {"lastN": str(last), "bucketSize": bucket, **({"serverlessId": endpoint_id} if endpoint_id else {})}
        return await self._listed("/billing/serverless", "records", EndpointBill, query)

    # ------------------------------------------------------------------------------------------------ how

    async def _created(
        self,
        path: str,
        wish: NewEndpoint | NewPod,
        kind: type[Named],
        listed: Callable[[], Awaitable[tuple[Named, ...]]],
    ) -> Named:
        """Made once, also where the reply is lost: after such a one its name is looked for first."""
        if (taken := _named(await listed(), wish.name)) is not None:
            raise BadRequest(
                f"{wish.name!r} is the name of {taken.id!r} already; take another name, or use or delete that one"
            )
        attempt = 0
        while True:
            try:
                reply = await self._calls.post(path, msgspec.json.encode(wish))
                return _read(reply.body, kind)
            except Undecided as error:
                lost = error
            await self._calls.pause(attempt)
            if (made := _named(await listed(), wish.name)) is not None:
                return made
            if attempt >= self._calls.retries:
                raise lost
            attempt += 1

    async def _listed(self, path: str, key: str, kind: type[T], query: Query | None = None) -> tuple[T, ...]:
        found: list[T] = []
        cursor = ""
        while True:
            reply = await self._calls.get(path, {**(query or {}), **({"cursor": cursor} if cursor else {})})
            told = _read(reply.body, dict[str, msgspec.Raw])
            if key not in told:
                raise Upstream(f"{self._calls.url}{path} answered without {key!r}; is this RunPod's REST v2?")
            found += [_read(one, kind) for one in _read(told[key], list[msgspec.Raw])]
            page = _read(reply.body, _Paged).pagination
            if not page.has_next_page:
                return tuple(found)
            if page.next_cursor in (None, "", cursor):  # the document has no pages, so how to ask for one is a guess
                raise Upstream(f"{self._calls.url}{path} has more pages and does not give them; nothing is left out")
            cursor = page.next_cursor or ""

    async def _found(self, path: str, kind: type[T]) -> T | None:
        try:
            return _read((await self._calls.get(path)).body, kind)
        except Missing:
            return None

    async def _deleted(self, path: str) -> None:
        try:
            await self._calls.delete(path)
        except Missing:
            return


def _at(path: str, resource_id: str) -> str:
    if not resource_id:
        raise BadRequest(f"an id is empty, and {path} without one is all of them; give the id that creating told")
    return f"{path}/{quote(resource_id, safe='')}"


def _available(product: Product | None) -> Query:
    return {"include": "AVAILABILITY", "product": product} if product else {}


def _named(found: Sequence[Named], name: str) -> Named | None:
    return next((one for one in found if one.name == name), None)


def _read(raw: bytes | msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise Upstream(f"a reply of RunPod cannot be read ({error}); is this RunPod's REST v2?") from error
