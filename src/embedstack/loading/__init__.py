"""Vectors from files into a database."""
