"""A worker of the unmodified SDK with a handler of one kind: python sdk_worker.py KIND."""

import asyncio
import sys

import runpod


def act(given):
    if "raise" in given:
        raise ValueError(given["raise"])
    if "return" in given:
        return given["return"]
    return {"echo": given}


def sync(job):
    return act(job["input"])


async def coroutine(job):
    if "sleep" in job["input"]:
        print("sleeping", flush=True)
        await asyncio.sleep(job["input"]["sleep"])
    return act(job["input"])


def generator(job):
    for number in range(job["input"]["count"]):
        yield {"number": number}
    if job["input"].get("raise"):
        raise ValueError(job["input"]["raise"])


async def async_generator(job):
    for number in range(job["input"]["count"]):
        await asyncio.sleep(0)
        yield {"number": number}


HANDLERS = {
    "sync": {"handler": sync},
    "coroutine": {"handler": coroutine},
    "several": {"handler": coroutine, "concurrency_modifier": lambda now: 8},
    "generator": {"handler": generator},
    "async_generator": {"handler": async_generator, "return_aggregate_stream": True},
    "once": {"handler": sync, "refresh_worker": True},
}

if __name__ == "__main__":  # the SDK's heartbeat is a process that may import this again
    runpod.serverless.start(HANDLERS[sys.argv[1]])
