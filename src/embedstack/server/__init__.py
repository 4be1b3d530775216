"""The door over HTTP: requests in every dialect go to one Encoder, and its answers and errors come back."""

from embedstack.server.app import create_app
from embedstack.server.run import run

__all__ = ["create_app", "run"]
