"""Every runtime: its operations against numpy in float64, and the promises of the protocol."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.errors import ConfigError, RuntimeFailed, Unsupported
from embedstack.models.weights import Weights, open_weights
from embedstack.runtimes import RUNTIMES, Options, numpy, open_runtime
from embedstack.runtimes.failures import not_run
from embedstack.runtimes.layout import lay_out
from embedstack.runtimes.openvino import Graph, OpenVinoOps
from embedstack.runtimes.processor import usable_threads
from embedstack.testing.check_ops import check_ops
from embedstack.testing.check_runtime import check_runtime
from embedstack.types import Batch
from support.runtimes import runtimes
from support.tiny import CASES, write

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("lengths", [(1,), (7, 7, 7), (1, 9, 2, 9, 5), (22, 5, 3)])
@pytest.mark.parametrize("runtime", runtimes("reference"))
def test_every_operation_equals_numpys(runtime: str, lengths: tuple[int, ...]) -> None:
    assert check_ops(runtime, lengths) == []


def test_an_operation_that_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenVinoOps, "gelu", OpenVinoOps.gelu_tanh)

    assert [line.split(":")[0] for line in check_ops("openvino")] == ["activate gelu"]


@pytest.mark.parametrize("case", ["bert-mean", "bert-classifier", "roberta-labels", "bge_m3_tiny"])
@pytest.mark.parametrize("runtime", runtimes("reference"))
def test_a_runtime_keeps_its_promises(runtime: str, case: str, tmp_path: Path) -> None:
    folder = GOLDEN / case if case == "bge_m3_tiny" else write(CASES[case], tmp_path / case)
    spec = find(str(folder), cache_dir=tmp_path).spec

    assert check_runtime(runtime, spec, open_weights(folder)) == []


def test_a_runtime_that_breaks_its_promises_is_told_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    monkeypatch.setattr(numpy, "require_known", lambda batch, spec: None)
    monkeypatch.setattr(numpy.NumpyRuntime, "close", lambda self: None)

    broken = check_runtime("numpy", find(str(folder), cache_dir=tmp_path).spec, open_weights(folder))

    assert broken == [
        "it runs the id -1, which is outside the vocabulary",
        "a run after close does not fail with what says so",
    ]


@pytest.mark.parametrize("runtime", runtimes("reference"))
def test_an_id_outside_the_vocabulary_is_named_with_what_to_do(runtime: str, tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    spec = find(str(folder), cache_dir=tmp_path).spec
    opened = open_runtime(runtime)(spec, open_weights(folder), Options(threads=1))
    foreign = Batch(np.array([1, 70_000], np.int32), np.zeros(2, np.int32), np.array([0, 2], np.int32))

    with pytest.raises(RuntimeFailed, match=r"token id 70000 is outside 0\.\.\d+, .* pull it again"):
        opened.run(foreign, frozenset(spec.outputs))


def test_a_library_is_quoted_in_one_line_and_what_to_do_follows() -> None:
    said = not_run("the device 'cuda:0' could not run a batch of 9 tokens", RuntimeError("out of\n  memory\n"))

    assert str(said) == (
        "the device 'cuda:0' could not run a batch of 9 tokens: out of memory; "
        "lower batch_tokens, or take another device or a smaller precision"
    )


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are looked at as Linux shows them")
@pytest.mark.parametrize("runtime", runtimes("reference"))
def test_its_threads_may_run_on_every_processor_so_that_two_processes_do_not_share_one(
    runtime: str, tmp_path: Path
) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    spec = find(str(folder), cache_dir=tmp_path).spec
    opened = open_runtime(runtime)(spec, open_weights(folder), Options(threads=1))
    batch = Batch(np.ones(400, np.int32), np.zeros(400, np.int32), np.arange(0, 401, 20, dtype=np.int32))
    allowed, seen = os.sched_getaffinity(0), set[frozenset[int]]()

    def look() -> None:
        for task in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):
                seen.add(frozenset(os.sched_getaffinity(int(task.name))))

    with ThreadPoolExecutor(1) as threads:
        for _ in range(30):
            running = threads.submit(opened.run, batch, frozenset(spec.outputs))
            while not running.done():
                look()

    assert seen == {frozenset(allowed)}


def test_openvino_says_that_it_could_not_take_a_model() -> None:
    ops = OpenVinoOps(Weights({}, "nothing"))

    with pytest.raises(ConfigError, match=r"could not put the model on the device 'cpu': .*; take another device"):
        Graph(ops, {"made": ops.ids()}, "no precision", threads=1, lanes=1)


def test_options_that_name_no_threads_take_all() -> None:
    assert Options().thread_count == usable_threads()
    assert Options(threads=3).thread_count == 3


@pytest.mark.parametrize("runtime", runtimes("reference"))
def test_a_tensor_that_no_graph_reads_is_refused(runtime: str, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = write(CASES["bert-mean"], tmp_path / "m")
    spec = find(str(folder), cache_dir=tmp_path).spec
    extra = {"encoder.layer.0.gate.weight": np.ones((2, 2), np.float32)}
    save_file({**load_file(folder / "model.safetensors"), **extra}, folder / "model.safetensors")

    with pytest.raises(ConfigError, match=r"encoder\.layer\.0\.gate\.weight"):
        open_runtime(runtime)(spec, open_weights(folder), Options(threads=1))


@pytest.mark.parametrize("fault", ["missing", "another shape"])
@pytest.mark.parametrize("runtime", runtimes("reference"))
def test_a_tensor_that_is_not_as_the_config_says_is_refused(runtime: str, fault: str, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = write(CASES["bert-mean"], tmp_path / "m")
    spec = find(str(folder), cache_dir=tmp_path).spec
    tensors = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    tensors = {**tensors, name: tensors[name][:, :-1].copy()} if fault == "another shape" else tensors
    save_file({k: v for k, v in tensors.items() if k != name or fault != "missing"}, folder / "model.safetensors")

    with pytest.raises(ConfigError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        open_runtime(runtime)(spec, open_weights(folder), Options(threads=1))


def test_a_head_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    spec = find(str(folder), cache_dir=tmp_path).spec
    runtime = open_runtime("numpy")(spec, open_weights(folder), Options(threads=1))
    one = Batch(np.ones(1, np.int32), np.zeros(1, np.int32), np.array([0, 1], np.int32))

    with pytest.raises(Unsupported, match="no sparse output"):
        runtime.run(one, frozenset({"sparse"}))


def test_an_unknown_runtime_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="numpy, openvino"):
        open_runtime("tensorflow")


def test_a_missing_package_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNTIMES, "onnx", "embedstack_has_no_such_module:Onnx")  # type: ignore[index]

    with pytest.raises(ConfigError, match=r"pip install 'embedstack\[onnx\]'"):
        open_runtime("onnx")


def test_the_layout_of_a_ragged_batch() -> None:
    batch = Batch(np.arange(5, dtype=np.int32), np.zeros(5, np.int32), np.array([0, 2, 5], np.int32))

    made = lay_out(batch)

    assert made["grid"].tolist() == [[0, 1, 0], [2, 3, 4]]
    assert made["slots"].tolist() == [0, 1, 3, 4, 5]
    assert made["places"].tolist() == [0, 1, 0, 1, 2]
    assert made["mask"][:, 0, 0].tolist() == [[0, 0, -np.inf], [0, 0, 0]]
    assert made["firsts"].tolist() == [0, 2]
    assert made["lasts"].tolist() == [1, 4]


WATCHED = """
import sys
sys.addaudithook(lambda event, given: print(event, given, flush=True) if event.startswith("socket.") and given and
                 event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto") else None)
import embedstack
with embedstack.load(sys.argv[1]) as model:
    model.encode("a text")
"""


def test_nothing_is_sent_anywhere(tmp_path: Path) -> None:
    """Importing OpenVINO alone would look up Google Analytics and write an id into the home folder."""
    folder = write(CASES["bert-mean"], tmp_path / "m")
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "EMBEDSTACK_CACHE_DIR": str(tmp_path / "cache")}
    (tmp_path / "home").mkdir()

    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(folder)], capture_output=True, text=True, check=True, env=environment
    )

    assert done.stdout == ""
    assert list((tmp_path / "home").iterdir()) == []
