"""Vectors and rankings -> how good they are."""
