"""Workers as processes: their variables, their lines, their ends, and that nothing of them stays behind."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from embedstack.emulator.life import Order
from embedstack.emulator.processes import (
    LONGEST_LINE,
    Process,
    ProcessSpawner,
    command_words,
    worker_environment,
)
from embedstack.errors import ConfigError

PATIENCE_S = 30.0
URL = "http://127.0.0.1:8001"


def is_gone(pid: int) -> bool:
    """Whether the process ends within the patience; one that nobody has buried yet counts as gone."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def variables(environ: dict[str, str] | None = None, env: dict[str, str] | None = None, **how: int) -> dict[str, str]:
    order = Order("e", "w", env or {})
    return worker_environment(order, environ or {}, url=URL, key="local", home=Path("/nowhere"), **how)


# ------------------------------------------------------------------------------------------------ the command


def test_a_command_is_taken_apart_as_a_shell_would() -> None:
    assert command_words("sh -c 'exit 3'", {"PATH": "/bin"}) == ("/bin/sh", "-c", "exit 3")


def test_a_program_beside_this_python_is_found_though_no_path_leads_there() -> None:
    name = Path(sys.executable).name

    assert Path(command_words(f"{name} worker.py", {"PATH": ""})[0]).samefile(sys.executable)


@pytest.mark.parametrize(
    ("command", "said"), [("", "empty"), ("no-such-program x", "'no-such-program' is not found"), ("a 'b", "quotes")]
)
def test_a_command_that_cannot_be_run_is_refused_before_anything_starts(command: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        command_words(command, {"PATH": "/bin"})


# ------------------------------------------------------------------------------------------------ the variables


def test_a_worker_is_pointed_at_the_emulator() -> None:
    given = variables()

    assert {name: given[name] for name in given if name.startswith("RUNPOD_WEBHOOK")} == {
        "RUNPOD_WEBHOOK_GET_JOB": f"{URL}/v2/e/job-take/$ID?gpu=emulated",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{URL}/v2/e/job-done/$RUNPOD_POD_ID/$ID?gpu=emulated",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{URL}/v2/e/job-stream/$RUNPOD_POD_ID/$ID?gpu=emulated",
        "RUNPOD_WEBHOOK_PING": f"{URL}/v2/e/ping/$RUNPOD_POD_ID",
    }


def test_a_worker_knows_who_it_is() -> None:
    given = variables()

    assert (given["RUNPOD_POD_ID"], given["RUNPOD_ENDPOINT_ID"], given["RUNPOD_AI_API_KEY"]) == ("w", "e", "local")


def test_the_checks_of_the_sdk_are_off() -> None:
    given = variables()

    assert (given["RUNPOD_SKIP_AUTO_SYSTEM_CHECKS"], given["RUNPOD_SKIP_GPU_CHECK"]) == ("true", "true")


def test_a_real_key_stays_outside() -> None:
    given = variables({"RUNPOD_API_KEY": "rpa_real", "RUNPOD_AI_API_KEY": "rpa_real"})

    assert "rpa_real" not in given.values()


def test_a_key_kept_in_the_home_folder_is_not_found() -> None:
    assert variables({"HOME": "/home/somebody"})["HOME"] == "/nowhere"


def test_models_are_still_looked_for_where_they_are() -> None:
    assert variables({"HOME": "/home/somebody"})["XDG_CACHE_HOME"] == "/home/somebody/.cache"


def test_packages_of_the_user_are_still_looked_for_where_they_are() -> None:
    given = variables({"HOME": "/home/somebody"})
    moved = variables({"HOME": "/home/somebody", "PYTHONUSERBASE": "/mine"})

    assert (given["PYTHONUSERBASE"], moved["PYTHONUSERBASE"]) == ("/home/somebody/.local", "/mine")


def test_a_cache_that_was_moved_stays_where_it_is() -> None:
    given = variables({"HOME": "/h", "XDG_CACHE_HOME": "/big", "EMBEDSTACK_CACHE_DIR": "/models"})

    assert (given["XDG_CACHE_HOME"], given["EMBEDSTACK_CACHE_DIR"]) == ("/big", "/models")


def test_no_proxy_stands_between_a_worker_and_the_emulator() -> None:
    given = variables({"NO_PROXY": "intern", "HTTPS_PROXY": "http://proxy"})

    assert (given["NO_PROXY"], given["no_proxy"]) == ("intern,127.0.0.1,localhost",) * 2


def test_an_endpoints_variables_beat_those_of_the_machine_but_not_the_protocol() -> None:
    given = variables({"EMBEDSTACK_MODELS": "a"}, {"EMBEDSTACK_MODELS": "b", "RUNPOD_POD_ID": "another"})

    assert (given["EMBEDSTACK_MODELS"], given["RUNPOD_POD_ID"]) == ("b", "w")


def test_a_ping_interval_that_would_kill_the_heartbeat_is_not_passed_on() -> None:
    assert variables({"RUNPOD_PING_INTERVAL": "10"}, ping_ms=500)["RUNPOD_PING_INTERVAL"] == "1000"


def test_with_a_realtime_port_the_sdk_would_not_poll_so_there_is_none() -> None:
    assert "RUNPOD_REALTIME_PORT" not in variables({"RUNPOD_REALTIME_PORT": "8000"})


# ------------------------------------------------------------------------------------------------ the process


class Heard:
    """What a worker writes, as it comes."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._more = asyncio.Event()

    def __call__(self, worker_id: str, line: str) -> None:
        self.lines.append((worker_id, line))
        self._more.set()

    async def first(self) -> str:
        """The first line, once it is there."""
        await asyncio.wait_for(self._more.wait(), PATIENCE_S)
        return self.lines[0][1]


def with_worker(
    folder: Path, script: str, act: Callable[[Process, Heard], Awaitable[None]]
) -> tuple[int, list[str], str]:
    """Run a shell script as a worker, do something to it, and wait for its end: status, lines, last words."""

    async def run() -> tuple[int, list[str], str]:
        heard = Heard()
        spawner = ProcessSpawner(
            ("/bin/sh", "-c", script), {"PATH": os.defpath}, url=URL, key="local", home=folder, say=heard
        )
        running = await spawner.start(Order("e", "w"))
        await act(running, heard)
        status = await asyncio.wait_for(running.wait(), PATIENCE_S)
        last = await running.last_words()
        return status, [line for _, line in heard.lines], last

    return asyncio.run(run())


async def nothing(running: Process, heard: Heard) -> None:
    """Let it run."""


def test_what_a_worker_writes_comes_line_by_line(tmp_path: Path) -> None:
    status, lines, last = with_worker(tmp_path, "echo one; echo two >&2; printf three; exit 3", nothing)

    assert (status, lines, last) == (3, ["one", "two", "three"], "one | two | three")


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    _, lines, _ = with_worker(tmp_path, "head -c 300000 /dev/zero | tr '\\0' x", nothing)

    assert len(lines) > 1
    assert {len(line) for line in lines} <= set(range(1, LONGEST_LINE + 1))


def test_bytes_that_are_no_text_do_not_matter(tmp_path: Path) -> None:
    _, lines, _ = with_worker(tmp_path, "printf '\\377\\n'", nothing)

    assert lines == ["\ufffd"]


def test_a_worker_that_is_asked_to_end_may_do_so_in_its_own_way(tmp_path: Path) -> None:
    async def act(running: Process, heard: Heard) -> None:
        await heard.first()
        running.terminate()

    status, _, _ = with_worker(tmp_path, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done", act)

    assert status == 7


def test_asking_one_to_end_that_has_ended_is_no_error(tmp_path: Path) -> None:
    async def act(running: Process, heard: Heard) -> None:
        await running.wait()
        running.terminate()
        running.kill()

    assert with_worker(tmp_path, "exit 0", act)[0] == 0


def test_what_a_killed_worker_started_goes_with_it(tmp_path: Path) -> None:
    """The SDK's heartbeat is a process, which would go on and say that all is well."""
    children: list[int] = []

    async def act(running: Process, heard: Heard) -> None:
        children.append(int(await heard.first()))
        os.kill(running.pid, signal.SIGKILL)

    status, _, _ = with_worker(tmp_path, "sleep 1000 & echo $!; wait", act)

    assert (status, is_gone(children[0])) == (-signal.SIGKILL, True)


def test_what_a_worker_left_running_ends_with_it(tmp_path: Path) -> None:
    children: list[int] = []

    async def act(running: Process, heard: Heard) -> None:
        children.append(int(await heard.first()))

    status, _, _ = with_worker(tmp_path, "sleep 1000 & echo $!; exit 0", act)

    assert (status, is_gone(children[0])) == (0, True)


def test_killing_ends_a_worker_that_ignores_everything_else(tmp_path: Path) -> None:
    async def act(running: Process, heard: Heard) -> None:
        await heard.first()
        running.terminate()
        running.kill()

    assert with_worker(tmp_path, "trap '' TERM; echo ready; while :; do sleep 1; done", act)[0] == -signal.SIGKILL


def test_nothing_is_left_of_the_guard(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    with_worker(tmp_path, "exit 0", nothing)

    assert [child for child in set(psutil.Process().children(recursive=True)) - before if not is_gone(child.pid)] == []


def test_a_program_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    file = tmp_path / "worker"
    file.write_text("no program")
    file.chmod(0o755)
    spawner = ProcessSpawner((str(file),), {}, url=URL, key="local", home=tmp_path)

    with pytest.raises(ConfigError, match="worker' cannot be run"):
        asyncio.run(spawner.start(Order("e", "w")))


@pytest.mark.parametrize("env", [{"A": "x\0y"}, {"A=B": "x"}])
def test_variables_that_no_process_can_have_are_an_error_and_leave_nothing_open(
    tmp_path: Path, env: dict[str, str]
) -> None:
    spawner = ProcessSpawner(("/bin/sleep", "0"), {}, url=URL, key="local", home=tmp_path)

    async def run() -> tuple[int, int]:
        before = psutil.Process().num_fds()
        for _ in range(3):
            with pytest.raises(ConfigError, match="sleep' cannot be run"):
                await spawner.start(Order("e", "w", env))
        return before, psutil.Process().num_fds()

    before, after = asyncio.run(run())
    assert after <= before + 1  # asyncio's watcher of processes may have one


def test_without_descriptors_left_no_worker_starts_and_that_is_an_error(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spawner = ProcessSpawner(("/bin/sleep", "0"), {}, url=URL, key="local", home=tmp_path)

    async def run() -> None:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            with pytest.raises(ConfigError, match="Too many open files"):
                await spawner.start(Order("e", "w"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    asyncio.run(run())


def test_a_worker_has_ended_though_something_outside_its_group_holds_its_pipe(tmp_path: Path) -> None:
    script = "import subprocess; print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)"
    heard = Heard()
    spawner = ProcessSpawner((sys.executable, "-c", script), {}, url=URL, key="local", home=tmp_path, say=heard)

    async def run() -> tuple[bool, str]:
        running = await spawner.start(Order("e", "w"))
        await asyncio.wait_for(running.wait(), PATIENCE_S)
        words = asyncio.create_task(running.last_words())
        left = await heard.first()
        is_read = words.done()
        os.kill(int(left), signal.SIGKILL)
        return is_read, await words

    is_read, words = asyncio.run(run())
    assert (is_read, words.isdecimal()) == (False, True)


KILLED = """
import asyncio, os, pathlib, signal
from embedstack.emulator.processes import ProcessSpawner
from embedstack.emulator.life import Order

async def main():
    spawner = ProcessSpawner(("/bin/sleep", "1000"), {}, url="http://127.0.0.1:1", key="k", home=pathlib.Path("."))
    running = await spawner.start(Order("e", "w"))
    print(running.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_workers_end_when_the_emulator_is_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )

    assert done.returncode == -signal.SIGKILL
    assert is_gone(int(done.stdout))
