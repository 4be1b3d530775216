"""What this process may use of the processor."""

import os
from pathlib import Path
from typing import get_args

import pytest

from embedstack.errors import ConfigError
from embedstack.modelspec import Precision
from embedstack.runtimes import RUNTIMES
from embedstack.runtimes.processor import ELSEWHERE, choose_precision, flags, usable_threads

ALLOWED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cgroup(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_max", ".max").replace("cfs", "cpu.cfs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_threads(tmp_path) == ALLOWED
    assert usable_threads(cgroup(tmp_path, cpu_max="max 100000\n")) == ALLOWED


def test_a_quota_of_one_processor_is_one_thread(tmp_path: Path) -> None:
    assert usable_threads(cgroup(tmp_path, cpu_max="100000 100000\n")) == 1


def test_half_a_processor_is_still_one_thread(tmp_path: Path) -> None:
    assert usable_threads(cgroup(tmp_path, cpu_max="50000 100000\n")) == 1


def test_a_quota_of_the_first_version_counts_too(tmp_path: Path) -> None:
    root = cgroup(tmp_path, cpu__cfs_quota_us="100000", cpu__cfs_period_us="100000")

    assert usable_threads(root) == 1


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ("0::/system.slice/embed.service", "system.slice/cpu.max"),
        ("0::/a/b", "a/b/cpu.max"),
        ("4:cpu,cpuacct:/a", "cpu/a/"),
    ],
)
def test_a_quota_on_any_group_above_counts(line: str, at: str, tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"1:memory:/x\n{line}\n")
    path = tmp_path / "sys/fs/cgroup" / at
    path.parent.mkdir(parents=True)
    if at.endswith("cpu.max"):
        path.write_text("100000 100000\n")
    else:
        path.mkdir()
        (path / "cpu.cfs_quota_us").write_text("100000")
        (path / "cpu.cfs_period_us").write_text("100000")

    assert usable_threads(tmp_path) == 1


def test_a_quota_over_the_affinity_does_not_count(tmp_path: Path) -> None:
    assert usable_threads(cgroup(tmp_path, cpu_max="9900000 100000\n")) == ALLOWED


@pytest.mark.parametrize(
    ("wish", "has", "wanted"),
    [
        ("auto", {"avx2"}, "float32"),
        ("auto", {"avx512f"}, "float32"),
        ("auto", {"avx512_bf16"}, "bfloat16"),
        ("auto", {"amx_bf16"}, "bfloat16"),
        ("float32", {"avx512_bf16"}, "float32"),
        ("bfloat16", {"amx_bf16"}, "bfloat16"),
    ],
)
def test_bfloat16_is_taken_where_it_is_native(wish: str, has: set[str], wanted: str) -> None:
    precision, why = choose_precision(wish, frozenset(has))

    assert precision == wanted
    assert wanted in why


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("bfloat16", "not native"),
        ("float64", "with runtime numpy, or take auto, float32 or bfloat16"),
        ("tf32", "runtime torch"),
        ("float16", "runtime torch"),
        ("int8", "runtime onnx"),
        ("int3", "is unknown; use auto, float32 or bfloat16$"),
    ],
)
def test_a_precision_that_the_processor_lacks_is_refused(wish: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        choose_precision(wish, frozenset({"avx2"}))


def test_every_precision_is_openvinos_or_said_to_be_of_another_runtime() -> None:
    assert {*ELSEWHERE, "float32", "bfloat16"} == set(get_args(Precision))
    assert set(ELSEWHERE.values()) <= set(RUNTIMES)


def test_flags_are_read_as_linux_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n")

    assert "avx512_bf16" in flags(path)
    assert flags(tmp_path / "absent") == frozenset()
