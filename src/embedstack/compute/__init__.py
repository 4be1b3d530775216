"""Machines to rent: wishes go to a provider's control plane, and what runs there and what it costs comes back."""

from embedstack.compute.runpod import RunPodControl

__all__ = ["RunPodControl"]
