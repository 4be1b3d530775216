"""All commands: stdout is data, stderr is for people, exit codes tell what kind of error it was."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from embedstack import __version__
from embedstack.cli import COMMANDS, cli
from embedstack.cli.lazy import LazyGroup
from embedstack.errors import ConfigError, UnknownModel
from embedstack.settings import Settings, environment_names
from support.commands import COMMAND, PATIENCE_S, good, process, run

pytestmark = pytest.mark.usefixtures("machine")
SECRET = "hf_thisMustNeverBeSeen"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example(command: str) -> None:
    text = good(command, "--help").stdout

    assert f"embedstack {command} " in text.partition("Usage:")[2].partition("\n")[2]


def test_help_lists_the_commands_and_where_settings_come_from() -> None:
    text = good("-h").stdout

    assert all(f"  {name}" in text for name in COMMANDS)
    assert "flags, then the environment (EMBEDSTACK_...), then .env" in text


def test_help_of_serve_names_every_setting_with_its_variables_and_its_default() -> None:
    text = " ".join(good("serve", "--help").stdout.split())

    plain = [row for row in fields(Settings) if not row.metadata["secret"]]
    for row in plain:
        assert f"{', '.join(environment_names(row))}]" in text
    assert "[default all-MiniLM-L6-v2; EMBEDSTACK_MODELS]" in text
    assert "--lazy / --no-lazy" in text
    assert "--truncate refuse|left|right" in text


@pytest.mark.parametrize("command", ["serve", "doctor", "embed", "rerank", "bench"])
def test_no_secret_can_stand_on_the_command_line(command: str) -> None:
    text = " ".join(good(command, "--help").stdout.split())

    assert not any(f"--{row.name.replace('_', '-')} " in text for row in fields(Settings) if row.metadata["secret"])
    assert "EMBEDSTACK_API_KEYS, EMBEDSTACK_ADMIN_KEY, HF_TOKEN" in text


def test_help_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)

    assert SECRET not in good("serve", "--help").stdout


def test_version_is_one_line() -> None:
    assert good("--version").stdout == f"embedstack, version {__version__}\n"


@pytest.mark.slow
@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_the_version_and_help_answer_without_loading_the_device(argument: str) -> None:
    code = "import sys; from embedstack.cli import cli; "
    code += f"cli([{argument!r}], standalone_mode=False); sys.exit('openvino' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=PATIENCE_S)

    assert (done.returncode, done.stderr) == (0, b"")


def test_an_unknown_command_is_refused() -> None:
    assert run("encode").exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("command", [("embed", "-m"), ("rerank", "sun", "-m"), ("serve", "--port", "0")])
def test_an_unknown_model_ends_with_2_one_line_and_the_nearest(command: tuple[str, ...]) -> None:
    done = process(*command, "bge-m4", stdin=b"a text\n")

    last = done.stderr.decode().splitlines()[-1]
    assert (done.returncode, done.stdout) == (UnknownModel.exit_code, b"")
    assert last.startswith("error: model 'bge-m4' is not in the catalog")
    assert "did you mean 'bge-m3'?" in last
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", [("embed", "sun"), ("rerank", "sun", "moon"), ("serve",), ("doctor",)])
def test_a_wrong_setting_ends_with_2_and_one_line(command: tuple[str, ...]) -> None:
    done = process(*command, env={**os.environ, "EMBEDSTACK_THREADS": "many"})

    assert (done.returncode, done.stdout) == (ConfigError.exit_code, b"")
    assert done.stderr.decode().splitlines() == [
        "error: EMBEDSTACK_THREADS='many' is not a whole number; processor threads for the model; "
        "0 reads the affinity and the container's quota; example: 0"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", "many"), "--threads='many' is not a whole number"),
        (("--runtime", "tpu"), "runtime 'tpu' is unknown; choose one of: numpy, openvino"),
        (
            ("--precision", "int9"),
            "--precision='int9' is not one of: auto, float64, float32, tf32, bfloat16, float16, int8",
        ),
        (("--env-file", "absent.env"), "env file 'absent.env' is not there; check --env-file"),
    ],
)
def test_a_wrong_flag_is_a_configuration_error(embedder: str, arguments: tuple[str, ...], message: str) -> None:
    result = run("embed", "sun", "-m", embedder, *arguments)

    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(message)


def test_an_unknown_variable_of_ours_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_PROT", "1")

    assert "did you mean EMBEDSTACK_PORT?" in str(run("doctor").exception)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["embed", "rerank"])
def test_a_reader_that_has_seen_enough_ends_it_quietly(
    embedder: str, reranker: str, tmp_path: Path, command: str
) -> None:
    (tmp_path / "many.txt").write_text("\n".join(f"sun {n}" for n in range(8000)))
    arguments = ["embed", "-m", embedder] if command == "embed" else ["rerank", "sun", "-m", reranker]
    running = subprocess.Popen(
        [*COMMAND, *arguments, "-f", "many.txt"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    assert running.stdout.readline()
    running.stdout.close()

    said = running.stderr.read().decode().splitlines()
    running.stderr.close()
    assert running.wait(PATIENCE_S) in (0, 1)
    assert len(said) == 1
    assert "ready in" in said[0]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["embed", "rerank"])
def test_a_full_disk_behind_stdout_is_one_line(embedder: str, reranker: str, command: str) -> None:
    arguments = ["embed", "sun", "-m", embedder] if command == "embed" else ["rerank", "sun", "moon", "-m", reranker]

    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, check=False)

    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[1:] == ["error: stdout cannot be written: No space left on device"]


def test_every_command_is_one_of_clicks() -> None:
    context = click.Context(cli, **cli.context_settings)

    assert all(isinstance(cli.get_command(context, name), click.Command) for name in cli.list_commands(context))


def test_ctrl_c_has_the_exit_code_that_shells_give_it() -> None:
    @click.command()
    def waiting() -> None:
        raise KeyboardInterrupt

    group = LazyGroup("all", commands={"waiting": waiting}, later={})

    result = CliRunner().invoke(group, ["waiting"])

    assert (result.exit_code, result.stderr) == (130, "error: SIGINT came before the end\n")
