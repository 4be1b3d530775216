"""LlamaIndex' embeddings for Jina, which have no parameter for the address."""

from llama_index.embeddings.jinaai import JinaEmbedding
from seen import EMBEDDER, KEY, MANY, QUERY, TEXTS, URL, report, see, see_async


def jina(key=KEY, model=EMBEDDER, **more):
    made = JinaEmbedding(model=model, api_key=key, **more)
    made._api.api_url = f"{URL}/jina/v1/embeddings"
    return made


see("texts", lambda: jina(task="retrieval.passage").get_text_embedding_batch(TEXTS))
see("many", lambda: jina().get_text_embedding_batch(MANY))
see_async("async", lambda: jina().aget_text_embedding_batch(TEXTS))
see("wrong key", lambda: jina("wrong").get_query_embedding(QUERY))
see("wrong model", lambda: jina(model="jina-nothing").get_query_embedding(QUERY))
report()
