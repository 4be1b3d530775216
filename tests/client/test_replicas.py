"""One small model in three precisions behind three servers: who stands in for whom."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from embedstack.api import open_engine
from embedstack.client.plan import Plan, Target, Way, target_of
from embedstack.client.router import Router
from embedstack.errors import NoEndpoint
from embedstack.settings import read_settings
from embedstack.types import Encode, Encoded, Text
from support.confusion import tiny_folder
from support.runtimes import needs_torch

RUNTIMES = {"float32": "openvino", "bfloat16": "torch", "int8": "onnx"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder("bert-mean", tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def replica(serve, folder: Path, tmp_path: Path) -> Iterator:
    """A function: a precision -> the URL of a server whose model is in it."""

    def opened(precision: str):
        flags = {
            "runtime": RUNTIMES[precision], "precision": precision, "threads": 1, "lanes": 1, "allow_unproven": True,
            "cache_dir": tmp_path,
        }  # fmt: skip
        return open_engine(read_settings(flags, environ={}), [str(folder)], say=lambda line: None)

    with ExitStack() as stack:
        yield lambda precision: stack.enter_context(serve(lambda: opened(precision)))


def at(name: str, url: str) -> Target:
    return target_of("embedstack", "embed", {}, url=url, called=name)


def asked_after(first: str, second: str, **rules: object) -> Encoded:
    """What the second gives in the place of the first, whose probes are known and which is gone."""

    async def run() -> Encoded:
        plan = Plan(embed=Way(targets=(at("first", first), at("second", second))), **rules)
        async with Router(plan) as router:
            await router.encode(Encode(model="", items=(Text("sun"),)))
            await router._proofs.first()
            seat = router._seats["embed"][0]
            for _ in range(3):
                seat.breaker.failed(0.0)
            seat.breaker.until = float("inf")
            return await router.encode(Encode(model="", items=(Text("the panda is a bear"),)))

    return asyncio.run(run())


@pytest.mark.torch
@needs_torch
@pytest.mark.parametrize("precisions", [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_bfloat16_and_float32_stand_in_for_each_other(replica, precisions):
    first, second = map(replica, precisions)

    answer = asked_after(first, second)

    assert answer.dense.shape == (1, 32)
    assert np.isclose(np.linalg.norm(answer.dense), 1, atol=1e-2)


def test_another_replica_in_float32_stands_in(replica):
    assert asked_after(replica("float32"), replica("float32")).dense.shape == (1, 32)


def test_int8_does_not_stand_in_unasked(replica):
    with pytest.raises(NoEndpoint, match=r"second: it is only as near to first .* as int8 is .*allow_int8 = true"):
        asked_after(replica("float32"), replica("int8"))


def test_int8_stands_in_where_that_is_asked_for(replica):
    assert asked_after(replica("float32"), replica("int8"), allow_int8=True).dense.shape == (1, 32)
