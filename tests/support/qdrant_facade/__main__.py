"""A folder becomes a process that answers on the loopback: `python -m support.qdrant_facade --folder F`."""

import argparse
import os
import socket
import sys
import threading
from pathlib import Path

import uvicorn

from support.qdrant_facade.app import Facade
from support.qdrant_facade.faults import Connection
from support.qdrant_facade.shards import Shards

LAST_WORDS_S = 1


def main() -> None:
    """Prints the port as soon as it answers there."""
    given = _arguments()
    listener = socket.create_server(("127.0.0.1", given.port), backlog=512)
    # inherited by connections; without it a reply of two parts waits for the client's acknowledgement
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    facade = Facade(Shards(given.folder), api_key=given.api_key, version=given.version)
    if given.until_closed:
        threading.Thread(target=_end_with_input, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(
        uvicorn.Config(
            facade.faults,
            http=Connection,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=LAST_WORDS_S,
        )
    ).run(sockets=[listener])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="support.qdrant_facade")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--api-key", default="")
    parser.add_argument("--version", default="1.19.0")
    parser.add_argument("--until-closed", action="store_true", help="end when standard input ends, so with its owner")
    return parser.parse_args()


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
