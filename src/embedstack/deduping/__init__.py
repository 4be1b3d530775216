"""Files, tables and collections -> what in them is there more than once, or nearly so; nothing is changed."""
