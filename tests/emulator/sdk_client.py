"""The unmodified SDK's clients, run as a process: python sdk_client.py URL KEY; prints what they got."""

import asyncio
import json
import sys

import runpod
from runpod import AsyncioEndpoint, AsyncioJob  # noqa: F401  # both names are what users import
from runpod.http_client import AsyncClientSession

runpod.endpoint_url_base, runpod.api_key = sys.argv[1:3]


def sync_client():
    endpoint = runpod.Endpoint("coroutine")
    job = endpoint.run({"a": 1})
    failed = endpoint.run({"input": {"raise": "no"}})
    waiting = runpod.Endpoint("nobody").run({"input": {"c": 3}})
    stream = runpod.Endpoint("generator").run({"input": {"count": 3}})
    got = {
        "output": job.output(timeout=60),
        "status": job.status(),
        "failed": [failed.output(timeout=60), failed.status()],
        "run_sync": endpoint_of_sync().run_sync({"b": 2}),
        "cancel": waiting.cancel()["status"],
        "stream": list(stream.stream()),
        "purge": runpod.Endpoint("nobody").purge_queue(),
        "health": sorted(endpoint.health()),
    }
    try:
        runpod.Endpoint("sync", api_key="wrong").health()
    except RuntimeError as error:
        got["wrong key"] = str(error)
    return got


def endpoint_of_sync():
    return runpod.Endpoint("sync")


async def async_client():
    async with AsyncClientSession() as session:
        endpoint = AsyncioEndpoint("coroutine", session)
        job = await endpoint.run({"a": 1})
        stream = await AsyncioEndpoint("async_generator", session).run({"count": 2})
        waiting = await AsyncioEndpoint("nobody", session).run({"c": 3})
        return {
            "output": await job.output(timeout=60),
            "status": await job.status(),
            "stream": [chunk async for chunk in stream.stream()],
            "cancel": (await waiting.cancel())["status"],
            "purge": await AsyncioEndpoint("nobody", session).purge_queue(),
            "health": sorted(await endpoint.health()),
        }


if __name__ == "__main__":
    print("RESULT " + json.dumps({"sync": sync_client(), "async": asyncio.run(async_client())}))
