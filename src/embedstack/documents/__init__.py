"""Files as people have them become documents: a text, an id, what is known about it."""
