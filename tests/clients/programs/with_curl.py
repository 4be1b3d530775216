"""`curl`, for the dialects whose clients are no packages, and for routes that the packages do not call."""

import json
import subprocess

from seen import DOCUMENTS, EMBEDDER, KEY, LABELLER, LONG, MANY, QUERY, RERANKER, SENTENCE, TEXTS, URL, report, see


class Refused(Exception):
    """An answer that is not 200."""


def curl(path, body=None, key=KEY):
    command = ["curl", "--silent", "--write-out", "\n%{http_code}", URL + path]
    command += ["--header", f"Authorization: Bearer {key}"]
    if body is not None:
        command += ["--header", "Content-Type: application/json", "--data-binary", "@-"]
    sent = body if isinstance(body, str) else json.dumps(body)
    said = subprocess.run(command, input=sent, capture_output=True, text=True, check=True).stdout
    answer, _, status = said.rpartition("\n")
    if status != "200":
        raise Refused(f"{status}: {answer}")
    return json.loads(answer)


def rows(path, body):
    return [row["embedding"] for row in curl(path, body)["data"]]


def ranks(found, name="score"):
    return [(row["index"], row[name]) for row in found]


def labels(found):
    return [(one["label"], one["score"]) for one in found]


def worker_batch(texts):
    items = [{"id": str(place), "type": "text", "content": text} for place, text in enumerate(texts)]
    return [row["embedding"] for row in curl("/model-worker/embed/batch", {"items": items})["results"]]


def in_the_address(text):
    return [curl(f"/ml-service/embeddings/single/text?text={'%20'.join(text.split())}", "")["embedding"]]


def kriptik(path, body=None):
    return curl(f"/kriptik/api/embeddings/{path}", body)["data"]


def decoded(text):
    return curl("/tei/decode", {"ids": [row["id"] for row in curl("/tei/tokenize", {"inputs": text})[0]]})


def jina(**more):
    return rows("/jina/v1/embeddings", {"model": EMBEDDER, "input": TEXTS, **more})


pairs = {"query": QUERY, "documents": DOCUMENTS}
intent = {"content": TEXTS, "type": "intent"}
similar = {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}

see("model-worker texts", lambda: curl("/model-worker/embed/text", {"texts": TEXTS})["embeddings"])
see("model-worker batch", lambda: worker_batch(MANY))
see("model-worker health", lambda: curl("/model-worker/health")["status"])
see("model-worker at the root", lambda: curl("/embed/text", {"texts": TEXTS})["embeddings"])
see("model-worker wrong key", lambda: curl("/model-worker/embed/text", {"texts": TEXTS}, "wrong"))
see("model-worker wrong body", lambda: curl("/model-worker/embed/text", {"texts": "a"}))

see("ml-service texts", lambda: curl("/ml-service/embeddings/text", {"texts": TEXTS})["embeddings"])
see("ml-service one text", lambda: in_the_address(LONG))
see("ml-service health", lambda: curl("/ml-service/health/ready")["ready"])
see("ml-service at the root", lambda: curl("/embeddings/text", {"texts": TEXTS})["embeddings"])
see("ml-service wrong key", lambda: curl("/ml-service/embeddings/text", {"texts": TEXTS}, "wrong"))

see("rag-stack texts", lambda: rows("/rag-stack/embeddings", {"input": TEXTS}))
see("rag-stack rerank", lambda: ranks(curl("/rag-stack/rerank", pairs)))
see("rag-stack sparse", lambda: curl("/rag-stack/embed_sparse", {"input": TEXTS}))
see("rag-stack health", lambda: curl("/rag-stack/health")["models"])
see("rag-stack wrong model", lambda: rows("/rag-stack/embeddings", {"input": TEXTS, "model": "nothing"}))

see("kriptik texts", lambda: kriptik("generate", intent)["embeddings"])
see("kriptik batch", lambda: kriptik("batch", {"requests": [intent]})["results"][0]["embeddings"])
see("kriptik similarity", lambda: kriptik("similarity", {"embedding1": [3, 4], "embedding2": [4, 3]})["similarity"])
see("kriptik estimate", lambda: kriptik("estimate", intent)["estimatedTokens"] > 0)
see("kriptik health", lambda: kriptik("health")["status"])
see("kriptik stats", lambda: kriptik("stats")["callers"]["clients"]["tokens"] > 0)
see("kriptik wrong type", lambda: kriptik("generate", {"content": TEXTS, "type": "poem"}))

see("tei texts", lambda: curl("/tei/embed", {"inputs": TEXTS}))
see("tei rerank", lambda: ranks(curl("/tei/rerank", {"query": QUERY, "texts": DOCUMENTS})))
see("tei labels", lambda: labels(curl("/tei/predict", {"inputs": SENTENCE})))
see("tei similarity", lambda: curl("/tei/similarity", {"inputs": similar}))
see("tei decode", lambda: decoded("a cat"))
see("tei info", lambda: curl("/tei/info")["model_id"])
see("tei too long", lambda: curl("/tei/embed", {"inputs": LONG, "truncate": False}))

see("jina texts", lambda: jina(task="retrieval.passage"))
see("jina ubinary", lambda: jina(embedding_type="ubinary"))
see("jina rerank", lambda: ranks(curl("/jina/v1/rerank", {"model": RERANKER, **pairs})["results"], "relevance_score"))
see("jina late chunking", lambda: f"{len(jina(late_chunking=True, input=[f'{one} ' for one in TEXTS]))} vectors")
see("jina image", lambda: jina(input=[{"image": "aGVsbG8="}]))
see("infinity labels", lambda: labels(curl("/infinity/classify", {"model": LABELLER, "input": [SENTENCE]})["data"][0]))
report()
