"""Bodies and a number of connections -> how fast a server answers them: one JSON line. A process of its own.

    python sender.py PORTS CONNECTIONS SECONDS PATH BODIES

PORTS are separated by commas, where several servers share the connections. BODIES is a file with a JSON list of
request bodies, sent in turn; each connection sends its next request when the
reply to the last one is there. Sockets and epoll and nothing else, because what the generator uses the server cannot:
it says what it used. Standard library only.
"""

import json
import resource
import select
import socket
import sys
import time
from pathlib import Path

PATIENCE_S = 60
HEAD_END, LENGTH = b"\r\n\r\n", b"content-length:"


class Connection:
    """One request at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self.sent = 0.0

    def send(self, request: bytes) -> None:
        self.sent = time.perf_counter()
        self.socket.sendall(request)

    def reply(self) -> bytes | None:
        """What can be read now; the whole reply once it is there."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self._received += piece
        end = self._received.find(HEAD_END)
        if end < 0:
            return None
        head = self._received[:end].lower()
        at = head.index(LENGTH) + len(LENGTH)
        size = int(head[at:].partition(b"\r\n")[0])
        if len(self._received) < end + len(HEAD_END) + size:
            return None
        whole, self._received = self._received, b""
        return whole


def run(ports: list[int], connections: int, seconds: float, requests: list[bytes]) -> dict[str, object]:
    poll = select.epoll()
    made = (Connection(ports[number % len(ports)]) for number in range(connections))
    opened = {one.socket.fileno(): one for one in made}
    for number in opened:
        poll.register(number, select.EPOLLIN)
    took: list[float] = []
    wrong: dict[str, int] = {}
    sent, ended, before, began = 0, 0, _used_s(), time.perf_counter()
    for one in opened.values():
        one.send(requests[sent % len(requests)])
        sent += 1
    while ended < sent:
        ready = poll.poll(PATIENCE_S)
        if not ready:
            raise TimeoutError(f"no reply within {PATIENCE_S} s")
        for number, _ in ready:
            one = opened[number]
            reply = one.reply()
            if reply is None:
                continue
            now = time.perf_counter()
            ended += 1
            status = reply[9:12].decode()
            if status == "200":
                took.append(now - one.sent)
            else:
                wrong[status] = wrong.get(status, 0) + 1
            if now < began + seconds:
                one.send(requests[sent % len(requests)])
                sent += 1
    wall_s = time.perf_counter() - began
    for one in opened.values():
        one.socket.close()
    return {"s": wall_s, "took_ms": [round(t * 1000, 3) for t in took], "wrong": wrong, "used_s": _used_s() - before}


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _request(path: str, body: str) -> bytes:
    content = body.encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(content)}".encode() + HEAD_END + content


def main() -> None:
    ports, connections, seconds, path, bodies = sys.argv[1:6]
    requests = [_request(path, body) for body in json.loads(Path(bodies).read_text())]
    print(json.dumps(run([int(port) for port in ports.split(",")], int(connections), float(seconds), requests)))


if __name__ == "__main__":
    main()
