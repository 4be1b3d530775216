"""Item -> Encoding: what a caller sends becomes what the graph reads."""
