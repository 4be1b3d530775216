"""Vectors at rest, in somebody's database or in a folder."""
