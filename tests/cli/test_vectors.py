"""Each format is read back by its own reader, and a file is whole or not there."""

import asyncio
import io
import json
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from embedstack.cli.vectors import FORMATS, identity, open_writer, usage
from embedstack.errors import BadRequest, ConfigError
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Encoded, Pair, Score, Text, Usage

CHUNKS = [["one", "два"], ["three"]]


def encoded(texts: list[str]) -> Encoded:
    return asyncio.run(HashEncoder().encode(Encode(model="hash", items=tuple(Text(text) for text in texts))))


def write(output: Path | None, kind: str | None = None) -> np.ndarray:
    """Both chunks; the vectors that were handed over."""
    made = [encoded(chunk) for chunk in CHUNKS]
    with open_writer(kind, output) as writer:
        for chunk, part in zip(CHUNKS, made, strict=True):
            writer.write(chunk, part)
    return np.concatenate([part.dense for part in made])


# ------------------------------------------------------------------------------------------------ formats


def test_json_is_one_object_with_identity_usage_and_vectors(tmp_path: Path) -> None:
    vectors = write(tmp_path / "v.json")

    whole = json.loads((tmp_path / "v.json").read_bytes())
    spec = encoded(["one"]).spec
    assert (whole["model"], whole["revision"], whole["space"]) == (spec.name, spec.revision, spec.space)
    assert (whole["dim"], whole["fingerprint"]) == (32, spec.fingerprint("float32"))
    assert whole["usage"] == {"items": 3, "tokens": 3, "truncated": 0, "dropped": 0}
    assert [(row["index"], row["text"]) for row in whole["data"]] == [(0, "one"), (1, "два"), (2, "three")]
    assert np.array_equal(np.array([row["embedding"] for row in whole["data"]], np.float32), vectors)


def test_jsonl_is_an_object_a_line_that_carries_the_fingerprint(tmp_path: Path) -> None:
    vectors = write(tmp_path / "v.jsonl")

    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_bytes().splitlines()]
    assert [line["text"] for line in lines] == ["one", "два", "three"]
    assert {line["fingerprint"] for line in lines} == {encoded(["one"]).fingerprint}
    assert np.array_equal(np.array([line["embedding"] for line in lines], np.float32), vectors)


def test_npy_is_a_float32_matrix(tmp_path: Path) -> None:
    vectors = write(tmp_path / "v.npy")

    read = np.load(tmp_path / "v.npy")
    assert read.dtype == np.float32
    assert np.array_equal(read, vectors)


def test_parquet_has_texts_vectors_and_the_identity_in_its_footer(tmp_path: Path) -> None:
    vectors = write(tmp_path / "v.parquet")

    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column("text").to_pylist() == ["one", "два", "three"]
    assert np.array_equal(np.array(table.column("vector").to_pylist(), np.float32), vectors)
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: float>[32]"
    assert json.loads(table.schema.metadata[b"embedstack"]) == identity(encoded(["one"]))


@pytest.mark.parametrize("kind", FORMATS)
def test_stdout_gets_what_a_file_gets(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], kind: str) -> None:
    write(tmp_path / f"v.{kind}")
    write(None, kind)

    assert capfdbinary.readouterr().out == (tmp_path / f"v.{kind}").read_bytes()


