"""The model of a job: opened as it was planned, so that what is done again has the same bits."""

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from embedstack.api import open_for_job
from embedstack.chunks.chunk import Chunking
from embedstack.errors import BadRequest, Unsupported
from embedstack.jobs.opened import Opened, asking
from embedstack.jobs.opening import as_planned, open_here
from embedstack.jobs.plan import Exact, Wish
from embedstack.runtimes.library import processor_of
from embedstack.runtimes.processor import usable_threads
from embedstack.settings import Settings
from embedstack.types import Text
from support.confusion import tiny_folder

HERE = Exact(
    where="here",
    version="1",
    runtime="onnxruntime 1.20",
    processor="",
    precision="int8",
    threads=1,
    lanes=1,
    batch_tokens=2048,
)
USUAL = Settings()
NOTHING = frozenset[str]()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_folder("bert-mean", tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path, precision="float32", threads=1)


def silent(line: str) -> None: ...


def wish(model: str) -> Wish:
    return Wish(inputs=(), model=model, chunking=Chunking(tokens=16))


def opened_now(model: str, settings: Settings) -> Opened:
    async def open_() -> Opened:
        async with open_here(wish(model), settings, say=silent) as opened:
            return opened

    return asyncio.run(open_())


# ------------------------------------------------------------------------------------------------ as it was planned


def here(**fields: object) -> Exact:
    """As this processor would have made it."""
    return msgspec.structs.replace(HERE, processor=processor_of("cpu"), **fields)


def test_runtime_precision_and_batches_are_those_of_the_plan() -> None:
    made = as_planned(USUAL, here(), NOTHING)

    assert (made.runtime, made.precision, made.batch_tokens) == ("onnx", "int8", 2048)


def test_what_the_user_asks_for_is_not_overruled_even_if_it_is_usual() -> None:
    given = {"runtime", "precision", "batch_tokens", "threads"}

    assert as_planned(USUAL, here(), given) == USUAL


def test_on_another_processor_the_runtime_is_that_of_the_settings() -> None:
    planned = msgspec.structs.replace(HERE, runtime="torch 2.13", processor="cuda:0 NVIDIA H200")

    assert as_planned(USUAL, planned, NOTHING).runtime == USUAL.runtime


def test_the_precision_is_the_plans_on_every_processor_since_its_fingerprint_is() -> None:
    planned = msgspec.structs.replace(HERE, precision="float32", processor="cuda:0 NVIDIA H200")

    assert as_planned(USUAL, planned, NOTHING).precision == "float32"


def test_a_runtime_whose_library_is_not_here_is_not_taken_over() -> None:
    assert as_planned(USUAL, here(runtime="torch"), NOTHING).runtime == USUAL.runtime


def test_a_plan_that_was_made_elsewhere_decides_nothing_here() -> None:
    assert as_planned(USUAL, msgspec.structs.replace(HERE, where="tei (http://there)"), NOTHING) == USUAL


def test_threads_of_another_processor_are_not_taken_over() -> None:
    assert as_planned(USUAL, HERE, NOTHING).threads == USUAL.threads


@pytest.mark.slow
def test_threads_and_lanes_of_this_very_processor_are_those_of_the_plan(model: str, settings: Settings) -> None:
    exact = opened_now(model, settings).exact

    made = as_planned(USUAL, exact, NOTHING)
    assert (made.threads, made.lanes) == (exact.threads, exact.lanes)


def test_processes_share_threads_and_lanes() -> None:
    asked = replace(USUAL, threads=8, lanes=4)

    made = as_planned(asked, HERE, {"threads", "lanes"}, processes=4)

    assert (made.threads, made.lanes) == (2, 1)


def test_each_of_many_processes_has_a_thread() -> None:
    made = as_planned(USUAL, HERE, NOTHING, processes=10 * usable_threads())

    assert made.threads == 1


# ------------------------------------------------------------------------------------------------ the model


@pytest.mark.slow
def test_what_decides_the_bits_is_told(model: str, settings: Settings) -> None:
    exact = opened_now(model, settings).exact

    assert exact.where == "here"
    assert exact.runtime.startswith("openvino ")
    assert (exact.precision, exact.threads, exact.lanes, exact.batch_tokens) == ("float32", 1, 1, 1024)
    assert exact.processor


@pytest.mark.slow
def test_the_same_settings_make_the_same_model_again(model: str, settings: Settings) -> None:
    first, second = opened_now(model, settings), opened_now(model, settings)

    assert (first.identity, first.exact, first.probes) == (second.identity, second.exact, second.probes)


@pytest.mark.slow
def test_a_model_may_be_called_otherwise_than_in_the_plan(model: str, settings: Settings) -> None:
    async def open_() -> Opened:
        async with open_here(wish("gone"), settings, model, say=silent) as opened:
            return opened

    assert asyncio.run(open_()).identity.fingerprint == opened_now(model, settings).identity.fingerprint


@pytest.mark.slow
def test_chunks_are_cut_by_what_the_model_takes(model: str, settings: Settings) -> None:
    told: list[int] = []

    def cut(most: int) -> Chunking:
        told.append(most)
        return Chunking(tokens=most)

    async def open_() -> int:
        async with open_here(wish(model), settings, cut=cut, say=silent) as opened:
            return opened.ruler.max_tokens

    assert [asyncio.run(open_())] == told


@pytest.mark.slow
def test_chunks_that_are_too_long_are_refused_before_the_work(model: str, settings: Settings) -> None:
    async def open_() -> None:
        async with open_here(wish(model), settings, cut=lambda most: Chunking(tokens=most + 1), say=silent):
            raise AssertionError

    with pytest.raises(BadRequest, match="too large"):
        asyncio.run(open_())


@pytest.mark.slow
def test_what_is_measured_is_what_is_encoded(model: str, settings: Settings) -> None:
    texts = ["a", "a small text", "b c d e f"]

    async def both() -> tuple[int, int]:
        async with open_here(wish(model), settings, say=silent) as opened:
            answer = await opened.encoder.encode(asking(opened.model, [Text(one) for one in texts], wish(model)))
            return sum(opened.ruler.count(texts)), answer.usage.tokens

    counted, read = asyncio.run(both())
    assert counted == read


@pytest.mark.slow
def test_vectors_of_a_job_are_those_of_the_library_within_rounding(model: str, settings: Settings) -> None:
    made = open_for_job(settings, model, silent)
    try:
        job = asyncio.run(made.engine.encode(asking(made.loaded.spec.name, [Text("a small text")], wish(model))))
        alone = asyncio.run(
            made.engine.encode(replace(asking(made.loaded.spec.name, [Text("a small text")], wish(model)), whole=False))
        )
    finally:
        made.engine.close()

    np.testing.assert_allclose(job.dense, alone.dense, atol=1e-6)


def test_a_model_without_vectors_is_refused(tmp_path: Path, settings: Settings) -> None:
    reranker = str(tiny_folder("bert-classifier", tmp_path))

    with pytest.raises(Unsupported, match="name a model for vectors"):
        open_for_job(settings, reranker, silent)
