"""A folder becomes what looks to `qdrant-client` like a Qdrant server over HTTP. It is ours, and no Qdrant server.

Behind the routes is the real engine, as `qdrant-edge-py` has it: vectors, scores, filters, idf, payload indexes and the
write-ahead log are Qdrant's own. The routes, their JSON, statuses and texts are written after
https://github.com/qdrant/qdrant/tree/74f3e85b9473c62560006c043e13737ce6b48412 (version 1.19.0), and so are the merging
of metadata, the names of vectors that are added later and the aliases. It knows only what the adapter needs; a key of a
request that it does not know is refused with 400, where a server would pass it over.

Of a batch with a vector that does not fit, the engine writes some and refuses; where a name is not known, it writes the
rest when it is started again. A server is made of the same engine, so that is left as it is.

What it does not prove:
- anything of a cluster: consensus, replicas, shard keys, that aliases are switched everywhere at once;
- what happens between requests that are under way at the same time: here one is done after the other;
- a request that fails half way, but for lists of alias actions: the first ones stay where a later one fails;
- the optimizer, HNSW and quantized copies: their settings are remembered and reported, and every question is answered
  by looking at all points. Status is always green, and `indexed_vectors_count` is 0;
- strict mode, rate limits, roles and tokens other than the one key, TLS, gRPC, compression, snapshots, quotas;
- the exact wording of 4xx that are about the form of a request;
- a loss of power: what was answered outlives a SIGKILL; it is flushed too, but nobody pulled a plug;
- how fast a server is, or how it behaves with much data.
"""
