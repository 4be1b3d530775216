"""Long work that survives a crash: planned once, done shard by shard, committed once."""
