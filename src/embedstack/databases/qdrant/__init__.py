"""Collections become Qdrant's, on a server or, for trying, in a folder."""
