"""`langchain-openai`: by default it sends ids of OpenAI's vocabulary in place of the text."""

from langchain_openai import OpenAIEmbeddings
from seen import EMBEDDER, KEY, LONG, MANY, QUERY, TEXTS, URL, WITHOUT_CL100K, report, see, see_async


def embeddings(url=URL, key=KEY, model=EMBEDDER, **more):
    return OpenAIEmbeddings(base_url=f"{url}/v1", api_key=key, model=model, max_retries=0, **more)


ids = embeddings()
texts = embeddings(check_embedding_ctx_length=False)

see("texts", lambda: ids.embed_documents(TEXTS))
see("many", lambda: ids.embed_documents(MANY))
see("one text", lambda: [ids.embed_query(LONG)])
see("very long text", lambda: len(ids.embed_query("龘靐齉龗🐈‍⬛" * 1500)))  # cut between ids, within characters
see_async("async", lambda: ids.aembed_documents(TEXTS))
see("as text", lambda: texts.embed_documents(TEXTS))
see("many as text", lambda: texts.embed_documents(MANY))
see("without the vocabulary", lambda: embeddings(WITHOUT_CL100K).embed_query(QUERY))
see("as text without it", lambda: embeddings(WITHOUT_CL100K, check_embedding_ctx_length=False).embed_documents(TEXTS))
see("dimensions", lambda: embeddings(dimensions=64).embed_query(QUERY))
see("wrong key", lambda: embeddings(key="wrong").embed_query(QUERY))
see("wrong model", lambda: embeddings(model="text-embedding-nothing").embed_query(QUERY))
report()
