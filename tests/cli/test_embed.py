"""`embedstack embed`: each way in, each way out, and what is refused."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from embedstack import load
from embedstack.cli.embed import CHUNK
from embedstack.errors import BadRequest, ConfigError, TooLong, UnknownModel, Unsupported
from support.commands import COMMAND, good, process, run, vectors_of, wanted
from support.tiny import CASES, HIDDEN, write

pytestmark = pytest.mark.usefixtures("machine")


def test_embed_writes_a_json_line_for_each_text(embedder: str) -> None:
    result = good("embed", "sun", "moon tree", "-m", embedder)

    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == ["sun", "moon tree"]
    assert np.array_equal(vectors_of(result.stdout), wanted(embedder, "sun", "moon tree"))


def test_embed_says_on_stderr_what_it_runs_on(embedder: str) -> None:
    assert "bert-mean: openvino, float32, as asked" in good("embed", "sun", "-m", embedder).stderr


def test_embed_json_is_one_object_with_identity_and_usage(embedder: str) -> None:
    whole = json.loads(good("embed", "sun", "moon " * 60, "-m", embedder, "--json").stdout)

    with load(embedder) as model:
        assert (whole["model"], whole["space"]) == ("bert-mean", model.spec.space)
        assert whole["fingerprint"] == model.spec.fingerprint("float32")
    assert whole["usage"] == {"items": 2, "tokens": 43, "truncated": 1, "dropped": 22}
    assert [len(row["embedding"]) for row in whole["data"]] == [HIDDEN, HIDDEN]


def test_embed_json_may_be_asked_for_as_a_format(embedder: str) -> None:
    as_flag, as_format = (good("embed", "sun", "-m", embedder, *a) for a in (["--json"], ["--format", "json"]))

    assert as_flag.stdout == as_format.stdout


def test_embed_refuses_two_formats(embedder: str) -> None:
    result = run("embed", "sun", "-m", embedder, "--json", "--format", "npy")

    assert isinstance(result.exception, BadRequest)
    assert str(result.exception) == "--json and --format npy exclude each other; give one of them"


def test_embed_writes_npy(embedder: str) -> None:
    good("embed", "sun", "moon", "-m", embedder, "-o", "v.npy")

    assert np.array_equal(np.load("v.npy"), wanted(embedder, "sun", "moon"))


def test_embed_writes_parquet_with_the_identity(embedder: str) -> None:
    good("embed", "sun", "moon", "-m", embedder, "-o", "v.parquet")

    table = pq.read_table("v.parquet")
    about = json.loads(table.schema.metadata[b"embedstack"])
    assert np.array_equal(np.array(table["vector"].to_pylist(), np.float32), wanted(embedder, "sun", "moon"))
    assert (about["model"], about["dim"], len(about["space"]), len(about["fingerprint"])) == (
        "bert-mean",
        HIDDEN,
        32,
        32,
    )


def test_embed_tells_what_was_written_and_its_fingerprint(embedder: str) -> None:
    result = good("embed", "sun", "moon", "-m", embedder, "-o", "v.npy")

    with load(embedder) as model:
        assert f"v.npy: 2 vectors; bert-mean, fingerprint {model.spec.fingerprint('float32')}" in result.stderr
    assert result.stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_embed_writes_binary_formats_into_a_pipe(embedder: str, tmp_path: Path, kind: str) -> None:
    done = process("embed", "-m", embedder, "--format", kind, stdin="sun\nмир\n".encode())

    (tmp_path / "v").write_bytes(done.stdout)
    rows = np.load("v") if kind == "npy" else np.array(pq.read_table("v")["vector"].to_pylist(), np.float32)
    assert np.array_equal(rows, wanted(embedder, "sun", "мир"))


def test_embed_reads_files_and_jsonl_together(embedder: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\nsun\n\nmoon\n")
    (tmp_path / "b.jsonl").write_text('{"text": "star"}\n')

    result = good("embed", "tree", "-f", "a.txt", "-f", "b.jsonl", "-m", embedder)

    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == ["tree", "sun", "moon", "star"]


def test_embed_takes_another_field(embedder: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"body": "star"}\n')

    result = good("embed", "-f", "rows.jsonl", "--field", "body", "-m", embedder)

    assert json.loads(result.stdout)["text"] == "star"


def test_embed_reads_stdin(embedder: str) -> None:
    result = good("embed", "-m", embedder, stdin="sun\nmoon\n")

    assert np.array_equal(vectors_of(result.stdout), wanted(embedder, "sun", "moon"))


@pytest.mark.parametrize(
    ("arguments", "stdin", "error", "message"),
    [
        (("-f", "absent"), b"", ConfigError, "'absent' is not there"),
        (("-f", "latin"), b"", BadRequest, "latin line 1 is not UTF-8"),
        ((), b"", BadRequest, "no text; the input was empty"),
        ((), b"\xff\n", BadRequest, "stdin line 1 is not UTF-8"),
        (("sun", "-o", "v.csv"), b"", BadRequest, "'csv' is no format"),
        (("sun", "-o", "absent/v.npy"), b"", ConfigError, "No such file or directory"),
    ],
)
def test_embed_tells_what_is_wrong_with_a_file_before_it_looks_for_the_model(
    tmp_path: Path, arguments: tuple[str, ...], stdin: bytes, error: type[Exception], message: str
) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")

    result = run("embed", "-m", "no-such-model", *arguments, stdin=stdin)

    assert type(result.exception) is error
    assert message in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("",), BadRequest, "text 0 is empty"),
        (("sun", "--role", "title"), BadRequest, "role 'title' is unknown"),
        (("sun", "--dim", "8"), Unsupported, "not trained for 8 dimensions"),
        (("sun", "moon " * 60, "--truncate", "refuse"), TooLong, "text 1 has 62 tokens"),
    ],
)
def test_embed_passes_on_what_the_model_refuses_and_leaves_no_file(
    embedder: str, tmp_path: Path, arguments: tuple[str, ...], error: type[Exception], message: str
) -> None:
    result = run("embed", "-m", embedder, "-o", "v.npy", *arguments)

    assert type(result.exception) is error
    assert message in str(result.exception)
    assert list(tmp_path.glob("v.npy*")) == []


def test_embed_leaves_no_file_where_the_model_is_unknown(tmp_path: Path) -> None:
    assert isinstance(run("embed", "sun", "-m", "bge-m4", "-o", "v.npy").exception, UnknownModel)
    assert list(tmp_path.glob("v.npy*")) == []


def test_embed_counts_texts_from_the_beginning_of_the_input(embedder: str) -> None:
    lines = ["sun"] * (CHUNK + 3)
    lines[CHUNK + 1] = "moon " * 60

    result = run("embed", "-m", embedder, "--truncate", "refuse", stdin="\n".join(lines))

    assert type(result.exception) is TooLong
    assert str(result.exception).startswith(f"after {CHUNK} texts: text 1 has 62 tokens")


def test_embed_keeps_the_order_of_many_texts(embedder: str) -> None:
    texts = [f"{'sun ' * (n % 9)}moon {n}" for n in range(CHUNK + 50)]

    good("embed", "-m", embedder, "-o", "v.npy", stdin="\n".join(texts))

    some = [0, 1, CHUNK - 1, CHUNK, CHUNK + 49]
    assert np.allclose(np.load("v.npy")[some], wanted(embedder, *(texts[n] for n in some)), atol=1e-6)


def test_embed_reports_what_was_cut(embedder: str) -> None:
    result = good("embed", "sun", "moon " * 60, "-m", embedder)

    assert "1 texts were longer than the model's 40 tokens; 22 tokens were cut" in result.stderr


def test_embed_cuts_as_the_settings_say(embedder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_TRUNCATE", "refuse")

    assert isinstance(run("embed", "moon " * 60, "-m", embedder).exception, TooLong)
    assert good("embed", "moon " * 60, "-m", embedder, "--truncate", "left").stdout


def test_embed_takes_the_first_model_of_the_settings(
    embedder: str, reranker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDSTACK_MODELS", f"{embedder},{reranker}")

    assert json.loads(good("embed", "sun", "--json").stdout)["model"] == "bert-mean"


def test_embed_puts_the_prompt_of_the_role_in_front(tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "prompted")
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "what is "}}')

    result = good("embed", "panda", "--role", "query", "-m", str(folder))

    assert np.array_equal(vectors_of(result.stdout), wanted(str(folder), "what is panda"))


def test_embed_with_a_reranker_says_what_to_take(reranker: str) -> None:
    result = run("embed", "sun", "-m", reranker)

    assert isinstance(result.exception, Unsupported)
    assert "take another model, for example 'all-MiniLM-L6-v2'" in str(result.exception)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "npy"])
def test_a_file_that_does_not_fit_is_one_line_and_no_file(embedder: str, tmp_path: Path, kind: str) -> None:
    limited = ["sh", "-c", 'ulimit -f 16; exec "$@"', "sh", *COMMAND]
    texts = "\n".join(f"sun {n}" for n in range(300)).encode()

    done = subprocess.run(
        [*limited, "embed", "-m", embedder, "-o", f"v.{kind}"], input=texts, capture_output=True, check=False
    )

    assert done.returncode == ConfigError.exit_code
    last = done.stderr.decode().splitlines()[-1]
    assert f"v.{kind}' cannot be written: " in last
    assert "None" not in last
    assert list(tmp_path.glob("v.*")) == []
