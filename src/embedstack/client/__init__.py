"""An endpoint somewhere else, through the door: requests go out in its dialect, answers come back with identity."""

from embedstack.client.client import Client
from embedstack.client.identity import unknown_spec

__all__ = ["Client", "unknown_spec"]
