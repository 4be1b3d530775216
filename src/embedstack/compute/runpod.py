"""RunPod's control plane over REST v2: endpoints and pods are made, read, changed and ended; the catalog, the bills."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import TypeAlias, TypeVar
from urllib.parse import quote
from weakref import WeakValueDictionary

import msgspec

from embedstack.compute.calls import RETRIES, Calls, Missing, Pause, Query, Undecided
from embedstack.compute.prices import Bucket, CpuType, DataCenter, EndpointBill, GpuType, PodBill, Product
from embedstack.compute.shapes import Action, Endpoint, EndpointChange, NewEndpoint, NewPod, Pod, WorkerList
from embedstack.errors import BadRequest, EmbedstackError, Upstream

URL = "https://api.runpod.io/v2"
TIMEOUT_S = 60.0  # making a pod waits for a machine; the document's own example gives it as much

LOOKS = 5  # for what may have been made, with the pauses between attempts: half a minute

log = logging.getLogger("embedstack.compute")

T = TypeVar("T")
Named = TypeVar("Named", Endpoint, Pod)
Listed: TypeAlias = Callable[[], Awaitable[tuple[Named, ...]]]


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    next_cursor: str | None = None
    has_next_page: bool = False


class _Paged(msgspec.Struct, frozen=True):
    pagination: _Page = _Page()


class RunPodControl:
    """One account's machines.

    What is not there is None, and deleting it is no error. Names are taken once: a pod or endpoint whose making was
    not answered is looked for by its name for half a minute before it is asked for again. One that comes up later than
    that is a second one: it is looked for once more at the end, and named in an error if it is there by then. `NewPod`
    and `NewEndpoint` of one name are made one after the other here; other programs can still take it.

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
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by path and name

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
        """Change what the change names; a new image or environment reaches workers as they are replaced."""
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
        return _read(reply.body, Pod, Undecided) if reply.body else None

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

    async def _created(self, path: str, wish: NewEndpoint | NewPod, kind: type[Named], listed: Listed[Named]) -> Named:
        """Made once, as far as that can be known: after a lost reply its name is looked for first."""
        async with self._locks.setdefault(f"{path} {wish.name}", asyncio.Lock()):
            if taken := _named(await listed(), wish.name):
                name, known = wish.name, taken[0].id
                raise BadRequest(f"{name!r} is the name of {known!r} already; take another, or use or delete that one")
            lost: Undecided | None = None
            for _ in range(self._calls.retries + 1):
                found, lost = await self._tried(path, wish, kind, listed, lost)
                if len(found) > 1:
                    raise Upstream(
                        f"{wish.name!r} was made more than once, since a reply was lost ({lost}): "
                        f"{', '.join(one.id for one in found)} all cost money; delete all but one"
                    )
                if found:
                    return found[0]
            raise _unknown(wish.name, lost, "it was not there yet") from lost

    async def _tried(
        self, path: str, wish: NewEndpoint | NewPod, kind: type[Named], listed: Listed[Named], lost: Undecided | None
    ) -> tuple[tuple[Named, ...], Undecided | None]:
        """What there is of this name after one attempt, and the reply that was lost last."""
        try:
            reply = await self._calls.post(path, msgspec.json.encode(wish))
            made = _read(reply.body, kind, Undecided)
        except Undecided as error:
            return await self._looked_for(wish.name, listed, error), error
        except EmbedstackError as error:
            if lost is None:
                raise
            if found := await self._looked_for(wish.name, listed, lost):
                return found, lost
            raise _unknown(wish.name, lost, f"the next attempt was refused: {error}") from error
        return ((made,) if lost is None else await self._checked(made, listed)), lost

    async def _looked_for(self, name: str, listed: Listed[Named], lost: Undecided) -> tuple[Named, ...]:
        """What there is of this name, once there is something; a server may go on after its caller has given up."""
        for look in range(LOOKS):
            await self._calls.pause(look)
            try:
                found = _named(await listed(), name)
            except EmbedstackError as error:
                raise _unknown(name, lost, f"looking for it failed: {error}") from lost
            if found:
                return found
        return ()

    async def _checked(self, made: Named, listed: Listed[Named]) -> tuple[Named, ...]:
        """It and what else there is of its name; it is not lost where that cannot be known."""
        found = {made.id: made}
        try:
            found |= {one.id: one for one in _named(await listed(), made.name)}
        except EmbedstackError as error:
            log.warning("event=not_looked_for id=%s name=%r cause=%s", made.id, made.name, error)
        return tuple(found.values())

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


def _named(found: Sequence[Named], name: str) -> tuple[Named, ...]:
    return tuple(one for one in found if one.name == name)


def _unknown(name: str, lost: Undecided | None, why: str) -> Undecided:
    return Undecided(
        f"whether {name!r} was made is not known ({lost}), and {why}; look for it later, it may cost money"
    )


def _read(raw: bytes | msgspec.Raw, kind: type[T], failure: type[Upstream] = Upstream) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise failure(f"a reply of RunPod cannot be read ({error}); is this RunPod's REST v2?") from error
