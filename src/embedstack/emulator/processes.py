"""Orders for workers in, processes of the real SDK out: each in a group of its own, of which nothing stays behind."""

import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from embedstack.emulator.life import Order
from embedstack.errors import ConfigError

Say = Callable[[str, str], None]
"""Is told the id of a worker and a line that it wrote."""

LEAST_PING_MS = 1000  # the SDK divides by 1000 without a remainder, and its heartbeat dies of a timeout of 0
PING_MS = 10_000  # as the SDK has it where nothing is said
LAST_LINES = 5
LONGEST_LINE = 16_384
READ_BYTES = 65_536
WAIT_S = 5.0  # for what is still in the pipe of a process that has ended

GUARD = "read _; kill -s KILL -- -{pid}"
"""Reads until the emulator is gone, however it ended, and then ends the worker's group."""

NOT_PASSED_ON = frozenset({"RUNPOD_API_KEY", "RUNPOD_REALTIME_PORT", "RUNPOD_REALTIME_CONCURRENCY"})
"""A real key is nothing that a worker here should meet, and with a realtime port the SDK would not poll."""


def command_words(command: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """A command line as words, of which the first is a file: looked for on the PATH, and beside this Python.

    Raises:
        ConfigError: it is empty, cannot be taken apart, or its program is not there.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"the worker's command {command!r} cannot be read ({error}); mind its quotes") from error
    if not words:
        raise ConfigError("the worker's command is empty; example: --spawn 'embedstack worker runpod'")
    places = os.pathsep.join((environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    program = shutil.which(words[0], path=places)
    if program is None:
        raise ConfigError(f"the worker's program {words[0]!r} is not found; install it, or give its whole path")
    return (program, *words[1:])


def worker_environment(
    order: Order, environ: Mapping[str, str], *, url: str, key: str, home: Path, ping_ms: int = PING_MS
) -> dict[str, str]:
    """All variables of a worker: this machine's, then its endpoint's, then those of the protocol, which nobody changes.

    Args:
        url: where the data plane listens, without a path.
        home: an empty folder; in the real one a key may be kept, which the SDK would prefer to the one given here.
    """
    kept = {name: value for name, value in environ.items() if name not in NOT_PASSED_ON}
    real = Path(environ.get("HOME", "~")).expanduser()
    caches = environ.get("XDG_CACHE_HOME") or str(real / ".cache")
    hosts = [environ.get("NO_PROXY") or environ.get("no_proxy") or "", "127.0.0.1", "localhost"]
    no_proxy = ",".join(filter(None, hosts))
    base, query = f"{url.rstrip('/')}/v2/{order.endpoint_id}", "?gpu=emulated"
    return {
        "XDG_CACHE_HOME": caches,  # models stay where they are, though the home is another
        "EMBEDSTACK_CACHE_DIR": str(user_cache_path("embedstack")),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUSERBASE": str(real / ".local"),  # and so do packages that were installed with `pip install --user`
        "RUNPOD_LOG_LEVEL": "INFO",
        **kept,
        **order.env,
        "HOME": str(home),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "RUNPOD_AI_API_KEY": key,
        "RUNPOD_ENDPOINT_ID": order.endpoint_id,
        "RUNPOD_POD_ID": order.worker_id,
        "RUNPOD_POD_HOSTNAME": order.worker_id,
        "RUNPOD_PING_INTERVAL": str(max(ping_ms, LEAST_PING_MS)),
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",  # they ask the internet and want 4 GB of memory
        "RUNPOD_SKIP_GPU_CHECK": "true",
        "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID{query}",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID{query}",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID{query}",
        "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID",
    }


class Process:
    """A worker that runs; its standard output and error are one stream of lines.

    Args:
        guard: see GUARD.
        lines: passes on what it writes.
        last: the end of that.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        guard: asyncio.subprocess.Process,
        lines: "asyncio.Task[None]",
        last: "deque[str]",
    ) -> None:
        self.pid = process.pid
        self._process, self._guard, self._lines, self._last = process, guard, lines, last
        self._is_gone = False

    async def wait(self) -> int:
        """See `Running`. The heartbeat is a process of its own, which outlives a worker that was killed."""
        code = await self._process.wait()
        self.kill()
        self._is_gone = True
        with suppress(ProcessLookupError):
            self._guard.kill()
        await self._guard.wait()
        return code

    def terminate(self) -> None:
        """See `Running`: only the worker itself, as a container's first process gets it."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """See `Running`."""
        if not self._is_gone:  # later its number may be another's
            _kill_group(self.pid)

    async def last_words(self) -> str:
        """See `Running`."""
        await asyncio.wait({self._lines}, timeout=WAIT_S)
        self._lines.cancel()
        return " | ".join(self._last)


class ProcessSpawner:
    """Starts the same command for every order.

    Args:
        command: the program's file and its arguments, see `command_words`.
        environ: the variables of this machine.
        say: is told every line that a worker writes.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        environ: Mapping[str, str],
        *,
        url: str,
        key: str,
        home: Path,
        say: Say = lambda worker_id, line: None,
        ping_ms: int = PING_MS,
    ) -> None:
        self._command, self._environ, self._say = command, environ, say
        self._url, self._key, self._home, self._ping_ms = url, key, home, ping_ms

    async def start(self, order: Order) -> Process:
        """See `Spawner`."""
        variables = worker_environment(
            order, self._environ, url=self._url, key=self._key, home=self._home, ping_ms=self._ping_ms
        )
        try:
            process, guard, reading = await _started(self._command, variables)
        except (OSError, ValueError) as error:  # the second is of variables that no process can have
            raise ConfigError(f"the worker's program {self._command[0]!r} cannot be run ({error})") from error
        last: deque[str] = deque(maxlen=LAST_LINES)

        def heard(line: str) -> None:
            last.append(line)
            self._say(order.worker_id, line)

        return Process(process, guard, asyncio.create_task(_forward(reading, heard)), last)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS refuses where only ended processes are left
        os.killpg(pid, signal.SIGKILL)


async def _started(
    command: tuple[str, ...], variables: Mapping[str, str]
) -> tuple[asyncio.subprocess.Process, asyncio.subprocess.Process, int]:
    """The worker, its guard, and where what it writes can be read; or nothing is left of them."""
    reading, writing = os.pipe()  # of ours: asyncio's own would let `wait` wait for all who hold it
    try:
        process = await _worker(command, variables, writing)
        try:
            return process, await _guard_of(process.pid), reading
        except BaseException:
            _kill_group(process.pid)
            raise
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)


async def _worker(command: tuple[str, ...], variables: Mapping[str, str], writing: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        env=variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=writing,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


async def _guard_of(pid: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        GUARD.format(pid=pid),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


async def _forward(reading: int, heard: Callable[[str], None]) -> None:
    """Pass each line on, until nobody writes any more."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
    )
    rest = b""
    try:
        while chunk := await reader.read(READ_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                heard(_text(line))
        if rest:
            heard(_text(rest))
    finally:
        transport.close()


def _text(line: bytes) -> str:
    return line[:LONGEST_LINE].decode(errors="replace").rstrip("\r")
