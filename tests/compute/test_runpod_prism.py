"""Our client of RunPod's control plane against Prism, which makes a server of RunPod's own OpenAPI document.

It refuses a request that the document does not allow, and else replies with the examples that stand there. Those are
not checked, as `--errors` would: their addresses hold `{job_id}`, and the format `uri` that they should have does not.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.environments import TOOLS, VARIABLE
from embedstack.compute import RunPodControl
from embedstack.compute.shapes import (
    Cpu,
    EndpointChange,
    GpuPools,
    Mounts,
    NetworkMount,
    NewEndpoint,
    NewPod,
    PodGpu,
    QueueDelay,
    RequestCount,
    Workers,
)
from embedstack.emulator.serve import listen, url_of
from embedstack.errors import BadRequest
from support.renting import Pauses

pytestmark = [
    pytest.mark.clients,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} is not set"),
]


@pytest.fixture(scope="module")
def prism(runpod_openapi: Path) -> Iterator[str]:
    """Where it listens."""
    tool = TOOLS["prism"]
    assert tool.is_ready, "run: python tests/clients/environments.py prism"
    listener = listen("127.0.0.1", 0)
    url, port = url_of(listener), listener.getsockname()[1]
    listener.close()
    program = tool.folder / "node_modules/.bin/prism"
    process = subprocess.Popen(
        [str(program), "mock", "--host", "127.0.0.1", "--port", str(port), str(runpod_openapi)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        for line in process.stdout:
            said.append(line)
            if "is listening on" in line:
                break
        else:
            raise RuntimeError(f"Prism did not start:\n{''.join(said[-20:])}")
        drained = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        yield f"{url}/v2"
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
    drained.wait(60)


def test_every_call_of_the_client_is_one_that_the_document_knows(prism: str) -> None:
    async def run() -> None:
        async with RunPodControl("a-key", prism, pause=Pauses(), retries=0) as client:
            endpoint = NewEndpoint(
                name="embedder",
                image="a/b:1",
                env={"A": "1"},
                gpu=GpuPools(pools=("ADA_24",), min_cuda_version="12.1"),
                workers=Workers(min=0, max=2, idle_timeout=5),
                scaling=QueueDelay(4),
                flashboot="FLASHBOOT",
            )
            made = await client.create_endpoint(endpoint)
            small = NewEndpoint(
                name="small",
                image="a",
                cpu=(Cpu(id="cpu5c", vcpu_count=4),),
                scaling=RequestCount(2),
                type="LOAD_BALANCER",
            )
            await client.create_endpoint(small)
            assert made.request_urls["run"].endswith(f"/{made.id}/run")
            assert (await client.endpoints())[0].gpu is not None
            assert (await client.endpoint(made.id)) is not None
            await client.update_endpoint(made.id, EndpointChange(workers=Workers(max=3), scaling=QueueDelay(8)))
            assert (await client.workers(made.id)).summary["total"] == 2
            await client.delete_endpoint(made.id)

            network = Mounts(network=(NetworkMount(volume_id="v", path="/v"),))
            pod = await client.create_pod(
                NewPod(
                    name="mine", image="a", gpu=PodGpu(id="NVIDIA L4"), mounts=network, cloud="SECURE", start_ssh=True
                )
            )
            assert (await client.pods())[0].status == "RUNNING"
            assert (await client.pod(pod.id)) is not None
            for action in ("start", "stop", "restart"):
                assert (await client.act(pod.id, action)) is not None
            await client.delete_pod(pod.id)

            assert (await client.gpus())[0].id
            assert (await client.gpus("SERVERLESS"))[0].availability == "HIGH"
            assert (await client.cpus("POD"))[0].price.secure_per_vcpu > 0
            assert (await client.data_centers())[0].gpu_availability
            assert (await client.pod_bills(last=2, bucket="hour", pod_id="p"))[0].total_amount == 12.34
            assert (await client.endpoint_bills(last=2, endpoint_id="e"))[0].fee_amount == 1.0

    asyncio.run(run())


def test_what_the_document_does_not_allow_is_refused_there_too(prism: str) -> None:
    """So that the rule above can fail."""

    async def run() -> None:
        async with RunPodControl("a-key", prism, pause=Pauses(), retries=0) as client:
            with pytest.raises(BadRequest, match="422"):
                await client.create_endpoint(
                    NewEndpoint(name="a", image="a", gpu=GpuPools(pools=()), scaling=QueueDelay(0.1))
                )

    asyncio.run(run())
