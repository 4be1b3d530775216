"""Many callers, one device: requests become packed batches, and batches become each caller's rows."""
