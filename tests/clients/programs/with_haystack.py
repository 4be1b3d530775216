"""Haystack's components for Text Embeddings Inference: the embedders and the ranker."""

from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.embedders.huggingface_api import (
    HuggingFaceAPIDocumentEmbedder,
    HuggingFaceAPITextEmbedder,
)
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker
from seen import DOCUMENTS, KEY, LONG, MANY, QUERY, TEXTS, URL, report, see, see_async


def how(key):
    return {
        "api_type": "text_embeddings_inference",
        "api_params": {"url": f"{URL}/tei"},
        "token": Secret.from_token(key),
    }


def one(text, key=KEY, **more):
    return HuggingFaceAPITextEmbedder(**how(key), **more).run(text)["embedding"]


def all_of(texts, key=KEY):
    made = HuggingFaceAPIDocumentEmbedder(**how(key), progress_bar=False)
    return [row.embedding for row in made.run([Document(content=text) for text in texts])["documents"]]


async def asynchronously():
    embedder = HuggingFaceAPITextEmbedder(**how(KEY))
    return [(await embedder.run_async(text))["embedding"] for text in TEXTS]


def ranking(url=URL, key=KEY):
    ranker = HuggingFaceTEIRanker(url=url, token=Secret.from_token(key), top_k=10, max_retries=1)
    ranked = ranker.run(QUERY, [Document(content=text) for text in DOCUMENTS])["documents"]
    return [(DOCUMENTS.index(row.content), row.score) for row in ranked]


see("texts", lambda: all_of(TEXTS))
see("many", lambda: all_of(MANY))
see("one by one", lambda: [one(text) for text in TEXTS])
see("one text", lambda: [one(LONG, truncate=True)])
see_async("async", asynchronously)
see("rerank", ranking)
see("rerank below /tei", lambda: ranking(f"{URL}/tei"))
see("too long", lambda: one(LONG, truncate=False))
see("wrong key", lambda: one(QUERY, "wrong"))
see("rerank wrong key", lambda: ranking(key="wrong"))
report()
