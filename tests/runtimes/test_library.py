"""What decides the last bits of vectors: the library's version and the processor's features."""

import openvino
import pytest

from embedstack.runtimes import RUNTIMES
from embedstack.runtimes.library import PACKAGES, library_of, processor_of, runtime_of


def test_the_library_is_named_with_its_version() -> None:
    name, version = library_of("openvino").split(" ")

    assert name == "openvino"
    assert openvino.__version__.startswith(version)


def test_every_runtime_has_a_library() -> None:
    assert PACKAGES.keys() == RUNTIMES.keys()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_runtime_is_known_by_its_library(runtime: str) -> None:
    assert runtime_of(library_of(runtime)) == runtime


def test_a_library_of_somebody_else_is_no_runtime() -> None:
    assert runtime_of("llama 3") == ""


def test_a_card_is_called_by_its_name() -> None:
    assert processor_of("cuda:0 NVIDIA H200") == "cuda:0 NVIDIA H200"


def test_this_processor_is_the_same_every_time() -> None:
    assert processor_of("cpu") == processor_of("cpu") != "cpu"
