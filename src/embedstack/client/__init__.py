"""An endpoint somewhere else, through the door: requests go out in its dialect, answers come back with identity."""

from embedstack.client.client import Client
from embedstack.client.health import Health
from embedstack.client.identity import unknown_spec

__all__ = ["Client", "Health", "unknown_spec"]
