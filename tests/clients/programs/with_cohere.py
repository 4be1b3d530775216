"""The `cohere` package: its old client (v1) and the new one (v2)."""

import base64
import struct

import cohere
from seen import DOCUMENTS, EMBEDDER, KEY, LONG, MANY, QUERY, RERANKER, TEXTS, URL, report, see, see_async

BASE = f"{URL}/cohere"
KINDS = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
old = cohere.Client(api_key=KEY, base_url=BASE)
new = cohere.ClientV2(api_key=KEY, base_url=BASE)
at_root = cohere.ClientV2(api_key=KEY, base_url=URL)
old_at_root = cohere.Client(api_key=KEY, base_url=URL)
stranger = cohere.ClientV2(api_key="wrong", base_url=BASE)


def embed(texts, client=new, kinds=("float",), model=EMBEDDER, role="search_document", **more):
    return client.embed(texts=texts, model=model, input_type=role, embedding_types=list(kinds), **more)


def rerank(client, **more):
    return client.rerank(model=RERANKER, query=QUERY, documents=DOCUMENTS, **more)


def ranking(reply):
    return [(result.index, result.relevance_score) for result in reply.results]


async def asynchronously():
    async with cohere.AsyncClientV2(api_key=KEY, base_url=BASE) as client:
        reply = await client.embed(texts=TEXTS, model=EMBEDDER, input_type="search_document", embedding_types=["float"])
        return reply.embeddings.float_


def from_base64(reply):
    packed = [base64.b64decode(row) for row in reply.embeddings.base64]
    return [struct.unpack(f"<{len(row) // 4}f", row) for row in packed]


see("texts", lambda: embed(TEXTS).embeddings.float_)
for kind in ("int8", "uint8", "binary", "ubinary"):
    see(kind, lambda kind=kind: getattr(embed(TEXTS, kinds=[kind]).embeddings, kind))
see("base64", lambda: from_base64(embed(TEXTS, kinds=["base64"])))
see("all types", lambda: embed(TEXTS, kinds=KINDS).embeddings.float_)
see("one text", lambda: embed([LONG]).embeddings.float_)
see("query", lambda: embed(TEXTS, role="search_query").embeddings.float_)
see("usage", lambda: embed(TEXTS).meta.billed_units.input_tokens)
see("rerank", lambda: ranking(rerank(new)))
see("rerank top 2", lambda: ranking(rerank(new, top_n=2)))
see("v1 texts", lambda: old.embed(texts=TEXTS, model=EMBEDDER, input_type="search_document").embeddings)
see("v1 many", lambda: old.embed(texts=MANY, model=EMBEDDER, input_type="search_document").embeddings)
see("v1 int8", lambda: embed(TEXTS, old, ["int8"]).embeddings.int8)
see("v1 many by type", lambda: embed(MANY, old).embeddings.float_)
see("v1 rerank", lambda: ranking(rerank(old, return_documents=True)))
see("v1 document", lambda: rerank(old, return_documents=True, top_n=1).results[0].document.text)
see("v1 tokens", lambda: len(old.tokenize(text=TEXTS[0], model=EMBEDDER, offline=False).tokens) > 0)
see("models", lambda: [model.name for model in old.models.list().models])
see_async("async", asynchronously)
see("many", lambda: embed(MANY).embeddings.float_)
see("at the root", lambda: embed(TEXTS, at_root).embeddings.float_)
see("rerank at the root", lambda: ranking(rerank(at_root)))
see("v1 at the root", lambda: embed(TEXTS, old_at_root).embeddings.float_)
see("v1 rerank at the root", lambda: ranking(rerank(old_at_root)))
see("too long", lambda: embed([LONG], truncate="NONE"))
see("dimensions", lambda: embed(TEXTS, output_dimension=256))
see("wrong key", lambda: embed(TEXTS, stranger))
see("wrong model", lambda: embed(TEXTS, model="embed-nothing"))
see("v1 wrong model", lambda: old.rerank(model="rerank-nothing", query=QUERY, documents=DOCUMENTS))
report()
