"""`langchain-huggingface` of a release that takes an address for a model."""

from langchain_huggingface import HuggingFaceEndpointEmbeddings
from seen import KEY, LONG, MANY, QUERY, TEXTS, URL, report, see, see_async


def embeddings(key=KEY, base=f"{URL}/tei", **more):
    return HuggingFaceEndpointEmbeddings(model=base, huggingfacehub_api_token=key, **more)


see("texts", lambda: embeddings().embed_documents(TEXTS))
see("many", lambda: embeddings().embed_documents(MANY))
see("one text", lambda: [embeddings(model_kwargs={"truncate": True}).embed_query(LONG)])
see("at the root", lambda: embeddings(base=URL).embed_documents(TEXTS))
see_async("async", lambda: embeddings().aembed_documents(TEXTS))
see("too long", lambda: embeddings(model_kwargs={"truncate": False}).embed_query(LONG))
see("wrong key", lambda: embeddings("wrong").embed_query(QUERY))
report()
