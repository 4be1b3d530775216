"""A collection that is kept like its documents."""
