"""Addresses of jobs: how they end, and what stands before that."""

import pytest

from embedstack.client.endpoint import Endpoint


@pytest.mark.parametrize(
    ("url", "step", "base"),
    [
        ("https://api.runpod.ai/v2/abc/runsync", "runsync", "https://api.runpod.ai/v2/abc/"),
        ("https://api.runpod.ai/v2/abc/runsync/", "runsync", "https://api.runpod.ai/v2/abc/"),
        ("https://api.runpod.ai/v2/abc/run", "run", "https://api.runpod.ai/v2/abc/"),
        ("http://host:8000/runsync", "runsync", "http://host:8000/"),
        ("https://api.runpod.ai/v2/abc", "", "https://api.runpod.ai/v2/abc"),
        ("http://run", "", "http://run"),
        ("http://host/rerun", "", "http://host/rerun"),
    ],
)
def test_the_last_step_of_an_address_says_whether_it_is_of_jobs(url, step, base):
    endpoint = Endpoint(url, "key")

    assert (endpoint.job_step, endpoint.job_base) == (step, Endpoint(base, "key"))


def test_the_routes_of_jobs_stand_beside_each_other():
    base = Endpoint("https://user:pass@host/v2/abc/runsync").job_base

    assert str(base.at("/status/sync-1-u1")) == "https://host/v2/abc/status/sync-1-u1"
    assert base.headers["authorization"].startswith("Basic ")
