"""Collections as tables of PostgreSQL, their vectors as columns of pgvector."""
