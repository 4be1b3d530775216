"""A stand-in for the Hub on this machine's loopback, as far as the real client asks of it."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "1234567890abcdef1234567890abcdef12345678"
OTHER_COMMIT = "abcdef1234567890abcdef1234567890abcdef12"
SIGNATURE = "5ec2e7"
_LARGE = (".safetensors", ".bin", ".pt")


@dataclass
class Repo:
    files: dict[str, bytes]
    commit: str = COMMIT
    is_gated: bool = False
    altered: dict[str, bytes] = field(default_factory=dict)  # sent in place of what is listed
    cut_after: dict[str, int] = field(default_factory=dict)  # bytes after which the connection ends, once
    store_url: str = ""  # where the bytes lie, reached by a signed link as on the Hub


class HubServer:
    """Repositories by id, and a log of what was asked."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[tuple[str, str, str]] = []  # method, path, range
        self.tokens: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, repo: str, files: dict[str, bytes], commit: str = COMMIT) -> Repo:
        self.repos[repo] = Repo(files, commit)
        return self.repos[repo]

    def ranges(self, name: str) -> list[str]:
        """The range of each GET of a file, in order."""
        return [asked for method, path, asked in self.asked if method == "GET" and path.endswith(f"/{name}")]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together, else each answer waits for the other side's acknowledgement

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None: ...

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((self.command, path, self.headers.get("Range", "")))
            hub.tokens.add(self.headers.get("Authorization", ""))
            parts = path.strip("/").split("/")
            is_listing = parts[:2] == ["api", "models"]
            name, rest = "/".join(parts[2:4] if is_listing else parts[:2]), parts[4:] if is_listing else parts[2:]
            repo = hub.repos.get(name)
            if repo is None:
                self._send(401, {"X-Error-Code": "RepoNotFound"})
            elif repo.is_gated:
                self._send(403, {"X-Error-Code": "GatedRepo"})
            elif len(rest) < 2 or rest[1] not in ("main", repo.commit):
                self._send(404, {"X-Error-Code": "RevisionNotFound"})
            elif is_listing:
                self._send(200, {"Content-Type": "application/json"}, _listing(name, repo))
            else:
                self._send_file(repo, "/".join(rest[2:]))

        def _send_file(self, repo: Repo, name: str) -> None:
            if name not in repo.files:
                self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repo.commit})
                return
            if repo.store_url:
                self._send(302, {"Location": f"{repo.store_url}{self.path}?X-Signature={SIGNATURE}"})
                return
            headers = {
                "X-Repo-Commit": repo.commit,
                "ETag": f'"{_etag(name, repo.files[name])}"',
                "Accept-Ranges": "bytes",
            }
            data = repo.altered.get(name, repo.files[name])
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            if self.command == "GET" and name in repo.cut_after:
                self._send_cut(headers, data[: repo.cut_after.pop(name)])
            else:
                self._send(206 if start else 200, headers, data[start:])

        def _send_cut(self, headers: dict[str, str], data: bytes) -> None:
            """As a proxy does that ends a transfer: no length, and a plain end of the connection."""
            self.send_response(200)
            for key, value in {**headers, "Connection": "close"}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(data)

        def _send(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    return Handler


def _listing(name: str, repo: Repo) -> bytes:
    siblings = [
        {"rfilename": path, "size": len(data), "blobId": _blob(data)}
        | ({"lfs": {"sha256": _sha256(data), "size": len(data), "pointerSize": 1}} if path.endswith(_LARGE) else {})
        for path, data in repo.files.items()
    ]
    return json.dumps({"_id": "1", "id": name, "sha": repo.commit, "siblings": siblings}).encode()


def _etag(name: str, data: bytes) -> str:
    return _sha256(data) if name.endswith(_LARGE) else _blob(data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
