"""A bucket on loopback that speaks what S3 and Google's XML API have in common, with or without preconditions.

Written after https://cloud.google.com/storage/docs/xml-api/overview and the S3 API: no service was asked. Signatures
are not looked at.
"""

import hashlib
import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

NAME = "bucket"
Scheme = Literal["s3", "gs"]


@dataclass(frozen=True)
class Stored:
    data: bytes
    generation: int
    changed_s: float

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data).hexdigest()}"'


@dataclass(frozen=True)
class Fault:
    """What becomes of the next request."""

    when: Literal["before", "after"]  # it is done
    status: int  # 0: the connection breaks
    code: str = "InternalError"


@dataclass
class State:
    """What stands in the bucket, and what was asked of it."""

    preconditions: bool
    page: int  # keys in a listing
    objects: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)  # method and path with query
    faults: deque[Fault | None] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)
    generation: int = 0

    def put(self, key: str, data: bytes) -> Stored:
        self.generation += 1
        self.objects[key] = Stored(data, self.generation, time.time())
        return self.objects[key]


class XmlBucket:
    """The bucket named `bucket`.

    Args:
        preconditions: else every create passes, as with stores that do not know them.
        page: keys in a listing.
    """

    def __init__(self, *, preconditions: bool = True, page: int = 1000) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self.reset(preconditions=preconditions, page=page)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def reset(self, *, preconditions: bool = True, page: int = 1000) -> None:
        """Begin anew, with nothing in it."""
        self.state = self._server.state = State(preconditions, page)

    def __enter__(self) -> "XmlBucket":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def variables(scheme: Scheme, address: str) -> dict[str, str]:
    """What the environment says so that obstore asks at `address`."""
    if scheme == "gs":
        account = {
            "gcs_base_url": address,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    return {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true", **keys}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    state: State

    def handle_error(self, *_: object) -> None:
        pass  # a client that hung up


class _Refusal(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        state, parts = self.server.state, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        with state.lock:
            state.requests.append(f"{self.command} {self.path}")
            fault = state.faults.popleft() if state.faults else None
            try:
                if fault and fault.when == "before":
                    raise _Refusal(fault.status, fault.code)
                if bucket != NAME:
                    raise _Refusal(404, "NoSuchBucket")
                answer = getattr(self, f"_{self.command.lower()}")(state, key, query, body)
                if fault:
                    raise _Refusal(fault.status, fault.code)
            except _Refusal as refusal:
                answer = refusal.status, {}, f"<Error><Code>{refusal.code}</Code></Error>".encode()
        self._send(*answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _get(self, state: State, key: str, query: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if not key:
            return 200, {"Content-Type": "application/xml"}, _listing(state, query)
        stored = _there(state, key)
        if (etag := self.headers.get("If-Match")) and etag != stored.etag:
            raise _Refusal(412, "PreconditionFailed")
        about = {
            "ETag": stored.etag,
            "x-goog-generation": str(stored.generation),
            "Last-Modified": formatdate(stored.changed_s, usegmt=True),
        }
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            return 200, about, stored.data
        start = int(wanted[1])
        stop = min(int(wanted[2]) + 1, len(stored.data)) if wanted[2] else len(stored.data)
        if start >= len(stored.data):
            raise _Refusal(416, "InvalidRange")
        about["Content-Range"] = f"bytes {start}-{stop - 1}/{len(stored.data)}"
        return 206, about, stored.data[start:stop]

    def _head(self, state: State, key: str, query: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        status, about, data = self._get(state, key, query, body)
        return status, {**about, "Content-Length": str(len(data))}, b""

    def _put(self, state: State, key: str, query: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if "uploadId" in query:
            state.uploads[query["uploadId"]][int(query["partNumber"])] = body
            return 200, {"ETag": f'"{query["partNumber"]}"'}, b""
        is_create = self.headers.get("x-goog-if-generation-match") == "0" or self.headers.get("If-None-Match") == "*"
        if is_create and state.preconditions and key in state.objects:
            raise _Refusal(412, "PreconditionFailed")
        stored = state.put(key, body)
        return 200, {"ETag": stored.etag, "x-goog-generation": str(stored.generation)}, b""

    def _post(self, state: State, key: str, query: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if "uploads" in query:
            upload = str(len(state.requests))
            state.uploads[upload] = {}
            inside = f"<Bucket>{NAME}</Bucket><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>"
            return 200, {}, f"<InitiateMultipartUploadResult>{inside}</InitiateMultipartUploadResult>".encode()
        if "delete" in query:
            names = re.findall(r"<Key>(.*?)</Key>", body.decode(), re.DOTALL)
            for name in names:
                state.objects.pop(unescape(name, {"&quot;": '"', "&apos;": "'"}), None)
            gone = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
            return 200, {}, f"<DeleteResult>{gone}</DeleteResult>".encode()
        if query["uploadId"] not in state.uploads:
            raise _Refusal(404, "NoSuchUpload")
        parts = state.uploads.pop(query["uploadId"])
        numbers = [int(number) for number in re.findall(r"<PartNumber>(\d+)</PartNumber>", body.decode())]
        stored = state.put(key, b"".join(parts[number] for number in numbers))
        inside = f"<Bucket>{NAME}</Bucket><Key>{escape(key)}</Key><ETag>{escape(stored.etag)}</ETag>"
        made = f"<CompleteMultipartUploadResult>{inside}</CompleteMultipartUploadResult>".encode()
        return 200, {"x-goog-generation": str(stored.generation)}, made

    def _delete(self, state: State, key: str, query: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if "uploadId" in query:
            state.uploads.pop(query["uploadId"], None)
        elif "x-amz-date" in self.headers:  # S3 says the same of what was not there
            state.objects.pop(key, None)
        else:
            _there(state, key)
            del state.objects[key]
        return 204, {}, b""

    def log_message(self, *_: object) -> None:
        pass


def _there(state: State, key: str) -> Stored:
    if key not in state.objects:
        raise _Refusal(404, "NoSuchKey")
    return state.objects[key]


def _listing(state: State, query: dict[str, str]) -> bytes:
    behind = query.get("continuation-token") or query.get("start-after", "")
    prefix = query.get("prefix", "")
    keys = [key for key in sorted(state.objects, key=str.encode) if key.startswith(prefix) and key > behind]
    shown = keys[: min(state.page, int(query.get("max-keys", state.page)))]
    is_cut = len(shown) < len(keys)
    inside = "".join(_listed(key, state.objects[key]) for key in shown)
    more = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if is_cut else ""
    head = f"<Name>{NAME}</Name><KeyCount>{len(shown)}</KeyCount><IsTruncated>{str(is_cut).lower()}</IsTruncated>"
    return f'<?xml version="1.0"?><ListBucketResult>{head}{inside}{more}</ListBucketResult>'.encode()


def _listed(key: str, stored: Stored) -> str:
    changed = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stored.changed_s))
    thousandths = int(stored.changed_s % 1 * 1000)
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{changed}.{thousandths:03d}Z</LastModified>"
        f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.data)}</Size></Contents>"
    )
