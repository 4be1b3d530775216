"""A document's text becomes the passages that a model can read, each with its place and its tokens counted."""
