"""`litellm`, by the providers whose dialects are spoken here."""

import litellm
from seen import DOCUMENTS, EMBEDDER, KEY, LONG, MANY, QUERY, RERANKER, TEXTS, URL, report, see, see_async

PLACES = {
    "openai": "/v1",
    "cohere": "/cohere/v2/embed",
    "jina_ai": "/jina/v1",
    "infinity": "/infinity",
}


def embed(provider, texts, key=KEY, model=EMBEDDER, **more):
    place = f"{URL}{PLACES[provider]}"
    reply = litellm.embedding(model=f"{provider}/{model}", input=texts, api_base=place, api_key=key, **more)
    return [row["embedding"] for row in reply.data]


def rerank(provider, place, key=KEY, model=RERANKER):
    reply = litellm.rerank(
        model=f"{provider}/{model}", query=QUERY, documents=DOCUMENTS, api_base=f"{URL}{place}", api_key=key
    )
    return [(row["index"], row["relevance_score"]) for row in reply.results]


async def asynchronously():
    reply = await litellm.aembedding(
        model=f"openai/{EMBEDDER}", input=TEXTS, api_base=f"{URL}/v1", api_key=KEY, encoding_format="float"
    )
    return [row["embedding"] for row in reply.data]


see("openai texts", lambda: embed("openai", TEXTS, encoding_format="float"))
see("openai many", lambda: embed("openai", MANY, encoding_format="float"))
see("openai one text", lambda: embed("openai", [LONG], encoding_format="float"))
see_async("openai async", asynchronously)
see("openai dimensions", lambda: embed("openai", TEXTS, dimensions=64, encoding_format="float"))
see("openai wrong key", lambda: embed("openai", TEXTS, "wrong"))
see("openai wrong model", lambda: embed("openai", TEXTS, model="nothing"))
see("cohere texts", lambda: embed("cohere", TEXTS))
see("cohere wrong key", lambda: embed("cohere", TEXTS, "wrong"))
see("cohere rerank", lambda: rerank("cohere", "/cohere"))
see("jina texts", lambda: embed("jina_ai", TEXTS))
see("jina many", lambda: embed("jina_ai", MANY))
see("jina wrong key", lambda: embed("jina_ai", TEXTS, "wrong"))
see("jina wrong model", lambda: embed("jina_ai", TEXTS, model="nothing"))
see("jina rerank", lambda: rerank("jina_ai", "/jina"))
see("infinity texts", lambda: embed("infinity", TEXTS))
see("infinity rerank", lambda: rerank("infinity", "/infinity"))
report()
