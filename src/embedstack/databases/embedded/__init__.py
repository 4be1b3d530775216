"""Vectors in a folder of this machine, with no server beside them."""