def test_stdout_gets_json_lines_where_no_format_is_named(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write(None)

    assert len(capfdbinary.readouterr().out.splitlines()) == 3


def test_json_lines_are_written_as_they_come(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with open_writer("jsonl", None) as writer:
        writer.write(["one"], encoded(["one"]))
        sys.stdout.flush()

        assert capfdbinary.readouterr().out.count(b"\n") == 1


# ------------------------------------------------------------------------------------------------ the choice


def test_a_format_beats_the_ending(tmp_path: Path) -> None:
    write(tmp_path / "v.json", "npy")

    assert np.load(tmp_path / "v.json").shape == (3, 32)


def test_an_ending_in_capitals_is_known(tmp_path: Path) -> None:
    write(tmp_path / "V.NPY")

    assert np.load(tmp_path / "V.NPY").shape == (3, 32)


@pytest.mark.parametrize(("name", "shown"), [("v.csv", "'csv'"), ("vectors", "''")])
def test_an_ending_that_names_no_format_is_refused(tmp_path: Path, name: str, shown: str) -> None:
    with pytest.raises(BadRequest, match=f"{shown} is no format; choose one of: json, jsonl, npy, parquet"):
        open_writer(None, tmp_path / name)


@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_a_terminal_gets_nothing_binary(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal(io.BytesIO()))

    with pytest.raises(BadRequest, match=f"{kind} is binary and stdout is a terminal; add --output FILE"):
        open_writer(kind, None)


def test_parquet_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigError, match=r"run: pip install 'embedstack\[parquet\]'"):
        open_writer("parquet", Path("v.parquet"))


# ------------------------------------------------------------------------------------------------ whole or not there


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_appears_when_it_is_whole(tmp_path: Path, kind: str) -> None:
    output = tmp_path / f"v.{kind}"

    with open_writer(None, output) as writer:
        writer.write(["one"], encoded(["one"]))
        assert not output.exists()

    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("kind", FORMATS)
def test_an_error_leaves_the_earlier_file_and_nothing_else(tmp_path: Path, kind: str) -> None:
    output = tmp_path / f"v.{kind}"
    output.write_bytes(b"earlier")

    with pytest.raises(BadRequest, match="text 7"), open_writer(None, output) as writer:  # noqa: PT012
        writer.write(["one"], encoded(["one"]))
        raise BadRequest("text 7 is empty")

    assert [(path, path.read_bytes()) for path in tmp_path.iterdir()] == [(output, b"earlier")]


@pytest.mark.parametrize("kind", ["json", "npy", "parquet"])
def test_a_whole_format_without_vectors_is_refused_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    with pytest.raises(BadRequest, match="no vectors to write"), open_writer(kind, tmp_path / "v"):
        pass

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_result_without_dense_vectors_is_refused(tmp_path: Path, kind: str) -> None:
    full = encoded(["one"])
    without = Encoded(spec=full.spec, fingerprint=full.fingerprint, usage=full.usage)

    with pytest.raises(BadRequest, match="no dense vectors"), open_writer(kind, tmp_path / "v") as writer:
        writer.write(["one"], without)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    output = tmp_path / "absent" / "v.npy"

    with pytest.raises(ConfigError) as caught, open_writer(None, output):
        pass

    assert str(caught.value) == (
        f"{str(output)!r} cannot be written: No such file or directory; choose another place with --output"
    )


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"), open_writer("json", tmp_path):
        pass


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.npy").symlink_to(tmp_path / "target.npy")

    write(tmp_path / "link.npy")

    assert (tmp_path / "link.npy").is_symlink()
    assert np.load(tmp_path / "target.npy").shape == (3, 32)


def test_a_pipe_is_written_into_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()

    write(pipe, "jsonl")
    reader.join()

    assert received[0].count(b"\n") == 3
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


# ------------------------------------------------------------------------------------------------ identity and usage


def test_scores_have_an_identity_without_a_width() -> None:
    scored = asyncio.run(HashEncoder().score(Score(model="overlap", items=(Pair("a", "b"),))))

    assert identity(scored).keys() == {"model", "revision", "space", "fingerprint"}


def test_vectors_that_sentence_transformers_made_say_so() -> None:
    ours = encoded(["one"])
    architecture = replace(ours.spec.architecture, family="reference:mpnet")

    theirs = replace(ours, spec=replace(ours.spec, architecture=architecture))

    assert identity(theirs)["encoder"] == "reference (sentence-transformers)"
    assert "encoder" not in identity(ours)


def test_the_counts_of_parts_are_added() -> None:
    total = usage(Usage(1, 10, 3, 1), Usage(2, 20))

    assert total == {"items": 3, "tokens": 30, "truncated": 1, "dropped": 3}
